//! What a core leaves behind, as bytes: the addresses that are up and the last words for each.
//!
//! Little endian, because it never leaves the machine. Decoding is total: a core that went wild
//! over its memory must not take the guardian with it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::kernel::ways::{WAY_BYTES_MAX, Way, WayKind};

use evergate_core::ident::Family;
use evergate_core::wire::ah;

/// Groups in one estate at most.
pub const GROUPS_MAX: usize = 4096;
/// Addresses of one group at most.
pub const ADDRESSES_PER_GROUP_MAX: usize = 16_384;
/// Routes and rules of one group at most.
pub const WAYS_PER_GROUP_MAX: usize = 4096;
/// Wills in one estate at most.
pub const WILLS_MAX: usize = 16_384;
/// Bytes of one will at most: what fits a frame.
pub const WILL_BYTES_MAX: usize = 1500;
/// Bytes of a group's name at most.
pub const GROUP_NAME_BYTES_MAX: usize = 255;

/// Everything a guardian needs to know to resign for a dead core.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Estate {
    /// What is up, by group.
    pub groups: Vec<Holding>,
    /// What is to be said when the core dies, in this order.
    pub wills: Vec<Will>,
}

/// The addresses that a group has in the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holding {
    /// Name of the group.
    pub group: String,
    /// Its addresses, each with its interface.
    pub addresses: Vec<HeldAddress>,
    /// Its routes and rules, as the kernel is told to remove them.
    pub ways: Vec<Way>,
}

/// One address in the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldAddress {
    /// Index of the interface that has it.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix in bits, 0 to 128.
    pub prefix_length: u8,
}

/// One ready-made resignation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Will {
    /// How it is sent.
    pub transport: Transport,
    /// The group that it speaks for, as an index into [`Estate::groups`]; `None` for the node. An
    /// advert of a successor on this interface with this VRID lets the group's addresses go.
    pub group: Option<u16>,
    /// Interface by which it leaves.
    pub ifindex: u32,
    /// Its source address, of the same family as the destination.
    pub source: IpAddr,
    /// Where it goes: a multicast group or a peer.
    pub destination: IpAddr,
    /// The hop limit with which it leaves; a whole packet has its own.
    pub hops: u8,
    /// UDP port; 0 for VRRP.
    pub port: u16,
    /// What follows the IP header (VRRP, checksum included) or the UDP header, or the whole packet.
    pub bytes: Vec<u8>,
}

impl Will {
    /// Family and VRID of the virtual router for which it speaks, if it is one of VRRP.
    pub fn router(&self) -> Option<(Family, u8)> {
        let (family, vrid) = match self.transport {
            Transport::VrrpV4 => (Family::V4, self.bytes.get(1).copied()),
            Transport::VrrpV6 => (Family::V6, self.bytes.get(1).copied()),
            Transport::VrrpHeader => (Family::V4, ah::vrid(&self.bytes)),
            Transport::Udp => return None,
        };
        vrid.map(|vrid| (family, vrid))
    }
}

/// How a will travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// IP protocol 112 over IPv4.
    VrrpV4,
    /// IP protocol 112 over IPv6.
    VrrpV6,
    /// A whole IPv4 packet of protocol 51, with VRRP behind its authentication header.
    VrrpHeader,
    /// UDP over the family of the destination.
    Udp,
}

/// Why an estate cannot be written: its size is the configuration's fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TooLarge {
    /// More groups than [`GROUPS_MAX`].
    Groups,
    /// A name longer than [`GROUP_NAME_BYTES_MAX`].
    Name,
    /// More addresses in a group than [`ADDRESSES_PER_GROUP_MAX`].
    Addresses,
    /// More routes and rules in a group than [`WAYS_PER_GROUP_MAX`], or one longer than [`WAY_BYTES_MAX`].
    Ways,
    /// More wills than [`WILLS_MAX`].
    Wills,
    /// A will longer than [`WILL_BYTES_MAX`].
    Will,
    /// More bytes in all than the shared memory has for it.
    Whole,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            TooLarge::Groups => "too many groups",
            TooLarge::Name => "a group's name is too long",
            TooLarge::Addresses => "a group has too many addresses",
            TooLarge::Ways => "a group has too many routes and rules",
            TooLarge::Wills => "too many routers and peers",
            TooLarge::Will => "a resignation does not fit a frame",
            TooLarge::Whole => "too many addresses and routers in all",
        };
        write!(f, "{what} for the guardian to look after")
    }
}

impl std::error::Error for TooLarge {}

