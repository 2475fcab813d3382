//! Records the frames that the switches carry to everybody, and sends them again.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::clock;
use crate::error::{LabError, Result};
use crate::netns::Namespace;
use crate::sys::link_address;
use crate::topology::{Segment, Topology};

/// The most frames that are recorded on one switch.
pub const MAX_FRAMES: usize = 100_000;
/// How long to wait for a frame before looking whether to stop, in milliseconds.
const PATIENCE_MS: i64 = 20;
/// Room for the longest frame of an Ethernet.
const FRAME_ROOM: usize = 2048;
/// Time between two frames that are sent again: faster than any daemon sends, slower than any buffer overflows.
const PACE: Duration = Duration::from_micros(100);

/// The protocol number of UDP.
const UDP: u8 = 17;

/// A frame as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The switch that carried it.
    pub segment: Segment,
    /// When, in microseconds since 1970 UTC.
    pub at_us: u64,
    /// All of it, from the destination on.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// Is this a datagram of IPv4 or IPv6 to this port?
    pub fn is_udp_to(&self, port: u16) -> bool {
        let header = self.udp().and_then(|(_, udp)| self.bytes.get(udp + 2..udp + 4));
        header == Some(&port.to_be_bytes()[..])
    }

    /// Where the IP addresses and the UDP header of a datagram begin; IP options are used by nobody in this lab.
    fn udp(&self) -> Option<(usize, usize)> {
        match self.ethernet_type() {
            0x0800 if self.bytes.get(23) == Some(&UDP) => Some((26, 34)),
            0x86dd if self.bytes.get(20) == Some(&UDP) => Some((22, 54)),
            _ => None,
        }
    }

    /// Completes the checksum of a datagram: between virtual interfaces the kernel leaves that to the receiver (RFC 768).
    fn complete(&mut self) {
        let Some((addresses, udp)) = self.udp() else { return };
        let length = self
            .bytes
            .get(udp + 4..udp + 6)
            .map_or(0, |b| usize::from(b[0]) << 8 | usize::from(b[1]));
        let end = udp + length;
        if length < 8 || end > self.bytes.len() {
            return;
        }
        self.bytes[udp + 6..udp + 8].fill(0);
        let words = self.bytes[addresses..end].chunks(2);
        let sum: u64 =
            words.map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |b| u64::from(*b))).sum();
        let mut sum = sum + u64::from(UDP) + length as u64;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // Zero would mean that there is none.
        let checksum = u16::try_from(sum ^ 0xffff).unwrap_or(0);
        let checksum = if checksum == 0 { 0xffff } else { checksum };
        self.bytes[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
    }

    /// Does this announce an IPv4 address: an ARP packet whose sender and target are the same?
    pub fn announces(&self, address: std::net::Ipv4Addr) -> bool {
        let octets = address.octets();
        self.ethernet_type() == 0x0806
            && self.bytes.get(28..32) == Some(&octets[..])
            && self.bytes.get(38..42) == Some(&octets[..])
    }

    fn ethernet_type(&self) -> u16 {
        let bytes = self.bytes.get(12..14).unwrap_or(&[0, 0]);
        u16::from(bytes[0]) << 8 | u16::from(bytes[1])
    }
}

/// A node on every switch that hears what goes to everybody.
pub struct Spy {
    namespace: Namespace,
    stop: Arc<AtomicBool>,
    listeners: Vec<JoinHandle<Vec<Frame>>>,
}

impl Spy {
    /// Plugs it in; one in a lab.
    pub fn plug_in(topology: &Topology) -> Result<Self> {
        let namespace = topology.add_spy()?;
        Ok(Self { namespace, stop: Arc::default(), listeners: Vec::new() })
    }

    /// Starts recording on every switch.
    pub fn record(&mut self) -> Result<()> {
        self.stop.store(false, Ordering::Relaxed);
        for segment in Segment::ALL {
            let socket = open(&self.namespace, segment)?;
            let stop = Arc::clone(&self.stop);
            self.listeners.push(std::thread::spawn(move || listen(&socket, segment, &stop)));
        }
        Ok(())
    }

