//! One world: nodes, wire, kernels, and what may happen next.
//!
//! Time is virtual. It goes on only when nothing is due: packets that have arrived, deadlines that
//! have come, kernels that answer. Three walkers drive it: [`crate::walk::random`],
//! [`crate::walk::exhaustive`] and [`crate::walk::replay`].
mod fault;
mod host;
mod kernel;
mod life;
mod truth;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use evergate_core::effect::{Effect, Note};
use evergate_core::heartbeat::Role;
use evergate_core::ident::{GroupId, Incarnation, InterfaceId, NodeId, PathId, RouterId};
use evergate_core::input::{Input, Received, Refused};
use evergate_core::{Instant, Machine};
use serde::Serialize;

pub use host::{
    CORE_STARTS, CRASH_WINDOW, CRASHES_MAX, DAEMON_STARTS, GUARDIAN_STARTS, Host, KEEP_FOR,
    LONELY_WAIT, Orphan, SWEEP_AFTER,
};
pub use kernel::{Call, Kernel};
pub use wire::{Flight, NEVER, Packet, Wire};

use crate::choice::Choice;
use crate::dice::Dice;
use crate::laws::{Laws, Violation};
use crate::setup::{GROUPS_MAX, SEGMENTS_MAX, Setup, source};
use crate::walk::Budgets;

/// How many packets are remembered for replays.
pub const RECORDS_MAX: usize = 32;
/// So many things in a row without time going on are a machine that turns in circles.
pub const BUSY_MAX: usize = 100_000;
/// Every so many heartbeats of a process one is remembered, and the first.
const RECORD_EVERY: u64 = 61;
/// The kernel's refusal: "device or resource busy".
const BUSY: Refused = Refused { errno: 16 };

/// A packet of the past.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Record {
    /// Who sent it.
    pub from: usize,
    /// On which segment.
    pub segment: usize,
    /// The nodes that it has reached, one bit each: only to them it is the past.
    pub heard_by: u8,
    /// The packet.
    pub packet: Packet,
}

/// A segment that loses packets for a while.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Lossy {
    /// How many of a hundred.
    pub percent: u64,
    /// Until then.
    pub until: Instant,
}

/// What was counted on the way. Not part of the state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Facts and deadlines that machines have worked on, and answers of kernels.
    pub steps: u64,
    /// Faults, without single packets lost by chance.
    pub faults: u64,
    /// Packets lost by chance.
    pub lost: u64,
    /// How often a group became active somewhere.
    pub takeovers: u64,
}

/// Nodes, wire and kernels, at one moment.
#[derive(Clone, Debug)]
pub struct World {
    /// The time.
    pub now: Instant,
    /// The plan.
    pub setup: Arc<Setup>,
    /// The machines.
    pub hosts: Vec<Host>,
    /// The packets in flight.
    pub wire: Wire,
    /// What segments carry nothing: by segment, sender and receiver.
    pub blocked: [[u8; crate::setup::NODES_MAX]; SEGMENTS_MAX],
    /// Which segments filter VRRP.
    pub filtered: [bool; SEGMENTS_MAX],
    /// Where the host that answers probes is there.
    pub neighbour: [bool; SEGMENTS_MAX],
    /// Which segments lose packets.
    pub lossy: [Lossy; SEGMENTS_MAX],
    /// Packets of the past.
    pub records: VecDeque<Record>,
    /// What may still go wrong, in an exhaustive walk.
    pub budgets: Option<Budgets>,
    /// The laws and what they remember.
    pub laws: Laws,
    /// The last fault, or the last consequence of one.
    pub disturbed: Instant,
    /// The nodes that faults have touched since the laws last looked, one bit each.
    pub touched: u8,
    /// Entries into Active since the last disturbance, by group.
    pub entries: [u32; GROUPS_MAX],
    /// A replay has changed something.
    pub replay_changed: bool,
    /// What was counted.
    pub tally: Tally,
    /// If wanted, what happens in words, for people who follow a trace.
    pub journal: Option<Vec<String>>,
    dice: Dice,
    out: Vec<Effect>,
}

