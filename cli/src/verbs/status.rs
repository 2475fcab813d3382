//! `status`: the truth about this node and what it knows of the others.

use evergate_api::control::{Reply, Request};

use super::Ended;
use crate::context::Context;
use crate::failure::exit;
use crate::view;

/// 0 ready or unverified, 1 degraded, 2 down or split, 3 no status.
pub fn run(context: &mut Context) -> Ended {
    let answer = context.ask(&Request::Status {}, exit::NO_ANSWER)?;
    let Reply::Status(status) = &answer.reply else { return Err(context.unexpected(&answer)) };
    context.show(&answer, |color| view::status::render(status, color))?;
    Ok(status.verdict.exit_code())
}
