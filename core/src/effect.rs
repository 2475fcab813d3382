//! Decisions: what a node wants done, as values, in the order in which it wants them done.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::Standing;
use crate::config::Places;
use crate::fault::Fault;
use crate::heartbeat::{Heartbeat, Hold, Outcome, Refusal, Role};
use crate::ident::{CheckId, GroupId, Incarnation, InterfaceId, NodeId, PathId, PathSet, RouterId};
use crate::time::Instant;

/// Something for the driver to do. Sending is one shot and may be lost; [`Effect::Own`] is a level:
/// repeating it is harmless, and the newest one counts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Effect {
    /// Send one VRRP advertisement for a router. Priority 0 resigns.
    Advertise {
        /// The group.
        group: GroupId,
        /// The router.
        router: RouterId,
        /// The priority to put on the wire.
        priority: u8,
    },
    /// Send this heartbeat once on each of these paths.
    Heartbeat {
        /// The paths.
        paths: PathSet,
        /// The body, the same on all of them.
        body: Arc<Heartbeat>,
    },
    /// Hold (`Some`: for this long, then the kernel lets go by itself) or do not hold (`None`) all
    /// addresses of a group. Answered by [`crate::Input::Owned`] with the same serial.
    Own {
        /// The group.
        group: GroupId,
        /// The lifetime of the addresses in the kernel.
        lease: Option<Duration>,
        /// Counts the requests of this group.
        serial: u32,
    },
    /// Tell both sides of every router of the group where its addresses are: gratuitous ARP and
    /// unsolicited neighbour advertisements. How often depends on the occasion
    /// ([`crate::announce::Schedule`]).
    Announce {
        /// The group.
        group: GroupId,
        /// Why.
        occasion: Occasion,
    },
    /// Ask the known neighbours on an interface to answer (ARP or neighbour solicitation).
    Probe(InterfaceId),
    /// Answer the operator whose command carried this token.
    Answer {
        /// The token of the command.
        token: u64,
        /// What came of it.
        outcome: Outcome,
    },
    /// Something that people and programs may want to know. Changes nothing.
    Note(Note),
    /// From here on, indices mean those of the new configuration.
    Configured,
    /// Every group is given up; the process may end.
    Stopped,
}

/// Why addresses are announced.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Occasion {
    /// They were taken over.
    TookOver,
    /// An active router of lower priority, not a node of ours, was heard.
    LowerHeard,
    /// Nothing more was heard of it for an advert interval.
    LowerGone,
    /// Neighbours may have learnt something else meanwhile; once is enough.
    Once,
}

/// What happened: the events, and why something was discarded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Note {
    /// The role of this node in a group has changed.
    Role {
        /// The group.
        group: GroupId,
        /// The former role.
        from: Role,
        /// The new role.
        to: Role,
        /// Why.
        cause: Cause,
    },
    /// A takeover is complete: the addresses are up and announced.
    TookOver {
        /// The group.
        group: GroupId,
        /// Why it was taken.
        cause: Cause,
        /// From the last sign of life of the former active node to the decision.
        detect: Duration,
        /// From the decision to the kernel's word that the addresses are up.
        addresses: Duration,
    },
    /// A reason for fault has come or gone.
    Fault {
        /// The group.
        group: GroupId,
        /// The reason.
        fault: Fault,
        /// Whether it has come.
        present: bool,
    },
    /// A check stands otherwise than before.
    Check {
        /// The check.
        check: CheckId,
        /// How it stands now.
        standing: Standing,
    },
    /// The view of a peer has changed.
    Peer {
        /// The peer.
        node: NodeId,
        /// The new view.
        view: View,
    },
    /// A path to a peer has come alive or gone silent.
    Path {
        /// The peer.
        node: NodeId,
        /// The path.
        path: PathId,
        /// Whether both directions work now.
        alive: bool,
    },
    /// Something is wrong that moves no group by itself.
    Alarm(Alarm),
    /// Another holder of the group's addresses was seen, and one of the two has given way.
    Conflict {
        /// The group.
        group: GroupId,
        /// Whether we keep the group.
        kept: bool,
    },
    /// This process did not run for a while and has drawn the consequence.
    Paused {
        /// For how long.
        span: Duration,
        /// Whether groups were given up for it.
        resigned: bool,
    },
    /// A packet with a good seal was not accepted.
    Discarded {
        /// Who seems to have sent it.
        from: NodeId,
        /// Why.
        why: Discard,
    },
    /// A new process of a peer has proved that it is alive.
    Accepted {
        /// The peer.
        node: NodeId,
        /// Its process.
        incarnation: Incarnation,
    },
    /// An address that somebody had removed was put back.
    PutBack(GroupId),
    /// The group is held where an operator has put it, or is so no longer.
    Held {
        /// The group.
        group: GroupId,
        /// How it is held, if it is.
        held: Option<Hold<Instant>>,
    },
    /// This node, active, is about to hand the group over, or keeps it after all.
    Yields {
        /// The group.
        group: GroupId,
        /// To whom; `None` if it stays.
        to: Option<NodeId>,
    },
    /// A planned handover was refused.
    HandoverRefused {
        /// The group.
        group: GroupId,
        /// Why.
        why: Refusal,
    },
}

