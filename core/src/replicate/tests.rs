//! Nodes with tables, a wire that loses, doubles and reorders, and what must be true at rest.

mod owners;
mod repair;
mod stale;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::inbox::Inbox;
use super::*;
use crate::flow::{FlowKey, Part, Tuple, Zones, protocol, status};
use crate::wire::fixtures::Dice;

mod expectations;

const MS: Duration = Duration::from_millis(1);
const KEY: HashKey = HashKey([1, 2]);

/// A node: its machine and its kernel's table.
struct Host {
    machine: Replicator,
    table: BTreeMap<FlowKey, Flow>,
    /// What is left to read of a dump, if one is under way.
    dump: Option<VecDeque<Flow>>,
    /// What has come and is not taken yet.
    inbox: Inbox,
    serves: bool,
    incarnation: Incarnation,
    notes: Vec<Note>,
    restored: usize,
    replaced: usize,
    lenient: usize,
}

struct World {
    now: Instant,
    hosts: Vec<Option<Host>>,
    wire: VecDeque<(usize, NodeId, Incarnation, Vec<u8>)>,
    dice: Dice,
    /// Lost of a hundred packets; likewise doubled and late.
    loss: u64,
    disorder: u64,
    deaf: Vec<usize>,
    sent: u64,
}

fn settings(me: usize, incarnation: Incarnation) -> Settings {
    let names = ["gw1", "gw2", "gw3"].into_iter();
    Settings {
        me: NodeId::at(me),
        incarnation,
        key: KEY,
        names: Names::new(names, [].into_iter(), [].into_iter()).unwrap(),
        coalesce: 2 * MS,
        protect_after: Duration::ZERO,
        read_every: Duration::from_secs(5),
    }
}

fn flow(number: u32) -> Flow {
    let [_, a, b, c] = number.to_be_bytes();
    let part = Part::Ports { source: 1024 + u16::from(c), target: 443 };
    let (source, target) = ([10, 1, a, b].into(), [10, 2, 0, 1].into());
    let original = Tuple { source, target, protocol: protocol::TCP, part };
    let outside = Tuple { source: [192, 0, 2, 1].into(), ..original };
    Flow {
        key: FlowKey { original, zones: Zones::default() },
        reply: outside.inverse(),
        status: status::SEEN_REPLY | status::ASSURED | status::SRC_NAT,
        timeout: 432_000,
        mark: 0,
        state: State::Tcp { state: tcp::ESTABLISHED, flags: [3, 3], scales: [7, 7] },
        extra: None,
    }
}

fn leased(flow: Flow) -> Flow {
    Flow { timeout: u32::try_from(LEASE.as_secs()).unwrap(), ..flow }
}

fn with_state(flow: &Flow, state: u8) -> Flow {
    Flow { state: State::Tcp { state, flags: [3, 3], scales: [7, 7] }, ..flow.clone() }
}

impl World {
    fn new(nodes: usize) -> World {
        let now = Instant::from_nanos(1_000_000_000);
        let mut world = World {
            now,
            hosts: (0..nodes).map(|_| None).collect(),
            wire: VecDeque::new(),
            dice: Dice(0xace),
            loss: 0,
            disorder: 0,
            deaf: Vec::new(),
            sent: 0,
        };
        (0..nodes).for_each(|at| world.boot(at, u8::try_from(at).unwrap() + 1));
        world.serve(0, true);
        world.run(20 * MS);
        world
    }

    /// Starts a node, with whatever its kernel still has.
    fn boot(&mut self, at: usize, incarnation: u8) {
        let incarnation = Incarnation([incarnation; 16]);
        let table = self.hosts[at].take().map(|host| host.table).unwrap_or_default();
        let machine = Replicator::new(settings(at, incarnation), self.now);
        self.hosts[at] = Some(Host {
            machine,
            table,
            dump: None,
            inbox: Inbox::default(),
            serves: false,
            incarnation,
            notes: Vec::new(),
            restored: 0,
            replaced: 0,
            lenient: 0,
        });
        self.tell_sights();
    }

    fn crash(&mut self, at: usize) {
        self.hosts[at] = None;
        self.tell_sights();
    }

    fn serve(&mut self, at: usize, serves: bool) {
        self.host(at).serves = serves;
        self.tell_sights();
        self.feed(at, Input::Serving(serves));
    }

    fn tell_sights(&mut self) {
        let sights: Vec<Sight> = self
            .hosts
            .iter()
            .enumerate()
            .filter_map(|(at, host)| {
                let host = host.as_ref()?;
                let (incarnation, serves) = (host.incarnation, host.serves);
                Some(Sight { node: NodeId::at(at), incarnation, serves })
            })
            .collect();
        for at in 0..self.hosts.len() {
            if self.hosts[at].is_some() {
                let others = sights.iter().filter(|sight| sight.node != NodeId::at(at));
                self.feed(at, Input::Peers(others.copied().collect()));
            }
        }
    }

