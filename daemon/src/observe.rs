//! Events: what happened, told once to the log and kept in the journal for `evergate events`.
//!
//! ```text
//!   node thread                            thread observe              control threads
//!   Note ─► Observer ─► EventDraft ──────► number, time ─► Journal ──► events, --follow
//!           (one sentence, bounded rate)   bounded channel   └──► one line on standard error
//! ```
//!
//! The node thread only drops drafts into a bounded channel. Whatever can wait for a reader or a
//! full pipe is done by the thread `observe`.
mod draft;
mod journal;
mod limit;
mod log;
mod observer;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;

pub use draft::{EventDraft, Level};
pub use journal::{EVENTS_KEPT, Journal};
pub use limit::{TOPICS_MAX, WINDOW};
pub use log::Log;
pub use observer::{Observer, procedure_event};

use crate::wall_clock::WallClock;
pub use crate::words::cause_code;

/// The most events that wait for the thread `observe`; more are lost and counted.
pub const EVENTS_WAITING_MAX: usize = 1024;
/// The stack of the thread `observe`, in bytes: it formats short lines and no more.
const STACK_BYTES: usize = 128 * 1024;
/// What systemd sets when standard error goes to its journal, which understands `<5>` prefixes.
const JOURNAL_VARIABLE: &str = "JOURNAL_STREAM";

/// Starts the thread `observe`, which ends when the last sender of drafts is gone.
pub fn start(node: &str, drafts: Receiver<EventDraft>) -> io::Result<Arc<Journal>> {
    let prefix = std::env::var_os(JOURNAL_VARIABLE).is_some();
    start_with(node, drafts, Log::new(io::stderr(), prefix))
}

/// The same with another place for the log lines.
pub fn start_with<W>(
    node: &str,
    drafts: Receiver<EventDraft>,
    log: Log<W>,
) -> io::Result<Arc<Journal>>
where
    W: io::Write + std::os::fd::AsFd + Send + 'static,
{
    let journal = Arc::new(Journal::new(node));
    let kept = Arc::clone(&journal);
    let thread = thread::Builder::new().name("observe".into()).stack_size(STACK_BYTES);
    thread.spawn(move || observe(&drafts, &kept, log))?;
    Ok(journal)
}

/// Waits, for a bounded time, until everything that was said is in the journal and the log; wakes
/// whoever follows.
pub fn finish(journal: &Journal) {
    journal.finish();
}

fn observe<W: io::Write + std::os::fd::AsFd>(
    drafts: &Receiver<EventDraft>,
    journal: &Journal,
    mut log: Log<W>,
) {
    for draft in drafts {
        log.line(draft.level, &draft.text);
        journal.push(draft, &WallClock::now());
    }
    journal.close();
}
