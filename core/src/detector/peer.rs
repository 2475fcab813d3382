//! One peer: what was heard from it on each path, and what follows from that.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pace::{DEAD_MIN, HEARTBEATS_MISSED, dead_time};
use super::session::Session;
use crate::config::{Config, SLOW_HEARTBEAT};
use crate::effect::View;
use crate::heartbeat::{Heartbeat, PathReport, PeerReport};
use crate::ident::{NodeId, PathId};
use crate::time::{Instant, earliest};

/// How long a path may stay unheard after its peer was first heard, before that is silence.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// A peer of our own make, as seen from here.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Who it is.
    pub node: NodeId,
    /// Which of its processes counts.
    pub session: Session,
    /// Its view on each path, by [`PathId`].
    pub paths: Vec<PathView>,
    /// The last heartbeat that counted.
    pub last: Option<Arc<Heartbeat>>,
    /// When that was.
    pub heard_at: Option<Instant>,
    /// When its present process was first heard.
    pub met_at: Option<Instant>,
    /// The present verdict.
    pub view: View,
    /// Since when its configuration differs from ours.
    pub differs_since: Option<Instant>,
}

/// What is known of one path to one peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct PathView {
    /// When a heartbeat last came on it.
    pub heard_at: Option<Instant>,
    /// The sender's stamp of that heartbeat, to be sent back.
    pub stamp: u32,
    /// When the peer last heard us on it, as computed from its own words.
    pub heard_us_at: Option<Instant>,
    /// The last round trip.
    pub round_trip: Option<Duration>,
    /// Whether both directions worked at the last review.
    pub alive: bool,
}

impl Peer {
    /// A peer that was never heard, on `paths` paths.
    pub fn new(node: NodeId, paths: usize) -> Self {
        Peer {
            node,
            session: Session::default(),
            paths: vec![PathView::default(); paths],
            last: None,
            heard_at: None,
            met_at: None,
            view: View::Unknown,
            differs_since: None,
        }
    }

    /// Notes that a heartbeat that counts came on a path.
    pub fn heard(&mut self, now: Instant, path: PathId, stamp: u32) {
        self.heard_at = Some(now);
        if let Some(view) = self.paths.get_mut(path.index()) {
            view.heard_at = Some(now);
            view.stamp = stamp;
        }
    }

    /// Takes what the peer says about how it hears us. `clock` is our stamp at this moment.
    pub fn heard_us(&mut self, now: Instant, clock: u32, report: &PeerReport) {
        for said in &report.paths {
            let Some(view) = self.paths.get_mut(said.path.index()) else { continue };
            view.heard_us_at = view.heard_us_at.max(Some(now.before(said.age)));
            let age = u32::try_from(said.age.as_micros()).unwrap_or(u32::MAX);
            let trip = clock.wrapping_sub(said.stamp).wrapping_sub(age);
            let plausible = u32::try_from(SLOW_HEARTBEAT.as_micros()).unwrap_or(u32::MAX);
            if trip < plausible {
                view.round_trip = Some(Duration::from_micros(u64::from(trip)));
            }
        }
    }

    /// The dead time that we apply to it: from its own announcements and our own lateness.
    pub fn dead(&self, config: &Config, own_lateness: Duration) -> Duration {
        match &self.last {
            Some(last) => dead_time(last.interval, last.lateness.max(own_lateness)),
            None => dead_time(config.heartbeat, own_lateness),
        }
    }

    /// The dead time that it applies to us, as it says; at least [`DEAD_MIN`].
    pub fn applies_to(&self, me: NodeId) -> Option<Duration> {
        self.report_about(me).map(|report| report.dead.max(DEAD_MIN))
    }

    /// What its last heartbeat says about a node.
    pub fn report_about(&self, node: NodeId) -> Option<&PeerReport> {
        self.last.as_ref()?.peers.iter().find(|report| report.node == node)
    }

    /// Whether it hears us, by its own words.
    pub fn hears(&self, me: NodeId) -> bool {
        self.report_about(me).is_some_and(|report| report.hears)
    }

    /// Whether it is a node that may act now: alive or in doubt.
    pub fn lives(&self) -> bool {
        matches!(self.view, View::Alive | View::Doubt)
    }

    /// Whether it was heard on a full-rate path within the dead time before `now`, where nothing is
    /// held against it from before `awake`, when we may have been unable to hear.
    pub fn is_heard(&self, config: &Config, now: Instant, awake: Instant, dead: Duration) -> bool {
        self.session.incarnation().is_some()
            && self.newest_full_rate(config).is_some_and(|at| now < at.max(awake) + dead)
    }

    fn newest_full_rate(&self, config: &Config) -> Option<Instant> {
        let full = |(path, _): &(&crate::config::PathConfig, &PathView)| path.full_rate;
        config
            .paths
            .iter()
            .zip(&self.paths)
            .filter(full)
            .filter_map(|(_, view)| view.heard_at)
            .max()
    }