    fn host(&mut self, at: usize) -> &mut Host {
        self.hosts[at].as_mut().unwrap()
    }

    fn feed(&mut self, at: usize, input: Input) {
        let now = self.now;
        let mut out = Vec::new();
        let Some(host) = &mut self.hosts[at] else { return };
        host.machine.handle(now, input, &mut out);
        self.carry_out(at, out);
    }

    fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            let Some(host) = &mut self.hosts[at] else { return };
            match effect {
                Effect::Send(body) => {
                    let incarnation = host.incarnation;
                    self.transmit(at, incarnation, &body);
                }
                Effect::Add(flow) => {
                    let held = host.table.entry(flow.key).or_insert(leased(flow)).clone();
                    self.feed(at, Input::Changed(held));
                }
                Effect::Put(flow) => drop(host.table.insert(flow.key, leased(flow))),
                Effect::Delete(key) => drop(host.table.remove(&key)),
                Effect::Renew(key) => {
                    if let Some(flow) = host.table.get_mut(&key) {
                        flow.timeout = u32::try_from(LEASE.as_secs()).unwrap();
                    }
                }
                Effect::Restore(_) => host.restored += 1,
                Effect::Replace(flow) => {
                    host.replaced += 1;
                    host.table.insert(flow.key, flow);
                }
                Effect::Strict(_) => {}
                Effect::Lenient(_) => host.lenient += 1,
                Effect::Dump => host.dump = Some(host.table.values().cloned().collect()),
                Effect::Note(note) => host.notes.push(note),
            }
        }
    }

    fn transmit(&mut self, from: usize, incarnation: Incarnation, body: &[u8]) {
        for to in (0..self.hosts.len()).filter(|to| *to != from) {
            self.sent += 1;
            if self.deaf.contains(&to) || self.dice.below(100) < self.loss {
                continue;
            }
            let packet = (to, NodeId::at(from), incarnation, body.to_vec());
            if self.dice.below(100) < self.disorder {
                self.wire.push_back(packet.clone());
                let at = self.dice.index(self.wire.len() + 1);
                self.wire.insert(at, packet);
            } else {
                self.wire.push_back(packet);
            }
        }
    }

    /// Lets time pass, a millisecond at a time.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now += MS;
            let arrived = self.wire.len();
            for _ in 0..arrived {
                let Some((to, from, incarnation, body)) = self.wire.pop_front() else { break };
                if let Some(host) = &mut self.hosts[to] {
                    assert!(host.inbox.put(from, incarnation, body), "no room");
                }
            }
            (0..self.hosts.len()).for_each(|at| self.take_heard(at));
            for at in 0..self.hosts.len() {
                let (now, mut out) = (self.now, Vec::new());
                let Some(host) = &mut self.hosts[at] else { continue };
                if host.machine.deadline().is_some_and(|due| due <= now) {
                    host.machine.tick(now, &mut out);
                }
                self.carry_out(at, out);
                self.read_on(at);
            }
        }
    }

    /// Changes are taken at once, and four packets from readings in a millisecond.
    fn take_heard(&mut self, at: usize) {
        while let Some(packet) = self.hosts[at].as_mut().and_then(|it| it.inbox.next_change()) {
            self.feed(at, packet);
        }
        for _ in 0..4 {
            let bulk = self.hosts[at].as_mut().and_then(|it| it.inbox.next_bulk());
            let Some(packet) = bulk else { return };
            self.feed(at, packet);
        }
    }

    fn read_on(&mut self, at: usize) {
        for _ in 0..2 {
            let Some(host) = &mut self.hosts[at] else { return };
            if host.dump.is_none() || !host.machine.wants_more() {
                return;
            }
            for _ in 0..136 {
                let Some(dump) = &mut self.host(at).dump else { break };
                let Some(flow) = dump.pop_front() else {
                    self.host(at).dump = None;
                    self.feed(at, Input::DumpEnded(true));
                    break;
                };
                self.feed(at, Input::Dumped(flow));
            }
        }
    }

    /// Packets change a flow: the kernel knows it, and says so.
    fn packet(&mut self, at: usize, flow: &Flow) {
        self.host(at).table.insert(flow.key, flow.clone());
        self.feed(at, Input::Changed(flow.clone()));
    }

    /// The kernel forgets a flow, and says so.
    fn expire(&mut self, at: usize, flow: &Flow) {
        self.host(at).table.remove(&flow.key);
        self.feed(at, Input::Gone(flow.key));
    }

    fn equal(&mut self, one: usize, other: usize) -> bool {
        let values = |host: &mut Host| -> BTreeMap<FlowKey, u32> {
            let open = host.table.iter().filter(|(_, flow)| is_open(flow));
            open.map(|(key, flow)| (*key, KEY.value(flow).0)).collect()
        };
        values(self.host(one)) == values(self.host(other))
    }

    /// Whom each node takes for the owner of a flow.
    fn owners(&mut self, flow: &Flow) -> [usize; 2] {
        [0, 1].map(|at| self.host(at).machine.owner(&flow.key).unwrap().index())
    }

    fn synced(&mut self, at: usize, with: usize) -> bool {
        self.host(at).machine.is_synced_with(NodeId::at(with))
    }
}

