//! Two machines with a kernel each, a lossy cable between them; and what only conntrackd would do.

use std::collections::BTreeMap;

use super::*;
use crate::flow::{Part, Tuple, Zones, protocol, status};
use crate::wire::conntrackd::flag;
use crate::wire::fixtures::Dice;

/// The protocol's timeout that the fake kernels know.
const REAL: u32 = 432_000;
/// A lease in seconds.
const LEASED: u32 = 600;

fn settings(mode: Mode, first: u32) -> Settings {
    let second = Duration::from_secs(1);
    let coalesce = Duration::from_millis(2);
    let (key, protect_after) = (HashKey([1, 2]), Duration::ZERO);
    Settings { mode, first, key, coalesce, protect_after, read_every: 120 * second }
}

fn flow(number: u16) -> Flow {
    let part = Part::Ports { source: number, target: 443 };
    let (source, target) = ([10, 91, 0, 10].into(), [10, 92, 0, 10].into());
    let original = Tuple { source, target, protocol: protocol::TCP, part };
    let mut reply = original.inverse();
    reply.target = [10, 92, 0, 1].into();
    let nat = status::SRC_NAT | status::SRC_NAT_DONE | status::DST_NAT_DONE;
    let flags = [tcp::FLAG_WINDOW_SCALE | tcp::FLAG_SACK; 2];
    Flow {
        key: FlowKey { original, zones: Zones::default() },
        reply,
        status: status::SEEN_REPLY | status::ASSURED | nat,
        timeout: REAL,
        mark: 0,
        state: State::Tcp { state: tcp::ESTABLISHED, flags, scales: [7, 7] },
        extra: None,
    }
}

/// A machine with its kernel.
struct Side {
    machine: Conntrackd,
    kernel: BTreeMap<FlowKey, Flow>,
    dumping: Option<Vec<Flow>>,
    inbox: Vec<Vec<u8>>,
    notes: Vec<Note>,
    strict: usize,
    /// Effects on a flow that is not there.
    astray: usize,
}

struct World {
    now: Instant,
    sides: [Side; 2],
    dice: Dice,
    /// Of a hundred datagrams so many are lost.
    loss: u64,
    sent: usize,
}

impl World {
    fn new(mode: Mode, loss: u64) -> World {
        let now = Instant::from_nanos(1_000_000_000);
        let side = |first| Side {
            machine: Conntrackd::new(settings(mode, first), now),
            kernel: BTreeMap::new(),
            dumping: None,
            inbox: Vec::new(),
            notes: Vec::new(),
            strict: 0,
            astray: 0,
        };
        // One of them counts over the end of the numbers.
        let sides = [side(1_000), side(u32::MAX - 50)];
        World { now, sides, dice: Dice(7), loss, sent: 0 }
    }

    fn feed(&mut self, at: usize, input: Input) {
        let mut out = Vec::new();
        self.sides[at].machine.handle(self.now, input, &mut out);
        self.carry_out(at, out);
    }

    fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            let side = &mut self.sides[at];
            match effect {
                Effect::Send(bytes) => {
                    self.sent += 1;
                    if self.dice.below(100) >= self.loss {
                        self.sides[1 - at].inbox.push(bytes);
                    }
                }
                Effect::Put(flow) | Effect::Replace(flow) => {
                    side.kernel.insert(flow.key, Flow { timeout: LEASED, ..flow });
                }
                Effect::Delete(key) => drop(side.kernel.remove(&key)),
                Effect::Renew(key) => match side.kernel.get_mut(&key) {
                    Some(flow) => flow.timeout = LEASED,
                    None => side.astray += 1,
                },
                Effect::Restore(flow) => match side.kernel.get_mut(&flow.key) {
                    Some(flow) => flow.timeout = REAL,
                    None => side.astray += 1,
                },
                Effect::Strict(_) => side.strict += 1,
                Effect::Look(key) => match side.kernel.get(&key).cloned() {
                    Some(flow) => self.feed(at, Input::Changed(flow)),
                    None => self.feed(at, Input::Gone(key)),
                },
                Effect::Dump => side.dumping = Some(side.kernel.values().cloned().collect()),
                Effect::Note(note) => side.notes.push(note),
            }
        }
    }

    /// One millisecond.
    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        for at in 0..2 {
            for bytes in std::mem::take(&mut self.sides[at].inbox) {
                self.feed(at, Input::Datagram(bytes));
            }
            let mut out = Vec::new();
            self.sides[at].machine.tick(self.now, &mut out);
            self.carry_out(at, out);
            while self.sides[at].machine.wants_more()
                && let Some(list) = &mut self.sides[at].dumping
            {
                match list.pop() {
                    Some(flow) => self.feed(at, Input::Dumped(flow)),
                    None => {
                        self.sides[at].dumping = None;
                        self.feed(at, Input::DumpEnded(true));
                    }
                }
            }
        }
    }

    fn run(&mut self, millis: usize) {
        (0..millis).for_each(|_| self.step());
    }

    /// Packets make or change a flow.
    fn packets(&mut self, at: usize, flow: Flow) {
        self.sides[at].kernel.insert(flow.key, flow.clone());
        self.feed(at, Input::Changed(flow));
    }

    fn ends(&mut self, at: usize, flow: &Flow) {
        self.sides[at].kernel.remove(&flow.key);
        self.feed(at, Input::Gone(flow.key));
    }

    fn keys(&self, at: usize) -> Vec<FlowKey> {
        self.sides[at].kernel.keys().copied().collect()
    }

    fn open(mode: Mode, loss: u64) -> World {
        let mut world = World::new(mode, loss);
        world.feed(0, Input::Serving(true));
        world.run(3_000);
        assert!(world.sides.iter().all(|side| side.machine.standing(world.now).open));
        world
    }
}

#[test]
fn flows_of_the_one_that_serves_are_copied_with_a_lease() {
    for mode in [Mode::Ftfw, Mode::Notrack] {
        let mut world = World::open(mode, 0);
        (0..50).for_each(|number| world.packets(0, flow(number)));
        world.run(50);
        world.ends(0, &flow(3));
        world.run(50);
        assert_eq!(world.keys(0).len(), 49);
        assert_eq!(world.keys(1), world.keys(0));
        let copy = world.sides[1].kernel[&flow(7).key].clone();
        assert_eq!(copy, Flow { timeout: LEASED, ..flow(7) });
        assert_eq!(world.sides[1].machine.copies(), 49);
        let standing = world.sides[0].machine.standing(world.now);
        assert!(standing.has_ours && standing.whole, "{standing:?}");
    }
}

#[test]
fn a_flow_that_changes_often_is_told_once() {
    let mut world = World::open(Mode::Ftfw, 0);
    let before = world.sides[0].machine.counters().told;
    for mark in 0..20 {
        world.packets(0, Flow { mark, ..flow(1) });
    }
    world.run(20);
    assert_eq!(world.sides[0].machine.counters().told, before + 1);
    assert_eq!(world.sides[1].kernel[&flow(1).key].mark, 19);
    // And one that is over before it is told is not told at all.
    world.packets(0, flow(2));
    world.ends(0, &flow(2));
    world.run(20);
    assert_eq!(world.sides[0].machine.counters().told, before + 1);
    assert_eq!(world.sides[0].machine.counters().skipped, 1);
}

#[test]
fn what_is_lost_is_told_again_as_it_is_by_then() {
    for loss in [1, 20, 50] {
        let mut world = World::open(Mode::Ftfw, 0);
        world.loss = loss;
        for round in 0..40_u32 {
            for number in 0..50 {
                match (u32::from(number) + round) % 7 {
                    0 => world.ends(0, &flow(number)),
                    _ => world.packets(0, Flow { mark: round, ..flow(number) }),
                }
            }
            world.run(20);
        }
        assert!(world.sides[1].machine.counters().lost > 0);
        world.loss = 0;
        world.run(3_000);
        let value = |at: usize| -> Vec<(FlowKey, u32)> {
            world.sides[at].kernel.iter().map(|(key, flow)| (*key, flow.mark)).collect()
        };
        assert_eq!(value(1), value(0), "{loss} percent");
        // But for the words of the last second.
        assert!(world.sides[0].machine.session.under_way() <= 4, "all is acknowledged");
    }
}

