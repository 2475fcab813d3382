//! The kernel holds what its node claims to hold, and nothing else.

use std::time::Duration;

use evergate_core::config::{LEASE, LONELY_LEASE};
use serde::Serialize;

use super::Since;
use crate::setup::{GROUPS_MAX, NODES_MAX};
use crate::world::{KEEP_FOR, World};

/// How long both may differ while no call waits for the kernel.
pub const DIFFER_MAX: Duration = Duration::from_millis(100);

/// See [`super::Law::KernelMatchesClaim`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct KernelMatchesClaim {
    /// By group and node.
    pub differs: [[Since; NODES_MAX]; GROUPS_MAX],
}

impl KernelMatchesClaim {
    /// Looks at one group.
    pub fn look(&mut self, world: &World, group: usize) -> Option<String> {
        for node in 0..world.hosts.len() {
            let host = &world.hosts[node];
            let held = host.kernel.held[group].is_some();
            let differs =
                held != world.claims(node, group) && host.is_up() && host.kernel.calls.is_empty();
            let lasted = self.differs[group][node].note(world.now, differs, host.disturbed);
            if lasted > bound(world, node, group) {
                let word = if held { "holds" } else { "does not hold" };
                return Some(format!("the kernel of node {node} {word} it for {lasted:?}"));
            }
        }
        None
    }
}

/// How long the kernel may differ: without a core until the guardian or the lease ends it, after a
/// failed release until the lease ends.
fn bound(world: &World, node: usize, group: usize) -> Duration {
    let host = &world.hosts[node];
    let lease = if world.hosts.len() == 1 { LONELY_LEASE } else { LEASE };
    if host.kernel.stranded[group] || host.frozen.is_some() {
        return LONELY_LEASE.max(lease);
    }
    if host.core.is_none() {
        return if host.guardian { KEEP_FOR + DIFFER_MAX } else { LONELY_LEASE };
    }
    DIFFER_MAX
}
