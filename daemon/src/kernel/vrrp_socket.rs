//! The VRRP socket: one per interface and family, for however many virtual routers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use evergate_core::wire::ah;

use super::Interface;
use super::error::SocketError;
use super::internet_socket::{InternetSocket, Kind};

pub use super::internet_socket::{HOP_LIMIT, Received};

/// The IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// Where IPv4 adverts go (RFC 9568 §5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Where IPv6 adverts go (RFC 9568 §5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// Enough for the largest advert: 255 IPv6 addresses, and an authentication header.
pub const PACKET_MAX: usize = 4608;

/// Sends and receives VRRP packets on one interface, in one family.
///
/// Payloads begin at the VRRP header. Checksums are the caller's business in both families; the
/// kernel makes the IP header with hop limit 255 and traffic class 0xc0.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: InternetSocket,
}

impl VrrpSocket {
    /// Opens the socket for IPv4 adverts. Needs `CAP_NET_RAW`.
    pub fn open_v4(interface: &Interface) -> Result<Self, SocketError> {
        Self::open(interface, GROUP_V4.into())
    }

    /// Opens the socket for IPv6 adverts. Needs `CAP_NET_RAW`.
    pub fn open_v6(interface: &Interface) -> Result<Self, SocketError> {
        Self::open(interface, GROUP_V6.into())
    }

    /// Opens the socket for IPv4 adverts behind an authentication header: packets are whole, from their
    /// IP header on, in both directions. Needs `CAP_NET_RAW`.
    pub fn open_header(interface: &Interface) -> Result<Self, SocketError> {
        let kind = Kind::Whole(ah::PROTOCOL);
        let socket = InternetSocket::open(interface, kind, GROUP_V4.into(), &[])?;
        Ok(Self { socket })
    }

    fn open(interface: &Interface, group: IpAddr) -> Result<Self, SocketError> {
        let socket = InternetSocket::open(interface, Kind::Raw(PROTOCOL), group, &[])?;
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
