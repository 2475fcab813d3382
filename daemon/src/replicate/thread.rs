//! The loop: mail, news of the kernel, lists, and what the machine decides about them.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evergate_core::flow::{Flow, FlowKey, HashKey};
use evergate_core::ident::{Incarnation, NodeId};
use evergate_core::replicate::inbox::{INBOX_MAX, Inbox};
use evergate_core::replicate::{
    Effect, Input, LEASE, PASS_EVERY, Reconfigured, Replicator, Settings, is_open,
};
use evergate_core::{Instant, Machine};

use super::fence::Fence;
use super::listing::{Reading, Standing as Seen};
use super::whole::{Whole, look, look_master, masters_first};
use super::wire::Wire;
use super::{Configured, Doors, Identity, Mail, PeerStanding, Policy, Standing, View, Way, lock};
use crate::kernel::conntrack::decode::{Expected, Message, News, What, is_complete};
use crate::kernel::conntrack::dump::Dump;
use crate::kernel::conntrack::injector::Operation;
use crate::kernel::conntrack::listener::DATAGRAM_MAX;
use crate::kernel::conntrack::table;
use crate::say::say;
use crate::seal::ClusterKey;
use crate::sys::clock::boottime_now;
use crate::sys::ready::{Bell, Poller, Ready, Timer};

const TOKEN_TIMER: u64 = 0;
const TOKEN_BELL: u64 = 1;
const TOKEN_NEWS: u64 = 2;
const TOKEN_WIRE: u64 = 3;

/// Right below the thread that sends heartbeats.
pub(super) const PRIORITY: i32 = crate::privilege::CORE_PRIORITY - 1;
/// Datagrams of news that are read before anything else gets its turn.
const NEWS_PER_TURN_MAX: usize = 256;
/// Letters likewise.
const LETTERS_PER_TURN_MAX: usize = 256;
/// Datagrams of peers that are read likewise.
const HEARD_PER_TURN_MAX: usize = 64;
/// Those of them that are taken, with changes and from readings of tables, about 35 connections each: few, so
/// that what they say is in the kernel's table before more is taken.
const TAKEN_PER_TURN_MAX: Taken = Taken { changes: 16, bulk: 4 };
/// Datagrams of a list likewise, about 130 connections each.
const CHUNKS_PER_TURN_MAX: usize = 4;
/// While there is news, it is read so often and not each time that there is some: a wake-up costs more
/// than a piece of news.
const NEWS_EVERY: Duration = Duration::from_millis(1);
/// How often it is told how things stand.
const STANDING_EVERY: Duration = Duration::from_millis(100);

/// All that the thread is given.
pub(super) struct Desk {
    pub doors: Doors,
    pub identity: Identity,
    pub policy: Policy,
    pub letters: Receiver<Mail>,
    pub bell: Arc<Bell>,
    pub standing: Arc<Mutex<Standing>>,
    pub fence: Arc<Fence>,
}

/// Starts the thread.
pub(super) fn start(desk: Desk, keys: &[ClusterKey]) -> io::Result<()> {
    let work = Work::new(desk, keys)?;
    let builder = std::thread::Builder::new().name("replicate".into());
    builder.spawn(move || {
        if let Err(error) = work.run() {
            say("core", &format!("replication has ended: {error}"));
        }
    })?;
    Ok(())
}

/// How many packets are taken at once.
#[derive(Clone, Copy)]
struct Taken {
    changes: usize,
    bulk: usize,
}

struct Work {
    desk: Desk,
    machine: Replicator,
    wire: Wire,
    view: View,
    poller: Poller,
    timer: Timer,
    whole: Whole,
    dump: Option<Dump>,
    reading: Option<Reading>,
    operations: Vec<Operation>,
    /// Where the newest wish for a flow stands among them.
    wanted: BTreeMap<FlowKey, usize>,
    dropped: BTreeMap<&'static str, u64>,
    stood_at: Instant,
    /// When news is read next; `None` while the listener itself calls.
    news_at: Option<Instant>,
    news_lost: u32,
    news: Vec<u8>,
    inbox: Inbox,
    /// Some receiver could not be opened.
    deaf: bool,
}

