//! Proof: the kernel's table against the index, the index against that of the owner.
//!
//! A *pass* reads the kernel's table whole. It finds flows that no event has told, flows that are
//! gone, copies that somebody has changed; it renews leases; and it tells the flows that a peer
//! wants. The owner tells its sums; a peer whose own differ asks for details, then for the flows of
//! the buckets that differ, and forgets what was not told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::index::{BUCKETS_PER_GROUP, Entry, GROUPS, Stream, bucket_of, mark};
use super::renumber::rekey;
use super::send::{Change, Read, low};
use super::{
    Effect, LEASE, Note, PASS_SHARE, Replicator, SPOILED, STRICT_AFTER, SUMS_EVERY, Wanted,
    is_open, stream_of,
};
use crate::flow::{Flow, FlowHash, State, tcp};
use crate::ident::NodeId;
use crate::time::{Instant, earliest};
use crate::wire::replica::{self, BucketSet, Item};

/// How long an answer may take before it is asked for again.
pub const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How long after a question nothing more is asked for where the answer has not helped; twice as long each time.
/// The kernel may refuse a flow for ever, and each answer costs the owner a reading of its table.
const ASK_PAUSE: Duration = Duration::from_millis(500);
/// The longest such pause.
pub const ASK_PAUSE_MAX: Duration = Duration::from_secs(8);
/// The pause before the next pass where one is wanted.
pub(super) const PASS_SOON: Duration = Duration::from_millis(100);
/// Flows that wait to be found in the kernel's table and deleted; more are found by the next sums.
const DOOMED_MAX: usize = 1 << 20;

/// A whole reading of the kernel's table.
#[derive(Clone, Hash, Debug)]
pub(super) struct Pass {
    running: bool,
    /// How many have begun.
    round: u64,
    began: Instant,
    due: Instant,
    /// When the next one is wanted, before it is due.
    wanted: Option<Instant>,
    /// Until then the table is not read again because of lost news.
    rests_until: Instant,
    /// What [`mark::SEEN`] is for flows that the newest pass has seen.
    seen: u8,
    /// Our newest packet when it began, and the newest one of each peer.
    numbers: BTreeMap<Stream, u32>,
    first: u64,
    /// Buckets that peers want to be told now, and with the next pass.
    telling: Wanted,
    next: Wanted,
    /// What the newest pass that has ended was to tell.
    told: Wanted,
    doomed: Doomed,
    /// What was doomed while this pass was under way: it may have been behind it.
    late: Doomed,
    differ: usize,
}

/// What is to be deleted where a pass finds it, unless it is known by then.
#[derive(Clone, Hash, Debug, Default)]
struct Doomed {
    flows: BTreeSet<FlowHash>,
    /// In these buckets all that looks as if a former process of ours had left it.
    left_overs: BucketSet,
}

impl Doomed {
    fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.left_overs.is_empty()
    }
}

impl Pass {
    pub fn new(now: Instant) -> Pass {
        Pass {
            running: false,
            round: 0,
            began: now,
            due: now,
            wanted: None,
            rests_until: now,
            seen: 0,
            numbers: BTreeMap::new(),
            first: 0,
            telling: Wanted::default(),
            next: Wanted::default(),
            told: Wanted::default(),
            doomed: Doomed::default(),
            late: Doomed::default(),
            differ: 0,
        }
    }

    pub fn is_running(&self) -> bool {
        self.running
    }

    /// The number of the next one that begins.
    pub fn next_round(&self) -> u64 {
        self.round + 1
    }

    pub fn deadline(&self) -> Option<Instant> {
        (!self.running).then(|| self.wanted.map_or(self.due, |wanted| wanted.min(self.due)))
    }

    /// The mark of a flow that need not be seen by the present pass any more.
    pub fn seen_mark(&self) -> u8 {
        self.seen
    }

    /// Streams have other numbers.
    pub fn renumber(&mut self, place: impl Fn(Stream) -> Option<Stream>) {
        rekey(&mut self.numbers, place);
    }

    /// A pass is wanted; one that is under way does not count: it may have read the place already.
    pub fn want_soon(&mut self, at: Instant) {
        self.wanted = earliest(self.wanted, Some(at));
    }

    /// The same, where it may be wanted again and again: the pause before it is as long as the newest one took.
    pub fn want_after_rest(&mut self, at: Instant) {
        self.want_soon(at.max(self.rests_until));
    }

    /// What was wanted meanwhile waits likewise.
    fn rest(&mut self, now: Instant) {
        self.rests_until = now + PASS_SOON.max(now.since(self.began));
        self.wanted = self.wanted.map(|at| at.max(self.rests_until));
    }

