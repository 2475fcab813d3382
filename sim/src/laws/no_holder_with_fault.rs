//! Who has a fault holds nothing.

use serde::Serialize;

use std::time::Duration;

use super::Since;
use crate::setup::{GROUPS_MAX, NODES_MAX};
use crate::world::World;

/// A lost carrier is told at once; what is left is a call of the kernel (issue 2, point 3: 10 ms).
pub const RELEASE_MAX: Duration = Duration::from_millis(10);

/// See [`super::Law::NoHolderWithFault`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct NoHolderWithFault {
    /// By group and node.
    pub faulty: [[Since; NODES_MAX]; GROUPS_MAX],
}

impl NoHolderWithFault {
    /// Looks at one group. What is true counts, not what the node has noted.
    pub fn look(&mut self, world: &World, group: usize) -> Option<String> {
        for node in 0..world.hosts.len() {
            let host = &world.hosts[node];
            let waits = !host.kernel.calls.is_empty() || host.kernel.stranded[group];
            let routers = &world.setup.groups[group].routers;
            let faulty = host.holds(group)
                && host.runs()
                && !waits
                && (routers.iter().any(|at| !host.carrier[*at])
                    || world.fails_check(node, group)
                    || own_word(world, node, group));
            let lasted = self.faulty[group][node].note(world.now, faulty, host.disturbed);
            if lasted > RELEASE_MAX {
                return Some(format!("node {node} has a fault and holds it for {lasted:?}"));
            }
        }
        None
    }
}

/// Whether the node itself says that it has a fault or is locked out.
fn own_word(world: &World, node: usize, group: usize) -> bool {
    let Some(actor) = &world.hosts[node].core else { return false };
    !actor.node().groups()[group].faults.is_empty()
}
