//! What has ended here of late.

use std::collections::{BTreeSet, VecDeque};

use super::receive::GONE_MAX;
use crate::flow::FlowHash;

/// Flows that have ended here while we serve: the last ones, at most [`GONE_MAX`]. Nodes that served
/// before us may tell them late.
#[derive(Clone, Hash, Debug, Default)]
pub(super) struct Ended {
    order: VecDeque<FlowHash>,
    flows: BTreeSet<FlowHash>,
}

impl Ended {
    pub fn insert(&mut self, name: FlowHash) {
        if !self.flows.insert(name) {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > GONE_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.flows.remove(&first);
        }
    }

    pub fn contains(&self, name: FlowHash) -> bool {
        self.flows.contains(&name)
    }
}
