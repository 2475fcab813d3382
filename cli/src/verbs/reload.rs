//! `reload`: the running daemon reads its configuration again.

use evergate_api::control::{Reply, Request};

use super::Ended;
use crate::context::Context;
use crate::failure::exit;
use crate::view;

/// 0 good, 1 warnings, 2 errors and nothing changed.
pub fn run(context: &mut Context, plan: bool) -> Ended {
    let answer = context.ask_patiently(&Request::Reload { plan }, exit::ERRORS)?;
    let Reply::Reload(end) = &answer.reply else { return Err(context.unexpected(&answer)) };
    context.show(&answer, |color| view::action::reload(end, color))?;
    Ok(end.exit_code())
}
