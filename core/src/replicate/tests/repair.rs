//! What is late is not lost, and what nobody has told is looked for.

use super::super::inbox::INBOX_MAX;
use super::super::send::{ACK_WITHIN, BEHIND_MAX, OVERTAKEN_BY};
use super::*;
use crate::wire::replica::{self, ACK_BITS, Ack, Item};

const READER: NodeId = NodeId(1);

/// A machine that serves and has one reader, and what it has sent.
struct Owner {
    machine: Replicator,
    now: Instant,
    sent: Vec<(u64, Vec<u8>)>,
    dumps: usize,
}

impl Owner {
    fn new() -> Owner {
        Owner::read_by(1)
    }

    fn read_by(readers: usize) -> Owner {
        let now = Instant::from_nanos(1_000_000_000);
        let machine = Replicator::new(settings(0, Incarnation([1; 16])), now);
        let mut owner = Owner { machine, now, sent: Vec::new(), dumps: 0 };
        let reader = |at: u8| {
            let (node, incarnation) = (NodeId(u16::from(at)), Incarnation([at + 1; 16]));
            Sight { node, incarnation, serves: false }
        };
        owner.feed(Input::Peers([1, 2].map(reader)[..readers].to_vec()));
        owner.feed(Input::Serving(true));
        owner.wait(10 * MS);
        owner.feed(Input::DumpEnded(true));
        owner
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.machine.handle(self.now, input, &mut out);
        self.note(out);
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
        let mut out = Vec::new();
        self.machine.tick(self.now, &mut out);
        self.note(out);
    }

    fn note(&mut self, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Send(body) => {
                    let number = replica::Body::read(&body).unwrap().number;
                    self.sent.push((number, body));
                }
                Effect::Dump => self.dumps += 1,
                _ => {}
            }
        }
    }

    fn hear(&mut self, item: &Item<'_>) {
        let mut body = Vec::new();
        replica::begin(0, 0, &mut body);
        replica::write(item, &self.machine.settings.names.clone(), &mut body);
        let incarnation = Incarnation([2; 16]);
        self.feed(Input::Packet { from: READER, incarnation, body });
    }

    /// The reader has all numbers below `base`, and these.
    fn acknowledge(&mut self, base: u64, more: &[u64]) {
        let mut bits = vec![0; 4];
        for number in more {
            let ahead = number - base;
            bits[usize::try_from(ahead / 64).unwrap()] |= 1 << (ahead % 64);
        }
        let (node, incarnation) = (self.machine.settings.me, self.machine.settings.incarnation);
        self.hear(&Item::Ack(Ack { node, incarnation, synced: true, base, bits }));
    }

    /// The numbers of what was sent since this was asked last: from a reading, or not.
    fn numbers(&mut self, bulk: bool) -> Vec<u64> {
        let kind = |(number, body): &(u64, Vec<u8>)| {
            (*number > 0 && replica::is_bulk(body) == bulk).then_some(*number)
        };
        self.sent.iter().filter_map(kind).collect()
    }

    /// A change that goes out in a packet of its own.
    fn change(&mut self, number: u32) {
        self.feed(Input::Changed(flow(number)));
        self.wait(4 * MS);
    }

    /// A whole reading of this table, of which the reader wants everything.
    fn read(&mut self, table: impl Iterator<Item = u32>) {
        self.hear(&Item::Want(self.machine.settings.me, BucketSet::all()));
        self.wait(10 * MS);
        table.for_each(|number| self.feed(Input::Dumped(flow(number))));
        self.feed(Input::DumpEnded(true));
    }
}

#[test]
fn what_comes_of_a_reading_is_overtaken_by_its_like_alone() {
    let mut owner = Owner::new();
    owner.read(0..1_000);
    let bulk = owner.numbers(true);
    assert!(bulk.len() > 20, "{bulk:?}");
    owner.sent.clear();
    (2_000..2_020).for_each(|number| owner.change(number));
    let changes = owner.numbers(false);
    assert!(changes.len() >= 20);
    owner.acknowledge(bulk[0], &changes);
    assert_eq!(owner.machine.counters.lost, 0, "they wait behind the changes");
    let late: Vec<u64> = bulk[1..=usize::try_from(OVERTAKEN_BY).unwrap()].to_vec();
    owner.acknowledge(bulk[0], &[&late[..], &changes[..]].concat());
    assert_eq!(owner.machine.counters.lost, 1, "eight of its like have come");
}

#[test]
fn who_is_late_for_long_is_not_told_everything_again() {
    let mut owner = Owner::new();
    // It acknowledges each packet after 400 ms.
    for number in 0..1_000 {
        owner.sent.clear();
        owner.change(number);
        let newest = owner.machine.outbox.number();
        if newest > 100 {
            owner.acknowledge(newest - 100, &[]);
        }
    }
    let Counters { lost, told, .. } = owner.machine.counters;
    assert!(told >= 1_000);
    assert!(lost <= 300, "{lost} of {told} packets were told again");
    assert!(owner.machine.readers[&READER].paces[0].patience > ACK_WITHIN);
}

