//! What happens to core and runner, and what the guardian does about it.

use nix::sys::signal::Signal;

use super::judge::{Judge, Verdict, limit_ns};
use super::policy::{Aftermath, CRASH_SPAN_NS, KEEP_NS, aftermath, back_off_ns};
use super::process::{End, Process};
use super::resign::{all_held, resign};
use super::role::Role;
use super::{Core, Guardian, Outcome, TOKEN_CORE, TOKEN_RUNNER};
use crate::estate::{Estate, Stop};
use crate::notify;
use crate::say::say;
use crate::sys::clock::NS_PER_S;

/// A killed core that has not ended: its addresses are swept this often.
const SWEEP_NS: u64 = 50_000_000;
/// Nothing to do: look around all the same.
const IDLE_NS: u64 = NS_PER_S / 10;
/// A reload that has not ended is not waited for any longer.
const RELOAD_NS_MAX: u64 = 30 * NS_PER_S;
/// A runner that lived this long is not in a crash loop.
const RUNNER_STABLE_NS: u64 = 60 * NS_PER_S;
/// Addresses that may be up although the estate is silent about them: as many are remembered.
const SWEPT_MAX: usize = 65_536;

/// A reload that systemd was told of.
pub(super) struct Reload {
    /// Ends counted before it.
    before: u64,
    /// When to stop waiting.
    until: u64,
}

impl Guardian {
    /// Starts a core, as standby or to adopt what is kept.
    pub(super) fn start_core(&mut self, now: u64) {
        self.estate.clear_core();
        let inherited = self.starter.inherited(&self.estate, &self.lock);
        let role = Role::Core { adopt: self.estate.is_kept(), inherited };
        match self.starter.start(&role, &self.estate, &self.lock) {
            Ok(process) => {
                self.estate.core_started(process.identity);
                self.accept_core(process, now);
            }
            Err(error) => {
                self.estate.record_crash(now);
                let wait = back_off_ns(self.crashes(now)).max(IDLE_NS);
                say("guardian", &format!("the core cannot be started: {error}"));
                self.core = Core::Absent { start_at: Some(now + wait) };
            }
        }
    }

    /// Starts a runner.
    pub(super) fn start_runner(&mut self, now: u64) {
        let inherited = self.starter.inherited(&self.estate, &self.lock);
        self.runner_started_at = now;
        match self.starter.start(&Role::Runner(inherited), &self.estate, &self.lock) {
            Ok(process) => {
                self.estate.runner_started(process.identity);
                self.accept_runner(process);
            }
            Err(error) => {
                say("guardian", &format!("the runner cannot be started: {error}"));
                self.runner_ends += 1;
                self.runner_at = Some(now + back_off_ns(self.runner_ends).max(IDLE_NS));
            }
        }
    }

    /// Goes on for a guardian that died: with the core and runner that are there, if they are.
    pub(super) fn take_over(&mut self, now: u64) {
        match Process::adopt(self.estate.runner()) {
            Some(process) => self.accept_runner(process),
            None => self.start_runner(now),
        }
        self.read_estate();
        if self.estate.is_kept() {
            self.keep_until = Some(now + KEEP_NS);
        }
        match Process::adopt(self.estate.core()) {
            Some(process) => {
                say("guardian", &format!("took over; core {} goes on", process.identity.pid));
                self.accept_core(process, now);
            }
            None => {
                say("guardian", "took over; the core is gone too");
                self.lose_core(now, "was gone with the guardian");
            }
        }
        if self.estate.stop() == Stop::Asked {
            self.begin_stop(now);
        }
    }

    fn accept_core(&mut self, process: Process, now: u64) {
        if let Err(error) = self.poller.add(&process, TOKEN_CORE) {
            say("guardian", &format!("the core is watched by its beat alone: {error}"));
        }
        self.core = Core::Running { process, judge: Judge::new(now) };
    }

    fn accept_runner(&mut self, process: Process) {
        // Without this the runner's end is seen at the next look.
        let _ = self.poller.add(&process, TOKEN_RUNNER);
        self.runner = Some(process);
        self.runner_at = None;
    }

    /// Reads the beat and judges it. A silent core is killed and resigned for at once.
    pub(super) fn look(&mut self, now: u64) {
        self.read_estate();
        if self.is_ending() {
            return;
        }
        let (beat, limit) = (self.estate.core_beat(), self.limit());
        let Core::Running { process, judge } = &mut self.core else { return };
        if judge.look(now, beat, limit) == Verdict::Alive || process.has_ended() {
            return;
        }
        let silent_ms = now.saturating_sub(beat) / 1_000_000;
        process.signal(Signal::SIGKILL);
        let idle = Core::Absent { start_at: None };
        let Core::Running { process, .. } = std::mem::replace(&mut self.core, idle) else { return };
        self.core = Core::Dying { process, sweep_at: now + SWEEP_NS };
        let why = if beat == 0 {
            "never gave a sign of life".to_owned()
        } else {
            format!("was silent for {silent_ms} ms")
        };
        self.settle(now, &why);
    }

