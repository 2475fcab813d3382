//! Stopping: the core resigns and cleans up itself, and the guardian makes sure.

use nix::sys::signal::Signal;

use super::{Core, Guardian};
use crate::estate::Stop;
use crate::notify;
use crate::say::say;
use crate::sys::clock::{NS_PER_S, boottime_now};

/// How long a core may take to resign, release and run what is configured for that.
pub const STOP_NS_MAX: u64 = 20 * NS_PER_S;
/// How long the runner may take to end.
const RUNNER_STOP_NS_MAX: u64 = NS_PER_S;
/// Signals taken at one go.
const SIGNALS_PER_READ_MAX: usize = 16;

/// A stop that has begun.
pub(super) struct Stopping {
    /// When the core is killed if it has not ended.
    until: u64,
    /// Whether that was done.
    killed: bool,
}

impl Guardian {
    /// Acts on the signals that have come.
    pub(super) fn take_signals(&mut self, now: u64) {
        for _ in 0..SIGNALS_PER_READ_MAX {
            match self.signals.read() {
                Ok(Some(Signal::SIGHUP)) => self.reload(now),
                Ok(Some(_)) => self.begin_stop(now),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Begins to stop; asked a second time, does not wait for the core any longer.
    pub(super) fn begin_stop(&mut self, now: u64) {
        if let Some(stopping) = &mut self.stop {
            stopping.until = now;
            return;
        }
        self.estate.set_stop(Stop::Asked);
        notify::stopping();
        self.stop = Some(Stopping { until: now + STOP_NS_MAX, killed: false });
        self.signal_core(Signal::SIGTERM);
        if let Core::Absent { start_at } = &mut self.core {
            *start_at = None;
        }
        if self.estate.is_kept() {
            // Nobody will come to adopt them.
            self.keep_until = Some(now);
        }
    }

    /// Ends the patience with a core that does not stop.
    pub(super) fn tick_stop(&mut self, now: u64) {
        let Some(stopping) = &mut self.stop else { return };
        if stopping.until <= now && !stopping.killed {
            stopping.killed = true;
            say("guardian", "the core did not stop in time and is killed");
            self.signal_core(Signal::SIGKILL);
        }
    }

    pub(super) fn stop_deadline(&self) -> Option<u64> {
        self.stop.as_ref().filter(|stopping| !stopping.killed).map(|stopping| stopping.until)
    }

    /// Ends the runner: by asking, then by force.
    pub(super) fn end_runner(&mut self) {
        let Some(mut runner) = self.runner.take() else { return };
        runner.signal(Signal::SIGTERM);
        if !runner.wait(boottime_now() + RUNNER_STOP_NS_MAX) {
            runner.signal(Signal::SIGKILL);
            runner.wait(boottime_now() + RUNNER_STOP_NS_MAX);
        }
        runner.end();
    }
}
