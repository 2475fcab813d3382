//! No state that is older than one known already ever wins, and what is over is not said again: one
//! machine, and peers of which it hears packet by packet.

use super::*;
use crate::wire::replica::{self, Ack, Item};

const ME: usize = 2;
const ONE: NodeId = NodeId(0);
const OTHER: NodeId = NodeId(1);

/// A machine of the third node, and what it wants.
struct Bench {
    machine: Replicator,
    now: Instant,
    out: Vec<Effect>,
    serves: [bool; 2],
}

impl Bench {
    /// The first node serves.
    fn new() -> Bench {
        let now = Instant::from_nanos(1_000_000_000);
        let machine = Replicator::new(settings(ME, incarnation(ME)), now);
        let mut bench = Bench { machine, now, out: Vec::new(), serves: [true, false] };
        bench.see([true, false]);
        bench.pass(&[]);
        bench
    }

    /// The same, and it has taken a flow over that was ours.
    fn former_owner() -> Bench {
        let mut bench = Bench::new();
        bench.feed(Input::Serving(true));
        bench.feed(Input::Changed(marked(1)));
        bench.wait(10 * MS);
        bench.feed(Input::Serving(false));
        bench.hear(ONE, 1, &[Item::Adopted(NodeId::at(ME))]);
        bench
    }

    fn feed(&mut self, input: Input) {
        self.machine.handle(self.now, input, &mut self.out);
    }

    /// Who of the peers serves.
    fn see(&mut self, serves: [bool; 2]) {
        self.serves = serves;
        let sight = |at: usize| Sight {
            node: NodeId::at(at),
            incarnation: incarnation(at),
            serves: serves[at],
        };
        self.feed(Input::Peers(vec![sight(0), sight(1)]));
    }

