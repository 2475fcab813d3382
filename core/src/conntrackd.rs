//! One peer that runs Debian's conntrackd: connections of a pair of which one box is ours.
//!
//! ```text
//!   kernel events ─► coalesce ─► outbox ─► session ─► ── wire ── ─► its cache
//!   kernel ◄─ copies with a lease ◄─ session ◄── wire ── ◄─ its kernel's events
//! ```
//!
//! What conntrackd cannot do itself is done on this side. A flow waits once, with its newest state. What
//! is not acknowledged is told again as it is now; where messages are gone for good, everything is told
//! again. The peer never says which of its flows still live, so it is asked for all of them now and then,
//! and a copy that it has not named in two whole answers is not renewed any more. And conntrackd knows no
//! owner of a flow: here the side that serves has the last word. What ends in the table of the other is no
//! news about a flow of ours, and the end of a copy is never told.

use std::time::Duration;

use crate::Machine;
use crate::flow::{Flow, FlowHash, FlowKey, HashKey, State, ValueDigest, tcp};
use crate::replicate::index::{Entry, Index, Stream};
use crate::replicate::{LEASE, STRICT_AFTER, is_open};
use crate::time::{Instant, earliest};
use crate::wire::conntrackd::{self as wire, Body, Change, Control, Messages};

mod outbox;
mod own;
mod pass;
mod receive;
mod session;
#[cfg(test)]
mod tests;

use outbox::{Outbox, Pending, Read};
use pass::{Pass, Rounds};
use session::{Session, What};

pub use outbox::{BURST, CHANGES_MAX, MESSAGE_EVERY};
pub use pass::{ASK_EVERY, ASK_PAUSE};
pub use session::{ACK_AFTER, ACK_WITHIN, ALIVE_EVERY, SENT_MAX, SILENT_AFTER};

/// Messages with flows that may be under way at once: as many as are acknowledged within a second at the
/// worst, and fewer than are kept.
pub const UNDER_WAY_MAX: usize = 8_192;
/// The peer is told that a flow lives at least so many seconds: it hears nothing of packets, and would
/// otherwise forget connections that live.
pub const TOLD_SECONDS: u32 = 600;
/// A flow is told again when the peer would forget it within so many seconds.
pub const TOLD_AGAIN_SECONDS: u32 = 300;

/// Flows of this node.
const OURS: Stream = 0;
/// Flows of the peer.
const THEIRS: Stream = 1;

/// What the peer's configuration calls its mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Messages are acknowledged.
    Ftfw,
    /// They are not.
    Notrack,
}

/// What does not change while the machine lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The mode of both.
    pub mode: Mode,
    /// The number of our first message: the seconds of the day's clock, as conntrackd does it.
    pub first: u32,
    /// The key of names and sums.
    pub key: HashKey,
    /// How long changes of a flow are collected before they are told.
    pub coalesce: Duration,
    /// Flows younger than this are not told.
    pub protect_after: Duration,
    /// How often the kernel's table is read whole.
    pub read_every: Duration,
}

/// A fact for the machine.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Packets have made or changed a flow: this is what it is now.
    Changed(Flow),
    /// The kernel has forgotten a flow, or it is closed.
    Gone(FlowKey),
    /// A datagram of the peer.
    Datagram(Vec<u8>),
    /// Whether this node is active in some group.
    Serving(bool),
    /// A flow of the kernel's table, in answer to [`Effect::Dump`].
    Dumped(Flow),
    /// The table was read to its end, or not (`false`).
    DumpEnded(bool),
    /// A flow was not put into the table: the kernel refused it, or the configuration excludes it.
    Refused(FlowKey),
    /// News of the kernel was lost.
    NewsLost,
    /// An operator wants all flows of the peer to be told again.
    Resync,
}

/// Something for the driver to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Send this datagram to the peer. It may be lost.
    Send(Vec<u8>),
    /// Make the kernel's entry be like this, with the lease as its timeout.
    Put(Flow),
    /// The same, but as new: what the kernel remembers of it is of the past.
    Replace(Flow),
    /// Take it out of the kernel's table.
    Delete(FlowKey),
    /// Give it a whole lease again.
    Renew(FlowKey),
    /// A flow that was taken over: give it the timeout of its protocol and state.
    Restore(Flow),
    /// Check the sequence numbers of a flow that was taken over again.
    Strict(FlowKey),
    /// Look whether the kernel has this flow: [`Input::Changed`] or [`Input::Gone`].
    Look(FlowKey),
    /// Read the kernel's table whole, as fast as [`Conntrackd::wants_more`] allows.
    Dump,
    /// Something to tell.
    Note(Note),
}

