//! A fake kernel: addresses with a lease, and calls that take time and may fail.

use std::collections::VecDeque;
use std::time::Duration;

use evergate_core::Instant;
use serde::Serialize;

use super::wire::NEVER;
use crate::setup::GROUPS_MAX;

/// How many calls may wait; the core has one open call for each group, so more is an error.
pub const CALLS_MAX: usize = 64;

/// A call that is not answered yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Call {
    /// The group.
    pub group: usize,
    /// The lease, or `None` to let go.
    pub lease: Option<Duration>,
    /// The serial of the request.
    pub serial: u32,
    /// When it is answered.
    pub at: Instant,
    /// It takes longer than it should, or waits behind one that does.
    pub slow: bool,
}

/// The kernel of one host.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct Kernel {
    /// Until when each group's addresses are held; `None`: not.
    pub held: [Option<Instant>; GROUPS_MAX],
    /// The calls that wait, one after the other.
    pub calls: VecDeque<Call>,
    /// How much longer the next call takes.
    pub extra: Duration,
    /// How many of the next calls fail.
    pub failing: u8,
    /// The last call that should have let go of a group has failed: the lease must end by itself.
    pub stranded: [bool; GROUPS_MAX],
}

impl Kernel {
    /// Takes a call. It is carried out after all that came before. True: it will be slow.
    pub fn call(&mut self, now: Instant, took: Duration, call: Call) -> bool {
        let begins = self.calls.back().map_or(now, |last| last.at.max(now));
        let extra = std::mem::take(&mut self.extra);
        let at = begins + took + extra;
        let slow = !extra.is_zero() || self.is_slow();
        if self.calls.len() < CALLS_MAX {
            self.calls.push_back(Call { at, slow, ..call });
        }
        slow
    }

    /// Carries out the first call, if it is due. `true` beside it: it succeeded.
    pub fn finish(&mut self, now: Instant) -> Option<(Call, bool)> {
        if self.calls.front()?.at > now {
            return None;
        }
        let call = self.calls.pop_front()?;
        if self.failing > 0 {
            self.failing -= 1;
            self.stranded[call.group] |= call.lease.is_none();
            return Some((call, false));
        }
        self.held[call.group] = call.lease.map(|lease| now + lease);
        // What was stranded is disturbed until now.
        let slow = call.slow || std::mem::take(&mut self.stranded[call.group]);
        Some((Call { slow, ..call }, true))
    }

    /// Whether a call waits that takes longer than it should.
    pub fn is_slow(&self) -> bool {
        self.calls.iter().any(|call| call.slow)
    }

    /// The core is gone: the call that the kernel has begun is carried out, the rest is forgotten.
    pub fn orphan(&mut self, now: Instant) {
        if let Some(call) = self.calls.front_mut() {
            call.at = now;
            let _ = self.finish(now);
        }
        self.calls.clear();
    }

    /// Removes what has lapsed; returns the first such group.
    pub fn lapse(&mut self, now: Instant) -> Option<usize> {
        let lapsed = |held: &Option<Instant>| held.is_some_and(|until| until <= now);
        let group = self.held.iter().position(lapsed)?;
        self.held[group] = None;
        self.stranded[group] = false;
        Some(group)
    }

    /// When something happens here by itself.
    pub fn due(&self) -> Instant {
        let call = self.calls.front().map_or(NEVER, |call| call.at);
        self.held.iter().flatten().fold(call, |first, until| first.min(*until))
    }
}
