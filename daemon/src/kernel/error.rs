//! What can go wrong at the kernel's door: whose fault it is and what to do.

use std::fmt;
use std::io;

use nix::errno::Errno;

use super::Interface;

/// Why a netlink request did not do what was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NetlinkError {
    /// This process may not do it: it needs `CAP_NET_ADMIN` in this network namespace.
    NotPermitted,
    /// The interface is gone, or never was.
    NoInterface,
    /// What was to be made exists already.
    Exists,
    /// What was to be removed or asked about does not exist.
    Absent,
    /// The address family is switched off on the interface (for IPv6: `disable_ipv6`).
    FamilyDisabled,
    /// The kernel refused for another reason; its own words, where it gave any.
    Refused {
        /// The kernel's error number.
        errno: Errno,
        /// The kernel's explanation (extended acknowledgement).
        text: Option<String>,
    },
    /// The kernel did not answer in time: it is stuck, or its lock is held by another.
    Silent,
    /// Answers were lost because they came faster than they were read: ask again.
    Overflow,
    /// What is asked for changed while it was read, several times over: ask again later.
    Unsettled,
    /// There are more records than this program is willing to hold.
    TooMany,
    /// The answer cannot be understood: a bug here or in the kernel.
    Malformed,
    /// The netlink socket itself failed.
    Socket(Errno),
}

impl NetlinkError {
    /// The meaning of an error number that answers a request.
    pub(super) fn from_answer(errno: Errno, text: Option<&str>) -> Self {
        match errno {
            Errno::EPERM => Self::NotPermitted,
            Errno::ENODEV | Errno::ENXIO => Self::NoInterface,
            Errno::EEXIST => Self::Exists,
            Errno::EADDRNOTAVAIL | Errno::ENOENT => Self::Absent,
            Errno::EACCES | Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP => Self::FamilyDisabled,
            _ => Self::Refused { errno, text: text.map(str::to_owned) },
        }
    }

    /// The meaning of a failed call on the netlink socket.
    pub(super) fn from_call(error: &io::Error) -> Self {
        match errno_of(error) {
            Errno::ENOBUFS => Self::Overflow,
            Errno::EPERM | Errno::EACCES => Self::NotPermitted,
            errno => Self::Socket(errno),
        }
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str("not permitted (CAP_NET_ADMIN is needed)"),
            Self::NoInterface => f.write_str("no such interface"),
            Self::Exists => f.write_str("exists already"),
            Self::Absent => f.write_str("does not exist"),
            Self::FamilyDisabled => f.write_str("address family disabled on the interface"),
            Self::Refused { errno, text: Some(text) } => {
                write!(f, "refused by the kernel: {text} ({})", errno.desc())
            }
            Self::Refused { errno, text: None } => {
                write!(f, "refused by the kernel: {}", errno.desc())
            }
            Self::Silent => f.write_str("no answer from the kernel in time"),
            Self::Overflow => f.write_str("answers of the kernel were lost (buffer overflow)"),
            Self::Unsettled => f.write_str("kept changing while it was read"),
            Self::TooMany => f.write_str("more records than can be held"),
            Self::Malformed => f.write_str("an answer of the kernel makes no sense"),
            Self::Socket(errno) => write!(f, "netlink socket failed: {}", errno.desc()),
        }
    }
}

impl std::error::Error for NetlinkError {}

/// Why a socket could not be opened or used: the attempt, the interface and the cause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SocketError {
    /// What was being done, for example "join 224.0.0.18".
    pub attempt: &'static str,
    /// The name of the interface it was done on.
    pub interface: String,
    /// Whose fault it was.
    pub cause: SocketFault,
}

/// The cause of a [`SocketError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketFault {
    /// This process may not do it: it needs `CAP_NET_RAW` (or `CAP_NET_ADMIN`).
    NotPermitted,
    /// The interface is gone or down: wait until it is back and open the socket again.
    InterfaceGone,
    /// The source address is not on this machine (yet, or any more).
    NoSourceAddress,
    /// Another program holds the port or address.
    Busy,
    /// The kernel's buffers are full: the datagram was dropped, the next may pass.
    Full,
    /// A firewall rule of this machine forbids it.
    Filtered,
    /// There is no way to the destination.
    Unreachable,
    /// The datagram is too large for the interface.
    TooLarge,
    /// Anything else, by its error number.
    Other(Errno),
}

impl SocketError {
    pub(super) fn new(attempt: &'static str, interface: &Interface, error: &io::Error) -> Self {
        let cause = match errno_of(error) {
            // Sending past an output filter that drops also fails with EPERM.
            Errno::EPERM if attempt.starts_with("send") => SocketFault::Filtered,
            Errno::EPERM | Errno::EACCES => SocketFault::NotPermitted,
            Errno::ENODEV | Errno::ENXIO | Errno::ENETDOWN => SocketFault::InterfaceGone,
            Errno::EADDRNOTAVAIL => SocketFault::NoSourceAddress,
            Errno::EADDRINUSE => SocketFault::Busy,
            Errno::ENOBUFS | Errno::EAGAIN | Errno::ENOMEM => SocketFault::Full,
            Errno::ENETUNREACH | Errno::EHOSTUNREACH => SocketFault::Unreachable,
            Errno::EMSGSIZE => SocketFault::TooLarge,
            errno => SocketFault::Other(errno),
        };
        Self { attempt, interface: interface.name.clone(), cause }
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} on interface {}: {}", self.attempt, self.interface, self.cause)
    }
}

impl fmt::Display for SocketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPermitted => "not permitted (CAP_NET_RAW is needed)",
            Self::InterfaceGone => "the interface is gone or down",
            Self::NoSourceAddress => "the source address is not on this machine",
            Self::Busy => "another program holds the address or port",
            Self::Full => "the kernel's buffers are full",
            Self::Filtered => "a firewall rule of this machine forbids it",
            Self::Unreachable => "there is no way to the destination",
            Self::TooLarge => "too large for the interface",
            Self::Other(errno) => errno.desc(),
        })
    }
}

impl std::error::Error for SocketError {}

/// The error number of a failed call; errors without one did not come from the kernel.
fn errno_of(error: &io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::WouldBlock => Errno::EAGAIN,
        _ => error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
    }
}
