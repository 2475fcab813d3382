//! Facts: everything that can happen to a node, as values.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::Reading;
use crate::config::Config;
use crate::heartbeat::{Heartbeat, Hold};
use crate::ident::{CheckId, GroupId, Incarnation, InterfaceId, NodeId, PathId, RouterId};

/// A fact that the driver tells a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Input {
    /// The node begins. `adopted` are the groups whose addresses a former process of ours has left
    /// in the kernel and that nobody has taken since.
    Start {
        /// The groups to go on with.
        adopted: Vec<GroupId>,
        /// The groups that an operator has locked before.
        locked: Vec<GroupId>,
    },
    /// What the kernel says about an interface.
    Interface(InterfaceId, Interface),
    /// A VRRP advertisement that its codec has accepted.
    Advert {
        /// The group whose router it is for.
        group: GroupId,
        /// The router.
        router: RouterId,
        /// The address it came from.
        source: IpAddr,
        /// The priority it carries; 0 is a resignation.
        priority: u8,
        /// The interval that the sender announces (version 3) or shares with us (version 2).
        interval: Duration,
    },
    /// A heartbeat whose seal was good.
    Heartbeat(Received),
    /// The last will of a peer's process, whose seal was good: it holds nothing any more.
    Will {
        /// The peer.
        from: NodeId,
        /// Which of its processes has ended.
        incarnation: Incarnation,
    },
    /// The kernel's answer to [`crate::Effect::Own`].
    Owned {
        /// The group.
        group: GroupId,
        /// The serial of the effect that is answered.
        serial: u32,
        /// Whether it was carried out.
        result: Result<(), Refused>,
    },
    /// An address of a group that we hold is gone, and it was not us who removed it.
    AddressLost(GroupId),
    /// Somebody was heard on the segment of a path; `answered` says that it was an answer to our
    /// own probe, so that both directions work.
    Heard {
        /// The interface.
        interface: InterfaceId,
        /// Whether a probe of ours was answered.
        answered: bool,
    },
    /// The adverts of a router can be numbered no further: only a resignation can still be sent.
    Exhausted {
        /// The group of the router.
        group: GroupId,
    },
    /// Whether our copies of the peers' connections are whole; who replicates none never says so.
    Copies {
        /// Whether they are.
        whole: bool,
    },
    /// A check was made.
    Checked {
        /// The check.
        check: CheckId,
        /// What was found.
        reading: Reading,
    },
    /// Whether the driver knows any neighbour on that interface that it can ask.
    Neighbours {
        /// The interface.
        interface: InterfaceId,
        /// Whether there is one.
        known: bool,
    },
    /// What an operator wants.
    Command(Command),
    /// A new configuration that has been checked; groups and nodes are matched by name.
    Configure {
        /// The new configuration.
        config: Box<Config>,
    },
    /// The node shall end in order.
    Shutdown,
}

/// An opened heartbeat with what its header said.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Received {
    /// The path it came on.
    pub path: PathId,
    /// The node whose key opened it.
    pub from: NodeId,
    /// The incarnation of the sender.
    pub incarnation: Incarnation,
    /// Its number, unique within the incarnation, from 1.
    pub sequence: u64,
    /// The sender's clock in microseconds, for the round trip; it wraps.
    pub stamp: u32,
    /// The body.
    pub body: std::sync::Arc<Heartbeat>,
}

/// The state of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Interface {
    /// It exists in the kernel.
    pub present: bool,
    /// It is up and runs.
    pub running: bool,
    /// It has carrier, whatever else it waits for.
    pub carrier: bool,
    /// The IPv4 address that adverts come from: the first that is not virtual.
    pub source_v4: Option<std::net::Ipv4Addr>,
    /// The IPv6 link-local address that adverts come from.
    pub source_v6: Option<std::net::Ipv6Addr>,
}

/// Why the kernel did not carry out an [`crate::Effect::Own`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// The error number of the first message that failed.
    pub errno: i32,
}

/// What an operator wants. Each carries a token that the answer repeats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Hand a group over, in order, to a node (`None`: the best that is ready) and hold it there.
    Switchover {
        /// Repeated in the answer.
        token: u64,
        /// The group.
        group: GroupId,
        /// The target.
        to: Option<NodeId>,
        /// How long the operator waits.
        within: Duration,
        /// How long it is held there, if priority would put it elsewhere.
        hold: Hold<Duration>,
    },
    /// End a hold and give a group back to the node that is preferred.
    Failback {
        /// Repeated in the answer.
        token: u64,
        /// The group.
        group: GroupId,
        /// How long the operator waits.
        within: Duration,
    },
    /// Lock this node out of a group, until [`Command::Unlock`]; it hands over first if it is active.
    Lock {
        /// The group.
        group: GroupId,
    },
    /// Let this node take part again.
    Unlock {
        /// The group.
        group: GroupId,
    },
}