impl Work {
    fn new(mut desk: Desk, keys: &[ClusterKey]) -> io::Result<Work> {
        desk.doors.injector.set_strict(desk.policy.strict);
        let poller = Poller::new()?;
        let timer = Timer::new()?;
        poller.add(&timer, TOKEN_TIMER)?;
        poller.add(&*desk.bell, TOKEN_BELL)?;
        poller.add(&desk.doors.listener, TOKEN_NEWS)?;
        let identity = &desk.identity;
        let settings = Settings {
            me: identity.me,
            incarnation: identity.incarnation,
            key: hash_key(identity.cluster),
            names: identity.names.clone(),
            coalesce: desk.policy.coalesce,
            protect_after: desk.policy.protect_after,
            read_every: PASS_EVERY,
        };
        let now = now();
        Ok(Work {
            machine: Replicator::new(settings, now),
            wire: Wire::new(identity.clone(), keys),
            view: View::default(),
            whole: Whole::default(),
            dump: None,
            reading: None,
            operations: Vec::new(),
            wanted: BTreeMap::new(),
            dropped: BTreeMap::new(),
            stood_at: now,
            news_at: None,
            news_lost: 0,
            news: vec![0; DATAGRAM_MAX],
            inbox: Inbox::default(),
            deaf: false,
            desk,
            poller,
            timer,
        })
    }

    fn run(mut self) -> io::Result<()> {
        crate::privilege::raise_thread(PRIORITY);
        let mut ready = Ready::default();
        loop {
            let reads = self.dump.is_some() && self.machine.wants_more() || self.reading.is_some();
            let busy = reads || !self.inbox.is_empty();
            let deadline = if busy { now() } else { self.deadline() };
            self.timer.set(Some(deadline.as_nanos()))?;
            self.poller.wait(&mut ready, None)?;
            let mut heard = self.news_at.is_some_and(|at| at <= now());
            for token in ready.tokens() {
                match token {
                    TOKEN_TIMER => self.timer.drain()?,
                    TOKEN_BELL => drop(self.desk.bell.drain()?),
                    TOKEN_WIRE => drop(self.hear()),
                    _ => heard = true,
                }
            }
            if !self.read_mail() {
                return Ok(());
            }
            self.take_heard(TAKEN_PER_TURN_MAX);
            if heard {
                self.read_news()?;
            }
            let mut out = Vec::new();
            self.machine.tick(now(), &mut out);
            self.carry_out(out);
            self.read_on();
            self.settle();
            self.list_on();
            self.stand();
        }
    }

    fn deadline(&self) -> Instant {
        let stand = self.stood_at + STANDING_EVERY;
        let moments = [self.machine.deadline(), self.news_at];
        moments.into_iter().flatten().fold(stand, Instant::min)
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.machine.handle(now(), input, &mut out);
        self.carry_out(out);
    }

    fn listen(&mut self, ways: Vec<Way>) {
        let heard = self.wire.take_ways(ways, &self.poller, TOKEN_WIRE);
        let was_deaf = std::mem::replace(&mut self.deaf, heard.is_err());
        if let (Err(error), false) = (heard, was_deaf) {
            say("core", &format!("replication cannot hear peers yet: {error}"));
        }
    }

    /// Reads what peers have sent to the group; what is left calls again. `false` if nothing is left.
    fn hear(&mut self) -> bool {
        for _ in 0..HEARD_PER_TURN_MAX {
            let mut body = Vec::new();
            match self.wire.hear(&mut body) {
                None => return false,
                Some(Err(cause)) => self.drop_for(cause),
                Some(Ok((from, incarnation))) => self.put(from, incarnation, body),
            }
        }
        true
    }

    fn put(&mut self, from: NodeId, incarnation: Incarnation, body: Vec<u8>) {
        if !self.inbox.put(from, incarnation, body) {
            self.drop_for("replica_no_room");
        }
    }

    fn drop_for(&mut self, cause: &'static str) {
        *self.dropped.entry(cause).or_default() += 1;
    }

    /// Takes what has come, changes first.
    fn take_heard(&mut self, most: Taken) {
        for _ in 0..most.changes {
            let Some(packet) = self.inbox.next_change() else { break };
            self.feed(packet);
        }
        for _ in 0..most.bulk {
            let Some(packet) = self.inbox.next_bulk() else { break };
            self.feed(packet);
        }
    }

