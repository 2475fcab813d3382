//! The talk with the kernel: requests to hold the addresses and to let go of them, its answers, and
//! what follows where it refuses, is silent or loses an address.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Group, Scene, State};
use crate::config::LEASE;
use crate::effect::{Cause, Effect, Note, Occasion};
use crate::fault::Fault;
use crate::input::Refused;
use crate::time::Instant;

/// How many times a minute addresses that others delete are put back.
pub const PUT_BACK_MAX: usize = 5;
/// The minute of [`PUT_BACK_MAX`], and how long contested addresses stay a fault.
pub const PUT_BACK_WINDOW: Duration = Duration::from_secs(60);
/// Deletions within this time of each other count as one.
pub const PUT_BACK_BURST: Duration = Duration::from_millis(100);
/// The wait after the kernel has refused the addresses; doubled with every refusal in a row.
pub const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest such wait.
pub const RETRY_MAX: Duration = Duration::from_secs(32);

/// The requests to the kernel and its answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub(super) struct KernelTalk {
    serial: u32,
    /// The request that is not answered yet, and since when.
    pending: Option<Instant>,
    /// When the lease that it asks for ends, and when the last one that was granted does, counted
    /// from the request: the kernel counts from later.
    asked_until: Option<Instant>,
    granted_until: Option<Instant>,
    /// While the kernel has refused or does not answer: when it is asked again to let go.
    retry_at: Option<Instant>,
    /// How often in a row it has refused to hold.
    refusals: u32,
    /// How often in a row it has refused to let go, or has not answered.
    unreleased: u32,
    /// When addresses were put back, newest last.
    put_back: Vec<Instant>,
    /// Until when the addresses count as contested.
    contested_until: Option<Instant>,
}

impl Group {
    /// Since when the kernel owes an answer.
    pub fn kernel_pending(&self) -> Option<Instant> {
        self.kernel.pending
    }

    /// When the kernel is asked again after a refusal.
    pub fn kernel_retry_at(&self) -> Option<Instant> {
        self.kernel.retry_at
    }

    /// Until when the addresses count as contested.
    pub fn contested_until(&self) -> Option<Instant> {
        self.kernel.contested_until
    }

    pub(super) fn kernel_timers(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let now = scene.now;
        if self.retry_due().is_some_and(|at| at <= now) {
            // Before anything else, the kernel must let go: a release that it refused is tried again
            // here, and one that it took costs nothing.
            self.kernel.retry_at = None;
            self.own(scene, None, out);
        }
        if self.kernel.contested_until.take_if(|at| *at <= now).is_some() {
            self.kernel.put_back.clear();
            self.set_fault(scene, Fault::AddressContested, false, out);
        }
        if self.kernel.pending.is_some_and(|asked| now >= asked + LEASE) {
            self.clings(scene, Fault::KernelStuck, out);
            self.kernel.pending = None;
            if matches!(self.state, State::Releasing { .. }) {
                // What the kernel holds lapses by itself; whatever it says later is an old answer.
                self.enter(scene, State::Standby, Cause::Kernel, out);
                self.complete_handover(out);
            }
        }
    }

    /// When the kernel is asked once more to let go. Only a standby that waits for no answer asks:
    /// any other state has a request of its own.
    pub(super) fn retry_due(&self) -> Option<Instant> {
        let idle = matches!(self.state, State::Standby) && self.kernel.pending.is_none();
        self.kernel.retry_at.filter(|_| idle)
    }

    /// The kernel's answer to the newest request.
    pub fn owned(
        &mut self,
        scene: &Scene,
        serial: u32,
        result: Result<(), Refused>,
        out: &mut Vec<Effect>,
    ) {
        if self.faults.contains(Fault::KernelStuck) {
            if !self.faults.contains(Fault::KernelRefused) {
                self.kernel.retry_at = None;
            }
            self.set_fault(scene, Fault::KernelStuck, false, out);
        }
        if serial != self.kernel.serial {
            return;
        }
        self.kernel.pending = None;
        if self.holds() && result.is_ok() {
            self.kernel.granted_until = self.kernel.asked_until;
        }
        match (self.state, result) {
            (State::Claiming { cause, since, detect }, Ok(())) => {
                self.kernel.refusals = 0;
                self.become_active(scene, cause, since, detect, out);
            }
            (State::Claiming { .. } | State::Active { .. }, Err(_)) => self.refused(scene, out),
            (State::Releasing { .. }, result) => {
                self.enter(scene, State::Standby, Cause::Kernel, out);
                self.complete_handover(out);
                self.let_go(scene, result, out);
            }
            (State::Standby, result) => self.let_go(scene, result, out),
            (State::Active { .. }, Ok(())) | (State::Init, _) => {}
        }
    }

