//! What a world is made of: nodes, segments, groups, times. A trace names its setup, so that it can
//! be replayed anywhere.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use evergate_core::check::{CheckConfig, Source, Tracked};
use evergate_core::config::{
    Conduct, Config, Failback, GroupConfig, NodeConfig, PathConfig, PathKind, RouterConfig, Version,
};
use evergate_core::ident::{CheckId, Family, InterfaceId, NodeId, PathId, Priority, Vrid};
use evergate_core::input::Interface;
use serde::{Deserialize, Serialize};

use crate::planted::Defect;

/// The most nodes that a world can have.
pub const NODES_MAX: usize = 4;
/// The most groups that a world can have.
pub const GROUPS_MAX: usize = 2;
/// The most checks that a world can have.
pub const CHECKS_MAX: usize = 3;
/// The most segments that a world can have.
pub const SEGMENTS_MAX: usize = 4;

/// The plan of a world.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// How many nodes there are, 1 to [`NODES_MAX`].
    pub nodes: usize,
    /// The segments; each is an interface and a path on every node.
    pub segments: Vec<PathKind>,
    /// The groups.
    pub groups: Vec<GroupPlan>,
    /// The heartbeat interval in microseconds.
    pub heartbeat_us: u64,
    /// The VRRP advertisement interval in microseconds.
    pub advert_us: u64,
    /// The least time that a packet travels, in microseconds.
    pub latency_us: u64,
    /// How much longer it may travel, by chance, in microseconds.
    pub jitter_us: u64,
    /// How long the kernel needs for a call, in microseconds.
    pub kernel_us: u64,
    /// A host on every router segment answers probes.
    pub neighbours: bool,
    /// The seed of all chance in the world.
    pub seed: u64,
    /// What is wrong with every node, on purpose.
    pub defect: Option<Defect>,
}

/// The plan of a group.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct GroupPlan {
    /// The priority of each node.
    pub priorities: Vec<u8>,
    /// Whether the preferred node gets it back by itself.
    pub automatic_failback: bool,
    /// The segments on which it has a router.
    pub routers: Vec<usize>,
    /// What it makes of each check: a weight, or a fault.
    #[serde(default)]
    pub track: Vec<Option<i16>>,
}

impl Setup {
    /// The default configuration of the product: 10 ms heartbeats, 1 s adverts, a link, `lan`, `wan`.
    pub fn default_timing(nodes: usize, seed: u64) -> Setup {
        let priorities = [200, 100, 50, 25];
        let group = GroupPlan {
            priorities: priorities[..nodes].to_vec(),
            automatic_failback: true,
            routers: vec![1, 2],
            track: Vec::new(),
        };
        Setup {
            nodes,
            segments: vec![PathKind::Link, PathKind::Router, PathKind::Router],
            groups: vec![group],
            heartbeat_us: 10_000,
            advert_us: 1_000_000,
            latency_us: 50,
            jitter_us: 100,
            kernel_us: 200,
            neighbours: true,
            seed,
            defect: None,
        }
    }

    /// Two groups with opposite preference on two nodes (requirements 4.3, configuration C-07).
    pub fn opposite_groups(seed: u64) -> Setup {
        let mut setup = Setup::default_timing(2, seed);
        let mut second = setup.groups[0].clone();
        second.priorities.reverse();
        setup.groups.push(second);
        setup
    }

    /// Checks: one is a fault, one takes so much that the standby is the better one, one does not.
    pub fn tracked(nodes: usize, seed: u64) -> Setup {
        let mut setup = Setup::default_timing(nodes, seed);
        setup.groups[0].track = vec![None, Some(-150), Some(-20)];
        setup
    }

    /// How many checks there are.
    pub fn checks(&self) -> usize {
        self.groups.iter().map(|group| group.track.len()).max().unwrap_or(0)
    }

