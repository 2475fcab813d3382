//! A group: the unit of election. One state, one priority, any number of virtual routers.
//!
//! ```text
//!             claim                     kernel: up
//!   Standby ─────────► Claiming ─────────────────────► Active
//!      ▲                   │  refused, outranked          │  fault, outranked, handed over,
//!      │  kernel: gone     ▼                              ▼  paused, locked, shutdown
//!      └──────────────── Releasing ◄──────────────────────┘
//! ```
//!
//! A standby with a reason for fault shows as *fault*, one that an operator has locked as *locked*:
//! both follow from the sets that hold the reasons, so nothing can forget to leave them.
//!
//! Who holds the addresses follows from the state alone: Claiming and Active ask the kernel to hold
//! them, Releasing asks it to let go.
//!
//! * `election`: when to claim and when to give way. Level-triggered: one function looks at the
//!   whole [`Scene`] after every fact.
//! * `handover`: planned moves, in which the target is up before the former holder lets go.
//! * `adverts`: VRRP as the standard has it, for routers of another make.
//! * `actions`: the transitions themselves and what they send.
//! * `kernel`: what the kernel is asked, and what follows from what it answers.
mod actions;
mod adverts;
mod election;
mod handover;
mod kernel;
mod renumber;
mod scene;
mod weight;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use actions::next_beat;
pub use adverts::Advert;
pub use election::{Obstacle, Rank};
pub use handover::{HANDOVER_LIMIT, Handover, Origin, READY_PATIENCE};
pub use kernel::{PUT_BACK_MAX, PUT_BACK_WINDOW};
pub use scene::{Scene, Sight};
pub use weight::{SETTLED_AFTER, Weight};

use kernel::KernelTalk;

use crate::config::GroupConfig;
use crate::effect::Cause;
use crate::fault::Faults;
use crate::heartbeat::{Answered, GroupReport, Hold, Request, Role};
use crate::ident::{GroupId, NodeId};
use crate::time::{Instant, earliest};
use crate::vrrp::Speaker;

/// The state of a group on this node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum State {
    /// Not started.
    Init,
    /// Holds nothing.
    Standby,
    /// Has asked the kernel for the addresses.
    Claiming {
        /// Why.
        cause: Cause,
        /// Since when.
        since: Instant,
        /// From the last sign of life of the former holder to the decision.
        detect: Duration,
    },
    /// Holds the addresses.
    Active {
        /// Since when.
        since: Instant,
        /// When the next adverts are due.
        advert_at: Instant,
        /// When the lease is renewed.
        renew_at: Instant,
    },
    /// Has asked the kernel to let go.
    Releasing {
        /// Since when.
        since: Instant,
    },
}

