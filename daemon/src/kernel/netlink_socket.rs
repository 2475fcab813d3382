//! One netlink socket: to ask the kernel, or to hear its news.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::sys::address::RawAddress;
use crate::sys::message::{Datagram, receive, send};
use crate::sys::option::{bind, set_int, set_receive_buffer};

/// Room for the largest datagram that the kernel sends (it fills 32 KiB when it lists).
pub(super) const DATAGRAM_MAX: usize = 1 << 16;
/// Receive buffer of a socket that asks: a full batch of answers and one list in progress.
const ANSWERS_BYTES: i32 = 1 << 20;
/// Receive buffer of a socket that listens: some thousand changes of links and addresses.
const NEWS_BYTES: i32 = 1 << 22;
/// How long an answer may take once the request has been accepted.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A netlink socket of one kind.
#[derive(Debug)]
pub(super) struct NetlinkSocket {
    socket: OwnedFd,
}

impl NetlinkSocket {
    /// A socket for requests of a kind (`NETLINK_ROUTE`, `NETLINK_NETFILTER`); it waits for
    /// answers, but not for ever.
    pub(super) fn for_requests(kind: i32) -> io::Result<Self> {
        let socket = open(kind, ANSWERS_BYTES, 0)?;
        socket.set_read_timeout(Some(ANSWER_WAIT))?;
        // Short answers that carry the kernel's explanation, and lists that honour our filter.
        // Kernels before 4.12 and 4.20 lack them; we then get longer answers and filter ourselves.
        for option in [libc::NETLINK_CAP_ACK, libc::NETLINK_EXT_ACK, libc::NETLINK_GET_STRICT_CHK] {
            let _ = set_int(&socket, libc::SOL_NETLINK, option, 1);
        }
        Ok(Self { socket: socket.into() })
    }

    /// A socket for requests whose answers are all there when [`NetlinkSocket::send`] returns, so that
    /// it never waits for one.
    pub(super) fn for_changes(kind: i32) -> io::Result<Self> {
        let socket = Self::for_requests(kind)?;
        socket2::SockRef::from(&socket.socket).set_nonblocking(true)?;
        Ok(socket)
    }

    /// A socket for `NETLINK_ROUTE` news of the groups in the bit mask; it never waits.
    pub(super) fn for_news(groups: u32) -> io::Result<Self> {
        let socket = open(libc::NETLINK_ROUTE, NEWS_BYTES, groups)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: socket.into() })
    }

    /// Hands requests to the kernel, which carries them out before this returns.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        send(&self.socket, bytes, Some(&RawAddress::netlink(0, 0)), None, 0)
    }

    /// The next datagram of the kernel; what other processes send us is passed over.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
        while let Some(datagram) = receive(&self.socket, buffer)? {
            if datagram.source.as_netlink_port() == Some(0) {
                return Ok(Some(datagram));
            }
        }
        Ok(None)
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(kind: i32, buffer_bytes: i32, groups: u32) -> io::Result<Socket> {
    let domain = Domain::from(libc::AF_NETLINK);
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(kind)))?;
    set_receive_buffer(&socket, buffer_bytes)?;
    bind(&socket, &RawAddress::netlink(0, groups))?;
    Ok(socket)
}