#[test]
fn flows_appear_and_go_and_what_is_short_is_never_told() {
    let mut world = World::new(2);
    for number in 0..500 {
        world.packet(0, &flow(number));
    }
    world.run(10 * MS);
    assert!(world.equal(0, 1));
    assert_eq!(world.host(1).table.len(), 500);
    for number in 0..250 {
        world.packet(0, &with_state(&flow(number), tcp::TIME_WAIT));
    }
    for number in 1000..1100 {
        world.packet(0, &flow(number));
        world.run(MS / 50);
        world.packet(0, &with_state(&flow(number), tcp::TIME_WAIT));
    }
    world.run(2000 * MS);
    assert!(world.equal(0, 1));
    assert_eq!(world.host(1).table.len(), 250);
    assert_eq!(world.host(0).machine.counters.told, 750);
    assert_eq!(world.host(0).machine.counters.skipped, 100);
    assert!(world.synced(1, 0));
    let (own, copies) = (world.host(0).machine.own_flows(), world.host(1).machine.replicas());
    assert_eq!((own, copies), (250, 250));
}

#[test]
fn loss_doubles_and_disorder_end_in_equal_tables_without_a_storm() {
    for loss in [1, 5, 10, 20] {
        let mut world = World::new(3);
        (world.loss, world.disorder) = (loss, 5);
        for round in 0..300_u32 {
            for step in 0..20 {
                let number = (round * 13 + step * 7) % 2000;
                if (round + step) % 5 == 0 {
                    world.expire(0, &flow(number));
                } else {
                    world.packet(0, &Flow { mark: round, ..flow(number) });
                }
            }
            world.run(2 * MS);
        }
        world.run(8000 * MS);
        assert!(world.equal(0, 1) && world.equal(0, 2), "loss {loss}");
        assert!(world.synced(1, 0) && world.synced(2, 0), "loss {loss}");
        let counters = world.host(0).machine.counters;
        let told = counters.told - counters.retold;
        assert!(counters.told < told * 2, "loss {loss}: {counters:?}");
        assert_eq!(world.host(1).machine.counters.divergent, 0);
    }
}

#[test]
fn who_joins_or_comes_back_gets_everything_and_loses_what_is_stale() {
    let mut world = World::new(2);
    world.crash(1);
    (0..5000).for_each(|number| world.packet(0, &flow(number)));
    world.run(100 * MS);
    world.boot(1, 7);
    world.host(1).table.insert(flow(9999).key, Flow { timeout: 500, ..flow(9999) });
    world.host(1).table.insert(flow(8888).key, flow(8888));
    world.host(1).table.insert(flow(1).key, Flow { mark: 5, ..flow(1) });
    world.loss = 5;
    world.run(10_000 * MS);
    assert!(world.host(1).table.remove(&flow(8888).key).is_some(), "this machine's own");
    assert_eq!(world.host(1).table.len(), 5000);
    assert!(world.equal(0, 1) && world.synced(1, 0));
}

#[test]
fn a_copy_that_somebody_has_changed_or_deleted_is_found_and_repaired() {
    let mut world = World::new(2);
    (0..1000).for_each(|number| world.packet(0, &flow(number)));
    world.run(3000 * MS);
    assert!(world.synced(1, 0));
    world.host(1).table.remove(&flow(7).key);
    world.host(1).table.insert(flow(8).key, Flow { mark: 99, ..flow(8) });
    world.run(10_000 * MS);
    assert!(world.equal(0, 1) && world.synced(1, 0));
    assert_eq!(world.host(1).machine.counters.divergent, 2);
    let unsynced = Note::Synced { node: NodeId(0), synced: false };
    assert!(world.host(1).notes.contains(&unsynced));
}

#[test]
fn flows_of_which_no_event_has_come_are_found_by_reading_the_table() {
    let mut world = World::new(2);
    (0..100).for_each(|number| world.packet(0, &flow(number)));
    world.run(100 * MS);
    for number in 0..50 {
        world.host(0).table.remove(&flow(number).key);
        world.host(0).table.insert(flow(500 + number).key, flow(500 + number));
    }
    world.host(0).table.insert(flow(99).key, Flow { mark: 1, ..flow(99) });
    world.run(15_000 * MS);
    assert!(world.equal(0, 1));
    assert_eq!(world.host(1).table.len(), 100);
    assert_eq!(world.host(0).machine.counters.missed, 51);
}