/// A group on this node.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Which group this is.
    pub id: GroupId,
    /// Its state.
    pub state: State,
    /// Why this node may not hold it.
    pub faults: Faults,
    /// An operator has locked this node out.
    pub locked: bool,
    /// An operator has put the group on this node; priority alone does not move it.
    pub held: Option<Hold<Instant>>,
    /// How often the group has changed hands, as far as we know.
    pub term: u32,
    /// What each peer last said about the group, by [`NodeId`].
    pub reports: Vec<Option<GroupReport>>,
    /// The standby side of each router.
    pub speakers: Vec<Speaker>,
    /// When anything changed that the peers should know at once.
    pub touched_at: Instant,
    /// Why the role was last changed, and when.
    pub last_change: (Instant, Cause),
    /// The planned handover that we, active, are carrying out.
    pub handover: Option<Handover>,
    kernel: KernelTalk,
    announcing: Option<Announcing>,
    /// Which other node held the group last, as far as we know.
    last_active: Option<NodeId>,
    /// The living peer that holds the group, and since when we know.
    pub holder: Option<(NodeId, Instant)>,
    /// When an advert of a peer of ours was last heard on each router.
    pub peer_advert_at: Vec<Option<Instant>>,
    /// The former holder, while a planned handover to us is not complete.
    predecessor: Option<Predecessor>,
    /// What checks do to the priority.
    pub weight: Weight,
    /// A better node that is ready.
    better: Option<Better>,
    /// No failback is tried before this.
    failback_not_before: Instant,
    /// What we ask of the active node.
    asking: Option<Asking>,
    /// The last request that we, active, have answered.
    answered: Option<Answered>,
    /// The serial of the last request taken from each node's present process.
    taken: Vec<Option<u32>>,
    /// Another holder was seen that has to give way to us; our addresses are announced again then.
    rival: Option<Rival>,
    /// Since when we have been listening for other holders.
    started_at: Instant,
    /// Until then nothing is claimed, because the node has only just begun.
    delayed_until: Option<Instant>,
    /// We have not listened long enough yet to be sure that nobody holds the group.
    listening: bool,
    /// The serial of our last request. It begins anywhere, so that an answer to a former process of
    /// ours is not taken for one to us.
    asked: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Announcing {
    next: Instant,
    until: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Predecessor {
    node: NodeId,
    until: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Better {
    node: NodeId,
    /// Since when it has been ready and better without a break.
    since: Instant,
    /// It is better because checks fail here that do not fail there.
    by_checks: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Asking {
    request: Request,
    token: u64,
    until: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Rival {
    /// `None`: a router of another make.
    node: Option<NodeId>,
    announce_at: Instant,
}

impl Group {
    /// A group that has not started.
    pub fn new(id: GroupId, nodes: usize) -> Self {
        Group {
            id,
            state: State::Init,
            faults: Faults::default(),
            locked: false,
            held: None,
            term: 0,
            reports: vec![None; nodes],
            speakers: Vec::new(),
            touched_at: Instant::ZERO,
            last_change: (Instant::ZERO, Cause::Started),
            handover: None,
            kernel: KernelTalk::default(),
            announcing: None,
            last_active: None,
            holder: None,
            peer_advert_at: Vec::new(),
            predecessor: None,
            weight: Weight::default(),
            better: None,
            failback_not_before: Instant::ZERO,
            asking: None,
            answered: None,
            taken: vec![None; nodes],
            rival: None,
            started_at: Instant::ZERO,
            delayed_until: None,
            listening: false,
            asked: 0,
        }
    }

    /// What this node does in the group, in one word.
    pub fn role(&self) -> Role {
        match self.state {
            State::Init => Role::Init,
            State::Claiming { .. } => Role::Claiming,
            State::Active { .. } => Role::Active,
            State::Releasing { .. } => Role::Releasing,
            State::Standby if self.locked => Role::Locked,
            State::Standby if !self.faults.is_empty() => Role::Fault,
            State::Standby => Role::Standby,
        }
    }

    /// What the peers are told at once when it changes.
    pub(crate) fn news(&self) -> impl PartialEq + use<> {
        let asked = self.asking.as_ref().map(|asking| asking.request);
        (self.role(), self.handover, self.locked, self.held, asked, self.answered, self.weight)
    }

    /// Whether the kernel is asked to hold the addresses.
    pub fn holds(&self) -> bool {
        matches!(self.state, State::Claiming { .. } | State::Active { .. })
    }

    /// Whether this node could hold the group, or does.
    pub fn is_fit(&self, config: &GroupConfig, me: NodeId) -> bool {
        self.faults.is_empty()
            && !self.locked
            && !matches!(self.state, State::Init)
            && config.priority(me).is_some()
    }

    /// Until when nothing is claimed, because this node has only just begun.
    pub fn delayed_until(&self) -> Option<Instant> {
        self.delayed_until
    }

    /// A better node that is ready, and since when without a break; known while we are active.
    pub fn better(&self) -> Option<(NodeId, Instant)> {
        self.better.map(|better| (better.node, better.since))
    }

    /// Which other node held the group last, as far as we know.
    pub fn last_active(&self) -> Option<NodeId> {
        self.last_active
    }

    /// The former holder, while a planned handover to us is not complete.
    pub fn predecessor(&self) -> Option<NodeId> {
        self.predecessor.as_ref().map(|predecessor| predecessor.node)
    }

    /// Who is active, as far as we know: ourselves, or a peer that says so and lives.
    pub fn active_node(&self, scene: &Scene) -> Option<NodeId> {
        if matches!(self.state, State::Active { .. }) {
            return Some(scene.me);
        }
        self.peers_in(scene, Role::Active).next()
    }

    /// The living peers that are in a role, in the order of their numbers.
    pub fn peers_in<'a>(
        &'a self,
        scene: &'a Scene,
        role: Role,
    ) -> impl Iterator<Item = NodeId> + 'a {
        self.living(scene).filter(move |(_, report)| report.role == role).map(|(node, _)| node)
    }

    /// The last word of every living peer.
    pub fn living<'a>(
        &'a self,
        scene: &'a Scene,
    ) -> impl Iterator<Item = (NodeId, &'a GroupReport)> + 'a {
        self.reports.iter().enumerate().filter_map(move |(position, report)| {
            let node = NodeId::at(position);
            report.as_ref().filter(|_| scene.sight(node).lives()).map(|report| (node, report))
        })
    }

    /// What to tell the peers.
    pub fn report(&self, scene: &Scene) -> Option<GroupReport> {
        let priority = self.priority(scene)?;
        Some(GroupReport {
            group: self.id,
            role: self.role(),
            priority,
            ready: self.is_ready(scene),
            term: self.term,
            tie: scene.tie(),
            successor: self.successor(),
            held: self.hold_told(scene.now),
            request: self.asking.as_ref().map(|asking| asking.request),
            answered: self.answered,
        })
    }

    /// The hold that peers are told of: of a handover under way, that of the successor.
    fn hold_told(&self, now: Instant) -> Option<Hold<Duration>> {
        let left = |end: Instant| end.since(now);
        let ours = self.held.map(|held| held.map(left));
        self.begun().map_or(ours, |handover| handover.hold)
    }

    /// Whether this node could take over now, or is active and well.
    pub fn is_ready(&self, scene: &Scene) -> bool {
        self.is_fit(scene.config, scene.me)
            && !scene.stopping
            && !scene.differs
            && self.delayed_until.is_none()
            && (!scene.partial && !self.weight.waits || self.holds())
            && matches!(self.state, State::Standby | State::Active { .. })
    }

    /// When this group next wants a tick.
    pub fn deadline(&self, config: &GroupConfig) -> Option<Instant> {
        let state = match self.state {
            State::Init => return None,
            State::Standby => {
                let bootstrap = self.listening.then(|| self.bootstrap_at(config));
                earliest(earliest(self.down_at(config), bootstrap), self.delayed_until)
            }
            State::Claiming { .. } | State::Releasing { .. } => None,
            State::Active { advert_at, renew_at, .. } => Some(advert_at.min(renew_at)),
        };
        // Who is not active waits for the kernel, not for what an active node does next.
        let active = matches!(self.state, State::Active { .. });
        let moments = [
            self.kernel_pending().map(|asked| asked + crate::config::LEASE),
            self.retry_due(),
            self.contested_until(),
            self.announcing.as_ref().filter(|_| active).map(|announcing| announcing.next),
            self.predecessor.as_ref().filter(|_| active).map(|predecessor| predecessor.until),
            self.handover.as_ref().filter(|_| active).map(Handover::deadline),
            self.asking.as_ref().map(|asking| asking.until),
            self.rival.as_ref().filter(|_| active).map(|rival| rival.announce_at),
            self.hold_ends_at(),
            self.failback_at(config),
        ];
        moments.into_iter().fold(state, earliest)
    }
}
