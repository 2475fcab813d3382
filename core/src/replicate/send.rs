//! The sending side: changes wait until they are due, go out in numbered packets, and stay until
//! every reader has them. A packet that a reader has missed is not sent again; its flows are told
//! anew, unless they have been told since.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::index::{BUCKETS_PER_GROUP, Entry, GROUPS, mark};
use super::renumber::rekey;
use super::{Effect, ROOM, Replicator};
use crate::flow::{FlowHash, ValueDigest};
use crate::ident::{Incarnation, NodeId};
use crate::time::{Instant, earliest};
use crate::wire::replica::{self, ACK_BITS, BODY_MAX, DISOWNED, FLOW, GONE, Item};
use crate::wire::tlv;

/// Packets that are kept for readers that have not acknowledged them; the oldest makes room, and
/// who lacks it compares sums and asks for what differs.
pub const PACKETS_KEPT: usize = 4_096;
/// Packets from a whole reading of the table that may be under way at once. Changes do not wait behind them:
/// the receiver takes them first, see [`super::inbox`].
pub const BULK_WINDOW: usize = 128;
/// Changes that wait to be told; what comes beyond is found by reading the table, which is paced.
pub const CHANGES_MAX: usize = 65_536;
/// Packets with changes that may be under way, so that a burst does not drown the receiver: what they take in
/// its kernel must be over long before [`ACK_WITHIN`].
pub const LIVE_WINDOW: usize = 256;
/// A reader that has missed so many packets, the first of them so long ago, and has said nothing in between is
/// not waited for until it does.
pub const SILENT_AFTER: (u32, Duration) = (16, Duration::from_secs(1));
/// The pause before the table is read because of changes that could not wait.
pub const DEFERRED_FOR: Duration = Duration::from_secs(2);
/// Changes that are due within the same such span go out together.
pub const TOGETHER: Duration = Duration::from_millis(2);
/// When what was lost is due: before everything else.
pub(super) const RETOLD_AT: Instant = Instant::ZERO;
/// A packet is lost when this many later ones have been acknowledged: later ones of their kind for those from a
/// reading, which the receiver takes last.
pub const OVERTAKEN_BY: u64 = 8;
/// A packet from a reading is lost, too, when it is so far behind the newest one that has come: half of what a
/// receiver remembers. What falls out of its memory looks as if it had come.
pub const BEHIND_MAX: u64 = ACK_BITS as u64 / 2;
/// A packet is lost when nothing was heard of it for this long, or twice as long as others took: a reader that
/// is busy must not be told everything once more.
pub const ACK_WITHIN: Duration = Duration::from_millis(250);
/// The longest that it may take.
pub const ACK_WITHIN_MAX: Duration = Duration::from_secs(2);

/// What is to be told of a flow.
#[derive(Clone, Hash, Debug)]
pub(super) enum Change {
    /// What it is now.
    Flow { bytes: Vec<u8>, digest: ValueDigest },
    /// It is gone; `loose`: from here at least, see [`mark::LOOSE`].
    Gone { bytes: Vec<u8>, loose: bool },
}

/// Who reads our stream.
#[derive(Clone, Hash, Debug)]
pub(super) struct Reader {
    /// Its process.
    pub incarnation: Incarnation,
    /// It says that its copy is whole.
    pub synced: bool,
    /// It has missed a packet that was not kept.
    pub broken: bool,
    /// How many packets it has missed since it last said anything, and the first of them when.
    pub missed: (u32, Option<Instant>),
    /// How it acknowledges packets with changes, and those from a reading: it takes these last.
    pub paces: [Pace; 2],
}

/// How a reader acknowledges packets of one kind.
#[derive(Clone, Copy, Hash, Debug)]
pub(super) struct Pace {
    /// How long it may take.
    pub patience: Duration,
    /// The newest one that it has acknowledged.
    pub newest: u64,
}

impl Reader {
    pub fn new(incarnation: Incarnation) -> Reader {
        let paces = [Pace { patience: ACK_WITHIN, newest: 0 }; 2];
        Reader { incarnation, synced: false, broken: false, missed: (0, None), paces }
    }

    pub fn miss(&mut self, now: Instant) {
        self.missed.0 += 1;
        self.missed.1.get_or_insert(now);
    }

