//! Answers to our probes: ARP replies and neighbour advertisements, and nothing else.
//!
//! The kernel filters before it wakes us, so these sockets cost nothing on a busy segment. Open
//! them for the length of a test.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::Interface;
use super::error::SocketError;
use crate::sys::address::RawAddress;
use crate::sys::message;
use crate::sys::option::{bind, set_bytes, set_int, set_receive_buffer};

const ETHERTYPE_ARP: u16 = 0x0806;
/// Where a frame says whether ARP asks or answers, and the code for an answer.
const ARP_OPERATION_OFFSET: u32 = 20;
const ARP_REPLY: u32 = 2;
/// Instructions of the kernel's packet filter: load two bytes from an offset, compare and jump,
/// keep so many bytes of the frame.
const FILTER_LOAD_HALF: u16 = 0x28;
const FILTER_JUMP_IF_EQUAL: u16 = 0x15;
const FILTER_KEEP: u16 = 0x06;
/// How much of a frame is kept.
const FRAME_BYTES: u32 = 128;
/// The C library does not name these two.
const PACKET_IGNORE_OUTGOING: i32 = 23;
const ICMPV6_FILTER: i32 = 1;
const NEIGHBOUR_ADVERTISEMENT: usize = 136;
/// Receive buffer: the answers of some hundred neighbours.
const RECEIVE_BUFFER_BYTES: i32 = 1 << 18;

/// Hears ARP replies on one interface.
#[derive(Debug)]
pub struct ArpAnswers {
    socket: Socket,
    interface: Interface,
}

impl ArpAnswers {
    /// Opens the socket. Needs `CAP_NET_RAW`.
    pub fn open(interface: &Interface) -> Result<Self, SocketError> {
        let socket = open_arp(interface)
            .map_err(|error| SocketError::new("listen for ARP", interface, &error))?;
        Ok(Self { socket, interface: interface.clone() })
    }

    /// The next reply: the length of its frame, from the Ethernet header on, in `buffer`.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>, SocketError> {
        let datagram = message::receive(&self.socket, buffer)
            .map_err(|error| SocketError::new("receive ARP", &self.interface, &error))?;
        Ok(datagram.map(|datagram| datagram.length))
    }
}

impl AsFd for ArpAnswers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open_arp(interface: &Interface) -> io::Result<Socket> {
    // Opened for no protocol, so that not one frame comes in before the filter is set.
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    set_receive_buffer(&socket, RECEIVE_BUFFER_BYTES)?;
    socket.attach_filter(&[
        SockFilter::new(FILTER_LOAD_HALF, 0, 0, ARP_OPERATION_OFFSET),
        SockFilter::new(FILTER_JUMP_IF_EQUAL, 0, 1, ARP_REPLY),
        SockFilter::new(FILTER_KEEP, 0, 0, FRAME_BYTES),
        SockFilter::new(FILTER_KEEP, 0, 0, 0),
    ])?;
    // Kernels before 4.20 lack it: we then hear our own answers, which claim our own addresses.
    let _ = set_int(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    bind(&socket, &RawAddress::link(interface.index, ETHERTYPE_ARP))?;
    Ok(socket)
}

/// A neighbour advertisement; the message, from its ICMPv6 header on, is in the caller's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NdpAnswer {
    /// Who sent it.
    pub source: Ipv6Addr,
    /// The address it was sent to.
    pub destination: Ipv6Addr,
    /// The hop limit it arrived with; only 255 is genuine.
    pub hop_limit: u8,
    /// How many bytes of the buffer are the message.
    pub length: usize,
}

/// Hears neighbour advertisements on one interface. The kernel has checked their checksums.
#[derive(Debug)]
pub struct NdpAnswers {
    socket: Socket,
    interface: Interface,
}

impl NdpAnswers {
    /// Opens the socket. Needs `CAP_NET_RAW`.
    pub fn open(interface: &Interface) -> Result<Self, SocketError> {
        let socket = open_ndp(interface)
            .map_err(|error| SocketError::new("listen for ICMPv6", interface, &error))?;
        Ok(Self { socket, interface: interface.clone() })
    }

    /// The next advertisement, if one is waiting.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<NdpAnswer>, SocketError> {
        while let Some(datagram) = message::receive(&self.socket, buffer)
            .map_err(|error| SocketError::new("receive ICMPv6", &self.interface, &error))?
        {
            let source = datagram.source.as_internet().map(|address| address.ip());
            let (Some(IpAddr::V6(source)), Some(IpAddr::V6(destination))) =
                (source, datagram.destination)
            else {
                continue;
            };
            let (hop_limit, length) = (datagram.hop_limit.unwrap_or(0), datagram.length);
            return Ok(Some(NdpAnswer { source, destination, hop_limit, length }));
        }
        Ok(None)
    }
}

impl AsFd for NdpAnswers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open_ndp(interface: &Interface) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    // One bit for each of 256 message types, in eight words; a set bit keeps the type out.
    let mut words = [u32::MAX; 8];
    words[NEIGHBOUR_ADVERTISEMENT / 32] &= !(1 << (NEIGHBOUR_ADVERTISEMENT % 32));
    let filter: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    set_bytes(&socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &filter)?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    set_receive_buffer(&socket, RECEIVE_BUFFER_BYTES)?;
    socket.set_recv_hoplimit_v6(true)?;
    set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
    Ok(socket)
}
