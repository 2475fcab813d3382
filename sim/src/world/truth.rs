//! What is true in the world, whatever its nodes believe. The laws judge by this.

use evergate_core::fault::Fault;
use evergate_core::group::State;
use evergate_core::ident::NodeId;

use super::World;
use crate::setup::SEGMENTS_MAX;

impl World {
    /// Whether a node's cable on a segment works both ways and its kernel says so.
    pub fn cable_works(&self, node: usize, segment: usize) -> bool {
        let host = &self.hosts[node];
        host.sends_on(segment) && host.hears_on(segment)
    }

    /// Whether what a node sends on a segment reaches another.
    pub fn reaches(&self, from: usize, to: usize, segment: usize) -> bool {
        self.hosts[from].sends_on(segment)
            && self.hosts[to].hears_on(segment)
            && self.blocked[segment][from] >> to & 1 == 0
    }

    /// Whether two nodes hear each other on a segment.
    pub fn joined_on(&self, one: usize, other: usize, segment: usize) -> bool {
        self.reaches(one, other, segment) && self.reaches(other, one, segment)
    }

    /// Whether two nodes hear each other on some segment.
    pub fn joined(&self, one: usize, other: usize) -> bool {
        (0..self.setup.segments.len()).any(|segment| self.joined_on(one, other, segment))
    }

    /// Whether one of two nodes hears the other on some segment.
    pub fn touching(&self, one: usize, other: usize) -> bool {
        (0..self.setup.segments.len())
            .any(|at| self.reaches(one, other, at) || self.reaches(other, one, at))
    }

    /// Whether a node sees another as living.
    pub fn sees(&self, one: usize, other: usize) -> bool {
        let Some(actor) = self.hosts[one].core.as_ref().filter(|_| self.hosts[one].runs()) else {
            return false;
        };
        let id = World::id(other);
        actor.node().peers().iter().any(|peer| peer.node == id && peer.lives())
    }

    /// Whether of two nodes that run one hears the other, but not the other way round.
    pub fn is_one_way(&self, one: usize, other: usize) -> bool {
        self.runs(one) && self.runs(other) && self.touching(one, other) && !self.joined(one, other)
    }

    /// Whether a node's core runs and has taken up a state in the group.
    pub fn runs(&self, node: usize) -> bool {
        self.hosts[node].runs()
    }

    /// Whether a node could serve a group: it runs, its cables work, nobody has locked it out, and
    /// it is not in one of those faults that last for a fixed time by design.
    pub fn is_fit(&self, node: usize, group: usize) -> bool {
        let host = &self.hosts[node];
        let Some(actor) = host.core.as_ref().filter(|_| host.frozen.is_none()) else {
            return false;
        };
        let view = &actor.node().groups()[group];
        let resting = [Fault::KernelRefused, Fault::KernelStuck, Fault::AddressContested];
        !view.locked
            && !resting.iter().any(|fault| view.faults.contains(*fault))
            && self.setup.groups[group].routers.iter().all(|at| self.cable_works(node, *at))
            && !self.fails_check(node, group)
    }

    /// Whether a check fails on a node that is a reason for fault in a group.
    pub fn fails_check(&self, node: usize, group: usize) -> bool {
        let track = self.setup.groups[group].track.iter().zip(self.hosts[node].checks);
        track.into_iter().any(|(weight, passes)| weight.is_none() && !passes)
    }

    /// Whether a node says that it holds a group.
    pub fn claims(&self, node: usize, group: usize) -> bool {
        let Some(actor) = &self.hosts[node].core else { return false };
        matches!(actor.node().groups()[group].state, State::Active { .. })
    }

    /// Whether nothing at all is wrong with a node and its way to the others.
    pub fn is_pristine(&self, node: usize) -> bool {
        let host = &self.hosts[node];
        let segments = 0..self.setup.segments.len();
        let blocked_to = self.blocked.iter().flatten().any(|row| row >> node & 1 == 1);
        let blocked_from = self.blocked.iter().any(|rows| rows[node] != 0);
        host.runs()
            && host.guardian
            && host.kernel.failing == 0
            && host.checks.iter().all(|passes| *passes)
            && segments.clone().all(|at| self.cable_works(node, at))
            && !blocked_to
            && !blocked_from
            && self.filtered == [false; SEGMENTS_MAX]
            && segments.clone().all(|at| self.neighbour[at] == self.setup.neighbours)
            && segments.clone().all(|at| self.lossy[at].until <= self.now)
    }

    /// The node as the core numbers it.
    pub fn id(node: usize) -> NodeId {
        NodeId::at(node)
    }
}