    /// Takes all that has come until now: it must be in the kernel before an address is.
    fn take_all(&mut self) {
        let all = Taken { changes: INBOX_MAX, bulk: INBOX_MAX };
        for _ in 0..INBOX_MAX / HEARD_PER_TURN_MAX {
            let more = self.hear();
            self.take_heard(all);
            if !more {
                break;
            }
        }
        self.settle();
    }

    /// Reads letters; `false` when nobody can send any more.
    fn read_mail(&mut self) -> bool {
        use std::sync::mpsc::TryRecvError;
        for turn in 0..LETTERS_PER_TURN_MAX {
            let letter = match self.desk.letters.try_recv() {
                Ok(letter) => letter,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
            match letter {
                Mail::Datagram { from, header, bytes } => {
                    let mut body = Vec::new();
                    match self.wire.open(from, &header, &bytes, &mut body) {
                        Ok(()) => self.put(from, header.incarnation, body),
                        Err(cause) => self.drop_for(cause),
                    }
                }
                Mail::View(view) => self.look(*view),
                Mail::Keys(keys) => self.wire.take_keys(&keys),
                Mail::Resync(node) => self.feed(Input::Resync(node)),
                // One at a time; who asks meanwhile waits for the answer in vain and may ask again.
                Mail::List(listing) if self.reading.is_none() => self.reading = listing.begin(),
                Mail::List(_) => {}
                Mail::Configured(new) => self.configure(*new),
                Mail::Fence(number) => {
                    self.take_all();
                    self.desk.fence.reach(number);
                }
            }
            if turn + 1 == LETTERS_PER_TURN_MAX {
                // There may be more: come back at once.
                let _ = self.desk.bell.ring();
            }
        }
        true
    }

    fn configure(&mut self, new: Configured) {
        let Configured { identity, policy, moved } = new;
        self.wire.take_identity(identity.clone(), &moved);
        let new = Reconfigured {
            me: identity.me,
            names: identity.names.clone(),
            moved,
            coalesce: policy.coalesce,
            protect_after: policy.protect_after,
        };
        self.desk.identity = identity;
        self.desk.policy = policy;
        self.feed(Input::Reconfigured(Box::new(new)));
    }

    fn look(&mut self, view: View) {
        self.listen(view.ways.clone());
        let (sights, serving) = (view.sights.clone(), view.serving);
        let before = std::mem::replace(&mut self.view, view).serving;
        self.feed(Input::Peers(sights));
        self.feed(Input::HandingOver(self.view.handing_over));
        if serving < before && serving > 0 {
            self.feed(Input::Released);
        }
        self.feed(Input::Serving(serving > 0));
    }

    /// Reads news. After some it comes back a little later; after none it waits to be called.
    fn read_news(&mut self) -> io::Result<()> {
        let mut news = std::mem::take(&mut self.news);
        let mut some = false;
        for _ in 0..NEWS_PER_TURN_MAX {
            let pieces = match self.desk.doors.listener.receive(&mut news) {
                Ok(Some(pieces)) => pieces,
                Ok(None) => break,
                Err(_) => {
                    *self.dropped.entry("news_unreadable").or_default() += 1;
                    break;
                }
            };
            some = true;
            for piece in pieces.flatten() {
                match piece {
                    News::Connection(message) => self.take_news(message),
                    News::Expectation(expected) => self.take_expected(&expected),
                }
            }
        }
        self.news = news;
        // Who wants everything at once gets it at the price of more wake-ups.
        let urgent = self.view.handing_over;
        let every =
            if urgent { Duration::ZERO } else { NEWS_EVERY.min(self.desk.policy.coalesce / 2) };
        let some = some && !every.is_zero();
        let listener = &self.desk.doors.listener;
        match (some, self.news_at.is_some()) {
            (true, false) => self.poller.remove(listener)?,
            (false, true) => self.poller.add(listener, TOKEN_NEWS)?,
            (true, true) | (false, false) => {}
        }
        self.news_at = some.then(|| now() + every);
        Ok(())
    }

    fn take_news(&mut self, message: Message) {
        if !self.desk.policy.admits(&message.flow, &self.view.own) {
            return;
        }
        // One that has lost its mark is as good as gone for the others.
        if message.what == What::Destroyed || !self.desk.policy.admits_mark(&message.flow) {
            return self.feed(Input::Gone(message.flow.key));
        }
        if self.whole.is_whole(&message) {
            return self.feed(Input::Changed(message.flow));
        }
        // Rare: labels, helpers and what they expect. The table has the rest.
        if let Some(flow) = look(&mut self.desk.doors.injector, &message.flow.key) {
            self.feed(Input::Changed(flow));
        }
    }

    /// Whether a connection is replicated as it is now.
    fn concerns(&self, flow: &Flow) -> bool {
        self.desk.policy.admits(flow, &self.view.own) && self.desk.policy.admits_mark(flow)
    }

    /// What a connection expects is a part of it, so it has changed.
    fn take_expected(&mut self, expected: &Expected) {
        self.whole.expects(&expected.master);
        let (injector, zones) = (&mut self.desk.doors.injector, &self.desk.policy.zones);
        let master = look_master(injector, expected, zones);
        if let Some(flow) = master.filter(|it| self.concerns(it)) {
            self.feed(Input::Changed(flow));
        }
    }

    /// Reads on in a list that is under way, as far as the machine wants it.
    fn read_on(&mut self) {
        for _ in 0..CHUNKS_PER_TURN_MAX {
            if !self.machine.wants_more() {
                return;
            }
            let Some(dump) = &mut self.dump else { return };
            let mut flows = Vec::new();
            let more = dump.next_chunk(&mut |message| flows.push(message));
            let whole = !dump.was_interrupted();
            for message in flows {
                if is_complete(&message) && self.concerns(&message.flow) {
                    let listed = self.whole.listed(&mut self.desk.doors.injector, message);
                    listed.into_iter().for_each(|flow| self.feed(Input::Dumped(flow)));
                }
            }
            // What was read is settled before more is: a list must not be older than a change.
            self.settle();
            match more {
                Ok(true) => {}
                Ok(false) => {
                    self.dump = None;
                    for flow in self.whole.end_list(&mut self.desk.doors.injector) {
                        if self.concerns(&flow) {
                            self.feed(Input::Dumped(flow));
                        }
                    }
                    self.feed(Input::DumpEnded(whole));
                }
                Err(_) => {
                    self.dump = None;
                    *self.dropped.entry("list_failed").or_default() += 1;
                    self.feed(Input::DumpEnded(false));
                }
            }
        }
    }

    /// Reads on in a list that somebody wants to see.
    fn list_on(&mut self) {
        let Some(reading) = self.reading.take() else { return };
        let (machine, policy, own) = (&self.machine, &self.desk.policy, &self.view.own);
        self.reading = reading.read_on(|message| {
            if let Some(owner) = machine.owner(&message.flow.key) {
                Seen::Owned(owner)
            } else if !policy.admits(&message.flow, own) || !policy.admits_mark(&message.flow) {
                Seen::Alone("of this node itself, or excluded by the configuration")
            } else if !is_open(&message.flow) {
                Seen::Alone("not established, or closed")
            } else {
                Seen::Alone("not told yet")
            }
        });
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let lease = lease();
        for effect in effects {
            match effect {
                Effect::Send(body) => {
                    if !self.wire.send(&body) {
                        *self.dropped.entry("replica_not_sent").or_default() += 1;
                    }
                }
                Effect::Put(flow) => self.operate(flow.key, Operation::Put(flow, lease)),
                Effect::Add(flow) => match look(&mut self.desk.doors.injector, &flow.key) {
                    Some(held) => self.feed(Input::Changed(held)),
                    None => self.operate(flow.key, Operation::Put(flow, lease)),
                },
                Effect::Replace(flow) => {
                    // In one call where that is possible: what is gone must not stay so if we end here.
                    self.operate(flow.key, Operation::Delete(flow.key));
                    self.wanted.insert(flow.key, self.operations.len());
                    self.operations.push(Operation::Put(flow, lease));
                }
                Effect::Delete(key) => self.operate(key, Operation::Delete(key)),
                Effect::Renew(key) => self.operations.push(Operation::SetTimeout(key, lease)),
                Effect::Restore(flow) => {
                    let timeout = self.desk.doors.timeouts.of(&flow);
                    self.operations.push(Operation::SetTimeout(flow.key, timeout));
                }
                Effect::Strict(key) => self.operations.push(Operation::CheckWindows(key, true)),
                Effect::Lenient(key) => self.operations.push(Operation::CheckWindows(key, false)),
                // An empty table need not be walked.
                Effect::Dump if table::count().is_ok_and(|count| count == 0) => {
                    self.feed(Input::DumpEnded(true));
                }
                Effect::Dump => match Dump::start() {
                    Ok(dump) => {
                        self.whole.begin_list(&mut self.desk.doors.injector);
                        self.dump = Some(dump);
                    }
                    Err(_) => {
                        *self.dropped.entry("list_failed").or_default() += 1;
                        self.feed(Input::DumpEnded(false));
                    }
                },
                Effect::Note(note) => say("core", &format!("replication: {note:?}")),
            }
        }
    }

    /// What was wanted of the same flow before does not count any more: what the kernel refuses at
    /// first is done a little later, and must not come after what was wanted last.
    fn operate(&mut self, key: FlowKey, operation: Operation) {
        if let Some(at) = self.wanted.insert(key, self.operations.len()) {
            self.operations[at] = operation;
            self.wanted.insert(key, at);
        } else {
            self.operations.push(operation);
        }
    }

    /// Hands the kernel what has gathered, and tells the machine what it refused: masters, then what
    /// they expect, then what they have expected.
    fn settle(&mut self) {
        while !self.operations.is_empty() {
            let mut operations = std::mem::take(&mut self.operations);
            self.wanted.clear();
            let split = masters_first(&mut operations);
            let (masters, related) = operations.split_at(split);
            for operations in [masters, related].into_iter().filter(|part| !part.is_empty()) {
                self.apply(operations);
            }
        }
    }

    fn apply(&mut self, operations: &[Operation]) {
        let report = self.desk.doors.injector.apply(operations);
        let put = |operation: &Operation| match operation {
            Operation::Put(flow, _) => Some(flow.key),
            _ => None,
        };
        let failed = report.failures.iter().filter_map(|failure| operations.get(failure.index));
        for key in failed.filter_map(put).collect::<Vec<_>>() {
            self.feed(Input::Refused(key));
        }
        for operation in operations {
            let Operation::Put(flow, _) = operation else { continue };
            if !flow.has_helper() {
                continue;
            }
            self.whole.expects(&flow.key.original);
            if self.desk.doors.injector.set_expectations(flow).is_err() {
                // The next reading of the table finds the difference, and it is told again.
                *self.dropped.entry("expectation_refused").or_default() += 1;
            }
        }
    }

    /// Tells how things stand, now and then.
    fn stand(&mut self) {
        let now = now();
        if now < self.stood_at + STANDING_EVERY {
            return;
        }
        self.stood_at = now;
        if self.deaf {
            self.listen(self.view.ways.clone());
        }
        let lost = self.desk.doors.listener.drops().unwrap_or(0);
        if std::mem::replace(&mut self.news_lost, lost) != lost {
            self.feed(Input::NewsLost);
        }
        let machine = &self.machine;
        let peer = |node: NodeId| {
            let whole = machine.is_synced_with(node);
            let ours = machine.progress(node, now);
            PeerStanding { whole, ours, verified_at: machine.verified_at(node) }
        };
        let standing = Standing {
            flows_local: machine.own_flows(),
            flows_replica: machine.replicas(),
            peers: self.view.sights.iter().map(|sight| (sight.node, peer(sight.node))).collect(),
            divergent: machine.divergent(),
            counters: machine.counters,
            conntrackd: None,
            dropped: self.dropped.clone(),
            news_lost: lost,
        };
        *lock(&self.desk.standing) = standing;
    }
}

/// The key of the sums: the same on all nodes of a cluster, another one in each cluster.
pub(super) fn hash_key(cluster: u32) -> HashKey {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = u64::from(cluster).wrapping_mul(SPREAD);
    HashKey([word, word.rotate_left(29) ^ SPREAD])
}

/// The timeout of a copy, in seconds.
pub(super) fn lease() -> u32 {
    u32::try_from(LEASE.as_secs()).unwrap_or(u32::MAX)
}

pub(super) fn now() -> Instant {
    Instant::from_nanos(boottime_now())
}