    fn hear(&mut self, from: NodeId, number: u64, items: &[Item<'_>]) {
        self.hear_since(from, number, 1, items);
    }

    fn hear_since(&mut self, from: NodeId, number: u64, oldest: u64, items: &[Item<'_>]) {
        let mut body = Vec::new();
        replica::begin(number, oldest, &mut body);
        let names = settings(ME, incarnation(ME)).names;
        items.iter().for_each(|item| replica::write(item, &names, &mut body));
        self.feed(Input::Packet { from, incarnation: incarnation(from.index()), body });
    }

    fn hear_flow(&mut self, from: NodeId, number: u64, flow: &Flow) {
        let mut bytes = Vec::new();
        assert!(flow_bytes::encode(flow, &mut bytes));
        self.hear(from, number, &[Item::Flow(&bytes)]);
    }

    fn hear_gone(&mut self, from: NodeId, number: u64, flow: &Flow) {
        let mut bytes = Vec::new();
        assert!(flow_bytes::encode_key(&flow.key, &mut bytes));
        self.hear(from, number, &[Item::Gone(&bytes)]);
    }

    /// A peer has told all that it has since this number, which is that of the next packet.
    fn sweep(&mut self, from: NodeId, number: u64) {
        self.hear(from, number, &[Item::Swept(number, BucketSet::all())]);
        self.sums(from, number + 1, number + 1);
    }

    /// Sums that fit nothing, told when this was the lowest number that could be repaired.
    fn sums(&mut self, from: NodeId, number: u64, oldest: u64) {
        let sums = Item::Sums(Box::new([7; index::GROUPS]));
        self.hear_since(from, number, oldest, &[sums]);
    }

    /// Lets time pass, with the kernel's table read where the machine wants it.
    fn wait(&mut self, span: Duration) {
        self.now += span;
        self.machine.tick(self.now, &mut self.out);
    }

    /// A whole reading of this table.
    fn pass(&mut self, table: &[Flow]) {
        self.wait(PASS_EVERY);
        table.iter().for_each(|flow| self.feed(Input::Dumped(flow.clone())));
        self.feed(Input::DumpEnded(true));
    }

    /// The marks of what the kernel was told to have, since this was asked last.
    fn put(&mut self) -> Vec<u32> {
        let mark = |effect: Effect| match effect {
            Effect::Put(flow) | Effect::Add(flow) => Some(flow.mark),
            _ => None,
        };
        std::mem::take(&mut self.out).into_iter().filter_map(mark).collect()
    }

    fn has(&mut self, wanted: &Effect) -> bool {
        std::mem::take(&mut self.out).contains(wanted)
    }

    /// The types of the values that were sent since this was asked last.
    fn said(&mut self) -> Vec<u8> {
        let values = |effect: Effect| match effect {
            Effect::Send(body) => {
                crate::wire::tlv::Reader::new(&body[16..]).map(|it| it.unwrap().kind).collect()
            }
            _ => Vec::new(),
        };
        std::mem::take(&mut self.out).into_iter().flat_map(values).collect()
    }
}

fn incarnation(at: usize) -> Incarnation {
    Incarnation([u8::try_from(at).unwrap() + 1; 16])
}

fn marked(mark: u32) -> Flow {
    Flow { mark, ..flow(7) }
}

#[test]
fn what_was_changed_or_deleted_here_is_not_replaced_by_an_older_state_that_comes_late() {
    let meddled = Flow { mark: 99, ..flow(7) };
    let news: [fn(&mut Bench, Flow); 4] = [
        |bench, meddled| bench.feed(Input::Changed(meddled)),
        |bench, meddled| bench.feed(Input::Gone(meddled.key)),
        |bench, meddled| bench.pass(&[meddled]),
        |bench, _| bench.pass(&[]),
    ];
    for meddle in news {
        let mut bench = Bench::new();
        bench.hear_flow(ONE, 2, &marked(2));
        assert_eq!(bench.put(), [2]);
        meddle(&mut bench, meddled.clone());
        bench.hear_flow(ONE, 1, &marked(1));
        assert_eq!(bench.put(), []);
        bench.hear_flow(ONE, 3, &marked(2));
        assert_eq!(bench.put(), [2], "and it is repaired");
        assert_eq!(bench.machine.divergent(), 1, "counted once");
    }
}

#[test]
fn a_copy_that_is_gone_here_goes_when_the_owner_says_so_or_tells_it_no_more() {
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 1, &marked(1));
    bench.feed(Input::Changed(marked(99)));
    bench.hear_gone(ONE, 2, &flow(7));
    assert!(bench.has(&Effect::Delete(flow(7).key)));
    bench.hear_flow(ONE, 3, &marked(3));
    bench.feed(Input::Changed(marked(99)));
    bench.sweep(ONE, 4);
    bench.pass(&[marked(99)]);
    assert!(bench.has(&Effect::Delete(flow(7).key)));
}

#[test]
fn what_an_owner_told_before_it_took_a_flow_over_is_older() {
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 2, &marked(2));
    bench.see([false, true]);
    bench.hear(OTHER, 1, &[Item::Adopted(ONE)]);
    bench.hear_flow(OTHER, 2, &marked(5));
    bench.see([true, false]);
    bench.hear(ONE, 9, &[Item::Adopted(OTHER)]);
    assert_eq!(bench.put(), [2, 5]);
    bench.hear_flow(ONE, 3, &marked(3));
    assert_eq!(bench.put(), []);
    bench.hear_flow(ONE, 10, &marked(6));
    assert_eq!(bench.put(), [6]);
}

#[test]
fn what_was_told_before_others_had_a_flow_does_not_bring_it_back() {
    let mut bench = Bench::new();
    bench.hear(ONE, 1, &[]);
    // 2 waits somewhere, while the other node takes over, sees the flow end, and dies.
    bench.see([false, true]);
    bench.hear(OTHER, 1, &[Item::Adopted(ONE)]);
    bench.hear_flow(OTHER, 2, &marked(2));
    bench.hear_gone(OTHER, 3, &marked(2));
    bench.see([true, false]);
    bench.hear(ONE, 3, &[Item::Adopted(OTHER)]);
    bench.put();
    bench.hear_flow(ONE, 2, &marked(1));
    assert!(bench.put().is_empty());
    bench.hear_flow(ONE, 4, &marked(4));
    assert_eq!(bench.put(), [4], "it has begun anew");
}

#[test]
fn what_our_table_has_not_is_not_offered_and_goes_with_the_next_sweep() {
    let mut bench = Bench::former_owner();
    bench.sweep(ONE, 2);
    bench.pass(&[]);
    bench.sweep(ONE, 4);
    assert_eq!(bench.machine.owner(&flow(7).key), None);
}

