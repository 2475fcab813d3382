//! Hears adverts on several interfaces, with the kernel's time of each.

use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeSpec, TimeVal, TimeValLike};

use crate::error::{LabError, Result};
use crate::netns::Namespace;
use crate::sys::link_address;

/// How long to wait for a frame before looking whether to stop, in milliseconds.
const PATIENCE_MS: i64 = 20;
/// Room for an advert with few addresses; the rest does not matter.
const ROOM: usize = 128;
/// Where the header of IPv4 begins.
const IP: usize = 14;
/// The protocol number of VRRP.
const VRRP: u8 = 112;
/// Bytes that wait for the listener: a thousand routers may send at once.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// What was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// How many adverts.
    pub adverts: u64,
    /// The longest time between two adverts of one router.
    pub worst_gap: Duration,
}

/// The routers by interface and number: when each was heard last.
#[derive(Debug, Default)]
struct Record {
    last: BTreeMap<(usize, u8), Duration>,
    heard: Heard,
}

impl Record {
    fn hear(&mut self, interface: usize, vrid: u8, at: Duration) {
        self.heard.adverts += 1;
        if let Some(last) = self.last.insert((interface, vrid), at) {
            self.heard.worst_gap = self.heard.worst_gap.max(at.saturating_sub(last));
        }
    }
}

/// Listeners under way, one for each interface.
pub struct Ears {
    stop: Arc<AtomicBool>,
    record: Arc<Mutex<Record>>,
    threads: Vec<JoinHandle<()>>,
}

impl Ears {
    /// Starts listening.
    pub fn open(namespace: &Namespace, interfaces: &[String]) -> Result<Ears> {
        let mut ears = Ears { stop: Arc::default(), record: Arc::default(), threads: Vec::new() };
        for (number, interface) in interfaces.iter().enumerate() {
            let socket = namespace.enter(|| open(interface))?;
            let socket = socket
                .map_err(|errno| LabError::io("open a packet socket for adverts")(errno.into()))?;
            let (stop, record) = (Arc::clone(&ears.stop), Arc::clone(&ears.record));
            ears.threads.push(std::thread::spawn(move || listen(&socket, number, &stop, &record)));
        }
        Ok(ears)
    }

    /// How many routers were heard so far.
    pub fn senders(&self) -> usize {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).last.len()
    }

    /// Counts from here on; a gap that has begun already counts whole.
    pub fn forget(&mut self) {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).heard = Heard::default();
    }

    /// What was heard since [`Ears::forget`].
    pub fn heard(&self) -> Heard {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).heard
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn open(interface: &str) -> nix::Result<OwnedFd> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    let address = link_address(index).ok_or(Errno::EINVAL)?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
    setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(PATIENCE_MS))?;
    bind(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

fn listen(socket: &OwnedFd, interface: usize, stop: &AtomicBool, record: &Mutex<Record>) {
    let mut room = [0; ROOM];
    let mut control = cmsg_space!(TimeSpec);
    while !stop.load(Ordering::Relaxed) {
        let heard = receive(socket, &mut room, &mut control);
        if let Some((vrid, at)) = heard {
            record.lock().unwrap_or_else(PoisonError::into_inner).hear(interface, vrid, at);
        }
    }
}

/// The next advert and when it came, by the kernel's clock.
fn receive(socket: &OwnedFd, room: &mut [u8], control: &mut [u8]) -> Option<(u8, Duration)> {
    let (length, at) = {
        let mut slices = [IoSliceMut::new(room)];
        let flags = MsgFlags::empty();
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(control), flags).ok()?;
        let stamp = message.cmsgs().ok()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        });
        (message.bytes, stamp?)
    };
    vrid(room.get(..length)?).map(|vrid| (vrid, at))
}

/// The number of the router whose advert a frame is.
fn vrid(frame: &[u8]) -> Option<u8> {
    let is_advert = frame.get(12..IP)? == [0x08, 0x00] && *frame.get(IP + 9)? == VRRP;
    let behind = IP + usize::from(frame.get(IP)? & 0x0f) * 4;
    frame.get(behind + 1).copied().filter(|_| is_advert)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_gap_is_that_of_one_router() {
        let mut record = Record::default();
        let ms = Duration::from_millis;
        for (vrid, at) in [(1, 0), (2, 400), (1, 1000), (2, 1900), (1, 2010)] {
            record.hear(0, vrid, ms(at));
        }
        assert_eq!(record.heard, Heard { adverts: 5, worst_gap: ms(1500) });
    }

    #[test]
    fn the_number_is_found_behind_the_header_of_ipv4() {
        let mut frame = vec![0; 60];
        frame[12] = 0x08;
        frame[IP] = 0x46;
        frame[IP + 9] = VRRP;
        frame[IP + 24 + 1] = 51;
        assert_eq!(vrid(&frame), Some(51));
        frame[IP + 9] = 17;
        assert_eq!(vrid(&frame), None);
        assert_eq!(vrid(&frame[..20]), None);
    }
}
