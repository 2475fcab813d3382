//! Two nodes and nothing else: no loss, no delay, a kernel that obeys at once. The rough world is the
//! simulator's; here stands what must hold in the best one, in the order in which it must happen.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use evergate_core::config::{
    Config, Failback, GroupConfig, NodeConfig, PathConfig, PathKind, RouterConfig, Version,
};
use evergate_core::effect::{Cause, Note, View};
use evergate_core::heartbeat::{Hold, Outcome, Refusal, Role};
use evergate_core::ident::{
    Family, GroupId, Incarnation, InterfaceId, NodeId, PathId, Priority, RouterId, Vrid,
};
use evergate_core::input::{Command, Interface, Received, Refused};
use evergate_core::{Effect, Input, Instant, Machine, Node};

const MS: Duration = Duration::from_millis(1);
const GATEWAY: GroupId = GroupId(0);

fn config(me: u16) -> Config {
    let router = |name: &str, interface: u16, vrid: u8| RouterConfig {
        id: format!("gateway/{name}/ipv4"),
        interface: InterfaceId(interface),
        path: Some(PathId(interface)),
        family: Family::V4,
        vrid: Vrid::new(vrid),
        version: Version::V3,
        addresses: vec![(Ipv4Addr::new(10, 91, 0, vrid).into(), 24)],
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
            routers: vec![router("lan", 0, 51), router("wan", 1, 52)],
        }],
        digest: 1,
    }
}

/// The address of a host on the segment of an interface.
fn address(interface: u16, host: usize) -> IpAddr {
    let small = |number: usize| u8::try_from(number).expect("a small lab");
    Ipv4Addr::new(10, 91 + small(interface.into()), 0, small(host)).into()
}

/// Both nodes, the time, and what they have said.
struct Pair {
    now: Instant,
    nodes: [Option<Node>; 2],
    sequences: [u64; 2],
    holds: [bool; 2],
    /// How many more releases the kernel refuses.
    refusals: [usize; 2],
    notes: Vec<(usize, Note)>,
    answers: Vec<Outcome>,
    deaf: [bool; 2],
    stopped: [bool; 2],
    wire: VecDeque<(usize, Input)>,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Pair {
            now: Instant::from_nanos(1_000_000_000),
            nodes: [None, None],
            sequences: [0; 2],
            holds: [false; 2],
            refusals: [0; 2],
            notes: Vec::new(),
            answers: Vec::new(),
            deaf: [false; 2],
            stopped: [false; 2],
            wire: VecDeque::new(),
        };
        pair.boot(0, 1, Vec::new());
        pair.boot(1, 2, Vec::new());
        pair
    }

    fn settled() -> Self {
        let mut pair = Pair::new();
        pair.run(6000 * MS);
        assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
        pair.notes.clear();
        pair
    }

    fn boot(&mut self, at: usize, incarnation: u8, adopted: Vec<GroupId>) {
        let id = u16::try_from(at).expect("two nodes");
        self.nodes[at] = Some(Node::new(config(id), Incarnation([incarnation; 16]), self.now));
        self.sequences[at] = 0;
        for interface in 0..3 {
            self.link(at, interface, true);
        }
        self.feed(at, Input::Start { adopted, locked: Vec::new() });
    }

    fn link(&mut self, at: usize, interface: u16, running: bool) {
        let IpAddr::V4(source) = address(interface, at + 2) else { return };
        let source_v4 = Some(source);
        let state = Interface { present: true, running, source_v4, source_v6: None };
        self.feed(at, Input::Interface(InterfaceId(interface), state));
    }

    /// Tells a node a fact, and everybody what follows from it, in order.
    fn feed(&mut self, at: usize, input: Input) {
        self.wire.push_back((at, input));
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some((at, input)) = self.wire.pop_front() {
            let mut out = Vec::new();
            let Some(node) = &mut self.nodes[at] else { continue };
            node.handle(self.now, input, &mut out);
            self.carry_out(at, out);
        }
    }

    fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Heartbeat { paths, body } => {
                    for path in paths.iter() {
                        self.sequences[at] += 1;
                        let sequence = self.sequences[at];
                        let Some(node) = &self.nodes[at] else { continue };
                        let incarnation = node.incarnation();
                        let from = node.config().me;
                        let body = body.clone();
                        let received =
                            Received { path, from, incarnation, sequence, stamp: 0, body };
                        if !self.deaf[1 - at] {
                            self.wire.push_back((1 - at, Input::Heartbeat(received)));
                        }
                    }
                }
                Effect::Advertise { group, router, priority } => {
                    let source = address(router.0, at + 2);
                    let interval = Duration::from_secs(1);
                    let advert = Input::Advert { group, router, source, priority, interval };
                    if !self.deaf[1 - at] {
                        self.wire.push_back((1 - at, advert));
                    }
                }
                Effect::Own { group, lease, serial } => {
                    let refused = lease.is_none() && self.refusals[at] > 0;
                    let result = if refused { Err(Refused { errno: 16 }) } else { Ok(()) };
                    if refused {
                        self.refusals[at] -= 1;
                    } else {
                        self.holds[at] = lease.is_some();
                    }
                    self.wire.push_back((at, Input::Owned { group, serial, result }));
                }
                Effect::Probe(interface) => {
                    self.wire.push_back((at, Input::Heard { interface, answered: true }));
                }
                Effect::Answer { outcome, .. } => self.answers.push(outcome),
                Effect::Note(note) => self.notes.push((at, note)),
                Effect::Stopped => self.stopped[at] = true,
                Effect::Announce(_) | Effect::Configured => {}
            }
        }
    }

    /// Lets time pass, from deadline to deadline.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let due = |node: &Option<Node>| node.as_ref().and_then(Machine::deadline);
            let next = self.nodes.iter().filter_map(due).min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
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

    fn roles(&self) -> [Role; 2] {
        [0, 1].map(|at| self.nodes[at].as_ref().map_or(Role::Init, |n| n.groups()[0].role()))
    }

    fn transitions(&self) -> usize {
        let role = |(_, note): &&(usize, Note)| matches!(note, Note::Role { to: Role::Active, .. });
        self.notes.iter().filter(role).count()
    }

    fn took_over(&self, at: usize) -> Option<(Cause, Duration)> {
        self.notes.iter().find_map(|(node, note)| match note {
            Note::TookOver { cause, detect, .. } if *node == at => Some((*cause, *detect)),
            _ => None,
        })
    }
}