#[test]
fn without_acknowledgements_what_is_lost_is_asked_for() {
    let mut world = World::open(Mode::Notrack, 0);
    world.loss = 30;
    for number in 0..400 {
        world.packets(0, flow(number));
        world.run(5);
    }
    world.loss = 0;
    world.run(6_000);
    assert_eq!(world.keys(1), world.keys(0));
    assert!(world.sides[1].machine.counters().asked > 1);
}

#[test]
fn without_acknowledgements_everything_is_told_again_now_and_then() {
    let mut world = World::open(Mode::Notrack, 0);
    world.packets(0, flow(1));
    world.loss = 100;
    world.packets(0, flow(2));
    world.run(50);
    world.loss = 0;
    world.run(1_500);
    assert!(!world.sides[1].kernel.contains_key(&flow(2).key), "nobody knows of the loss");
    for side in &mut world.sides {
        side.machine.session.hear_for_tests(world.now + ASK_EVERY);
    }
    world.now += ASK_EVERY;
    world.run(1_500);
    assert_eq!(world.keys(1), world.keys(0));
}

#[test]
fn a_flow_that_begins_again_while_nobody_listens_is_told() {
    let mut world = World::open(Mode::Ftfw, 0);
    world.packets(0, flow(1));
    world.run(50);
    world.loss = 100;
    world.run(6_000);
    world.ends(0, &flow(1));
    world.packets(0, Flow { mark: 5, ..flow(1) });
    world.loss = 0;
    world.run(4_000);
    assert_eq!(world.sides[1].kernel[&flow(1).key].mark, 5);
}

#[test]
fn a_table_that_was_there_before_is_told_whole_and_at_a_pace() {
    let mut world = World::new(Mode::Ftfw, 0);
    for number in 0..20_000 {
        world.sides[0].kernel.insert(flow(number).key, flow(number));
    }
    world.feed(0, Input::Serving(true));
    let mut most = 0;
    for _ in 0..6_000 {
        let before = world.sides[1].machine.copies();
        world.step();
        most = most.max(world.sides[1].machine.copies() - before);
    }
    assert_eq!(world.sides[1].kernel.len(), 20_000);
    assert!(most <= 600, "{most} flows in a millisecond");
    assert!(most >= 30, "{most} flows in a millisecond");
}

#[test]
fn who_takes_over_has_real_timeouts_and_checks_again_later() {
    let mut world = World::open(Mode::Ftfw, 0);
    (0..10).for_each(|number| world.packets(0, flow(number)));
    world.run(50);
    world.feed(1, Input::Serving(true));
    world.feed(0, Input::Serving(false));
    world.run(100);
    let side = &world.sides[1];
    assert!(side.notes.contains(&Note::Adopted { flows: 10 }));
    assert!(side.kernel.values().all(|flow| flow.timeout == REAL));
    assert_eq!((side.machine.own_flows(), side.machine.copies()), (10, 0));
    assert_eq!(side.strict, 0, "windows are not checked at once");
    let side = &world.sides[0];
    assert!(side.notes.contains(&Note::GivenUp { flows: 10 }));
    assert!(side.kernel.values().all(|flow| flow.timeout == LEASED), "now they are copies");
    assert_eq!((side.machine.own_flows(), side.machine.copies()), (0, 10));
    world.run(11_000);
    assert_eq!(world.sides[1].strict, 10);
    assert_eq!(world.sides[1].astray, 0);
    // And back.
    world.feed(0, Input::Serving(true));
    world.feed(1, Input::Serving(false));
    world.run(100);
    assert!(world.sides[0].kernel.values().all(|flow| flow.timeout == REAL));
}

