//! When to claim, and when to give way. Both are functions of what is known now, asked after every
//! fact: there is no edge that could be missed.

use std::time::Duration;

use super::handover::READY_STABLE;
use super::{Group, Scene, State};
use crate::config::Failback;
use crate::effect::{Cause, Effect, Note, Occasion, View};
use crate::heartbeat::{GroupReport, Role};
use crate::ident::{NodeId, Priority};
use crate::time::Instant;

/// The order between nodes: priority first, then the address (RFC 9568 §6.4.3), then the name, so
/// that it is total.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rank {
    priority: u8,
    tie: u128,
    name: std::cmp::Reverse<NodeId>,
}

/// Why a standby does not claim although nobody holds the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// A living peer holds it, or is about to.
    Held(NodeId),
    /// The node has a reason for fault, is locked or does not run the group.
    Unfit,
    /// A check that the group tracks has no result yet.
    Unchecked,
    /// The node has only just begun.
    Delayed {
        /// Until then.
        until: Instant,
    },
    /// A living, ready peer has a higher rank.
    Outranked(NodeId),
    /// Our own segments do not answer.
    Isolated,
    /// The down timer of a router still runs.
    Waiting {
        /// Until then.
        until: Instant,
    },
}

impl Group {
    /// Draws the consequences of all that is known. Called after every fact. True: nothing has changed by
    /// that, so that the same question has the same answer.
    pub fn decide(&mut self, scene: &Scene, out: &mut Vec<Effect>) -> bool {
        let former = self.decided(scene);
        let whole = cfg!(debug_assertions).then(|| self.clone());
        self.draw(scene, out);
        let same = self.decided(scene) == former;
        debug_assert!(!same || whole.is_none_or(|whole| whole == *self), "changed unseen");
        same
    }

    /// Whatever a decision changes, something here changes with it: the state if it asks the kernel or
    /// listens anew, and the end of the last down timer if the timers begin anew. To copy the whole group
    /// and to compare it costs much more than most decisions.
    fn decided(&self, scene: &Scene) -> impl PartialEq + use<> {
        let who = (self.holder, self.last_active, self.rival, self.predecessor, self.better);
        (self.state, who, self.handover, self.down_at(scene.config))
    }

    fn draw(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        self.remember_active(scene);
        self.settle_predecessor(scene, out);
        match self.state {
            State::Init | State::Releasing { .. } => {}
            State::Standby => match self.claim_reason(scene) {
                Ok((cause, detect)) => self.claim(scene, cause, detect, out),
                Err(_) => self.wait_on(scene),
            },
            State::Claiming { .. } | State::Active { .. } => match self.leave_reason(scene) {
                Some(cause) => self.leave(scene, cause, out),
                None => self.review_handover(scene, out),
            },
        }
    }

    /// Lets the down timers begin anew once the last of them has expired: whatever kept us from
    /// claiming is not a matter of time. One by one they would chase each other for ever.
    fn wait_on(&mut self, scene: &Scene) {
        let Some(priority) = self.priority(scene) else { return };
        if self.down_at(scene.config).is_none_or(|at| at > scene.now) {
            return;
        }
        for speaker in self.speakers.iter_mut().filter(|speaker| speaker.down_at <= scene.now) {
            speaker.heard = None;
            speaker.wait(scene.now, priority);
        }
    }

    /// Why this node should claim now, with the time since the last sign of life of the former
    /// holder; or what keeps it from claiming.
    pub fn claim_reason(&self, scene: &Scene) -> Result<(Cause, Duration), Obstacle> {
        if !self.is_fit(scene.config, scene.me) || scene.stopping {
            return Err(Obstacle::Unfit);
        }
        if self.weight.waits {
            return Err(Obstacle::Unchecked);
        }
        if let Some(until) = self.delayed_until {
            return Err(Obstacle::Delayed { until });
        }
        if let Some(from) = self.offered_by(scene) {
            return Ok((Cause::HandedOver(from), Duration::ZERO));
        }
        if let Some(holder) = self.held_by_peer(scene) {
            return Err(Obstacle::Held(holder));
        }
        let gone = self.vacated(scene);
        let timers = self.down_at(scene.config).filter(|at| *at <= scene.now).is_some();
        if let Some(better) = self.outranked_by(scene).filter(|_| !timers) {
            return Err(Obstacle::Outranked(better));
        }
        let reason = match gone {
            Some(reason) => reason,
            None if self.owner_claims(scene) => (Cause::Owner, Duration::ZERO),
            None if timers => (Cause::DownTimer, self.silence(scene)),
            None => {
                let until = self.down_at(scene.config).unwrap_or(scene.now);
                return Err(Obstacle::Waiting { until });
            }
        };
        if scene.isolated { Err(Obstacle::Isolated) } else { Ok(reason) }
    }

