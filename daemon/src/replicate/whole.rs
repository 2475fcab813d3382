//! What a piece of news lacks is looked up in the table.
//!
//! The kernel tells some parts of a connection once, when they change: labels, the connection that
//! has expected it, what a SYN proxy remembers; and what a connection expects it tells as news of its
//! own. All of them are parts of the flow that nodes tell each other. Connections that have none of
//! this, nearly all, are never looked up.

use std::collections::BTreeSet;

use evergate_core::flow::{Flow, FlowKey, Tuple, Zones};
use evergate_core::replicate::is_open;
use nix::errno::Errno;

use crate::kernel::conntrack::decode::{Expected, Message, Present, is_complete};
use crate::kernel::conntrack::injector::{Injector, LISTED_MAX, Operation};
use crate::kernel::error::NetlinkError;

/// Connections of a list that others have expected wait until their masters were read; so many at
/// most, and what comes beyond is taken as it comes.
const RELATED_MAX: usize = 1024;

/// What is known beside the news.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// What a connection expects is no part of it: nobody is told.
    without_expectations: bool,
    /// What some connection has had and later news of it lacks.
    told_once: Present,
    /// A list is being read.
    is_listing: bool,
    /// The connections that expect others, by their original direction, or have done so since the
    /// present list began.
    expecting: BTreeSet<Tuple>,
    /// Connections of the present list that wait for their masters.
    related: Vec<FlowKey>,
}

impl Whole {
    /// Towards a peer that is not told what connections expect, and tells nothing of it.
    pub fn without_expectations() -> Whole {
        Whole { without_expectations: true, ..Whole::default() }
    }

    /// Whether news alone is enough to make the connection elsewhere.
    pub fn is_whole(&mut self, message: &Message) -> bool {
        self.note(message);
        let flow = &message.flow;
        let needs_more = !is_complete(message) || !message.present.has(self.told_once);
        // Of one that is over nobody needs more than its name.
        !is_open(flow) || !needs_more && !self.may_expect(flow)
    }

    /// From here on it is known that rules here set labels, or that SYNs are answered by a proxy.
    fn note(&mut self, message: &Message) {
        let Some(extra) = message.flow.extra.as_deref() else { return };
        if extra.labels.is_some() {
            self.told_once = self.told_once.and(Present::LABELS);
        }
        if extra.synproxy.is_some() {
            self.told_once = self.told_once.and(Present::SYNPROXY);
        }
    }

    /// A list of the table begins.
    pub fn begin_list(&mut self, injector: &mut Injector) {
        self.is_listing = true;
        self.related.clear();
        self.expecting = match self.without_expectations {
            true => BTreeSet::new(),
            false => injector.expecting().unwrap_or_default(),
        };
    }

    /// A connection expects something from now on; the present list must not miss it.
    fn expects(&mut self, master: &Tuple) {
        if self.is_listing && self.expecting.len() < LISTED_MAX {
            self.expecting.insert(*master);
        }
    }

    /// A connection of the list; `None` where it comes at the end of it.
    pub fn listed(&mut self, injector: &mut Injector, message: Message) -> Option<Flow> {
        self.note(&message);
        let flow = message.flow;
        if flow.has_master() && self.related.len() < RELATED_MAX {
            self.related.push(flow.key);
            return None;
        }
        let is_cut = self.expecting.len() >= LISTED_MAX;
        match self.may_expect(&flow) && (is_cut || self.expecting.contains(&flow.key.original)) {
            true => Some(self.with_expectations(injector, flow)),
            false => Some(flow),
        }
    }

    /// The list has ended: what has waited for that is to be looked up now.
    pub fn end_list(&mut self) -> Vec<FlowKey> {
        self.is_listing = false;
        self.expecting.clear();
        std::mem::take(&mut self.related)
    }

    /// A connection as the table has it, with all that it expects; `None` if it is not there.
    pub fn look(
        &self,
        injector: &mut Injector,
        key: &FlowKey,
    ) -> Result<Option<Flow>, NetlinkError> {
        let held = injector.look(key)?;
        Ok(held.map(|held| self.with_expectations(injector, held.flow)))
    }

    /// The same of many, in the order of the keys.
    pub fn look_all<'a>(
        &self,
        injector: &mut Injector,
        keys: impl Iterator<Item = &'a FlowKey>,
    ) -> Result<Vec<Option<Flow>>, NetlinkError> {
        let held = injector.look_all(keys)?.into_iter();
        Ok(held.map(|held| Some(self.with_expectations(injector, held?.flow))).collect())
    }

    /// The connection that expects something, of which there is news. The kernel does not tell its
    /// zone: it is one of those that are replicated.
    pub fn take_expected(
        &mut self,
        injector: &mut Injector,
        expected: &Expected,
        zones: &[u16],
    ) -> Option<Flow> {
        if self.without_expectations {
            return None;
        }
        self.expects(&expected.master);
        std::iter::once(&0).chain(zones).find_map(|zone| {
            let zones = Zones { original: *zone, reply: *zone };
            let key = FlowKey { original: expected.master, zones };
            self.look(injector, &key).ok().flatten().filter(Flow::has_helper)
        })
    }

    /// A connection was put into the table: what it expects is put there too.
    pub fn put(&mut self, injector: &mut Injector, flow: &Flow) -> Result<(), Errno> {
        if !self.may_expect(flow) {
            return Ok(());
        }
        self.expects(&flow.key.original);
        injector.set_expectations(flow)
    }

    fn may_expect(&self, flow: &Flow) -> bool {
        flow.has_helper() && !self.without_expectations
    }

    fn with_expectations(&self, injector: &mut Injector, mut flow: Flow) -> Flow {
        if self.may_expect(&flow)
            && let Some(extra) = &mut flow.extra
            && let Ok(expectations) = injector.expectations(&flow.key)
        {
            extra.set_expectations(expectations);
        }
        flow
    }
}

