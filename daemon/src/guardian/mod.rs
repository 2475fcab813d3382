//! The guardian: it is what the user starts, and what acts when the core cannot.
//!
//! ```text
//!              ┌────────── starts, watches ──────────┐
//!              │                                     ▼
//!   user ─▶ guardian ── starts, watches by pidfd ─▶ core
//!              ▲  └──── and by its beat ─────────────┘
//!              │ starts anew, watches
//!           runner ◀── starts, watches ── guardian
//! ```
//!
//! A core that ends, or is silent for longer than the peers wait, is killed; its wills are sent, its
//! addresses released, and another started as standby. Where nobody could take over, the addresses
//! stay up for the next core to adopt. The guardian decides nothing else, and holds no key.

mod addresses;
mod enter;
mod farewell;
mod judge;
mod policy;
mod process;
mod resign;
mod role;
mod stop;
mod watch;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

pub use addresses::{Addresses, NotReleased};
pub use enter::{EnterError, Inheritance, enter_core, inherit};
pub use farewell::{Farewell, Successor};
pub use judge::{ALONE_NS, MARGIN_NS, START_NS_MAX};
pub use policy::{CRASH_SPAN_NS, CRASHES_MAX, KEEP_NS};
pub use process::{End, Process, Starter, THIS_PROGRAM, own_identity};
pub use resign::{Resignation, SUCCESSOR_WAIT_NS, resign};
pub use role::{Inherited, NotARole, Role};
pub use stop::STOP_NS_MAX;

use crate::estate::{Estate, EstateError, HeldAddress, SharedEstate, Stop};
use crate::kernel::ways::Way;
use crate::lock::{LockError, SocketLock};
use crate::notify;
use crate::privilege::{self, GUARDIAN_PRIORITY, Memory, Priority};
use crate::say::say;
use crate::sys::clock::boottime_now;
use crate::sys::process::{Signals, set_thread_name};
use crate::sys::ready::{Poller, Ready, Timer};
use judge::Judge;

/// The signals that are read, not suffered.
const SIGNALS: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

const TOKEN_SIGNALS: u64 = 0;
const TOKEN_TIMER: u64 = 1;
const TOKEN_CORE: u64 = 2;
const TOKEN_RUNNER: u64 = 3;

/// How a guardian has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was told to, and everything is cleaned up: exit code 0.
    Stopped,
    /// The first core refused to start, with this exit code, and has said why.
    Refused(u8),
}

/// Why a guardian cannot work.
#[derive(Debug)]
pub enum GuardianError {
    /// The control socket is taken, or its lock file cannot be used: the operator's to solve.
    Lock(LockError),
    /// There is no shared memory: the system's fault.
    Estate(EstateError),
    /// The inherited descriptors are unusable: ours, or started by hand.
    Enter(EnterError),
    /// A system call that never fails did: the system's fault.
    System {
        /// What was attempted.
        what: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

impl fmt::Display for GuardianError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuardianError::Lock(error) => error.fmt(f),
            GuardianError::Estate(error) => error.fmt(f),
            GuardianError::Enter(error) => error.fmt(f),
            GuardianError::System { what, error } => write!(f, "cannot {what}: {error}"),
        }
    }
}

impl std::error::Error for GuardianError {}

/// What a guardian needs besides its inheritance.
pub struct Options {
    /// The program that is started for core, runner and successor: [`THIS_PROGRAM`].
    pub program: PathBuf,
    /// The user's arguments.
    pub arguments: Vec<OsString>,
    /// The door to the addresses.
    pub addresses: Box<dyn Addresses>,
}

/// The guardian that the user started: takes the lock, starts runner and core, and watches until
/// it is told to stop.
pub fn run_first(socket: &Path, options: Options) -> Result<Outcome, GuardianError> {
    let _ = set_thread_name("evergated");
    let raised = privilege::raise(GUARDIAN_PRIORITY);
    let lock = SocketLock::take(socket, std::process::id()).map_err(GuardianError::Lock)?;
    let estate = SharedEstate::create().map_err(GuardianError::Estate)?;
    let mut guardian = Guardian::new(estate, lock, options)?;
    guardian.start_runner(boottime_now());
    guardian.start_core(boottime_now());
    guardian.confine();
    if !matches!(raised.priority, Priority::Realtime(_)) || raised.memory == Memory::Limited {
        let (priority, memory) = (raised.priority, raised.memory);
        say("guardian", &format!("may be late on a busy machine: {priority}, memory {memory}"));
    }
    guardian.watch()
}

/// A guardian that the runner started because the last one died: goes on where that one was.
pub fn run_successor(inherited: &Inherited, options: Options) -> Result<Outcome, GuardianError> {
    privilege::raise(GUARDIAN_PRIORITY);
    let Inheritance { estate, mut lock } =
        inherit(inherited, "evergated").map_err(GuardianError::Enter)?;
    let _ = lock.name(std::process::id());
    let mut guardian = Guardian::new(estate, lock, options)?;
    notify::main_pid(std::process::id());
    guardian.take_over(boottime_now());
    guardian.confine();
    guardian.watch()
}

