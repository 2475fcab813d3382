//! One memory for all nodes: every connection of an active node is in the tables of the others
//! before it is needed.
//!
//! ```text
//!   kernel events ─► coalesce ─► packets ─► ── wire ── ─► window ─► kernel of the standby
//!                                   ▲                       │
//!                                   └── acknowledgements ◄──┘      what was lost is told anew
//!
//!   kernel's table ─► index ─► sums ─► ── wire ── ─► compare ─► ask for what differs
//! ```
//!
//! What travels are flows with their newest state, never a log of changes. A packet that is lost is
//! never sent again: those of its flows that have not been told anew since are told as they are. The
//! flow itself is kept by the kernels alone; here stands a short sum of each ([`index`]), by which
//! tables are compared, and packets that nobody has acknowledged yet.
//!
//! A flow belongs to the node whose kernel sees its packets. Only the owner says that it is gone.
//! When a node takes over, the flows of the other become its own ([`Effect::Restore`]).

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::Machine;
use crate::flow::{Flow, FlowHash, FlowKey, HashKey, State, ValueDigest, status, tcp};
use crate::ident::{Incarnation, NodeId};
use crate::time::{Instant, earliest};
use crate::wire::flow as flow_bytes;
use crate::wire::names::Names;
use crate::wire::replica::{BODY_MAX, BucketSet};

mod compare;
mod ended;
pub mod inbox;
pub mod index;
mod offer;
mod owners;
mod receive;
mod renumber;
mod repair;
mod send;
#[cfg(test)]
mod tests;
mod window;

use compare::Pass;
use ended::Ended;
use index::{Index, Stream, mark};
use receive::Incoming;
pub use renumber::Reconfigured;
use send::{Outbox, Reader};

/// How long a flow stays in the table of a standby without being renewed. The owner's word renews
/// it, long before.
pub const LEASE: Duration = Duration::from_secs(600);
/// How long after a takeover sequence numbers of flows without packets are checked again.
pub const STRICT_AFTER: Duration = Duration::from_secs(10);
/// How often the owner tells the sums of its flows.
pub const SUMS_EVERY: Duration = Duration::from_secs(1);
/// How soon a new reader is told them: it must have heard of this process first.
pub const SUMS_SOON: Duration = Duration::from_millis(100);
/// How often the kernel's table is read whole, where that takes no longer than a hundredth of it. Events
/// tell nearly all there is; and a reading stops the other work of its processor for some milliseconds,
/// because the kernel walks its whole table at once. Leases need it, see [`LEASE`].
pub const PASS_EVERY: Duration = Duration::from_secs(120);
/// A pass that takes long makes the pause before the next one so many times as long.
pub const PASS_SHARE: u32 = 100;

/// What does not change while the machine lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node.
    pub me: NodeId,
    /// The process whose packets these are.
    pub incarnation: Incarnation,
    /// The key of the sums; the same on all nodes.
    pub key: HashKey,
    /// The names of nodes.
    pub names: Names,
    /// How long changes of a flow are collected before they are told.
    pub coalesce: Duration,
    /// Flows younger than this are not told.
    pub protect_after: Duration,
    /// How often the kernel's table is read whole: [`PASS_EVERY`].
    pub read_every: Duration,
}

/// What two machines of a process differ in: the rest is the same on all nodes.
impl Hash for Settings {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.me, self.incarnation).hash(state);
    }
}

/// A fact for the machine.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Packets have made or changed a flow: this is what it is now.
    Changed(Flow),
    /// The kernel has forgotten a flow, or it is closed.
    Gone(FlowKey),
    /// A sealed datagram has come, of the process that counts.
    Packet {
        /// Who has sent it.
        from: NodeId,
        /// Of which process.
        incarnation: Incarnation,
        /// Its body.
        body: Vec<u8>,
    },
    /// What is known of the peers; those that are not named are dead.
    Peers(Vec<Sight>),
    /// Whether this node is active in some group.
    Serving(bool),
    /// Whether a group is being handed over, from this node or to it: changes are not collected then.
    HandingOver(bool),
    /// This node has let a group go and serves others: flows of which nothing is seen from now on may
    /// have gone with it.
    Released,
    /// A flow of the kernel's table, in answer to [`Effect::Dump`].
    Dumped(Flow),
    /// The table was read to its end, or not (`false`).
    DumpEnded(bool),
    /// The kernel did not take a flow.
    Refused(FlowKey),
    /// News of the kernel was lost.
    NewsLost,
    /// A new configuration.
    Reconfigured(Box<Reconfigured>),
    /// An operator wants all flows of a peer to be told again.
    Resync(NodeId),
}

