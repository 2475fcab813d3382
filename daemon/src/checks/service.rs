//! The runner's end: it takes orders from whichever core there is, and keeps a thread for each check.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use evergate_core::check::Reading;

use super::look::look;
use super::program::Programs;
use super::{Found, LINE_MAX, Letter, Order, Said};
use crate::privilege;
use crate::procedures::Workshop;
use crate::say::say;
use crate::sys::clock::boottime_now;
use crate::sys::option::peer_user;

/// How often a core is looked for.
const SEEK_EVERY: Duration = Duration::from_millis(100);
/// How long a core may take to read a result.
const WRITE_WITHIN: Duration = Duration::from_secs(1);
/// The stack of a check's thread, in bytes: name services need some.
const STACK_BYTES: usize = 256 * 1024;

/// Everything that looks, in this process.
pub struct Service {
    programs: Arc<Programs>,
    workshop: Arc<Workshop>,
}

impl Service {
    /// Begins to look for a core at this path, and to do what it orders, on the node of this name.
    pub fn start(path: PathBuf, node: String) -> io::Result<Service> {
        let programs = Arc::new(Programs::new(node));
        let voice = Voice::default();
        let workshop = Arc::new(Workshop::new(Arc::clone(&voice), Arc::clone(&programs)));
        let crew = Crew {
            workers: BTreeMap::new(),
            voice,
            programs: Arc::clone(&programs),
            workshop: Arc::clone(&workshop),
        };
        let thread = std::thread::Builder::new().name("checks".into()).stack_size(STACK_BYTES);
        thread.spawn(move || crew.serve(&path))?;
        Ok(Service { programs, workshop })
    }

    /// The daemon ends: so do the programs that it has started.
    pub fn stop(&self) {
        self.workshop.close();
        self.programs.end_all();
    }
}

/// Where results go: to the core that is there now.
pub(crate) type Voice = Arc<Mutex<Option<UnixStream>>>;

struct Crew {
    workers: BTreeMap<String, Worker>,
    voice: Voice,
    programs: Arc<Programs>,
    workshop: Arc<Workshop>,
}

struct Worker {
    order: Order,
    desk: Arc<Desk>,
}

/// What a worker shares with the crew.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Default)]
struct State {
    stop: bool,
    /// The newest result, for a core that comes later.
    last: Option<Found>,
}

impl Crew {
    fn serve(mut self, path: &PathBuf) {
        if let Err(error) = privilege::raise_checks() {
            say("runner", &format!("some checks cannot be made: {error}"));
        }
        // Nobody stops this: it ends with the process.
        let nobody = Desk::default();
        loop {
            if let Ok(stream) = UnixStream::connect(path) {
                self.obey(stream);
            }
            nobody.wait(SEEK_EVERY);
        }
    }

    /// Takes the orders of one core, until it goes.
    fn obey(&mut self, stream: UnixStream) {
        // Orders name programs and users: nobody but our own user may give them.
        let own = nix::unistd::geteuid().as_raw();
        if peer_user(&stream).ok() != Some(own)
            || stream.set_write_timeout(Some(WRITE_WITHIN)).is_err()
        {
            return;
        }
        let Ok(voice) = stream.try_clone() else { return };
        *self.voice.lock().unwrap_or_else(PoisonError::into_inner) = Some(voice);
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => match serde_json::from_slice(&line) {
                    Ok(Letter::Checks(orders)) => self.take(Arc::unwrap_or_clone(orders)),
                    Ok(Letter::Procedures(work)) => {
                        self.workshop.take(Arc::unwrap_or_clone(work));
                    }
                    Err(error) => {
                        say("runner", &format!("orders that cannot be read: {error}"));
                        break;
                    }
                },
            }
        }
        *self.voice.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Who has the same order goes on, and says again what was found last.
    fn take(&mut self, orders: Vec<Order>) {
        let kept = |name: &str, worker: &Worker| {
            orders.iter().any(|order| order.name == name && *order == worker.order)
        };
        self.workers.retain(|name, worker| {
            let stays = kept(name, worker);
            if !stays {
                worker.desk.stop();
            }
            stays
        });
        for order in orders {
            match self.workers.get(&order.name) {
                Some(worker) => {
                    let last = worker.desk.lock().last.clone();
                    last.into_iter().for_each(|found| tell(&self.voice, &Said::Found(found)));
                }
                None => self.hire(order),
            }
        }
    }

    fn hire(&mut self, order: Order) {
        let desk = Arc::new(Desk::default());
        let (voice, programs) = (Arc::clone(&self.voice), Arc::clone(&self.programs));
        let (own, orders) = (Arc::clone(&desk), order.clone());
        let thread = std::thread::Builder::new().name("check".into()).stack_size(STACK_BYTES);
        match thread.spawn(move || work(&orders, &own, &voice, &programs)) {
            Ok(_) => {
                self.workers.insert(order.name.clone(), Worker { order, desk });
            }
            Err(error) => say("runner", &format!("check {}: {error}", order.name)),
        }
    }
}

impl Desk {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.stopped.notify_all();
    }

    /// Waits; true if the work is to end.
    fn wait(&self, span: Duration) -> bool {
        let wait = self.stopped.wait_timeout_while(self.lock(), span, |state| !state.stop);
        wait.map_or(true, |(state, _)| state.stop)
    }
}

/// Looks, tells, waits, until it is stopped. A look that takes longer than the interval is followed by
/// the next one at the next beat: there is never a second one beside it.
fn work(order: &Order, desk: &Desk, voice: &Voice, programs: &Programs) {
    let interval = u64::try_from(order.interval.as_nanos()).unwrap_or(u64::MAX).max(1);
    let mut beat = boottime_now();
    loop {
        let began = boottime_now();
        let mut told = |seen: super::Seen| {
            let took = Duration::from_nanos(boottime_now().saturating_sub(began));
            let found = found(order, seen, took);
            let mut state = desk.lock();
            if !state.stop {
                state.last = Some(found.clone());
                drop(state);
                tell(voice, &Said::Found(found));
            }
        };
        look(order, programs, &mut told);
        let now = boottime_now();
        let missed = now.saturating_sub(beat) / interval;
        beat += (missed + 1) * interval;
        if desk.wait(Duration::from_nanos(beat.saturating_sub(now))) {
            return;
        }
    }
}

fn found(order: &Order, (reading, text, status): super::Seen, took: Duration) -> Found {
    // What took too long has failed, whatever came of it.
    let late = took > order.timeout && reading == Reading::Pass;
    let (reading, text) = if late {
        (Reading::Fail, format!("{text}, but only after {} ms", took.as_millis()))
    } else {
        (reading, text)
    };
    Found { name: order.name.clone(), test: order.test.clone(), reading, text, status, took }
}

/// Says something to the core that is there now, if one is.
pub(crate) fn tell(voice: &Voice, said: &Said) {
    let Ok(mut line) = serde_json::to_vec(said) else { return };
    line.push(b'\n');
    let mut voice = voice.lock().unwrap_or_else(PoisonError::into_inner);
    if voice.as_mut().is_some_and(|stream| stream.write_all(&line).is_err())
        && let Some(stream) = voice.take()
    {
        // Half a line may have gone: the core is asked anew.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}