    /// The kernel was asked to let go. Once it has, the fault ends, unless it is to last for longer.
    fn let_go(&mut self, scene: &Scene, result: Result<(), Refused>, out: &mut Vec<Effect>) {
        if result.is_err() {
            return self.clings(scene, Fault::KernelRefused, out);
        }
        self.kernel.unreleased = 0;
        if self.kernel.retry_at.is_none() {
            self.set_fault(scene, Fault::KernelRefused, false, out);
        }
    }

    /// The kernel does not give us the addresses.
    fn refused(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        self.kernel.retry_at = Some(scene.now + next_wait(&mut self.kernel.refusals));
        self.set_fault(scene, Fault::KernelRefused, true, out);
    }

    /// The kernel does not let go of the addresses, or does not say so.
    fn clings(&mut self, scene: &Scene, fault: Fault, out: &mut Vec<Effect>) {
        self.kernel.retry_at = Some(scene.now + next_wait(&mut self.kernel.unreleased));
        self.set_fault(scene, fault, true, out);
    }

    /// An address is gone that we hold. Removed by others it is put back; but if the lease may have
    /// ended, we have not been holding it, and that is a resignation.
    pub fn address_lost(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let State::Active { .. } = self.state else { return };
        let now = scene.now;
        if self.kernel.granted_until.is_some_and(|end| end <= now) {
            return self.leave(scene, Cause::Kernel, out);
        }
        self.kernel.put_back.retain(|at| now.since(*at) < PUT_BACK_WINDOW);
        let last = self.kernel.put_back.last();
        if last.is_some_and(|at| now.since(*at) < PUT_BACK_BURST) {
            // One command may take several addresses: that is one deed.
            return self.own(scene, Some(scene.lease), out);
        }
        if self.kernel.put_back.len() >= PUT_BACK_MAX {
            self.kernel.contested_until = Some(now + PUT_BACK_WINDOW);
            self.set_fault(scene, Fault::AddressContested, true, out);
            return;
        }
        self.kernel.put_back.push(now);
        self.own(scene, Some(scene.lease), out);
        out.push(Effect::Announce { group: self.id, occasion: Occasion::Once });
        out.push(Effect::Note(Note::PutBack(self.id)));
    }

    /// Asks the kernel once more for everything, under the present configuration.
    pub(crate) fn hold_again(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        self.own(scene, Some(scene.lease), out);
        out.push(Effect::Announce { group: self.id, occasion: Occasion::Once });
    }

    /// Asks the kernel to let go once more, under the present configuration, if it is to let go or
    /// owes an answer: that one will not be known for ours.
    pub(crate) fn let_go_again(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        if matches!(self.state, State::Releasing { .. }) || self.kernel.pending.is_some() {
            self.own(scene, None, out);
        }
    }

    /// The serial of the last request to the kernel.
    pub(crate) fn kernel_serial(&self) -> u32 {
        self.kernel.serial
    }

    /// No request from here on has a serial up to `serial`.
    pub(crate) fn skip_serials(&mut self, serial: u32) {
        self.kernel.serial = serial;
    }

    pub(super) fn own(&mut self, scene: &Scene, lease: Option<Duration>, out: &mut Vec<Effect>) {
        self.kernel.serial = self.kernel.serial.wrapping_add(1);
        self.kernel.pending = Some(scene.now);
        self.kernel.asked_until = lease.map(|lease| scene.now + lease);
        out.push(Effect::Own { group: self.id, lease, serial: self.kernel.serial });
    }
}

/// The wait after one more refusal in a row.
fn next_wait(refusals: &mut u32) -> Duration {
    let wait = RETRY_FIRST * 2u32.saturating_pow((*refusals).min(5));
    *refusals = refusals.saturating_add(1);
    wait.min(RETRY_MAX)
}
