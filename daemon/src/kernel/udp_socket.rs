//! The heartbeat socket: UDP on one interface, multicast or unicast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use evergate_core::wire::header;
use socket2::SockFilter;

use super::Interface;
use super::error::SocketError;
use super::internet_socket::{InternetSocket, Kind};
use crate::sys::option::{set_int, set_receive_buffer};

pub use super::internet_socket::{HOP_LIMIT, Received};

/// Where heartbeats go over IPv4: a group for experiments that no router passes on (RFC 4727).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 254);
/// Where heartbeats go over IPv6: the experimental group of the link's scope (RFC 4727).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x114);

/// Sends and receives our own datagrams on one interface, in one family. The same socket serves
/// the group and single peers; both ends use the same port.
#[derive(Debug)]
pub struct UdpSocket {
    socket: InternetSocket,
}

/// What a socket hears of what is sent to the group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Hears {
    /// Everything.
    #[default]
    All,
    /// All but datagrams of replication: another socket hears those.
    NoReplication,
    /// Datagrams of replication alone, and nothing that is sent to single peers.
    Replication,
}

impl UdpSocket {
    /// Opens the socket for IPv4 on `port`, joined to [`GROUP_V4`].
    pub fn open_v4(interface: &Interface, port: u16, hears: Hears) -> Result<Self, SocketError> {
        Self::open(interface, port, GROUP_V4.into(), hears)
    }

    /// Opens the socket for IPv6 on `port`, joined to [`GROUP_V6`].
    pub fn open_v6(interface: &Interface, port: u16, hears: Hears) -> Result<Self, SocketError> {
        Self::open(interface, port, GROUP_V6.into(), hears)
    }

    fn open(
        interface: &Interface,
        port: u16,
        group: IpAddr,
        hears: Hears,
    ) -> Result<Self, SocketError> {
        let kind = match hears {
            Hears::Replication => Kind::Group(port),
            Hears::All | Hears::NoReplication => Kind::Udp(port),
        };
        let filter = hears.filter(group.is_ipv4());
        Ok(Self { socket: InternetSocket::open(interface, kind, group, &filter)? })
    }

    /// Sends a datagram to the group or to one peer. Name the source where the interface may hold
    /// virtual addresses: the kernel's own choice could be one of them.
    pub fn send(
        &self,
        payload: &[u8],
        source: Option<IpAddr>,
        destination: IpAddr,
    ) -> Result<(), SocketError> {
        self.socket.send(payload, destination, source)
    }

    /// The next datagram, if one is waiting.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Received>, SocketError> {
        self.socket.receive(buffer)
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Codes of a classic socket filter (`linux/filter.h`): load a byte, compare, return.
const LOAD_BYTE: u16 = 0x30;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
/// Offsets from here on are within the IP header; others count from the UDP header.
const IP_HEADER: u32 = libc::SKF_NET_OFF.cast_unsigned();
/// Where the kind of a datagram stands.
const KIND: u32 = 8 + header::KIND_AT as u32;
/// Where the destination stands in the headers of IPv4 and IPv6, and from which first byte on it is a group.
const DESTINATION_V4: (u32, u32) = (IP_HEADER + 16, 224);
const DESTINATION_V6: (u32, u32) = (IP_HEADER + 24, 255);

impl Hears {
    fn filter(self, v4: bool) -> Vec<SockFilter> {
        let replication = u32::from(header::KIND_REPLICA);
        let (destination, group) = if v4 { DESTINATION_V4 } else { DESTINATION_V6 };
        let (keep, drop) =
            (SockFilter::new(RETURN, 0, 0, u32::MAX), SockFilter::new(RETURN, 0, 0, 0));
        let load = |at| SockFilter::new(LOAD_BYTE, 0, 0, at);
        match self {
            Hears::All => Vec::new(),
            Hears::Replication => {
                vec![load(KIND), SockFilter::new(JUMP_IF_EQUAL, 0, 1, replication), keep, drop]
            }
            Hears::NoReplication => vec![
                load(KIND),
                SockFilter::new(JUMP_IF_EQUAL, 0, 2, replication),
                load(destination),
                SockFilter::new(JUMP_IF_AT_LEAST, 1, 0, group),
                keep,
                drop,
            ],
        }
    }
}

/// The receive buffer towards a peer of another make: some ten thousand connections at once.
const PEER_BUFFER_BYTES: i32 = 8 << 20;

/// Exchanges datagrams with one peer of another make, on one interface: with its address, or with a
/// multicast group.
#[derive(Debug)]
pub struct PeerSocket {
    socket: InternetSocket,
}

impl PeerSocket {
    /// Opens the socket on `port`; a `target` that is a group is joined.
    pub fn open(interface: &Interface, port: u16, target: IpAddr) -> Result<Self, SocketError> {
        let socket = InternetSocket::open(interface, Kind::Udp(port), target, &[])?;
        let set = |(): ()| {
            set_receive_buffer(socket.as_fd(), PEER_BUFFER_BYTES)?;
            // A group that routers would pass on stays on the link.
            match target {
                IpAddr::V4(_) => {
                    set_int(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, 1)
                }
                IpAddr::V6(_) => Ok(()),
            }
        };
        set(()).map_err(|error| SocketError::new("set up a socket", interface, &error))?;
        Ok(Self { socket })
    }

    /// Sends a datagram to the peer or the group.
    pub fn send(
        &self,
        payload: &[u8],
        source: Option<IpAddr>,
        target: IpAddr,
    ) -> Result<(), SocketError> {
        self.socket.send(payload, target, source)
    }

    /// The next datagram, if one is waiting.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Received>, SocketError> {
        self.socket.receive(buffer)
    }
}

impl AsFd for PeerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sends to the port of our own protocol and hears nothing: for the thread that replicates, so that
/// it needs no socket of the node thread.
#[derive(Debug)]
pub struct UdpSender {
    socket: InternetSocket,
}

impl UdpSender {
    /// Opens the socket for one family.
    pub fn open(interface: &Interface, port: u16, v4: bool) -> Result<Self, SocketError> {
        Ok(Self { socket: InternetSocket::open_sender(interface, Kind::Udp(port), v4)? })
    }

    /// Sends a datagram to the group or to one peer; whether the kernel took it.
    pub fn send(&self, payload: &[u8], source: Option<IpAddr>, destination: IpAddr) -> bool {
        self.socket.send(payload, destination, source).is_ok()
    }
}
