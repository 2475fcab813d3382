//! What waits to be told: of every flow its newest state, once; and flows of a reading of the table.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::flow::{FlowHash, ValueDigest};
use crate::replicate::index::Entry;
use crate::time::{Instant, earliest};

/// Changes that wait; what comes beyond is found by reading the table.
pub const CHANGES_MAX: usize = 65_536;
/// Flows of a reading that wait; then reading on waits too.
pub const BULK_MAX: usize = 1_000;
/// The time that each message is given: conntrackd can read more, but the buffer of its socket is
/// small unless somebody has made it larger.
pub const MESSAGE_EVERY: Duration = Duration::from_micros(25);
/// Messages that may leave at once.
pub const BURST: u32 = 512;

/// What is to be told of a flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pending {
    /// Whether it is gone, rather than changed.
    pub gone: bool,
    /// The sum of what it is.
    pub digest: ValueDigest,
    /// Its attributes.
    pub bytes: Vec<u8>,
    /// The second until which the peer keeps it without being told again.
    pub until: u32,
}

/// A flow of a reading of the table.
#[derive(Debug)]
pub(super) struct Read {
    pub name: FlowHash,
    pub flow: Pending,
    /// What was known of it when it was read: what was told since then is newer.
    pub known: Option<Entry>,
}

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    changes: BTreeMap<FlowHash, (Instant, Pending)>,
    due: BTreeSet<(Instant, FlowHash)>,
    bulk: VecDeque<Read>,
    /// Messages were sent at their pace up to this moment.
    paced: Instant,
}

impl Outbox {
    /// How many flows wait.
    pub fn len(&self) -> usize {
        self.changes.len() + self.bulk.len()
    }

    /// Whether a change of a flow waits.
    pub fn has(&self, name: FlowHash) -> bool {
        self.changes.contains_key(&name)
    }

    /// Whether no more changes can wait.
    pub fn is_full(&self) -> bool {
        self.changes.len() >= CHANGES_MAX
    }

    /// Whether flows of a reading wait.
    pub fn bulk_len(&self) -> usize {
        self.bulk.len()
    }

    /// A change replaces what waits of the same flow; the first one decides when it is due.
    pub fn put(&mut self, due: Instant, name: FlowHash, pending: Pending) {
        let due = self.changes.get(&name).map_or(due, |(first, _)| due.min(*first));
        if let Some((former, _)) = self.changes.insert(name, (due, pending)) {
            self.due.remove(&(former, name));
        }
        self.due.insert((due, name));
    }

    /// Takes back what waits of a flow.
    pub fn withdraw(&mut self, name: FlowHash) -> bool {
        self.bulk.retain(|read| read.name != name);
        let Some((due, _)) = self.changes.remove(&name) else { return false };
        self.due.remove(&(due, name));
        true
    }

    /// Takes back everything.
    pub fn clear(&mut self) {
        *self = Outbox { paced: self.paced, ..Outbox::default() };
    }

    /// Lets a flow of a reading wait.
    pub fn put_bulk(&mut self, read: Read) {
        self.bulk.push_back(read);
    }

    /// The next change that is due and may leave.
    pub fn next_change(&mut self, now: Instant) -> Option<(FlowHash, Pending)> {
        let (due, name) = self.due.first().copied().filter(|(due, _)| *due <= now)?;
        if !self.take_turn(now) {
            return None;
        }
        self.due.remove(&(due, name));
        self.changes.remove(&name).map(|(_, pending)| (name, pending))
    }

    /// The next flow of a reading that may leave.
    pub fn next_bulk(&mut self, now: Instant) -> Option<Read> {
        if self.bulk.is_empty() || !self.take_turn(now) {
            return None;
        }
        self.bulk.pop_front()
    }

    fn take_turn(&mut self, now: Instant) -> bool {
        let free = now.since(self.paced) > Duration::ZERO
            || self.paced.since(now) < MESSAGE_EVERY * (BURST - 1);
        if free {
            self.paced = self.paced.max(now) + MESSAGE_EVERY;
        }
        free
    }

    /// When something may leave.
    pub fn deadline(&self) -> Option<Instant> {
        let due = self.due.first().map(|(due, _)| *due);
        let bulk = (!self.bulk.is_empty()).then_some(Instant::ZERO);
        let turn = self.paced - MESSAGE_EVERY * (BURST / 2);
        earliest(due, bulk).map(|at| at.max(turn))
    }
}
