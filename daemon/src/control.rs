//! The control socket: requests of `evergate`, one JSON value a line.
//!
//! ```text
//!   clients ─► thread control ─► a thread for each client ─┬─► journal         (events)
//!              accepts, bounded  reads, bounded in time    └─► node thread ─┐  (all else)
//!                                       ▲───────── reply ───────────────────┘
//! ```
//!
//! The node thread never waits for a client: requests reach it by a bounded queue and a bell, and
//! its answers by a queue with room for them. Whatever a client does (garbage, a line without end,
//! silence, a sudden end, thousands of connections) costs one of [`CONNECTIONS_MAX`] threads for a
//! bounded time.
mod client;
mod line;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};

use evergate_api::control::{ErrorCode, ErrorReply, Reply, Request};

use self::client::Client;
pub(crate) use self::socket::SocketFile;
use crate::observe::Journal;
use crate::sys::ready::{Bell, Poller, Ready};

/// The most requests that wait for the node thread.
pub const CALLS_MAX: usize = 32;
/// The most clients that are served at the same time.
pub const CONNECTIONS_MAX: usize = 32;
/// The most of them that may follow events, so that requests are always served.
pub const FOLLOWERS_MAX: usize = 16;
/// Permissions of the socket: its owner and group.
pub const SOCKET_MODE: u32 = 0o660;
/// The stack of a client's thread, in bytes: enough for the deepest JSON that serde_json reads.
const STACK_BYTES: usize = 512 * 1024;
/// How long nothing is accepted after the kernel has refused to, in milliseconds: out of descriptors.
const ACCEPT_PAUSE_MS: u16 = 100;

/// A request for the node thread and where its answer goes. The answer must be given by `try_send`:
/// there is room for it, and whoever asked may have gone.
#[derive(Debug)]
pub struct Call {
    /// What is asked; never `events`.
    pub request: Request,
    /// Takes one answer.
    pub reply: SyncSender<Reply>,
}

/// What the threads of the server share.
#[derive(Debug)]
struct Shared {
    calls: SyncSender<Call>,
    bell: Arc<Bell>,
    journal: Arc<Journal>,
    stopping: AtomicBool,
    clients: AtomicUsize,
    followers: AtomicUsize,
}

/// The control socket while it is served; dropping it removes the socket.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    stop: Arc<Bell>,
    accepting: Option<JoinHandle<()>>,
    _file: SocketFile,
}

impl Server {
    /// Opens the socket at `path` and serves it. Requests go to `calls`, and `bell` is rung for each;
    /// `events` is answered from `journal`. A socket that a dead daemon has left is replaced: the
    /// caller holds the lock that keeps living ones out.
    ///
    /// The threads inherit the scheduling of the caller.
    pub fn start(
        path: &Path,
        calls: SyncSender<Call>,
        bell: Arc<Bell>,
        journal: Arc<Journal>,
    ) -> io::Result<Server> {
        let (file, listener) = SocketFile::bind(path, SOCKET_MODE)?;
        let shared = Arc::new(Shared {
            calls,
            bell,
            journal,
            stopping: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
            followers: AtomicUsize::new(0),
        });
        let stop = Arc::new(Bell::new()?);
        let (poller, stopped) = (Poller::new()?, Poller::new()?);
        poller.add(&listener, 0)?;
        poller.add(&stop, 0)?;
        stopped.add(&stop, 0)?;
        let door = Door { listener, poller, stopped, shared: Arc::clone(&shared) };
        let thread = thread::Builder::new().name("control".into()).stack_size(STACK_BYTES);
        let accepting = Some(thread.spawn(move || door.serve())?);
        Ok(Server { shared, stop, accepting, _file: file })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Without the ring the thread would be waited for in vain.
        if self.stop.ring().is_ok()
            && let Some(thread) = self.accepting.take()
        {
            let _ = thread.join();
        }
    }
}

/// Where clients come in.
struct Door {
    listener: UnixListener,
    poller: Poller,
    stopped: Poller,
    shared: Arc<Shared>,
}

impl Door {
    fn serve(&self) {
        let mut ready = Ready::default();
        while !self.shared.stopping.load(Ordering::Acquire) {
            if self.poller.wait(&mut ready, None).is_err() {
                self.pause(&mut ready);
                continue;
            }
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.pause(&mut ready),
            }
        }
    }

    fn pause(&self, ready: &mut Ready) {
        let _ = self.stopped.wait(ready, Some(ACCEPT_PAUSE_MS));
    }

    /// Gives a client its thread, or turns it away without waiting for it.
    fn admit(&self, stream: UnixStream) {
        let Some(place) = Place::take(&self.shared, |shared| &shared.clients, CONNECTIONS_MAX)
        else {
            let text = format!("{CONNECTIONS_MAX} clients are connected already; try again later");
            return line::turn_away(&stream, &Reply::Error(ErrorReply::new(ErrorCode::Busy, text)));
        };
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("control client".into()).stack_size(STACK_BYTES);
        // If there is no thread to be had, stream and place are dropped: the client sees the end.
        let _ = thread.spawn(move || {
            let _place = place;
            Client::new(stream, shared).serve();
        });
    }
}

/// One of a bounded number of places, given back when dropped.
struct Place {
    shared: Arc<Shared>,
    taken: fn(&Shared) -> &AtomicUsize,
}

impl Place {
    fn take(shared: &Arc<Shared>, taken: fn(&Shared) -> &AtomicUsize, max: usize) -> Option<Self> {
        let room = |count: usize| (count < max).then_some(count + 1);
        taken(shared).fetch_update(Ordering::AcqRel, Ordering::Acquire, room).ok()?;
        Some(Place { shared: Arc::clone(shared), taken })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.taken)(&self.shared).fetch_sub(1, Ordering::AcqRel);
    }
}
