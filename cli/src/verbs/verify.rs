//! `verify`: are the copies of connections what their owners have?

use evergate_api::control::{Reply, Request};

use super::Ended;
use crate::context::Context;
use crate::failure::exit;
use crate::view;

/// 0 equal with every peer, 1 different with one, 2 not known.
pub fn run(context: &mut Context) -> Ended {
    let answer = context.ask(&Request::Verify {}, exit::ERRORS)?;
    let Reply::Verify(end) = &answer.reply else { return Err(context.unexpected(&answer)) };
    context.show(&answer, |color| view::flows::verify(end, color))?;
    Ok(end.exit_code())
}
