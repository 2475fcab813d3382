//! How far a copy is behind: the same connection in the news of two kernels, each with its kernel's time.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::libc::{SKF_AD_NLATTR, SKF_AD_NLATTR_NEST, SKF_AD_OFF, sock_filter};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt::RcvBufForce, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::SUBSYSTEM;
use super::made::CLIENTS_V4;
use super::table::{attributes, head, tcp_state};
use crate::clock;
use crate::error::{LabError, Result};
use crate::netns::Namespace;
use crate::sys::{attach_filter, program};

/// The groups of what begins and of what changes.
const GROUPS: u32 = 0x1 | 0x2;
/// Where the attributes of a piece of news begin.
const BEHIND_HEADERS: u32 = 20;
/// Room for news in the kernel, in bytes.
const ROOM: usize = 64 << 20;
/// How long to wait for news before looking whether to stop, in milliseconds.
const PATIENCE_MS: i64 = 20;
/// The kernel's time of an event, in nanoseconds since 1970 (CTA_TIMESTAMP_EVENT).
const TIME: u16 = 27;
/// The kernel notes it only so.
const SWITCH: &str = "netfilter/nf_conntrack_timestamp";
/// An established connection of TCP.
const ESTABLISHED: u8 = 3;

/// When each connection was first established in a table, in nanoseconds since 1970.
#[derive(Default)]
struct Seen {
    at: BTreeMap<Box<[u8]>, u64>,
    /// How many times are the kernel's own.
    by_kernel: u64,
}

/// Listeners under way on an active node and on a standby.
pub struct Lag {
    stop: Arc<AtomicBool>,
    active: JoinHandle<Seen>,
    standby: JoinHandle<Seen>,
}

/// How far the standby was behind, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct LagReport {
    /// Of each connection that both had, the least first.
    pub lags_ms: Vec<f64>,
    /// Connections that were established on the active node only: born and gone before they were told.
    pub alone: usize,
    /// Is every time the kernel's own? Else some are those of the listener in the lab.
    pub exact: bool,
}

impl LagReport {
    /// The lag that so many of a hundred do not exceed.
    pub fn percentile(&self, percent: usize) -> Option<f64> {
        let most = self.lags_ms.len() * percent;
        self.lags_ms.get(most.div_ceil(100).saturating_sub(1)).copied()
    }
}

impl Lag {
    /// Lets the kernel of a namespace note times, for connections from now on.
    pub fn prepare(namespace: &Namespace) -> Result<()> {
        namespace.sysctl(SWITCH, "1")
    }

    /// Starts listening in both.
    pub fn start(active: &Namespace, standby: &Namespace) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let listen = |namespace: &Namespace| {
            let doing = || LabError::io(format!("listen to news in {}", namespace.name()));
            let socket = namespace.enter(subscribe)?.map_err(|errno| doing()(errno.into()))?;
            let stop = Arc::clone(&stop);
            Ok::<_, LabError>(std::thread::spawn(move || read(&socket, &stop)))
        };
        let standby = listen(standby)?;
        Ok(Self { active: listen(active)?, standby, stop })
    }

    /// Stops and compares.
    pub fn stop(self) -> LagReport {
        self.stop.store(true, Ordering::Relaxed);
        let active = self.active.join().unwrap_or_default();
        let standby = self.standby.join().unwrap_or_default();
        let mut report = LagReport {
            exact: active.by_kernel == active.at.len() as u64
                && standby.by_kernel == standby.at.len() as u64,
            ..LagReport::default()
        };
        for (tuple, at) in &active.at {
            match standby.at.get(tuple) {
                Some(copied) => report.lags_ms.push((*copied as f64 - *at as f64) / 1e6),
                None => report.alone += 1,
            }
        }
        report.lags_ms.sort_by(f64::total_cmp);
        report
    }
}

fn subscribe() -> nix::Result<OwnedFd> {
    let protocol = SockProtocol::NetlinkNetFilter;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(&socket, RcvBufForce, &ROOM)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(PATIENCE_MS))?;
    attach_filter(&socket, &without_made())?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(socket)
}

/// Lets pass what is not of connections that were made by hand: a million copies of them are news too, and to
/// read it would take the processor from those who are measured.
fn without_made() -> Vec<sock_filter> {
    const LOAD_NUMBER: u16 = 0x00;
    const LOAD_INDEX: u16 = 0x01;
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF_AT_INDEX: u16 = 0x48;
    const IF_EQUAL: u16 = 0x15;
    const INDEX: u16 = 0x07;
    const RETURN: u16 = 0x06;
    let find = (SKF_AD_OFF + SKF_AD_NLATTR).cast_unsigned();
    let find_within = (SKF_AD_OFF + SKF_AD_NLATTR_NEST).cast_unsigned();
    // Code, lines to skip if so, if not, and the value. CTA_TUPLE_ORIG, CTA_TUPLE_IP and CTA_IP_V4_SRC are 1 each.
    program([
        (LOAD_NUMBER, 0, 0, BEHIND_HEADERS),
        (LOAD_INDEX, 0, 0, 1),
        (LOAD_WORD, 0, 0, find),
        (IF_EQUAL, 9, 0, 0),
        (LOAD_WORD, 0, 0, find_within),
        (IF_EQUAL, 7, 0, 0),
        (LOAD_WORD, 0, 0, find_within),
        (IF_EQUAL, 5, 0, 0),
        (INDEX, 0, 0, 0),
        (LOAD_HALF_AT_INDEX, 0, 0, 4), // behind the attribute's own header
        (IF_EQUAL, 1, 0, u32::from(CLIENTS_V4)),
        (RETURN, 0, 0, u32::MAX),
        (RETURN, 0, 0, 0),
        (RETURN, 0, 0, u32::MAX),
    ])
}

fn read(socket: &OwnedFd, stop: &AtomicBool) -> Seen {
    // Else it would wait for everybody, and its own times would be late; where it may not, so be it.
    let _ = crate::sys::run_first();
    let mut seen = Seen::default();
    let mut room = vec![0; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        if let Ok(length) = recv(socket.as_raw_fd(), &mut room, MsgFlags::empty()) {
            take(&mut seen, &room[..length]);
        }
    }
    seen
}

fn take(seen: &mut Seen, bytes: &[u8]) {
    let Some((SUBSYSTEM, end)) = head(bytes) else { return };
    let Some(entry) = bytes.get(20..end) else { return };
    let whole = attributes(entry);
    let Some(tuple) = whole.get(&1) else { return };
    if tcp_state(&whole) != Some(ESTABLISHED) || seen.at.contains_key(*tuple) {
        return;
    }
    let time = whole.get(&TIME).and_then(|bytes| <[u8; 8]>::try_from(*bytes).ok());
    let time = time.map(u64::from_be_bytes).filter(|time| *time > 0);
    seen.by_kernel += u64::from(time.is_some());
    seen.at.insert((*tuple).into(), time.unwrap_or_else(|| clock::wall_us() * 1000));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_of_few_is_one_of_them() {
        let report = LagReport { lags_ms: vec![1.0, 2.0, 9.0], ..LagReport::default() };
        assert_eq!(report.percentile(50), Some(2.0));
        assert_eq!(report.percentile(99), Some(9.0));
        assert_eq!(LagReport::default().percentile(50), None);
    }
}
