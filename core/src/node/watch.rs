//! The peers: what comes from them, and how they are judged.

use super::Node;
use crate::config::PathKind;
use crate::effect::{Alarm, Discard, Effect, Note, View};
use crate::group::Sight;
use crate::heartbeat::GroupReport;
use crate::ident::{GroupId, Incarnation, NodeId, PathId, RouterId};
use crate::input::Received;
use crate::time::{Instant, earliest};
use crate::vrrp::ADVERTS_MISSED;

/// How many dead times all living peers must say that they do not hear us, before we believe it.
const UNHEARD_FOR: u32 = 2;

impl Node {
    /// Takes a heartbeat. True: the peers were judged with it, and nothing has changed for them since.
    pub(super) fn heartbeat(
        &mut self,
        now: Instant,
        received: &Received,
        out: &mut Vec<Effect>,
    ) -> bool {
        let me = self.config.me;
        if received.from == me {
            self.discard(me, Discard::Ourselves, out);
            return false;
        }
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == received.from) else {
            return false;
        };
        let body = &received.body;
        let about_us = body.peers.iter().find(|report| report.node == me);
        let judged = peer.session.receive(
            self.incarnation,
            received.incarnation,
            received.sequence,
            about_us,
        );
        let accepted = match judged {
            Ok(accepted) => accepted,
            Err(why) => {
                self.discard(received.from, why, out);
                return false;
            }
        };
        if accepted.new_process {
            *peer = super::Peer {
                session: peer.session.clone(),
                ..super::Peer::new(peer.node, peer.paths.len())
            };
            peer.met_at = Some(now);
        }
        peer.heard(now, received.path, received.stamp);
        if !accepted.newest {
            return false;
        }
        peer.last = Some(std::sync::Arc::clone(body));
        if let Some(report) = about_us {
            peer.heard_us(now, clock(now), report);
        }
        let differs = body.digest != self.config.digest;
        peer.differs_since = differs.then(|| peer.differs_since.unwrap_or(now));
        if accepted.new_process {
            self.urgent = true;
            let incarnation = received.incarnation;
            out.push(Effect::Note(Note::Accepted { node: received.from, incarnation }));
            let from = received.from;
            self.each_group(now, out, |group, _, _| group.forget_process(from));
        }
        self.review_peers(now, out);
        self.look_around(now);
        self.hear_reports(now, received.from, &body.groups, out);
        true
    }

    /// Tells the groups what a peer says of them, in their order; of two reports about one the first counts.
    /// Where there are many groups a heartbeat speaks of a few, and the others are left alone: with a thousand
    /// groups and a hundred heartbeats a second they would be nine tenths of all work.
    fn hear_reports(
        &mut self,
        now: Instant,
        from: NodeId,
        reports: &[GroupReport],
        out: &mut Vec<Effect>,
    ) {
        let mut ordered: Vec<&GroupReport> = reports.iter().collect();
        ordered.sort_by_key(|report| report.group);
        ordered.dedup_by_key(|report| report.group);
        for report in ordered {
            self.one_group(now, report.group, out, |group, scene, out| {
                group.hear_report(scene, from, report, out);
            });
        }
    }

    pub(super) fn will(
        &mut self,
        now: Instant,
        from: NodeId,
        incarnation: Incarnation,
        out: &mut Vec<Effect>,
    ) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == from) else { return };
        if !peer.session.end(incarnation) {
            return self.discard(from, Discard::Unproved, out);
        }
        self.review_peers(now, out);
    }

    /// Judges every peer anew and says what has changed.
    pub(super) fn review_peers(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for position in 0..self.peers.len() {
            let node = self.peers[position].node;
            let dead = self.dead(&self.peers[position]);
            let heard = self.peers[position].is_heard(&self.config, now, self.awake, dead);
            // Nobody is asked for whom we hear ourselves.
            let vouched = !heard && self.is_vouched_for(node, now);
            let peer = &mut self.peers[position];
            let former = peer.view;
            let changed = peer.review(&self.config, now, self.awake, dead, (heard, vouched));
            for path in changed {
                let alive = peer.paths[path.index()].alive;
                out.push(Effect::Note(Note::Path { node, path, alive }));
            }
            if peer.view != former {
                out.push(Effect::Note(Note::Peer { node, view: peer.view }));
                self.urgent = true;
            }
        }
    }

    /// Notes when a peer could be judged otherwise although nothing is heard.
    pub(super) fn look_ahead(&mut self, now: Instant) {
        let look =
            |peer: &super::Peer| peer.next_look(&self.config, now, self.awake, self.dead(peer));
        let unheard = self.unheard_at().filter(|at| *at > now);
        self.look_at = self.peers.iter().map(look).fold(unheard, earliest);
    }

    /// Whether another peer, which we hear ourselves, hears this one. Who is only vouched for does not
    /// count as a witness: two dead nodes would vouch for each other for ever.
    pub fn is_vouched_for(&self, node: NodeId, now: Instant) -> bool {
        self.peers.iter().any(|witness| {
            witness.node != node
                && witness.is_heard(&self.config, now, self.awake, self.dead(witness))
                && witness.report_about(node).is_some_and(|report| report.hears)
        })
    }

    /// Writes down how each node is seen, for the groups.
    pub(super) fn look_around(&mut self, now: Instant) {
        let me = self.config.me;
        self.sights.clear();
        self.sights.resize(self.config.nodes.len(), Sight::UNSEEN);
        for peer in &self.peers {
            let dead = self.dead(peer);
            self.sights[peer.node.index()] = Sight {
                view: peer.view,
                fresh: peer.is_heard(&self.config, now, self.awake, dead),
                hears_us: peer.hears(me),
                heard_at: peer.heard_at,
                ours: true,
            };
        }
        let mut living = self.sights.iter().filter(|sight| sight.lives()).peekable();
        let unheard = living.peek().is_some() && living.all(|sight| !sight.hears_us);
        self.unheard_since = unheard.then(|| self.unheard_since.unwrap_or(now));
    }

    /// When it becomes certain that no living peer hears us. What a peer says in the first moment of
    /// a healed split it said before it could have heard us.
    pub(super) fn unheard_at(&self) -> Option<Instant> {
        let waits = self.peers.iter().filter(|peer| peer.lives()).map(|peer| self.dead(peer));
        Some(self.unheard_since? + waits.max()? * UNHEARD_FOR)
    }

    /// What is wrong although nothing moves for it; looked at once a second.
    pub(super) fn review_alarms(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let mut alarms = Vec::new();
        for peer in &self.peers {
            for position in 0..peer.paths.len() {
                let path = PathId::at(position);
                if peer.view != View::Dead && peer.silent_on(path, now) {
                    alarms.push(Alarm::PathSilent { node: peer.node, path });
                }
            }
            if peer.lives() && peer.differs_since.is_some() {
                alarms.push(Alarm::ConfigDiffers(peer.node));
            }
        }
        for position in 0..self.groups.len() {
            self.review_adverts(now, GroupId::at(position), &mut alarms);
        }
        for alarm in alarms.iter().filter(|alarm| !self.alarms.contains(alarm)) {
            out.push(Effect::Note(Note::Alarm(*alarm)));
        }
        self.alarms = alarms;
    }

    /// Adverts of a living holder that do not arrive, although the path lives: something filters
    /// them. Left alone, this is how two nodes of other makes both become active.
    fn review_adverts(&self, now: Instant, id: GroupId, alarms: &mut Vec<Alarm>) {
        let (group, config) = (&self.groups[id.index()], &self.config.groups[id.index()]);
        let scene = self.scene(now, id);
        if scene.isolated && group.holder.is_none() && !group.holds() {
            alarms.push(Alarm::Isolated(id));
        }
        let Some((node, since)) = group.holder else { return };
        let patience = config.advert * (ADVERTS_MISSED + 1);
        for (position, router) in config.routers.iter().enumerate() {
            let heard = group.peer_advert_at.get(position).copied().flatten();
            let missing = now.since(heard.map_or(since, |at| at.max(since))) > patience;
            let path_lives = router
                .path
                .filter(|path| self.config.paths[path.index()].kind == PathKind::Router)
                .is_some_and(|path| self.peer_path_lives(node, path));
            if router.vrid.is_some() && missing && path_lives {
                alarms.push(Alarm::AdvertsMissing { group: id, router: RouterId::at(position) });
            }
        }
    }

    fn peer_path_lives(&self, node: NodeId, path: PathId) -> bool {
        let peer = self.peers.iter().find(|peer| peer.node == node);
        peer.is_some_and(|peer| peer.paths.get(path.index()).is_some_and(|view| view.alive))
    }
}

/// Our stamp for round trips: microseconds, wrapping.
#[allow(clippy::cast_possible_truncation, reason = "the stamp wraps by design")]
pub(super) fn clock(now: Instant) -> u32 {
    (now.as_nanos() / 1000) as u32
}
