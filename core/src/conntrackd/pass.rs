//! Whole readings of the kernel's table, and whole answers of the peer.

use std::time::Duration;

use super::{
    Conntrackd, Effect, LEASE, Mode, OURS, Read, STRICT_AFTER, THEIRS, TOLD_AGAIN_SECONDS, What,
    has_scales, is_open, seconds,
};
use crate::flow::{Flow, FlowHash};
use crate::replicate::index::{Entry, mark};
use crate::time::Instant;
use crate::wire::conntrackd::Control;

/// How often the peer is asked for all of its flows.
pub const ASK_EVERY: Duration = Duration::from_secs(600);
/// The pause before it is asked because something is missing: more may be, and it may be busy.
pub const ASK_PAUSE: Duration = Duration::from_secs(2);
/// Everything is told again after this pause at the earliest, however often somebody asks.
const BULK_PAUSE: Duration = Duration::from_millis(500);
/// An answer has come after this long; nothing in it says so.
const ANSWERED_AFTER: Duration = Duration::from_secs(1);

/// A reading of the kernel's table.
#[derive(Debug)]
pub(super) struct Pass {
    pub running: bool,
    /// What is read is told.
    pub telling: bool,
    /// What [`mark::SEEN`] is for flows that the newest pass has seen.
    pub seen: u8,
    due: Instant,
    began: Instant,
    /// When everything may be told again.
    bulk_at: Instant,
}

impl Pass {
    pub fn new(now: Instant) -> Pass {
        Pass { running: false, telling: false, seen: 0, due: now, began: now, bulk_at: now }
    }

    /// A pass is to begin at this moment at the latest.
    pub fn want(&mut self, at: Instant) {
        self.due = self.due.min(at);
    }

    /// When the next one is due; `bulk`: everything is to be told.
    pub fn deadline(&self, bulk: bool) -> Option<Instant> {
        let due = if bulk { self.due.min(self.bulk_at) } else { self.due };
        (!self.running).then_some(due)
    }
}

/// What the peer was asked for.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// The number of the question that was asked last, from 1.
    number: u32,
    asked_at: Option<Instant>,
    due: Option<Instant>,
    /// So many flows have come since.
    answers: usize,
    /// Messages have not come since.
    spoiled: bool,
    /// The last two questions with a whole answer, the older first.
    whole: [u32; 2],
}

