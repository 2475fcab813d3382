//! What the protocol sockets have in common: one interface, one family, one multicast group,
//! hop limit 255, no loop back to ourselves, and nothing that waits.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, SockRef, Socket, Type};

use super::Interface;
use super::error::SocketError;
use crate::sys::address::RawAddress;
use crate::sys::clock::{NS_PER_S, boottime_now, boottime_of_stamp};
use crate::sys::message::{self, Origin};
use crate::sys::option::{bind, set_bytes, set_int, set_receive_buffer};

/// The hop limit of everything we send: a receiver that sees less knows it crossed a router.
pub const HOP_LIMIT: u8 = 255;
/// The traffic class "internetwork control" (RFC 9568 leaves it open; everybody sends this).
const TRAFFIC_CLASS: u32 = 0xc0;
/// The queueing priority that matches it, the highest that needs no privilege.
const QUEUE_PRIORITY: u32 = 6;
/// Receive buffer: some hundred small datagrams, a burst of a thousand routers' adverts included.
const RECEIVE_BUFFER_BYTES: i32 = 1 << 20;
/// A datagram is never taken to have waited for longer, whatever the wall clock did.
const AGE_MAX_NS: u64 = 60 * NS_PER_S;

/// A datagram that was received; its payload is in the caller's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// Who sent it.
    pub source: IpAddr,
    /// The sender's UDP port; 0 where there are no ports.
    pub source_port: u16,
    /// The address it was sent to: the group, or one of ours.
    pub destination: IpAddr,
    /// The hop limit or TTL it arrived with.
    pub hop_limit: u8,
    /// How many bytes of the buffer are its payload.
    pub length: usize,
    /// True if it was longer than the buffer: to be counted and dropped.
    pub truncated: bool,
    /// When the kernel received it, in nanoseconds of boot time.
    pub received_ns: u64,
}

/// What a socket is opened for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Raw packets of an IP protocol number.
    Raw(u8),
    /// The same over IPv4, with their IP header in both directions.
    Whole(u8),
    /// UDP on a port.
    Udp(u16),
    /// UDP on a port, and what is sent to the group alone.
    Group(u16),
}

/// A socket of one kind on one interface, joined to one multicast group of the same family.
#[derive(Debug)]
pub(super) struct InternetSocket {
    socket: OwnedFd,
    interface: Interface,
    kind: Kind,
    is_v4: bool,
}

impl InternetSocket {
    /// Opens it in the family of `group`, which is joined if it is one.
    pub(super) fn open(
        interface: &Interface,
        kind: Kind,
        group: IpAddr,
        filter: &[SockFilter],
    ) -> Result<Self, SocketError> {
        let step = |attempt: &'static str| {
            move |error: io::Error| SocketError::new(attempt, interface, &error)
        };
        let socket = create(kind, group.is_ipv4()).map_err(step("open a socket"))?;
        socket.bind_device(Some(interface.name.as_bytes())).map_err(step("bind a socket"))?;
        set_common(&socket).map_err(step("set up a socket"))?;
        match group {
            IpAddr::V4(_) => set_v4(&socket, interface.index).map_err(step("set up IPv4"))?,
            IpAddr::V6(_) => set_v6(&socket, interface.index).map_err(step("set up IPv6"))?,
        }
        if group.is_multicast() {
            join(&socket, interface.index, group).map_err(step("join a group"))?;
        }
        if !filter.is_empty() {
            // Before the port is bound: nothing that is not meant comes in.
            socket.attach_filter(filter).map_err(step("filter a socket"))?;
        }
        if let Kind::Udp(port) | Kind::Group(port) = kind {
            let local = match (kind, group) {
                (Kind::Group(_), group) => RawAddress::on_interface(group, port, interface.index),
                (_, IpAddr::V4(_)) => {
                    RawAddress::internet(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
                }
                (_, IpAddr::V6(_)) => {
                    RawAddress::internet(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
                }
            };
            bind(&socket, &local).map_err(step("bind a port"))?;
        }
        let (interface, is_v4) = (interface.clone(), group.is_ipv4());
        Ok(Self { socket: socket.into(), interface, kind, is_v4 })
    }

    /// A socket that only sends: it joins no group and is bound to no port.
    pub(super) fn open_sender(
        interface: &Interface,
        kind: Kind,
        is_v4: bool,
    ) -> Result<Self, SocketError> {
        let step = |error: io::Error| SocketError::new("open a socket", interface, &error);
        let socket = create(kind, is_v4).map_err(step)?;
        socket.bind_device(Some(interface.name.as_bytes())).map_err(step)?;
        let set = if is_v4 { set_v4 } else { set_v6 };
        set(&socket, interface.index).map_err(step)?;
        Ok(Self { socket: socket.into(), interface: interface.clone(), kind, is_v4 })
    }

    /// Joins one more multicast group, of the same family.
    pub(super) fn join(&self, group: IpAddr) -> Result<(), SocketError> {
        join(&SockRef::from(&self.socket), self.interface.index, group)
            .map_err(|error| SocketError::new("join a group", &self.interface, &error))
    }

    /// Sends a datagram out of the interface; without a source the kernel chooses one.
    pub(super) fn send(
        &self,
        payload: &[u8],
        destination: IpAddr,
        source: Option<IpAddr>,
    ) -> Result<(), SocketError> {
        let ifindex = self.interface.index;
        self.send_from(
            payload,
            destination,
            source.map(|source| Origin { source, ifindex, hops: None }),
        )
    }

    /// The same with another hop limit than [`HOP_LIMIT`].
    pub(super) fn send_within(
        &self,
        payload: &[u8],
        (source, destination): (IpAddr, IpAddr),
        hops: u8,
    ) -> Result<(), SocketError> {
        let origin = Origin { source, ifindex: self.interface.index, hops: Some(hops) };
        self.send_from(payload, destination, Some(origin))
    }

    fn send_from(
        &self,
        payload: &[u8],
        destination: IpAddr,
        origin: Option<Origin>,
    ) -> Result<(), SocketError> {
        let port = match self.kind {
            Kind::Udp(port) | Kind::Group(port) => port,
            Kind::Raw(_) | Kind::Whole(_) => 0,
        };
        let to = RawAddress::on_interface(destination, port, self.interface.index);
        message::send(&self.socket, payload, Some(&to), origin, 0)
            .map_err(|error| SocketError::new("send", &self.interface, &error))
    }

    /// The next datagram, if one is waiting.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Option<Received>, SocketError> {
        let datagram = message::receive(&self.socket, buffer)
            .map_err(|error| SocketError::new("receive", &self.interface, &error))?;
        let Some(datagram) = datagram else { return Ok(None) };
        let unspecified = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let source = datagram.source.as_internet().unwrap_or(unspecified);
        let received_ns = match datagram.stamp_ns {
            Some(stamp_ns) => boottime_of_stamp(stamp_ns, AGE_MAX_NS),
            None => boottime_now(),
        };
        let mut received = Received {
            source: source.ip(),
            source_port: source.port(),
            destination: datagram.destination.unwrap_or(unspecified.ip()),
            hop_limit: datagram.hop_limit.unwrap_or(0),
            length: datagram.length,
            truncated: datagram.truncated,
            received_ns,
        };
        if let (Kind::Raw(_), true) = (self.kind, self.is_v4) {
            strip_v4_header(buffer, &mut received);
        }
        Ok(Some(received))
    }
}

