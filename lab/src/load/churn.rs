//! Connections that come and go: each opens, exchanges one chunk, stays for a while and closes.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{SockFlag, SockProtocol, SockType, SockaddrStorage, connect, socket};

use super::open::family;
use super::{Shared, pattern};
use crate::clock;
use crate::error::{LabError, Result};

/// Bytes that a connection exchanges.
const CHUNK: usize = 48;
/// From the start to the end, beyond the time that it is held: two lost packets that open a connection.
const LIMIT: Duration = Duration::from_secs(8);
/// Events taken from the kernel at once.
const BATCH: usize = 256;
/// How long to wait for events, in milliseconds.
const TICK_MS: u8 = 2;

/// How fast connections come, and when they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChurnPlan {
    /// New connections a second.
    pub per_second: u32,
    /// How long each stays open after its exchange.
    pub hold: Duration,
    /// How many ports of the server they take in turn, 1 to 64: the more, the longer none comes back.
    pub ports: u16,
}

/// How they fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChurnReport {
    /// Begun.
    pub started: u64,
    /// Opened, exchanged and closed in order, with every byte right.
    pub completed: u64,
    /// Refused, reset or closed too early.
    pub broken: u64,
    /// Got a wrong byte.
    pub corrupted: u64,
    /// Not done within 8 s beyond the time they are held.
    pub late: u64,
    /// The longest time from the start to the end of one that was completed.
    pub slowest: Duration,
}

impl ChurnReport {
    /// Those that failed, for whatever reason.
    pub fn failed(&self) -> u64 {
        self.started - self.completed
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Exchanging,
    Held,
    Closing,
}

enum End {
    Completed,
    Broken,
    Corrupted,
}

struct Connection {
    stream: TcpStream,
    started: Instant,
    stage: Stage,
    checked: usize,
}

/// All of them.
pub struct Churn {
    plan: ChurnPlan,
    targets: Vec<SocketAddr>,
    epoll: Epoll,
    shared: Arc<Shared>,
    living: BTreeMap<u64, Connection>,
    /// Those that are held, and until when, in order.
    held: VecDeque<(Instant, u64)>,
    /// All, and until when they must be done, in order.
    limits: VecDeque<(Instant, u64)>,
    report: ChurnReport,
}

impl Churn {
    /// Nothing begun yet; the targets are taken in turn.
    pub fn new(plan: ChurnPlan, targets: Vec<SocketAddr>, shared: Arc<Shared>) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(|errno| LabError::io("prepare the churn")(errno.into()))?;
        Ok(Self {
            plan,
            targets,
            epoll,
            shared,
            living: BTreeMap::new(),
            held: VecDeque::new(),
            limits: VecDeque::new(),
            report: ChurnReport::default(),
        })
    }

    /// Begins connections until told to drain, then waits for the rest; in the client's namespace.
    pub fn run(mut self) -> ChurnReport {
        let start = clock::now();
        let mut begun = 0.0;
        while !self.shared.drain.load(Ordering::Relaxed) {
            let due = start.elapsed().as_secs_f64() * f64::from(self.plan.per_second);
            // After a pause of this machine there is no burst to catch up.
            begun = f64::max(begun, due - f64::from(self.plan.per_second) / 10.0);
            while begun < due {
                self.begin();
                begun += 1.0;
            }
            self.step();
        }
        while !self.living.is_empty() && !self.shared.stop.load(Ordering::Relaxed) {
            self.step();
        }
        self.report
    }

    fn begin(&mut self) {
        let key = self.report.started;
        self.report.started += 1;
        self.shared.begun.fetch_add(1, Ordering::Relaxed);
        let turn = usize::try_from(key).unwrap_or(0) % self.targets.len().max(1);
        let Some(target) = self.targets.get(turn).copied() else { return };
        match self.open(key, target) {
            Ok(stream) => {
                let started = clock::now();
                let stage = Stage::Opening;
                self.living.insert(key, Connection { stream, started, stage, checked: 0 });
                self.limits.push_back((started + self.plan.hold + LIMIT, key));
            }
            Err(_) => self.report.broken += 1,
        }
    }

    fn open(&self, key: u64, target: SocketAddr) -> nix::Result<TcpStream> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = None::<SockProtocol>;
        let socket = socket(family(target.ip()), SockType::Stream, flags, protocol)?;
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(target)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        self.epoll.add(&socket, EpollEvent::new(interest, key))?;
        Ok(TcpStream::from(socket))
    }

    /// Waits a moment and does what is due.
    fn step(&mut self) {
        let mut events = [EpollEvent::empty(); BATCH];
        let count = self.epoll.wait(&mut events, EpollTimeout::from(TICK_MS)).unwrap_or(0);
        for event in &events[..count] {
            self.advance(event.data());
        }
        let now = clock::now();
        while let Some((until, key)) = self.held.front().copied()
            && until <= now
        {
            self.held.pop_front();
            if let Some(connection) = self.living.get_mut(&key) {
                connection.close();
            }
            self.advance(key);
        }
        while let Some((until, key)) = self.limits.front().copied()
            && until <= now
        {
            self.limits.pop_front();
            self.report.late += u64::from(self.living.remove(&key).is_some());
        }
    }

    fn advance(&mut self, key: u64) {
        let Some(connection) = self.living.get_mut(&key) else { return };
        let before = connection.stage;
        let end = connection.advance(key);
        if before != Stage::Held && connection.stage == Stage::Held {
            self.held.push_back((clock::now() + self.plan.hold, key));
        }
        let Some(end) = end else { return };
        let took = connection.started.elapsed();
        self.living.remove(&key);
        match end {
            End::Completed => {
                self.report.completed += 1;
                self.report.slowest = self.report.slowest.max(took);
            }
            End::Broken => self.report.broken += 1,
            End::Corrupted => self.report.corrupted += 1,
        }
    }
}

impl Connection {
    fn close(&mut self) {
        self.stage = Stage::Closing;
        // If it is broken already, the reading side tells.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Goes as far as it can; gives how it ended, if it did.
    fn advance(&mut self, key: u64) -> Option<End> {
        let number = usize::try_from(key).unwrap_or(0);
        if self.stage == Stage::Opening {
            let mut chunk = [0; CHUNK];
            (0..).zip(&mut chunk).for_each(|(offset, byte)| *byte = pattern(number, offset));
            match self.stream.write(&chunk) {
                Ok(CHUNK) => self.stage = Stage::Exchanging,
                // Not open yet.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                _ => return Some(End::Broken),
            }
        }
        let mut room = [0; CHUNK * 2];
        loop {
            match self.stream.read(&mut room) {
                Ok(0) if self.stage == Stage::Closing => return Some(End::Completed),
                Ok(0) => return Some(End::Broken),
                Ok(length) => {
                    let expected = (self.checked as u64..).map(|offset| pattern(number, offset));
                    if room[..length].iter().copied().ne(expected.take(length)) {
                        return Some(End::Corrupted);
                    }
                    self.checked += length;
                    if self.checked >= CHUNK {
                        self.stage = Stage::Held;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Some(End::Broken),
            }
        }
    }
}