    /// Judges every path and the peer as a whole. `heard`: see [`Peer::is_heard`]; `vouched`: it is not,
    /// but a third node hears it. Returns the paths whose judgement has changed.
    pub fn review(
        &mut self,
        config: &Config,
        now: Instant,
        awake: Instant,
        dead: Duration,
        (heard, vouched): (bool, bool),
    ) -> Vec<PathId> {
        let mut changed = Vec::new();
        let theirs = self.applies_to(config.me).unwrap_or(dead);
        for (position, view) in self.paths.iter_mut().enumerate() {
            let slow = !config.paths[position].full_rate;
            let ours = if slow { SLOW_HEARTBEAT * HEARTBEATS_MISSED } else { dead };
            let back = if slow { SLOW_HEARTBEAT * HEARTBEATS_MISSED } else { theirs } + dead;
            let alive = heard
                && view.heard_at.is_some_and(|at| now < at.max(awake) + ours)
                && view.heard_us_at.is_some_and(|at| now < at.max(awake) + back);
            if alive != view.alive {
                view.alive = alive;
                changed.push(PathId::at(position));
            }
        }
        self.view = self.judge(heard, vouched);
        changed
    }

    fn judge(&self, heard: bool, vouched: bool) -> View {
        let known = self.heard_at.is_some();
        let whole = self.paths.iter().all(|path| path.alive);
        match (known, heard, vouched) {
            (false, ..) => View::Unknown,
            (true, true, _) if whole => View::Alive,
            (true, true, _) | (true, false, true) => View::Doubt,
            (true, false, false) => View::Dead,
        }
    }

    /// Whether a path has been silent in either direction since its peer had time to speak.
    pub fn silent_on(&self, path: PathId, now: Instant) -> bool {
        self.lives()
            && self.met_at.is_some_and(|met| now >= met + FIRST_WORD)
            && self.paths.get(path.index()).is_some_and(|view| !view.alive)
    }

    /// Whether heartbeats are overdue on a path, [`overdue_after`] the last one: the moment to begin
    /// asking neighbours.
    pub fn overdue_on(&self, path: PathId, now: Instant, overdue_after: Duration) -> bool {
        let view = self.paths.get(path.index());
        view.is_some_and(|view| {
            view.alive && view.heard_at.is_some_and(|at| now >= at + overdue_after)
        })
    }

    /// The next moment after `now` at which a review could come to another verdict by itself, or at
    /// which a heartbeat becomes overdue.
    pub fn next_look(
        &self,
        config: &Config,
        now: Instant,
        awake: Instant,
        dead: Duration,
    ) -> Option<Instant> {
        if !self.lives() {
            return None;
        }
        let theirs = self.applies_to(config.me).unwrap_or(dead);
        let slow = SLOW_HEARTBEAT * HEARTBEATS_MISSED;
        let (full_rate, low_rate) = ((dead, theirs + dead), (slow, slow + dead));
        let overdue_after = overdue_after(config);
        let ahead = |at: Option<Instant>| at.filter(|at| *at > now);
        let mut next = ahead(self.met_at.map(|met| met + FIRST_WORD));
        for (path, view) in config.paths.iter().zip(&self.paths) {
            let (ours, back) = if path.full_rate { full_rate } else { low_rate };
            let overdue = view.heard_at.filter(|_| path.full_rate && view.alive);
            let moments = [
                view.heard_at.map(|at| at.max(awake) + ours),
                view.heard_us_at.map(|at| at.max(awake) + back),
                overdue.map(|at| at + overdue_after),
            ];
            next = moments.into_iter().fold(next, |next, at| earliest(next, ahead(at)));
        }
        next
    }

    /// What to tell it, and everybody else, about itself.
    pub fn report(&self, now: Instant, dead: Duration, hears: bool) -> PeerReport {
        let (challenge, echo) = self.session.words();
        let paths = self.paths.iter().enumerate().filter_map(|(position, view)| {
            let heard = view.heard_at?;
            Some(PathReport {
                path: PathId::at(position),
                age: now.since(heard),
                stamp: view.stamp,
            })
        });
        PeerReport { node: self.node, hears, dead, challenge, echo, paths: paths.collect() }
    }
}

/// How long after the last heartbeat on a full-rate path the next one is overdue.
pub fn overdue_after(config: &Config) -> Duration {
    config.heartbeat * 3 / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_says_it_does_not_wait_at_all_waits_three_shortest_heartbeats() {
        let me = NodeId(0);
        let mut peer = Peer::new(NodeId(1), 0);
        for (said, applied) in [(0, 3), (2, 3), (3, 3), (30, 30)] {
            let dead = Duration::from_millis(said);
            let report = Peer::new(me, 0).report(Instant::ZERO, dead, true);
            let body = Heartbeat {
                interval: dead,
                lateness: Duration::ZERO,
                digest: 0,
                leaving: false,
                peers: vec![report],
                groups: Vec::new(),
                segments: Vec::new(),
                sources: Vec::new(),
            };
            peer.last = Some(Arc::new(body));
            assert_eq!(peer.applies_to(me), Some(Duration::from_millis(applied)));
        }
    }
}
