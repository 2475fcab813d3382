//! The runner: it watches the guardian and starts another when that one is gone.
//!
//! It has no capability in force; it only keeps, for a new guardian, what a guardian needs. It is
//! also the process that makes checks ([`checks`]), in threads of their own, because the core must not
//! start anything, and nothing that the core filters may reach a script. Programs are started with
//! neither the estate nor the lock: both are closed on exec here.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use crate::arguments::Arguments;
use crate::checks;
use crate::estate::Stop;
use crate::guardian::{EnterError, Inheritance, Inherited, Process, Role, Starter, inherit};
use crate::privilege;
use crate::say::say;
use crate::sys::clock::{NS_PER_S, boottime_now};
use crate::sys::process::{Signals, set_nice, set_timer_slack};
use crate::sys::ready::{Poller, Ready, Timer};

/// A guardian whose beat is older than this hangs: it beats ten times a second at least.
pub const GUARDIAN_SILENT_NS_MAX: u64 = 3 * NS_PER_S;
/// Looks within that time; only those that we made ourselves count.
const LOOKS: u64 = 10;
/// A guardian that lived this long is not in a crash loop.
const STABLE_NS: u64 = 60 * NS_PER_S;
/// Waiting times before another guardian is started, by the number of quick ends in a row.
const BACK_OFF_NS: [u64; 4] = [0, NS_PER_S / 20, NS_PER_S, 5 * NS_PER_S];
/// How late the kernel may wake an ordinary process.
const ORDINARY_SLACK_NS: u32 = 50_000;
/// Signals taken at one go.
const SIGNALS_PER_READ_MAX: usize = 16;

const TOKEN_SIGNALS: u64 = 0;
const TOKEN_TIMER: u64 = 1;
const TOKEN_GUARDIAN: u64 = 2;

/// Why a runner cannot work.
#[derive(Debug)]
pub enum RunnerError {
    /// The inherited descriptors are unusable.
    Enter(EnterError),
    /// A system call that never fails did: the system's fault.
    System(io::Error),
}

impl fmt::Display for RunnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunnerError::Enter(error) => error.fmt(f),
            RunnerError::System(error) => write!(f, "the runner cannot wait: {error}"),
        }
    }
}

impl std::error::Error for RunnerError {}

impl From<io::Error> for RunnerError {
    fn from(error: io::Error) -> Self {
        RunnerError::System(error)
    }
}

/// Watches the guardian until the daemon has stopped. `program` is what is started as a new one.
pub fn run(inherited: &Inherited, program: PathBuf) -> Result<(), RunnerError> {
    // Stopping is the guardian's business: it says so in the estate.
    let signals = Signals::new(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])?;
    let inheritance = inherit(inherited, "evergated-run").map_err(RunnerError::Enter)?;
    // An ordinary process again: what it starts is to be ordinary.
    let _ = set_nice(0);
    let _ = set_timer_slack(ORDINARY_SLACK_NS);
    if let Err(error) = privilege::confine_runner() {
        say("runner", &error.to_string());
    }
    let arguments: Vec<OsString> = inherited.arguments.clone();
    let (poller, timer) = (Poller::new()?, Timer::new()?);
    poller.add(&signals, TOKEN_SIGNALS)?;
    poller.add(&timer, TOKEN_TIMER)?;
    let starter = Starter { program, arguments };
    let guardian = Process::adopt(inheritance.estate.guardian());
    if let Some(guardian) = &guardian {
        poller.add(guardian, TOKEN_GUARDIAN)?;
    }
    let now = boottime_now();
    let watch = Watch { beat: 0, looked_at: now, witnessed: 0 };
    let (start_at, quick_ends, started_at) = (now, 0, now);
    let mut runner =
        Runner { inheritance, starter, poller, guardian, watch, start_at, quick_ends, started_at };
    let service = look_for_core(&inherited.arguments);
    let mut ready = Ready::default();
    while !runner.step(boottime_now()) {
        timer.set(Some(boottime_now() + GUARDIAN_SILENT_NS_MAX / LOOKS))?;
        runner.poller.wait(&mut ready, None)?;
        timer.drain()?;
        for _ in 0..SIGNALS_PER_READ_MAX {
            if !matches!(signals.read(), Ok(Some(_))) {
                break;
            }
        }
    }
    if let Some(service) = service {
        service.stop();
    }
    Ok(())
}