    fn is_silent(&self, now: Instant) -> bool {
        let (packets, time) = SILENT_AFTER;
        self.missed.0 >= packets && self.missed.1.is_some_and(|at| now >= at + time)
    }
}

/// A packet that was sent.
#[derive(Clone, Hash, Debug)]
pub(super) struct Sent {
    pub number: u64,
    pub at: Instant,
    /// From a reading of the table: paced.
    pub bulk: bool,
    /// Who has not acknowledged it.
    pub waits: Vec<NodeId>,
    /// Its values.
    pub values: Vec<u8>,
}

/// A flow of a reading of the table.
#[derive(Clone, Hash, Debug)]
pub(super) struct Read {
    pub name: FlowHash,
    pub digest: ValueDigest,
    pub bytes: Vec<u8>,
    /// What was known of it when it was read: what was told since then is newer.
    pub known: Option<Entry>,
    /// Its owner may not know it, see [`super::offer`].
    pub offer: bool,
}

/// What waits to be sent, and what was sent and may have to be told again.
#[derive(Clone, Hash, Debug)]
pub(super) struct Outbox {
    number: u64,
    changes: BTreeMap<FlowHash, (Instant, Change)>,
    due: BTreeSet<(Instant, FlowHash)>,
    /// Flows of a reading of the table.
    bulk: VecDeque<Read>,
    /// Ends of readings: values that are no flows and are in the stream once.
    words: VecDeque<Vec<u8>>,
    adopted: Vec<NodeId>,
    /// The packets in which that was said last.
    adopted_in: BTreeMap<NodeId, u64>,
    /// The sums are to be told with the next packet.
    sums: bool,
    /// The details of these groups are to be told, a bit each.
    details: u64,
    pub sent: VecDeque<Sent>,
    /// Changes are due at once.
    urgent: bool,
}

impl Outbox {
    pub fn new() -> Outbox {
        Outbox {
            number: 0,
            changes: BTreeMap::new(),
            due: BTreeSet::new(),
            bulk: VecDeque::new(),
            words: VecDeque::new(),
            adopted: Vec::new(),
            adopted_in: BTreeMap::new(),
            sums: false,
            details: 0,
            sent: VecDeque::new(),
            urgent: false,
        }
    }

    /// The number of the newest packet.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The lowest number that may still be repaired.
    fn oldest(&self) -> u64 {
        self.sent.front().map_or(self.number + 1, |sent| sent.number)
    }

    /// Whether changes are due at once, those that wait too.
    pub fn set_urgent(&mut self, urgent: bool) {
        self.urgent = urgent;
    }

    /// Whether a change of a flow waits.
    pub fn has(&self, name: FlowHash) -> bool {
        self.changes.contains_key(&name)
    }

    /// How many changes wait.
    pub fn pending(&self) -> usize {
        self.changes.len() + self.bulk.len()
    }

    /// How many flows a reader has not acknowledged, with those that are not sent yet.
    pub fn backlog(&self, node: NodeId) -> usize {
        let flows = |sent: &Sent| {
            let values = tlv::Reader::new(&sent.values).map_while(Result::ok);
            values.filter(|value| matches!(value.kind, FLOW | GONE | DISOWNED)).count()
        };
        self.lacked(node).map(flows).sum::<usize>() + self.pending()
    }

    /// For how long the oldest packet with changes that a reader lacks is under way, or the oldest change
    /// overdue.
    pub fn lag(&self, node: NodeId, now: Instant) -> Duration {
        let sent = self.lacked(node).find(|sent| !sent.bulk).map(|sent| sent.at);
        let due = self.due.first().map(|(due, _)| *due);
        earliest(sent, due).map_or(Duration::ZERO, |since| now.since(since))
    }