/// Something to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// The peer is heard and flows are exchanged, or not any more.
    Open(bool),
    /// The flows of the peer are ours from now on.
    Adopted {
        /// How many.
        flows: usize,
    },
    /// Our flows are the peer's from now on.
    GivenUp {
        /// How many.
        flows: usize,
    },
}

/// What has happened, counted since the machine began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Flows told, also again.
    pub told: u64,
    /// Changes that were too many at once; they are found by reading the table.
    pub deferred: u64,
    /// Flows that were born and closed before they were told.
    pub skipped: u64,
    /// Flows told again because they have not come.
    pub retold: u64,
    /// Flows of ours that conntrackd cannot have: GRE, UDP-Lite, zones of one direction.
    pub untellable: u64,
    /// Messages of the peer that have not come at first.
    pub lost: u64,
    /// Messages of the peer that have come twice or too late.
    pub stale: u64,
    /// Messages of the peer that were refused.
    pub refused: u64,
    /// What the peer says of expected connections, which is not read.
    pub expectations: u64,
    /// What the peer says of flows that are ours.
    pub collided: u64,
    /// Copies that were not put into the table.
    pub not_taken: u64,
    /// Copies that were gone from the table.
    pub divergent: u64,
    /// Flows of ours of which no event had come.
    pub missed: u64,
    /// How often everything was told.
    pub bulks: u64,
    /// How often the peer was asked for everything.
    pub asked: u64,
}

/// How things stand with the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// It is heard, and flows are exchanged.
    pub open: bool,
    /// It was asked for all of its flows and had time to answer.
    pub whole: bool,
    /// It was told all of ours.
    pub has_ours: bool,
    /// Flows that it still has to be told, or has not acknowledged.
    pub backlog: usize,
}

/// The machine.
#[derive(Debug)]
pub struct Conntrackd {
    settings: Settings,
    session: Session,
    outbox: Outbox,
    index: Index,
    pass: Pass,
    rounds: Rounds,
    serving: bool,
    /// Flows were exchanged at the last look.
    open: bool,
    /// Everything is to be told.
    bulk_wanted: bool,
    adopted_at: Option<Instant>,
    counters: Counters,
}

impl Conntrackd {
    /// A machine that knows nothing yet; it reads the kernel's table first.
    pub fn new(settings: Settings, now: Instant) -> Conntrackd {
        Conntrackd {
            session: Session::new(settings.mode, settings.first),
            outbox: Outbox::default(),
            index: Index::default(),
            pass: Pass::new(now),
            rounds: Rounds::default(),
            serving: false,
            open: false,
            bulk_wanted: false,
            adopted_at: None,
            counters: Counters::default(),
            settings,
        }
    }

    /// Whether more of the kernel's table may be read now.
    pub fn wants_more(&self) -> bool {
        self.pass.running && self.outbox.bulk_len() < outbox::BULK_MAX
    }

    /// How many flows are ours.
    pub fn own_flows(&self) -> usize {
        self.index.count(OURS)
    }

    /// How many flows of the peer are kept.
    pub fn copies(&self) -> usize {
        self.index.count(THEIRS)
    }

    /// Whether a flow is ours (`true`) or the peer's, if it is known.
    pub fn is_ours(&self, key: &FlowKey) -> Option<bool> {
        self.index.get(self.settings.key.name(key)).map(|entry| entry.stream == OURS)
    }

    /// How things stand with the peer.
    pub fn standing(&self, now: Instant) -> Standing {
        let backlog = self.outbox.len() + self.session.under_way();
        let open = self.open && self.session.is_open(now);
        let told = !self.bulk_wanted && !self.pass.telling && self.outbox.bulk_len() == 0;
        let whole = open && self.rounds.is_settled(now);
        Standing { open, whole, has_ours: open && told, backlog }
    }

    /// What has happened.
    pub fn counters(&self) -> Counters {
        Counters { lost: self.session.lost, stale: self.session.stale, ..self.counters }
    }