/// How often flows were told again.
fn retold(owner: &Owner) -> u64 {
    owner.machine.counters.retold
}

#[test]
fn two_lost_packets_at_the_end_are_told_again_as_soon_as_one() {
    let mut owner = Owner::new();
    owner.change(1);
    owner.acknowledge(owner.machine.outbox.number() + 1, &[]);
    let newer = Flow { mark: 7, ..flow(2) };
    owner.change(2);
    owner.wait(40 * MS);
    // The first one has nothing to tell again then.
    owner.feed(Input::Changed(newer));
    owner.wait(4 * MS);
    owner.wait(ACK_WITHIN - 30 * MS);
    assert_eq!((owner.machine.counters.lost, retold(&owner)), (1, 0));
    owner.wait(40 * MS);
    assert_eq!((owner.machine.counters.lost, retold(&owner)), (2, 1));
}

#[test]
fn what_was_lost_before_others_came_makes_nobody_slow() {
    let mut owner = Owner::new();
    owner.change(1);
    owner.change(2);
    let number = owner.machine.outbox.number();
    owner.acknowledge(number - 1, &[number]);
    owner.wait(ACK_WITHIN);
    assert_eq!(retold(&owner), 1);
    assert_eq!(owner.machine.readers[&READER].paces[0].patience, ACK_WITHIN);
}

#[test]
fn an_acknowledgement_that_was_lost_makes_nobody_slow() {
    let mut owner = Owner::new();
    owner.change(1);
    owner.wait(200 * MS);
    owner.change(2);
    owner.acknowledge(owner.machine.outbox.number() + 1, &[]);
    assert_eq!(owner.machine.readers[&READER].paces[0].patience, ACK_WITHIN);
}

#[test]
fn who_takes_readings_slowly_is_not_told_everything_again_for_its_fast_answers() {
    let mut owner = Owner::new();
    owner.read(0..1_000);
    let bulk = owner.numbers(true);
    owner.wait(200 * MS);
    owner.acknowledge(bulk[0] + 1, &[]);
    assert_eq!(owner.machine.readers[&READER].paces[1].patience, 400 * MS);
    owner.sent.clear();
    owner.change(2_000);
    let change = owner.numbers(false);
    owner.acknowledge(bulk[0] + 1, &change);
    owner.wait(100 * MS);
    assert_eq!(owner.machine.counters.lost, 0, "readings may take longer than changes");
    owner.change(2_001);
    owner.wait(ACK_WITHIN - 10 * MS);
    owner.sent.clear();
    owner.wait(20 * MS);
    assert!(!owner.numbers(false).is_empty(), "changes may not");
}

#[test]
fn one_dead_reader_does_not_delay_what_another_one_has_lost() {
    let mut owner = Owner::read_by(2);
    // Nothing is ever heard of the second reader.
    for number in 0..8 {
        owner.change(number);
        owner.acknowledge(owner.machine.outbox.number() + 1, &[]);
        owner.wait(60 * MS);
    }
    assert!(owner.machine.readers[&NodeId(2)].paces[0].patience > ACK_WITHIN);
    owner.change(100);
    let number = owner.machine.outbox.number();
    owner.wait(ACK_WITHIN);
    let mut sent = owner.machine.outbox.sent.iter();
    assert!(!sent.any(|sent| sent.number == number && sent.waits.contains(&READER)));
}

#[test]
fn what_a_receiver_is_about_to_forget_is_lost() {
    let mut owner = Owner::new();
    owner.read(0..10);
    let bulk = owner.numbers(true);
    assert_eq!(bulk.len(), 1);
    let (node, incarnation) = (owner.machine.settings.me, owner.machine.settings.incarnation);
    owner.feed(Input::HandingOver(true));
    for number in 1_000.. {
        assert_eq!(owner.machine.counters.lost, 0, "it may wait behind changes");
        owner.feed(Input::Changed(flow(number)));
        let ahead = owner.machine.outbox.number() - bulk[0];
        let has = |at: u64| if at > 0 && at <= ahead { 1 << (at % 64) } else { 0 };
        let word = |word: u64| (64 * word..64 * word + 64).map(has).sum();
        let bits = (0..16).map(word).collect();
        owner.hear(&Item::Ack(Ack { node, incarnation, synced: true, base: bulk[0], bits }));
        if ahead >= BEHIND_MAX {
            break;
        }
    }
    assert_eq!((owner.machine.counters.lost, retold(&owner)), (1, 10));
}