    fn lacked(&self, node: NodeId) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(move |sent| sent.waits.contains(&node))
    }

    /// A change replaces what waits of the same flow; the first one decides when it is due.
    pub fn change(&mut self, due: Instant, name: FlowHash, change: Change) {
        let due = self.changes.get(&name).map_or(due, |(first, _)| due.min(*first));
        if let Some((former, _)) = self.changes.insert(name, (due, change)) {
            self.due.remove(&(former, name));
        }
        self.due.insert((due, name));
    }

    /// Whether no more changes can wait.
    pub fn is_full(&self) -> bool {
        self.changes.len() >= CHANGES_MAX
    }

    /// Whether flows of a reading fill a packet.
    fn fills_a_packet(&self) -> bool {
        let mut bytes = self.bulk.iter().map(|read| read.bytes.len() + tlv::HEAD_LEN);
        let mut sum = 0;
        bytes.any(|length| {
            sum += length;
            sum >= ROOM
        })
    }

    /// Takes back what waits of a flow.
    pub fn withdraw(&mut self, name: FlowHash) -> bool {
        let Some((due, _)) = self.changes.remove(&name) else { return false };
        self.due.remove(&(due, name));
        true
    }

    pub fn say_adopted(&mut self, node: NodeId) {
        if !self.adopted.contains(&node) {
            self.adopted.push(node);
        }
    }

    /// Says it again, unless it is under way.
    pub fn say_adopted_again(&mut self, node: NodeId) {
        let said = self.adopted_in.get(&node).is_some_and(|number| {
            let mut sent = self.sent.iter();
            sent.any(|sent| sent.number == *number && sent.waits.contains(&node))
        });
        if !said {
            self.say_adopted(node);
        }
    }

    pub fn say_sums(&mut self) {
        self.sums = true;
    }

    pub fn say_details(&mut self, groups: u64) {
        self.details |= groups;
    }

    /// Puts the end of a reading into the stream.
    pub fn say(&mut self, value: Vec<u8>) {
        self.words.push_back(value);
    }

    pub fn tell_bulk(&mut self, read: Read) {
        self.bulk.push_back(read);
    }

    /// Takes back what was read of a flow and is not told yet: few wait at any time.
    pub fn forget_read(&mut self, name: FlowHash) {
        self.bulk.retain(|read| read.name != name);
    }

    /// Takes back all that is not told yet, but for what is offered: who has taken over may say so again.
    pub fn forget_flows(&mut self) {
        self.changes.clear();
        self.due.clear();
        self.bulk.retain(|read| read.offer);
        self.words.clear();
    }

    /// Whether the end of a reading is not sent yet, or not acknowledged.
    pub fn has_sweep(&self) -> bool {
        let sweep = |value: &[u8]| value.first() == Some(&replica::SWEPT);
        let under_way = |sent: &Sent| !sent.waits.is_empty() && sweep(&sent.values);
        self.words.iter().any(|value| sweep(value)) || self.sent.iter().any(under_way)
    }

    /// Whether something that was offered is not acknowledged yet.
    pub fn has_offers(&self) -> bool {
        let offers = |sent: &Sent| {
            let mut values = tlv::Reader::new(&sent.values).map_while(Result::ok);
            sent.bulk && !sent.waits.is_empty() && values.any(|it| it.kind == replica::OFFER)
        };
        self.bulk.iter().any(|read| read.offer) || self.sent.iter().any(offers)
    }

    /// Whether a reading of the table has to wait for acknowledgements.
    pub fn is_congested(&self, readers: &BTreeMap<NodeId, Reader>) -> bool {
        !readers.is_empty() && (self.under_way(true) >= BULK_WINDOW || self.bulk.len() > 1_000)
    }

    /// The change that is due next, if one is.
    fn next_due(&self, now: Instant) -> Option<(Instant, FlowHash)> {
        self.due.first().copied().filter(|(due, _)| *due <= now || self.urgent)
    }

    /// Packets with changes, or from a reading, that somebody has not acknowledged.
    fn under_way(&self, bulk: bool) -> usize {
        self.sent.iter().filter(|sent| sent.bulk == bulk && !sent.waits.is_empty()).count()
    }

    /// Nodes have other numbers; who has none is not waited for.
    pub fn renumber(&mut self, place: impl Fn(NodeId) -> Option<NodeId>) {
        let new = |nodes: &mut Vec<NodeId>| {
            *nodes = std::mem::take(nodes).into_iter().filter_map(&place).collect();
        };
        self.sent.iter_mut().for_each(|sent| new(&mut sent.waits));
        new(&mut self.adopted);
        rekey(&mut self.adopted_in, &place);
        self.settle();
    }

    pub fn forget_readers(&mut self, known: impl Fn(NodeId) -> bool) {
        self.sent.iter_mut().for_each(|sent| sent.waits.retain(|node| known(*node)));
        self.settle();
    }

    pub fn settle(&mut self) {
        while self.sent.front().is_some_and(|sent| sent.waits.is_empty()) {
            self.sent.pop_front();
        }
    }

    /// When a change is due, or a packet lost that a reader has not acknowledged for so long.
    pub fn deadline(&self, readers: &BTreeMap<NodeId, Reader>) -> Option<Instant> {
        let open = self.under_way(false) < LIVE_WINDOW;
        let due = self.due.first().map(|(due, _)| *due).filter(|_| open);
        let lost = readers.iter().flat_map(|(node, reader)| {
            [false, true].into_iter().filter_map(|bulk| {
                let sent = self.lacked(*node).find(|sent| sent.bulk == bulk)?;
                Some(sent.at + reader.paces[usize::from(bulk)].patience)
            })
        });
        lost.fold(due, |one, other| earliest(one, Some(other)))
    }
}