/// Why a role has changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Cause {
    /// The node began, or a group was added.
    Started,
    /// The process before this one has left the addresses in good order.
    Adopted,
    /// The active node, one of ours, is dead.
    Died(NodeId),
    /// The active node has resigned.
    Resigned,
    /// No advertisement was heard for the whole down interval (RFC 9568 §6.1).
    DownTimer,
    /// A living peer has no active node either, and we are first.
    FirstInRank,
    /// We own the addresses (RFC 9568 §6.4.1).
    Owner,
    /// A planned handover from this node.
    HandedOver(NodeId),
    /// A planned handover to this node.
    HandsOver(NodeId),
    /// Somebody of higher rank holds the group.
    Outranked,
    /// The adverts of an active node can be numbered no further (RFC 2402 §3.3.2): whoever comes next
    /// counts from the start.
    Exhausted,
    /// No peer hears us and another node holds the group.
    Unheard,
    /// Our own process did not run for longer than peers wait.
    Paused,
    /// An own check failed.
    Fault,
    /// The last reason for fault is gone.
    FaultCleared,
    /// An operator locked or unlocked this node.
    Operator,
    /// The kernel has the addresses, or has let go of them.
    Kernel,
    /// The configuration has changed.
    Configured,
    /// The node ends.
    Shutdown,
}

impl Cause {
    /// The same under a new configuration. A node that it does not have any more has no number.
    pub(crate) fn renumbered(self, places: &Places) -> Cause {
        let place = |node, cause: fn(NodeId) -> Cause| places.node(node).map(cause);
        let known = match self {
            Cause::Died(node) => place(node, Cause::Died),
            Cause::HandedOver(node) => place(node, Cause::HandedOver),
            Cause::HandsOver(node) => place(node, Cause::HandsOver),
            other => Some(other),
        };
        known.unwrap_or(Cause::Configured)
    }
}

/// How a node sees a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum View {
    /// Never heard since we began.
    Unknown,
    /// Every path that it uses lives.
    Alive,
    /// Silent on some paths, or on all of them while a third node hears it.
    Doubt,
    /// Silent on all paths, or its last will was read.
    Dead,
}

/// Something wrong that moves no group by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Alarm {
    /// A path to a living peer is silent; both nodes hear somebody there, or neither does.
    PathSilent {
        /// The peer.
        node: NodeId,
        /// The path.
        path: PathId,
    },
    /// Adverts of a living active peer do not arrive on a router whose path lives: something
    /// filters VRRP there.
    AdvertsMissing {
        /// The group.
        group: GroupId,
        /// The router.
        router: RouterId,
    },
    /// The peer runs another configuration.
    ConfigDiffers(NodeId),
    /// We could take over but our own segments are silent.
    Isolated(GroupId),
}

/// Why a well-sealed packet was not accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Discard {
    /// Its number was seen before or is too old.
    Replayed,
    /// Its process has not answered our challenge yet.
    Unproved,
    /// A later process of the same node has taken its place.
    Superseded,
    /// Its process has left its will.
    Ended,
    /// It claims to be from us.
    Ourselves,
}