    /// The active peer that names us as its successor.
    fn offered_by(&self, scene: &Scene) -> Option<NodeId> {
        self.living(scene)
            .find(|(_, report)| report.role == Role::Active && report.successor == Some(scene.me))
            .map(|(node, _)| node)
    }

    /// A living peer that holds the group, or has begun to.
    fn held_by_peer(&self, scene: &Scene) -> Option<NodeId> {
        self.living(scene)
            .find(|(_, report)| matches!(report.role, Role::Active | Role::Claiming))
            .map(|(node, _)| node)
    }

    /// Whether the group is known to have no holder any more, so that no timer need be waited for.
    fn vacated(&self, scene: &Scene) -> Option<(Cause, Duration)> {
        if self.foreign_holder(scene) {
            return None;
        }
        match self.last_active {
            Some(node) if scene.sight(node).view == View::Dead => {
                Some((Cause::Died(node), self.silence_of(scene, node)))
            }
            Some(node) if scene.sight(node).lives() => Some((Cause::Resigned, Duration::ZERO)),
            Some(_) => None,
            None => self.bootstrap(scene),
        }
    }

    /// Nobody has held the group since we began, every peer of ours lives and says so, and any
    /// router of another make has had the time for an advert.
    fn bootstrap(&self, scene: &Scene) -> Option<(Cause, Duration)> {
        let mut peers = scene.sights.iter().enumerate().filter(|(_, sight)| sight.ours).peekable();
        peers.peek()?;
        let all_known = peers.all(|(position, sight)| {
            sight.lives() && self.reports[position].as_ref().is_some_and(|r| r.role != Role::Init)
        });
        let listened = scene.now >= self.bootstrap_at(scene.config);
        (all_known && listened).then_some((Cause::FirstInRank, Duration::ZERO))
    }

    /// The owner of the addresses waits for no timer (RFC 9568 §6.4.1 (350)). Where nodes of ours run the
    /// group too it listens first: one of them may hold it, and hands it over with its connections.
    fn owner_claims(&self, scene: &Scene) -> bool {
        let ours = |(position, sight): (usize, &super::Sight)| {
            sight.ours && scene.config.priority(NodeId::at(position)).is_some()
        };
        let waits = scene.sights.iter().enumerate().any(ours)
            && scene.now < self.bootstrap_at(scene.config);
        self.is_owner(scene) && !self.foreign_holder(scene) && !waits
    }

    /// When a starting node has listened long enough for any advert of another make.
    pub(super) fn bootstrap_at(&self, config: &crate::config::GroupConfig) -> Instant {
        self.started_at + config.advert * 5 / 4
    }

    /// Whether a router of another make holds the group: we follow its adverts and they are fresh.
    fn foreign_holder(&self, scene: &Scene) -> bool {
        self.speakers.iter().any(|speaker| speaker.heard.is_some() && speaker.down_at > scene.now)
    }

    /// The first living and ready peer that outranks us and hears at least what we hear. A peer that
    /// does not hear us counts too: it cannot know that we would claim.
    fn outranked_by(&self, scene: &Scene) -> Option<NodeId> {
        let ours = self.rank(scene);
        self.living(scene)
            .filter(|(_, report)| report.ready)
            .find(|(node, report)| rank_of(*node, report) > ours || !scene.sight(*node).hears_us)
            .map(|(node, _)| node)
    }

    /// Our own place in the order.
    pub fn rank(&self, scene: &Scene) -> Rank {
        let priority = self.priority(scene).map_or(0, |priority| priority.get());
        Rank { priority, tie: scene.tie(), name: std::cmp::Reverse(scene.me) }
    }

    /// The place of a peer in the order, by its last word.
    pub fn rank_of_peer(&self, node: NodeId) -> Option<Rank> {
        self.reports.get(node.index())?.as_ref().map(|report| rank_of(node, report))
    }

    /// The best living and ready peer, if any.
    pub fn best_peer(&self, scene: &Scene) -> Option<(NodeId, Rank)> {
        self.living(scene)
            .filter(|(node, report)| report.ready && self.stands_by(scene, *node))
            .map(|(node, report)| (node, rank_of(node, report)))
            .max_by_key(|(_, rank)| *rank)
    }

    /// Why this node, which holds the group or has begun to, must give it up.
    fn leave_reason(&self, scene: &Scene) -> Option<Cause> {
        if !self.faults.is_empty() {
            return Some(Cause::Fault);
        }
        if scene.config.priority(scene.me).is_none() {
            return Some(Cause::Configured);
        }
        if self.locked && self.handover.is_none() {
            return Some(Cause::Operator);
        }
        if scene.stopping && self.handover.is_none() {
            return Some(Cause::Shutdown);
        }
        let ours = self.rank(scene);
        let mut rivals = self.rivals(scene).peekable();
        if rivals.peek().is_some() && scene.unheard {
            return Some(Cause::Unheard);
        }
        rivals.any(|(_, rank)| rank > ours).then_some(Cause::Outranked)
    }

