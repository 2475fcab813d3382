//! The receiving side: what has come of a stream, and what follows from each value in it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::compare::older;
use super::index::{Entry, Stream, bucket_of, mark};
use super::offer::offered;
use super::send::low;
use super::window::Window;
use super::{Effect, Note, Replicator, stream_of};
use crate::flow::{Flow, FlowHash, FlowKey};
use crate::ident::{Incarnation, NodeId};
use crate::time::{Instant, earliest};
use crate::wire::flow as flow_bytes;
use crate::wire::replica::{self, Ack, Body, BucketSet, Item};

/// How long packets wait to be acknowledged together: an acknowledgement costs the receiver as much as two
/// connections.
pub const ACK_DELAY: Duration = Duration::from_millis(20);
/// The same while one is missing: what was lost is to be told again soon.
pub const ACK_DELAY_MISSING: Duration = Duration::from_millis(10);
/// So many packets are acknowledged at once.
pub const ACK_PACKETS: u32 = 16;
/// A copy is not taken for whole any more when its owner has said nothing for so long: it tells its sums
/// each second.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);
/// How soon after a flow was disowned by its former owner its timeout is looked after.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// Flows that are gone are remembered until all earlier packets have come; at most so many.
const GONE_MAX: usize = 65_536;

/// Ends of readings of a peer that wait for what was told before them; the sums show it where more do.
const SWEEPS_MAX: usize = 16;

/// No process sends so many packets: a higher number is a defect of the sender's software.
const NUMBER_MAX: u64 = u64::MAX >> 1;

/// The end of a reading: what was not told since it began is gone.
#[derive(Clone, Hash, Debug)]
struct Sweep {
    /// Of the packet that said so.
    number: u64,
    /// Of the first packet of the reading.
    first: u64,
    buckets: BucketSet,
    /// Sums that were told when nothing up to `number` could be repaired any more. What was lost of the
    /// reading and told again came before them.
    proven_by: Option<u64>,
}

/// The stream of a peer's process.
#[derive(Clone, Hash, Debug)]
pub(super) struct Incoming {
    /// The process.
    pub incarnation: Incarnation,
    /// Our copy is whole, as far as we know.
    pub synced: bool,
    /// When it was last found equal.
    pub verified_at: Option<Instant>,
    /// What we have asked for and have not got yet, and when we asked last.
    pub wanted: Option<(BucketSet, Instant)>,
    /// How long nothing more is asked for, and until when: it may differ whatever we are told.
    pub asks: Option<(Duration, Instant)>,
    /// The packet in which it last took flows over. What older ones say of flows that are not known as its own
    /// is of a time before others had them.
    pub adopted_in: u64,
    /// The highest number that has come, and when.
    pub highest: u64,
    pub heard_at: Option<Instant>,
    window: Window,
    gone: BTreeMap<FlowHash, u64>,
    gone_order: VecDeque<(u64, FlowHash)>,
    sweeps: VecDeque<Sweep>,
    /// The lowest number that could still be repaired when the newest packet was sent.
    oldest: u64,
    unacknowledged: u32,
    acknowledge_at: Option<Instant>,
}

impl Incoming {
    pub fn new(incarnation: Incarnation) -> Incoming {
        Incoming {
            incarnation,
            synced: false,
            verified_at: None,
            wanted: None,
            asks: None,
            adopted_in: 0,
            highest: 0,
            heard_at: None,
            window: Window::default(),
            gone: BTreeMap::new(),
            gone_order: VecDeque::new(),
            sweeps: VecDeque::new(),
            oldest: 0,
            unacknowledged: 0,
            acknowledge_at: None,
        }
    }

    /// Sums were told: behind what was told again of all that could not be repaired at that time.
    fn prove_sweeps(&mut self, sums: u64) {
        let oldest = self.oldest;
        for sweep in self.sweeps.iter_mut().filter(|sweep| sweep.number < oldest) {
            sweep.proven_by.get_or_insert(sums);
        }
    }

    /// A packet does not come any more: it is told again, and sums behind it prove nothing of that.
    fn doubt_sweeps(&mut self, lost: u64) {
        for sweep in &mut self.sweeps {
            sweep.proven_by = sweep.proven_by.filter(|sums| *sums < lost);
        }
    }

