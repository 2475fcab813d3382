//! Packets to virtual addresses with `accept = false`: the rules that drop them are there before any wish is
//! served, and are made again while they could not be made.

use std::time::Duration;

use super::{KernelThread, Worker};
use crate::kernel::accept_mode::{AcceptOff, Unaccepted};
use crate::sys::clock::{NS_PER_S, boottime_now};

/// How long it takes until rules that could not be made are tried again.
const TRY_AGAIN_NS: u64 = 10 * NS_PER_S;

/// What is dropped, and by what.
#[derive(Debug, Default)]
pub(super) struct Dropping {
    wanted: Vec<Unaccepted>,
    rules: Option<AcceptOff>,
    /// The last attempt was in vain, and when that was.
    failed: bool,
    tried_ns: u64,
    /// How many tables were made: each has its own name, because the next is there before the last is gone.
    count: u32,
}

impl Dropping {
    /// How long it is until rules that could not be made are tried again; `None` if none are.
    pub(super) fn again_in(&self) -> Option<Duration> {
        let left = (self.tried_ns + TRY_AGAIN_NS).saturating_sub(boottime_now());
        self.failed.then(|| Duration::from_nanos(left))
    }
}

impl KernelThread {
    /// Has packets to these addresses dropped, and to no others; the newest word counts.
    pub fn drop_packets_to(&self, addresses: Vec<Unaccepted>) {
        self.desk().unaccepted = Some(addresses);
        self.shared.work.notify_one();
    }

    /// Why packets to such addresses are taken all the same, if they are.
    pub fn accept_failure(&self) -> Option<String> {
        self.desk().accept_failure.clone()
    }
}

impl Worker {
    /// Makes the rules that are wanted from now on.
    pub(super) fn drop_packets(&mut self, wanted: Vec<Unaccepted>) {
        if self.dropping.wanted != wanted {
            self.dropping.wanted = wanted;
            self.make_rules();
        }
    }

    /// Tries again, behind all other work, to make rules that could not be made.
    pub(super) fn drop_packets_after_all(&mut self) {
        if self.dropping.again_in().is_some_and(|span| span.is_zero()) {
            self.make_rules();
        }
    }

    fn make_rules(&mut self) {
        let dropping = &mut self.dropping;
        dropping.tried_ns = boottime_now();
        dropping.count += 1;
        let name = format!("evergate_accept_{}_{}", std::process::id(), dropping.count);
        let made = match dropping.wanted.as_slice() {
            [] => Ok(None),
            wanted => AcceptOff::install(name, wanted).map(Some),
        };
        dropping.failed = made.is_err();
        let failure = made.as_ref().err().map(ToString::to_string);
        if let Ok(rules) = made {
            dropping.rules = rules;
        }
        if let Some(failure) = &failure {
            self.complain(format!("cannot drop what is sent to virtual addresses: {failure}"));
        }
        self.shared.lock().accept_failure = failure;
        let _ = self.shared.bell.ring();
    }
}
