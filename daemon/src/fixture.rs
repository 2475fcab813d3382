//! Two nodes in memory for tests: no loss, no delay, a kernel that obeys at once.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use evergate_core::check::{CheckConfig, Source, Tracked};
use evergate_core::config::{
    Conduct, Config, Failback, GroupConfig, NodeConfig, PathConfig, PathKind, RouterConfig, Version,
};
use evergate_core::effect::Note;
use evergate_core::heartbeat::Hold;
use evergate_core::ident::{
    CheckId, Family, GroupId, Incarnation, InterfaceId, NodeId, PathId, Priority, RouterId, Vrid,
};
use evergate_core::input::{Command, Interface, Received};
use evergate_core::{Effect, Input, Instant, Machine, Node};

use crate::facts::Facts;
use crate::wall_clock::WallClock;

/// One millisecond.
pub const MS: Duration = Duration::from_millis(1);
/// The only group.
pub const GATEWAY: GroupId = GroupId(0);
/// Interfaces and paths: lan, wan, sync.
pub const INTERFACES: u16 = 3;

/// The configuration of two nodes, as node `me` sees it.
pub fn config(me: u16) -> Config {
    let router = |name: &str, interface: u16, vrid: u8| RouterConfig {
        id: format!("gateway/{name}/ipv4"),
        interface: InterfaceId(interface),
        path: Some(PathId(interface)),
        family: Family::V4,
        vrid: Vrid::new(vrid),
        version: Version::V3,
        addresses: vec![(Ipv4Addr::new(10, vrid + 40, 0, 1).into(), 24)],
        unicast_peers: Vec::new(),
    };
    let path = |name: &str, interface: u16, kind| PathConfig {
        name: name.into(),
        kind,
        interface: InterfaceId(interface),
        full_rate: true,
    };
    Config {
        me: NodeId(me),
        nodes: ["gw1", "gw2"].map(|name| NodeConfig { name: name.into(), foreign: false }).into(),
        heartbeat: 10 * MS,
        interfaces: ["lan", "wan", "sync"].map(String::from).into(),
        paths: vec![
            path("router:gateway/lan", 0, PathKind::Router),
            path("router:gateway/wan", 1, PathKind::Router),
            path("link:sync", 2, PathKind::Link),
        ],
        groups: vec![GroupConfig {
            name: "gateway".into(),
            priorities: vec![Priority::new(200), Priority::new(100)],
            failback: Failback::After(Duration::ZERO),
            advert: Duration::from_secs(1),
            conduct: Conduct::default(),
            track: Vec::new(),
            routers: vec![router("lan", 0, 51), router("wan", 1, 52)],
        }],
        checks: Vec::new(),
        digest: 1,
    }
}

/// The same with a check that the group tracks, with a weight or as a fault.
pub fn tracking(me: u16, weight: Option<i16>) -> Config {
    let mut config = config(me);
    config.checks.push(CheckConfig {
        name: "web".into(),
        test: "exec:/usr/local/bin/check-web".into(),
        source: Source::Told,
        rise: 1,
        fall: 2,
        fails_first: false,
        invert: false,
    });
    config.groups[0].track.push(Tracked { check: CheckId(0), weight });
    config
}

/// The configuration of one node with nobody else, or with one of another make.
pub fn alone(foreign: bool) -> Config {
    let mut config = config(0);
    config.nodes.truncate(if foreign { 2 } else { 1 });
    config.groups[0].priorities.truncate(1);
    if foreign {
        config.nodes[1].foreign = true;
        config.groups[0].priorities.push(None);
    }
    config.paths.clear();
    config.groups[0].routers.iter_mut().for_each(|router| router.path = None);
    config
}

/// Nodes, the time, and what was said.
pub struct World {
    pub now: Instant,
    pub nodes: Vec<Option<Node>>,
    pub facts: Vec<Facts>,
    pub notes: Vec<(usize, Note)>,
    /// Heartbeats and adverts that a node no longer hears.
    pub deaf: [bool; 2],
    /// Paths that carry nothing.
    pub cut: Vec<PathId>,
    /// Protocol 112 passes nowhere.
    pub no_adverts: bool,
    sequences: [u64; 2],
    wire: VecDeque<(usize, Input)>,
}

impl World {
    /// Nodes that have just started.
    pub fn start(configs: Vec<Config>) -> Self {
        let mut world = World {
            now: Instant::from_nanos(1_000_000_000),
            nodes: Vec::new(),
            facts: vec![facts(); configs.len()],
            notes: Vec::new(),
            deaf: [false; 2],
            cut: Vec::new(),
            no_adverts: false,
            sequences: [0; 2],
            wire: VecDeque::new(),
        };
        for (at, config) in configs.into_iter().enumerate() {
            let incarnation = Incarnation([u8::try_from(at).unwrap() + 1; 16]);
            world.nodes.push(Some(Node::new(config, incarnation, world.now)));
            for interface in 0..INTERFACES {
                world.link(at, interface, true);
            }
            world.feed(at, Input::Start { adopted: Vec::new(), locked: Vec::new() });
        }
        world
    }

    /// A pair of which gw1 is active and gw2 stands ready.
    pub fn settled() -> Self {
        let mut world = World::start(vec![config(0), config(1)]);
        world.run(6000 * MS);
        world.notes.clear();
        world
    }

