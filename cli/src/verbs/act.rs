//! `failback`, `lock`, `unlock` and `resync`: they take effect at once and answer alike.

use evergate_api::control::{Reply, Request};

use super::Ended;
use crate::context::Context;
use crate::failure::exit;
use crate::view;

/// 0 done, or so already; 1 refused and nothing changed, except that a failback may have ended the hold.
pub fn run(context: &mut Context, request: &Request) -> Ended {
    let answer = context.ask_patiently(request, exit::REFUSED)?;
    let (Reply::Failback(done) | Reply::Lock(done) | Reply::Unlock(done) | Reply::Resync(done)) =
        &answer.reply
    else {
        return Err(context.unexpected(&answer));
    };
    context.show(&answer, |color| view::action::done(done, color))?;
    Ok(exit::GOOD)
}
