//! Nodes that hear each other never hold the same addresses for longer than a bound.

use std::time::Duration;

use evergate_core::config::{LEASE, LONELY_LEASE};
use evergate_core::detector::DEAD_MAX;
use serde::Serialize;

use super::Since;
use crate::setup::{GROUPS_MAX, NODES_MAX};
use crate::world::{KEEP_FOR, World};

/// A planned handover overlaps on purpose, for two calls of the kernel and two heartbeats. What the
/// guardian does for a dead or frozen core takes a dead time and 20 ms more (issue 2, point 4).
pub const OVERLAP_MAX: Duration = Duration::from_millis(100);
/// Where nobody is left to let go, the lease must end; it was renewed a moment ago at the latest.
pub const LEASE_ENDS: Duration = LEASE.saturating_add(OVERLAP_MAX);
/// Who is heard but does not hear must be sure of that before it gives way: two dead times.
pub const ONE_WAY_ENDS: Duration = DEAD_MAX.saturating_mul(2).saturating_add(OVERLAP_MAX);

/// See [`super::Law::OneHolder`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct OneHolder {
    /// By group and pair of nodes.
    pub both: [[Since; NODES_MAX * NODES_MAX]; GROUPS_MAX],
}

impl OneHolder {
    /// Looks at one group.
    pub fn look(&mut self, world: &World, group: usize) -> Option<String> {
        let nodes = world.hosts.len();
        for one in 0..nodes {
            if !world.hosts[one].holds(group) {
                self.both[group][one * NODES_MAX..(one + 1) * NODES_MAX].fill(Since(None));
                continue;
            }
            for other in one + 1..nodes {
                let meet = world.joined(one, other) || heard_one_way(world, one, other);
                let both = world.hosts[other].holds(group) && meet;
                let excused = world.hosts[one].disturbed.max(world.hosts[other].disturbed);
                let since = &mut self.both[group][one * NODES_MAX + other];
                let lasted = since.note(world.now, both, excused);
                if lasted > bound(world, one, other) {
                    return Some(format!("nodes {one} and {other} both hold it for {lasted:?}"));
                }
            }
        }
        None
    }
}

/// Of two nodes, one that is heard but does not hear must learn of the other, if that one has known
/// it from before; who has never answered cannot be told from a recording.
fn heard_one_way(world: &World, one: usize, other: usize) -> bool {
    world.hosts.len() == 2
        && world.touching(one, other)
        && (world.sees(one, other) || world.sees(other, one))
}

/// How long two nodes may hold the same addresses.
fn bound(world: &World, one: usize, other: usize) -> Duration {
    let advert = Duration::from_micros(world.setup.advert_us);
    let beats = Duration::from_micros(world.setup.heartbeat_us) * 4;
    let headless = |node: usize| {
        let host = &world.hosts[node];
        !host.guardian && !host.runs() || host.frozen.is_some() || host.kernel.is_slow()
    };
    let stranded = |node: usize| world.hosts[node].kernel.stranded.contains(&true);
    if stranded(one) || stranded(other) {
        return LONELY_LEASE;
    }
    // A guardian that has never heard of a peer keeps the addresses for the next core.
    let kept = |node: usize| {
        let orphan = world.hosts[node].orphan.as_ref();
        orphan.is_some_and(|orphan| orphan.adopt.contains(&true))
    };
    if kept(one) || kept(other) {
        return KEEP_FOR;
    }
    if headless(one) || headless(other) {
        return LEASE_ENDS.max(advert);
    }
    if !world.joined(one, other) {
        return ONE_WAY_ENDS.max(8 * beats);
    }
    OVERLAP_MAX.max(beats)
}