#[test]
fn what_is_over_is_not_said_again() {
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 1, &marked(1));
    bench.see([false, false]);
    bench.feed(Input::Serving(true));
    assert!(bench.said().contains(&replica::ADOPTED));
    // It is gone, and back under another owner before that is acknowledged.
    bench.feed(Input::Gone(flow(7).key));
    bench.wait(3 * MS);
    assert!(bench.said().contains(&replica::GONE));
    bench.see([true, false]);
    bench.feed(Input::Serving(false));
    bench.hear_flow(ONE, 2, &marked(2));
    bench.out.clear();
    bench.wait(260 * MS);
    let said = bench.said();
    assert!(!said.contains(&replica::GONE) && !said.contains(&replica::ADOPTED));
    assert_eq!(bench.machine.owner(&flow(7).key), Some(ONE));
}

#[test]
fn what_waits_to_be_told_is_no_news_once_another_one_has_taken_over() {
    let mut bench = Bench::new();
    bench.see([false, false]);
    bench.feed(Input::Serving(true));
    bench.feed(Input::Changed(marked(1)));
    bench.wait(3 * MS);
    bench.feed(Input::Changed(marked(2)));
    bench.see([true, false]);
    bench.feed(Input::Serving(false));
    bench.hear(ONE, 1, &[Item::Adopted(NodeId::at(ME))]);
    bench.out.clear();
    bench.wait(3 * MS);
    assert!(!bench.said().contains(&replica::FLOW));
    assert_eq!(bench.machine.owner(&flow(7).key), Some(ONE));
}

#[test]
fn who_has_taken_over_and_serves_no_more_is_not_the_successor() {
    let mut bench = Bench::new();
    bench.see([false, true]);
    bench.feed(Input::Serving(true));
    bench.feed(Input::Changed(marked(1)));
    bench.wait(3 * MS);
    bench.hear(OTHER, 1, &[Item::Adopted(NodeId::at(ME))]);
    bench.see([true, false]);
    bench.feed(Input::Serving(false));
    assert_eq!(bench.machine.owner(&flow(7).key), Some(NodeId::at(ME)));
}

#[test]
fn what_our_own_kernel_has_seen_is_not_overwritten_before_it_is_told() {
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 1, &marked(1));
    bench.feed(Input::Serving(true));
    bench.feed(Input::Changed(marked(3)));
    bench.out.clear();
    bench.hear_flow(ONE, 2, &marked(2));
    assert_eq!(bench.put(), []);
    assert_eq!(bench.machine.counters.collided, 1);
}

#[test]
fn what_was_our_own_is_replaced_although_it_was_told_again_meanwhile() {
    let mut bench = Bench::new();
    bench.see([false, false]);
    bench.feed(Input::Serving(true));
    bench.feed(Input::Changed(marked(1)));
    bench.wait(3 * MS);
    bench.see([true, false]);
    bench.feed(Input::Serving(false));
    bench.hear(ONE, 1, &[Item::Adopted(NodeId::at(ME))]);
    bench.hear_flow(ONE, 2, &marked(1));
    bench.pass(&[marked(1)]);
    assert!(bench.has(&Effect::Replace(marked(1))));
}

#[test]
fn what_is_doomed_behind_a_reading_goes_with_the_next() {
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 1, &marked(1));
    bench.wait(PASS_EVERY);
    bench.feed(Input::Dumped(marked(1)));
    bench.sweep(ONE, 2);
    bench.feed(Input::DumpEnded(true));
    bench.out.clear();
    bench.wait(150 * MS);
    assert!(bench.has(&Effect::Dump), "at once, and not in two minutes");
    bench.feed(Input::Dumped(marked(1)));
    assert!(bench.has(&Effect::Delete(flow(7).key)));
}

#[test]
fn what_is_doomed_stays_when_its_packets_pass_here() {
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 1, &marked(1));
    bench.sweep(ONE, 2);
    bench.feed(Input::Serving(true));
    bench.pass(&[marked(1)]);
    assert!(!bench.has(&Effect::Delete(flow(7).key)));
    assert_eq!(bench.machine.owner(&flow(7).key), Some(NodeId::at(ME)));
}