    /// A core that has let go of everything and ends beats no more: nobody waits for a beat, and the end has a
    /// limit of its own.
    fn is_ending(&self) -> bool {
        self.stop.is_some() && self.known == Estate::default()
    }

    /// After the core's end, if it has ended: how the guardian ends, if it does.
    pub(super) fn after_core(&mut self, now: u64) -> Option<Outcome> {
        let (Core::Running { process, .. } | Core::Dying { process, .. }) = &mut self.core else {
            return None;
        };
        if !process.has_ended() {
            return None;
        }
        let end = process.end();
        let idle = Core::Absent { start_at: None };
        let was = std::mem::replace(&mut self.core, idle);
        if self.estate.is_ready() {
            self.estate.set_ever_ready();
        }
        if matches!(was, Core::Dying { .. }) {
            self.sweep_unless_kept();
            self.plan_start(now);
            return None;
        }
        match end {
            End::Clean if self.stop.is_some() => self.sweep(),
            End::Code(code) if !self.estate.was_ever_ready() && self.stop.is_none() => {
                self.sweep();
                return Some(Outcome::Refused(u8::try_from(code).unwrap_or(1)));
            }
            End::Clean => {
                // It has released everything itself, though nobody asked for that.
                self.estate.record_crash(now);
                say("guardian", "the core ended by itself; starting another");
                self.sweep();
                self.forget();
                self.plan_start(now);
            }
            End::Code(code) => self.lose_core(now, &format!("ended with code {code}")),
            End::Signal(signal) => self.lose_core(now, &format!("ended by signal {signal}")),
            End::Unknown => self.lose_core(now, "ended"),
        }
        None
    }

    /// A core has ended that should not have.
    fn lose_core(&mut self, now: u64, why: &str) {
        self.settle(now, why);
        self.plan_start(now);
    }

    /// Keeps the addresses of a lost core, or resigns for it.
    fn settle(&mut self, now: u64, why: &str) {
        self.estate.record_crash(now);
        let crashes = self.crashes(now);
        self.read_estate();
        let (peers, stopping) = (self.estate.peers_alive(), self.stop.is_some());
        match aftermath(peers, stopping, crashes) {
            Aftermath::Keep => {
                // A core that crashed before it adopted them does not prolong the time.
                let since_before = self.keep_until.filter(|_| self.estate.is_kept());
                self.keep_until = Some(since_before.unwrap_or(now + KEEP_NS));
                self.estate.keep();
                say("guardian", &format!("the core {why}; its addresses wait for the next"));
            }
            Aftermath::Resign => {
                self.estate.end_keeping();
                self.resign(why);
            }
        }
    }

    /// Says the last words of the core and lets its addresses go.
    fn resign(&mut self, why: &str) {
        self.keep_until = None;
        let known = std::mem::take(&mut self.known);
        let result = resign(&known, &self.farewell, self.addresses.as_mut());
        self.remember(&known);
        self.forget();
        let text = format!(
            "the core {why}; resigned for it ({} wills, {} not sent), {} addresses released",
            known.wills.len(),
            result.refused,
            result.released
        );
        say("guardian", &text);
        if let Some(failure) = result.failure {
            say("guardian", &failure.to_string());
        }
    }

    /// Ends what was kept and not adopted in time.
    fn end_keeping(&mut self) {
        self.keep_until = None;
        if self.estate.end_keeping() {
            self.read_estate();
            self.resign("did not come back in time");
        }
    }

    /// When the next core is to be started: never while the daemon stops.
    fn plan_start(&mut self, now: u64) {
        let start_at = now + back_off_ns(self.crashes(now));
        self.core = Core::Absent { start_at: self.stop.is_none().then_some(start_at) };
    }

    /// After the runner's end, if it has ended.
    pub(super) fn after_runner(&mut self, now: u64) {
        let Some(runner) = &mut self.runner else { return };
        if !runner.has_ended() {
            return;
        }
        runner.end();
        self.runner = None;
        if now.saturating_sub(self.runner_started_at) > RUNNER_STABLE_NS {
            self.runner_ends = 0;
        }
        self.runner_ends += 1;
        self.runner_at = Some(now + back_off_ns(self.runner_ends));
        say("guardian", "the runner ended; starting another");
    }

