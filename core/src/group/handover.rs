//! Planned handovers: the successor is up before the former holder lets go.
//!
//! ```text
//!   active                        successor
//!     │ report: successor = you ─────► │ claims: addresses, announcement
//!     │ ◄──────────── report: active   │
//!     │ releases                       │
//!     │ report: standby ─────────────► │ announces again
//! ```
//!
//! All of it is in the heartbeats, which are whole pictures, so a lost one costs an interval and no
//! more. The same path serves an operator's switchover, failback, a lock and an orderly end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::election::rank_of;
use super::{Asking, Better, Group, Scene, State};
use crate::effect::{Cause, Effect, Note};
use crate::heartbeat::{Answered, Hold, Outcome, Refusal, Request, RequestKind, Role};
use crate::ident::NodeId;
use crate::time::Instant;

/// How long a planned handover without an operator may take.
pub const HANDOVER_LIMIT: Duration = Duration::from_secs(1);
/// How long a better node must have been ready without a break before it gets the group back.
pub const READY_STABLE: Duration = Duration::from_secs(1);
/// How long an operator's handover waits for a standby that is not ready yet: after a handover its
/// copies are in doubt until sums agree again, and configurations may differ while files are copied.
pub const READY_PATIENCE: Duration = Duration::from_secs(3);
/// How long no further failback is tried after one that failed.
pub const FAILBACK_PAUSE: Duration = Duration::from_secs(30);

/// A planned handover that the active node carries out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Handover {
    /// The successor.
    pub to: NodeId,
    /// Given up then.
    pub until: Instant,
    /// How the group is held on the successor afterwards, if it is.
    pub hold: Option<Hold<Duration>>,
    /// Who wants it.
    pub origin: Origin,
    /// While it has not begun, because the target is not ready yet: it is refused then.
    pub begins_by: Option<Instant>,
}

impl Handover {
    /// When it is looked at again, if nothing happens.
    pub(super) fn deadline(&self) -> Instant {
        self.begins_by.unwrap_or(self.until)
    }
}

/// Who wants a handover, and so who is told what came of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// An operator on this node.
    Operator {
        /// The token of the command.
        token: u64,
    },
    /// An operator on another node.
    Peer {
        /// That node.
        node: NodeId,
        /// The serial of its request.
        serial: u32,
    },
    /// The configuration: the preferred node is ready again.
    Failback,
    /// Checks fail here that do not fail on the other node.
    Checks,
    /// This node is being locked out of the group.
    Lock,
    /// This process ends.
    Shutdown,
}

impl Group {
    /// An operator's wish on this node. If a peer is active, it is asked; otherwise we act.
    pub fn wish(&mut self, scene: &Scene, token: u64, kind: RequestKind, out: &mut Vec<Effect>) {
        let origin = Origin::Operator { token };
        if matches!(self.state, State::Active { .. }) {
            return self.order(scene, origin, kind, out);
        }
        if self.peers_in(scene, Role::Active).next().is_none() {
            return self.conclude(origin, Outcome::Refused(Refusal::NoActive), out);
        }
        if self.asking.is_some() {
            return self.conclude(origin, Outcome::Refused(Refusal::Busy), out);
        }
        self.asked = self.asked.wrapping_add(1);
        let (RequestKind::Switchover { within, .. } | RequestKind::Failback { within }) = kind;
        let request = Request { serial: self.asked, kind };
        self.asking = Some(Asking { request, token, until: scene.now + within });
    }

    /// Takes the request of a peer, once.
    pub(super) fn take_request(&mut self, scene: &Scene, node: NodeId, out: &mut Vec<Effect>) {
        let report = self.reports[node.index()].as_ref();
        let Some(request) = report.and_then(|report| report.request) else { return };
        let taken = self.taken[node.index()] == Some(request.serial);
        if !matches!(self.state, State::Active { .. }) || taken {
            return;
        }
        self.taken[node.index()] = Some(request.serial);
        let origin = Origin::Peer { node, serial: request.serial };
        self.order(scene, origin, request.kind, out);
    }

    /// Looks whether the request that we made was answered.
    pub(super) fn read_answer(&mut self, scene: &Scene, node: NodeId, out: &mut Vec<Effect>) {
        let Some(asking) = &self.asking else { return };
        let report = self.reports[node.index()].as_ref();
        let Some(answered) = report.and_then(|report| report.answered) else { return };
        if answered.node == scene.me && answered.serial == asking.request.serial {
            out.push(Effect::Answer { token: asking.token, outcome: answered.outcome });
            self.asking = None;
        }
    }

    /// A new process of a node: what a former one has said, asked and was told is not its concern.
    pub(crate) fn forget_process(&mut self, node: NodeId) {
        self.reports[node.index()] = None;
        self.taken[node.index()] = None;
        self.answered = self.answered.filter(|answered| answered.node != node);
    }

