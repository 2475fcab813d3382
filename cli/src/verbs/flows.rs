//! `flows [FILTER]`: the connections in this node's kernel, whose they are, and if they would live on.

use evergate_api::control::{Reply, Request};

use super::Ended;
use crate::args::Flows;
use crate::context::{Context, FLOWS_TIMEOUT};
use crate::failure::exit;
use crate::view;

/// 0 listed, 1 refused.
pub fn run(context: &mut Context, which: Flows) -> Ended {
    let timeout = context.timeout.unwrap_or(FLOWS_TIMEOUT);
    let request = Request::Flows { filter: which.filter, limit: which.limit };
    let answer = context.ask_for(&request, exit::REFUSED, timeout)?;
    let Reply::Flows(flows) = &answer.reply else { return Err(context.unexpected(&answer)) };
    context.show(&answer, |color| view::flows::table(flows, color))?;
    Ok(exit::GOOD)
}
