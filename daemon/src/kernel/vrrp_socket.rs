//! The VRRP socket: one per interface and family, for however many virtual routers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use evergate_core::ident::Family;
use evergate_core::wire::ah;

use super::Interface;
use super::error::SocketError;
use super::internet_socket::{InternetSocket, Kind};

pub use super::internet_socket::{HOP_LIMIT, Received};
pub use evergate_core::wire::vrrp::{GROUP_V4, GROUP_V6, PROTOCOL};

/// Enough for the largest advert: 255 IPv6 addresses, and an authentication header.
pub const PACKET_MAX: usize = 4608;

/// Sends and receives VRRP packets on one interface, in one family.
///
/// Payloads begin at the VRRP header. Checksums are the caller's business in both families; the
/// kernel makes the IP header with hop limit 255, unless told otherwise, and traffic class 0xc0.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: InternetSocket,
}

impl VrrpSocket {
    /// Opens the socket for adverts of a family to some multicast groups, each of that family. Needs
    /// `CAP_NET_RAW`.
    pub fn open(
        interface: &Interface,
        family: Family,
        groups: &[IpAddr],
    ) -> Result<Self, SocketError> {
        Self::open_as(interface, Kind::Raw(PROTOCOL), family, groups)
    }

    /// Opens the socket for IPv4 adverts behind an authentication header: packets are whole, from their
    /// IP header on, in both directions. Needs `CAP_NET_RAW`.
    pub fn open_header(interface: &Interface, groups: &[IpAddr]) -> Result<Self, SocketError> {
        Self::open_as(interface, Kind::Whole(ah::PROTOCOL), Family::V4, groups)
    }

    fn open_as(
        interface: &Interface,
        kind: Kind,
        family: Family,
        groups: &[IpAddr],
    ) -> Result<Self, SocketError> {
        let any = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = InternetSocket::open(interface, kind, any, &[])?;
        for group in groups {
            socket.join(*group)?;
        }
        Ok(Self { socket })
    }

    /// Sends a packet from an address of this machine to the group or to one router.
    pub fn send(
        &self,
        packet: &[u8],
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<(), SocketError> {
        self.socket.send(packet, destination, Some(source))
    }

    /// The same with another hop limit than [`HOP_LIMIT`]; whole packets have their own.
    pub fn send_within(
        &self,
        packet: &[u8],
        ends: (IpAddr, IpAddr),
        hops: u8,
    ) -> Result<(), SocketError> {
        self.socket.send_within(packet, ends, hops)
    }

    /// The next packet, if one is waiting; the IP header is taken off.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Received>, SocketError> {
        self.socket.receive(buffer)
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
