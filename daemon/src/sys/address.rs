//! Socket addresses as the kernel lays them out, written and read by safe code.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The size of the largest socket address (`sockaddr_storage`), in bytes.
pub const ADDRESS_BYTES: usize = 128;

/// A socket address in the kernel's own form.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct RawAddress {
    bytes: [u8; ADDRESS_BYTES],
    length: usize,
}

impl Default for RawAddress {
    fn default() -> Self {
        Self { bytes: [0; ADDRESS_BYTES], length: 0 }
    }
}

impl RawAddress {
    /// An IPv4 or IPv6 address and port. The scope of an IPv6 address is an interface index.
    pub fn internet(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::of(libc::AF_INET, |out| {
                out.extend(&v4.port().to_be_bytes());
                out.extend(&v4.ip().octets());
                out.extend(&[0; 8]);
            }),
            SocketAddr::V6(v6) => Self::of(libc::AF_INET6, |out| {
                out.extend(&v6.port().to_be_bytes());
                out.extend(&v6.flowinfo().to_be_bytes());
                out.extend(&v6.ip().octets());
                out.extend(&v6.scope_id().to_ne_bytes());
            }),
        }
    }

    /// An IP address of the segment behind interface `ifindex`.
    pub fn on_interface(address: IpAddr, port: u16, ifindex: u32) -> Self {
        Self::internet(match address {
            IpAddr::V4(v4) => SocketAddr::from((v4, port)),
            IpAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(v6, port, 0, scope(v6, ifindex))),
        })
    }

    /// A netlink address: `port` 0 lets the kernel choose; `groups` is the bit mask to subscribe to.
    pub fn netlink(port: u32, groups: u32) -> Self {
        Self::of(libc::AF_NETLINK, |out| {
            out.extend(&[0; 2]);
            out.extend(&port.to_ne_bytes());
            out.extend(&groups.to_ne_bytes());
        })
    }

    /// A link-layer address: frames of `ethertype` (0: none are received) on interface `ifindex`.
    pub fn link(ifindex: u32, ethertype: u16) -> Self {
        Self::of(libc::AF_PACKET, |out| {
            out.extend(&ethertype.to_be_bytes());
            out.extend(&ifindex.to_ne_bytes());
            out.extend(&[0; 12]);
        })
    }

    /// The address and port, if it is an IPv4 or IPv6 address.
    pub fn as_internet(&self) -> Option<SocketAddr> {
        let family = i32::from(u16::from_ne_bytes(self.field(0)?));
        let port = u16::from_be_bytes(self.field(2)?);
        if family == libc::AF_INET {
            return Some(SocketAddr::from((Ipv4Addr::from(self.field::<4>(4)?), port)));
        }
        if family != libc::AF_INET6 {
            return None;
        }
        let flow = u32::from_be_bytes(self.field(4)?);
        let address = Ipv6Addr::from(self.field::<16>(8)?);
        let scope = u32::from_ne_bytes(self.field(24)?);
        Some(SocketAddr::V6(SocketAddrV6::new(address, port, flow, scope)))
    }

    /// The port of a netlink address; 0 is the kernel itself.
    pub fn as_netlink_port(&self) -> Option<u32> {
        let family = i32::from(u16::from_ne_bytes(self.field(0)?));
        if family == libc::AF_NETLINK { Some(u32::from_ne_bytes(self.field(4)?)) } else { None }
    }

    /// The interface index of a link-layer address.
    pub fn as_link_ifindex(&self) -> Option<u32> {
        let family = i32::from(u16::from_ne_bytes(self.field(0)?));
        if family == libc::AF_PACKET { Some(u32::from_ne_bytes(self.field(4)?)) } else { None }
    }

    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[..self.length.min(ADDRESS_BYTES)]
    }

    pub(super) fn space(&mut self) -> &mut [u8; ADDRESS_BYTES] {
        &mut self.bytes
    }

    pub(super) fn set_length(&mut self, length: usize) {
        self.length = length.min(ADDRESS_BYTES);
    }

    fn of(family: i32, fill: impl FnOnce(&mut Self)) -> Self {
        let mut address = Self::default();
        let family = u16::try_from(family).expect("address families are small positive numbers");
        address.extend(&family.to_ne_bytes());
        fill(&mut address);
        address
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn field<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.filled().get(at..at.checked_add(N)?)?.try_into().ok()
    }
}

/// The kernel takes a scope with link-local addresses only; elsewhere it would restrict the route.
fn scope(address: Ipv6Addr, ifindex: u32) -> u32 {
    let link_local = address.is_unicast_link_local() || is_link_local_multicast(address);
    if link_local { ifindex } else { 0 }
}

fn is_link_local_multicast(address: Ipv6Addr) -> bool {
    address.is_multicast() && address.segments()[0] & 0x000f == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internet_addresses_survive_the_way_there_and_back() {
        for text in ["192.0.2.7:8747", "[2001:db8::7]:8747"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(RawAddress::internet(address).as_internet(), Some(address));
        }
    }

    #[test]
    fn only_link_local_addresses_carry_the_interface() {
        let scope_of = |text: &str| {
            let raw = RawAddress::on_interface(text.parse().unwrap(), 1, 9);
            match raw.as_internet().unwrap() {
                SocketAddr::V6(v6) => v6.scope_id(),
                SocketAddr::V4(_) => 0,
            }
        };
        assert_eq!((scope_of("ff02::12"), scope_of("fe80::1"), scope_of("2001:db8::1")), (9, 9, 0));
    }

    #[test]
    fn a_short_or_foreign_address_is_nothing() {
        assert_eq!(RawAddress::default().as_internet(), None);
        assert_eq!(RawAddress::netlink(5, 0).as_internet(), None);
        assert_eq!(RawAddress::netlink(5, 0).as_netlink_port(), Some(5));
        assert_eq!(RawAddress::link(3, 0x0806).as_link_ifindex(), Some(3));
    }
}