impl World {
    /// A world in which every machine has just started its daemon.
    pub fn new(setup: Setup, laws: Laws) -> World {
        let nodes = setup.nodes;
        let wire = Wire::new(nodes, setup.segments.len());
        let mut neighbour = [false; SEGMENTS_MAX];
        neighbour[..setup.segments.len()].fill(setup.neighbours);
        let mut world = World {
            now: Instant::ZERO + EPOCH,
            hosts: vec![Host::new(); nodes],
            wire,
            blocked: Default::default(),
            filtered: Default::default(),
            neighbour,
            lossy: Default::default(),
            records: VecDeque::new(),
            budgets: None,
            laws,
            disturbed: Instant::ZERO + EPOCH,
            touched: 0,
            entries: Default::default(),
            replay_changed: false,
            tally: Tally::default(),
            journal: None,
            dice: Dice::new(setup.seed),
            out: Vec::new(),
            setup: Arc::new(setup),
        };
        (0..nodes).for_each(|node| world.start(node, [false; GROUPS_MAX]));
        world
    }

    /// What happens next if nobody interferes: the earliest event, packets before deadlines.
    pub fn natural(&self) -> (Instant, Choice) {
        let (at, flow) = self.wire.next();
        let mut first = (at, Choice::Deliver { flow });
        for (node, host) in self.hosts.iter().enumerate() {
            if host.due < first.0 {
                first = (host.due, Choice::Host { node });
            }
        }
        for (node, host) in self.hosts.iter().enumerate() {
            if host.deadline < first.0 {
                first = (host.deadline, Choice::Tick { node });
            }
        }
        first
    }

    /// Everything that may happen next, for a walk that tries it all: what is due in any order, and
    /// the faults that the budgets leave. Time goes on only when nothing is due.
    pub fn choices(&self, choices: &mut Vec<Choice>) {
        let in_turn = self.budgets.as_ref().is_some_and(|budgets| budgets.in_turn);
        for node in 0..self.hosts.len() {
            self.offer_due(node, choices);
            if in_turn && !choices.is_empty() {
                break;
            }
        }
        if choices.is_empty() && self.natural().0 < NEVER {
            choices.push(Choice::Advance);
        }
        if let Some(budgets) = &self.budgets {
            budgets.offer(self, choices);
        }
    }

    /// What is due at one node: packets that have arrived, its kernel, its own deadline.
    fn offer_due(&self, node: usize, choices: &mut Vec<Choice>) {
        for from in 0..=self.hosts.len() {
            for segment in 0..self.setup.segments.len() {
                let flow = self.wire.flow(from, node, segment);
                if self.wire.due(flow) <= self.now {
                    choices.push(Choice::Deliver { flow });
                }
            }
        }
        let host = &self.hosts[node];
        if host.due <= self.now {
            choices.push(Choice::Host { node });
        }
        if host.deadline <= self.now {
            choices.push(Choice::Tick { node });
        }
    }

    /// Lets one thing happen. A choice that makes no sense any more does nothing, so that a trace
    /// from which entries were deleted is still a trace.
    pub fn apply(&mut self, choice: Choice) -> Result<(), Violation> {
        match choice {
            Choice::Deliver { flow } => self.deliver(flow),
            Choice::Tick { node } => return self.tick(node),
            Choice::Host { node } => {
                self.host_due(node);
                return self.look();
            }
            Choice::Advance => self.now = self.now.max(self.natural().0),
            Choice::Run { micros } => return self.run(Duration::from_micros(micros)),
            Choice::Fault(fault) => {
                let at = self.now.since(Instant::ZERO + EPOCH).as_secs_f64();
                if let Some(journal) = &mut self.journal {
                    journal.push(format!("{at:.6} {fault:?}"));
                }
                self.suffer(fault);
                return self.look();
            }
        }
        Ok(())
    }

    /// Lets everything that is due happen in its order, for a while.
    pub fn run(&mut self, span: Duration) -> Result<(), Violation> {
        let end = self.now + span;
        let mut busy = 0;
        loop {
            let (at, choice) = self.natural();
            if at > end {
                break;
            }
            busy = if at > self.now { 0 } else { busy + 1 };
            if busy > BUSY_MAX {
                return Err(self.laws.stuck(self, choice));
            }
            self.now = self.now.max(at);
            self.apply(choice)?;
        }
        self.now = end;
        self.look()
    }

