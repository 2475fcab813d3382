//! `status router ID`: one virtual router with its counters.

use evergate_api::control::{Reply, Request};

use super::Ended;
use crate::context::Context;
use crate::failure::exit;
use crate::view;

/// 0 once it is shown, whatever its state.
pub fn run(context: &mut Context, router: String) -> Ended {
    let answer = context.ask(&Request::Router { router }, exit::REFUSED)?;
    let Reply::Router(report) = &answer.reply else { return Err(context.unexpected(&answer)) };
    context.show(&answer, |color| view::router::render(report, color))?;
    Ok(exit::GOOD)
}
