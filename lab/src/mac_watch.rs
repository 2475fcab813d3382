//! Which gateway has sent frames from a virtual MAC address when: heard at the switches' ports, where what
//! one gateway sends comes in and nothing else.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt, socket,
    sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::clock;
use crate::error::{LabError, Result};
use crate::lab::Lab;
use crate::sys::link_address;
use crate::topology::{Gateway, Segment, port};

/// The most frames that are kept of one port.
const MAX_FRAMES: usize = 100_000;
/// How long to wait for a frame before looking whether to stop, in milliseconds.
const PATIENCE_MS: i64 = 20;
/// Room for the longest frame of an Ethernet.
const FRAME_ROOM: usize = 2048;
/// What the kernel calls a frame that leaves by an interface (`PACKET_OUTGOING`).
const OUTGOING: u8 = 4;
/// The first four bytes of every virtual MAC address (RFC 9568 section 7.3).
const VIRTUAL: [u8; 4] = [0x00, 0x00, 0x5e, 0x00];

/// A frame from a virtual MAC address.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Who has sent it.
    pub gateway: Gateway,
    /// Where.
    pub segment: Segment,
    /// When, in microseconds since 1970 UTC.
    pub at_us: u64,
    /// All of it, from the destination on.
    pub bytes: Vec<u8>,
}

impl Sent {
    /// The last two bytes of the address: family (1 for IPv4, 2 for IPv6) and virtual router.
    pub fn family_and_vrid(&self) -> (u8, u8) {
        (self.bytes[10], self.bytes[11])
    }

    /// Is it an advert of VRRP?
    pub fn is_advert(&self) -> bool {
        match self.bytes.get(12..14) {
            Some([0x08, 0x00]) => self.bytes.get(23) == Some(&112),
            Some([0x86, 0xdd]) => self.bytes.get(20) == Some(&112),
            _ => false,
        }
    }
}

impl std::fmt::Display for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { gateway, segment, at_us, bytes } = self;
        let start = &bytes[..bytes.len().min(64)];
        write!(f, "{gateway} on {segment} at {at_us} us: {start:02x?}")
    }
}

/// Listeners on all ports of the gateways, on the segments that have virtual routers.
pub struct MacWatch {
    stop: Arc<AtomicBool>,
    listeners: Vec<JoinHandle<Vec<Sent>>>,
}

impl MacWatch {
    /// Starts them.
    pub fn start(lab: &Lab) -> Result<Self> {
        let stop: Arc<AtomicBool> = Arc::default();
        let mut listeners = Vec::new();
        for gateway in lab.gateways() {
            for segment in [Segment::Lan, Segment::Wan] {
                let socket = open(lab, &port(gateway, segment))?;
                let stop = Arc::clone(&stop);
                listeners
                    .push(std::thread::spawn(move || listen(&socket, gateway, segment, &stop)));
            }
        }
        Ok(Self { stop, listeners })
    }

    /// Ends them; gives what was sent, in order.
    pub fn stop(mut self) -> Vec<Sent> {
        let mut sent = self.end();
        sent.sort_by_key(|frame| frame.at_us);
        sent
    }

    fn end(&mut self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        self.listeners.drain(..).flat_map(|one| one.join().unwrap_or_default()).collect()
    }
}

impl Drop for MacWatch {
    fn drop(&mut self) {
        drop(self.end());
    }
}

fn open(lab: &Lab, port: &str) -> Result<OwnedFd> {
    let opened = lab.topology.switch.enter(|| {
        let address = link_address(nix::net::if_::if_nametoindex(port)?).ok_or(Errno::EINVAL)?;
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
        bind(socket.as_raw_fd(), &address)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(PATIENCE_MS))?;
        Ok(socket)
    })?;
    let doing = format!("listen at {port}");
    opened.map_err(|errno: Errno| LabError::io(doing)(errno.into()))
}

fn listen(socket: &OwnedFd, gateway: Gateway, segment: Segment, stop: &AtomicBool) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut room = [0; FRAME_ROOM];
    while !stop.load(Ordering::Relaxed) && sent.len() < MAX_FRAMES {
        let Ok((length, Some(from))) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut room) else {
            continue;
        };
        if from.pkttype() != OUTGOING && room[6..10] == VIRTUAL && length >= 14 {
            let bytes = room[..length].to_vec();
            sent.push(Sent { gateway, segment, at_us: clock::wall_us(), bytes });
        }
    }
    sent
}
