//! Routes and rules that come with the addresses of a group.

use std::fmt;
use std::net::IpAddr;

use super::{Mark, Network, PerNode, Scope};

/// The most routes of a group.
pub const ROUTES_MAX: usize = 1024;
/// The most rules of a group.
pub const RULES_MAX: usize = 256;
/// The most ways of one route.
pub const NEXTHOPS_MAX: usize = 32;
/// The greatest weight of a way.
pub const NEXTHOP_WEIGHT_MAX: u16 = 256;
/// The table of the kernel that routes are in unless told otherwise: `main`.
pub const TABLE_MAIN: u32 = 254;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub to: Network,
    /// What becomes of the packets.
    pub kind: RouteKind,
    /// The ways; none where packets go nowhere.
    pub hops: Vec<Hop>,
    /// The address that our own packets come from.
    pub source: Option<IpAddr>,
    /// Of several with the same destination, the lowest counts.
    pub metric: Option<u32>,
    /// The table, [`TABLE_MAIN`] unless told otherwise.
    pub table: u32,
    /// How far the destination is, if not as the ways say; IPv4 only.
    pub scope: Option<Scope>,
    /// The largest packet, in bytes.
    pub mtu: Option<u32>,
    /// The largest segment of TCP that is announced, in bytes.
    pub advmss: Option<u32>,
    /// The hop limit of our own packets.
    pub hop_limit: Option<u32>,
    /// Is it put back when somebody removes it?
    pub keep: bool,
}

/// What becomes of packets that a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// They are sent on.
    Unicast,
    /// They are dropped.
    Blackhole,
    /// They are refused: host unreachable.
    Unreachable,
    /// They are refused: administratively prohibited.
    Prohibit,
    /// Another table is asked.
    Throw,
}

impl RouteKind {
    /// The words for it.
    pub const WORDS: [(&str, RouteKind); 5] = [
        ("unicast", RouteKind::Unicast),
        ("blackhole", RouteKind::Blackhole),
        ("unreachable", RouteKind::Unreachable),
        ("prohibit", RouteKind::Prohibit),
        ("throw", RouteKind::Throw),
    ];
}

/// One of the ways of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The next router.
    pub via: Option<IpAddr>,
    /// The interface.
    pub interface: Option<PerNode<String>>,
    /// Its share among several, 1 to [`NEXTHOP_WEIGHT_MAX`].
    pub weight: u16,
    /// The next router is on the interface, whatever the addresses there say.
    pub onlink: bool,
}

impl Route {
    /// By what the kernel knows it: destination, table and metric.
    pub fn key(&self) -> (Network, u32, u32) {
        (self.to, self.table, self.metric.unwrap_or(0))
    }

    /// Would the kernel take both for the same?
    pub fn is_same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}", self.to)?;
        if let [Hop { via: Some(via), .. }] = &self.hops[..] {
            write!(f, " via {via}")?;
        }
        if self.table != TABLE_MAIN {
            write!(f, " table {}", self.table)?;
        }
        self.metric.map_or(Ok(()), |metric| write!(f, " metric {metric}"))
    }
}

/// A rule: which packets are routed by which table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number: the lowest is asked first.
    pub priority: u32,
    /// Is it for IPv6?
    pub is_ipv6: bool,
    /// Packets from here.
    pub from: Option<Network>,
    /// Packets to there.
    pub to: Option<Network>,
    /// Packets that come in here.
    pub input: Option<String>,
    /// Packets of sockets that are bound to this interface.
    pub output: Option<String>,
    /// Packets with this mark.
    pub mark: Option<Mark>,
    /// Packets with this type of service.
    pub tos: Option<u8>,
    /// All packets but those.
    pub not: bool,
    /// What becomes of them.
    pub action: RuleAction,
    /// Routes of the table whose prefix is no longer than this are passed over.
    pub suppress_prefix: Option<u32>,
    /// Is it put back when somebody removes it?
    pub keep: bool,
}

/// What becomes of packets that a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// A table is asked.
    Table(u32),
    /// They are dropped.
    Blackhole,
    /// They are refused: network unreachable.
    Unreachable,
    /// They are refused: administratively prohibited.
    Prohibit,
    /// Nothing: the next rule is asked.
    Nop,
}

impl Rule {
    /// Would the kernel take both for the same?
    pub fn is_same(&self, other: &Self) -> bool {
        *self == Self { keep: self.keep, ..other.clone() }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.is_ipv6 { " (IPv6)" } else { "" };
        write!(f, "rule {}{family}", self.priority)?;
        self.from.map_or(Ok(()), |from| write!(f, " from {from}"))?;
        self.to.map_or(Ok(()), |to| write!(f, " to {to}"))?;
        match self.action {
            RuleAction::Table(table) => write!(f, " table {table}"),
            RuleAction::Blackhole => f.write_str(" blackhole"),
            RuleAction::Unreachable => f.write_str(" unreachable"),
            RuleAction::Prohibit => f.write_str(" prohibit"),
            RuleAction::Nop => f.write_str(" nop"),
        }
    }
}
