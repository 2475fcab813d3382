//! What must never happen, whatever goes wrong. Each law is a small file of its own; it looks at the
//! world after every step of a node and after every fault, and remembers as little as it can.
mod kernel_matches_claim;
mod no_endless_handover;
mod no_holder_with_fault;
mod one_holder;
mod replay_changes_nothing;
mod someone_holds;
mod standby_faults_move_nothing;

use std::fmt;
use std::time::Duration;

use evergate_core::{Instant, Machine};
use serde::{Deserialize, Serialize};

pub use kernel_matches_claim::KernelMatchesClaim;
pub use no_endless_handover::{ENTRIES_MAX, NoEndlessHandover};
pub use no_holder_with_fault::NoHolderWithFault;
pub use one_holder::OneHolder;
pub use someone_holds::{SomeoneHolds, VACANT_MAX};
pub use standby_faults_move_nothing::{SETTLED_AFTER, StandbyFaultsMoveNothing};

use crate::choice::Choice;
use crate::world::World;

/// The laws by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Law {
    /// Nodes that hear each other never hold the same addresses for longer than a bound.
    OneHolder,
    /// Some fit node holds the addresses within a bound after the last fault.
    SomeoneHolds,
    /// Who has a fault holds nothing.
    NoHolderWithFault,
    /// A group comes to rest after the last fault.
    NoEndlessHandover,
    /// Faults of standbys move nothing.
    StandbyFaultsMoveNothing,
    /// The kernel holds what its node claims to hold, and nothing else.
    KernelMatchesClaim,
    /// A replayed past changes nothing.
    ReplayChangesNothing,
    /// Time goes on: no machine asks for a moment that has passed, again and again.
    TimeGoesOn,
}

impl Law {
    /// All of them.
    pub const ALL: [Law; 8] = [
        Law::OneHolder,
        Law::SomeoneHolds,
        Law::NoHolderWithFault,
        Law::NoEndlessHandover,
        Law::StandbyFaultsMoveNothing,
        Law::KernelMatchesClaim,
        Law::ReplayChangesNothing,
        Law::TimeGoesOn,
    ];
}

/// A law was broken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// The group.
    pub group: usize,
    /// When, in microseconds since the world began.
    pub at_us: u64,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = Duration::from_micros(self.at_us).as_secs_f64();
        write!(f, "{:?} at {seconds:.6} s, group {}: {}", self.law, self.group, self.text)
    }
}

/// All laws with their memories.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct Laws {
    /// If set, only this law is looked at.
    pub only: Option<Law>,
    /// See [`Law::OneHolder`].
    pub one_holder: OneHolder,
    /// See [`Law::SomeoneHolds`].
    pub someone_holds: SomeoneHolds,
    /// See [`Law::NoHolderWithFault`].
    pub no_holder_with_fault: NoHolderWithFault,
    /// See [`Law::StandbyFaultsMoveNothing`].
    pub standby_faults: StandbyFaultsMoveNothing,
    /// See [`Law::KernelMatchesClaim`].
    pub kernel_matches_claim: KernelMatchesClaim,
}

impl Laws {
    /// One law alone.
    pub fn only(law: Law) -> Laws {
        Laws { only: Some(law), ..Laws::default() }
    }

    /// Looks at the world through every law.
    pub fn look(&mut self, world: &World) -> Result<(), Violation> {
        for group in 0..world.setup.groups.len() {
            self.ask(Law::OneHolder, world, group, |laws| laws.one_holder.look(world, group))?;
            self.ask(Law::SomeoneHolds, world, group, |laws| {
                laws.someone_holds.look(world, group)
            })?;
            self.ask(Law::NoHolderWithFault, world, group, |laws| {
                laws.no_holder_with_fault.look(world, group)
            })?;
            self.ask(Law::NoEndlessHandover, world, group, |_| {
                NoEndlessHandover::look(world, group)
            })?;
            self.ask(Law::StandbyFaultsMoveNothing, world, group, |laws| {
                laws.standby_faults.look(world, group)
            })?;
            self.ask(Law::KernelMatchesClaim, world, group, |laws| {
                laws.kernel_matches_claim.look(world, group)
            })?;
        }
        self.ask(Law::ReplayChangesNothing, world, 0, |_| replay_changes_nothing::look(world))
    }

    fn ask(
        &mut self,
        law: Law,
        world: &World,
        group: usize,
        look: impl FnOnce(&mut Self) -> Option<String>,
    ) -> Result<(), Violation> {
        if self.only.is_some_and(|only| only != law) {
            return Ok(());
        }
        let Some(text) = look(self) else { return Ok(()) };
        Err(Violation::new(law, world, group, text))
    }

    /// Something turns in circles.
    pub fn stuck(&self, world: &World, choice: Choice) -> Violation {
        let mut text = format!("stands still at {choice:?}");
        if let Choice::Tick { node } = choice
            && let Some(actor) = &world.hosts[node].core
        {
            text = format!("{text}, again at {:?}", actor.deadline());
        }
        Violation::new(Law::TimeGoesOn, world, 0, text)
    }
}

impl Violation {
    fn new(law: Law, world: &World, group: usize, text: String) -> Violation {
        let began = Instant::ZERO + crate::world::EPOCH;
        let at = world.now.since(began);
        let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        Violation { law, group, at_us, text }
    }
}

/// Since when something that must not last has lasted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct Since(pub Option<Instant>);

impl Since {
    /// Notes whether it is so now; returns for how long it has been so without a break, counted
    /// from `excused` at the earliest.
    pub fn note(&mut self, now: Instant, so: bool, excused: Instant) -> Duration {
        if !so {
            self.0 = None;
            return Duration::ZERO;
        }
        let began = *self.0.get_or_insert(now);
        now.since(began.max(excused))
    }
}