    /// Asks every law.
    pub fn look(&mut self) -> Result<(), Violation> {
        let mut laws = std::mem::take(&mut self.laws);
        let found = laws.look(self);
        self.laws = laws;
        self.touched = 0;
        found
    }

    fn tick(&mut self, node: usize) -> Result<(), Violation> {
        let Some(host) = self.hosts.get_mut(node).filter(|host| host.runs()) else {
            return Ok(());
        };
        let Some(actor) = &mut host.core else { return Ok(()) };
        let mut out = std::mem::take(&mut self.out);
        actor.tick(self.now, &mut out);
        self.carry_out(node, &mut out);
        self.out = out;
        self.look()
    }

    fn deliver(&mut self, flow: usize) {
        let Some(packet) = self.wire.take(flow) else { return };
        let (from, to, segment) = self.wire.ends(flow);
        if self.hosts[to].hears_on(segment) {
            self.note_heard(from, to, &packet);
            let input = self.opened(from, segment, packet);
            self.feed(to, input);
        }
    }

    /// What the receiver's driver makes of a packet.
    fn opened(&self, from: usize, segment: usize, packet: Packet) -> Input {
        match packet {
            Packet::Heartbeat { incarnation, sequence, stamp, body } => {
                let (path, from) = (PathId::at(segment), NodeId::at(from));
                Input::Heartbeat(Received { path, from, incarnation, sequence, stamp, body })
            }
            Packet::Advert { group, router, source, priority } => Input::Advert {
                group: GroupId(group),
                router: RouterId(router),
                source,
                priority,
                interval: Duration::from_micros(self.setup.advert_us),
            },
            Packet::Will { incarnation } => Input::Will { from: NodeId::at(from), incarnation },
            Packet::Answer => Input::Heard { interface: InterfaceId::at(segment), answered: true },
        }
    }

    /// Hands a fact to the core of a node, now or when it runs again.
    pub(crate) fn feed(&mut self, node: usize, input: Input) {
        let host = &mut self.hosts[node];
        let Some(actor) = &mut host.core else { return };
        if host.frozen.is_some() {
            // Packets are lost in a full socket; whatever else is lost is read anew in the end.
            let packet = matches!(input, Input::Heartbeat(_) | Input::Advert { .. });
            if !packet || host.inbox.len() < host::INBOX_MAX {
                host.inbox.push_back(input);
            }
            return;
        }
        let mut out = std::mem::take(&mut self.out);
        actor.handle(self.now, input, &mut out);
        self.carry_out(node, &mut out);
        self.out = out;
    }

    /// Does what a node has decided.
    fn carry_out(&mut self, node: usize, out: &mut Vec<Effect>) {
        self.tally.steps += 1;
        self.write_journal(node, out);
        let mut stopped = false;
        for effect in out.drain(..) {
            match effect {
                Effect::Heartbeat { paths, body } => {
                    for path in paths.iter() {
                        self.send_heartbeat(node, path.index(), &body);
                    }
                }
                Effect::Advertise { group, router, priority } => {
                    self.send_advert(node, group, router, priority);
                }
                Effect::Own { group, lease, serial } => {
                    let took = Duration::from_micros(self.setup.kernel_us);
                    let call =
                        Call { group: group.index(), lease, serial, at: self.now, slow: false };
                    if self.hosts[node].kernel.call(self.now, took, call) {
                        self.touched |= 1 << node;
                        self.disturb(node);
                    }
                }
                Effect::Probe(interface) => self.probe(node, interface.index()),
                Effect::Note(Note::Role { group, to: Role::Active, .. }) => {
                    self.entries[group.index()] += u32::from(self.now >= self.disturbed);
                    self.tally.takeovers += 1;
                }
                Effect::Stopped => stopped = true,
                Effect::Note(_)
                | Effect::Announce { .. }
                | Effect::Answer { .. }
                | Effect::Configured => {}
            }
        }
        if stopped {
            self.ended(node);
        }
        self.hosts[node].refresh();
    }