/// What is known of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sight {
    /// Who it is.
    pub node: NodeId,
    /// Its process that counts.
    pub incarnation: Incarnation,
    /// Whether it is active in some group.
    pub serves: bool,
}

/// Something for the driver to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Send this body to all peers, sealed. It may be lost.
    Send(Vec<u8>),
    /// Make the kernel's entry be like this, with the lease as its timeout.
    Put(Flow),
    /// The same, unless the kernel has it already. Tell what it has then, as [`Input::Changed`].
    Add(Flow),
    /// The same as [`Effect::Put`], but as new: what the kernel remembers of it is of the past.
    Replace(Flow),
    /// Take it out of the kernel's table.
    Delete(FlowKey),
    /// Give it a whole lease again.
    Renew(FlowKey),
    /// A flow that was taken over: give it the timeout of its protocol and state.
    Restore(Flow),
    /// Check the sequence numbers of a flow that was taken over again.
    Strict(FlowKey),
    /// Do not check the sequence numbers of a flow any more: its packets may take another way for a while.
    Lenient(FlowKey),
    /// Read the kernel's table whole, as fast as [`Replicator::wants_more`] allows.
    Dump,
    /// Something to tell.
    Note(Note),
}

/// Something to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// The copy of a peer's flows is whole, or is not any more.
    Synced {
        /// The peer.
        node: NodeId,
        /// Whether it is whole.
        synced: bool,
    },
    /// The flows of a peer are ours from now on.
    Adopted {
        /// The former owner.
        from: NodeId,
        /// How many.
        flows: usize,
    },
    /// The kernel's table was not what it should be; it is being repaired.
    Divergent {
        /// How many flows differ.
        flows: usize,
    },
}

/// What has happened, counted since the machine began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Flows told, also again.
    pub told: u64,
    /// Changes that were too many at once; they were found by reading the table.
    pub deferred: u64,
    /// Flows that were born and closed before they were told.
    pub skipped: u64,
    /// Flows told again because a packet was lost.
    pub retold: u64,
    /// Packets that a peer has not acknowledged in time.
    pub lost: u64,
    /// Flows that came after a newer state of them.
    pub stale: u64,
    /// Flows of a peer that are ours already.
    pub collided: u64,
    /// Packets that were refused: decoded wrongly, or of another process.
    pub refused: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Flows that the kernel did not take.
    pub not_taken: u64,
    /// Flows that differed from what was told, found by reading the kernel's table.
    pub divergent: u64,
    /// Flows of ours of which no event had come.
    pub missed: u64,
}

/// Has no part in what a machine will do: two that differ in it alone are in the same state.
impl Hash for Counters {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// How a peer's copy of our flows stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// It is whole, by the peer's own word.
    pub whole: bool,
    /// Flows that the peer has not confirmed.
    pub backlog: usize,
    /// For how long it lacks something: since the oldest packet that it has not confirmed was sent, or the
    /// oldest change was due. Confirmations come together, up to 20 ms later. `None` where the
    /// peer's protocol does not tell.
    pub lag: Option<Duration>,
}

/// The machine. Its hash is that of its state: equal ones do the same from then on.
#[derive(Clone, Hash, Debug)]
pub struct Replicator {
    settings: Settings,
    index: Index,
    outbox: Outbox,
    /// Who reads our stream, by node.
    readers: BTreeMap<NodeId, Reader>,
    /// The streams that we read, by node.
    incoming: BTreeMap<NodeId, Incoming>,
    sights: Vec<Sight>,
    serving: bool,
    pass: Pass,
    sums_at: Instant,
    adopted_at: Option<Instant>,
    /// We have served, and nobody has taken our flows over yet.
    has_served: bool,
    divergent: usize,
    /// Some copies were our own flows before and are not replaced yet: the number of the pass that ends
    /// this.
    aged: Option<u64>,
    /// What a former process of ours has left in the table was compared with a server's whole word.
    tidy: bool,
    /// Who has said that our flows are its own, while we still serve, and in which of its packets.
    successor: Option<(NodeId, u64)>,
    /// Flows that have ended of late.
    ended: Ended,
    /// What has happened.
    pub counters: Counters,
}

impl Replicator {
    /// A machine that knows nothing yet; it reads the kernel's table first.
    pub fn new(settings: Settings, now: Instant) -> Replicator {
        Replicator {
            outbox: Outbox::new(),
            index: Index::default(),
            readers: BTreeMap::new(),
            incoming: BTreeMap::new(),
            sights: Vec::new(),
            serving: false,
            pass: Pass::new(now),
            sums_at: now,
            adopted_at: None,
            has_served: false,
            divergent: 0,
            aged: None,
            tidy: false,
            successor: None,
            ended: Ended::default(),
            counters: Counters::default(),
            settings,
        }
    }