impl Replicator {
    /// Sends everything that is due, grouped into packets.
    pub(super) fn flush(&mut self, now: Instant, out: &mut Vec<Effect>) {
        // What is told of flows that were taken over is newer than that.
        self.flush_adopted(now, out);
        self.flush_changes(now, out);
        self.flush_sums(now, out);
        self.flush_words(now, out);
        // Whole packets, until the last flow was read.
        let all = !self.pass.is_running();
        while !self.outbox.bulk.is_empty()
            && (all || self.outbox.fills_a_packet())
            && self.outbox.under_way(true) < BULK_WINDOW
        {
            self.flush_bulk(now, out);
        }
    }

    fn flush_changes(&mut self, now: Instant, out: &mut Vec<Effect>) {
        // Nothing is due nearly always, and this is called for each fact.
        if self.outbox.next_due(now).is_none() {
            return;
        }
        let mut values = Vec::new();
        let mut under_way = self.outbox.under_way(false);
        while under_way < LIVE_WINDOW
            && let Some((due, name)) = self.outbox.next_due(now)
        {
            self.outbox.due.remove(&(due, name));
            let Some((_, change)) = self.outbox.changes.remove(&name) else { continue };
            let length = match &change {
                Change::Flow { bytes, .. } | Change::Gone { bytes, .. } => {
                    bytes.len() + tlv::HEAD_LEN
                }
            };
            if values.len() + length > ROOM - replica::HEAD_LEN {
                self.send(now, false, std::mem::take(&mut values), out);
                under_way = self.outbox.under_way(false);
            }
            self.append(name, &change, &mut values);
        }
        if !values.is_empty() {
            self.send(now, false, values, out);
        }
    }

    /// Puts a change into the packet that is sent next, and into the index.
    fn append(&mut self, name: FlowHash, change: &Change, values: &mut Vec<u8>) {
        self.counters.told += 1;
        match change {
            Change::Flow { bytes, digest } => {
                tlv::write(values, FLOW, |out| out.extend_from_slice(bytes));
                self.own(name, *digest);
            }
            Change::Gone { bytes, loose } => {
                let kind = if *loose { DISOWNED } else { GONE };
                tlv::write(values, kind, |out| out.extend_from_slice(bytes));
                if self.index.get(name).is_some_and(|entry| entry.stream == self.stream()) {
                    self.index.remove(name);
                }
            }
        }
    }

    /// Notes that a flow is ours and goes out with the next packet.
    fn own(&mut self, name: FlowHash, digest: ValueDigest) {
        let marks = match self.index.get(name) {
            Some(entry) if entry.stream == self.stream() => entry.marks,
            // It has come to us with a group: made as a copy, without a check of sequence numbers.
            Some(_) => mark::LIBERAL,
            None => 0,
        };
        let marks = marks & !mark::SEEN | self.pass.seen_mark();
        let number = low(self.outbox.number + 1);
        self.index.put(name, Entry { digest, number, stream: self.stream(), marks });
    }

    fn flush_adopted(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for node in std::mem::take(&mut self.outbox.adopted) {
            let mut value = Vec::new();
            replica::write(&Item::Adopted(node), &self.settings.names, &mut value);
            self.send(now, false, value, out);
            self.outbox.adopted_in.insert(node, self.outbox.number);
        }
    }

