//! What is wanted of the kernel's table and not done yet.

use std::collections::BTreeMap;

use evergate_core::flow::{Flow, FlowKey};
use evergate_core::replicate::LEASE;

use super::timeouts::Timeouts;
use crate::kernel::conntrack::injector::Operation;

/// Changes that have gathered, in the order in which they were wanted.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    timeouts: Timeouts,
    operations: Vec<Operation>,
    /// Where the newest wish for a flow stands among them.
    newest: BTreeMap<FlowKey, usize>,
}

impl Wishes {
    /// Nothing is wanted yet; the kernel's own timeouts are these.
    pub fn new(timeouts: Timeouts) -> Wishes {
        Wishes { timeouts, ..Wishes::default() }
    }

    /// The table is to have this flow, with a lease.
    pub fn put(&mut self, flow: Flow) {
        self.want(flow.key, Operation::Put(flow, lease()));
    }

    /// The same, but as new. In one call where that is possible: what is gone must not stay so if we end
    /// here.
    pub fn replace(&mut self, flow: Flow) {
        self.delete(flow.key);
        self.newest.insert(flow.key, self.operations.len());
        self.operations.push(Operation::Put(flow, lease()));
    }

    /// The flow is to be gone.
    pub fn delete(&mut self, key: FlowKey) {
        self.want(key, Operation::Delete(key));
    }

    /// The flow is to have a whole lease again.
    pub fn renew(&mut self, key: FlowKey) {
        self.operations.push(Operation::SetTimeout(key, lease()));
    }

    /// The flow is to have the timeout of its protocol and state.
    pub fn restore(&mut self, flow: &Flow) {
        let timeout = self.timeouts.of(flow);
        self.operations.push(Operation::SetTimeout(flow.key, timeout));
    }

    /// The sequence numbers of the flow are to be checked, or not.
    pub fn check_windows(&mut self, key: FlowKey, check: bool) {
        self.operations.push(Operation::CheckWindows(key, check));
    }

    /// All that is wanted, which is wanted no more then; `None` if there is nothing.
    pub fn take(&mut self) -> Option<Vec<Operation>> {
        self.newest.clear();
        Some(std::mem::take(&mut self.operations)).filter(|operations| !operations.is_empty())
    }

    /// What was wanted of the same flow before does not count any more: what the kernel refuses at
    /// first is done a little later, and must not come after what was wanted last.
    fn want(&mut self, key: FlowKey, operation: Operation) {
        let end = self.operations.len();
        let at = *self.newest.entry(key).or_insert(end);
        match self.operations.get_mut(at) {
            Some(former) => *former = operation,
            None => self.operations.push(operation),
        }
    }
}

/// The timeout of a copy, in seconds.
fn lease() -> u32 {
    u32::try_from(LEASE.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use evergate_core::flow::{Part, State, Tuple, Zones, protocol};

    use super::*;

    fn flow(port: u16, mark: u32) -> Flow {
        let part = Part::Ports { source: port, target: 53 };
        let (source, target) = ([10, 91, 0, 100].into(), [10, 92, 0, 200].into());
        let original = Tuple { source, target, protocol: protocol::UDP, part };
        let key = FlowKey { original, zones: Zones::default() };
        let (reply, state) = (original.inverse(), State::None);
        Flow { key, reply, status: 0, timeout: 1, mark, state, extra: None }
    }

    fn put(port: u16, mark: u32) -> Operation {
        Operation::Put(flow(port, mark), 600)
    }

    #[test]
    fn of_a_flow_only_what_was_wanted_last_is_done() {
        let mut wishes = Wishes::default();
        wishes.put(flow(1, 0));
        wishes.put(flow(2, 0));
        wishes.put(flow(1, 7));
        wishes.delete(flow(2, 0).key);
        let expected = vec![put(1, 7), Operation::Delete(flow(2, 0).key)];
        assert_eq!(wishes.take(), Some(expected));
        assert_eq!(wishes.take(), None);
        wishes.put(flow(1, 8));
        assert_eq!(wishes.take(), Some(vec![put(1, 8)]), "what is done is forgotten");
    }

    #[test]
    fn what_is_made_anew_is_deleted_and_put_and_nothing_older_is_left_of_it() {
        let mut wishes = Wishes::default();
        wishes.put(flow(1, 1));
        wishes.replace(flow(1, 2));
        let delete = Operation::Delete(flow(1, 0).key);
        assert_eq!(wishes.take(), Some(vec![delete.clone(), put(1, 2)]));
        wishes.replace(flow(1, 3));
        wishes.put(flow(1, 4));
        assert_eq!(wishes.take(), Some(vec![delete, put(1, 4)]), "still as new");
    }
}
