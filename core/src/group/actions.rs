//! The transitions and what they send. The order of effects matters: adverts leave before the kernel
//! is asked, so that another holder lets go before our announcements go out.

use std::time::Duration;

use super::{Announcing, Group, Predecessor, Scene, State};
use crate::config::{BEATS_TOGETHER, LEASE};
use crate::effect::{Cause, Effect, Note, Occasion};
use crate::fault::Fault;
use crate::heartbeat::{GroupReport, Outcome, Role};
use crate::ident::{NodeId, RouterId};
use crate::time::Instant;
use crate::vrrp::Speaker;

/// The time between two announcements while a former holder may still answer for the addresses.
pub const ANNOUNCE_EVERY: Duration = Duration::from_millis(500);
/// How long announcements are repeated when the former holder has resigned.
pub const ANNOUNCE_FOR: Duration = Duration::from_secs(1);

impl Group {
    /// Begins: as standby, or as holder of what a former process has left.
    pub fn start(&mut self, scene: &Scene, adopted: bool, locked: bool, out: &mut Vec<Effect>) {
        self.locked = locked;
        self.asked = seed(scene.now);
        self.enter(scene, State::Standby, Cause::Started, out);
        self.listen(scene);
        let fit = self.is_fit(scene.config, scene.me);
        let delay = scene.config.conduct.start_delay;
        let end = Some(scene.began + delay).filter(|end| *end > scene.now);
        // What is held already is not given up for it.
        self.delayed_until = end.filter(|_| !(adopted && fit));
        if adopted && fit {
            self.claim(scene, Cause::Adopted, Duration::ZERO, out);
        } else if adopted {
            self.own(scene, None, out);
        }
    }

    /// The delay after our start is over: who has heard nobody listens for the whole down interval from
    /// now on, because frames may only begin to pass.
    fn end_delay(&mut self, scene: &Scene) {
        if self.delayed_until.take_if(|end| *end <= scene.now).is_none() {
            return;
        }
        self.started_at = scene.now;
        self.listening = true;
        let Some(priority) = self.priority(scene) else { return };
        for speaker in self.speakers.iter_mut().filter(|speaker| speaker.heard.is_none()) {
            speaker.wait(scene.now, priority);
        }
    }

    /// Listens for another holder for the whole down interval, as if just begun.
    pub fn listen(&mut self, scene: &Scene) {
        self.started_at = scene.now;
        self.listening = true;
        self.last_active = None;
        let Some(priority) = self.priority(scene) else { return };
        let advert = scene.config.advert;
        let fresh = |router: &crate::config::RouterConfig| {
            let missed = scene.config.conduct.down_after;
            Speaker::new((router.version, missed), advert, priority, scene.now)
        };
        self.speakers = scene.config.routers.iter().map(fresh).collect();
        self.peer_advert_at.resize(self.speakers.len(), None);
    }

    /// Lets time pass.
    pub fn tick(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let now = scene.now;
        self.end_delay(scene);
        if now >= self.bootstrap_at(scene.config) {
            self.listening = false;
        }
        self.kernel_timers(scene, out);
        self.forget_request(now, out);
        self.end_hold(now, out);
        self.decide(scene, out);
        let State::Active { since, mut advert_at, mut renew_at } = self.state else { return };
        let soon = now + BEATS_TOGETHER;
        if advert_at <= soon {
            self.advertise(scene, self.priority(scene).map_or(0, |p| p.get()), out);
            advert_at = next_beat(advert_at, scene.config.advert, now);
        }
        if renew_at <= soon {
            if self.kernel_pending().is_none() {
                self.own(scene, Some(scene.lease), out);
            }
            renew_at = next_beat(renew_at, crate::config::RENEW_EVERY, now);
        }
        self.state = State::Active { since, advert_at, renew_at };
        self.announce_again(scene, out);
    }

