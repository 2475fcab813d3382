//! The kernel's table of connections, as the thread works with it: news of it, lists of it, changes to it.
//!
//! What the table says of connections that concern others becomes a [`Fact`], in the order in which it
//! was said. What the machine wants of the table gathers in [`Wishes`] until it is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use evergate_core::Instant;
use evergate_core::flow::{Flow, FlowKey};

use super::turns::{TOKEN_NEWS, now};
use super::whole::{Whole, masters_first};
use super::wishes::Wishes;
use super::{Doors, Policy};
use crate::kernel::conntrack::decode::{Expected, Message, News, What, is_complete};
use crate::kernel::conntrack::dump::Dump;
use crate::kernel::conntrack::injector::{Injector, Operation};
use crate::kernel::conntrack::listener::{DATAGRAM_MAX, Listener};
use crate::kernel::conntrack::table;
use crate::sys::ready::Poller;

/// Datagrams of news that are read before anything else gets its turn.
const NEWS_PER_TURN_MAX: usize = 256;
/// While there is news, it is read so often and not each time that there is some: a wake-up costs more
/// than a piece of news.
const NEWS_EVERY: Duration = Duration::from_millis(1);

/// What the table says, for the machine.
#[derive(Debug)]
pub(super) enum Fact {
    /// Packets have made or changed a flow: this is what it is now.
    Changed(Flow),
    /// It has forgotten a flow, or the flow is none that is replicated any more.
    Gone(FlowKey),
    /// A flow of the list.
    Listed(Flow),
    /// The list was read to its end without a gap, or not (`false`).
    ListEnded(bool),
    /// It did not take a flow.
    Refused(FlowKey),
    /// News was lost.
    NewsLost,
}

/// The table.
pub(super) struct KernelTable {
    injector: Injector,
    listener: Listener,
    policy: Policy,
    /// Addresses of this node itself.
    own: BTreeSet<IpAddr>,
    whole: Whole,
    /// What is wanted of it.
    pub wishes: Wishes,
    dump: Option<Dump>,
    /// The list has come to its end, without a gap (`true`) or not, and this is not said yet.
    list_ended: Option<bool>,
    /// News is wanted at once, at the price of more wake-ups.
    urgent: bool,
    /// When news is read next; `None` while the listener itself calls.
    news_at: Option<Instant>,
    news_lost: u32,
    news: Vec<u8>,
    dropped: BTreeMap<&'static str, u64>,
}

impl KernelTable {
    /// The table behind these doors; `whole` knows what belongs to a flow.
    pub fn new(doors: Doors, policy: Policy, whole: Whole) -> KernelTable {
        let Doors { mut injector, listener, timeouts } = doors;
        injector.set_strict(policy.strict);
        KernelTable {
            injector,
            listener,
            policy,
            own: BTreeSet::new(),
            whole,
            wishes: Wishes::new(timeouts),
            dump: None,
            list_ended: None,
            urgent: false,
            news_at: None,
            news_lost: 0,
            news: vec![0; DATAGRAM_MAX],
            dropped: BTreeMap::new(),
        }
    }

    /// Has the listener call.
    pub fn listen(&self, poller: &Poller) -> io::Result<()> {
        poller.add(&self.listener, TOKEN_NEWS)
    }

    /// What the configuration says of flows.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// A new configuration.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Addresses of this node itself.
    pub fn own(&self) -> &BTreeSet<IpAddr> {
        &self.own
    }

    /// Addresses of this node itself, and whether news is wanted at once.
    pub fn see(&mut self, own: BTreeSet<IpAddr>, urgent: bool) {
        (self.own, self.urgent) = (own, urgent);
    }

    /// Whether connections that begin here are anybody's business.
    pub fn hear_beginnings(&mut self, wanted: bool) {
        if self.listener.hear_beginnings(wanted).is_err() {
            self.drop_one("beginnings_not_heard");
        }
    }