    /// Whatever is due.
    pub(super) fn tick(&mut self, now: u64) {
        if let Core::Dying { sweep_at, .. } = &mut self.core
            && *sweep_at <= now
        {
            *sweep_at = now + SWEEP_NS;
            self.sweep_unless_kept();
        }
        if self.keep_until.is_some() && !self.estate.is_kept() {
            self.keep_until = None;
        }
        if self.keep_until.is_some_and(|until| until <= now) {
            self.end_keeping();
        }
        if matches!(self.core, Core::Absent { start_at: Some(at) } if at <= now) {
            self.start_core(now);
        }
        if self.runner_at.is_some_and(|at| at <= now) && self.stop.is_none() {
            self.runner_at = None;
            self.start_runner(now);
        }
        self.tell_systemd(now);
        self.tick_stop(now);
    }

    /// When there is something to do at the latest.
    pub(super) fn next_deadline(&self, now: u64) -> u64 {
        let core_at = match &self.core {
            // A time for a look that is never taken would be past for ever, and the guardian, which goes
            // before the core, would turn without rest.
            Core::Running { .. } if self.is_ending() => None,
            Core::Running { judge, .. } => Some(judge.next_look(self.limit())),
            Core::Dying { sweep_at, .. } => Some(*sweep_at),
            Core::Absent { start_at } => *start_at,
        };
        let runner_at = self.runner_at.filter(|_| self.stop.is_none());
        let due = [core_at, runner_at, self.keep_until, self.stop_deadline()];
        due.into_iter().flatten().fold(now + IDLE_NS, u64::min)
    }

    /// Ready, reloaded, alive: what systemd waits for.
    fn tell_systemd(&mut self, now: u64) {
        let ready = self.estate.is_ready();
        if ready && !self.told_ready {
            self.told_ready = true;
            self.estate.set_ever_ready();
            notify::ready(std::process::id(), "running");
        }
        if let Some(Reload { before, until }) = self.reload
            && (self.estate.reloads() != before || until <= now)
        {
            self.reload = None;
            notify::ready(std::process::id(), "running");
        }
        if let Some(interval) = self.watchdog
            && self.watchdog_at <= now
        {
            self.watchdog_at = now + u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX / 2);
            notify::watchdog();
        }
    }

    /// Hands a reload on to the core.
    pub(super) fn reload(&mut self, now: u64) {
        let Core::Running { process, .. } = &self.core else { return };
        notify::reloading();
        self.reload = Some(Reload { before: self.estate.reloads(), until: now + RELOAD_NS_MAX });
        process.signal(Signal::SIGHUP);
    }

    /// Sends the core a signal, if there is one.
    pub(super) fn signal_core(&self, signal: Signal) {
        if let Core::Running { process, .. } | Core::Dying { process, .. } = &self.core {
            process.signal(signal);
        }
    }

    /// Takes note of what the core has left since the last look. A copy that cannot be read leaves
    /// the older one in force.
    fn read_estate(&mut self) {
        if self.estate.generation() == self.generation {
            return;
        }
        let Ok((generation, estate)) = self.estate.read(&mut self.buffer) else { return };
        if generation == self.generation {
            return;
        }
        let before = std::mem::replace(&mut self.known, estate);
        self.generation = generation;
        self.remember(&before);
        self.farewell.prepare(&self.known);
    }

    /// The last words are said: nobody says them again.
    fn forget(&mut self) {
        self.known = Estate::default();
        if let Ok(generation) = self.estate.publish(&self.known) {
            self.generation = generation;
        }
    }

    fn remember(&mut self, estate: &Estate) {
        let (addresses, ways) = all_held(estate);
        for held in addresses {
            if self.swept.len() < SWEPT_MAX && !self.swept.contains(&held) {
                self.swept.push(held);
            }
        }
        for way in ways {
            if self.swept_ways.len() < SWEPT_MAX && !self.swept_ways.contains(&way) {
                self.swept_ways.push(way);
            }
        }
    }

    /// Removes every address that this daemon may have left: the core adds no more.
    pub(super) fn sweep(&mut self) {
        let known = std::mem::take(&mut self.known);
        self.remember(&known);
        self.known = known;
        if !self.swept_ways.is_empty()
            && let Err(failure) = self.addresses.remove_ways(&self.swept_ways)
        {
            say("guardian", &failure.to_string());
        }
        if self.swept.is_empty() {
            return;
        }
        match self.addresses.release(&self.swept) {
            Ok(0) => {}
            Ok(count) => say("guardian", &format!("swept {count} addresses")),
            Err(failure) => say("guardian", &failure.to_string()),
        }
    }

    fn sweep_unless_kept(&mut self) {
        if !self.estate.is_kept() {
            self.sweep();
        }
    }

    fn limit(&self) -> u64 {
        limit_ns(self.estate.peers_alive(), self.estate.dead_ns())
    }

    fn crashes(&self, now: u64) -> usize {
        self.estate.crashes_within(now, CRASH_SPAN_NS)
    }
}
