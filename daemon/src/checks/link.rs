//! The core's end: it waits for the runner, hands it the orders and passes on what it finds.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Found, LINE_MAX, Order};
use crate::control::SocketFile;
use crate::sys::option::peer_user;
use crate::sys::ready::Bell;

/// The most news that waits for the node thread; more is found again at the next look.
pub const NEWS_MAX: usize = 4096;
/// Permissions of the socket: its owner alone.
const MODE: u32 = 0o600;
/// How long a runner may take to read its orders.
const WRITE_WITHIN: Duration = Duration::from_secs(2);
/// The stack of the thread, in bytes.
const STACK_BYTES: usize = 256 * 1024;

/// What the node thread hears of the runner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// A look has found something.
    Found(Found),
    /// The runner has come, or has gone.
    Runner {
        /// It is there.
        there: bool,
    },
}

/// The way to the runner. Orders are a level: whoever connects gets the newest.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Mutex<Shared>>,
    _file: SocketFile,
}

#[derive(Debug, Default)]
struct Shared {
    orders: Vec<Order>,
    runner: Option<UnixStream>,
}

impl Link {
    /// Opens the socket and waits for the runner in a thread of its own.
    pub fn start(path: &Path, news: SyncSender<News>, bell: Arc<Bell>) -> io::Result<Link> {
        let (file, listener) = SocketFile::bind(path, MODE)?;
        listener.set_nonblocking(false)?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("checks".into()).stack_size(STACK_BYTES);
        thread.spawn(move || serve(&listener, &own, &news, &bell))?;
        Ok(Link { shared, _file: file })
    }

    /// Hands over new orders. This does not wait for a runner that does not read: it is cut off, and
    /// gets them when it comes back.
    pub fn order(&self, orders: Vec<Order>) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.orders != orders {
            shared.orders = orders;
            shared.hand_over();
        }
    }
}

impl Shared {
    fn hand_over(&mut self) {
        let Ok(mut line) = serde_json::to_vec(&self.orders) else { return };
        line.push(b'\n');
        if let Some(mut runner) = self.runner.take()
            && runner.write_all(&line).is_ok()
        {
            self.runner = Some(runner);
        }
    }
}

fn serve(listener: &UnixListener, shared: &Mutex<Shared>, news: &SyncSender<News>, bell: &Bell) {
    let tell = |what: News| {
        // Where there is no room it is found again.
        if news.try_send(what).is_ok() {
            let _ = bell.ring();
        }
    };
    // What is said here decides about addresses: nobody but our own user may say it.
    let own = nix::unistd::geteuid().as_raw();
    while let Ok((stream, _)) = listener.accept() {
        if peer_user(&stream).ok() != Some(own)
            || stream.set_write_timeout(Some(WRITE_WITHIN)).is_err()
        {
            continue;
        }
        let Ok(reader) = stream.try_clone() else { continue };
        {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.runner = Some(stream);
            shared.hand_over();
        }
        tell(News::Runner { there: true });
        read(reader, &tell);
        shared.lock().unwrap_or_else(PoisonError::into_inner).runner = None;
        tell(News::Runner { there: false });
    }
}

/// Passes on what the runner says until it goes or says nonsense.
fn read(stream: UnixStream, tell: &impl Fn(News)) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => match serde_json::from_slice(&line) {
                Ok(found) => tell(News::Found(found)),
                Err(_) => return,
            },
        }
    }
}