    /// What could not be done, by cause.
    pub fn dropped(&self) -> &BTreeMap<&'static str, u64> {
        &self.dropped
    }

    /// How many pieces of news were lost.
    pub fn news_lost(&self) -> u32 {
        self.news_lost
    }

    /// Whether a flow is replicated as it is now.
    pub fn concerns(&self, flow: &Flow) -> bool {
        self.policy.admits(flow, &self.own) && self.policy.admits_mark(flow)
    }

    /// Asks for a flow: it is this, or it is gone; nothing where there is no answer.
    pub fn look(&mut self, key: &FlowKey) -> Option<Fact> {
        match self.whole.look(&mut self.injector, key) {
            Ok(Some(flow)) => Some(Fact::Changed(flow)),
            Ok(None) => Some(Fact::Gone(*key)),
            Err(_) => {
                self.drop_one("not_looked_up");
                None
            }
        }
    }

    /// What it has of a flow, if it has it.
    pub fn held(&mut self, key: &FlowKey) -> Option<Flow> {
        match self.look(key) {
            Some(Fact::Changed(flow)) => Some(flow),
            _ => None,
        }
    }

    /// The table is to have these flows, but for those that it has already: gives what it has then.
    pub fn add(&mut self, flows: Vec<Flow>) -> Vec<Flow> {
        let held = self.whole.look_all(&mut self.injector, flows.iter().map(|flow| &flow.key));
        // Who has one is not to lose it to an older state because another one could not be looked up.
        let held = held.unwrap_or_else(|_| flows.iter().map(|flow| self.held(&flow.key)).collect());
        let wishes = &mut self.wishes;
        let held_or_put = |(flow, held): (Flow, Option<Flow>)| {
            held.unwrap_or_else(|| {
                wishes.put(flow.clone());
                flow
            })
        };
        flows.into_iter().zip(held).map(held_or_put).collect()
    }

    /// Looks whether news was lost since the last look.
    pub fn look_for_losses(&mut self) -> Option<Fact> {
        let lost = self.listener.drops().unwrap_or(0);
        (std::mem::replace(&mut self.news_lost, lost) != lost).then_some(Fact::NewsLost)
    }

    fn drop_one(&mut self, cause: &'static str) {
        *self.dropped.entry(cause).or_default() += 1;
    }
}

/// News.
impl KernelTable {
    /// When news is to be read without a call.
    pub fn news_at(&self) -> Option<Instant> {
        self.news_at
    }

    /// Reads news; `None` if there is none.
    pub fn read_news(&mut self) -> Option<Vec<Fact>> {
        let mut news = std::mem::take(&mut self.news);
        let mut facts = None;
        for _ in 0..NEWS_PER_TURN_MAX {
            let pieces = match self.listener.receive(&mut news) {
                Ok(Some(pieces)) => pieces,
                Ok(None) => break,
                Err(_) => {
                    self.drop_one("news_unreadable");
                    break;
                }
            };
            let facts = facts.get_or_insert_with(Vec::new);
            facts.extend(pieces.flatten().filter_map(|piece| match piece {
                News::Connection(message) => self.take_news(message),
                News::Expectation(expected) => self.take_expected(&expected),
            }));
        }
        self.news = news;
        facts
    }

    /// After some news it is read again a little later; after none the listener calls.
    pub fn pace_news(&mut self, poller: &Poller, some: bool) -> io::Result<()> {
        let every =
            if self.urgent { Duration::ZERO } else { NEWS_EVERY.min(self.policy.coalesce / 2) };
        let some = some && !every.is_zero();
        match (some, self.news_at.is_some()) {
            (true, false) => poller.remove(&self.listener)?,
            (false, true) => self.listen(poller)?,
            (true, true) | (false, false) => {}
        }
        self.news_at = some.then(|| now() + every);
        Ok(())
    }

