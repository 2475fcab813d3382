//! The little of rtnetlink that Evergate speaks: addresses, links and neighbours.
//!
//! [`encode`] writes requests, [`parse`] reads whatever comes back. The parser is total: any bytes
//! give records or an error, never a panic, and nothing grows with what the input claims.

pub mod encode;
pub mod parse;

use std::net::IpAddr;

/// The protocol number that marks an address as ours (`IFA_PROTO`). `ip` shows it as `proto 0xe6`.
pub const OUR_PROTOCOL: u8 = 0xe6;
/// The lifetime that means "for ever".
pub const LIFETIME_UNLIMITED: u32 = u32::MAX;

/// An address on an interface, as the kernel has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressRecord {
    /// The interface's index.
    pub ifindex: u32,
    /// The local address.
    pub address: IpAddr,
    /// The length of the prefix, 0 to 32 or 128.
    pub prefix_length: u8,
    /// The other end, if it has one of its own.
    pub peer: Option<IpAddr>,
    /// The kernel's scope: 0 is global, 253 the link, 254 the machine.
    pub scope: u8,
    /// The kernel's flags (`IFA_F_*`).
    pub flags: u32,
    /// Who added it: [`OUR_PROTOCOL`] is us, 0 is unknown.
    pub protocol: u8,
    /// Seconds until it is removed; [`LIFETIME_UNLIMITED`] is never.
    pub valid_s: u32,
    /// Seconds until it is deprecated; [`LIFETIME_UNLIMITED`] is never.
    pub preferred_s: u32,
}

impl AddressRecord {
    /// Whether we added it.
    pub fn is_ours(&self) -> bool {
        self.protocol == OUR_PROTOCOL
    }

    /// Whether the kernel answers for it: not while it is being checked for a duplicate.
    pub fn is_usable(&self) -> bool {
        let bits = |mask: u32| self.flags & mask != 0;
        let tentative = bits(libc::IFA_F_TENTATIVE) && !bits(libc::IFA_F_OPTIMISTIC);
        !tentative && !bits(libc::IFA_F_DADFAILED)
    }

    /// Whether it is a secondary IPv4 address: another of the same subnet came first.
    pub fn is_secondary(&self) -> bool {
        self.address.is_ipv4() && self.flags & libc::IFA_F_SECONDARY != 0
    }
}

/// A network interface, as the kernel has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkRecord {
    /// The interface's index.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Whether the administrator has set it up.
    pub up: bool,
    /// Whether it has a carrier and can pass frames.
    pub running: bool,
    /// Whether it has a carrier, whatever else it waits for.
    pub carrier: bool,
    /// Its Ethernet address; `None` where it has none (tunnels).
    pub mac: Option<[u8; 6]>,
    /// The largest packet it takes, in bytes.
    pub mtu: u32,
    /// Whether a secondary IPv4 address survives its primary's removal; `None` if not told.
    pub promote_secondaries: Option<bool>,
    /// What it is if it stands on another link.
    pub stacked: Option<Stacked>,
}

/// A link that stands on another one, as far as ours are known by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stacked {
    /// The index of the link below.
    pub parent: u32,
    /// Whether it is a macvlan.
    pub is_macvlan: bool,
    /// The group of links that it belongs to (`ip link show group`); 0 is the default.
    pub group: u32,
    /// The text that its maker has left on it (`ifalias`).
    pub alias: Option<String>,
}

/// A route, as the kernel has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteRecord {
    /// The first address of the network that it leads to.
    pub network: IpAddr,
    /// The length of its prefix, 0 to 32 or 128.
    pub prefix_length: u8,
    /// The table that it is in; 254 is the main one.
    pub table: u32,
    /// Whether it leads anywhere: not one that refuses or drops, or belongs to this machine.
    pub is_unicast: bool,
    /// Whether its only next hop is down or has no carrier.
    pub is_down: bool,
}

/// A neighbour that the kernel knows of on an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeighbourRecord {
    /// The interface's index.
    pub ifindex: u32,
    /// The neighbour's IP address.
    pub address: IpAddr,
    /// Its Ethernet address, once it has answered.
    pub mac: Option<[u8; 6]>,
    /// The kernel's state (`NUD_*`).
    pub state: u16,
}

impl NeighbourRecord {
    /// Whether it has answered at some time and is not known to have stopped: worth a probe.
    pub fn is_known(&self) -> bool {
        let known = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
        self.mac.is_some() && self.state & known != 0
    }
}

const NUD_REACHABLE: u16 = 0x02;
const NUD_STALE: u16 = 0x04;
const NUD_DELAY: u16 = 0x08;
const NUD_PROBE: u16 = 0x10;
const NUD_PERMANENT: u16 = 0x80;

/// What one message of the kernel says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// An address is there, new or changed.
    Address(AddressRecord),
    /// An address was removed.
    AddressGone(AddressRecord),
    /// A link is there, new or changed.
    Link(LinkRecord),
    /// A link was removed: its index.
    LinkGone(u32),
    /// A neighbour is there, new or changed.
    Neighbour(NeighbourRecord),
    /// A route is there, new or changed.
    Route(RouteRecord),
    /// Something that Evergate does not speak of.
    Other,
}