#[test]
fn a_takeover_makes_the_flows_our_own_and_a_second_one_loses_nothing() {
    let mut world = World::new(2);
    (0..1000).for_each(|number| world.packet(0, &flow(number)));
    world.run(2000 * MS);
    world.crash(0);
    world.serve(1, true);
    world.run(1000 * MS);
    assert_eq!(world.host(1).restored, 1000);
    assert_eq!(world.host(1).machine.own_flows(), 1000);
    world.packet(1, &flow(2000));
    world.expire(1, &flow(3));
    world.boot(0, 9);
    world.run(3000 * MS);
    assert!(world.equal(0, 1) && world.synced(0, 1));
    assert_eq!(world.host(0).table.len(), 1000);
    // And back, in order: the successor says so while the other still serves.
    world.host(1).serves = false;
    world.serve(0, true);
    world.run(20 * MS);
    world.serve(1, false);
    world.run(3000 * MS);
    assert_eq!(world.host(0).machine.own_flows(), 1000);
    assert_eq!(world.host(1).machine.own_flows(), 0);
    assert_eq!(world.host(1).replaced, 1000, "as new, whatever its kernel remembers of them");
    // The former owner's kernel forgets what it has translated: that is no news any more.
    (10..20).for_each(|number| world.expire(1, &flow(number)));
    world.run(8000 * MS);
    assert_eq!(world.host(0).table.len(), 1000);
    assert!(world.equal(0, 1) && world.synced(1, 0));
}

#[test]
fn after_a_split_each_keeps_what_it_serves() {
    let mut world = World::new(2);
    (0..10).for_each(|number| world.packet(0, &flow(number)));
    world.run(2000 * MS);
    world.deaf = vec![0, 1];
    world.serve(1, true);
    world.packet(0, &Flow { mark: 1, ..flow(100) });
    world.packet(1, &Flow { mark: 2, ..flow(100) });
    world.packet(1, &flow(200));
    world.run(3000 * MS);
    world.deaf.clear();
    world.run(100 * MS);
    world.serve(1, false);
    world.run(12_000 * MS);
    assert_eq!(world.host(0).table.get(&flow(100).key).map(|flow| flow.mark), Some(1));
    assert!(world.host(0).table.contains_key(&flow(200).key), "added: it collides with nothing");
    assert!(world.host(0).machine.counters.collided > 0);
    assert!(world.equal(0, 1));
}

#[test]
fn an_older_number_never_wins_and_zero_is_older_than_all() {
    use super::compare::older;
    assert!(older(1, 2) && !older(2, 1) && !older(2, 2));
    assert!(older(u32::MAX, 1) && !older(1, u32::MAX));
    assert!(older(0, 1) && older(0, u32::MAX) && !older(1, 0) && !older(0, 0));
}

#[test]
fn a_copy_whose_owner_is_silent_is_not_taken_for_whole() {
    let mut world = World::new(2);
    world.packet(0, &flow(1));
    world.run(3000 * MS);
    assert!(world.synced(1, 0));
    world.deaf = vec![1];
    world.run(6000 * MS);
    assert!(!world.synced(1, 0));
    world.deaf.clear();
    world.run(3000 * MS);
    assert!(world.synced(1, 0));
}

#[test]
fn a_copy_stays_whole_while_left_overs_are_looked_for() {
    let mut world = World::new(2);
    world.serve(0, false);
    world.crash(1);
    world.boot(1, 7);
    world.run(3000 * MS);
    assert!(world.synced(1, 0));
    world.serve(0, true);
    for _ in 0..30 {
        world.run(100 * MS);
        assert!(world.synced(1, 0));
    }
}

#[test]
fn the_numbers_of_a_new_process_begin_anew_for_its_readers() {
    let mut world = World::new(2);
    (0..500).for_each(|number| {
        world.packet(0, &flow(number));
        world.run(3 * MS);
    });
    world.crash(0);
    world.boot(0, 9);
    world.serve(0, true);
    world.run(500 * MS);
    world.packet(0, &Flow { mark: 5, ..flow(499) });
    world.run(100 * MS);
    assert_eq!(world.host(1).table.get(&flow(499).key).map(|flow| flow.mark), Some(5));
}

#[test]
fn what_a_former_process_has_left_goes_though_no_sums_differ() {
    let mut world = World::new(2);
    world.crash(1);
    world.boot(1, 7);
    world.host(1).table.insert(flow(9).key, Flow { timeout: 500, ..flow(9) });
    world.packet(0, &flow(1));
    world.run(10_000 * MS);
    assert!(world.equal(0, 1) && world.synced(1, 0));
}