    /// Takes a sweep for which everything has come that was told before it.
    fn next_sweep(&mut self) -> Option<Sweep> {
        let base = self.window.base;
        if self.sweeps.iter().any(|sweep| sweep.number < base) {
            self.wanted = None;
        }
        let ready = |sweep: &Sweep| sweep.proven_by.is_some_and(|sums| sums < base);
        self.sweeps.pop_front_if(|sweep| ready(sweep))
    }

    pub fn deadline(&self) -> Option<Instant> {
        let asked = self.wanted.as_ref().map(|(_, at)| *at + super::compare::ASK_AGAIN);
        let silent = self.heard_at.filter(|_| self.synced).map(|at| at + SILENT_AFTER);
        [asked, silent].into_iter().fold(self.acknowledge_at, earliest)
    }

    /// Whether a packet has come before one that was sent earlier.
    fn lacks_some(&self) -> bool {
        self.window.base <= self.highest
    }

    /// Whether every packet up to this one has come or is given up, and none after it.
    fn is_complete_at(&self, number: u64) -> bool {
        self.window.base == number + 1 && self.highest == number
    }

    /// A flow is gone as of a packet: what older packets say of it does not count.
    fn bury(&mut self, name: FlowHash, number: u64) {
        if !self.is_buried(name, number)
            && self.window.base <= number
            && self.gone_order.len() < GONE_MAX
        {
            self.gone.insert(name, number);
            self.gone_order.push_back((number, name));
        }
    }

    fn is_buried(&self, name: FlowHash, number: u64) -> bool {
        self.gone.get(&name).is_some_and(|buried| number < *buried)
    }

    fn forget_buried(&mut self) {
        while let Some((number, name)) =
            self.gone_order.front().copied().filter(|(number, _)| *number < self.window.base)
        {
            self.gone_order.pop_front();
            if self.gone.get(&name) == Some(&number) {
                self.gone.remove(&name);
            }
        }
    }
}

impl Replicator {
    /// Takes a datagram whose seal was right.
    pub(super) fn take_packet(
        &mut self,
        now: Instant,
        from: NodeId,
        incarnation: Incarnation,
        bytes: &[u8],
        out: &mut Vec<Effect>,
    ) {
        let possible = |body: &Body<'_>| body.number.max(body.oldest) <= NUMBER_MAX;
        let Some(body) = Body::read(bytes).ok().filter(possible) else {
            self.counters.refused += 1;
            return;
        };
        let Some(incoming) =
            self.incoming.get_mut(&from).filter(|incoming| incoming.incarnation == incarnation)
        else {
            self.counters.refused += 1;
            return;
        };
        if body.number > 0 {
            if incoming.highest == 0 {
                incoming.window.base = body.oldest;
            }
            let oldest = body.oldest.min(body.number);
            if incoming.window.base < oldest {
                incoming.doubt_sweeps(incoming.window.base);
            }
            incoming.window.advance(oldest);
            // Pushed out of the window: what is missing there is found by sums alone.
            if !incoming.window.reaches(body.number) {
                incoming.synced = false;
            }
            let fresh = incoming.window.take(body.number);
            incoming.oldest = body.oldest;
            incoming.highest = incoming.highest.max(body.number);
            incoming.heard_at = Some(now);
            incoming.unacknowledged += 1;
            let delay = if incoming.lacks_some() { ACK_DELAY_MISSING } else { ACK_DELAY };
            incoming.acknowledge_at = earliest(incoming.acknowledge_at, Some(now + delay));
            if !fresh {
                self.counters.duplicates += 1;
                return;
            }
        }
        let names = self.settings.names.clone();
        for item in body.items(&names) {
            match item {
                Ok(item) => self.take_item(now, from, &body, item, out),
                Err(_) => {
                    self.counters.refused += 1;
                    break;
                }
            }
        }
        self.finish_packet(now, from, out);
    }

    fn finish_packet(&mut self, now: Instant, from: NodeId, out: &mut Vec<Effect>) {
        let Some(incoming) = self.incoming.get_mut(&from) else { return };
        incoming.forget_buried();
        if incoming.unacknowledged >= ACK_PACKETS {
            incoming.acknowledge_at = Some(now);
        }
        self.sweep_ready(now, from);
        self.acknowledge(now, out);
    }