    /// Stops recording; gives the frames in the order in which they were heard.
    pub fn take(&mut self) -> Vec<Frame> {
        self.stop.store(true, Ordering::Relaxed);
        let mut frames: Vec<Frame> =
            self.listeners.drain(..).flat_map(|one| one.join().unwrap_or_default()).collect();
        frames.sort_by_key(|frame| frame.at_us);
        frames
    }

    /// Sends frames again, each on its switch, byte for byte.
    pub fn replay(&self, frames: &[Frame]) -> Result<()> {
        for segment in Segment::ALL {
            let socket = open(&self.namespace, segment)?;
            for frame in frames.iter().filter(|frame| frame.segment == segment) {
                send(socket.as_raw_fd(), &frame.bytes, MsgFlags::empty())
                    .map_err(failed("send a frame again"))?;
                clock::sleep(PACE);
            }
        }
        Ok(())
    }
}

impl Drop for Spy {
    fn drop(&mut self) {
        drop(self.take());
    }
}

fn failed(doing: &'static str) -> impl Fn(Errno) -> LabError {
    move |errno| LabError::Io { doing: doing.to_owned(), source: errno.into() }
}

fn open(namespace: &Namespace, segment: Segment) -> Result<OwnedFd> {
    namespace
        .enter(|| {
            let index = nix::net::if_::if_nametoindex(segment.name())?;
            let address = link_address(index).ok_or(Errno::EINVAL)?;
            let flags = SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
            bind(socket.as_raw_fd(), &address)?;
            setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(PATIENCE_MS))?;
            Ok(socket)
        })?
        .map_err(failed("open a packet socket"))
}

fn listen(socket: &OwnedFd, segment: Segment, stop: &AtomicBool) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut room = [0; FRAME_ROOM];
    while !stop.load(Ordering::Relaxed) && frames.len() < MAX_FRAMES {
        if let Ok(length) = recv(socket.as_raw_fd(), &mut room, MsgFlags::empty()) {
            let bytes = room[..length].to_vec();
            let mut frame = Frame { segment, at_us: clock::wall_us(), bytes };
            frame.complete();
            frames.push(frame);
        }
    }
    frames
}

/// The protocol number of VRRP.
const VRRP: u8 = 112;

/// The longest time between two adverts on the client's segment, in microseconds.
pub fn advert_gap(frames: &[Frame]) -> u64 {
    let is_advert =
        |frame: &&Frame| frame.segment == Segment::Lan && frame.bytes.get(23) == Some(&VRRP);
    let times: Vec<u64> = frames.iter().filter(is_advert).map(|frame| frame.at_us).collect();
    let gaps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    if times.len() < 3 { u64::MAX } else { gaps.max().unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> Frame {
        Frame { segment: Segment::Lan, at_us: 0, bytes: bytes.to_vec() }
    }

    #[test]
    fn an_announcement_is_told_from_a_question() {
        let mut arp = vec![0; 42];
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        arp[28..32].copy_from_slice(&[10, 91, 0, 1]);
        arp[38..42].copy_from_slice(&[10, 91, 0, 1]);
        let address = std::net::Ipv4Addr::new(10, 91, 0, 1);
        assert!(frame(&arp).announces(address));
        arp[41] = 2;
        assert!(!frame(&arp).announces(address));
        assert!(!frame(&arp[..30]).announces(address));
    }

    #[test]
    fn a_heartbeat_is_found_by_its_port_in_both_families() {
        let mut four = vec![0; 60];
        four[12..14].copy_from_slice(&[0x08, 0x00]);
        four[23] = 17;
        four[36..38].copy_from_slice(&8747_u16.to_be_bytes());
        assert!(frame(&four).is_udp_to(8747));
        assert!(!frame(&four).is_udp_to(53));
        let mut six = vec![0; 80];
        six[12..14].copy_from_slice(&[0x86, 0xdd]);
        six[20] = 17;
        six[56..58].copy_from_slice(&8747_u16.to_be_bytes());
        assert!(frame(&six).is_udp_to(8747));
        assert!(!frame(&[]).is_udp_to(0));
    }
}