/// Offers to make checks to the core that listens beside the control socket.
fn look_for_core(arguments: &[OsString]) -> Option<checks::Service> {
    let arguments = Arguments::read(arguments).ok()?;
    let place = checks::socket_path(&arguments.socket);
    let started = checks::Service::start(place, arguments.node);
    started.map_err(|error| say("runner", &format!("checks cannot be made: {error}"))).ok()
}

struct Runner {
    inheritance: Inheritance,
    starter: Starter,
    poller: Poller,
    guardian: Option<Process>,
    watch: Watch,
    start_at: u64,
    quick_ends: usize,
    started_at: u64,
}

impl Runner {
    /// Looks after the guardian; true if there is nothing left to look after.
    fn step(&mut self, now: u64) -> bool {
        if self.inheritance.estate.stop() == Stop::Done {
            return true;
        }
        self.end_if_silent(now);
        if self.guardian.as_ref().is_some_and(Process::has_ended) {
            self.lose(now);
        }
        if self.guardian.is_none() && self.start_at <= now {
            self.start(now);
        }
        false
    }

    /// A guardian that hangs is no guardian. One that sleeps with the whole machine is.
    fn end_if_silent(&mut self, now: u64) {
        let silent = self.watch.look(now, self.inheritance.estate.guardian_beat());
        if let Some(guardian) = &self.guardian
            && silent
        {
            say("runner", "the guardian is silent and is killed");
            guardian.signal(Signal::SIGKILL);
            guardian.wait(now + NS_PER_S);
        }
    }

    fn lose(&mut self, now: u64) {
        if let Some(mut guardian) = self.guardian.take() {
            guardian.end();
        }
        if now.saturating_sub(self.started_at) > STABLE_NS {
            self.quick_ends = 0;
        }
        let wait = BACK_OFF_NS[self.quick_ends.min(BACK_OFF_NS.len() - 1)];
        self.quick_ends += 1;
        self.start_at = now + wait;
    }

    fn start(&mut self, now: u64) {
        let Inheritance { estate, lock } = &self.inheritance;
        say("runner", "the guardian is gone; starting another");
        let role = Role::Successor(self.starter.inherited(estate, lock));
        self.started_at = now;
        self.watch = Watch { beat: 0, looked_at: now, witnessed: 0 };
        match self.starter.start(&role, estate, lock) {
            Ok(guardian) => {
                // Without this its end is seen at the next look.
                let _ = self.poller.add(&guardian, TOKEN_GUARDIAN);
                self.guardian = Some(guardian);
            }
            Err(error) => {
                say("runner", &format!("a guardian cannot be started: {error}"));
                self.lose(now);
                self.start_at = self.start_at.max(now + BACK_OFF_NS[1]);
            }
        }
    }
}

/// What was seen of the guardian's beat.
struct Watch {
    beat: u64,
    looked_at: u64,
    witnessed: u64,
}

impl Watch {
    /// Whether the beat has stood still for too long, while we were there to see it: a pause of
    /// ours, or of the machine, counts for one look.
    fn look(&mut self, now: u64, beat: u64) -> bool {
        let gap = now.saturating_sub(self.looked_at);
        self.looked_at = now;
        if beat != self.beat {
            self.beat = beat;
            self.witnessed = 0;
            return false;
        }
        self.witnessed += gap.min(GUARDIAN_SILENT_NS_MAX / LOOKS);
        self.witnessed >= GUARDIAN_SILENT_NS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guardian_that_stands_still_is_silent_after_three_seconds_of_our_own() {
        let mut watch = Watch { beat: 0, looked_at: 0, witnessed: 0 };
        let step = GUARDIAN_SILENT_NS_MAX / LOOKS;
        assert!(!watch.look(step, 1));
        assert!(!watch.look(1000 * NS_PER_S, 1), "we slept, not the guardian");
        let silent = (1..20).find(|look| watch.look(1000 * NS_PER_S + look * step, 1));
        assert_eq!(silent, Some(LOOKS - 1));
        assert!(!watch.look(2000 * NS_PER_S, 2), "it beats again");
    }
}