    fn sweep_ready(&mut self, now: Instant, from: NodeId) {
        while let Some(sweep) = self.incoming.get_mut(&from).and_then(Incoming::next_sweep) {
            self.sweep(now, from, sweep.first, &sweep.buckets);
        }
    }

    fn take_item(
        &mut self,
        now: Instant,
        from: NodeId,
        body: &Body<'_>,
        item: Item<'_>,
        out: &mut Vec<Effect>,
    ) {
        let number = body.number;
        match item {
            Item::Flow(bytes) => self.take_flow(now, from, number, bytes, out),
            Item::Gone(bytes) => self.take_gone(now, from, number, bytes, false, out),
            Item::Disowned(bytes) => self.take_gone(now, from, number, bytes, true, out),
            Item::Offer(bytes) => self.take_offer(now, from, bytes, out),
            Item::Ack(ack) => self.take_ack(now, from, &ack, out),
            Item::Sums(sums) => {
                if let Some(incoming) = self.incoming.get_mut(&from) {
                    incoming.prove_sweeps(number);
                }
                self.sweep_ready(now, from);
                if self.is_comparable(from, number) {
                    self.compare_groups(now, from, &sums, out);
                }
            }
            Item::Details(group, sums) => {
                if self.is_comparable(from, body.as_of()) {
                    self.compare_buckets(now, from, group, &sums, out);
                }
            }
            Item::Ask(node, groups) if node == self.settings.me => self.outbox.say_details(groups),
            // Who asks again while the end of what it asked for is on its way has only to wait.
            Item::Want(node, buckets) if node == self.settings.me => {
                if !(self.pass.has_told(&buckets) && self.outbox.has_sweep()) {
                    self.pass.tell(now, &buckets);
                }
            }
            Item::Swept(first, buckets) => {
                if let Some(incoming) = self.incoming.get_mut(&from) {
                    let sweep = Sweep { number, first, buckets, proven_by: None };
                    incoming.sweeps.push_back(sweep);
                    if incoming.sweeps.len() > SWEEPS_MAX {
                        incoming.sweeps.pop_front();
                    }
                }
            }
            Item::Adopted(node) => {
                if let Some(incoming) = self.incoming.get_mut(&from) {
                    incoming.adopted_in = incoming.adopted_in.max(number);
                }
                self.take_adopted(now, from, number, node, out);
            }
            Item::Broken(nodes) if nodes.contains(&self.settings.me) => {
                self.set_synced(from, false, out);
            }
            Item::Ask(..) | Item::Want(..) | Item::Broken(_) => {}
        }
    }

    fn is_comparable(&self, from: NodeId, number: u64) -> bool {
        self.incoming.get(&from).is_some_and(|incoming| incoming.is_complete_at(number))
    }

    /// A peer tells a flow of its own.
    fn take_flow(
        &mut self,
        now: Instant,
        from: NodeId,
        number: u64,
        bytes: &[u8],
        out: &mut Vec<Effect>,
    ) {
        let Ok(flow) = flow_bytes::decode(bytes) else {
            self.counters.refused += 1;
            return;
        };
        let name = self.settings.key.name(&flow.key);
        let stream = stream_of(from);
        let known = self.index.get(name);
        let theirs = known.is_some_and(|entry| entry.stream == stream);
        let late = |it: &Incoming| it.is_buried(name, number) || !theirs && number < it.adopted_in;
        if self.incoming.get(&from).is_some_and(late) {
            self.counters.stale += 1;
            return;
        }
        match known {
            Some(entry) if entry.stream == stream && !older(entry.number, low(number)) => {
                self.counters.stale += 1;
                return;
            }
            // It has gone with a group that we have let go: our kernel sees its packets no more.
            Some(entry) if entry.stream == self.stream() && entry.marks & mark::LOOSE != 0 => {
                return self.give_up(from, name, number, flow, out);
            }
            // Two nodes claim it: who serves keeps what it has.
            Some(entry) if entry.stream == self.stream() && self.serving => {
                self.counters.collided += 1;
                return self.correct(from);
            }
            // Our kernel has seen packets of it, and that waits to be told.
            _ if self.serving && self.outbox.has(name) => {
                self.counters.collided += 1;
                return;
            }
            Some(entry) if entry.stream == stream => {}
            // Who serves no more tells again what another one has told anew, or has seen end.
            _ if !self.serves(stream) && self.is_stale(known, name, stream) => {
                self.counters.stale += 1;
                return self.correct(from);
            }
            // Its last word on a flow that we do not have: it is ours.
            _ if !self.serves(stream) && self.serving => {
                self.take_in(now, name, flow, out);
                return self.correct(from);
            }
            Some(_) | None => {}
        }
        let digest = self.settings.key.value(&flow);
        // What was our own is still to be replaced.
        let aged = known.map_or(0, |entry| entry.marks & mark::AGED);
        let marks = self.pass.seen_mark() | aged;
        self.index.put(name, Entry { digest, number: low(number), stream, marks });
        if known.is_none_or(|entry| entry.digest != digest) {
            out.push(Effect::Put(flow));
        }
    }

