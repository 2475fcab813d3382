//! Whose a flow is, and what of ours is to be told.

use super::pass::ASK_PAUSE;
use super::{
    Change, Conntrackd, Effect, Flow, FlowHash, FlowKey, Instant, Note, OURS, Pending, THEIRS,
    TOLD_SECONDS, ValueDigest, What, is_open, seconds, wire,
};
use crate::replicate::index::{Entry, mark};

impl Conntrackd {
    /// A flow as the kernel has it now.
    pub(super) fn changed(&mut self, now: Instant, flow: &Flow) {
        let name = self.settings.key.name(&flow.key);
        if !is_open(flow) {
            return self.closed(now, name, &flow.key);
        }
        let known = self.index.get(name);
        // A copy: the peer knows better.
        if known.is_some_and(|entry| entry.stream == THEIRS) && !self.serving {
            return;
        }
        let digest = self.settings.key.value(flow);
        let same = known.is_some_and(|entry| entry.stream == OURS && entry.digest == digest);
        if same && !self.outbox.has(name) {
            return;
        }
        let wait = match known {
            Some(_) => self.settings.coalesce,
            None => self.settings.coalesce.max(self.settings.protect_after),
        };
        self.tell(now + wait, now, name, flow);
    }

    /// Lets the state of a flow of ours wait to be told.
    pub(super) fn tell(&mut self, due: Instant, now: Instant, name: FlowHash, flow: &Flow) {
        let Some(pending) = self.pending(now, flow) else { return };
        if self.open && (!self.outbox.is_full() || self.outbox.has(name)) {
            return self.outbox.put(due, name, pending);
        }
        // Nobody listens, or too much waits: all is told later, and an end that waits is none any more.
        self.outbox.withdraw(name);
        self.counters.deferred += u64::from(self.open);
        self.bulk_wanted = true;
        self.own(name, pending.digest, 0);
    }

    /// A flow as the peer is told of it.
    pub(super) fn pending(&mut self, now: Instant, flow: &Flow) -> Option<Pending> {
        let timeout = flow.timeout.max(TOLD_SECONDS);
        let digest = self.settings.key.value(flow);
        let mut bytes = Vec::with_capacity(128);
        if !wire::encode(&Flow { timeout, ..flow.clone() }, &mut bytes) {
            self.counters.untellable += 1;
            return None;
        }
        let until = seconds(now).saturating_add(timeout);
        Some(Pending { gone: false, digest, bytes, until })
    }

    /// A flow is ours; the peer keeps it up to a second, 0 if it was not told.
    pub(super) fn own(&mut self, name: FlowHash, digest: ValueDigest, until: u32) {
        let known = self.index.get(name).filter(|entry| entry.stream == OURS);
        let marks = known.map_or(0, |entry| entry.marks) & !mark::SEEN | self.pass.seen;
        self.index.put(name, Entry { digest, number: until, stream: OURS, marks });
    }

    /// A flow that the kernel has forgotten, or that is closed.
    pub(super) fn closed(&mut self, now: Instant, name: FlowHash, key: &FlowKey) {
        match self.index.get(name).map(|entry| entry.stream) {
            None => {
                self.counters.skipped += u64::from(self.outbox.withdraw(name));
            }
            Some(OURS) => {
                self.outbox.withdraw(name);
                let mut bytes = Vec::with_capacity(40);
                if !wire::encode_key(key, &mut bytes) || self.outbox.is_full() {
                    self.index.remove(name);
                    return;
                }
                let digest = ValueDigest(0);
                let gone = Pending { gone: true, digest, bytes, until: 0 };
                self.outbox.put(now + self.settings.coalesce, name, gone);
            }
            // The end of a copy is nobody's news: while the peer has it, it is to be here again.
            Some(_) => {
                self.index.remove(name);
                self.counters.divergent += 1;
                self.rounds.want(now + ASK_PAUSE);
            }
        }
    }

    /// Whether this node serves has changed.
    pub(super) fn serve(&mut self, now: Instant, serving: bool, out: &mut Vec<Effect>) {
        if serving == self.serving {
            return;
        }
        self.serving = serving;
        if serving {
            self.adopt(now, out);
            self.pass.want(now);
            self.bulk_wanted = true;
        } else {
            self.give_up(now, out);
        }
    }

    /// The copies are ours: the peer has let go, or is dead.
    pub(super) fn adopt(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let flows = self.copies();
        if flows == 0 {
            return;
        }
        self.index.walk(|_, entry| {
            let taken = mark::LEASED | mark::LIBERAL;
            let marks = (entry.marks | taken) & !mark::AGED;
            let adopted = Entry { stream: OURS, number: 0, marks, ..entry };
            Some(if entry.stream == THEIRS { adopted } else { entry })
        });
        self.adopted_at = Some(now);
        self.bulk_wanted = true;
        self.pass.want(now);
        out.push(Effect::Note(Note::Adopted { flows }));
    }

    /// Our flows are the peer's: it has taken over. What it says of them from now on counts.
    pub(super) fn give_up(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let flows = self.own_flows();
        self.outbox.clear();
        self.bulk_wanted = false;
        let round = self.rounds.number();
        self.index.walk(|_, entry| {
            // Our kernel has seen packets and will not see the next ones.
            let marks = entry.marks & !(mark::LEASED | mark::LIBERAL) | mark::AGED;
            let given = Entry { stream: THEIRS, number: round, marks, ..entry };
            Some(if entry.stream == OURS { given } else { entry })
        });
        self.adopted_at = None;
        self.pass.want(now);
        self.rounds.want(now + ASK_PAUSE);
        if flows > 0 {
            out.push(Effect::Note(Note::GivenUp { flows }));
        }
    }

    /// A message has not come, as far as we know: what it said is told again, unless it is not so any more.
    pub(super) fn tell_again(&mut self, now: Instant, what: What) {
        let What::Flow { change, name, digest, bytes } = what else {
            return;
        };
        let known = self.index.get(name).filter(|entry| entry.stream == OURS);
        let is_so = match change {
            Change::Gone => known.is_none(),
            Change::New | Change::Update => known.is_some_and(|entry| entry.digest == digest),
        };
        if is_so && !self.outbox.has(name) && !self.outbox.is_full() {
            self.counters.retold += 1;
            let gone = change == Change::Gone;
            let until = known.map_or(0, |entry| entry.number);
            self.outbox.put(now, name, Pending { gone, digest, bytes, until });
        }
    }
}