    /// Ends of readings, behind the flows that were read before them.
    fn flush_words(&mut self, now: Instant, out: &mut Vec<Effect>) {
        while self.outbox.bulk.is_empty()
            && let Some(value) = self.outbox.words.pop_front()
        {
            self.send(now, false, value, out);
        }
    }

    /// Sums are those of all packets before them: changes that are due went out just now.
    fn flush_sums(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let mut value = Vec::new();
        // Behind all that is told again: readers take sums as a sign that it has come.
        let retells = self.outbox.due.first().is_some_and(|(due, _)| *due == RETOLD_AT);
        if !retells && std::mem::take(&mut self.outbox.sums) {
            let sums = Item::Sums(Box::new(self.index.group_sums(self.stream())));
            replica::write(&sums, &self.settings.names, &mut value);
            let broken: Vec<NodeId> =
                self.readers.iter().filter(|(_, r)| r.broken).map(|(node, _)| *node).collect();
            if !broken.is_empty() {
                replica::write(&Item::Broken(broken), &self.settings.names, &mut value);
                self.readers.values_mut().for_each(|reader| reader.broken = false);
            }
            self.send(now, false, std::mem::take(&mut value), out);
        }
        let details = std::mem::take(&mut self.outbox.details);
        for group in (0..GROUPS).filter(|group| details & 1 << group != 0) {
            let from = group * BUCKETS_PER_GROUP;
            let mut sums = Box::new([0; BUCKETS_PER_GROUP]);
            let all = self.index.sums(self.stream());
            sums.copy_from_slice(&all[from..from + BUCKETS_PER_GROUP]);
            // Without numbers of their own: one that is lost must not spoil the comparison of the rest.
            let mut body = Vec::new();
            replica::begin(0, self.outbox.number, &mut body);
            replica::write(&Item::Details(group, sums), &self.settings.names, &mut body);
            out.push(Effect::Send(body));
        }
    }

    fn flush_bulk(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let mut values = Vec::new();
        while let Some(read) = self.outbox.bulk.front() {
            let room = ROOM - replica::HEAD_LEN - replica::BULK_LEN;
            if values.len() + read.bytes.len() + tlv::HEAD_LEN > room {
                break;
            }
            let Some(Read { name, digest, bytes, known, offer }) = self.outbox.bulk.pop_front()
            else {
                break;
            };
            // What has changed since it was read waits for its own turn, or was told already.
            let told = |entry: Entry| (entry.stream, entry.number);
            let same = self.index.get(name).map(told) == known.map(told);
            if same && offer {
                tlv::write(&mut values, replica::OFFER, |out| out.extend_from_slice(&bytes));
            } else if same && !self.outbox.has(name) {
                self.append(name, &Change::Flow { bytes, digest }, &mut values);
            }
        }
        if !values.is_empty() {
            self.send(now, true, values, out);
        }
    }

    /// Sends a numbered packet and keeps it for those who may miss it.
    fn send(&mut self, now: Instant, bulk: bool, values: Vec<u8>, out: &mut Vec<Effect>) {
        self.outbox.number += 1;
        let number = self.outbox.number;
        let mut body = Vec::with_capacity(BODY_MAX);
        let begin = if bulk { replica::begin_bulk } else { replica::begin };
        begin(number, self.outbox.oldest().min(number), &mut body);
        body.extend_from_slice(&values);
        out.push(Effect::Send(body));
        let mut waits = Vec::new();
        for (node, reader) in &mut self.readers {
            if !reader.is_silent(now) {
                waits.push(*node);
            } else {
                reader.broken = true;
            }
        }
        if waits.is_empty() {
            return;
        }
        self.outbox.sent.push_back(Sent { number, at: now, bulk, waits, values });
        if self.outbox.sent.len() > PACKETS_KEPT
            && let Some(forgotten) = self.outbox.sent.pop_front()
        {
            for node in forgotten.waits {
                if let Some(reader) = self.readers.get_mut(&node) {
                    reader.broken = true;
                }
            }
            self.outbox.settle();
        }
    }
}

/// The part of a packet's number that the index keeps; never 0, which is older than any packet.
pub(super) fn low(number: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = number.to_be_bytes();
    u32::from_be_bytes([a, b, c, d]).max(1)
}
