//! Watches what the ends of the wiring see: resets of TCP on both, and pings as they come to the server.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::errno::Errno;
use nix::libc::sock_filter;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
    sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::clock;
use crate::error::{LabError, Result};
use crate::netns::Namespace;
use crate::sys::{attach_filter, link_address, program};
use crate::topology::{Segment, Topology};

/// The most frames that are looked at on one end.
const MAX_FRAMES: usize = 100_000;
/// How long to wait for a frame before looking whether to stop, in milliseconds.
const PATIENCE_MS: i64 = 20;
/// Room for the headers; the rest of a frame does not matter.
const ROOM: usize = 128;
/// Where the header of IP begins.
const IP: usize = 14;
/// Where that of TCP or ICMP begins behind the header of IPv6.
const BEHIND_IPV6: usize = IP + 40;
/// The flag of TCP.
const RST: u32 = 0x04;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    /// Resets on the client's interface, sent or received.
    pub client_resets: usize,
    /// Resets on the server's interface.
    pub server_resets: usize,
    /// Identifiers of pings at the server, and when each was first seen.
    pub pings: BTreeMap<u16, Instant>,
}

impl Sightings {
    /// Resets on both ends; one that crosses the gateway counts twice.
    pub fn resets(&self) -> usize {
        self.client_resets + self.server_resets
    }
}

/// Watchers under way on both ends.
pub struct Wire {
    stop: Arc<AtomicBool>,
    client: JoinHandle<Seen>,
    server: JoinHandle<Seen>,
}

#[derive(Default)]
struct Seen {
    resets: usize,
    pings: BTreeMap<u16, Instant>,
}

impl Wire {
    /// Starts watching.
    pub fn start(topology: &Topology) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let watch = |namespace: &Namespace, segment| {
            let socket = open(namespace, segment)?;
            let stop = Arc::clone(&stop);
            Ok::<_, LabError>(std::thread::spawn(move || listen(&socket, &stop)))
        };
        let client = watch(&topology.client, Segment::Lan)?;
        let server = watch(&topology.server, Segment::Wan)?;
        Ok(Self { stop, client, server })
    }

    /// Stops watching.
    pub fn stop(self) -> Sightings {
        self.stop.store(true, Ordering::Relaxed);
        let client = self.client.join().unwrap_or_default();
        let server = self.server.join().unwrap_or_default();
        Sightings {
            client_resets: client.resets,
            server_resets: server.resets,
            pings: server.pings,
        }
    }
}

fn open(namespace: &Namespace, segment: Segment) -> Result<OwnedFd> {
    namespace
        .enter(|| {
            let index = nix::net::if_::if_nametoindex(segment.name())?;
            let address = link_address(index).ok_or(Errno::EINVAL)?;
            // Without a protocol nothing is heard before the filter is in place.
            let none = None::<SockProtocol>;
            let flags = SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, none)?;
            attach_filter(&socket, &resets_and_pings())?;
            setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(PATIENCE_MS))?;
            bind(socket.as_raw_fd(), &address)?;
            Ok(socket)
        })?
        .map_err(|errno: Errno| LabError::io("open a packet socket with a filter")(errno.into()))
}

fn listen(socket: &OwnedFd, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut room = [0; ROOM];
    let mut frames = 0;
    while !stop.load(Ordering::Relaxed) && frames < MAX_FRAMES {
        if let Ok(length) = recv(socket.as_raw_fd(), &mut room, MsgFlags::empty()) {
            frames += 1;
            match ping(&room[..length]) {
                Some(identifier) => drop(seen.pings.entry(identifier).or_insert_with(clock::now)),
                None => seen.resets += 1,
            }
        }
    }
    seen
}

/// The identifier of a ping; none of a frame that is none.
fn ping(frame: &[u8]) -> Option<u16> {
    let ipv4 = frame.get(12..14)? == [0x08, 0x00];
    let (protocol, wanted) = if ipv4 { (IP + 9, 1) } else { (IP + 6, 58) };
    let header = match frame.get(IP)? {
        first if ipv4 => IP + usize::from(first & 0x0f) * 4,
        _ => BEHIND_IPV6,
    };
    let identifier = frame.get(header + 4..header + 6)?;
    (*frame.get(protocol)? == wanted)
        .then(|| u16::from(identifier[0]) << 8 | u16::from(identifier[1]))
}

/// Lets resets of TCP and echo requests pass, of IPv4 and IPv6.
fn resets_and_pings() -> Vec<sock_filter> {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_BYTE_INDEXED: u16 = 0x50;
    const INDEX_IPV4_HEADER: u16 = 0xb1;
    const IF_EQUAL: u16 = 0x15;
    const IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    // Code, lines to skip if so, if not, and the value; line 20 accepts, line 21 does not.
    program([
        (LOAD_HALF, 0, 0, 12),
        (IF_EQUAL, 0, 10, 0x0800),
        (LOAD_HALF, 0, 0, at(IP + 6)),
        (IF_SET, 17, 0, 0x1fff), // a later fragment has no header to look at
        (INDEX_IPV4_HEADER, 0, 0, at(IP)),
        (LOAD_BYTE, 0, 0, at(IP + 9)),
        (IF_EQUAL, 0, 2, 6),
        (LOAD_BYTE_INDEXED, 0, 0, at(IP + 13)),
        (IF_SET, 11, 12, RST),
        (IF_EQUAL, 0, 11, 1),
        (LOAD_BYTE_INDEXED, 0, 0, at(IP)),
        (IF_EQUAL, 8, 9, 8),
        (IF_EQUAL, 0, 8, 0x86dd),
        (LOAD_BYTE, 0, 0, at(IP + 6)),
        (IF_EQUAL, 0, 2, 6),
        (LOAD_BYTE, 0, 0, at(BEHIND_IPV6 + 13)),
        (IF_SET, 3, 4, RST),
        (IF_EQUAL, 0, 3, 58),
        (LOAD_BYTE, 0, 0, at(BEHIND_IPV6)),
        (IF_EQUAL, 0, 1, 128),
        (RETURN, 0, 0, 0xffff),
        (RETURN, 0, 0, 0),
    ])
}