#[test]
fn who_ends_alone_leaves_its_flows_as_they_are() {
    let mut world = World::open(Mode::Ftfw, 0);
    world.packets(0, flow(1));
    world.loss = 100;
    world.run(6_000);
    world.feed(0, Input::Serving(false));
    world.now += Duration::from_millis(1);
    let mut out = Vec::new();
    world.sides[0].machine.tick(world.now, &mut out);
    world.sides[0].machine.handle(world.now, Input::Dumped(flow(1)), &mut out);
    let touched =
        |effect: &Effect| matches!(effect, Effect::Replace(_) | Effect::Delete(_) | Effect::Put(_));
    assert!(!out.iter().any(touched), "{out:?}");
}

#[test]
fn windows_without_scales_are_not_checked_again() {
    let mut world = World::open(Mode::Ftfw, 0);
    let state = State::Tcp { state: tcp::ESTABLISHED, flags: [0; 2], scales: [0; 2] };
    world.packets(0, Flow { state, ..flow(1) });
    world.packets(0, flow(2));
    world.run(50);
    world.feed(1, Input::Serving(true));
    world.run(12_000);
    assert_eq!(world.sides[1].strict, 1);
}

#[test]
fn the_end_of_a_copy_is_never_told_and_the_copy_comes_back() {
    for mode in [Mode::Ftfw, Mode::Notrack] {
        let mut world = World::open(mode, 0);
        (0..10).for_each(|number| world.packets(0, flow(number)));
        world.run(50);
        world.ends(1, &flow(4));
        world.run(50);
        assert_eq!(world.keys(0).len(), 10, "it lives where its packets are");
        world.run(4_000);
        assert_eq!(world.keys(1), world.keys(0));
    }
}

#[test]
fn a_peer_that_ends_its_copy_does_not_end_the_flow() {
    let mut world = World::open(Mode::Notrack, 0);
    world.packets(0, flow(1));
    world.run(50);
    // As conntrackd does without caches: the end of its copy is told like any other.
    let (mut attributes, mut bytes) = (Vec::new(), Vec::new());
    assert!(wire::encode_key(&flow(1).key, &mut attributes));
    wire::write_flow(Change::Gone, &attributes, 0, 5, &mut bytes);
    world.sides[1].kernel.clear();
    world.sides[1].machine.index.walk(|_, _| None);
    world.feed(0, Input::Datagram(bytes));
    world.run(50);
    assert_eq!(world.keys(0), [flow(1).key]);
    assert_eq!(world.keys(1), [flow(1).key], "the peer was told again");
    assert_eq!(world.sides[0].machine.counters().collided, 1);
}

#[test]
fn who_is_silent_is_dead_and_all_is_told_when_it_is_back() {
    let mut world = World::open(Mode::Ftfw, 0);
    (0..10).for_each(|number| world.packets(0, flow(number)));
    world.run(50);
    world.loss = 100;
    world.run(6_000);
    assert!(!world.sides[0].machine.standing(world.now).open);
    world.ends(0, &flow(1));
    (20..30).for_each(|number| world.packets(0, flow(number)));
    world.run(2_000);
    world.loss = 0;
    world.run(5_000);
    assert_eq!(world.keys(1), world.keys(0));
    assert_eq!(world.keys(0).len(), 19);
}

#[test]
fn a_new_process_of_the_peer_is_told_everything() {
    let mut world = World::open(Mode::Ftfw, 0);
    (0..100).for_each(|number| world.packets(0, flow(number)));
    world.run(50);
    world.sides[1].machine = Conntrackd::new(settings(Mode::Ftfw, 77), world.now);
    world.sides[1].kernel.clear();
    world.run(3_000);
    assert_eq!(world.keys(1), world.keys(0));
    assert_eq!(world.sides[1].machine.copies(), 100);
}