impl Estate {
    /// Appends the encoding to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        put_count(out, self.groups.len(), GROUPS_MAX, TooLarge::Groups)?;
        for holding in &self.groups {
            put_count(out, holding.group.len(), GROUP_NAME_BYTES_MAX, TooLarge::Name)?;
            out.extend_from_slice(holding.group.as_bytes());
            let count = holding.addresses.len();
            put_count(out, count, ADDRESSES_PER_GROUP_MAX, TooLarge::Addresses)?;
            for held in &holding.addresses {
                out.extend_from_slice(&held.ifindex.to_le_bytes());
                put_address(out, held.address);
                out.push(held.prefix_length);
            }
            put_count(out, holding.ways.len(), WAYS_PER_GROUP_MAX, TooLarge::Ways)?;
            for way in &holding.ways {
                out.push(match way.kind {
                    WayKind::Route => 0,
                    WayKind::Rule => 1,
                });
                put_count(out, way.body.len(), WAY_BYTES_MAX, TooLarge::Ways)?;
                out.extend_from_slice(&way.body);
            }
        }
        put_count(out, self.wills.len(), WILLS_MAX, TooLarge::Wills)?;
        for will in &self.wills {
            out.push(match will.transport {
                Transport::VrrpV4 => 0,
                Transport::VrrpV6 => 1,
                Transport::Udp => 2,
                Transport::VrrpHeader => 3,
            });
            out.extend_from_slice(&will.group.unwrap_or(u16::MAX).to_le_bytes());
            out.extend_from_slice(&will.ifindex.to_le_bytes());
            put_address(out, will.source);
            put_address(out, will.destination);
            out.push(will.hops);
            out.extend_from_slice(&will.port.to_le_bytes());
            put_count(out, will.bytes.len(), WILL_BYTES_MAX, TooLarge::Will)?;
            out.extend_from_slice(&will.bytes);
        }
        Ok(())
    }

    /// Reads an encoding; `None` if it is not one, to the last byte.
    pub(super) fn decode(bytes: &[u8]) -> Option<Estate> {
        let mut input = Input(bytes);
        let mut estate = Estate::default();
        for _ in 0..input.count(GROUPS_MAX)? {
            let length = input.count(GROUP_NAME_BYTES_MAX)?;
            let group = String::from_utf8(input.take(length)?.to_vec()).ok()?;
            let mut addresses = Vec::new();
            for _ in 0..input.count(ADDRESSES_PER_GROUP_MAX)? {
                let ifindex = input.u32()?;
                let address = input.address()?;
                addresses.push(HeldAddress { ifindex, address, prefix_length: input.u8()? });
            }
            let mut ways = Vec::new();
            for _ in 0..input.count(WAYS_PER_GROUP_MAX)? {
                ways.push(input.way()?);
            }
            estate.groups.push(Holding { group, addresses, ways });
        }
        for _ in 0..input.count(WILLS_MAX)? {
            estate.wills.push(input.will()?);
        }
        input.0.is_empty().then_some(estate)
    }
}

/// Writes a count that must not exceed `max`, which is below 65,535.
fn put_count(out: &mut Vec<u8>, count: usize, max: usize, error: TooLarge) -> Result<(), TooLarge> {
    let number = u16::try_from(count).map_err(|_| error)?;
    if count > max {
        return Err(error);
    }
    out.extend_from_slice(&number.to_le_bytes());
    Ok(())
}

fn put_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            out.push(4);
            out.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out.push(6);
            out.extend_from_slice(&v6.octets());
        }
    }
}

/// The bytes not yet read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn count(&mut self, max: usize) -> Option<usize> {
        self.u16().map(usize::from).filter(|count| *count <= max)
    }

    fn address(&mut self) -> Option<IpAddr> {
        match self.u8()? {
            4 => self.array().map(|octets: [u8; 4]| Ipv4Addr::from(octets).into()),
            6 => self.array().map(|octets: [u8; 16]| Ipv6Addr::from(octets).into()),
            _ => None,
        }
    }

    fn way(&mut self) -> Option<Way> {
        let kind = match self.u8()? {
            0 => WayKind::Route,
            1 => WayKind::Rule,
            _ => return None,
        };
        let length = self.count(WAY_BYTES_MAX)?;
        Some(Way { kind, body: self.take(length)?.to_vec() })
    }

    fn will(&mut self) -> Option<Will> {
        let transport = match self.u8()? {
            0 => Transport::VrrpV4,
            1 => Transport::VrrpV6,
            2 => Transport::Udp,
            3 => Transport::VrrpHeader,
            _ => return None,
        };
        let group = self.u16().map(|index| (index != u16::MAX).then_some(index))?;
        let ifindex = self.u32()?;
        let (source, destination) = (self.address()?, self.address()?);
        let (hops, port) = (self.u8()?, self.u16()?);
        let length = self.count(WILL_BYTES_MAX)?;
        let bytes = self.take(length)?.to_vec();
        Some(Will { transport, group, ifindex, source, destination, hops, port, bytes })
    }
}