#[test]
fn what_was_lost_of_a_reading_and_is_told_again_does_not_go() {
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 1, &marked(1));
    // The reading began with 2, which is lost; 3 is its end. What 2 has told comes again in 5.
    bench.hear(ONE, 3, &[Item::Swept(2, BucketSet::all())]);
    bench.hear_since(ONE, 4, 4, &[]);
    assert_eq!(bench.machine.owner(&flow(7).key), Some(ONE), "2 is given up, and may come again");
    bench.hear_flow(ONE, 5, &marked(1));
    bench.sums(ONE, 6, 4);
    assert_eq!(bench.machine.owner(&flow(7).key), Some(ONE));
    // What is not told again by then is gone.
    bench.hear(ONE, 7, &[Item::Swept(7, BucketSet::all())]);
    bench.sums(ONE, 8, 8);
    assert_eq!(bench.machine.owner(&flow(7).key), None);
}

#[test]
fn what_was_lost_twice_of_a_reading_does_not_go_before_it_is_told() {
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 1, &marked(1));
    // 2 is lost, and told again in 4, which is lost too; the sums come behind that.
    bench.hear(ONE, 3, &[Item::Swept(2, BucketSet::all())]);
    bench.sums(ONE, 5, 4);
    bench.hear_since(ONE, 6, 6, &[]);
    assert_eq!(bench.machine.owner(&flow(7).key), Some(ONE), "4 is told again");
    bench.hear_flow(ONE, 7, &marked(1));
    bench.sums(ONE, 8, 8);
    assert_eq!(bench.machine.owner(&flow(7).key), Some(ONE));
}

#[test]
fn two_ends_of_a_flow_that_come_in_the_wrong_order_bury_what_lies_between() {
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 1, &marked(1));
    // 2 is under way still.
    bench.hear_gone(ONE, 5, &flow(7));
    bench.hear_gone(ONE, 3, &flow(7));
    bench.out.clear();
    bench.hear_flow(ONE, 4, &marked(3));
    assert_eq!(bench.put(), []);
}

#[test]
fn who_serves_no_more_is_not_heard_of_flows_that_another_one_serves_or_has_seen_end() {
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 1, &marked(1));
    bench.see([false, true]);
    bench.hear_gone(OTHER, 1, &flow(7));
    assert!(bench.has(&Effect::Delete(flow(7).key)), "though nobody has said who adopted it");
    bench.hear_flow(ONE, 2, &marked(2));
    assert_eq!(bench.put(), []);
    // The same where we have taken over ourselves, and our kernel has seen it end.
    let mut bench = Bench::new();
    bench.hear_flow(ONE, 1, &marked(1));
    bench.see([false, false]);
    bench.feed(Input::Serving(true));
    bench.feed(Input::Gone(flow(7).key));
    bench.wait(3 * MS);
    bench.out.clear();
    bench.hear_flow(ONE, 2, &marked(2));
    assert_eq!(bench.put(), []);
}

#[test]
fn an_end_outlives_the_node_that_told_it() {
    let mut bench = Bench::new();
    bench.see([true, false]);
    bench.hear_flow(ONE, 1, &marked(1));
    bench.see([false, true]);
    bench.hear_gone(OTHER, 1, &flow(7));
    bench.see([false, false]);
    bench.out.clear();
    bench.hear_flow(ONE, 2, &marked(2));
    assert_eq!(bench.put(), [], "it has missed the end");
    bench.feed(Input::Serving(true));
    let mut bytes = Vec::new();
    assert!(flow_bytes::encode(&marked(2), &mut bytes));
    bench.hear(ONE, 3, &[Item::Offer(&bytes)]);
    assert_eq!(bench.put(), []);
    // Who has served since may have seen it begin again.
    bench.feed(Input::Serving(false));
    bench.see([true, false]);
    bench.see([false, false]);
    bench.hear_flow(ONE, 4, &marked(4));
    assert_eq!(bench.put(), [4]);
}