    /// Whether more of the kernel's table may be read now.
    pub fn wants_more(&self) -> bool {
        self.pass.is_running() && !self.outbox.is_congested(&self.readers)
    }

    /// How many flows are ours.
    pub fn own_flows(&self) -> usize {
        self.index.count(self.stream())
    }

    /// How many flows of others are kept.
    pub fn replicas(&self) -> usize {
        self.index.len() - self.own_flows()
    }

    /// Whether our copy of a peer's flows is whole.
    pub fn is_synced_with(&self, node: NodeId) -> bool {
        self.incoming.get(&node).is_some_and(|incoming| incoming.synced) && self.aged.is_none()
    }

    /// How a peer's copy of our flows stands; `None` of a peer that is not heard.
    pub fn progress(&self, node: NodeId, now: Instant) -> Option<Progress> {
        let reader = self.readers.get(&node)?;
        Some(Progress {
            whole: reader.synced && !reader.broken,
            backlog: self.outbox.backlog(node),
            lag: Some(self.outbox.lag(node, now)),
        })
    }

    /// When our copy of a peer's flows was last found equal.
    pub fn verified_at(&self, node: NodeId) -> Option<Instant> {
        self.incoming.get(&node).and_then(|incoming| incoming.verified_at)
    }

    /// Flows of the kernel's table that are not what their owner told, and are not repaired yet.
    pub fn divergent(&self) -> usize {
        self.divergent
    }

    /// What is known of a flow: its owner.
    pub fn owner(&self, key: &FlowKey) -> Option<NodeId> {
        let entry = self.index.get(self.settings.key.name(key))?;
        Some(NodeId(u16::from(entry.stream)))
    }

    /// Our own stream.
    fn stream(&self) -> Stream {
        stream_of(self.settings.me)
    }

    fn sight(&self, node: NodeId) -> Option<Sight> {
        self.sights.iter().find(|sight| sight.node == node).copied()
    }

    /// A flow as the kernel has it now.
    fn changed(&mut self, now: Instant, flow: &Flow) {
        let name = self.settings.key.name(&flow.key);
        if !is_open(flow) {
            return self.closed(now, name, &flow.key);
        }
        let digest = self.settings.key.value(flow);
        let known = self.index.get(name);
        if let Some(entry) = known.filter(|e| e.stream != self.stream() && !self.serving) {
            // A copy that somebody has changed here.
            if entry.digest != digest && self.spoil(name) {
                self.counters.divergent += 1;
                self.divergent += 1;
            }
            return;
        }
        match known {
            Some(entry) if entry.stream != self.stream() => self.move_here(now),
            Some(entry) => self.index.set_marks(name, entry.marks & !mark::LOOSE),
            None => {}
        }
        self.pass.spare(name);
        let same = known.is_some_and(|e| e.stream == self.stream() && e.digest == digest);
        if same && !self.outbox.has(name) {
            return;
        }
        let mut bytes = Vec::with_capacity(64);
        if encode(flow, &mut bytes) {
            let wait = match known {
                Some(_) => self.settings.coalesce,
                None => self.settings.coalesce.max(self.settings.protect_after),
            };
            self.change(now, wait, name, send::Change::Flow { bytes, digest });
        }
    }

    /// Lets a change wait; where too many wait, the table is read instead.
    fn change(&mut self, now: Instant, wait: Duration, name: FlowHash, change: send::Change) {
        if self.outbox.is_full() && !self.outbox.has(name) {
            self.counters.deferred += 1;
            return self.pass.want_after_rest(now + send::DEFERRED_FOR);
        }
        let due = match wait {
            Duration::ZERO => now,
            wait => together(now + wait + send::TOGETHER / 2),
        };
        self.outbox.change(due, name, change);
    }

    /// A flow that the kernel has forgotten, or that is closed.
    fn closed(&mut self, now: Instant, name: FlowHash, key: &FlowKey) {
        self.outbox.forget_read(name);
        if self.serving {
            self.ended.insert(name, None);
        }
        let known = self.index.get(name);
        match known.map(|entry| entry.stream == self.stream()) {
            None => {
                if self.outbox.withdraw(name) {
                    self.counters.skipped += 1;
                }
            }
            Some(true) => {
                let mut bytes = Vec::with_capacity(24);
                if flow_bytes::encode_key(key, &mut bytes) {
                    let loose = known.is_some_and(|entry| entry.marks & mark::LOOSE != 0);
                    let gone = send::Change::Gone { bytes, loose };
                    self.change(now, self.settings.coalesce, name, gone);
                }
            }
            // Our copy of another's flow is gone.
            Some(false) => {
                if self.spoil(name) {
                    self.counters.divergent += 1;
                    self.divergent += 1;
                }
            }
        }
    }