    /// A node that lives.
    pub fn node(&self, at: usize) -> &Node {
        self.nodes[at].as_ref().unwrap()
    }

    /// The clock: the fixture's epoch is 2026-01-01.
    pub fn clock(&self) -> WallClock {
        WallClock::new(Instant::ZERO, 1_767_225_600_000_000_000)
    }

    /// Sets the carrier of an interface.
    pub fn link(&mut self, at: usize, interface: u16, running: bool) {
        let host = u8::try_from(at).unwrap() + 2;
        let network = 91 + u8::try_from(interface).unwrap();
        let source_v4 = Some(Ipv4Addr::new(10, network, 0, host));
        let state =
            Interface { present: true, running, carrier: running, source_v4, source_v6: None };
        self.feed(at, Input::Interface(InterfaceId(interface), state));
    }

    /// An operator's switchover away from gw1.
    pub fn switchover(&mut self) {
        let within = Duration::from_secs(10);
        let (to, hold) = (Some(NodeId(1)), Hold::Open);
        let command = Command::Switchover { token: 1, group: GATEWAY, to, within, hold };
        self.feed(0, Input::Command(command));
        self.run(100 * MS);
    }

    /// An operator's failback to gw1.
    pub fn failback(&mut self) {
        let within = Duration::from_secs(10);
        self.feed(1, Input::Command(Command::Failback { token: 2, group: GATEWAY, within }));
        self.run(100 * MS);
    }

    /// An advert of a router of another make, on both routers.
    pub fn foreign_advert(&mut self, at: usize, priority: u8) {
        for router in [RouterId(0), RouterId(1)] {
            let source = Ipv4Addr::new(10, 91 + u8::try_from(router.0).unwrap(), 0, 9).into();
            let interval = Duration::from_secs(1);
            self.facts[at].foreign.insert((GATEWAY, router), (source, priority, self.now));
            self.feed(at, Input::Advert { group: GATEWAY, router, source, priority, interval });
        }
    }

    /// Tells a node a fact, and everybody what follows from it, in order.
    pub fn feed(&mut self, at: usize, input: Input) {
        self.wire.push_back((at, input));
        while let Some((at, input)) = self.wire.pop_front() {
            let mut out = Vec::new();
            let Some(node) = &mut self.nodes[at] else { continue };
            node.handle(self.now, input, &mut out);
            self.carry_out(at, out);
        }
    }

    /// Lets time pass, from deadline to deadline.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let due = |node: &Option<Node>| node.as_ref().and_then(Machine::deadline);
            let Some(next) = self.nodes.iter().filter_map(due).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(next);
            for at in 0..self.nodes.len() {
                let mut out = Vec::new();
                if let Some(node) = &mut self.nodes[at] {
                    node.tick(self.now, &mut out);
                }
                self.carry_out(at, out);
            }
            while let Some((at, input)) = self.wire.pop_front() {
                self.feed(at, input);
            }
        }
        self.now = end;
    }

    fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Heartbeat { paths, body } => {
                    for path in
                        paths.iter().filter(|path| !self.cut.contains(path)).collect::<Vec<_>>()
                    {
                        self.sequences[at] += 1;
                        let node = self.node(at);
                        let (incarnation, from) = (node.incarnation(), node.config().me);
                        let (sequence, body) = (self.sequences[at], body.clone());
                        let stamp = u32::try_from(self.now.as_nanos() / 1000).unwrap();
                        self.send(
                            at,
                            Input::Heartbeat(Received {
                                path,
                                from,
                                incarnation,
                                sequence,
                                stamp,
                                body,
                            }),
                        );
                    }
                }
                Effect::Advertise { group, router, priority } if !self.no_adverts => {
                    let (network, host) =
                        (91 + u8::try_from(router.0).unwrap(), u8::try_from(at).unwrap() + 2);
                    let source = Ipv4Addr::new(10, network, 0, host).into();
                    let interval = Duration::from_secs(1);
                    self.send(at, Input::Advert { group, router, source, priority, interval });
                }
                Effect::Own { group, lease, serial } => {
                    let config = self.node(at).config().clone();
                    for router in &config.groups[group.index()].routers {
                        for (address, _) in &router.addresses {
                            let entry = (router.interface, *address);
                            if lease.is_some() {
                                self.facts[at].present.insert(entry);
                            } else {
                                self.facts[at].present.remove(&entry);
                            }
                        }
                    }
                    self.wire.push_back((at, Input::Owned { group, serial, result: Ok(()) }));
                }
                Effect::Probe(interface) => {
                    self.wire.push_back((at, Input::Heard { interface, answered: true }));
                }
                Effect::Note(note) => {
                    if let Some(node) = &self.nodes[at] {
                        self.facts[at].note(self.now, &note, node.config());
                    }
                    self.notes.push((at, note));
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, from: usize, input: Input) {
        let to = 1 - from;
        if to < self.nodes.len() && !self.deaf[to] {
            self.wire.push_back((to, input));
        }
    }
}

fn facts() -> Facts {
    Facts {
        cluster: "edge".into(),
        boot_id: "00000000-0000-4000-8000-000000000000".into(),
        generation: 1,
        config_hash: "00000000000000aa".into(),
        seq: 7,
        ..Facts::default()
    }
}