#[test]
fn the_preferred_node_becomes_active_soon_after_both_have_started() {
    let mut pair = Pair::new();
    pair.run(1500 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.holds, [true, false]);
    assert_eq!(pair.transitions(), 1);
    assert!(pair.nodes.iter().flatten().all(|node| node.peers()[0].view == View::Alive));
}

#[test]
fn a_settled_pair_stays_as_it_is() {
    let mut pair = Pair::settled();
    pair.run(60_000 * MS);
    assert_eq!(pair.transitions(), 0, "{:?}", pair.notes);
}

#[test]
fn death_of_the_active_moves_the_group_after_three_heartbeats() {
    let mut pair = Pair::settled();
    pair.nodes[0] = None;
    pair.run(31 * MS);
    assert_eq!(pair.roles()[1], Role::Active);
    let (cause, detect) = pair.took_over(1).expect("taken over");
    assert_eq!(cause, Cause::Died(NodeId(0)));
    assert!(detect <= 30 * MS, "{detect:?}");
}

#[test]
fn the_preferred_node_gets_its_group_back_in_order_when_it_is_ready_again() {
    let mut pair = Pair::settled();
    pair.nodes[0] = None;
    pair.holds[0] = false;
    pair.run(100 * MS);
    pair.boot(0, 3, Vec::new());
    pair.run(500 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    pair.run(3000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.holds, [true, false]);
    assert_eq!(pair.transitions(), 2, "{:?}", pair.notes);
}

#[test]
fn a_switchover_is_held_against_priority_until_an_operator_says_otherwise() {
    let mut pair = Pair::settled();
    let within = Duration::from_secs(10);
    let hold = Hold::Open;
    let command = |to| Command::Switchover { token: 1, group: GATEWAY, to, within, hold };
    pair.feed(0, Input::Command(command(Some(NodeId(1)))));
    pair.run(100 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    assert_eq!(pair.answers, [Outcome::Done { gap: Duration::ZERO }], "{:?}", pair.notes);
    pair.run(120_000 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    assert!(pair.nodes[1].as_ref().is_some_and(|node| node.groups()[0].held.is_some()));
    // The standby passes the wish on to the active node.
    pair.feed(0, Input::Command(Command::Failback { token: 2, group: GATEWAY, within }));
    pair.run(100 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.answers.len(), 2);
    assert_eq!(pair.transitions(), 2);
}

#[test]
fn a_hold_with_an_end_lets_priority_decide_again_then() {
    for asked_at in [0, 1] {
        let mut pair = Pair::settled();
        let (within, to) = (Duration::from_secs(10), Some(NodeId(1)));
        let hold = Hold::Until(Duration::from_secs(60));
        let command = Command::Switchover { token: 1, group: GATEWAY, to, within, hold };
        pair.feed(asked_at, Input::Command(command));
        pair.run(59_000 * MS);
        assert_eq!(pair.roles(), [Role::Standby, Role::Active], "asked at {asked_at}");
        pair.run(3_000 * MS);
        assert_eq!(pair.roles(), [Role::Active, Role::Standby], "asked at {asked_at}");
        assert_eq!(pair.transitions(), 2);
    }
}

#[test]
fn a_switchover_to_a_node_that_is_not_ready_is_refused_and_changes_nothing() {
    let mut pair = Pair::settled();
    pair.link(1, 1, false);
    pair.run(50 * MS);
    let within = Duration::from_secs(10);
    let to = Some(NodeId(1));
    let command = Command::Switchover { token: 1, group: GATEWAY, to, within, hold: Hold::Open };
    pair.feed(0, Input::Command(command));
    pair.run(50 * MS);
    assert_eq!(pair.answers, [Outcome::Refused(Refusal::NotReady)]);
    assert_eq!(pair.transitions(), 0);
}

#[test]
fn loss_of_carrier_moves_the_group_at_once_and_back_when_it_returns() {
    let mut pair = Pair::settled();
    pair.link(0, 1, false);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    assert_eq!(pair.holds, [false, true]);
    pair.run(60_000 * MS);
    assert_eq!(pair.transitions(), 1);
    pair.link(0, 1, true);
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.transitions(), 2, "{:?}", pair.notes);
}

#[test]
fn a_node_that_was_stopped_gives_up_and_rejoins_as_standby() {
    let mut pair = Pair::settled();
    let sleeper = pair.nodes[0].take();
    pair.run(200 * MS);
    assert_eq!(pair.roles()[1], Role::Active);
    pair.nodes[0] = sleeper;
    let mut out = Vec::new();
    if let Some(node) = &mut pair.nodes[0] {
        node.tick(pair.now, &mut out);
    }
    assert!(out.iter().any(|effect| matches!(effect, Effect::Own { lease: None, .. })), "{out:?}");
    assert!(!out.iter().any(|effect| matches!(effect, Effect::Advertise { .. })), "{out:?}");
    pair.carry_out(0, out);
    pair.deliver();
    pair.run(500 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
}

#[test]
fn after_a_healed_split_the_higher_rank_stays_and_announces_again() {
    let mut pair = Pair::settled();
    pair.deaf = [true, true];
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Active]);
    pair.notes.clear();
    pair.deaf = [false, false];
    pair.run(1000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    pair.run(60_000 * MS);
    assert_eq!(pair.transitions(), 0, "{:?}", pair.notes);
}

#[test]
fn one_way_silence_ends_with_one_active_node() {
    for deaf in [[true, false], [false, true]] {
        let mut pair = Pair::settled();
        pair.deaf = deaf;
        pair.run(10_000 * MS);
        let active = pair.roles().iter().filter(|role| **role == Role::Active).count();
        assert_eq!(active, 1, "{deaf:?} {:?} {:?}", pair.roles(), pair.notes);
        assert!(pair.transitions() <= 1, "{:?}", pair.notes);
    }
}

#[test]
fn an_orderly_end_hands_over_before_it_lets_go() {
    let mut pair = Pair::settled();
    pair.feed(0, Input::Shutdown);
    pair.run(200 * MS);
    assert!(pair.stopped[0]);
    assert_eq!(pair.roles()[1], Role::Active);
    assert_eq!(pair.took_over(1).map(|(cause, _)| cause), Some(Cause::HandedOver(NodeId(0))));
}

#[test]
fn a_lone_node_adopts_what_its_former_process_has_left() {
    let mut pair = Pair::settled();
    pair.nodes = [None, None];
    pair.boot(0, 9, vec![GATEWAY]);
    assert_eq!(pair.roles()[0], Role::Active);
    assert_eq!(pair.took_over(0).map(|(cause, _)| cause), Some(Cause::Adopted));
}

#[test]
fn a_deleted_address_is_put_back_five_times_a_minute_and_then_a_fault() {
    let mut pair = Pair::settled();
    for _ in 0..5 {
        pair.feed(0, Input::AddressLost(GATEWAY));
        pair.run(1000 * MS);
    }
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.transitions(), 0);
    pair.feed(0, Input::AddressLost(GATEWAY));
    pair.run(50 * MS);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
}

#[test]
fn a_release_that_the_kernel_refuses_is_asked_for_again_and_the_node_is_in_fault_until_then() {
    let mut pair = Pair::settled();
    pair.refusals[0] = 3;
    pair.link(0, 1, false);
    pair.run(50 * MS);
    pair.link(0, 1, true);
    pair.run(6_900 * MS);
    assert_eq!(pair.holds, [true, true], "refused at once, after 1 s and 2 s more");
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    pair.run(500 * MS);
    assert_eq!(pair.holds, [false, true], "asked again after 4 s more");
    pair.run(10_000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
}

#[test]
fn a_locked_node_hands_over_and_stays_out() {
    let mut pair = Pair::settled();
    pair.feed(0, Input::Command(Command::Lock { group: GATEWAY }));
    pair.run(10_000 * MS);
    assert_eq!(pair.roles(), [Role::Locked, Role::Active]);
    pair.feed(0, Input::Command(Command::Unlock { group: GATEWAY }));
    pair.run(10_000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
}

#[test]
fn a_foreign_router_of_higher_priority_keeps_the_group_by_its_adverts_alone() {
    let mut pair = Pair::new();
    pair.nodes[1] = None;
    for _ in 0..20 {
        for router in [RouterId(0), RouterId(1)] {
            let source = address(router.0, 9);
            let interval = Duration::from_secs(1);
            let advert = Input::Advert { group: GATEWAY, router, source, priority: 250, interval };
            pair.feed(0, advert);
        }
        pair.run(1000 * MS);
        assert_eq!(pair.roles()[0], Role::Standby);
    }
    pair.run(4000 * MS);
    assert_eq!(pair.roles()[0], Role::Active);
    assert_eq!(pair.took_over(0).map(|(cause, _)| cause), Some(Cause::DownTimer));
}
