//! The thread `replicate` where the peer is a box that runs conntrackd.
//!
//! It drives [`evergate_core::conntrackd::Conntrackd`] as the other loop drives its machine. The
//! datagrams of the peer come straight to this thread: they are of no concern to the node thread, and
//! nothing in them is authenticated.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use evergate_api::config::model::{Conntrackd as Plan, ConntrackdMode};
use evergate_core::conntrackd::{Conntrackd, Effect, Input, Mode, Note, Settings};
use evergate_core::flow::{Flow, FlowKey};
use evergate_core::ident::NodeId;
use evergate_core::replicate::{PASS_EVERY, Progress, is_open};
use evergate_core::wire::conntrackd::RECEIVE_MAX;
use evergate_core::{Instant, Machine};

use super::listing::{Reading, Standing as Seen};
use super::thread::{Desk, PRIORITY, hash_key, lease, now};
use super::{Mail, PeerStanding, Standing, View, lock};
use crate::kernel::conntrack::decode::{Message, News, What, is_complete};
use crate::kernel::conntrack::dump::Dump;
use crate::kernel::conntrack::injector::Operation;
use crate::kernel::conntrack::listener::DATAGRAM_MAX;
use crate::kernel::conntrack::table;
use crate::say::say;
use crate::sys::clock::{NS_PER_S, realtime_now};
use crate::sys::ready::{Poller, Ready, Timer};

mod way;

use way::PeerWay;

const TOKEN_TIMER: u64 = 0;
const TOKEN_BELL: u64 = 1;
const TOKEN_NEWS: u64 = 2;
const TOKEN_PEER: u64 = 3;

/// Datagrams of news, and of the peer, that are read before anything else gets its turn.
const READS_PER_TURN_MAX: usize = 256;
/// Letters likewise.
const LETTERS_PER_TURN_MAX: usize = 256;
/// Datagrams of a list likewise, about 130 connections each.
const CHUNKS_PER_TURN_MAX: usize = 4;
/// While there is news, it is read so often and not each time that there is some.
const NEWS_EVERY: Duration = Duration::from_millis(1);
/// How often it is told how things stand.
const STANDING_EVERY: Duration = Duration::from_millis(100);

/// The peer, as the configuration has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The foreign node.
    pub node: NodeId,
    /// How it is spoken to.
    pub plan: Plan,
}

/// Starts the thread.
pub(super) fn start(desk: Desk, peer: Peer) -> io::Result<()> {
    let work = Work::new(desk, peer)?;
    let builder = std::thread::Builder::new().name("replicate".into());
    builder.spawn(move || {
        if let Err(error) = work.run() {
            say("core", &format!("replication with conntrackd has ended: {error}"));
        }
    })?;
    Ok(())
}

struct Work {
    desk: Desk,
    peer: Peer,
    machine: Conntrackd,
    way: PeerWay,
    view: View,
    poller: Poller,
    timer: Timer,
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
    datagram: Vec<u8>,
}

impl Work {
    fn new(desk: Desk, peer: Peer) -> io::Result<Work> {
        let poller = Poller::new()?;
        let timer = Timer::new()?;
        poller.add(&timer, TOKEN_TIMER)?;
        poller.add(&*desk.bell, TOKEN_BELL)?;
        poller.add(&desk.doors.listener, TOKEN_NEWS)?;
        let mode = match peer.plan.mode {
            ConntrackdMode::Ftfw => Mode::Ftfw,
            ConntrackdMode::Notrack => Mode::Notrack,
        };
        let settings = Settings {
            mode,
            first: u32::try_from(realtime_now() / NS_PER_S).unwrap_or(1),
            key: hash_key(desk.identity.cluster),
            coalesce: desk.policy.coalesce,
            protect_after: desk.policy.protect_after,
            read_every: PASS_EVERY,
        };
        let now = now();
        Ok(Work {
            machine: Conntrackd::new(settings, now),
            way: PeerWay::new(&peer.plan),
            view: View::default(),
            dump: None,
            reading: None,
            operations: Vec::new(),
            wanted: BTreeMap::new(),
            dropped: BTreeMap::new(),
            stood_at: now,
            news_at: None,
            news_lost: 0,
            news: vec![0; DATAGRAM_MAX],
            datagram: vec![0; RECEIVE_MAX],
            desk,
            peer,
            poller,
            timer,
        })
    }

