//! A replayed past changes nothing.

use crate::world::World;

/// Whether a replayed heartbeat or will has changed what a node holds, knows or sends. The world
/// compares at the moment of the replay.
pub(super) fn look(world: &World) -> Option<String> {
    world.replay_changed.then(|| "a recorded packet was taken for a fresh one".to_owned())
}