    /// We are active and shall hand over.
    fn order(&mut self, scene: &Scene, origin: Origin, kind: RequestKind, out: &mut Vec<Effect>) {
        if self.is_busy() {
            return self.conclude(origin, Outcome::Refused(Refusal::Busy), out);
        }
        let (target, within, hold) = match kind {
            RequestKind::Switchover { to, within, hold } => {
                (Some(to), within, Some(hold).filter(|_| !self.prefers(scene, to)))
            }
            RequestKind::Failback { within } => {
                self.set_held(None, out);
                (self.preferred_peer(scene), within, None)
            }
        };
        let Some(target) = target else {
            return self.conclude(origin, Outcome::Done { gap: Duration::ZERO }, out);
        };
        let begins_by = match self.refusal(scene, target) {
            None => None,
            Some(Refusal::NotReady) if self.stands_by(scene, target) => {
                Some(scene.now + READY_PATIENCE.min(within / 2))
            }
            Some(why) => return self.conclude(origin, Outcome::Refused(why), out),
        };
        let until = scene.now + within;
        self.handover = Some(Handover { to: target, until, hold, origin, begins_by });
    }

    /// Begins a handover that no operator has asked for.
    fn hand_to(&mut self, scene: &Scene, to: NodeId, origin: Origin) {
        let until = scene.now + HANDOVER_LIMIT;
        self.handover = Some(Handover { to, until, hold: None, origin, begins_by: None });
    }

    /// The target of a handover that has begun.
    pub fn successor(&self) -> Option<NodeId> {
        self.begun().map(|handover| handover.to)
    }

    /// A handover that has begun.
    pub(super) fn begun(&self) -> Option<&Handover> {
        self.handover.as_ref().filter(|handover| handover.begins_by.is_none())
    }

    /// Whether a peer could soon be ready: no check has failed there and nobody has locked it out.
    pub(super) fn stands_by(&self, scene: &Scene, node: NodeId) -> bool {
        let role = self.reports[node.index()].as_ref().map(|report| report.role);
        let sight = scene.sight(node);
        sight.lives() && sight.hears_us && role == Some(Role::Standby)
    }

    /// Whether a handover is under way, from us or to us.
    pub fn is_busy(&self) -> bool {
        self.handover.is_some() || self.predecessor.is_some()
    }

    /// Why a handover to this node cannot begin now.
    fn refusal(&self, scene: &Scene, to: NodeId) -> Option<Refusal> {
        if to == scene.me {
            return Some(Refusal::AlreadyThere);
        }
        if !scene.sight(to).ours || scene.config.priority(to).is_none() {
            return Some(Refusal::NotAMember);
        }
        let says_ready = self.reports[to.index()].as_ref().is_some_and(|report| report.ready);
        (!says_ready || !self.stands_by(scene, to)).then_some(Refusal::NotReady)
    }

    /// Whether no other configured node has a higher priority than this one.
    fn prefers(&self, scene: &Scene, node: NodeId) -> bool {
        let best = scene.config.priorities.iter().flatten().max();
        scene.config.priority(node).as_ref() == best
    }

    /// A ready peer that outranks us, if any: where a failback goes.
    fn preferred_peer(&self, scene: &Scene) -> Option<NodeId> {
        let ours = self.rank(scene);
        self.best_peer(scene).filter(|(_, rank)| *rank > ours).map(|(node, _)| node)
    }

    /// Active: begins, supervises and abandons handovers.
    pub(super) fn review_handover(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let State::Active { .. } = self.state else { return };
        let Some(handover) = self.handover else { return self.consider_failback(scene) };
        if let Some(begins_by) = handover.begins_by {
            return self.await_successor(scene, handover, begins_by, out);
        }
        let report = self.reports[handover.to.index()].as_ref();
        let role = report.map(|report| report.role);
        if scene.sight(handover.to).lives() && role == Some(Role::Active) {
            return self.leave(scene, Cause::HandsOver(handover.to), out);
        }
        let hopeless = !scene.sight(handover.to).lives()
            || !matches!(role, Some(Role::Standby | Role::Claiming))
            || report.is_some_and(|report| !report.ready && report.role == Role::Standby);
        if hopeless || handover.until <= scene.now {
            self.abandon_handover(scene, out);
        }
    }

    /// Begins the handover as soon as its target is ready, or refuses it.
    fn await_successor(
        &mut self,
        scene: &Scene,
        handover: Handover,
        begins_by: Instant,
        out: &mut Vec<Effect>,
    ) {
        match self.refusal(scene, handover.to) {
            None => self.handover = Some(Handover { begins_by: None, ..handover }),
            Some(why) if begins_by <= scene.now || !self.stands_by(scene, handover.to) => {
                self.end_handover(Outcome::Refused(why), out);
            }
            Some(_) => {}
        }
    }

