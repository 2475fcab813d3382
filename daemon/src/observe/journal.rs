//! The newest events in memory, numbered from 1: what `evergate events` reads and follows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evergate_api::control::Event;
use evergate_api::status::Status;

use super::draft::EventDraft;
use crate::wall_clock::WallClock;

/// How many events are kept.
pub const EVENTS_KEPT: usize = 1024;
/// Of how many groups the number of the last handover is kept.
const HANDOVERS_KEPT: usize = 1024;
/// How long [`Journal::finish`] waits at most.
const FINISH_WITHIN: Duration = Duration::from_millis(500);

/// A bounded ring of events that threads read and wait on.
#[derive(Debug)]
pub struct Journal {
    node: String,
    newest: AtomicU64,
    kept: Mutex<Kept>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<Event>>,
    handovers: BTreeMap<String, u64>,
    closed: bool,
}

impl Journal {
    /// An empty journal of the node with this name.
    pub fn new(node: &str) -> Self {
        Journal {
            node: node.to_owned(),
            newest: AtomicU64::new(0),
            kept: Mutex::default(),
            more: Condvar::new(),
        }
    }

    /// Numbers an event, keeps it, and wakes whoever waits; the oldest one goes if there is no room.
    pub fn push(&self, draft: EventDraft, clock: &WallClock) -> u64 {
        let time = clock.rfc3339(draft.at);
        let mut kept = self.lock();
        let seq = self.newest() + 1;
        if draft.event == "handover"
            && let Some(group) = &draft.group
        {
            kept.remember_handover(group, seq);
        }
        if kept.events.len() == EVENTS_KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(Arc::new(Event {
            seq,
            time,
            node: self.node.clone(),
            group: draft.group,
            event: draft.event.to_owned(),
            from: draft.from,
            to: draft.to,
            reason: draft.reason.map(str::to_owned),
            phases_ms: draft.phases_ms.map(|phases| *phases),
            text: draft.text,
        }));
        self.newest.store(seq, Ordering::Release);
        drop(kept);
        self.more.notify_all();
        seq
    }

    /// The number of the newest event, 0 if there is none; never waits.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// The events after a number, and how many of those are no longer kept.
    pub fn after(&self, seq: u64) -> (Vec<Arc<Event>>, u64) {
        let kept = self.lock();
        let oldest = kept.events.front().map_or(self.newest() + 1, |event| event.seq);
        let lost = oldest.saturating_sub(seq.saturating_add(1));
        let events = kept.events.iter().filter(|event| event.seq > seq).cloned().collect();
        (events, lost)
    }

    /// Waits until there is an event after `after`, the journal is closed, or time is up; says
    /// whether there is one.
    pub fn wait(&self, after: u64, timeout: Duration) -> bool {
        let kept = self.lock();
        let idle = |kept: &mut Kept| self.newest() <= after && !kept.closed;
        drop(self.more.wait_timeout_while(kept, timeout, idle));
        self.newest() > after
    }

    /// No further event will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    /// Whether no further event will come.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until the journal is closed, half a second at most.
    pub(super) fn finish(&self) {
        let kept = self.lock();
        drop(self.more.wait_timeout_while(kept, FINISH_WITHIN, |kept| !kept.closed));
    }

    /// Puts the numbers of events into a status: `seq`, which must have been read before the status
    /// was made so that nobody misses an event after it, and those of the last handovers.
    pub fn number(&self, status: &mut Status, seq: u64) {
        status.seq = seq;
        let kept = self.lock();
        for group in &mut status.groups {
            if let Some(handover) = &mut group.last_handover {
                handover.seq = kept.handovers.get(&group.name).copied().unwrap_or(0);
            }
        }
    }

    /// Nothing under the lock can panic half-way, so what a dead thread left is sound.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remember_handover(&mut self, group: &str, seq: u64) {
        self.handovers.insert(group.to_owned(), seq);
        if self.handovers.len() > HANDOVERS_KEPT {
            let oldest = self.handovers.iter().min_by_key(|(_, seq)| **seq);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.handovers.remove(&name);
            }
        }
    }
}