    fn run(mut self) -> io::Result<()> {
        crate::privilege::raise_thread(PRIORITY);
        let mut ready = Ready::default();
        loop {
            let busy = self.dump.is_some() && self.machine.wants_more() || self.reading.is_some();
            let deadline = if busy { now() } else { self.deadline() };
            self.timer.set(Some(deadline.as_nanos().max(1)))?;
            self.poller.wait(&mut ready, None)?;
            let mut heard = self.news_at.is_some_and(|at| at <= now());
            for token in ready.tokens() {
                match token {
                    TOKEN_TIMER => self.timer.drain()?,
                    TOKEN_BELL => drop(self.desk.bell.drain()?),
                    TOKEN_PEER => self.read_peer(),
                    _ => heard = true,
                }
            }
            if !self.read_mail() {
                return Ok(());
            }
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

    fn drop_one(&mut self, cause: &'static str) {
        *self.dropped.entry(cause).or_default() += 1;
    }

    /// Reads letters; `false` when nobody can send any more.
    fn read_mail(&mut self) -> bool {
        for turn in 0..LETTERS_PER_TURN_MAX {
            match self.desk.letters.try_recv() {
                Ok(Mail::View(view)) => self.look(*view),
                Ok(Mail::Resync(_)) => self.feed(Input::Resync),
                // One at a time; who asks meanwhile waits for the answer in vain and may ask again.
                Ok(Mail::List(listing)) if self.reading.is_none() => self.reading = listing.begin(),
                Ok(Mail::Fence(number)) => {
                    self.read_peer();
                    self.settle();
                    self.desk.fence.reach(number);
                }
                // What is of the sealed protocol alone, and a reload that changes nothing here.
                Ok(Mail::List(_) | Mail::Keys(_) | Mail::Datagram { .. } | Mail::Configured(_)) => {
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
            if turn + 1 == LETTERS_PER_TURN_MAX {
                // There may be more: come back at once.
                let _ = self.desk.bell.ring();
            }
        }
        true
    }

    fn look(&mut self, view: View) {
        let serving = view.serving > 0;
        if let Err(error) = self.way.follow(view.ways.first(), &self.poller, TOKEN_PEER) {
            say("core", &format!("no way to conntrackd: {error}"));
        }
        self.view = view;
        self.feed(Input::Serving(serving));
    }

    /// Reads what the peer has sent.
    fn read_peer(&mut self) {
        let mut datagram = std::mem::take(&mut self.datagram);
        for _ in 0..READS_PER_TURN_MAX {
            match self.way.receive(&mut datagram, &self.view.own) {
                Ok(Some(length)) => {
                    self.feed(Input::Datagram(datagram[..length].to_vec()));
                }
                Ok(None) => break,
                Err(cause) => self.drop_one(cause),
            }
        }
        self.datagram = datagram;
    }

    /// Reads news. After some it comes back a little later; after none it waits to be called.
    fn read_news(&mut self) -> io::Result<()> {
        let mut news = std::mem::take(&mut self.news);
        let mut some = false;
        for _ in 0..READS_PER_TURN_MAX {
            let messages = match self.desk.doors.listener.receive(&mut news) {
                Ok(Some(messages)) => messages,
                Ok(None) => break,
                Err(_) => {
                    self.drop_one("news_unreadable");
                    break;
                }
            };
            some = true;
            for message in messages.flatten() {
                // Expectations of helpers are not exchanged with conntrackd.
                if let News::Connection(message) = message {
                    self.take_news(message);
                }
            }
        }
        self.news = news;
        let every = NEWS_EVERY.min(self.desk.policy.coalesce / 2);
        let some = some && !every.is_zero();
        match (some, self.news_at.is_some()) {
            (true, false) => self.poller.remove(&self.desk.doors.listener)?,
            (false, true) => self.poller.add(&self.desk.doors.listener, TOKEN_NEWS)?,
            (true, true) | (false, false) => {}
        }
        self.news_at = some.then(|| now() + every);
        Ok(())
    }

    fn take_news(&mut self, message: Message) {
        if !self.admits(&message.flow) {
            return;
        }
        if message.what == What::Destroyed {
            return self.feed(Input::Gone(message.flow.key));
        }
        if is_complete(&message) {
            return self.feed(Input::Changed(message.flow));
        }
        self.look_up(message.flow.key);
    }

    /// Asks the kernel what it has of a flow.
    fn look_up(&mut self, key: FlowKey) {
        match self.desk.doors.injector.look(&key) {
            Ok(Some(whole)) => self.feed(Input::Changed(whole.flow)),
            Ok(None) => self.feed(Input::Gone(key)),
            Err(_) => self.drop_one("not_looked_up"),
        }
    }

    fn admits(&self, flow: &Flow) -> bool {
        self.desk.policy.admits(flow, &self.view.own)
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
                if is_complete(&message) && self.admits(&message.flow) {
                    self.feed(Input::Dumped(message.flow));
                }
            }
            // What was read is settled before more is: a list must not be older than a change.
            self.settle();
            if more.is_err() {
                self.drop_one("list_failed");
            }
            if !matches!(more, Ok(true)) {
                self.dump = None;
                self.feed(Input::DumpEnded(more.is_ok() && whole));
            }
        }
    }

    /// Reads on in a list that somebody wants to see.
    fn list_on(&mut self) {
        let Some(reading) = self.reading.take() else { return };
        let (machine, policy, own) = (&self.machine, &self.desk.policy, &self.view.own);
        let (me, peer) = (self.desk.identity.me, self.peer.node);
        self.reading = reading.read_on(|message| {
            if let Some(ours) = machine.is_ours(&message.flow.key) {
                Seen::Owned(if ours { me } else { peer })
            } else if !policy.admits(&message.flow, own) {
                Seen::Alone("of this node itself, or excluded by the configuration")
            } else if !is_open(&message.flow) {
                Seen::Alone("not established, or closed")
            } else {
                Seen::Alone("not told yet, or nothing that conntrackd can be told")
            }
        });
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(datagram) => {
                    if !self.way.send(&datagram) {
                        self.drop_one("not_sent");
                    }
                }
                Effect::Put(flow) | Effect::Replace(flow) if !self.admits(&flow) => {
                    self.feed(Input::Refused(flow.key));
                }
                Effect::Put(flow) => self.operate(flow.key, Operation::Put(flow, lease())),
                Effect::Replace(flow) => self.replace(flow),
                Effect::Delete(key) => self.operate(key, Operation::Delete(key)),
                Effect::Renew(key) => self.operations.push(Operation::SetTimeout(key, lease())),
                Effect::Restore(flow) => {
                    let timeout = self.desk.doors.timeouts.of(&flow);
                    self.operations.push(Operation::SetTimeout(flow.key, timeout));
                }
                Effect::Strict(key) => self.operations.push(Operation::CheckWindows(key, true)),
                Effect::Look(key) => self.look_up(key),
                Effect::Dump => self.begin_dump(),
                Effect::Note(note) => say("core", &self.words(note)),
            }
        }
    }