    /// A flow of ours is a peer's from now on. What our kernel remembers of its sequence numbers is of
    /// the past.
    fn give_up(
        &mut self,
        to: NodeId,
        name: FlowHash,
        number: u64,
        flow: Flow,
        out: &mut Vec<Effect>,
    ) {
        self.outbox.withdraw(name);
        self.outbox.forget_read(name);
        let digest = self.settings.key.value(&flow);
        let (stream, marks) = (stream_of(to), self.pass.seen_mark());
        self.index.put(name, Entry { digest, number: low(number), stream, marks });
        out.push(Effect::Replace(flow));
    }

    /// Whether the word of a node that does not serve, on a flow that is not known as its own, comes
    /// too late: the flow belongs to another one, or has ended since, or is for one that serves to tell.
    fn is_stale(&self, known: Option<Entry>, name: FlowHash, stream: Stream) -> bool {
        known.is_some()
            || self.ended.has(name, stream)
            || !self.serving && self.sights.iter().any(|sight| sight.serves)
    }

    /// A node that serves no more tells what is ours: it may not know yet.
    fn correct(&mut self, from: NodeId) {
        if self.serving && !self.serves(stream_of(from)) {
            self.outbox.say_adopted_again(from);
        }
    }

    /// Whether a peer with this stream serves.
    pub(super) fn serves(&self, stream: Stream) -> bool {
        self.sights.iter().any(|sight| stream_of(sight.node) == stream && sight.serves)
    }

    /// A peer says that a flow of its own is gone; `loose`: from its table at least.
    fn take_gone(
        &mut self,
        now: Instant,
        from: NodeId,
        number: u64,
        bytes: &[u8],
        loose: bool,
        out: &mut Vec<Effect>,
    ) {
        let Ok(key) = flow_bytes::decode_key(bytes) else {
            self.counters.refused += 1;
            return;
        };
        let name = self.settings.key.name(&key);
        let stream = stream_of(from);
        // Who serves says it of the flows of those that serve no more, too.
        let heir = !self.serving && self.serves(stream);
        let counts = |entry: &Entry| entry.stream == stream || heir && !self.serves(entry.stream);
        let known = self.index.get(name).filter(counts);
        let newer = |entry: Entry| entry.stream == stream && !older(entry.number, low(number));
        let buried = |incoming: &Incoming| incoming.is_buried(name, number);
        if known.is_some_and(newer) || self.incoming.get(&from).is_some_and(buried) {
            self.counters.stale += 1;
            return;
        }
        if let Some(incoming) = self.incoming.get_mut(&from) {
            incoming.bury(name, number);
        }
        // It has come to us with a group, and its packets have told nothing yet.
        if let Some(entry) = known.filter(|_| loose && self.serving) {
            let marks = entry.marks | mark::LEASED | mark::LIBERAL;
            let stream = self.stream();
            self.index.put(name, Entry { stream, number: 0, marks, ..entry });
            self.pass.want_soon(now + KEPT_FOR);
            return self.move_here(now);
        }
        self.ended.insert(name, Some(stream));
        // A copy that differed, or that our kernel did not take, is unknown and still in the table.
        let unknown = || self.index.get(name).is_none() && !self.outbox.has(name);
        if known.is_some() || !self.serving && unknown() {
            self.forget(name, key, out);
        }
    }