    fn take_news(&mut self, message: Message) -> Option<Fact> {
        if !self.policy.admits(&message.flow, &self.own) {
            return None;
        }
        // One that has lost its mark is as good as gone for the others.
        if message.what == What::Destroyed || !self.policy.admits_mark(&message.flow) {
            return Some(Fact::Gone(message.flow.key));
        }
        if self.whole.is_whole(&message) {
            return Some(Fact::Changed(message.flow));
        }
        // Rare: labels, helpers and what they expect. The table has the rest; the end of what it has no
        // more is news by itself.
        self.held(&message.flow.key).map(Fact::Changed)
    }

    /// What a connection expects is a part of it, so it has changed.
    fn take_expected(&mut self, expected: &Expected) -> Option<Fact> {
        let zones = &self.policy.zones;
        let master = self.whole.take_expected(&mut self.injector, expected, zones)?;
        self.concerns(&master).then_some(Fact::Changed(master))
    }
}

/// Lists.
impl KernelTable {
    /// Whether a list is being read.
    pub fn is_listing(&self) -> bool {
        self.dump.is_some()
    }

    /// Begins to read the whole table; a fact where the list has ended already.
    pub fn begin_list(&mut self) -> Option<Fact> {
        // An empty table need not be walked.
        if table::count().is_ok_and(|count| count == 0) {
            return Some(Fact::ListEnded(true));
        }
        let Ok(dump) = Dump::start() else {
            self.drop_one("list_failed");
            return Some(Fact::ListEnded(false));
        };
        self.whole.begin_list(&mut self.injector);
        self.dump = Some(dump);
        None
    }

    /// Reads on in the list; `None` if there is none. What it gives is to be settled before
    /// [`KernelTable::end_list`] is called: a list must not be older than a change.
    pub fn read_list(&mut self) -> Option<Vec<Fact>> {
        let dump = self.dump.as_mut()?;
        let mut messages = Vec::new();
        let more = dump.next_chunk(&mut |message| messages.push(message));
        let is_whole = !dump.was_interrupted();
        if !matches!(more, Ok(true)) {
            self.dump = None;
            self.list_ended = Some(more.is_ok() && is_whole);
        }
        if more.is_err() {
            self.drop_one("list_failed");
            // Who does not answer is not asked for the rest.
            drop(self.whole.end_list());
        }
        let mut facts = Vec::new();
        for message in messages {
            if is_complete(&message) && self.concerns(&message.flow) {
                let listed = self.whole.listed(&mut self.injector, message);
                facts.extend(listed.map(Fact::Listed));
            }
        }
        Some(facts)
    }

    /// What is to be said at the end of the list, once it has come.
    pub fn end_list(&mut self) -> Vec<Fact> {
        let Some(is_whole) = self.list_ended.take() else { return Vec::new() };
        let mut facts = Vec::new();
        for key in self.whole.end_list() {
            let related = self.held(&key).filter(|flow| self.concerns(flow));
            facts.extend(related.map(Fact::Listed));
        }
        facts.push(Fact::ListEnded(is_whole));
        facts
    }
}

/// Changes.
impl KernelTable {
    /// Hands the kernel what is wanted: masters, then what they expect, then what they have expected.
    /// Gives what it has refused; `None` if nothing was wanted.
    pub fn settle(&mut self) -> Option<Vec<Fact>> {
        let mut operations = self.wishes.take()?;
        let split = masters_first(&mut operations);
        let (masters, related) = operations.split_at(split);
        let mut refused = Vec::new();
        for part in [masters, related].into_iter().filter(|part| !part.is_empty()) {
            self.apply(part, &mut refused);
        }
        Some(refused)
    }

    fn apply(&mut self, operations: &[Operation], refused: &mut Vec<Fact>) {
        let report = self.injector.apply(operations);
        for failure in report.failures {
            if let Some(Operation::Put(flow, _)) = operations.get(failure.index) {
                refused.push(Fact::Refused(flow.key));
            }
        }
        for operation in operations {
            let Operation::Put(flow, _) = operation else { continue };
            if self.whole.put(&mut self.injector, flow).is_err() {
                // The next reading of the table finds the difference, and it is told again.
                self.drop_one("expectation_refused");
            }
        }
    }
}
