//! The kernel's table of connections, by ctnetlink and by its variables.

mod copy;
mod count;
mod made;
mod news;
mod table;

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
    setsockopt, socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};

pub use copy::copy;
pub use count::{liberal, related};
pub use made::{Family, Made};
pub use news::{Lag, LagReport};
pub use table::{Difference, Table, set_timeouts};

use crate::cleanup;
use crate::error::{LabError, Result};
use crate::netns::Namespace;

/// The most states that all tables of this machine together are meant for; one value for all namespaces.
const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// The size of the hash in which all of them lie. The kernel makes both alike when it boots.
const BUCKETS: &str = "/proc/sys/net/netfilter/nf_conntrack_buckets";
/// ctnetlink among the subsystems of nfnetlink.
const SUBSYSTEM: u16 = 1 << 8;
/// Deletes an entry; all of them if none is named.
const DELETE: u16 = SUBSYSTEM | 2;
/// Deletes what a connection expects, likewise.
const EXPECTATION_DELETE: u16 = 2 << 8 | 2;
/// Makes an entry.
const NEW: u16 = SUBSYSTEM;
/// This is a request.
const REQUEST: u16 = 1;
/// Its end is to be told.
const WITH_ANSWER: u16 = 4;
/// It makes something that must not be there yet.
const CREATE: u16 = 0x400 | 0x200;
/// Marks an attribute that holds others.
const NESTED: u16 = 0x8000;
/// The family of IPv4.
const AF_INET: u8 = 2;
/// The family of IPv6.
const AF_INET6: u8 = 10;
/// TCP among the protocols of IP.
const TCP: u8 = 6;
/// The type of an answer that holds an error, 0 for none.
const ERROR: u16 = 2;
/// How long the kernel may take for an answer, in milliseconds.
const PATIENCE_MS: i64 = 5000;

/// How many entries a namespace has.
pub fn count(namespace: &Namespace) -> Result<u64> {
    namespace.sysctl_number("netfilter/nf_conntrack_count")
}

/// Forgets every connection of a namespace, as a reboot does.
pub fn flush(namespace: &Namespace) -> Result<()> {
    let all = message(DELETE, WITH_ANSWER, 0, &[]);
    let ask = || open().and_then(|socket| ask(&socket, &all));
    namespace.enter(ask)?.map_err(LabError::io("flush the table of connections"))
}

/// Forgets whatever connections expect.
pub fn forget_expectations(namespace: &Namespace) -> Result<()> {
    let all = message(EXPECTATION_DELETE, WITH_ANSWER, 0, &[]);
    let ask = || open().and_then(|socket| ask(&socket, &all));
    namespace.enter(ask)?.map_err(LabError::io("forget what connections expect"))
}

fn open() -> std::io::Result<OwnedFd> {
    let protocol = SockProtocol::NetlinkNetFilter;
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(PATIENCE_MS))?;
    Ok(socket)
}

/// Sends requests of which the last is to be answered; the first answer tells, as only errors come before.
fn ask(socket: &OwnedFd, requests: &[u8]) -> std::io::Result<()> {
    sendto(socket.as_raw_fd(), requests, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 512];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let odd = || std::io::Error::other("ctnetlink gave an odd answer");
    let kind: [u8; 2] = answer[4..6].try_into().map_err(|_| odd())?;
    let code: [u8; 4] = answer[16..20].try_into().map_err(|_| odd())?;
    if length < 20 || u16::from_ne_bytes(kind) != ERROR {
        return Err(odd());
    }
    match i32::from_ne_bytes(code) {
        0 => Ok(()),
        code => Err(std::io::Error::from_raw_os_error(-code)),
    }
}

/// A request of nfnetlink, version 0.
fn message(kind: u16, flags: u16, family: u8, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(20 + body.len());
    let length = u32::try_from(20 + body.len()).unwrap_or(u32::MAX);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST | flags).to_ne_bytes());
    message.extend([0; 8]); // sequence and port
    message.extend([family, 0, 0, 0]);
    message.extend(body);
    message
}

/// An attribute, padded to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + value.len());
    bytes.extend(u16::try_from(4 + value.len()).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NESTED, &parts.concat())
}

/// Room for this many states on the whole machine, and a hash that fits; what was comes back at the end of the
/// lab. Fails if this process may not raise it.
pub fn make_room(states: u64) -> Result<()> {
    // What a lab that was killed has raised is not what was.
    cleanup::sweep();
    // Without it all is slower, and right.
    raise(BUCKETS, states)?;
    if raise(LIMIT, states)? {
        return Ok(());
    }
    Err(LabError::Usage("this process may not raise nf_conntrack_max".to_owned()))
}

fn raise(path: &str, number: u64) -> Result<bool> {
    let old = fs::read_to_string(path).map_err(LabError::io(format!("read {path}")))?;
    if old.trim().parse::<u64>().is_ok_and(|old| old == 0 || old >= number) {
        return Ok(true);
    }
    if fs::write(path, number.to_string()).is_err() {
        return Ok(false);
    }
    cleanup::restore_at_end(Path::new(path), old.trim());
    Ok(true)
}