    fn announce_again(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let now = scene.now;
        if let Some(announcing) = self.announcing.as_mut().filter(|it| it.next <= now) {
            out.push(Effect::Announce { group: self.id, occasion: Occasion::Once });
            announcing.next = now + ANNOUNCE_EVERY;
            if announcing.next > announcing.until {
                self.announcing = None;
            }
        }
        let over = |rival: &mut super::Rival| rival.announce_at <= now;
        if let Some(rival) = self.rival.take_if(over) {
            // A node of ours may have drawn traffic away until now, whatever its routers' schedules are.
            let ours = rival.node.is_some();
            let occasion = if ours { Occasion::Once } else { Occasion::LowerGone };
            out.push(Effect::Announce { group: self.id, occasion });
            let still = rival.node.is_some_and(|node| self.rivals(scene).any(|(r, _)| r == node));
            if still {
                let announce_at = now + scene.config.advert;
                self.rival = Some(super::Rival { node: rival.node, announce_at });
            }
        }
    }

    /// Takes a peer's report.
    pub fn hear_report(
        &mut self,
        scene: &Scene,
        node: NodeId,
        report: &GroupReport,
        out: &mut Vec<Effect>,
    ) {
        self.term = self.term.max(report.term);
        if report.role == Role::Active
            && !self.holds()
            && let Some(priority) = self.priority(scene)
        {
            // The heartbeat of an active peer is as good as its advert on every router.
            for speaker in &mut self.speakers {
                speaker.heard = None;
                speaker.wait(scene.now, priority);
            }
        }
        self.reports[node.index()] = Some(report.clone());
        self.take_request(scene, node, out);
        self.read_answer(scene, node, out);
    }

    /// Adds or removes a reason for fault. After the last one has gone, the node listens anew.
    pub fn set_fault(&mut self, scene: &Scene, fault: Fault, present: bool, out: &mut Vec<Effect>) {
        let former = self.role();
        if !self.faults.set(fault, present) {
            return;
        }
        out.push(Effect::Note(Note::Fault { group: self.id, fault, present }));
        if self.faults.is_empty() && matches!(self.state, State::Standby) {
            self.listen(scene);
        }
        let cause = if present { Cause::Fault } else { Cause::FaultCleared };
        self.note_role(scene, former, cause, out);
    }

    /// Locks this node out, or lets it take part again.
    pub fn set_locked(&mut self, scene: &Scene, locked: bool, out: &mut Vec<Effect>) {
        let former = self.role();
        if self.locked == locked {
            return;
        }
        self.locked = locked;
        if locked {
            self.make_way(scene, super::Origin::Lock, out);
        } else if matches!(self.state, State::Standby) {
            self.listen(scene);
        }
        self.note_role(scene, former, Cause::Operator, out);
    }

    /// Decides to take over.
    pub(super) fn claim(
        &mut self,
        scene: &Scene,
        cause: Cause,
        detect: Duration,
        out: &mut Vec<Effect>,
    ) {
        let from = match cause {
            Cause::HandedOver(node) => Some(node),
            _ => None,
        };
        self.term = self.term.wrapping_add(1);
        self.enter(scene, State::Claiming { cause, since: scene.now, detect }, cause, out);
        match from {
            Some(node) => {
                let told = self.reports[node.index()].as_ref().and_then(|report| report.held);
                self.set_held(told.map(|held| held.map(|left| scene.now + left)), out);
                let until = scene.now + super::HANDOVER_LIMIT;
                self.predecessor = Some(Predecessor { node, until });
            }
            None => {
                self.set_held(None, out);
                self.advertise(scene, self.priority(scene).map_or(0, |p| p.get()), out);
            }
        }
        self.own(scene, Some(scene.lease), out);
    }

