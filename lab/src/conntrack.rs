//! The kernel's table of connections, by ctnetlink and by its variables.

mod copy;

use std::fs;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
    setsockopt, socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};

pub use copy::{copy, liberal, related};

use crate::cleanup;
use crate::error::{LabError, Result};
use crate::netns::Namespace;

/// The most states that all tables of this machine together are meant for; one value for all namespaces.
const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
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
/// Entries made by one call.
const AT_ONCE: u32 = 100;
/// Connections of one address of those that are made.
const PORTS: u32 = 50_000;
/// How long made connections live, in seconds.
const LIFETIME_S: u32 = 3600;
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

/// Makes established connections of TCP by number, each number another pair of addresses and ports.
pub fn create(namespace: &Namespace, numbers: Range<u32>) -> Result<()> {
    let make = || {
        let socket = open()?;
        for first in numbers.clone().step_by(AT_ONCE as usize) {
            let last = numbers.end.min(first + AT_ONCE);
            let mut request = Vec::new();
            for number in first..last {
                let answer = if number + 1 == last { WITH_ANSWER } else { 0 };
                request.extend(message(NEW, CREATE | answer, AF_INET, &connection(number)));
            }
            ask(&socket, &request)?;
        }
        Ok(())
    };
    namespace.enter(make)?.map_err(LabError::io("make states of connections"))
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

/// The attributes of an established connection, in the numbers of nfnetlink_conntrack.h.
fn connection(number: u32) -> Vec<u8> {
    let [_, _, high, low] = (number / PORTS).to_be_bytes();
    let port = u16::try_from(10_000 + number % PORTS).unwrap_or(0);
    let (client, server) = (([10, 100, high, low], port), ([10, 92, 0, 10], 443_u16));
    let tuple = |kind, from: ([u8; 4], u16), to: ([u8; 4], u16)| {
        let addresses = nested(1, &[attribute(1, &from.0), attribute(2, &to.0)]);
        let ports = [attribute(2, &from.1.to_be_bytes()), attribute(3, &to.1.to_be_bytes())];
        nested(kind, &[addresses, nested(2, &[attribute(1, &[6]), ports.concat()])])
    };
    let seen_reply_assured_confirmed = attribute(3, &0x0e_u32.to_be_bytes());
    let established = nested(4, &[nested(1, &[attribute(1, &[3])])]);
    let timeout = attribute(7, &LIFETIME_S.to_be_bytes());
    let tuples = [tuple(1, client, server), tuple(2, server, client)];
    [tuples.concat(), seen_reply_assured_confirmed, established, timeout].concat()
}

/// Room for this many states on the whole machine; the old limit comes back at the end of the lab. Gives false if
/// this process may not raise it.
pub fn make_room(states: u64) -> Result<bool> {
    let path = Path::new(LIMIT);
    let old = fs::read_to_string(path).map_err(LabError::io(format!("read {LIMIT}")))?;
    if old.trim().parse::<u64>().is_ok_and(|old| old == 0 || old >= states) {
        return Ok(true);
    }
    if fs::write(path, states.to_string()).is_err() {
        return Ok(false);
    }
    cleanup::restore_at_end(path, old.trim());
    Ok(true)
}