    /// Whether the newest pass that has ended has told all flows of these buckets.
    pub fn has_told(&self, buckets: &BucketSet) -> bool {
        buckets.is_within(&self.told)
    }

    /// A peer wants to be told all flows of these buckets.
    pub fn tell(&mut self, now: Instant, buckets: &BucketSet) {
        if self.running && self.telling == *buckets {
            return;
        }
        self.next.extend(buckets);
        self.want_soon(now);
    }

    /// What peers want to be told is not ours any more.
    pub fn forget_wanted(&mut self) {
        (self.telling, self.next) = (Wanted::default(), Wanted::default());
    }

    pub fn doom(&mut self, now: Instant, name: FlowHash) {
        let late = self.running.then_some(&mut self.late);
        for doomed in [Some(&mut self.doomed), late].into_iter().flatten() {
            if doomed.flows.len() < DOOMED_MAX {
                doomed.flows.insert(name);
            }
        }
        self.want_soon(now);
    }

    pub fn doom_unknown(&mut self, now: Instant, buckets: &BucketSet) {
        self.doomed.left_overs.extend(buckets);
        if self.running {
            self.late.left_overs.extend(buckets);
        }
        self.want_soon(now);
    }

    /// Our kernel has seen packets of a flow: it stays.
    pub fn spare(&mut self, name: FlowHash) {
        self.doomed.flows.remove(&name);
        self.late.flows.remove(&name);
    }

    /// From now on packets pass our kernel: nobody knows any more what of the table is stale.
    pub fn spare_all(&mut self) {
        (self.doomed, self.late) = (Doomed::default(), Doomed::default());
    }

    /// Whether a flow was told or heard of since the pass began: the table may show an older state.
    fn is_newer(&self, entry: Entry) -> bool {
        self.numbers.get(&entry.stream).is_none_or(|began| older(*began, entry.number))
    }
}

/// Whether a flow may be a copy that a former process of ours has left: an open TCP connection with
/// no more than a lease. One of this machine's own has days. Others go by themselves when their lease
/// ends.
fn looks_leased(flow: &Flow) -> bool {
    let open = matches!(flow.state, State::Tcp { state: tcp::ESTABLISHED, .. });
    open && u64::from(flow.timeout) <= LEASE.as_secs()
}

/// Whether one number comes before another; they wrap around. 0 comes before all.
pub(super) fn older(number: u32, than: u32) -> bool {
    const HALF: u32 = 1 << 31;
    number != than && (number == 0 || than != 0 && than.wrapping_sub(number) < HALF)
}

impl Replicator {
    /// Begins a pass when it is time.
    pub(super) fn begin_pass(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.pass.deadline().is_none_or(|at| at > now) {
            return;
        }
        let mut numbers: BTreeMap<Stream, u32> =
            self.incoming.iter().map(|(n, i)| (stream_of(*n), low(i.highest))).collect();
        numbers.insert(self.stream(), low(self.outbox.number()));
        let pass = &mut self.pass;
        (pass.running, pass.began, pass.numbers, pass.differ) = (true, now, numbers, 0);
        pass.wanted = None;
        pass.round += 1;
        pass.seen ^= mark::SEEN;
        pass.telling = std::mem::take(&mut pass.next);
        pass.first = self.outbox.number() + 1;
        out.push(Effect::Dump);
    }

    /// A flow of the kernel's table.
    pub(super) fn take_dumped(&mut self, now: Instant, flow: &Flow, out: &mut Vec<Effect>) {
        let name = self.settings.key.name(&flow.key);
        match self.index.get(name) {
            Some(entry) if entry.stream == self.stream() => {
                self.review_own(now, name, entry, flow, out);
            }
            Some(entry) => self.review_copy(name, entry, flow, out),
            None => self.review_unknown(now, name, flow, out),
        }
    }

    fn review_own(
        &mut self,
        now: Instant,
        name: FlowHash,
        entry: Entry,
        flow: &Flow,
        out: &mut Vec<Effect>,
    ) {
        let mut marks = entry.marks & !mark::SEEN | self.pass.seen;
        if marks & mark::LEASED != 0 {
            marks &= !mark::LEASED;
            out.push(Effect::Restore(flow.clone()));
        }
        if marks & mark::LIBERAL != 0 && self.adopted_at.is_none_or(|at| now >= at + STRICT_AFTER) {
            marks &= !mark::LIBERAL;
            out.push(Effect::Strict(flow.key));
        }
        if marks & (mark::LOOSE | mark::LENIENT) == mark::LOOSE
            && matches!(flow.state, State::Tcp { .. })
        {
            marks = marks & !mark::LIBERAL | mark::LENIENT;
            out.push(Effect::Lenient(flow.key));
        }
        self.index.set_marks(name, marks);
        let digest = self.settings.key.value(flow);
        if !is_open(flow) || digest != entry.digest {
            if !self.outbox.has(name) && !self.pass.is_newer(entry) {
                self.counters.missed += 1;
                self.changed(now, flow);
            }
        } else if self.pass.telling.contains(bucket_of(name)) {
            let mut bytes = Vec::with_capacity(64);
            if super::encode(flow, &mut bytes) {
                self.outbox.tell_bulk(Read {
                    name,
                    digest,
                    bytes,
                    known: Some(entry),
                    offer: false,
                });
            }
        }
    }

