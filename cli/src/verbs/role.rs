//! `role GROUP`: one word, for scripts.

use evergate_api::control::{Reply, Request};

use super::Ended;
use crate::context::Context;
use crate::failure::exit;

/// 0 only if this node is active; 1 if it is not; 2 if it cannot be told.
pub fn run(context: &mut Context, group: String) -> Ended {
    let answer = context.ask(&Request::Role { group }, exit::ERRORS)?;
    let Reply::Role(role) = &answer.reply else { return Err(context.unexpected(&answer)) };
    context.show(&answer, |_| format!("{}\n", role.state))?;
    Ok(if role.active { exit::GOOD } else { exit::NOT_ACTIVE })
}
