//! What a node must know before it decides anything. The daemon turns the configuration file into
//! these types once; they cannot hold contradictions that the file could.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod places;

pub(crate) use places::Places;

use crate::check::{CheckConfig, Tracked};
use crate::ident::{Family, InterfaceId, NodeId, PathId, PathSet, Priority, Vrid};
use crate::vrrp::ADVERTS_MISSED;

/// The most nodes that a cluster may have.
pub const NODES_MAX: usize = 16;
/// How many paths between two nodes carry heartbeats at the full rate; the rest carry one a second.
pub const FULL_RATE_PATHS_MAX: usize = 4;
/// The shortest interval between heartbeats.
pub const HEARTBEAT_MIN: Duration = Duration::from_millis(1);
/// How often a slow path carries a heartbeat.
pub const SLOW_HEARTBEAT: Duration = Duration::from_secs(1);
/// The lifetime of an address in the kernel while a peer may take over (design: lease).
pub const LEASE: Duration = Duration::from_secs(3);
/// The lifetime while no peer has been heard for [`LONELY_AFTER`].
pub const LONELY_LEASE: Duration = Duration::from_secs(60);
/// How long no peer must have been heard before the lease becomes [`LONELY_LEASE`].
pub const LONELY_AFTER: Duration = Duration::from_secs(10);
/// Adverts and renewals that are due within this time are sent together: with many groups, a wake-up for each
/// would be the larger part of the work.
pub const BEATS_TOGETHER: Duration = Duration::from_millis(1);
/// How often a lease is renewed.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);

/// All that one node knows about its cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Which of [`Config::nodes`] we are.
    pub me: NodeId,
    /// Every node that the file names, ours and foreign, in the order of their names.
    pub nodes: Vec<NodeConfig>,
    /// The interval between heartbeats on a full-rate path, [`HEARTBEAT_MIN`] to 1 s.
    pub heartbeat: Duration,
    /// The interfaces that the file names for this node.
    pub interfaces: Vec<String>,
    /// The paths on which we and our peers can hear each other; at most [`PathSet::CAPACITY`].
    pub paths: Vec<PathConfig>,
    /// The groups, in the order of their names.
    pub groups: Vec<GroupConfig>,
    /// The checks that groups of this node track, in the order of their names.
    pub checks: Vec<CheckConfig>,
    /// A digest of the parsed file without secrets; equal on nodes that run the same file.
    pub digest: u64,
}

/// A node as the file names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Its name.
    pub name: String,
    /// Whether it is of another make: it speaks VRRP and has no heartbeats.
    pub foreign: bool,
}

/// One way on which two nodes of ours can hear each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PathConfig {
    /// The name that every node gives to this path, for example `link:sync`.
    pub name: String,
    /// A link of our own, or the interface of a group.
    pub kind: PathKind,
    /// The interface it runs on, on this node.
    pub interface: InterfaceId,
    /// Full rate, or one heartbeat a second; a slow path never delays a verdict.
    pub full_rate: bool,
}

/// What a path runs on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum PathKind {
    /// An interface that nobody but the nodes uses.
    Link,
    /// The interface of a group's router, whether a link runs there or not: clients are there too, so
    /// it can be tested by itself.
    Router,
}

/// A group: what moves as one unit.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct GroupConfig {
    /// Its name.
    pub name: String,
    /// The priority of each node, by [`NodeId`]; `None` where the group does not run.
    pub priorities: Vec<Option<Priority>>,
    /// When a node that is better placed gets the group back.
    pub failback: Failback,
    /// The VRRP advertisement interval that we send.
    pub advert: Duration,
    /// What else it does towards routers of another make.
    pub conduct: Conduct,
    /// The checks that count, in the order of their names.
    pub track: Vec<Tracked>,
    /// The virtual routers.
    pub routers: Vec<RouterConfig>,
}

/// What a group does towards routers of another make, where its operator may choose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Conduct {
    /// How many adverts must be missing before the active router is down, 1 to 100.
    pub down_after: u32,
    /// An active router answers an advert that loses against it at once (RFC 9568 §6.4.3 (745)).
    pub answer_lower: bool,
    /// An active router sends one more advert before it gives way to a better one.
    pub advert_before_yield: bool,
    /// For so long after our start nothing is claimed.
    pub start_delay: Duration,
}

impl Default for Conduct {
    fn default() -> Self {
        Conduct {
            down_after: ADVERTS_MISSED,
            answer_lower: true,
            advert_before_yield: false,
            start_delay: Duration::ZERO,
        }
    }
}

/// When the preferred node gets its group back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Failback {
    /// As soon as it is ready, and stays so for this long.
    After(Duration),
    /// When an operator says so.
    Manual,
}

/// One virtual router of a group: one interface, one address family.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RouterConfig {
    /// Group, router and family: `gateway/lan/ipv4`.
    pub id: String,
    /// The interface on this node.
    pub interface: InterfaceId,
    /// The path that heartbeats between the nodes use on that interface, if any.
    pub path: Option<PathId>,
    /// Its address family.
    pub family: Family,
    /// Its number on the segment; without one the router sends no adverts and follows its group.
    pub vrid: Option<Vrid>,
    /// The version of the protocol that we send.
    pub version: Version,
    /// The virtual addresses with their prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The speakers, where adverts are sent to each instead of to the multicast group.
    pub unicast_peers: Vec<IpAddr>,
}

/// The version of the VRRP protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Version {
    /// RFC 3768: IPv4 only, whole seconds.
    V2,
    /// RFC 9568: both families, centiseconds.
    V3,
}

impl Version {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

impl Config {
    /// The name of a node.
    pub fn name(&self, node: NodeId) -> &str {
        &self.nodes[node.index()].name
    }

    /// The other nodes of our own make.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..self.nodes.len())
            .map(NodeId::at)
            .filter(|node| *node != self.me && !self.nodes[node.index()].foreign)
    }

    /// Whether routers of another make may stand beside us: the file names one, or names only us.
    pub fn expects_foreign(&self) -> bool {
        self.nodes.iter().any(|node| node.foreign) || self.nodes.len() == 1
    }

    /// The paths that carry heartbeats at the full rate.
    pub fn full_rate_paths(&self) -> PathSet {
        self.path_set(|path| path.full_rate)
    }

    /// Every path.
    pub fn all_paths(&self) -> PathSet {
        self.path_set(|_| true)
    }

    fn path_set(&self, chosen: impl Fn(&PathConfig) -> bool) -> PathSet {
        let mut set = PathSet::default();
        for (position, path) in self.paths.iter().enumerate() {
            if chosen(path) {
                set.insert(PathId::at(position));
            }
        }
        set
    }
}

impl GroupConfig {
    /// The priority of a node in this group; `None` where the group does not run.
    pub fn priority(&self, node: NodeId) -> Option<Priority> {
        self.priorities.get(node.index()).copied().flatten()
    }

    /// How long routers of another make wait for our adverts at least. They are set up as we are, or have
    /// the default.
    pub fn foreign_patience(&self) -> Duration {
        self.advert * self.conduct.down_after.min(ADVERTS_MISSED)
    }
}
