//! Two nodes, a wire and two kernels, with everything under the control of a test.
#![allow(dead_code, reason = "each file of tests uses its part")]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use evergate_core::config::{
    Conduct, Config, Failback, GroupConfig, NodeConfig, PathConfig, PathKind, RouterConfig, Version,
};
use evergate_core::effect::{Cause, Note};
use evergate_core::fault::Fault;
use evergate_core::group::Group;
use evergate_core::heartbeat::{Heartbeat, Hold, Outcome, Role};
use evergate_core::ident::{
    Family, GroupId, Incarnation, InterfaceId, NodeId, PathId, Priority, Vrid,
};
use evergate_core::input::{Command, Interface, Received, Refused};
use evergate_core::wire::heartbeat::{decode, encode};
use evergate_core::wire::names::Names;
use evergate_core::{Effect, Input, Instant, Machine, Node};

pub const MS: Duration = Duration::from_millis(1);
/// The first group.
pub const GATEWAY: GroupId = GroupId(0);
/// A kernel that is as slow as this does not answer at all.
pub const NEVER: Duration = Duration::MAX;
/// So many things at one moment are a machine that turns in circles.
const BUSY_MAX: usize = 1_000;

pub fn config(me: u16) -> Config {
    let path = |name: &str, interface: u16, kind| PathConfig {
        name: name.into(),
        kind,
        interface: InterfaceId(interface),
        full_rate: true,
    };
    Config {
        me: NodeId(me),
        nodes: ["gw1", "gw2"].map(node).into(),
        heartbeat: 10 * MS,
        interfaces: ["lan", "wan", "sync"].map(String::from).into(),
        paths: vec![
            path("router:gateway/lan", 0, PathKind::Router),
            path("router:gateway/wan", 1, PathKind::Router),
            path("link:sync", 2, PathKind::Link),
        ],
        groups: vec![group("gateway", 51)],
        checks: Vec::new(),
        digest: 1,
    }
}

pub fn node(name: &str) -> NodeConfig {
    NodeConfig { name: name.into(), foreign: false }
}

/// A group with a router on `lan` and one on `wan`, preferred on the first node.
pub fn group(name: &str, vrid: u8) -> GroupConfig {
    let router = |interface: u16, vrid: u8| RouterConfig {
        id: format!("{name}/{interface}/ipv4"),
        interface: InterfaceId(interface),
        path: Some(PathId(interface)),
        family: Family::V4,
        vrid: Vrid::new(vrid),
        version: Version::V3,
        addresses: vec![(Ipv4Addr::new(10, 91, 0, vrid).into(), 24)],
        unicast_peers: Vec::new(),
    };
    GroupConfig {
        name: name.into(),
        priorities: vec![Priority::new(200), Priority::new(100)],
        failback: Failback::After(Duration::ZERO),
        advert: Duration::from_secs(1),
        conduct: Conduct::default(),
        track: Vec::new(),
        routers: vec![router(0, vrid), router(1, vrid + 1)],
    }
}

/// The address of a host on the segment of an interface.
pub fn address(interface: u16, host: usize) -> IpAddr {
    let small = |number: usize| u8::try_from(number).expect("a small lab");
    Ipv4Addr::new(10, 91 + small(interface.into()), 0, small(host)).into()
}

/// An answer of a kernel that is under way.
struct Answer {
    at: Instant,
    node: usize,
    input: Input,
    holds: Option<bool>,
}

/// Both nodes, the time, and what they have said.
pub struct Pair {
    pub now: Instant,
    pub nodes: [Option<Node>; 2],
    pub sequences: [u64; 2],
    pub holds: [bool; 2],
    /// How many more releases the kernel refuses.
    pub refusals: [usize; 2],
    /// How many more grants the kernel refuses.
    pub rejects: [usize; 2],
    /// How long the kernel takes to answer what it is asked now.
    pub slow: [Duration; 2],
    pub notes: Vec<(usize, Note)>,
    pub answers: Vec<Outcome>,
    pub deaf: [bool; 2],
    /// Whose questions to the neighbours on its segments get no answer.
    pub unanswered: [bool; 2],
    pub stopped: [bool; 2],
    kernels: Vec<Answer>,
    wire: VecDeque<(usize, Input)>,
}

impl Pair {
    pub fn new() -> Self {
        Pair::with([config(0), config(1)])
    }

