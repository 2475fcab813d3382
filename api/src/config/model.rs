//! A configuration that has passed every check: plain data, defaults filled in, names resolved.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

mod address;
mod announce;
mod procedure;
mod route;
mod vrrp;

pub use super::check::{Check, GroupIs, Host, RunAs, Test, Track};
pub use address::{Address, LABEL_MAX, Scope};
pub use announce::{
    ANNOUNCE_INTERVAL_MAX, ANNOUNCE_MAX, ANNOUNCE_MIN, ANNOUNCE_REPEAT_MAX, Announce,
};
pub use procedure::{
    Fifo, HowRun, Notify, NotifyKind, NotifyOf, PROCEDURE_TIMEOUT_DEFAULT, PROCEDURE_TIMEOUT_MAX,
    PROCEDURE_TIMEOUT_MIN, PROCEDURES_MAX, Procedures,
};
pub use route::{
    Hop, NEXTHOP_WEIGHT_MAX, NEXTHOPS_MAX, ROUTES_MAX, RULES_MAX, Route, RouteKind, Rule,
    RuleAction, TABLE_MAIN,
};
pub use vrrp::{
    Auth, Checksum, DOWN_AFTER_DEFAULT, DOWN_AFTER_MAX, HOP_LIMIT_DEFAULT, MULTICAST_MAX,
    START_DELAY_MAX, TrailerAuth, TrailerMode, Vrrp, VrrpVersion,
};

/// The interval between heartbeats unless told otherwise.
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_millis(10);
/// The shortest interval between heartbeats.
pub const HEARTBEAT_MIN: Duration = Duration::from_millis(1);
/// The longest interval between heartbeats.
pub const HEARTBEAT_MAX: Duration = Duration::from_secs(1);
/// The UDP port of our own protocol unless told otherwise.
pub const PORT_DEFAULT: u16 = 8747;
/// The priority unless told otherwise (RFC 9568 section 6.1).
pub const PRIORITY_DEFAULT: u8 = 100;
/// The highest priority of a router that does not own its addresses (RFC 9568 section 5.2.4).
pub const PRIORITY_MAX: u8 = 254;
/// The priority of the owner of the addresses (RFC 9568 section 5.2.4).
pub const PRIORITY_OWNER: u8 = 255;
/// The advertisement interval unless told otherwise (RFC 9568 section 6.1).
pub const ADVERT_DEFAULT: Duration = Duration::from_secs(1);
/// The longest delay that `failback` may name.
pub const FAILBACK_MAX: Duration = Duration::from_secs(24 * 3600);
/// The most nodes of a cluster.
pub const NODES_MAX: usize = 16;
/// The most groups.
pub const GROUPS_MAX: usize = 1024;
/// The most routers of all groups together.
pub const ROUTERS_MAX: usize = 2048;
/// The most links.
pub const LINKS_MAX: usize = 16;
/// The most IPv4 addresses of a router: one octet counts them (RFC 9568 section 5.2.5).
pub const ADDRESSES_IPV4_MAX: usize = 255;
/// The most IPv6 addresses of a router: an advert fits one frame of 1500 octets.
pub const ADDRESSES_IPV6_MAX: usize = 90;
/// The most unicast peers of a router.
pub const UNICAST_PEERS_MAX: usize = 32;
/// The most paths that carry heartbeats between two nodes.
pub const PATHS_MAX: usize = 64;
/// The longest name of a network interface, in bytes (IFNAMSIZ less its ending zero).
pub const INTERFACE_NAME_MAX: usize = 15;
/// The most keys of an authentication by trailer.
pub const AUTH_KEYS_MAX: usize = 16;
/// The narrowest window for the stamps of an authentication by trailer: a resignation that is left to the
/// guardian lies ahead by up to two seconds.
pub const AUTH_WINDOW_MIN: Duration = Duration::from_secs(3);
/// The widest window for the stamps of an authentication by trailer.
pub const AUTH_WINDOW_MAX: Duration = Duration::from_secs(300);
/// The window unless told otherwise, if three adverts do not take longer.
pub const AUTH_WINDOW_DEFAULT: Duration = Duration::from_secs(5);
/// How long changes of a connection are collected before they are replicated, unless told otherwise.
pub const COALESCE_DEFAULT: Duration = Duration::from_millis(2);
/// The longest time that changes of a connection may be collected.
pub const COALESCE_MAX: Duration = Duration::from_secs(1);
/// The longest time that a connection may have to last before it is replicated.
pub const PROTECT_AFTER_MAX: Duration = Duration::from_secs(3600);
/// The most networks whose connections are not replicated.
pub const IGNORE_MAX: usize = 256;
/// The most zones that may be named.
pub const ZONES_MAX: usize = 256;
/// The most marks that may be named.
pub const MARKS_MAX: usize = 64;
/// The UDP port of conntrackd in its examples.
pub const CONNTRACKD_PORT_DEFAULT: u16 = 3780;
/// The multicast group of conntrackd in its examples.
pub const CONNTRACKD_GROUP_DEFAULT: Ipv4Addr = Ipv4Addr::new(225, 0, 0, 50);
/// The protocols that have a name here, with their numbers (IANA, protocol numbers).
pub const PROTOCOLS: [(&str, u8); 8] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("icmpv6", 58),
    ("sctp", 132),
    ("dccp", 33),
    ("gre", 47),
    ("udplite", 136),
];

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[cluster]`.
    pub cluster: Cluster,
    /// `[node.NAME]`, by name.
    pub nodes: BTreeMap<String, Node>,
    /// `[link.NAME]`, by name.
    pub links: BTreeMap<String, Link>,
    /// `[group.NAME]`, by name.
    pub groups: BTreeMap<String, Group>,
    /// `[check.NAME]`, by name.
    pub checks: BTreeMap<String, Check>,
    /// `[notify]`, if there is a FIFO.
    pub fifo: Option<Fifo>,
    /// `[replicate]`, if connections are replicated.
    pub replicate: Option<Replicate>,
    /// What was written, in 64 bits.
    pub digest: Digest,
}

/// `[cluster]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The name of the cluster.
    pub name: String,
    /// The key file, made absolute or relative to the working directory.
    pub key_file: Option<PathBuf>,
    /// The interval between heartbeats, [`HEARTBEAT_MIN`] to [`HEARTBEAT_MAX`].
    pub heartbeat: Duration,
    /// The UDP port of our own protocol, 1 to 65535.
    pub port: u16,
}