    fn write_journal(&mut self, node: usize, out: &[Effect]) {
        let at = self.now.since(Instant::ZERO + EPOCH).as_secs_f64();
        let Some(journal) = &mut self.journal else { return };
        let loud =
            |effect: &&Effect| !matches!(effect, Effect::Heartbeat { .. } | Effect::Probe(_));
        for effect in out.iter().filter(loud) {
            journal.push(format!("{at:.6} node {node}: {effect:?}"));
        }
    }

    fn send_heartbeat(
        &mut self,
        node: usize,
        segment: usize,
        body: &Arc<evergate_core::heartbeat::Heartbeat>,
    ) {
        let host = &mut self.hosts[node];
        let sequence = host.sequences.last_mut().map_or(1, |sent| {
            *sent += 1;
            *sent
        });
        let incarnation = host.incarnation;
        let packet = Packet::Heartbeat {
            incarnation,
            sequence,
            stamp: stamp(self.now),
            body: Arc::clone(body),
        };
        if is_recorded(sequence) {
            self.record(node, segment, &packet);
        }
        self.broadcast(node, segment, packet);
    }

    fn send_advert(&mut self, node: usize, group: GroupId, router: RouterId, priority: u8) {
        let plan = &self.setup.groups[group.index()];
        let segment = plan.routers[router.index()];
        if self.filtered[segment] {
            return;
        }
        let (group, router, source) = (group.0, router.0, source(node, segment));
        self.broadcast(node, segment, Packet::Advert { group, router, source, priority });
    }

    /// Sends a packet to everybody else on a segment.
    pub(crate) fn broadcast(&mut self, from: usize, segment: usize, packet: Packet) {
        if !self.hosts[from].sends_on(segment) {
            return;
        }
        for to in (0..self.hosts.len()).filter(|to| *to != from) {
            if self.blocked[segment][from] >> to & 1 == 0 {
                self.send(from, to, segment, packet.clone());
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, segment: usize, packet: Packet) {
        let lossy = self.lossy[segment];
        if lossy.until > self.now && self.dice.chance(lossy.percent) {
            self.tally.lost += 1;
            return;
        }
        let jitter = self.dice.below(self.setup.jitter_us + 1);
        let at = self.now + Duration::from_micros(self.setup.latency_us + jitter);
        let flow = self.wire.flow(from, to, segment);
        self.wire.send(flow, at, packet);
    }

    fn probe(&mut self, node: usize, segment: usize) {
        if self.neighbour[segment] && self.hosts[node].sends_on(segment) {
            self.send(self.hosts.len(), node, segment, Packet::Answer);
        }
    }

    /// Notes that a remembered packet has reached a node.
    fn note_heard(&mut self, from: usize, to: usize, packet: &Packet) {
        let Packet::Heartbeat { incarnation, sequence, .. } = packet else { return };
        if !is_recorded(*sequence) {
            return;
        }
        let same = |record: &&mut Record| {
            record.from == from
                && matches!(&record.packet, Packet::Heartbeat { incarnation: i, sequence: s, .. }
                    if i == incarnation && s == sequence)
        };
        if let Some(record) = self.records.iter_mut().find(same) {
            record.heard_by |= 1 << to;
        }
    }

    fn record(&mut self, from: usize, segment: usize, packet: &Packet) {
        if self.budgets.as_ref().is_some_and(|budgets| budgets.replays == 0) {
            return;
        }
        if self.records.len() == RECORDS_MAX {
            self.records.pop_front();
        }
        self.records.push_back(Record { from, segment, heard_by: 0, packet: packet.clone() });
    }
}

fn is_recorded(sequence: u64) -> bool {
    sequence == 1 || sequence.is_multiple_of(RECORD_EVERY)
}

/// When worlds begin: far enough from zero that no age reaches back before it.
pub const EPOCH: Duration = Duration::from_secs(1_000);

/// The stamp that a heartbeat carries: microseconds, wrapping.
#[allow(clippy::cast_possible_truncation, reason = "the stamp wraps by design")]
fn stamp(now: Instant) -> u32 {
    (now.as_nanos() / 1_000) as u32
}

/// A fresh process of a node.
fn incarnation(node: usize, birth: u16) -> Incarnation {
    let mut bits = [0; 16];
    bits[0] = u8::try_from(node).unwrap_or(u8::MAX);
    bits[1..3].copy_from_slice(&birth.to_be_bytes());
    Incarnation(bits)
}
