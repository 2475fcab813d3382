//! One file for each verb. A verb writes its answer and returns its exit code.

mod act;
mod check;
mod completions;
mod events;
mod firewall;
mod flows;
mod import;
mod key;
mod man;
mod reload;
mod role;
mod router;
mod schema;
mod status;
mod switchover;
mod verify;
mod why;

pub use check::KeyFile;
#[cfg(test)]
pub use switchover::PATIENCE as SWITCHOVER_PATIENCE;

use evergate_api::control::Request;

use crate::args::{StatusPart, Verb};
use crate::context::Context;
use crate::failure::Stop;

/// The exit code, or why it stopped.
pub type Ended = Result<u8, Stop>;

/// Runs a verb.
pub fn run(verb: Verb, context: &mut Context) -> Ended {
    match verb {
        Verb::Status(of) => match of.part {
            None => status::run(context),
            Some(StatusPart::Router { id }) => router::run(context, id),
        },
        Verb::Role(of) => role::run(context, of.group),
        Verb::Events(which) => events::run(context, &which),
        Verb::Why(of) => why::run(context, of.group),
        Verb::Switchover(what) => switchover::run(context, what),
        Verb::Failback(of) => act::run(context, &Request::Failback { group: of.group }),
        Verb::Lock(of) => act::run(context, &Request::Lock { group: of.group }),
        Verb::Unlock(of) => act::run(context, &Request::Unlock { group: of.group }),
        Verb::Reload(how) => reload::run(context, how.plan),
        Verb::Resync(of) => act::run(context, &Request::Resync { node: of.node }),
        Verb::Verify => verify::run(context),
        Verb::Flows(which) => flows::run(context, which),
        Verb::Check(what) => check::run(context, &what.path),
        Verb::Import(what) => import::run(context, what),
        Verb::Schema => schema::run(context),
        Verb::Key => key::run(context),
        Verb::Firewall(what) => firewall::run(context, &what),
        Verb::Completions(what) => completions::run(context, what.shell),
        Verb::Man(what) => man::run(context, &what.directory),
    }
}