/// `[node.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The priority in every group that names none, 1 to 254.
    pub priority: u8,
    /// A router of another make: it speaks VRRP and nothing else.
    pub foreign: bool,
}

/// A value that is the same on every node, or one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PerNode<T> {
    /// The same on every node.
    Same(T),
    /// By node name.
    Each(BTreeMap<String, T>),
}

impl<T> PerNode<T> {
    /// The value on a node.
    pub fn get(&self, node: &str) -> Option<&T> {
        match self {
            Self::Same(value) => Some(value),
            Self::Each(values) => values.get(node),
        }
    }

    /// Every value that is written.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        let (one, each) = match self {
            Self::Same(value) => (Some(value), None),
            Self::Each(values) => (None, Some(values.values())),
        };
        one.into_iter().chain(each.into_iter().flatten())
    }
}

/// `[link.NAME]`: a path of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface.
    pub interface: PerNode<String>,
    /// The address of each node of ours; none where peers find each other by multicast.
    pub address: Option<BTreeMap<String, IpAddr>>,
}

/// `[group.NAME]`: what moves as one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How the active node is chosen.
    pub election: Election,
    /// The nodes it runs on, with their priority, 1 to 254; that of the owner is [`PRIORITY_OWNER`].
    pub priorities: BTreeMap<String, u8>,
    /// The node that owns its addresses, if one does (RFC 9568 section 5.2.4).
    pub owner: Option<String>,
    /// When a node that is better placed gets it back.
    pub failback: Failback,
    /// What it makes of checks, by the check's name.
    pub track: BTreeMap<String, Track>,
    /// What it runs when its role changes.
    pub procedures: Procedures,
    /// What its routers say on the wire.
    pub vrrp: Vrrp,
    /// `[group.NAME.router.NAME]`, by name. Boxed: a map has room for eleven at once, most groups have one.
    pub routers: BTreeMap<String, Box<Router>>,
    /// Routes that come with its addresses, in the order of the file.
    pub routes: Vec<Route>,
    /// Rules that come with its addresses, in the order of the file.
    pub rules: Vec<Rule>,
}

/// How the active node of a group is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// By VRRP.
    Vrrp,
}

/// When the preferred node gets its group back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// Once it is ready.
    Auto,
    /// When an operator says so.
    Manual,
    /// Once it has been ready for this long.
    After(Duration),
}

/// `[group.NAME.router.NAME]`: one interface, one or two address families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// The interface.
    pub interface: PerNode<String>,
    /// The virtual router identifier, 1 to 255; without one it sends no adverts and follows its
    /// group.
    pub vrid: Option<u8>,
    /// The virtual addresses in the order of the file.
    pub addresses: Vec<Address>,
    /// The source address of adverts; otherwise the first own address of the interface.
    pub source: Option<PerNode<IpAddr>>,
    /// Do heartbeats run on its interface?
    pub heartbeat: bool,
    /// How the addresses are announced, if they are.
    pub announce: Option<Announce>,
    /// All speakers, where adverts go to each of them; empty for multicast.
    pub unicast_peers: Vec<IpAddr>,
    /// Whether its addresses have the virtual MAC address.
    pub virtual_mac: VirtualMac,
    /// Which MAC address multicast adverts come from.
    pub adverts_from: AdvertsFrom,
    /// Whether a node takes packets to the addresses for itself while it holds them; the owner always does.
    pub accept: bool,
}

