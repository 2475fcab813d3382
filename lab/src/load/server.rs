//! The echo at the far end: one thread for all connections.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::Shared;
use crate::error::{LabError, Result};

/// Events taken from the kernel at once.
const BATCH: usize = 64;
/// How long to wait before looking whether to stop, in milliseconds.
const PATIENCE_MS: u8 = 50;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// Bytes kept for a peer that does not read; then it is dropped.
const MAX_BACKLOG: usize = 1 << 20;
/// The mark of the listener among the events.
const LISTENER: u64 = u64::MAX;

/// The echo and its connections.
pub struct Server {
    listener: TcpListener,
    epoll: Epoll,
    shared: Arc<Shared>,
    connections: BTreeMap<u64, (TcpStream, Vec<u8>)>,
}

impl Server {
    /// An echo on a listener.
    pub fn new(listener: TcpListener, shared: Arc<Shared>) -> Result<Self> {
        listener.set_nonblocking(true).map_err(LabError::io("prepare the echo"))?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .and_then(|epoll| {
                epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
                Ok(epoll)
            })
            .map_err(|errno| LabError::io("prepare the echo")(errno.into()))?;
        Ok(Self { listener, epoll, shared, connections: BTreeMap::new() })
    }

    /// Answers until told to stop.
    pub fn run(mut self) {
        let mut events = [EpollEvent::empty(); BATCH];
        while !self.shared.stop.load(Ordering::Relaxed) {
            let count = self.epoll.wait(&mut events, EpollTimeout::from(PATIENCE_MS)).unwrap_or(0);
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept(),
                    key => {
                        if !self.serve(key) {
                            // Closing the descriptor also takes it out of the epoll set.
                            self.connections.remove(&key);
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let key = u64::from(stream.as_raw_fd().unsigned_abs());
            let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            let ready = stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok();
            if ready && self.epoll.add(&stream, EpollEvent::new(interest, key)).is_ok() {
                self.connections.insert(key, (stream, Vec::new()));
            }
        }
    }

    /// Reads all there is and sends it back; false when the connection is over.
    fn serve(&mut self, key: u64) -> bool {
        let Some((stream, backlog)) = self.connections.get_mut(&key) else { return true };
        let mut chunk = [0; CHUNK];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(length) => backlog.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
            if backlog.len() > MAX_BACKLOG {
                return false;
            }
        }
        while !backlog.is_empty() {
            match stream.write(backlog) {
                Ok(length) => drop(backlog.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}