    /// Gives the group up.
    pub(crate) fn leave(&mut self, scene: &Scene, cause: Cause, out: &mut Vec<Effect>) {
        // Who goes for another reason than that somebody else is there says so: a standby then waits
        // for its skew time only (RFC 9568 §6.4.3 (655)).
        let quietly = matches!(
            cause,
            Cause::Outranked | Cause::Unheard | Cause::Paused | Cause::HandsOver(_)
        );
        if cause == Cause::Outranked || cause == Cause::Unheard {
            self.note_conflict(false, out);
        }
        if !quietly {
            self.advertise(scene, 0, out);
        }
        self.announcing = None;
        self.rival = None;
        self.better = None;
        self.set_held(None, out);
        self.enter(scene, State::Releasing { since: scene.now }, cause, out);
        self.own(scene, None, out);
        self.listen(scene);
        self.last_active = match cause {
            Cause::HandsOver(node) => Some(node),
            _ => self.peers_in(scene, Role::Active).next(),
        };
        if !matches!(cause, Cause::HandsOver(_)) {
            self.end_handover(Outcome::Failed, out);
        }
    }

    /// The adverts can be numbered no further: a new election begins with new numbers.
    pub fn exhausted(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        if self.holds() {
            self.leave(scene, Cause::Exhausted, out);
        }
    }

    /// This process did not run for longer than peers wait: what it holds may be held by another.
    pub fn paused(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        if self.holds() {
            self.leave(scene, Cause::Paused, out);
        }
        self.reports.iter_mut().for_each(|report| *report = None);
        self.listen(scene);
    }

    pub(super) fn become_active(
        &mut self,
        scene: &Scene,
        cause: Cause,
        since: Instant,
        detect: Duration,
        out: &mut Vec<Effect>,
    ) {
        let now = scene.now;
        let advert_at = now + scene.config.advert;
        let renew_at = now + crate::config::RENEW_EVERY;
        self.enter(scene, State::Active { since: now, advert_at, renew_at }, cause, out);
        if let Cause::HandedOver(_) = cause {
            self.advertise(scene, self.priority(scene).map_or(0, |p| p.get()), out);
        }
        out.push(Effect::Announce { group: self.id, occasion: Occasion::TookOver });
        // A former holder that has not resigned may answer for the addresses until its lease ends.
        let silent =
            matches!(cause, Cause::Died(_) | Cause::DownTimer | Cause::FirstInRank | Cause::Owner);
        let until = now + if silent { LEASE + ANNOUNCE_FOR } else { ANNOUNCE_FOR };
        self.announcing = Some(Announcing { next: now + ANNOUNCE_EVERY, until });
        let addresses = now.since(since);
        out.push(Effect::Note(Note::TookOver { group: self.id, cause, detect, addresses }));
    }

    fn advertise(&self, scene: &Scene, priority: u8, out: &mut Vec<Effect>) {
        for router in 0..scene.config.routers.len() {
            self.speak(scene, RouterId::at(router), priority, out);
        }
    }

    pub(super) fn speak(
        &self,
        scene: &Scene,
        router: RouterId,
        priority: u8,
        out: &mut Vec<Effect>,
    ) {
        if scene.config.routers.get(router.index()).is_some_and(|router| router.vrid.is_some()) {
            out.push(Effect::Advertise { group: self.id, router, priority });
        }
    }

    pub(super) fn enter(
        &mut self,
        scene: &Scene,
        next: State,
        cause: Cause,
        out: &mut Vec<Effect>,
    ) {
        let former = self.role();
        self.state = next;
        self.note_role(scene, former, cause, out);
    }

    fn note_role(&mut self, scene: &Scene, from: Role, cause: Cause, out: &mut Vec<Effect>) {
        let to = self.role();
        if from != to {
            self.last_change = (scene.now, cause);
            out.push(Effect::Note(Note::Role { group: self.id, from, to, cause }));
        }
    }
}

/// Where the serials of a process begin: no two processes begin in the same nanosecond, give or take
/// what wraps.
#[allow(clippy::cast_possible_truncation, reason = "it wraps by design")]
fn seed(now: Instant) -> u32 {
    now.as_nanos() as u32
}

/// The next moment of a regular event, without catching up on what was missed.
pub(crate) fn next_beat(due: Instant, every: Duration, now: Instant) -> Instant {
    let next = due + every;
    if next > now { next } else { now + every }
}