impl Router {
    /// The virtual addresses of IPv4.
    pub fn ipv4(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(|address| address.ip.is_ipv4())
    }

    /// The virtual addresses of IPv6.
    pub fn ipv6(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(|address| address.ip.is_ipv6())
    }

    /// The name of the interface that has the virtual MAC address of a family; `None` for a router
    /// without one: it is made of the `vrid`.
    pub fn virtual_interface(&self, is_ipv6: bool) -> Option<String> {
        let vrid = self.vrid?;
        match &self.virtual_mac {
            VirtualMac::Off => None,
            VirtualMac::On if is_ipv6 => Some(format!("vrrp6.{vrid}")),
            VirtualMac::On => Some(format!("vrrp.{vrid}")),
            VirtualMac::Named(name) => Some(name.clone()),
        }
    }

    /// The interface of one of its addresses on a node.
    pub fn interface_of<'a>(&'a self, address: &'a Address, node: &str) -> Option<&'a String> {
        let own = address.interface.as_ref().and_then(|interface| interface.get(node));
        own.or_else(|| self.interface.get(node))
    }
}

/// Whether the addresses of a router have the virtual MAC address (RFC 9568 section 7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VirtualMac {
    /// They have that of the interface.
    Off,
    /// They have, on an interface whose name is made of family and `vrid`.
    On,
    /// They have, on an interface of this name.
    Named(String),
}

/// Which MAC address multicast adverts of a router with a virtual MAC address come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdvertsFrom {
    /// The virtual one.
    VirtualMac,
    /// The interface's own.
    Interface,
}

/// `[replicate]`: which connections every node of ours keeps for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicate {
    /// The links that carry it, the preferred one first: all links in the order of their names
    /// unless told otherwise. Empty where there is no link.
    pub links: Vec<String>,
    /// IP protocol numbers, rising; empty for all.
    pub protocols: Vec<u8>,
    /// Networks whose connections are not replicated, in their order.
    pub ignore: Vec<Network>,
    /// Conntrack zones, rising; empty for all.
    pub zones: Vec<u16>,
    /// Marks of connections, rising; empty for all.
    pub marks: Vec<Mark>,
    /// How long changes of a connection are collected, up to [`COALESCE_MAX`].
    pub coalesce: Duration,
    /// Connections younger than this are not replicated, up to [`PROTECT_AFTER_MAX`].
    pub protect_after: Duration,
    /// How strictly a connection is resumed.
    pub recovery: Recovery,
    /// `[replicate.conntrackd]`, if the peer is a box that runs conntrackd.
    pub conntrackd: Option<Conntrackd>,
}

/// How strictly a connection is resumed on another node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// Sequence numbers are not checked at first, so that no packet is lost.
    #[default]
    Flexible,
    /// Sequence numbers are checked from the first packet on.
    Strict,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flexible => "flexible",
            Self::Strict => "strict",
        })
    }
}

/// Marks of connections: those that have this value where the mask is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The value; no bit is set outside the mask.
    pub value: u32,
    /// The mask.
    pub mask: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}/{:#x}", self.value, self.mask)
    }
}

/// `[replicate.conntrackd]`: the other box of a pair, which runs Debian's conntrackd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conntrackd {
    /// The name of the foreign node.
    pub peer: String,
    /// The link that both share.
    pub link: String,
    /// What its file calls `Mode`.
    pub mode: ConntrackdMode,
    /// The UDP port of both, 1 to 65535.
    pub port: u16,
    /// The peer's address where both speak to each other alone; none for multicast.
    pub address: Option<IpAddr>,
    /// The multicast group, where there is no address.
    pub group: Ipv4Addr,
}

/// What conntrackd calls its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConntrackdMode {
    /// Messages are acknowledged.
    Ftfw,
    /// They are not.
    Notrack,
}

/// A network: an address whose bits behind the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// The first address.
    pub ip: IpAddr,
    /// The prefix length, 0 to 32 or 0 to 128.
    pub prefix: u8,
}

impl Network {
    /// The network of this prefix length in which an address is.
    pub fn of(ip: IpAddr, prefix: u8) -> Network {
        let bits = u32::from(prefix);
        let ip = match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
                Ipv4Addr::from(u32::from(ip) & mask).into()
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
                Ipv6Addr::from(u128::from(ip) & mask).into()
            }
        };
        Network { ip, prefix }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// The name of an IP protocol of [`PROTOCOLS`], or its number in digits.
pub fn protocol_name(number: u8) -> String {
    let known = PROTOCOLS.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// A digest of what was written, without secrets; equal on all nodes that have the same
/// configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u64);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