    fn begin_dump(&mut self) {
        // An empty table need not be walked.
        if table::count().is_ok_and(|count| count == 0) {
            return self.feed(Input::DumpEnded(true));
        }
        if let Ok(dump) = Dump::start() {
            self.dump = Some(dump);
        } else {
            self.drop_one("list_failed");
            self.feed(Input::DumpEnded(false));
        }
    }

    fn words(&self, note: Note) -> String {
        let peer = &self.peer.plan.peer;
        match note {
            Note::Open(true) => format!("conntrackd on {peer} answers"),
            Note::Open(false) => format!("conntrackd on {peer} does not answer any more"),
            Note::Adopted { flows } => format!("took over {flows} connections of {peer}"),
            Note::GivenUp { flows } => format!("left {flows} connections to {peer}"),
        }
    }

    /// Both in one call, so that the flow is never missing for longer, whatever becomes of us.
    fn replace(&mut self, flow: Flow) {
        self.operations.push(Operation::Delete(flow.key));
        self.wanted.insert(flow.key, self.operations.len());
        self.operations.push(Operation::Put(flow, lease()));
    }

    /// What was wanted of the same flow before does not count any more.
    fn operate(&mut self, key: FlowKey, operation: Operation) {
        if let Some(at) = self.wanted.insert(key, self.operations.len()) {
            self.operations[at] = operation;
            self.wanted.insert(key, at);
        } else {
            self.operations.push(operation);
        }
    }

    /// Hands the kernel what has gathered, and tells the machine what it refused.
    fn settle(&mut self) {
        while !self.operations.is_empty() {
            let operations = std::mem::take(&mut self.operations);
            self.wanted.clear();
            let report = self.desk.doors.injector.apply(&operations);
            for failure in report.failures {
                if let Some(Operation::Put(flow, _)) = operations.get(failure.index) {
                    self.feed(Input::Refused(flow.key));
                }
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
        let lost = self.desk.doors.listener.drops().unwrap_or(0);
        if std::mem::replace(&mut self.news_lost, lost) != lost {
            self.feed(Input::NewsLost);
        }
        let stands = self.machine.standing(now);
        let peer = PeerStanding {
            whole: stands.whole,
            ours: Some(Progress { whole: stands.has_ours, backlog: stands.backlog, lag: None }),
            verified_at: None,
        };
        let standing = Standing {
            flows_local: self.machine.own_flows(),
            flows_replica: self.machine.copies(),
            peers: BTreeMap::from([(self.peer.node, peer)]),
            conntrackd: Some(self.machine.counters()),
            dropped: self.dropped.clone(),
            news_lost: lost,
            ..Standing::default()
        };
        *lock(&self.desk.standing) = standing;
    }
}

/// Addresses of this node.
type Own = BTreeSet<IpAddr>;