/// Puts connections that others have expected behind all else, which keeps its order; gives where they
/// begin. Their masters must be there before them.
pub(super) fn masters_first(operations: &mut [Operation]) -> usize {
    let is_related = |it: &Operation| matches!(it, Operation::Put(flow, _) if flow.has_master());
    operations.sort_by_key(is_related);
    operations.partition_point(|it| !is_related(it))
}

#[cfg(test)]
mod tests {
    use evergate_core::flow::{Extra, Part, State, protocol, status, tcp};

    use super::*;
    use crate::kernel::conntrack::decode::What;

    /// News of a TCP connection in a state, with what few have.
    fn news(state: u8, extra: Option<Extra>, present: Present) -> Message {
        let part = Part::Ports { source: 1, target: 21 };
        let (source, target) = ([10, 91, 0, 100].into(), [10, 92, 0, 200].into());
        let original = Tuple { source, target, protocol: protocol::TCP, part };
        let state = State::Tcp { state, flags: [3; 2], scales: [7; 2] };
        let (key, extra) = (FlowKey { original, zones: Zones::default() }, extra.map(Box::new));
        let reply = original.inverse();
        let status = status::SEEN_REPLY;
        let flow = Flow { key, reply, status, timeout: 1, mark: 0, state, extra };
        Message { what: What::Changed, port: 0, id: None, status, flow, present }
    }

    fn plain(state: u8) -> Message {
        news(state, None, Present::STATUS)
    }

    #[test]
    fn a_plain_connection_is_never_looked_up() {
        let mut whole = Whole::default();
        for state in [tcp::SYN_SENT, tcp::ESTABLISHED, tcp::TIME_WAIT] {
            assert!(whole.is_whole(&plain(state)));
        }
    }

    #[test]
    fn a_connection_with_a_helper_is_looked_up_until_it_is_over() {
        let helper = || Some(Extra { helper: Some(b"ftp".to_vec()), ..Extra::default() });
        let mut whole = Whole::default();
        assert!(!whole.is_whole(&news(tcp::ESTABLISHED, helper(), Present::HELPER)));
        assert!(whole.is_whole(&news(tcp::TIME_WAIT, helper(), Present::HELPER)));
    }

    #[test]
    fn where_nobody_is_told_what_is_expected_a_helper_needs_no_look() {
        let helper = Some(Extra { helper: Some(b"ftp".to_vec()), ..Extra::default() });
        let mut whole = Whole::without_expectations();
        assert!(whole.is_whole(&news(tcp::ESTABLISHED, helper, Present::HELPER)));
        let mut expected = plain(tcp::ESTABLISHED);
        expected.status |= status::EXPECTED;
        assert!(!whole.is_whole(&expected), "its master");
    }

    #[test]
    fn once_labels_were_told_news_without_them_is_looked_up() {
        let labels = || Some(Extra { labels: Some([1; 16]), ..Extra::default() });
        let mut whole = Whole::default();
        assert!(whole.is_whole(&news(tcp::SYN_SENT, labels(), Present::LABELS)));
        assert!(!whole.is_whole(&plain(tcp::ESTABLISHED)));
        assert!(whole.is_whole(&plain(tcp::CLOSE)));
        assert!(whole.is_whole(&news(tcp::ESTABLISHED, labels(), Present::LABELS)));
    }

    #[test]
    fn masters_are_put_before_what_they_have_expected_and_nothing_else_moves() {
        let numbered = |port, extra| {
            let mut flow = news(tcp::ESTABLISHED, extra, Present::STATUS).flow;
            flow.key.original.part = Part::Ports { source: port, target: 1 };
            flow
        };
        let related = |port| {
            let master = Some(numbered(3, None).key.original);
            Operation::Put(numbered(port, Some(Extra { master, ..Extra::default() })), 1)
        };
        let master = Operation::Put(numbered(3, None), 1);
        let (gone, renewed) = (numbered(4, None).key, numbered(5, None).key);
        let (gone, renewed) = (Operation::Delete(gone), Operation::SetTimeout(renewed, 1));
        let mut operations =
            [related(1), gone.clone(), related(2), master.clone(), renewed.clone()];
        assert_eq!(masters_first(&mut operations), 3);
        assert_eq!(operations, [gone, master, renewed, related(1), related(2)]);
    }

    #[test]
    fn an_expected_connection_is_looked_up_unless_its_master_is_told() {
        let mut whole = Whole::default();
        let mut message = plain(tcp::ESTABLISHED);
        message.status |= status::EXPECTED;
        assert!(!whole.is_whole(&message));
        message.present = Present::MASTER;
        assert!(whole.is_whole(&message));
    }
}
