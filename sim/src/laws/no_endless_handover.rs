//! A group comes to rest after the last fault.

use crate::world::World;

/// How often a group may become active after the last fault: once where it is needed, once more
/// where a node that knew less was first, and once for the failback to the preferred node. Twice
/// that, because a fault that lasts (a silent segment) may be found out after the first rest.
pub const ENTRIES_MAX: u32 = 6;

/// See [`super::Law::NoEndlessHandover`].
#[derive(Clone, Copy, Debug)]
pub struct NoEndlessHandover;

impl NoEndlessHandover {
    /// Looks at one group; the world counts.
    pub fn look(world: &World, group: usize) -> Option<String> {
        let entries = world.entries[group];
        (entries > ENTRIES_MAX)
            .then(|| format!("became active {entries} times after the last fault"))
    }
}
