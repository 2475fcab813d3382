//! One machine: its core, its guardian, its kernel, its cables.

use std::collections::VecDeque;
use std::time::Duration;

use evergate_core::ident::Incarnation;
use evergate_core::input::Input;
use evergate_core::{Instant, Machine};
use serde::Serialize;

use super::kernel::Kernel;
use super::wire::NEVER;
use crate::choice::Frozen;
use crate::planted::Actor;
use crate::setup::{CHECKS_MAX, GROUPS_MAX, SEGMENTS_MAX};

/// How many inputs wait for a process that does not run; more are lost, as in a socket buffer.
pub const INBOX_MAX: usize = 512;
/// How long the guardian waits before it removes the addresses of a dead core (design section 2).
pub const SWEEP_AFTER: Duration = Duration::from_millis(20);
/// How long the guardian keeps addresses for a new core while no peer lives (design section 2).
pub const KEEP_FOR: Duration = Duration::from_secs(2);
/// How long a new core needs to begin.
pub const CORE_STARTS: Duration = Duration::from_millis(200);
/// How long the core needs to start a new guardian.
pub const GUARDIAN_STARTS: Duration = Duration::from_millis(100);
/// How long it takes until the whole daemon is started again by the init system.
pub const DAEMON_STARTS: Duration = Duration::from_secs(1);
/// How long a beat of the core may be missing where no peer lives.
pub const LONELY_WAIT: Duration = Duration::from_secs(1);
/// After so many crashes in [`CRASH_WINDOW`] nothing is kept for a new core.
pub const CRASHES_MAX: usize = 3;
/// The time over which crashes are counted.
pub const CRASH_WINDOW: Duration = Duration::from_secs(60);

/// What is to be done for a core that is gone.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Orphan {
    /// When the guardian removes the addresses.
    pub sweep_at: Instant,
    /// When a new core begins.
    pub restart_at: Instant,
    /// The groups that a new core may go on with.
    pub adopt: [bool; GROUPS_MAX],
}

/// One machine.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Host {
    /// The core, if it runs.
    pub core: Option<Actor>,
    /// Whether the machine has power.
    pub power: bool,
    /// Whether its guardian runs.
    pub guardian: bool,
    /// When a new guardian begins.
    pub guardian_at: Instant,
    /// What does not run now, and until when.
    pub frozen: Option<(Frozen, Instant)>,
    /// When that began.
    pub frozen_at: Instant,
    /// When the guardian will have seen that the core does not beat.
    pub kill_at: Instant,
    /// What follows the core's death.
    pub orphan: Option<Orphan>,
    /// Inputs that wait until the core runs again.
    pub inbox: VecDeque<Input>,
    /// The kernel.
    pub kernel: Kernel,
    /// Whether each interface has carrier.
    pub carrier: [bool; SEGMENTS_MAX],
    /// Whether what it sends on each segment leaves.
    pub sends: [bool; SEGMENTS_MAX],
    /// Whether what others send on each segment arrives.
    pub hears: [bool; SEGMENTS_MAX],
    /// Whether what each check looks at is well.
    pub checks: [bool; CHECKS_MAX],
    /// Its present process.
    pub incarnation: Incarnation,
    /// How many cores it has had.
    pub births: u16,
    /// How many heartbeats each of its processes has sent, the present one last.
    pub sequences: Vec<u64>,
    /// When its core crashed, at most the last [`CRASHES_MAX`].
    pub crashes: VecDeque<Instant>,
    /// When something last happened to it that excuses a delay.
    pub disturbed: Instant,
    /// The core's deadline, as of its last step.
    pub deadline: Instant,
    /// When anything else here is due, as of the last change.
    pub due: Instant,
}

impl Host {
    /// A machine with power whose daemon starts at once.
    pub fn new() -> Self {
        Host {
            core: None,
            power: true,
            guardian: true,
            guardian_at: NEVER,
            frozen: None,
            frozen_at: Instant::ZERO,
            kill_at: NEVER,
            orphan: None,
            inbox: VecDeque::new(),
            kernel: Kernel::default(),
            carrier: [true; SEGMENTS_MAX],
            sends: [true; SEGMENTS_MAX],
            hears: [true; SEGMENTS_MAX],
            checks: [true; CHECKS_MAX],
            incarnation: Incarnation([0; 16]),
            births: 0,
            sequences: Vec::new(),
            crashes: VecDeque::new(),
            disturbed: Instant::ZERO,
            deadline: NEVER,
            due: NEVER,
        }
    }

    /// Whether the core exists and runs.
    pub fn runs(&self) -> bool {
        self.core.is_some() && self.frozen.is_none()
    }

    /// Whether its kernel works: it has power and is not stopped as a whole.
    pub fn is_up(&self) -> bool {
        self.power && !matches!(self.frozen, Some((Frozen::Machine, _)))
    }

    /// Whether it holds the addresses of a group where others can see it.
    pub fn holds(&self, group: usize) -> bool {
        self.is_up() && self.kernel.held[group].is_some()
    }

    /// Whether frames from others on a segment reach it.
    pub fn hears_on(&self, segment: usize) -> bool {
        self.power && self.carrier[segment] && self.hears[segment]
    }

    /// Whether its own frames leave on a segment.
    pub fn sends_on(&self, segment: usize) -> bool {
        self.is_up() && self.carrier[segment] && self.sends[segment]
    }

    /// Brings the two cached deadlines up to date.
    pub fn refresh(&mut self) {
        self.deadline = match &self.core {
            Some(actor) if self.frozen.is_none() => actor.deadline().unwrap_or(NEVER),
            Some(_) | None => NEVER,
        };
        self.refresh_due();
    }

    /// Brings the deadline of everything but the core up to date.
    pub fn refresh_due(&mut self) {
        self.due = match self.frozen {
            Some((Frozen::Machine, until)) => until,
            Some((Frozen::Core | Frozen::Processes, until)) => until.min(self.others_due()),
            None => self.others_due(),
        };
    }

    fn others_due(&self) -> Instant {
        let orphan = self.orphan.as_ref();
        let orphan = orphan.map_or(NEVER, |orphan| orphan.sweep_at.min(orphan.restart_at));
        self.kernel.due().min(self.guardian_at).min(self.kill_at).min(orphan)
    }
}

impl Default for Host {
    fn default() -> Self {
        Host::new()
    }
}