    pub fn with(configs: [Config; 2]) -> Self {
        let mut pair = Pair {
            now: Instant::from_nanos(1_000_000_000),
            nodes: [None, None],
            sequences: [0; 2],
            holds: [false; 2],
            refusals: [0; 2],
            rejects: [0; 2],
            slow: [Duration::ZERO; 2],
            notes: Vec::new(),
            answers: Vec::new(),
            deaf: [false; 2],
            unanswered: [false; 2],
            stopped: [false; 2],
            kernels: Vec::new(),
            wire: VecDeque::new(),
        };
        let [one, other] = configs;
        pair.boot_with(one, 0, 1, Vec::new());
        pair.boot_with(other, 1, 2, Vec::new());
        pair
    }

    pub fn settled() -> Self {
        Pair::settled_with([config(0), config(1)])
    }

    pub fn settled_with(configs: [Config; 2]) -> Self {
        let mut pair = Pair::with(configs);
        pair.run(6000 * MS);
        assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
        pair.notes.clear();
        pair
    }

    pub fn boot(&mut self, at: usize, incarnation: u8, adopted: Vec<GroupId>) {
        let id = u16::try_from(at).expect("two nodes");
        self.boot_with(config(id), at, incarnation, adopted);
    }

    pub fn boot_with(&mut self, config: Config, at: usize, incarnation: u8, adopted: Vec<GroupId>) {
        self.nodes[at] = Some(Node::new(config, Incarnation([incarnation; 16]), self.now));
        self.sequences[at] = 0;
        for interface in 0..3 {
            self.link(at, interface, true);
        }
        self.feed(at, Input::Start { adopted, locked: Vec::new() });
    }

    /// Gives a node another configuration.
    pub fn reload(&mut self, at: usize, config: Config) {
        self.feed(at, Input::Configure { config: Box::new(config) });
    }

    pub fn link(&mut self, at: usize, interface: u16, running: bool) {
        let IpAddr::V4(source) = address(interface, at + 2) else { return };
        let source_v4 = Some(source);
        let state =
            Interface { present: true, running, carrier: running, source_v4, source_v6: None };
        self.feed(at, Input::Interface(InterfaceId(interface), state));
    }

    /// An operator on a node wants the first group on `to`, by that node's numbers.
    pub fn switchover(&mut self, at: usize, to: u16) {
        let within = Duration::from_secs(10);
        let (to, hold) = (Some(NodeId(to)), Hold::Open);
        let command = Command::Switchover { token: 1, group: GATEWAY, to, within, hold };
        self.feed(at, Input::Command(command));
    }

    pub fn failback(&mut self, at: usize) {
        let within = Duration::from_secs(10);
        self.feed(at, Input::Command(Command::Failback { token: 2, group: GATEWAY, within }));
    }

    /// Tells a node a fact, and everybody what follows from it, in order.
    pub fn feed(&mut self, at: usize, input: Input) {
        self.wire.push_back((at, input));
        self.deliver();
    }

    pub fn deliver(&mut self) {
        while let Some((at, input)) = self.wire.pop_front() {
            let mut out = Vec::new();
            let Some(node) = &mut self.nodes[at] else { continue };
            node.handle(self.now, input, &mut out);
            self.carry_out(at, out);
        }
    }