impl AsFd for InternetSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn create(kind: Kind, is_v4: bool) -> io::Result<Socket> {
    let domain = if is_v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = match kind {
        Kind::Raw(protocol) | Kind::Whole(protocol) => {
            Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol))))?
        }
        Kind::Udp(_) | Kind::Group(_) => Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?,
    };
    if let (Kind::Udp(_) | Kind::Group(_), false) = (kind, is_v4) {
        // Leave the port of IPv4 to the other socket.
        socket.set_only_v6(true)?;
    }
    if let Kind::Whole(_) = kind {
        socket.set_header_included_v4(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn join(socket: &Socket, ifindex: u32, group: IpAddr) -> io::Result<()> {
    match group {
        IpAddr::V4(group) => {
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(ifindex))
        }
        IpAddr::V6(group) => socket.join_multicast_v6(&group, ifindex),
    }
}

fn set_common(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    set_receive_buffer(socket, RECEIVE_BUFFER_BYTES)?;
    set_int(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

fn set_v4(socket: &Socket, ifindex: u32) -> io::Result<()> {
    // ip_mreqn: no group, no address, only the interface that multicast leaves by.
    let mut interface = [0; 12];
    interface[8..].copy_from_slice(&ifindex.to_ne_bytes());
    set_bytes(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &interface)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_all_v4(false)?;
    socket.set_multicast_ttl_v4(HOP_LIMIT.into())?;
    socket.set_ttl_v4(HOP_LIMIT.into())?;
    socket.set_tos_v4(TRAFFIC_CLASS)?;
    // Setting the type of service has set a priority as well: ours comes after.
    socket.set_priority(QUEUE_PRIORITY)?;
    // Never "do not fragment": VRRP routers send without it.
    let (level, dont) = (libc::IPPROTO_IP, libc::IP_PMTUDISC_DONT);
    set_int(socket, level, libc::IP_MTU_DISCOVER, dont)?;
    set_int(socket, level, libc::IP_RECVTTL, 1)?;
    set_int(socket, level, libc::IP_PKTINFO, 1)
}

fn set_v6(socket: &Socket, ifindex: u32) -> io::Result<()> {
    socket.set_multicast_if_v6(ifindex)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_hops_v6(HOP_LIMIT.into())?;
    socket.set_unicast_hops_v6(HOP_LIMIT.into())?;
    socket.set_tclass_v6(TRAFFIC_CLASS)?;
    socket.set_priority(QUEUE_PRIORITY)?;
    socket.set_recv_hoplimit_v6(true)?;
    // Kernels before 4.20 lack it: the socket then hears groups that others joined, which is
    // harmless, since everything received is judged by its content.
    let _ = socket.set_multicast_all_v6(false);
    set_int(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
}

/// Raw IPv4 sockets deliver the IP header too: it is taken off, and the payload moved to the front.
fn strip_v4_header(buffer: &mut [u8], received: &mut Received) {
    let packet = &buffer[..received.length.min(buffer.len())];
    let words = packet.first().map_or(0, |byte| byte & 0x0f);
    let header = usize::from(words) * 4;
    if header < 20 || header > packet.len() {
        // The kernel has checked the header; whoever breaks this gets no hearing.
        received.truncated = true;
        received.length = 0;
        return;
    }
    received.length = packet.len() - header;
    buffer.copy_within(header..header + received.length, 0);
}
