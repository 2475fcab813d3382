//! `why GROUP`: the chain of reasons, with every figure used.

use evergate_api::control::{Reply, Request};

use super::Ended;
use crate::context::Context;
use crate::failure::exit;
use crate::view;

/// 0 explained, 1 no such group.
pub fn run(context: &mut Context, group: String) -> Ended {
    let answer = context.ask(&Request::Why { group }, exit::REFUSED)?;
    let Reply::Why(why) = &answer.reply else { return Err(context.unexpected(&answer)) };
    context.show(&answer, |color| view::why::render(why, color))?;
    Ok(exit::GOOD)
}