    pub fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Heartbeat { paths, body } => {
                    for path in paths.iter() {
                        self.sequences[at] += 1;
                        if let Some(received) = self.opened(at, path, &body) {
                            self.wire.push_back((1 - at, Input::Heartbeat(received)));
                        }
                    }
                }
                Effect::Advertise { group, router, priority } => {
                    let source = address(router.0, at + 2);
                    let interval = Duration::from_secs(1);
                    if let Some(group) = self.there(at, group) {
                        let advert = Input::Advert { group, router, source, priority, interval };
                        self.wire.push_back((1 - at, advert));
                    }
                }
                Effect::Own { group, lease, serial } => self.own(at, group, lease, serial),
                Effect::Probe(interface) if !self.unanswered[at] => {
                    self.wire.push_back((at, Input::Heard { interface, answered: true }));
                }
                Effect::Answer { outcome, .. } => self.answers.push(outcome),
                Effect::Note(note) => self.notes.push((at, note)),
                Effect::Stopped => self.stopped[at] = true,
                Effect::Announce { .. } | Effect::Configured | Effect::Probe(_) => {}
            }
        }
    }

    /// A heartbeat as the other node opens it, with its own numbers.
    fn opened(&self, at: usize, path: PathId, body: &Arc<Heartbeat>) -> Option<Received> {
        let (Some(sender), Some(receiver)) = (&self.nodes[at], &self.nodes[1 - at]) else {
            return None;
        };
        if self.deaf[1 - at] {
            return None;
        }
        let (ours, theirs) = (sender.config(), receiver.config());
        let there = theirs.paths.iter().position(|p| p.name == ours.paths[path.index()].name)?;
        let name = ours.name(ours.me);
        let from = theirs.nodes.iter().position(|node| node.name == name)?;
        Some(Received {
            path: PathId::at(there),
            from: NodeId::at(from),
            incarnation: sender.incarnation(),
            sequence: self.sequences[at],
            stamp: 0,
            body: translated(ours, theirs, body),
        })
    }

    /// A group as the other node numbers it, if that node hears us.
    fn there(&self, at: usize, group: GroupId) -> Option<GroupId> {
        let (ours, theirs) = (self.nodes[at].as_ref()?, self.nodes[1 - at].as_ref()?);
        let name = &ours.config().groups[group.index()].name;
        let position = theirs.config().groups.iter().position(|group| group.name == *name)?;
        (!self.deaf[1 - at]).then_some(GroupId::at(position))
    }

    /// Asks the kernel of a node.
    fn own(&mut self, at: usize, group: GroupId, lease: Option<Duration>, serial: u32) {
        let left = if lease.is_none() { &mut self.refusals } else { &mut self.rejects };
        let refused = left[at] > 0;
        left[at] = left[at].saturating_sub(1);
        let result = if refused { Err(Refused { errno: 16 }) } else { Ok(()) };
        let input = Input::Owned { group, serial, result };
        let holds = (!refused).then_some(lease.is_some());
        let last = self.kernels.iter().filter(|answer| answer.node == at).map(|a| a.at).max();
        if last.is_none() && self.slow[at].is_zero() {
            self.holds[at] = holds.unwrap_or(self.holds[at]);
            return self.wire.push_back((at, input));
        }
        let after = last.map_or(self.now, |last| last.max(self.now)) + self.slow[at];
        self.kernels.push(Answer { at: after, node: at, input, holds });
    }

    /// The kernels forget what they were asked and obey again.
    pub fn mend_kernels(&mut self) {
        self.kernels.clear();
        self.slow = [Duration::ZERO; 2];
    }

    fn answer(&mut self) {
        while let Some(position) = self.kernels.iter().position(|answer| answer.at <= self.now) {
            let Answer { node, input, holds, .. } = self.kernels.remove(position);
            self.holds[node] = holds.unwrap_or(self.holds[node]);
            self.feed(node, input);
        }
    }

    /// Lets time pass, from deadline to deadline.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut busy = 0;
        loop {
            let due = |node: &Option<Node>| node.as_ref().and_then(Machine::deadline);
            let machines = self.nodes.iter().filter_map(due);
            let next = machines.chain(self.kernels.iter().map(|answer| answer.at)).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            busy = if next > self.now { 0 } else { busy + 1 };
            assert!(busy < BUSY_MAX, "time does not go on");
            self.now = self.now.max(next);
            self.answer();
            for at in 0..2 {
                let mut out = Vec::new();
                if let Some(node) = &mut self.nodes[at] {
                    node.tick(self.now, &mut out);
                }
                self.carry_out(at, out);
            }
            self.deliver();
        }
        self.now = end;
    }

    /// The first group of a node.
    pub fn group(&self, at: usize) -> &Group {
        &self.nodes[at].as_ref().expect("it runs").groups()[0]
    }

    pub fn roles(&self) -> [Role; 2] {
        [0, 1].map(|at| self.nodes[at].as_ref().map_or(Role::Init, |n| n.groups()[0].role()))
    }

    pub fn transitions(&self) -> usize {
        let role = |(_, note): &&(usize, Note)| matches!(note, Note::Role { to: Role::Active, .. });
        self.notes.iter().filter(role).count()
    }

    pub fn took_over(&self, at: usize) -> Option<(Cause, Duration)> {
        self.notes.iter().find_map(|(node, note)| match note {
            Note::TookOver { cause, detect, .. } if *node == at => Some((*cause, *detect)),
            _ => None,
        })
    }

    /// Whether a node has had a reason for fault since the notes were cleared.
    pub fn had(&self, at: usize, wanted: Fault) -> bool {
        self.notes.iter().any(|(node, note)| {
            matches!(note, Note::Fault { fault, present: true, .. } if *fault == wanted)
                && *node == at
        })
    }
}

/// A body that was written with one configuration's names and read with another's.
fn translated(ours: &Config, theirs: &Config, body: &Arc<Heartbeat>) -> Arc<Heartbeat> {
    let names = |config: &Config| Names::of(config).expect("no two names collide");
    let (ours, theirs) = (names(ours), names(theirs));
    if ours == theirs {
        return Arc::clone(body);
    }
    let mut bytes = Vec::new();
    encode(body, &ours, &mut bytes);
    Arc::new(decode(&bytes, &theirs).expect("what we write can be read"))
}
