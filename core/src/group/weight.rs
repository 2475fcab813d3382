//! What checks do to a group: reasons for fault, and the priority that is in force.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::handover::READY_STABLE;
use super::{Group, Scene, State};
use crate::check::{Check, Standing};
use crate::effect::Effect;
use crate::fault::Fault;
use crate::ident::{NodeId, Priority};
use crate::time::Instant;

/// The lowest priority that checks can bring about; the highest is that of a router that does not own
/// its addresses (RFC 9568 §5.2.4).
const PRIORITY_MIN: i32 = 1;
/// The highest priority that checks can bring about.
const PRIORITY_MAX: i32 = 254;
/// For so long after a takeover a better node has to stay better for `READY_STABLE` before it gets
/// the group: where a check depends on who is active, the group would be thrown to and fro.
pub const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// The sum of what checks do to the priority of a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Weight {
    /// What is added now.
    pub sum: i32,
    /// What would be added if every check passed.
    pub best: i32,
    /// A check has no result yet.
    pub waits: bool,
    /// When the sum last fell.
    pub fell_at: Option<Instant>,
}

impl Group {
    /// The priority of this node that is in force; `None` where the group does not run here.
    pub fn priority(&self, scene: &Scene) -> Option<Priority> {
        scene.config.priority(scene.me).map(|base| weighed(base, self.weight.sum))
    }

    /// Whether this node owns the addresses (RFC 9568 §5.2.4): no check changes that.
    pub fn is_owner(&self, scene: &Scene) -> bool {
        self.priority(scene) == Some(Priority::OWNER)
    }

    /// Draws the consequences of what checks say, by their numbers.
    pub(crate) fn weigh(&mut self, scene: &Scene, checks: &[Check], out: &mut Vec<Effect>) {
        let mut weight = Weight::default();
        let mut failed = Vec::new();
        for tracked in &scene.config.track {
            let Some(check) = checks.get(tracked.check.index()) else { continue };
            weight.sum += tracked.term(check.standing);
            weight.best += tracked.term(match check.standing {
                Standing::Value(_) => Standing::Value(0),
                _ => Standing::Passes,
            });
            weight.waits |= check.standing == Standing::Unknown;
            if tracked.is_fault(check.standing) {
                failed.push(Fault::Check(tracked.check));
            }
        }
        let fell = weight.sum < self.weight.sum;
        weight.fell_at = if fell { Some(scene.now) } else { self.weight.fell_at };
        self.weight = weight;
        let of_checks = self.faults.iter().filter(|fault| matches!(fault, Fault::Check(_)));
        let over: Vec<Fault> = of_checks.filter(|fault| !failed.contains(fault)).collect();
        failed.into_iter().for_each(|fault| self.set_fault(scene, fault, true, out));
        over.into_iter().for_each(|fault| self.set_fault(scene, fault, false, out));
    }

    /// Whether checks have taken more from us than from a peer, so that they and not the configuration
    /// have made it the better one.
    pub(super) fn is_weaker(&self, scene: &Scene, peer: NodeId) -> bool {
        let lost = |base: Option<Priority>, now: Option<Priority>| {
            let best = weighed(base?, self.weight.best);
            Some(i32::from(best.get()) - i32::from(now?.get()))
        };
        let ours = lost(scene.config.priority(scene.me), self.priority(scene));
        let report = self.reports[peer.index()].as_ref();
        let theirs = lost(scene.config.priority(peer), report.map(|report| report.priority));
        ours > theirs && theirs.is_some()
    }

    /// When a node gets the group that has been better since then because of checks: at once if one
    /// fails here. If it is the other node that has got better, ours may be about to: where both see the
    /// same thing come back, one of them sees it first.
    pub(super) fn moves_at(&self, better_since: Instant) -> Instant {
        let stable = better_since + READY_STABLE;
        let State::Active { since, .. } = self.state else { return stable };
        match self.weight.fell_at.filter(|fell| *fell >= better_since) {
            Some(fell) => fell.max(since + SETTLED_AFTER).min(stable.max(fell)),
            None => stable,
        }
    }
}

/// A priority with what checks add; that of an owner never changes.
fn weighed(base: Priority, sum: i32) -> Priority {
    if base == Priority::OWNER {
        return base;
    }
    let priority = (i32::from(base.get()) + sum).clamp(PRIORITY_MIN, PRIORITY_MAX);
    u8::try_from(priority).ok().and_then(Priority::new).unwrap_or(base)
}