    /// A copy is not what its owner has told: the sums show it, and it is asked for again. Its number
    /// stays, so that an older state that comes late is not taken instead. `false` if this was known.
    fn spoil(&mut self, name: FlowHash) -> bool {
        let Some(entry) = self.index.get(name).filter(|e| e.digest != SPOILED) else {
            return false;
        };
        self.index.put(name, index::Entry { digest: SPOILED, ..entry });
        true
    }
}

impl Machine for Replicator {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Changed(flow) => self.changed(now, &flow),
            Input::Gone(key) => {
                let name = self.settings.key.name(&key);
                self.closed(now, name, &key);
            }
            Input::Packet { from, incarnation, body } => {
                self.take_packet(now, from, incarnation, &body, out);
            }
            Input::Peers(sights) => self.take_sights(now, sights, out),
            Input::Serving(serving) => {
                if serving && !self.serving {
                    self.pass.spare_all();
                    // What began while we did not hear of it is found by reading, when former servers have had
                    // their say.
                    self.pass.want_soon(now + STRICT_AFTER);
                } else if !serving && self.serving {
                    self.has_served = true;
                    self.doubt_all(out);
                }
                self.serving = serving;
                self.ended.serve(serving);
                self.adopt(now, out);
                if !serving && let Some((successor, number)) = self.successor.take() {
                    // It may have said so long ago, and serve no more.
                    if self.serves(stream_of(successor)) {
                        self.take_adopted(now, successor, number, self.settings.me, out);
                    }
                }
            }
            Input::HandingOver(urgent) => self.outbox.set_urgent(urgent),
            Input::Released => self.loosen(now),
            Input::Dumped(flow) => self.take_dumped(now, &flow, out),
            Input::DumpEnded(whole) => self.end_pass(now, whole, out),
            Input::Refused(key) => {
                self.counters.not_taken += 1;
                let name = self.settings.key.name(&key);
                if self.index.get(name).is_some_and(|e| e.stream != self.stream()) {
                    self.spoil(name);
                }
            }
            Input::NewsLost => self.pass.want_after_rest(now),
            Input::Reconfigured(new) => self.reconfigure(now, *new),
            Input::Resync(node) => self.ask_for_all(now, node, out),
        }
        self.flush(now, out);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.find_lost(now);
        self.tell_sums(now);
        self.flush(now, out);
        self.acknowledge(now, out);
        self.ask_again(now, out);
        self.doubt_silent(now, out);
        self.begin_pass(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        let incoming = self.incoming.values().filter_map(Incoming::deadline).min();
        let moments = [
            self.outbox.deadline(&self.readers),
            incoming,
            Some(self.sums_at),
            self.pass.deadline(),
        ];
        moments.into_iter().fold(None, earliest)
    }
}

/// Whether a flow is worth telling: a TCP connection that is established and not closed on both
/// sides; any flow of another protocol. Before that, clients try again by themselves.
pub fn is_open(flow: &Flow) -> bool {
    match flow.state {
        State::Tcp { state, .. } => (tcp::ESTABLISHED..=tcp::LAST_ACK).contains(&state),
        State::None | State::Sctp { .. } | State::Dccp { .. } => true,
    }
}

/// The beginning of the span of [`send::TOGETHER`] in which a moment lies.
fn together(moment: Instant) -> Instant {
    let span = u64::try_from(send::TOGETHER.as_nanos()).unwrap_or(1);
    Instant::from_nanos(moment.as_nanos() / span * span)
}

/// Appends a flow as peers shall have it: an open TCP connection is answered and assured, whether its
/// second packet has come or not.
fn encode(flow: &Flow, out: &mut Vec<u8>) -> bool {
    let both = status::SEEN_REPLY | status::ASSURED;
    if matches!(flow.state, State::Tcp { .. }) && flow.status & both != both {
        let flow = Flow { status: flow.status | both, ..flow.clone() };
        return flow_bytes::encode(&flow, out);
    }
    flow_bytes::encode(flow, out)
}

/// The stream of a node.
fn stream_of(node: NodeId) -> Stream {
    Stream::try_from(node.0).unwrap_or(Stream::MAX)
}

/// The sum of a copy that differs from what its owner has told, or is not in the kernel's table.
const SPOILED: ValueDigest = ValueDigest(0);
/// The room for values in a body.
const ROOM: usize = BODY_MAX;
/// Buckets that somebody wants to be told.
type Wanted = BucketSet;
