//! `switchover GROUP`: a planned handover; waits for its end.

use std::time::Duration;

use evergate_api::control::{DEFAULT_SWITCHOVER_TIMEOUT_MS, Reply, Request};

use super::Ended;
use crate::args::Switchover;
use crate::context::Context;
use crate::failure::exit;
use crate::view;

/// The daemon ends the wait; this much later we give up on the daemon.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// 0 done, 1 refused and nothing changed, 2 failed.
pub fn run(context: &mut Context, what: Switchover) -> Ended {
    let default = Duration::from_millis(DEFAULT_SWITCHOVER_TIMEOUT_MS);
    let timeout = context.timeout.unwrap_or(default);
    let request = Request::Switchover {
        group: what.group,
        to: what.to,
        timeout_ms: milliseconds(timeout),
        hold_ms: what.hold.map(milliseconds),
    };
    let answer = context.ask_for(&request, exit::REFUSED, timeout + PATIENCE)?;
    let Reply::Switchover(end) = &answer.reply else { return Err(context.unexpected(&answer)) };
    context.show(&answer, |color| view::action::switchover(end, color))?;
    Ok(end.exit_code())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("the arguments are bounded by a year")
}