impl Rounds {
    /// The number of the present round: what is named now, is named in it.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// It is to be asked at this moment at the latest, but not too often.
    pub fn want(&mut self, at: Instant) {
        let at = self.asked_at.map_or(at, |asked| at.max(asked + ASK_PAUSE));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// A flow has come.
    pub fn note_answer(&mut self) {
        self.answers += 1;
    }

    /// Messages have not come: what was not named may live all the same.
    pub fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Whether a copy that was last named in a round is to be kept.
    fn keeps(&self, named: u32) -> bool {
        named >= self.whole[0]
    }

    /// Whether the peer was asked and had time to answer.
    pub fn is_settled(&self, now: Instant) -> bool {
        self.asked_at.is_some_and(|asked| now >= asked + ANSWERED_AFTER)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// `copies`: how many there are. An answer that does not name half of them is taken for none.
    fn begin(&mut self, now: Instant, copies: usize) {
        if self.answers > 0 && self.answers * 2 >= copies && !self.spoiled {
            self.whole = [self.whole[1], self.number];
        }
        self.number += 1;
        (self.answers, self.spoiled) = (0, false);
        self.asked_at = Some(now);
        self.due = Some(now + ASK_EVERY);
    }
}

impl Conntrackd {
    /// Asks the peer for all of its flows, where it is time.
    pub(super) fn ask(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.open && self.rounds.deadline().is_some_and(|due| due <= now) {
            self.rounds.begin(now, self.index.count(THEIRS));
            // Without acknowledgements the peer may lack what nobody knows of.
            self.bulk_wanted |= self.settings.mode == Mode::Notrack && self.own_flows() > 0;
            self.counters.asked += 1;
            self.session.say(now, What::Control(Control::Resync), out);
        }
    }

    /// Begins to read the kernel's table, where it is time.
    pub(super) fn begin_pass(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let tells = self.bulk_wanted && self.open && self.pass.bulk_at <= now;
        if self.pass.running || !tells && self.pass.due > now {
            return;
        }
        if tells {
            self.bulk_wanted = false;
            self.counters.bulks += 1;
        }
        let seen = self.pass.seen ^ mark::SEEN;
        let due = now + self.settings.read_every;
        let bulk_at = if tells { now + BULK_PAUSE } else { self.pass.bulk_at };
        self.pass = Pass { running: true, telling: tells, seen, due, began: now, bulk_at };
        out.push(Effect::Dump);
    }

    /// A flow of the kernel's table.
    pub(super) fn take_dumped(&mut self, now: Instant, flow: &Flow, out: &mut Vec<Effect>) {
        if !is_open(flow) {
            return;
        }
        let name = self.settings.key.name(&flow.key);
        match self.index.get(name) {
            Some(entry) if entry.stream == THEIRS => self.see_copy(name, entry, flow, out),
            Some(entry) => self.see_own(now, name, entry, flow, out),
            // Who serves sees packets of all that is alive.
            None if self.serving => {
                self.counters.missed += u64::from(!self.pass.telling);
                self.tell(now + self.settings.protect_after, now, name, flow);
            }
            None => {}
        }
    }

    fn see_copy(&mut self, name: FlowHash, entry: Entry, flow: &Flow, out: &mut Vec<Effect>) {
        // Nobody else can see its packets while the peer is not there: what the kernel knows stands.
        let renewed = if self.open { mark::AGED } else { 0 };
        let marks = entry.marks & !(mark::SEEN | renewed) | self.pass.seen;
        self.index.put(name, Entry { marks, ..entry });
        let left = Duration::from_secs(u64::from(flow.timeout));
        if entry.marks & renewed != 0 {
            out.push(Effect::Replace(flow.clone()));
        } else if self.rounds.keeps(entry.number) && (left > LEASE || left < LEASE / 2) {
            out.push(Effect::Renew(flow.key));
        }
    }

    fn see_own(
        &mut self,
        now: Instant,
        name: FlowHash,
        entry: Entry,
        flow: &Flow,
        out: &mut Vec<Effect>,
    ) {
        let mut marks = entry.marks & !mark::SEEN | self.pass.seen;
        if marks & mark::LEASED != 0 {
            marks &= !mark::LEASED;
            out.push(Effect::Restore(flow.clone()));
        }
        if marks & mark::LIBERAL != 0 && self.adopted_at.is_none_or(|at| now >= at + STRICT_AFTER) {
            marks &= !mark::LIBERAL;
            if has_scales(flow) {
                out.push(Effect::Strict(flow.key));
            }
        }
        let entry = Entry { marks, ..entry };
        self.index.put(name, entry);
        if self.outbox.has(name) {
            return;
        }
        if self.pass.telling {
            if let Some(told) = self.pending(now, flow) {
                self.outbox.put_bulk(Read { name, flow: told, known: Some(entry) });
            }
        } else if entry.digest != self.settings.key.value(flow)
            || entry.number < seconds(now).saturating_add(TOLD_AGAIN_SECONDS)
        {
            self.tell(now, now, name, flow);
        }
    }

    /// The table was read.
    pub(super) fn end_pass(&mut self, now: Instant, whole: bool) {
        let tells = std::mem::take(&mut self.pass.telling);
        self.pass.running = false;
        if !whole {
            self.bulk_wanted |= tells;
            return;
        }
        let (seen, mut missed, mut differ) = (self.pass.seen, 0, 0);
        self.index.walk(|_, entry| {
            if entry.marks & mark::SEEN == seen {
                return Some(entry);
            }
            if entry.stream == OURS {
                missed += 1
            } else {
                differ += 1
            }
            None
        });
        self.counters.missed += missed;
        self.counters.divergent += differ;
        if differ > 0 {
            self.rounds.want(now + ASK_PAUSE);
        }
        if let Some(at) = self.adopted_at {
            // Once more when sequence numbers may be checked again.
            match self.pass.began < at + STRICT_AFTER {
                true => self.pass.want(at + STRICT_AFTER),
                false => self.adopted_at = None,
            }
        }
    }
}
