//! The near end: sends a patterned chunk on each connection in turn and checks what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{LoadReport, Shared, pattern};
use crate::clock;
use crate::error::{LabError, Result};

/// Time between two ticks; at each, one group of connections speaks.
const TICK: Duration = Duration::from_millis(10);
/// Bytes sent at once on a connection.
const CHUNK: usize = 48;
/// A connection with more bytes under way than this waits.
const MAX_UNDER_WAY: u64 = 64 * 1024;
/// How long connections have at the end to get everything back: several retransmissions of TCP.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);
/// Events taken from the kernel at once.
const BATCH: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Alive,
    Reset,
    Closed,
    Corrupted,
}

struct Connection {
    stream: TcpStream,
    sent: u64,
    checked: u64,
    /// The mark at which it last counted as having spoken.
    mark: u64,
    fate: Fate,
}

/// All connections of a load.
pub struct Client {
    epoll: Epoll,
    connections: Vec<Connection>,
    /// Connections speak in this many groups.
    groups: usize,
    shared: Arc<Shared>,
}

impl Client {
    /// Takes over connected streams, each of which shall speak once in `every`.
    pub fn new(streams: Vec<TcpStream>, every: Duration, shared: Arc<Shared>) -> Result<Self> {
        let failed = |errno: nix::errno::Errno| LabError::io("prepare the load")(errno.into());
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed)?;
        for (index, stream) in streams.iter().enumerate() {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
            epoll.add(stream, event).map_err(failed)?;
        }
        let fresh = |stream| Connection { stream, sent: 0, checked: 0, mark: 0, fate: Fate::Alive };
        let groups = every.as_millis().div_ceil(TICK.as_millis()).max(1);
        let groups = usize::try_from(groups).unwrap_or(usize::MAX);
        let connections = streams.into_iter().map(fresh).collect();
        Ok(Self { epoll, connections, groups, shared })
    }

    /// Talks until told to drain, then waits for the rest and reports.
    pub fn run(mut self) -> LoadReport {
        let mut group = 0;
        let mut due = clock::now();
        while !self.shared.drain.load(Ordering::Relaxed) {
            self.send(group, self.groups);
            group = (group + 1) % self.groups;
            due = (due + TICK).max(clock::now());
            self.receive_until(due);
        }
        self.send(0, 1);
        let limit = clock::now() + DRAIN_LIMIT;
        while clock::now() < limit
            && !self.shared.stop.load(Ordering::Relaxed)
            && self.connections.iter().any(Connection::waits)
        {
            self.receive_until(clock::now() + TICK);
        }
        self.report()
    }

    /// Sends a chunk on every `step`th connection from `first` on.
    fn send(&mut self, first: usize, step: usize) {
        for (index, connection) in self.connections.iter_mut().enumerate().skip(first).step_by(step)
        {
            if connection.fate == Fate::Alive
                && connection.sent - connection.checked < MAX_UNDER_WAY
            {
                connection.send(index);
            }
        }
    }

    fn receive_until(&mut self, due: Instant) {
        let mut events = [EpollEvent::empty(); BATCH];
        loop {
            let left = due.saturating_duration_since(clock::now());
            let patience = EpollTimeout::try_from(left).unwrap_or(EpollTimeout::ZERO);
            let count = self.epoll.wait(&mut events, patience).unwrap_or(0);
            for event in &events[..count] {
                self.receive(event.data());
            }
            if clock::now() >= due || left.is_zero() {
                return;
            }
            if count == 0 && left < Duration::from_millis(1) {
                // epoll counts whole milliseconds; without this the rest would be spent spinning.
                clock::sleep(left);
            }
        }
    }

    fn receive(&mut self, key: u64) {
        let Ok(index) = usize::try_from(key) else { return };
        let Some(connection) = self.connections.get_mut(index) else { return };
        let before = connection.checked;
        connection.receive(index);
        self.shared.bytes.fetch_add(connection.checked - before, Ordering::Relaxed);
        let mark = self.shared.marks.load(Ordering::Relaxed);
        if connection.checked > before && connection.mark != mark {
            connection.mark = mark;
            self.shared.spoken.fetch_add(1, Ordering::Relaxed);
        }
        if connection.fate != Fate::Alive {
            // A dead descriptor would wake us for ever.
            let _ = self.epoll.delete(&connection.stream);
            self.shared.alive.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn report(&self) -> LoadReport {
        let count = |fate| self.connections.iter().filter(|one| one.fate == fate).count();
        let stalled = self.connections.iter().filter(|one| one.waits()).count();
        LoadReport {
            opened: self.connections.len(),
            alive: count(Fate::Alive) - stalled,
            resets: count(Fate::Reset),
            closed: count(Fate::Closed),
            corrupted: count(Fate::Corrupted),
            stalled,
            bytes_checked: self.connections.iter().map(|one| one.checked).sum(),
            ..LoadReport::default()
        }
    }
}

impl Connection {
    fn waits(&self) -> bool {
        self.fate == Fate::Alive && self.checked < self.sent
    }

    fn send(&mut self, index: usize) {
        let mut chunk = [0; CHUNK];
        for (offset, byte) in (self.sent..).zip(&mut chunk) {
            *byte = pattern(index, offset);
        }
        match self.stream.write(&chunk) {
            Ok(length) => self.sent += length as u64,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // The reading side tells what became of the connection, and counts it once.
            Err(_) => {}
        }
    }

    fn receive(&mut self, index: usize) {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => self.fate = Fate::Closed,
                Ok(length) => {
                    let expected = (self.checked..).map(|offset| pattern(index, offset));
                    if chunk[..length].iter().copied().ne(expected.take(length)) {
                        self.fate = Fate::Corrupted;
                    } else {
                        self.checked += length as u64;
                        continue;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => self.fate = Fate::Reset,
            }
            return;
        }
    }
}