    fn forget(&mut self, name: FlowHash, key: FlowKey, out: &mut Vec<Effect>) {
        self.index.remove(name);
        out.push(Effect::Delete(key));
    }

    /// The flows of a node belong to another one from now on.
    pub(super) fn take_adopted(
        &mut self,
        now: Instant,
        by: NodeId,
        number: u64,
        from: NodeId,
        out: &mut Vec<Effect>,
    ) {
        let ours = from == self.settings.me;
        if by == from {
            return;
        }
        if ours && self.serving {
            // In a planned handover the successor says so before we have let go.
            self.successor = Some((by, number));
            return;
        }
        // Our kernel has seen packets of them and will not see the next ones: when they come back,
        // their sequence numbers would look wrong.
        let marks = if ours { mark::AGED | mark::FORMER } else { 0 };
        self.change_owner(stream_of(from), stream_of(by), low(number), marks);
        if ours {
            // What we have not told of them yet is no news any more, nor what we were asked for.
            self.outbox.forget_flows();
            self.pass.forget_wanted();
            self.aged = Some(self.pass.next_round());
            self.pass.want_soon(now);
            // Sums may have agreed meanwhile, of other flows. It may be said again and again.
            if std::mem::take(&mut self.has_served) {
                self.set_synced(by, false, out);
            }
        }
    }

    /// All flows of a peer in these buckets were told since a packet: what is older is gone.
    fn sweep(&mut self, now: Instant, from: NodeId, first: u64, buckets: &BucketSet) {
        // It may not have heard of all that it was offered. Its sums will differ, and it is asked again.
        if self.outbox.has_offers() {
            return;
        }
        let (stream, first) = (stream_of(from), low(first));
        let mut helped = false;
        let pass = &mut self.pass;
        self.index.walk(|name, entry| {
            let stale = entry.stream == stream
                && buckets.contains(bucket_of(name))
                && older(entry.number, first);
            if !stale {
                return Some(entry);
            }
            helped = true;
            let offered = offered(entry);
            match offered {
                Some(_) => pass.want_soon(now),
                None => pass.doom(now, name),
            }
            offered
        });
        if helped && let Some(incoming) = self.incoming.get_mut(&from) {
            incoming.asks = None;
        }
        // What a former process of ours has left in the kernel, and nobody has told, is stale too.
        if !self.serving {
            self.pass.doom_unknown(now, buckets);
        }
        self.tidy |= self.serves(stream) && *buckets == BucketSet::all();
    }

    /// Copies of which the owner has said nothing for too long.
    pub(super) fn doubt_silent(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let silent = |incoming: &Incoming| {
            incoming.synced && incoming.heard_at.is_some_and(|at| now >= at + SILENT_AFTER)
        };
        let nodes = self.incoming.iter().filter(|(_, incoming)| silent(incoming));
        for node in nodes.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.set_synced(node, false, out);
        }
    }

    /// What was equal were other flows than those that are a peer's from now on. Of these our kernel may lose
    /// many with the addresses, where they are masqueraded.
    pub(super) fn doubt_all(&mut self, out: &mut Vec<Effect>) {
        let nodes: Vec<NodeId> = self.incoming.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.set_synced(node, false, out));
    }

    pub(super) fn set_synced(&mut self, node: NodeId, synced: bool, out: &mut Vec<Effect>) {
        let Some(incoming) = self.incoming.get_mut(&node) else { return };
        if incoming.synced != synced {
            incoming.synced = synced;
            out.push(Effect::Note(Note::Synced { node, synced }));
        }
    }

    /// Says what has come, where it is time.
    pub(super) fn acknowledge(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for (node, incoming) in &mut self.incoming {
            if incoming.acknowledge_at.is_none_or(|at| at > now) {
                continue;
            }
            incoming.acknowledge_at = None;
            incoming.unacknowledged = 0;
            let ack = Ack {
                node: *node,
                incarnation: incoming.incarnation,
                synced: incoming.synced,
                base: incoming.window.base,
                bits: incoming.window.words(),
            };
            let mut body = Vec::new();
            replica::begin(0, 0, &mut body);
            replica::write(&Item::Ack(ack), &self.settings.names, &mut body);
            out.push(Effect::Send(body));
        }
    }
}
