//! The core's end: it waits for the runner, hands it the orders and passes on what it finds.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Found, LINE_MAX, Letter, Order, Said};
use crate::control::SocketFile;
use crate::procedures::{Ended, Work};
use crate::sys::option::peer_user;
use crate::sys::ready::Bell;

/// The most news that waits for the node thread; more is found again at the next look.
pub const NEWS_MAX: usize = 1024;
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
    /// A procedure has ended, or a line was written.
    Ended(Ended),
    /// The runner has come, or has gone.
    Runner {
        /// It is there.
        there: bool,
    },
}

/// The way to the runner. Orders are a level: whoever connects gets the newest.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
    _file: SocketFile,
}

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// What the node thread leaves here. Whoever else takes the lock copies handles and nothing more: the node thread
/// may have to wait for it.
#[derive(Debug, Default)]
struct Desk {
    orders: Arc<Vec<Order>>,
    work: Arc<Work>,
    runner: Option<Arc<UnixStream>>,
    /// The runner has not been told yet, or not the newest.
    untold_orders: bool,
    untold_work: bool,
}

impl Link {
    /// Opens the socket and waits for the runner, in threads of its own.
    pub fn start(path: &Path, news: SyncSender<News>, bell: Arc<Bell>) -> io::Result<Link> {
        let (file, listener) = SocketFile::bind(path, MODE)?;
        listener.set_nonblocking(false)?;
        let shared = Arc::new(Shared::default());
        let thread =
            |name: &str| std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        let own = Arc::clone(&shared);
        thread("checks").spawn(move || serve(&listener, &own, &news, &bell))?;
        let own = Arc::clone(&shared);
        thread("orders").spawn(move || own.hand_over())?;
        Ok(Link { shared, _file: file })
    }

    /// Leaves new orders for the runner. This waits for nobody.
    pub fn order(&self, orders: Vec<Order>) {
        let orders = Arc::new(orders);
        let mut desk = self.shared.lock();
        if desk.orders != orders {
            desk.orders = orders;
            desk.untold_orders = true;
            self.shared.changed.notify_all();
        }
    }

    /// Leaves new work for the runner. This waits for nobody.
    pub fn work(&self, work: Work) {
        let work = Arc::new(work);
        let mut desk = self.shared.lock();
        if desk.work != work {
            desk.work = work;
            desk.untold_work = true;
            self.shared.changed.notify_all();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_runner(&self, runner: Option<UnixStream>) {
        let mut desk = self.lock();
        (desk.untold_orders, desk.untold_work) = (true, true);
        desk.runner = runner.map(Arc::new);
        self.changed.notify_all();
    }

    /// Hands over orders for ever. A runner that does not read is cut off, and gets them when it comes
    /// back.
    fn hand_over(&self) {
        loop {
            let mut desk = self.lock();
            let Some((runner, letter)) = desk.next() else {
                drop(self.changed.wait(desk));
                continue;
            };
            drop(desk);
            let line = serde_json::to_vec(&letter);
            let Ok(mut line) = line else { continue };
            line.push(b'\n');
            if (&*runner).write_all(&line).is_err() {
                let _ = runner.shutdown(std::net::Shutdown::Both);
            }
        }
    }
}

impl Desk {
    /// What is to be told next, if the runner is there.
    fn next(&mut self) -> Option<(Arc<UnixStream>, Letter)> {
        let runner = Arc::clone(self.runner.as_ref()?);
        if std::mem::take(&mut self.untold_orders) {
            return Some((runner, Letter::Checks(Arc::clone(&self.orders))));
        }
        let untold = std::mem::take(&mut self.untold_work);
        untold.then(|| (runner, Letter::Procedures(Arc::clone(&self.work))))
    }
}

fn serve(listener: &UnixListener, shared: &Shared, news: &SyncSender<News>, bell: &Bell) {
    let tell = |what: News| {
        let sent = match what {
            // Where there is no room it is found again.
            News::Found(_) => news.try_send(what).is_ok(),
            News::Ended(_) | News::Runner { .. } => news.send(what).is_ok(),
        };
        if sent {
            let _ = bell.ring();
        }
    };
    // What is said here decides about addresses: nobody but our own user may say it.
    let own = nix::unistd::geteuid().as_raw();
    while let Ok((stream, _)) = listener.accept() {
        let ours = peer_user(&stream).ok() == Some(own);
        if !ours || stream.set_write_timeout(Some(WRITE_WITHIN)).is_err() {
            continue;
        }
        let Ok(reader) = stream.try_clone() else { continue };
        shared.set_runner(Some(stream));
        tell(News::Runner { there: true });
        read(reader, &tell);
        shared.set_runner(None);
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
                Ok(Said::Found(found)) => tell(News::Found(found)),
                Ok(Said::Ended(ended)) => tell(News::Ended(ended)),
                Err(_) => return,
            },
        }
    }
}