    fn review_copy(&mut self, name: FlowHash, entry: Entry, flow: &Flow, out: &mut Vec<Effect>) {
        let cleared = mark::SEEN | mark::AGED | mark::OFFER;
        self.index.set_marks(name, entry.marks & !cleared | self.pass.seen);
        if entry.marks & mark::OFFER != 0 {
            self.offer(name, flow);
        }
        let owner = NodeId(u16::from(entry.stream));
        let aged = entry.marks & mark::AGED != 0;
        if self.settings.key.value(flow) != entry.digest {
            if !self.pass.is_newer(entry) && self.spoil(name) {
                self.pass.differ += 1;
            }
        } else if aged {
            out.push(Effect::Replace(flow.clone()));
        } else if u64::from(flow.timeout) < LEASE.as_secs() / 2 && self.is_synced_with(owner) {
            out.push(Effect::Renew(flow.key));
        }
    }

    fn review_unknown(&mut self, now: Instant, name: FlowHash, flow: &Flow, out: &mut Vec<Effect>) {
        let doomed = &self.pass.doomed;
        let left_over =
            !self.serving && doomed.left_overs.contains(bucket_of(name)) && looks_leased(flow);
        let doomed = left_over || doomed.flows.contains(&name);
        if doomed {
            out.push(Effect::Delete(flow.key));
        } else if self.serving && is_open(flow) && !self.outbox.has(name) {
            self.read_first(now, name, flow);
        }
    }

    /// A flow that no event has told. There may be many when we begin, so they are paced.
    fn read_first(&mut self, now: Instant, name: FlowHash, flow: &Flow) {
        let digest = self.settings.key.value(flow);
        let mut bytes = Vec::with_capacity(64);
        if !super::encode(flow, &mut bytes) {
            return;
        }
        if self.readers.is_empty() {
            self.outbox.change(now, name, Change::Flow { bytes, digest });
        } else {
            self.outbox.tell_bulk(Read { name, digest, bytes, known: None, offer: false });
        }
    }

    /// The table was read to its end.
    pub(super) fn end_pass(&mut self, now: Instant, whole: bool, out: &mut Vec<Effect>) {
        if !self.pass.running {
            return;
        }
        self.pass.running = false;
        if whole {
            self.aged = self.aged.filter(|round| *round > self.pass.round);
        }
        let took = now.since(self.pass.began);
        self.pass.due = now + self.settings.read_every.max(took * PASS_SHARE);
        if !whole {
            // Nothing can be said of what was not read; what a peer wants is told another time.
            let again = std::mem::take(&mut self.pass.telling);
            self.pass.next.extend(&again);
            self.pass.rest(now);
            return self.pass.want_after_rest(now);
        }
        self.pass.rest(now);
        self.forget_unseen();
        self.pass.doomed = std::mem::take(&mut self.pass.late);
        if self.pass.differ > 0 {
            self.counters.divergent += self.pass.differ as u64;
            self.divergent += self.pass.differ;
            out.push(Effect::Note(Note::Divergent { flows: self.pass.differ }));
        }
        let told = std::mem::take(&mut self.pass.telling);
        self.pass.told = told.clone();
        if !told.is_empty() {
            let mut value = Vec::new();
            let swept = Item::Swept(self.pass.first, told);
            replica::write(&swept, &self.settings.names, &mut value);
            self.outbox.say(value);
        }
        if !self.pass.next.is_empty() || !self.pass.doomed.is_empty() {
            self.pass.want_soon(now + PASS_SOON);
        }
        if let Some(at) = self.adopted_at {
            // Once more when sequence numbers may be checked again.
            if now < at + STRICT_AFTER {
                self.pass.want_soon(at + STRICT_AFTER);
            } else {
                self.adopted_at = None;
            }
        }
    }

