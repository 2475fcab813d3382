//! Some fit node holds the addresses within a bound after the last fault.

use serde::Serialize;

use std::time::Duration;

use super::Since;
use crate::setup::GROUPS_MAX;
use crate::world::World;

/// The longest way to a holder without knowledge of the others: three adverts and a skew time of at
/// most one more, after a fault that was noticed late (the lease of 3 s), and a second for the rest.
pub const VACANT_MAX: Duration = Duration::from_secs(8);

/// See [`super::Law::SomeoneHolds`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct SomeoneHolds {
    /// By group.
    pub vacant: [Since; GROUPS_MAX],
}

impl SomeoneHolds {
    /// Looks at one group.
    pub fn look(&mut self, world: &World, group: usize) -> Option<String> {
        let mut nodes = 0..world.hosts.len();
        let held = nodes.any(|node| {
            let good = world.is_fit(node, group) || is_misled(world, node);
            world.hosts[node].holds(group) && good
        });
        let vacant = !held && could_be_held(world, group);
        let lasted = self.vacant[group].note(world.now, vacant, world.disturbed);
        let bound = VACANT_MAX.max(2 * Duration::from_micros(world.setup.advert_us * 4));
        (lasted > bound).then(|| format!("no fit node holds it for {lasted:?}"))
    }
}

/// Whether a node cannot know of another that hears it: that one yields to it, fit or not, because
/// two holders would be worse (design section 3, point 2).
fn is_misled(world: &World, node: usize) -> bool {
    (0..world.hosts.len()).any(|other| other != node && world.is_one_way(node, other))
}

/// Whether a node is there that ought to hold it. Where the neighbours that answer probes are gone
/// nobody can prove that its own cable works, and nobody claims (design section 3, point 2).
fn could_be_held(world: &World, group: usize) -> bool {
    let routers = &world.setup.groups[group].routers;
    let testable = !world.setup.neighbours || routers.iter().all(|at| world.neighbour[*at]);
    testable && (0..world.hosts.len()).any(|node| world.is_fit(node, group))
}