    /// Notices that the peer has come or gone.
    fn look_at_peer(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for what in self.session.take_overdue(now) {
            self.tell_again(now, what);
        }
        if std::mem::take(&mut self.session.began) {
            self.bulk_wanted |= self.own_flows() > 0;
            self.rounds.want(now);
        }
        if std::mem::take(&mut self.session.missed) {
            self.rounds.spoil();
            if self.settings.mode == Mode::Notrack {
                self.rounds.want(now + ASK_PAUSE);
            }
        }
        self.bulk_wanted |= std::mem::take(&mut self.session.overrun);
        let open = self.session.is_open(now);
        if open == self.open {
            return;
        }
        self.open = open;
        out.push(Effect::Note(Note::Open(open)));
        if open {
            self.bulk_wanted |= self.own_flows() > 0;
            self.rounds.want(now);
            return;
        }
        for what in self.session.take_unacknowledged() {
            self.tell_again(now, what);
        }
        if self.serving && !self.session.is_alive(now) {
            self.adopt(now, out);
        }
    }

    /// Sends what is due and may leave.
    fn flush(&mut self, now: Instant, out: &mut Vec<Effect>) {
        while self.may_send()
            && let Some((name, pending)) = self.outbox.next_change(now)
        {
            let change = match (pending.gone, self.index.get(name)) {
                (true, _) => Change::Gone,
                (false, Some(entry)) if entry.number > 0 => Change::Update,
                (false, _) => Change::New,
            };
            self.send(now, change, name, pending, out);
        }
        while self.may_send()
            && let Some(Read { name, flow, known }) = self.outbox.next_bulk(now)
        {
            // What has changed since it was read waits for its own turn, or was told already.
            let told = |entry: Entry| (entry.stream, entry.number, entry.digest);
            if self.index.get(name).map(told) == known.map(told) && !self.outbox.has(name) {
                self.send(now, Change::New, name, flow, out);
            }
        }
    }

    fn may_send(&self) -> bool {
        self.open && self.session.under_way() < UNDER_WAY_MAX
    }

    fn send(
        &mut self,
        now: Instant,
        change: Change,
        name: FlowHash,
        pending: Pending,
        out: &mut Vec<Effect>,
    ) {
        self.counters.told += 1;
        let Pending { digest, bytes, until, .. } = pending;
        if change == Change::Gone {
            self.index.remove(name);
        } else {
            self.own(name, digest, until);
        }
        self.session.say(now, What::Flow { change, name, digest, bytes }, out);
    }
}

impl Machine for Conntrackd {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Changed(flow) => self.changed(now, &flow),
            Input::Gone(key) => self.closed(now, self.settings.key.name(&key), &key),
            Input::Datagram(bytes) => self.take_datagram(now, &bytes, out),
            Input::Serving(serving) => self.serve(now, serving, out),
            Input::Dumped(flow) => self.take_dumped(now, &flow, out),
            Input::DumpEnded(whole) => self.end_pass(now, whole),
            Input::Refused(key) => {
                self.counters.not_taken += 1;
                let name = self.settings.key.name(&key);
                if self.index.get(name).is_some_and(|entry| entry.stream == THEIRS) {
                    self.index.remove(name);
                }
            }
            Input::NewsLost => self.pass.want(now),
            Input::Resync => self.rounds.want(now),
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.look_at_peer(now, out);
        self.ask(now, out);
        self.begin_pass(now, out);
        self.flush(now, out);
        self.session.tick(now, out);
        self.session.flush(out);
    }

    fn deadline(&self) -> Option<Instant> {
        let silent = self.session.heard_at().filter(|_| self.open).map(|at| at + SILENT_AFTER);
        let waiting = self.outbox.deadline().filter(|_| self.may_send());
        let rounds = self.rounds.deadline().filter(|_| self.open);
        let pass = self.pass.deadline(self.bulk_wanted && self.open);
        let moments = [silent, waiting, rounds, pass];
        moments.into_iter().fold(self.session.deadline(), earliest)
    }
}

/// Seconds since the epoch of time.
fn seconds(now: Instant) -> u32 {
    u32::try_from(now.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
}

/// Whether sequence numbers of a TCP flow can be checked: the kernel knows the scale of both windows.
fn has_scales(flow: &Flow) -> bool {
    let scaled = |flags: &u8| flags & tcp::FLAG_WINDOW_SCALE != 0;
    matches!(flow.state, State::Tcp { flags, .. } if flags.iter().all(scaled))
}