    fn forget_unseen(&mut self) {
        let (me, pass, serving) = (self.stream(), &self.pass, self.serving);
        let ended = &mut self.ended;
        let (mut missed, mut differ) = (0, 0);
        self.index.walk(|name, entry| {
            if entry.marks & mark::SEEN == pass.seen || pass.is_newer(entry) {
                return Some(entry);
            }
            if entry.stream == me {
                missed += 1;
                if serving {
                    ended.insert(name, None);
                }
                return None;
            }
            differ += usize::from(entry.digest != SPOILED);
            // What our table has not cannot be offered to its owner.
            let marks = entry.marks & !(mark::FORMER | mark::OFFER);
            Some(Entry { digest: SPOILED, marks, ..entry })
        });
        self.counters.missed += missed;
        self.pass.differ += differ;
    }

    /// Tells the sums of our flows now and then.
    pub(super) fn tell_sums(&mut self, now: Instant) {
        if self.sums_at <= now {
            self.sums_at = now + SUMS_EVERY;
            if !self.readers.is_empty() {
                self.outbox.say_sums();
            }
        }
    }

    /// The owner's sums, as of the last packet.
    pub(super) fn compare_groups(
        &mut self,
        now: Instant,
        from: NodeId,
        sums: &[u64; GROUPS],
        out: &mut Vec<Effect>,
    ) {
        let ours = self.index.group_sums(stream_of(from));
        let differ = (0..GROUPS).filter(|group| ours[*group] != sums[*group]);
        let groups = differ.fold(0_u64, |bits, group| bits | 1 << group);
        self.set_synced(from, groups == 0, out);
        // What a former process of ours has left in the table is not yet compared; the copy is whole.
        let untidy = !self.tidy && !self.serving && self.sight(from).is_some_and(|it| it.serves);
        let Some(incoming) = self.incoming.get_mut(&from) else { return };
        if groups == 0 {
            self.divergent = 0;
            (incoming.verified_at, incoming.asks) = (Some(now), None);
            if !untidy {
                incoming.wanted = None;
                return;
            }
        }
        if incoming.wanted.is_some() || incoming.asks.is_some_and(|(_, until)| now < until) {
            return;
        }
        // Sums cannot agree before it has what it is offered, and each answer would cost it a reading of all it has.
        if self.outbox.has_offers() {
            return;
        }
        // Where tables differ in what neither has told, sums do not show it.
        if untidy || self.index.count(stream_of(from)) == 0 {
            return self.want(now, from, BucketSet::all(), out);
        }
        self.say_now(&Item::Ask(from, groups), out);
    }

    /// The owner's sums of one group in detail.
    pub(super) fn compare_buckets(
        &mut self,
        now: Instant,
        from: NodeId,
        group: usize,
        sums: &[u64; BUCKETS_PER_GROUP],
        out: &mut Vec<Effect>,
    ) {
        let ours = self.index.sums(stream_of(from));
        let mut buckets = BucketSet::default();
        let first = group * BUCKETS_PER_GROUP;
        let all = first..first + BUCKETS_PER_GROUP;
        all.filter(|bucket| ours[*bucket] != sums[*bucket - first])
            .for_each(|bucket| buckets.insert(bucket));
        if !buckets.is_empty() {
            self.want(now, from, buckets, out);
        }
    }

    /// Asks a peer for all flows of some buckets.
    fn want(&mut self, now: Instant, from: NodeId, buckets: BucketSet, out: &mut Vec<Effect>) {
        let Some(incoming) = self.incoming.get_mut(&from) else { return };
        if incoming.wanted.is_none() {
            let pause = incoming.asks.map_or(ASK_PAUSE, |(last, _)| (last * 2).min(ASK_PAUSE_MAX));
            incoming.asks = Some((pause, now + pause));
        }
        let (wanted, at) = incoming.wanted.get_or_insert_with(|| (BucketSet::default(), now));
        wanted.extend(&buckets);
        *at = now;
        self.say_now(&Item::Want(from, buckets), out);
    }

    /// Asks again for what has not come.
    pub(super) fn ask_again(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let mut late = Vec::new();
        for (node, incoming) in &mut self.incoming {
            if let Some((wanted, at)) = &mut incoming.wanted
                && now >= *at + ASK_AGAIN
            {
                *at = now;
                late.push(Item::Want(*node, wanted.clone()));
            }
        }
        late.iter().for_each(|item| self.say_now(item, out));
    }

    pub(super) fn ask_for_all(&mut self, now: Instant, node: NodeId, out: &mut Vec<Effect>) {
        self.set_synced(node, false, out);
        self.want(now, node, BucketSet::all(), out);
    }

    /// Says something that needs no number.
    fn say_now(&self, item: &Item<'_>, out: &mut Vec<Effect>) {
        let mut body = Vec::new();
        replica::begin(0, 0, &mut body);
        replica::write(item, &self.settings.names, &mut body);
        out.push(Effect::Send(body));
    }
}