    /// The living peers that hold the group beside us, except the partner of a planned handover.
    pub fn rivals<'a>(&'a self, scene: &'a Scene) -> impl Iterator<Item = (NodeId, Rank)> + 'a {
        self.living(scene)
            .filter(|(_, report)| report.role == Role::Active)
            .filter(|(node, _)| self.predecessor.as_ref().is_none_or(|p| p.node != *node))
            .filter(|(node, _)| self.successor() != Some(*node))
            .map(|(node, report)| (node, rank_of(node, report)))
    }

    /// Keeps in mind who holds the group, for when nobody does. Another holder that has to give way
    /// to us is a rival until it has done so: its announcements may have drawn traffic away.
    fn remember_active(&mut self, scene: &Scene) {
        if matches!(self.state, State::Active { .. }) {
            let rival = self.rivals(scene).next().map(|(node, _)| node);
            if let Some(node) = rival.filter(|_| self.rival.is_none()) {
                let announce_at = scene.now + scene.config.advert;
                self.rival = Some(super::Rival { node: Some(node), announce_at });
            }
            self.holder = None;
            return;
        }
        let active = self.peers_in(scene, Role::Active).next();
        self.holder = active.map(|node| match self.holder {
            Some((known, since)) if known == node => (node, since),
            Some(_) | None => (node, scene.now),
        });
        self.last_active = active.or(self.last_active);
    }

    /// Ends the memory of a planned handover to us once the former holder has let go: only now are
    /// all neighbours surely ours, so everything is announced once more.
    fn settle_predecessor(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(predecessor) = &self.predecessor else { return };
        let report = self.reports[predecessor.node.index()].as_ref();
        // An offer that was taken back meanwhile, or was read too late: the usual order decides.
        if report.is_some_and(|r| r.role == Role::Active && r.successor != Some(scene.me)) {
            self.predecessor = None;
            return;
        }
        if !matches!(self.state, State::Active { .. }) {
            if !self.holds() {
                self.predecessor = None;
            }
            return;
        }
        let role = report.map(|report| report.role);
        let gone = !scene.sight(predecessor.node).lives()
            || !matches!(role, Some(Role::Active | Role::Releasing));
        if gone || predecessor.until <= scene.now {
            self.predecessor = None;
            out.push(Effect::Announce { group: self.id, occasion: Occasion::Once });
        }
    }

    /// When the last of the down timers expires: an advert on any router shows a living holder.
    pub(super) fn down_at(&self, config: &crate::config::GroupConfig) -> Option<Instant> {
        let speaking = |at: &usize| config.routers[*at].vrid.is_some();
        let all = 0..self.speakers.len();
        let speakers = all.clone().filter(speaking).map(|at| self.speakers[at].down_at).max();
        speakers.or_else(|| all.map(|at| self.speakers[at].down_at).max())
    }

    fn silence_of(&self, scene: &Scene, node: NodeId) -> Duration {
        scene.sight(node).heard_at.map_or(Duration::ZERO, |at| scene.now.since(at))
    }

    /// The time since the last advert on any router.
    fn silence(&self, scene: &Scene) -> Duration {
        let newest = self.speakers.iter().filter_map(|speaker| speaker.heard).map(|h| h.at).max();
        newest.map_or(Duration::ZERO, |at| scene.now.since(at))
    }

    /// When the better node gets the group, if nothing changes: after the delay of the failback, or,
    /// where checks have made it the better one, at once. The owner of the addresses gets it whatever the
    /// failback is (RFC 9568 §3). Not while the kernel owes an answer: it would
    /// let go of the addresses only after that, and the other node would have them long before.
    pub fn failback_at(&self, config: &crate::config::GroupConfig) -> Option<Instant> {
        let free = self.handover.is_none() && self.held.is_none();
        let better = self.better.filter(|_| free && self.kernel_pending().is_none())?;
        let at = match (better.by_checks, config.failback) {
            (true, _) => self.moves_at(better.since),
            (false, _) if config.priority(better.node) == Some(Priority::OWNER) => {
                better.since + READY_STABLE
            }
            (false, Failback::After(delay)) => better.since + delay.max(READY_STABLE),
            (false, Failback::Manual) => return None,
        };
        Some(at.max(self.failback_not_before))
    }

    /// Notes that another holder was seen, once.
    pub(super) fn note_conflict(&self, kept: bool, out: &mut Vec<Effect>) {
        out.push(Effect::Note(Note::Conflict { group: self.id, kept }));
    }
}

/// The place of a peer in the order, by its own report.
pub(super) fn rank_of(node: NodeId, report: &GroupReport) -> Rank {
    Rank { priority: report.priority.get(), tie: report.tie, name: std::cmp::Reverse(node) }
}