#[test]
fn the_last_word_of_who_serves_no_more_on_an_unknown_flow_makes_it_ours_and_he_is_told() {
    let mut bench = Bench::new();
    bench.see([false, false]);
    bench.feed(Input::Serving(true));
    bench.out.clear();
    bench.hear_flow(ONE, 1, &marked(2));
    assert!(bench.out.contains(&Effect::Add(marked(2))));
    assert_eq!(bench.machine.owner(&flow(7).key), Some(NodeId::at(ME)));
    let said = bench.said();
    assert!(said.contains(&replica::ADOPTED));
    assert!(!said.contains(&replica::FLOW), "our kernel may have another state of it");
    bench.feed(Input::Changed(marked(2)));
    bench.wait(4 * MS);
    assert!(bench.said().contains(&replica::FLOW));
    bench.pass(&[marked(2)]);
    assert!(bench.has(&Effect::Restore(marked(2))));
}

#[test]
fn what_waits_to_be_offered_or_is_not_acknowledged_outlives_another_sweep() {
    let mut bench = Bench::former_owner();
    assert_eq!(bench.machine.owner(&flow(7).key), Some(ONE));
    // Two readings of the new owner end before ours begins.
    bench.sweep(ONE, 2);
    bench.sweep(ONE, 4);
    assert_eq!(bench.machine.owner(&flow(7).key), Some(ONE), "it is to be offered");
    bench.out.clear();
    bench.pass(&[marked(1)]);
    assert!(bench.said().contains(&replica::OFFER));
    bench.sweep(ONE, 6);
    assert_eq!(bench.machine.owner(&flow(7).key), Some(ONE), "nobody has acknowledged it");
    acknowledge_all(&mut bench);
    bench.sweep(ONE, 8);
    assert_eq!(bench.machine.owner(&flow(7).key), None, "the new owner does not want it");
}

#[test]
fn what_waits_to_be_offered_outlives_that_the_takeover_is_said_again() {
    let mut bench = Bench::former_owner();
    bench.sweep(ONE, 2);
    bench.wait(PASS_EVERY);
    bench.out.clear();
    bench.feed(Input::Dumped(marked(1)));
    bench.hear(ONE, 4, &[Item::Adopted(NodeId::at(ME))]);
    bench.feed(Input::DumpEnded(true));
    assert!(bench.said().contains(&replica::OFFER));
}

#[test]
fn who_still_offers_does_not_ask_for_what_he_offers_to() {
    let mut bench = Bench::former_owner();
    bench.sweep(ONE, 2);
    bench.pass(&[marked(1)]);
    let asks = |bench: &mut Bench, number: u64| {
        bench.wait(compare::ASK_PAUSE_MAX);
        bench.out.clear();
        bench.sums(ONE, number, number);
        bench.said().contains(&replica::ASK)
    };
    assert!(!asks(&mut bench, 4), "it is not acknowledged");
    acknowledge_all(&mut bench);
    assert!(asks(&mut bench, 5));
}

#[test]
fn who_has_lost_his_flows_to_another_one_is_in_sync_when_sums_say_so_again() {
    let mut bench = Bench::new();
    let agree = || Item::Sums(Box::new([0; index::GROUPS]));
    bench.hear(ONE, 1, &[agree()]);
    assert!(bench.machine.is_synced_with(ONE));
    bench.feed(Input::Serving(true));
    bench.feed(Input::Changed(marked(1)));
    bench.wait(10 * MS);
    bench.feed(Input::Serving(false));
    assert!(!bench.machine.is_synced_with(ONE), "what agreed were other flows");
    bench.hear(ONE, 2, &[agree()]);
    bench.hear(ONE, 3, &[Item::Adopted(NodeId::at(ME))]);
    assert!(!bench.machine.is_synced_with(ONE), "nor did they when it had not taken over yet");
}

#[test]
fn who_begins_to_serve_reads_the_table() {
    let mut bench = Bench::new();
    bench.wait(SUMS_EVERY);
    bench.out.clear();
    bench.feed(Input::Serving(true));
    assert!(!bench.has(&Effect::Dump), "addresses come first");
    bench.wait(STRICT_AFTER);
    assert!(bench.has(&Effect::Dump));
}

/// Both peers have got all that was sent.
fn acknowledge_all(bench: &mut Bench) {
    let number = bench.machine.outbox.number();
    for from in [ONE, OTHER] {
        let (node, incarnation) = (NodeId::at(ME), incarnation(ME));
        let ack = Ack { node, incarnation, synced: true, base: number + 1, bits: Vec::new() };
        bench.hear(from, 0, &[Item::Ack(ack)]);
    }
}