#[test]
fn a_copy_is_not_whole_when_a_missing_packet_is_forgotten() {
    let mut world = World::new(2);
    world.packet(0, &flow(1));
    world.run(1_500 * MS);
    assert!(world.synced(1, 0));
    let incoming = world.host(1).machine.incoming.get_mut(&NodeId(0)).unwrap();
    let base = incoming.highest + 1;
    let mut packets = (base..=base + ACK_BITS as u64).filter(|it| ![base, base + 9].contains(it));
    let take = |world: &mut World, number| {
        let mut body = Vec::new();
        replica::begin(number, base, &mut body);
        let incarnation = Incarnation([1; 16]);
        world.feed(1, Input::Packet { from: NodeId(0), incarnation, body });
    };
    for number in packets.by_ref().take(ACK_BITS - 2) {
        take(&mut world, number);
    }
    assert!(world.synced(1, 0), "it may still come");
    take(&mut world, packets.next().unwrap());
    assert!(!world.synced(1, 0));
}

#[test]
fn lost_news_makes_no_storm_of_readings() {
    let mut owner = Owner::new();
    owner.wait(PASS_EVERY);
    let dumps = owner.dumps;
    owner.wait(1_000 * MS);
    owner.feed(Input::DumpEnded(true));
    for _ in 0..9 {
        owner.wait(100 * MS);
        owner.feed(Input::NewsLost);
        owner.wait(MS);
    }
    assert_eq!(owner.dumps, dumps, "it took a second and rests for one");
    owner.wait(200 * MS);
    assert_eq!(owner.dumps, dumps + 1);
}

#[test]
fn a_flow_that_is_refused_for_ever_is_not_asked_for_all_the_time() {
    let mut world = World::new(2);
    (0..10).for_each(|number| world.packet(0, &flow(number)));
    world.run(2_000 * MS);
    let before = world.host(0).machine.pass.next_round();
    for _ in 0..600 {
        // The kernel of the standby refuses it whenever it is told.
        world.host(1).table.remove(&flow(3).key);
        world.feed(1, Input::Refused(flow(3).key));
        world.run(100 * MS);
    }
    let readings = world.host(0).machine.pass.next_round() - before;
    // One each five seconds is read in any case.
    assert!((12..=24).contains(&readings), "{readings} in a minute");
    world.run(12_000 * MS);
    assert!(world.equal(0, 1) && world.synced(1, 0));
    world.host(1).table.remove(&flow(3).key);
    world.feed(1, Input::Refused(flow(3).key));
    world.run(2_500 * MS);
    assert!(world.equal(0, 1), "once it was equal, it is asked for at once");
}

#[test]
fn news_that_is_lost_while_the_table_is_read_starts_another_reading_soon() {
    let mut owner = Owner::new();
    owner.wait(PASS_EVERY);
    let dumps = owner.dumps;
    owner.feed(Input::NewsLost);
    owner.wait(50 * MS);
    owner.feed(Input::DumpEnded(true));
    assert_eq!(owner.dumps, dumps);
    owner.wait(150 * MS);
    assert_eq!(owner.dumps, dumps + 1, "the lost news may be of a place that was read before");
    owner.feed(Input::DumpEnded(true));
    owner.wait(150 * MS);
    assert_eq!(owner.dumps, dumps + 1, "and no more");
}

#[test]
fn a_reading_with_gaps_is_begun_again_soon() {
    let mut owner = Owner::new();
    owner.wait(PASS_EVERY);
    let dumps = owner.dumps;
    owner.feed(Input::DumpEnded(false));
    owner.wait(150 * MS);
    assert_eq!(owner.dumps, dumps + 1);
}

#[test]
fn changes_leave_the_inbox_first_and_it_has_bounds() {
    let packet = |begin: fn(u64, u64, &mut Vec<u8>), number| {
        let mut body = Vec::new();
        begin(number, 1, &mut body);
        body
    };
    let mut inbox = Inbox::default();
    let incarnation = Incarnation([2; 16]);
    for number in 1..=INBOX_MAX as u64 {
        assert!(inbox.put(READER, incarnation, packet(replica::begin_bulk, number)));
    }
    let (bulk, change) = (packet(replica::begin_bulk, 9), packet(replica::begin, 2_000));
    assert!(!inbox.put(READER, incarnation, bulk), "there is no room");
    assert!(inbox.put(READER, incarnation, change.clone()), "there is for changes");
    let body = |input: Option<Input>| match input {
        Some(Input::Packet { body, .. }) => Some(body),
        _ => None,
    };
    assert_eq!(body(inbox.next_change()), Some(change));
    assert_eq!(body(inbox.next_change()), None);
    assert_eq!(body(inbox.next_bulk()), Some(packet(replica::begin_bulk, 1)));
    assert!(!inbox.is_empty());
}