    /// The successor did not make it: the group stays here, unless we have to go anyway.
    fn abandon_handover(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(Handover { origin, .. }) = self.handover else { return };
        self.failback_not_before = scene.now + FAILBACK_PAUSE;
        self.end_handover(Outcome::Failed, out);
        match origin {
            Origin::Lock => self.leave(scene, Cause::Operator, out),
            Origin::Shutdown => self.leave(scene, Cause::Shutdown, out),
            Origin::Operator { .. } | Origin::Peer { .. } | Origin::Failback | Origin::Checks => {}
        }
    }

    /// The successor is active and we have let go, or have asked the kernel for it in vain: then the
    /// lease ends by itself.
    pub(crate) fn complete_handover(&mut self, out: &mut Vec<Effect>) {
        // No gap: the successor held the addresses before we let go.
        self.end_handover(Outcome::Done { gap: Duration::ZERO }, out);
    }

    /// A planned handover, if one is under way, is over: whoever wanted it is told.
    pub(super) fn end_handover(&mut self, outcome: Outcome, out: &mut Vec<Effect>) {
        if let Some(handover) = self.handover.take() {
            let outcome = match (handover.begins_by, outcome) {
                (None, outcome) | (Some(_), outcome @ Outcome::Refused(_)) => outcome,
                (Some(_), _) => Outcome::Refused(Refusal::NotReady),
            };
            self.conclude(handover.origin, outcome, out);
        }
    }

    /// Active: a better node that stays ready gets the group back; one that is better because checks
    /// fail here gets it at once.
    fn consider_failback(&mut self, scene: &Scene) {
        let since = |known: &Better, node: NodeId| (known.node == node).then_some(known.since);
        let better = self.preferred_peer(scene);
        self.better = better.map(|node| Better {
            node,
            since: self.better.and_then(|known| since(&known, node)).unwrap_or(scene.now),
            by_checks: self.is_weaker(scene, node),
        });
        if self.failback_at(scene.config).is_some_and(|at| at <= scene.now)
            && let Some(better) = self.better
        {
            let origin = if better.by_checks { Origin::Checks } else { Origin::Failback };
            self.hand_to(scene, better.node, origin);
        }
    }

    /// Hands over before this node is locked out or ends, if anybody is ready; otherwise the group
    /// is given up at once.
    pub fn make_way(&mut self, scene: &Scene, origin: Origin, out: &mut Vec<Effect>) {
        if !matches!(self.state, State::Active { .. }) || self.begun().is_some() {
            return;
        }
        self.end_handover(Outcome::Failed, out);
        if let Some((node, _)) = self.best_peer(scene) {
            self.hand_to(scene, node, origin);
        }
    }

    /// Tells whoever wanted a handover what came of it.
    fn conclude(&mut self, origin: Origin, outcome: Outcome, out: &mut Vec<Effect>) {
        match origin {
            Origin::Operator { token } => out.push(Effect::Answer { token, outcome }),
            Origin::Peer { node, serial } => {
                self.answered = Some(Answered { node, serial, outcome });
            }
            Origin::Failback | Origin::Checks | Origin::Lock | Origin::Shutdown => {}
        }
        if let Outcome::Refused(why) = outcome {
            out.push(Effect::Note(Note::HandoverRefused { group: self.id, why }));
        }
    }

    /// The group is not in the new configuration: nobody will answer.
    pub(crate) fn drop_request(&mut self, out: &mut Vec<Effect>) {
        if let Some(asking) = self.asking.take() {
            let outcome = Outcome::Refused(Refusal::NoActive);
            out.push(Effect::Answer { token: asking.token, outcome });
        }
    }

    /// Gives up waiting for an answer.
    pub(super) fn forget_request(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if let Some(asking) = self.asking.take_if(|asking| asking.until <= now) {
            let outcome = Outcome::Refused(Refusal::TimedOut);
            out.push(Effect::Answer { token: asking.token, outcome });
        }
    }

    /// A hold with an end is over: priority decides again.
    pub(super) fn end_hold(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.hold_ends_at().is_some_and(|end| end <= now) {
            self.set_held(None, out);
        }
    }

    /// When the hold ends by itself.
    pub(super) fn hold_ends_at(&self) -> Option<Instant> {
        self.held.and_then(Hold::end)
    }

    /// The group is held here by an operator's word, or no longer.
    pub(super) fn set_held(&mut self, held: Option<Hold<Instant>>, out: &mut Vec<Effect>) {
        if self.held != held {
            self.held = held;
            out.push(Effect::Note(Note::Held { group: self.id, held }));
        }
    }

    /// The best target for a switchover without a name: one that is ready, or could soon be.
    pub fn default_target(&self, scene: &Scene) -> Option<NodeId> {
        let active = self.active_node(scene)?;
        let others =
            self.living(scene).filter(|(node, _)| *node != active && self.stands_by(scene, *node));
        let others = others.map(|(node, report)| (report.ready, rank_of(node, report), node));
        let ours = (self.is_ready(scene), self.rank(scene), scene.me);
        let ours = (self.role() == Role::Standby).then_some(ours);
        others.chain(ours).max_by_key(|(ready, rank, _)| (*ready, *rank)).map(|(.., node)| node)
    }
}
