//! A virtual address and how it is installed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::{Network, PerNode};

/// The longest label of an address, in bytes (IFNAMSIZ less its ending zero).
pub const LABEL_MAX: usize = 15;

/// A virtual address with its prefix length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The prefix length, 1 to 32 or 1 to 128; that of the peer where there is one.
    pub prefix: u8,
    /// Another interface than that of its router.
    pub interface: Option<PerNode<String>>,
    /// The label that `ip` shows, at most [`LABEL_MAX`] bytes; IPv4 only.
    pub label: Option<String>,
    /// How far it is valid; IPv4 only, IPv6 says so by itself.
    pub scope: Option<Scope>,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// The broadcast address; IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// Is it in the adverts?
    pub advertise: bool,
    /// Is it never chosen as a source address? Unless told: IPv6 yes, IPv4 no.
    pub deprecated: bool,
    /// Does IPv6 look for another holder before the address is used?
    pub detect_duplicates: bool,
    /// Does the kernel make a route to its subnet?
    pub prefix_route: bool,
    /// Is it put back when somebody removes it?
    pub keep: bool,
}

/// How far an address or a route is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Global,
    /// In this site.
    Site,
    /// On this link.
    Link,
    /// On this machine.
    Host,
}

impl Scope {
    /// The words for it, and the kernel's numbers.
    pub const WORDS: [(&str, Scope); 4] = [
        ("global", Scope::Global),
        ("site", Scope::Site),
        ("link", Scope::Link),
        ("host", Scope::Host),
    ];

    /// The number by which the kernel knows it.
    pub fn number(self) -> u8 {
        match self {
            Self::Global => 0,
            Self::Site => 200,
            Self::Link => 253,
            Self::Host => 254,
        }
    }
}

impl Address {
    /// An address of which nothing but itself is said.
    pub fn plain(ip: IpAddr, prefix: u8) -> Self {
        Self {
            ip,
            prefix,
            interface: None,
            label: None,
            scope: None,
            peer: None,
            broadcast: None,
            advertise: true,
            deprecated: ip.is_ipv6(),
            detect_duplicates: false,
            prefix_route: true,
            keep: true,
        }
    }

    /// Why no host can have it, if none can: what it is instead.
    pub fn unusable(&self) -> Option<&'static str> {
        if self.ip.is_multicast() {
            return Some("a multicast address");
        }
        if self.ip.is_loopback() {
            return Some("a loopback address");
        }
        if self.ip.is_unspecified() {
            return Some("no address at all");
        }
        let IpAddr::V4(ip) = self.ip else { return None };
        let host_mask = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
        match u32::from(ip) & host_mask {
            0 if self.prefix < 31 => Some("the address of its whole subnet"),
            host if host == host_mask && self.prefix < 31 => {
                Some("the broadcast address of its subnet")
            }
            _ => None,
        }
    }

    /// Does the kernel need no new address for the other one? What only we look at may differ.
    pub fn installs_as(&self, other: &Self) -> bool {
        let (advertise, deprecated, keep) = (self.advertise, self.deprecated, self.keep);
        *self == Self { advertise, deprecated, keep, ..other.clone() }
    }

    /// Are both in one subnet, with different scopes? The kernel refuses the second, if they are on
    /// one interface.
    pub fn is_in_other_scope(&self, other: &Self) -> bool {
        let subnet = |one: &Self| Network::of(one.ip, one.prefix);
        let scope = |one: &Self| one.scope.unwrap_or(Scope::Global);
        let is_here = self.interface == other.interface && subnet(self) == subnet(other);
        self.ip.is_ipv4() && is_here && scope(self) != scope(other)
    }

    /// Are both the same address, whatever else is said of them?
    pub fn is_same(&self, other: &Self) -> bool {
        (self.ip, self.prefix) == (other.ip, other.prefix)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}
