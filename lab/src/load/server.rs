//! The echo at the far end: one thread for all connections.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::Shared;
use crate::clock;
use crate::error::{LabError, Result};

/// Events taken from the kernel at once.
const BATCH: usize = 64;
/// How long to wait before looking whether to stop, in milliseconds.
const PATIENCE_MS: u8 = 50;
/// The same while somebody waits for a late answer.
const LAG_PATIENCE_MS: u8 = 10;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// Bytes kept for a peer that does not read; then it is dropped.
const MAX_BACKLOG: usize = 1 << 20;
/// The marks of listeners among the events begin here.
const LISTENERS: u64 = 1 << 32;

/// Listens on consecutive ports of the calling thread's namespace.
pub fn listen(first: u16, count: u16) -> Result<Vec<TcpListener>> {
    let ports = first..first.saturating_add(count);
    let open = |port| TcpListener::bind(("::", port));
    ports.map(open).collect::<std::io::Result<_>>().map_err(LabError::io("listen in the server"))
}

/// The echo and its connections.
pub struct Server {
    listeners: Vec<TcpListener>,
    epoll: Epoll,
    shared: Arc<Shared>,
    connections: BTreeMap<u64, Connection>,
    /// How long the first listener's connections wait for an answer.
    lag: Duration,
    /// Who is to be answered when, in order.
    due: VecDeque<(Instant, u64)>,
}

struct Connection {
    stream: TcpStream,
    backlog: Vec<u8>,
    lags: bool,
}

impl Server {
    /// An echo on some listeners.
    pub fn new(listeners: Vec<TcpListener>, lag: Duration, shared: Arc<Shared>) -> Result<Self> {
        let failed = |errno: nix::errno::Errno| LabError::io("prepare the echo")(errno.into());
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed)?;
        for (mark, listener) in (LISTENERS..).zip(&listeners) {
            listener.set_nonblocking(true).map_err(LabError::io("prepare the echo"))?;
            epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, mark)).map_err(failed)?;
        }
        let (connections, due) = (BTreeMap::new(), VecDeque::new());
        Ok(Self { listeners, epoll, shared, connections, lag, due })
    }

    /// Answers until told to stop.
    pub fn run(mut self) {
        let mut events = [EpollEvent::empty(); BATCH];
        while !self.shared.stop.load(Ordering::Relaxed) {
            let patience = if self.due.is_empty() { PATIENCE_MS } else { LAG_PATIENCE_MS };
            let count = self.epoll.wait(&mut events, EpollTimeout::from(patience)).unwrap_or(0);
            for event in &events[..count] {
                match event.data() {
                    mark @ LISTENERS.. => self.accept(mark - LISTENERS),
                    key => {
                        if !self.serve(key, false) {
                            // Closing the descriptor also takes it out of the epoll set.
                            self.connections.remove(&key);
                        }
                    }
                }
            }
            self.answer_late();
        }
    }

    /// Answers those whose time has come.
    fn answer_late(&mut self) {
        let now = clock::now();
        while let Some((_, key)) = self.due.pop_front_if(|(due, _)| *due <= now) {
            if !self.serve(key, true) {
                self.connections.remove(&key);
            }
        }
    }

    fn accept(&mut self, listener: u64) {
        let lags = listener == 0 && !self.lag.is_zero();
        let Some(listener) = usize::try_from(listener).ok().and_then(|at| self.listeners.get(at))
        else {
            return;
        };
        while let Ok((stream, from)) = listener.accept() {
            let mut seen = self.shared.seen_from.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(from.ip().to_canonical());
            drop(seen);
            let key = u64::from(stream.as_raw_fd().unsigned_abs());
            let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            let ready = stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok();
            if ready && self.epoll.add(&stream, EpollEvent::new(interest, key)).is_ok() {
                self.connections.insert(key, Connection { stream, backlog: Vec::new(), lags });
            }
        }
    }

    /// Reads all there is and sends it back, now or later; false when the connection is over.
    fn serve(&mut self, key: u64, late: bool) -> bool {
        let Some(Connection { stream, backlog, lags }) = self.connections.get_mut(&key) else {
            return true;
        };
        let before = backlog.len();
        if !read(stream, backlog) {
            return false;
        }
        if *lags && !late {
            if backlog.len() > before {
                self.due.push_back((clock::now() + self.lag, key));
            }
            return true;
        }
        while !backlog.is_empty() {
            match stream.write(backlog) {
                Ok(length) => drop(backlog.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if *lags && !backlog.is_empty() {
            self.due.push_back((clock::now() + self.lag, key));
        }
        true
    }
}

/// Reads all there is; false when the connection is over or its backlog too long.
fn read(stream: &mut TcpStream, backlog: &mut Vec<u8>) -> bool {
    let mut chunk = [0; CHUNK];
    while backlog.len() <= MAX_BACKLOG {
        match stream.read(&mut chunk) {
            Ok(0) => return false,
            Ok(length) => backlog.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    false
}
