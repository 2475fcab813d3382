//! What a node tells its peers: whom it hears, how late it has been, and what its groups do.
//!
//! A heartbeat is a whole picture, never a change: any one of them may be lost. The bytes are in
//! [`crate::wire::heartbeat`], the seal is the daemon's.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod renumber;

use crate::ident::{GroupId, Incarnation, NodeId, PathId, Priority};

/// The most groups whose reports go into one heartbeat, so that it fits a frame; with more groups
/// they take turns, and what has just changed goes first.
pub const GROUP_REPORTS_MAX: usize = 16;
/// The most addresses that a node names as the sources of its adverts.
pub const SOURCES_MAX: usize = 16;

/// The body of a heartbeat.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The interval at which the sender sends on full-rate paths.
    pub interval: Duration,
    /// How late the sender has been at worst in the last minute.
    pub lateness: Duration,
    /// The digest of the sender's configuration.
    pub digest: u64,
    /// The sender gives up everything now: it ends in order.
    pub leaving: bool,
    /// What the sender knows of each of its peers; at most [`crate::config::NODES_MAX`].
    pub peers: Vec<PeerReport>,
    /// The sender's groups; at most [`GROUP_REPORTS_MAX`].
    pub groups: Vec<GroupReport>,
    /// The result of the sender's tests of its own segments.
    pub segments: Vec<SegmentReport>,
    /// The addresses that the sender's adverts come from; at most [`SOURCES_MAX`].
    pub sources: Vec<IpAddr>,
}

/// What the sender of a heartbeat knows of one peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PeerReport {
    /// The peer that is spoken of.
    pub node: NodeId,
    /// Whether the sender hears it on any path.
    pub hears: bool,
    /// The dead time that the sender applies to it.
    pub dead: Duration,
    /// The sender's challenge to it: how many of its incarnations the sender has accepted.
    pub challenge: u32,
    /// The newest incarnation of it that the sender has heard, and the answer to its challenge.
    pub echo: Option<Echo>,
    /// When the sender last heard it, by path.
    pub paths: Vec<PathReport>,
}

/// Proof of freshness: only who has heard our present incarnation can repeat it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Echo {
    /// The incarnation that the sender has heard from the peer.
    pub incarnation: Incarnation,
    /// The challenge that the sender has heard from that incarnation; it must come back as it was.
    pub answer: u32,
}

/// When a peer was last heard on one path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PathReport {
    /// The path.
    pub path: PathId,
    /// How long ago, when the report was sent.
    pub age: Duration,
    /// The stamp of what was heard then, in microseconds of the peer's own clock, for the round trip.
    pub stamp: u32,
}

/// The state of a group on the node that reports it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct GroupReport {
    /// The group.
    pub group: GroupId,
    /// What the node does in it.
    pub role: Role,
    /// The priority that it has there now.
    pub priority: Priority,
    /// Could it take over now?
    pub ready: bool,
    /// How often the group has changed hands, as far as the node knows.
    pub term: u32,
    /// Decides between equal priorities: the source address of the group's first router, as a
    /// number, IPv4 addresses below all IPv6 addresses.
    pub tie: u128,
    /// An active node names here who shall take over in a planned handover.
    pub successor: Option<NodeId>,
    /// An operator has put the group here, and for how much longer: priority alone does not move it.
    pub held: Option<Hold<Duration>>,
    /// A request to the active node, repeated until it is answered or expires.
    pub request: Option<Request>,
    /// The serial of the last request that an active node has answered, and of which node.
    pub answered: Option<Answered>,
}

/// An operator's word that keeps a group where it is, whatever the priorities. `T` is a moment on
/// the node that keeps it, and on the wire, where clocks differ, the time that is left.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Hold<T> {
    /// Until a failback, or until the node fails.
    Open,
    /// Also no longer than this.
    Until(T),
}

impl<T> Hold<T> {
    /// The same hold with its end told in another way.
    pub fn map<U>(self, end: impl FnOnce(T) -> U) -> Hold<U> {
        match self {
            Hold::Open => Hold::Open,
            Hold::Until(moment) => Hold::Until(end(moment)),
        }
    }

    /// When it ends by itself, if it does.
    pub fn end(self) -> Option<T> {
        match self {
            Hold::Open => None,
            Hold::Until(moment) => Some(moment),
        }
    }
}

/// What a node does in a group, in one word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Role {
    /// Has only begun and knows too little.
    Init,
    /// Stands ready, or would if it were fit.
    Standby,
    /// Has decided to take over and installs the addresses.
    Claiming,
    /// Holds the addresses.
    Active,
    /// Gives the addresses up.
    Releasing,
    /// An own check has failed.
    Fault,
    /// An operator has locked it out.
    Locked,
}

/// What a standby asks of the active node for an operator.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Counts the requests of the asking node.
    pub serial: u32,
    /// What is asked.
    pub kind: RequestKind,
}

/// The kinds of requests.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum RequestKind {
    /// Hand the group over to this node and hold it there.
    Switchover {
        /// Who shall take over.
        to: NodeId,
        /// How long the operator waits.
        within: Duration,
        /// How long the group is held there if priority would put it elsewhere.
        hold: Hold<Duration>,
    },
    /// End a hold and give the group back to the node that is preferred.
    Failback {
        /// How long the operator waits.
        within: Duration,
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// Who had asked.
    pub node: NodeId,
    /// Which request.
    pub serial: u32,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a planned handover.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// The successor holds the addresses and the former active node has let go.
    Done {
        /// How long nobody held the addresses.
        gap: Duration,
    },
    /// Nothing was changed.
    Refused(Refusal),
    /// It was begun and did not come to its end; the group is where it was.
    Failed,
}

/// Why a planned handover was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// The group is active on no node of ours.
    NoActive,
    /// The target is not a node in which this group runs, or is foreign.
    NotAMember,
    /// The target is not ready.
    NotReady,
    /// The target is active already.
    AlreadyThere,
    /// Another handover of the group is under way.
    Busy,
    /// No node is ready to take over.
    NobodyReady,
    /// No answer came in the time given.
    TimedOut,
}

/// The result of the test of a node's own segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SegmentReport {
    /// The path on that segment.
    pub path: PathId,
    /// Whether the node hears somebody there.
    pub hears: Hearing,
}

/// Whether anybody is heard on a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Hearing {
    /// Not tested, or the test is not at its end.
    Unknown,
    /// Somebody answered.
    Somebody,
    /// Nobody answered.
    Nobody,
}