    /// A world in which everything happens on a grid of quarters of a second, so that an exhaustive
    /// walk closes: 1 s heartbeats, dead after 3, adverts each 2 s. `links` segments carry heartbeats
    /// alone, `routers` segments carry the group too; none of them is tested by probes.
    pub fn coarse(nodes: usize, links: usize, routers: usize) -> Setup {
        let priorities = [192, 128, 64, 32];
        let group = GroupPlan {
            priorities: priorities[..nodes].to_vec(),
            automatic_failback: true,
            routers: (links..links + routers).collect(),
            track: Vec::new(),
        };
        Setup {
            nodes,
            segments: vec![PathKind::Link; links + routers],
            groups: vec![group],
            heartbeat_us: 1_000_000,
            advert_us: 2_000_000,
            latency_us: 0,
            jitter_us: 0,
            kernel_us: 0,
            neighbours: false,
            seed: 0,
            defect: None,
        }
    }

    /// The configuration of one node.
    pub fn config(&self, me: usize) -> Config {
        let nodes = (0..self.nodes).map(|at| NodeConfig { name: node_name(at), foreign: false });
        let paths = self.segments.iter().enumerate().map(|(at, kind)| PathConfig {
            name: format!("segment{at}"),
            kind: *kind,
            interface: InterfaceId::at(at),
            full_rate: true,
        });
        let groups = self.groups.iter().enumerate().map(|(at, plan)| self.group(at, plan));
        Config {
            me: NodeId::at(me),
            nodes: nodes.collect(),
            heartbeat: Duration::from_micros(self.heartbeat_us),
            interfaces: (0..self.segments.len()).map(|at| format!("eth{at}")).collect(),
            paths: paths.collect(),
            groups: groups.collect(),
            checks: (0..self.checks()).map(check).collect(),
            digest: 1,
        }
    }

    fn group(&self, position: usize, plan: &GroupPlan) -> GroupConfig {
        let delay = Duration::ZERO;
        let failback =
            if plan.automatic_failback { Failback::After(delay) } else { Failback::Manual };
        GroupConfig {
            name: format!("group{position}"),
            priorities: plan.priorities.iter().map(|number| Priority::new(*number)).collect(),
            failback,
            advert: Duration::from_micros(self.advert_us),
            conduct: Conduct::default(),
            track: plan.track.iter().enumerate().map(tracked).collect(),
            routers: plan.routers.iter().map(|segment| router(position, *segment)).collect(),
        }
    }

    /// The state of an interface whose carrier is `running`.
    pub fn interface(&self, node: usize, segment: usize, running: bool) -> Interface {
        let source_v4 = match source(node, segment) {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        Interface { present: true, running, carrier: running, source_v4, source_v6: None }
    }

    /// The node with the highest priority in a group.
    pub fn preferred(&self, group: usize) -> usize {
        let priorities = &self.groups[group].priorities;
        (0..self.nodes).max_by_key(|at| priorities[*at]).unwrap_or(0)
    }
}

fn node_name(position: usize) -> String {
    format!("gw{}", position + 1)
}

/// The address that a node's adverts come from on a segment.
pub fn source(node: usize, segment: usize) -> IpAddr {
    let third = u8::try_from(segment).unwrap_or(u8::MAX);
    let last = u8::try_from(node).unwrap_or(u8::MAX).saturating_add(2);
    IpAddr::V4(Ipv4Addr::new(10, 0, third, last))
}

/// A check that the world makes.
fn check(position: usize) -> CheckConfig {
    let name = format!("check{position}");
    CheckConfig {
        test: name.clone(),
        name,
        source: Source::Told,
        rise: 1,
        fall: 1,
        fails_first: false,
        invert: false,
    }
}

fn tracked((position, weight): (usize, &Option<i16>)) -> Tracked {
    Tracked { check: CheckId::at(position), weight: *weight }
}

fn router(group: usize, segment: usize) -> RouterConfig {
    let number = u8::try_from(group * SEGMENTS_MAX + segment + 1).unwrap_or(u8::MAX);
    let third = u8::try_from(segment).unwrap_or(u8::MAX);
    RouterConfig {
        id: format!("group{group}/segment{segment}/ipv4"),
        interface: InterfaceId::at(segment),
        path: Some(PathId::at(segment)),
        family: Family::V4,
        vrid: Vrid::new(number),
        version: Version::V3,
        addresses: vec![(IpAddr::V4(Ipv4Addr::new(10, 0, third, 200 + number)), 24)],
        unicast_peers: Vec::new(),
    }
}
