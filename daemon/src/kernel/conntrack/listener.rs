//! News of the table of connections.
//!
//! The socket is reliable: what does not fit waits in the kernel and is told later, at the price of
//! the kernel's memory. So it needs a thread that does nothing but drain it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::attributes as a;
use super::decode::NewsOf;
use super::filter;
use crate::kernel::error::NetlinkError;
use crate::sys::address::RawAddress;
use crate::sys::message;
use crate::sys::option::{bind, dropped_datagrams, set_int, set_receive_buffer};

/// The usual receive buffer, in bytes: about 50,000 pieces of news at 640 bytes each.
pub const BUFFER_BYTES: usize = 32 << 20;
/// Room for one datagram of news, which is one message of a few hundred bytes.
pub const DATAGRAM_MAX: usize = 8 << 10;
/// The most datagrams of other processes that one call passes over.
const FOREIGN_MAX: usize = 16;
const EVENTS_FILE: &str = "/proc/sys/net/netfilter/nf_conntrack_events";

/// A subscription to the news.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    drops_before: u32,
    hears_beginnings: bool,
}

impl Listener {
    /// Subscribes, in the calling thread's network namespace, to connections that come, change and
    /// go, and to what they expect, but for what [`filter`] leaves out. Needs `CAP_NET_ADMIN`.
    ///
    /// Open the listener first and the [`super::dump::Dump`] after: nothing falls in between. But
    /// see [`enable_events`].
    pub fn open(own_ports: &[u32], buffer_bytes: usize) -> Result<Self, NetlinkError> {
        Self::try_open(own_ports, buffer_bytes).map_err(|error| NetlinkError::from_call(&error))
    }

    fn try_open(own_ports: &[u32], buffer_bytes: usize) -> io::Result<Self> {
        let domain = Domain::from(libc::AF_NETLINK);
        let kind = Some(Protocol::from(libc::NETLINK_NETFILTER));
        let socket = Socket::new(domain, Type::RAW, kind)?;
        socket.set_nonblocking(true)?;
        set_receive_buffer(&socket, i32::try_from(buffer_bytes).unwrap_or(i32::MAX))?;
        // The first lets the kernel keep what did not fit, the second keeps a full buffer from
        // turning into an error.
        set_int(&socket, libc::SOL_NETLINK, libc::NETLINK_BROADCAST_ERROR, 1)?;
        set_int(&socket, libc::SOL_NETLINK, libc::NETLINK_NO_ENOBUFS, 1)?;
        let program = filter::program(own_ports);
        let program: Vec<SockFilter> = program
            .iter()
            .map(|one| SockFilter::new(one.code, one.if_true, one.if_false, one.operand))
            .collect();
        socket.attach_filter(&program)?;
        let groups = a::NF_NETLINK_CONNTRACK_NEW
            | a::NF_NETLINK_CONNTRACK_UPDATE
            | a::NF_NETLINK_CONNTRACK_DESTROY
            | a::NF_NETLINK_CONNTRACK_EXP_NEW
            | a::NF_NETLINK_CONNTRACK_EXP_UPDATE
            | a::NF_NETLINK_CONNTRACK_EXP_DESTROY;
        // Last, so that nothing comes in before the filter is there.
        bind(&socket, &RawAddress::netlink(0, groups))?;
        let drops_before = dropped_datagrams(&socket)?;
        Ok(Self { socket: socket.into(), drops_before, hears_beginnings: true })
    }

    /// Whether connections that begin are told, as they are from the start. News that nobody on this machine
    /// hears is not made: two fifths of what it costs the kernel to put a copy into its table.
    pub fn hear_beginnings(&mut self, wanted: bool) -> Result<(), NetlinkError> {
        if wanted == self.hears_beginnings {
            return Ok(());
        }
        let name =
            if wanted { libc::NETLINK_ADD_MEMBERSHIP } else { libc::NETLINK_DROP_MEMBERSHIP };
        set_int(&self.socket, libc::SOL_NETLINK, name, a::NFNLGRP_CONNTRACK_NEW)
            .map_err(|error| NetlinkError::from_call(&error))?;
        self.hears_beginnings = wanted;
        Ok(())
    }

    /// The next datagram of news, in `buffer` of at least [`DATAGRAM_MAX`] bytes; `None` if there
    /// is none. It does not wait.
    pub fn receive<'a>(
        &mut self,
        buffer: &'a mut [u8],
    ) -> Result<Option<NewsOf<'a>>, NetlinkError> {
        for _ in 0..FOREIGN_MAX {
            let datagram = message::receive(&self.socket, buffer)
                .map_err(|error| NetlinkError::from_call(&error))?;
            let Some(datagram) = datagram else { return Ok(None) };
            if datagram.truncated {
                return Err(NetlinkError::Malformed);
            }
            if datagram.source.as_netlink_port() == Some(0) {
                return Ok(Some(NewsOf::new(&buffer[..datagram.length])));
            }
        }
        Ok(None)
    }

    /// How many pieces of news did not fit into the buffer since it was opened. The ends of
    /// connections are told later all the same, changes with the next change.
    pub fn drops(&self) -> Result<u32, NetlinkError> {
        let drops = dropped_datagrams(&self.socket);
        let drops = drops.map_err(|error| NetlinkError::from_call(&error))?;
        Ok(drops.wrapping_sub(self.drops_before))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Makes every connection from now on tell what becomes of it, in the calling thread's network
/// namespace. By default only those do that begin while somebody listens.
///
/// Fails where the setting cannot be written: without the right to, or without the module.
pub fn enable_events() -> io::Result<()> {
    std::fs::write(EVENTS_FILE, "1")
}