/// What the guardian knows of the core.
enum Core {
    /// It runs, as far as is known.
    Running { process: Process, judge: Judge },
    /// It was killed and has not ended yet; its addresses are swept until it has.
    Dying { process: Process, sweep_at: u64 },
    /// There is none; the next is started at this time, if at all.
    Absent { start_at: Option<u64> },
}

/// One guardian at work.
struct Guardian {
    estate: SharedEstate,
    lock: SocketLock,
    starter: Starter,
    addresses: Box<dyn Addresses>,
    farewell: Farewell,
    signals: Signals,
    poller: Poller,
    timer: Timer,
    core: Core,
    runner: Option<Process>,
    runner_at: Option<u64>,
    runner_started_at: u64,
    runner_ends: usize,
    /// What the core left last, and its generation.
    known: Estate,
    generation: u64,
    /// What may be up although the last estate does not say so any more: swept with the rest.
    swept: Vec<HeldAddress>,
    /// The same for routes and rules.
    swept_ways: Vec<Way>,
    /// Until when addresses are kept for the next core.
    keep_until: Option<u64>,
    stop: Option<stop::Stopping>,
    reload: Option<watch::Reload>,
    watchdog: Option<Duration>,
    watchdog_at: u64,
    told_ready: bool,
    buffer: Vec<u8>,
}

impl Guardian {
    fn new(
        estate: SharedEstate,
        lock: SocketLock,
        options: Options,
    ) -> Result<Self, GuardianError> {
        let system = |what| move |error| GuardianError::System { what, error };
        let signals = Signals::new(&SIGNALS).map_err(system("read signals"))?;
        let poller = Poller::new().map_err(system("make an epoll"))?;
        let timer = Timer::new().map_err(system("make a timer"))?;
        poller.add(&signals, TOKEN_SIGNALS).map_err(system("wait for signals"))?;
        poller.add(&timer, TOKEN_TIMER).map_err(system("wait for a timer"))?;
        let own = own_identity().map_err(system("read /proc"))?;
        estate.guardian_started(own);
        let (farewell, errors) = Farewell::open();
        for error in errors {
            say("guardian", &format!("some resignations cannot be sent: {error}"));
        }
        let (program, arguments) = (options.program, options.arguments);
        let told_ready = estate.was_ever_ready();
        let mut guardian = Guardian {
            estate,
            lock,
            starter: Starter { program, arguments },
            addresses: options.addresses,
            farewell,
            signals,
            poller,
            timer,
            core: Core::Absent { start_at: None },
            runner: None,
            runner_at: None,
            runner_started_at: 0,
            runner_ends: 0,
            known: Estate::default(),
            generation: 0,
            swept: Vec::new(),
            swept_ways: Vec::new(),
            keep_until: None,
            stop: None,
            reload: None,
            watchdog: notify::watchdog_interval(),
            watchdog_at: 0,
            told_ready,
            buffer: Vec::new(),
        };
        // A rehearsal: the pages of this path are in memory before they are needed.
        resign(&Estate::default(), &guardian.farewell, guardian.addresses.as_mut());
        guardian.estate.guardian_beats(boottime_now());
        Ok(guardian)
    }

    /// Gives up what is not needed; where that fails, the guardian is no less useful.
    fn confine(&self) {
        match privilege::confine_guardian() {
            Ok(missing) if missing.is_empty() => {}
            Ok(missing) => say("guardian", &format!("runs without {missing:?}")),
            Err(error) => say("guardian", &error.to_string()),
        }
    }

    /// The loop: waits, looks, acts.
    fn watch(mut self) -> Result<Outcome, GuardianError> {
        let system = |what| move |error| GuardianError::System { what, error };
        let mut ready = Ready::default();
        loop {
            let now = boottime_now();
            self.estate.guardian_beats(now);
            self.timer.set(Some(self.next_deadline(now))).map_err(system("set a timer"))?;
            self.poller.wait(&mut ready, None).map_err(system("wait"))?;
            self.timer.drain().map_err(system("read a timer"))?;
            let now = boottime_now();
            self.estate.guardian_beats(now);
            // The beat is read before anything else: what comes in later has its own time.
            self.look(now);
            if ready.tokens().any(|token| token == TOKEN_SIGNALS) {
                self.take_signals(now);
            }
            if let Some(outcome) = self.after_core(now) {
                return Ok(self.finish(outcome));
            }
            self.after_runner(now);
            self.tick(now);
            if self.stop.is_some() && matches!(self.core, Core::Absent { .. }) {
                return Ok(self.finish(Outcome::Stopped));
            }
        }
    }

    /// The last things: nothing of ours is left up, and the runner goes too.
    fn finish(mut self, outcome: Outcome) -> Outcome {
        self.sweep();
        for problem in self.addresses.remove_links() {
            say("guardian", &problem);
        }
        self.estate.set_stop(Stop::Done);
        self.end_runner();
        outcome
    }
}
