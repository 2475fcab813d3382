//! Faults of standbys move nothing: while the preferred node holds a group, in good order and
//! untouched, nobody else becomes active.

use serde::Serialize;

use std::time::Duration;

use crate::setup::GROUPS_MAX;
use crate::world::World;

/// How long after the last fault the world counts as settled.
pub const SETTLED_AFTER: Duration = Duration::from_secs(4);

/// See [`super::Law::StandbyFaultsMoveNothing`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct StandbyFaultsMoveNothing {
    /// The settled holder of each group, as long as nothing has touched it.
    pub anchor: [Option<u8>; GROUPS_MAX],
}

impl StandbyFaultsMoveNothing {
    /// Looks at one group.
    pub fn look(&mut self, world: &World, group: usize) -> Option<String> {
        let anchor = &mut self.anchor[group];
        if anchor.is_some_and(|node| world.touched >> node & 1 == 1) {
            *anchor = None;
        }
        if let Some(node) = *anchor {
            let node = usize::from(node);
            let other = (0..world.hosts.len()).find(|at| *at != node && world.claims(*at, group));
            return match other {
                Some(other) => Some(format!("node {other} became active beside untouched {node}")),
                None if world.claims(node, group) => None,
                None => Some(format!("untouched node {node} gave it up")),
            };
        }
        if world.now.since(world.disturbed) >= SETTLED_AFTER {
            let node = world.setup.preferred(group);
            let alone = (0..world.hosts.len()).all(|at| world.claims(at, group) == (at == node));
            if alone && world.is_pristine(node) {
                *anchor = u8::try_from(node).ok();
            }
        }
        None
    }
}