#[test]
fn copies_are_renewed_for_as_long_as_the_peer_names_them() {
    let mut world = World::open(Mode::Ftfw, 0);
    world.packets(0, flow(1));
    world.packets(0, flow(2));
    world.run(50);
    // One that the peer's table does not have, as if the news of its end had been lost.
    world.sides[0].kernel.remove(&flow(2).key);
    world.sides[0].machine.index.walk(|name, entry| {
        (name != settings(Mode::Ftfw, 0).key.name(&flow(2).key)).then_some(entry)
    });
    // An hour in steps of ten seconds: leases run.
    for _ in 0..360 {
        world.now += Duration::from_secs(9);
        let ages = world.sides[1].kernel.values_mut();
        ages.for_each(|flow| flow.timeout = flow.timeout.saturating_sub(10));
        world.run(1_000 / 4);
        for at in 0..2 {
            // Neither takes the other for dead because of our steps.
            let heard = world.now;
            world.sides[at].machine.session.hear_for_tests(heard);
        }
        world.sides[1].kernel.retain(|_, flow| flow.timeout > 0);
    }
    assert_eq!(world.keys(1), [flow(1).key]);
}

#[test]
fn everything_is_told_again_when_it_is_not_known_what_is_missing() {
    let mut world = World::open(Mode::Ftfw, 0);
    (0..10).for_each(|number| world.packets(0, flow(number)));
    world.run(50);
    world.sides[1].kernel.clear();
    world.sides[1].machine.index.walk(|_, _| None);
    // The peer asks for messages that we do not have any more.
    let mut bytes = Vec::new();
    let newest = world.sides[0].machine.session.newest_for_tests();
    wire::write_control(Control::Nack(1, 3), 0, newest.wrapping_add(1), &mut bytes);
    let bulks = world.sides[0].machine.counters().bulks;
    world.feed(0, Input::Datagram(bytes));
    world.run(1_000);
    assert_eq!(world.sides[0].machine.counters().bulks, bulks + 1);
    assert_eq!(world.keys(1), world.keys(0));
}

#[test]
fn the_greeting_is_that_of_conntrackd() {
    let mut world = World::new(Mode::Ftfw, 0);
    let mut out = Vec::new();
    world.sides[0].machine.tick(world.now, &mut out);
    let sent = out.iter().find_map(|effect| match effect {
        Effect::Send(bytes) => Some(bytes.clone()),
        _ => None,
    });
    world.carry_out(0, out);
    let first = sent.unwrap_or_default();
    let mut expected = Vec::new();
    wire::write_control(Control::Alive, flag::HELLO, 1_000, &mut expected);
    assert_eq!(first, expected);
    world.run(3_000);
    // In calm each acknowledges the acknowledgements of the other, about once a second.
    let before = world.sent;
    world.run(10_000);
    assert!((16..=30).contains(&(world.sent - before)), "{}", world.sent - before);
}

#[test]
fn nothing_that_anybody_sends_makes_it_fail_or_run_hot() {
    let mut dice = Dice(99);
    let mut world = World::open(Mode::Ftfw, 0);
    (0..20).for_each(|number| world.packets(0, flow(number)));
    let mut seen = Vec::new();
    for _ in 0..40 {
        world.step();
        seen.extend(world.sides[0].inbox.iter().cloned());
        seen.extend(world.sides[1].inbox.iter().cloned());
    }
    world.run(2_000);
    seen.extend([hello(5), hello(u32::MAX)]);
    assert!(seen.len() > 2);
    for _ in 0..5_000 {
        let at = dice.index(seen.len());
        let bytes = dice.mutate(&seen[at]);
        world.feed(0, Input::Datagram(bytes));
        world.step();
    }
    // However it was treated, it does not want to be called without end.
    let machine = &mut world.sides[0].machine;
    let mut calls = 0;
    let mut now = world.now;
    while now < world.now + Duration::from_secs(1) {
        machine.tick(now, &mut Vec::new());
        now = machine.deadline().unwrap_or(now + Duration::from_secs(1)).max(now);
        calls += 1;
        assert!(calls < 2_000, "it is called without end");
    }
}

fn hello(sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::write_control(Control::Alive, flag::HELLO, sequence, &mut bytes);
    bytes
}
