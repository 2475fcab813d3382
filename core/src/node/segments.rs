//! The tests of our own segments, and what follows from them together with the peers' word.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Node;
use crate::config::{Config, GroupConfig, PathKind};
use crate::detector::overdue_after;
use crate::effect::Effect;
use crate::fault::Fault;
use crate::group::State;
use crate::heartbeat::Hearing;
use crate::ident::{InterfaceId, NodeId, PathId, RouterId};
use crate::segment::Tester;
use crate::time::Instant;

/// How long a segment must be well before its fault is cleared.
pub const SEGMENT_WELL_FOR: Duration = Duration::from_secs(1);

/// A segment that clients share, with the path that our heartbeats use on it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// The path.
    pub path: PathId,
    /// Its test.
    pub tester: Tester,
    /// Since when it is well, while it is held to be silent.
    well_since: Option<Instant>,
    silent: bool,
}

/// The segments of a configuration.
pub(super) fn of(config: &Config) -> Vec<Segment> {
    let paths = config.paths.iter().enumerate().filter(|(_, path)| path.kind == PathKind::Router);
    let segment = |(position, path): (usize, &crate::config::PathConfig)| Segment {
        path: PathId::at(position),
        tester: Tester::new(path.interface),
        well_since: None,
        silent: false,
    };
    paths.map(segment).collect()
}

impl Node {
    pub(super) fn heard(&mut self, now: Instant, interface: InterfaceId, answered: bool) {
        for segment in self.segments.iter_mut().filter(|s| s.tester.interface == interface) {
            segment.tester.heard(now, answered);
        }
    }

    pub(super) fn neighbours(&mut self, interface: InterfaceId, known: bool) {
        for segment in self.segments.iter_mut().filter(|s| s.tester.interface == interface) {
            segment.tester.neighbours = known;
        }
    }

    /// Starts and stops tests, asks neighbours, and turns verdicts into faults.
    pub(super) fn review_segments(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let mut changed = false;
        let overdue_after = overdue_after(&self.config);
        for position in 0..self.segments.len() {
            let path = self.segments[position].path;
            let wanted =
                self.segments[position].silent || self.is_test_wanted(now, path, overdue_after);
            let lives = self.peers.iter().any(|peer| peer.paths[path.index()].alive);
            let accused = self.is_accused(path);
            let segment = &mut self.segments[position];
            segment.tester.want(now, wanted);
            if segment.tester.ask(now) {
                out.push(Effect::Probe(segment.tester.interface));
            }
            let verdict = segment.tester.verdict(now);
            changed |= segment.judge(now, verdict, accused, lives);
        }
        if changed {
            self.segment_faults(now, out);
        }
    }

    /// A test runs while a living peer is silent or overdue on the path, and while nobody holds a
    /// group that we might have to claim.
    fn is_test_wanted(&self, now: Instant, path: PathId, overdue_after: Duration) -> bool {
        let silent = |peer: &super::Peer| {
            peer.silent_on(path, now) || peer.overdue_on(path, now, overdue_after)
        };
        self.peers.iter().any(silent) || self.is_vacant(path)
    }

    /// Whether a group with a router on this path has no holder that we know of.
    fn is_vacant(&self, path: PathId) -> bool {
        let uses = |config: &GroupConfig| config.routers.iter().any(|r| r.path == Some(path));
        // A holder that has just been found dead has left the group vacant.
        let living = |node: NodeId| self.sights[node.index()].lives();
        if self.settled.all_follow(self.groups.len(), living) {
            return false;
        }
        let lives = |(node, _): (NodeId, Instant)| living(node);
        self.groups.iter().zip(&self.config.groups).any(|(group, config)| {
            uses(config)
                && matches!(group.state, State::Standby)
                && !group.holder.is_some_and(lives)
        })
    }

    /// Whether a living peer that is silent on this path hears somebody there.
    fn is_accused(&self, path: PathId) -> bool {
        self.peers.iter().any(|peer| {
            let says = |body: &crate::heartbeat::Heartbeat| {
                body.segments.iter().any(|s| s.path == path && s.hears == Hearing::Somebody)
            };
            peer.lives()
                && !peer.paths[path.index()].alive
                && peer.last.as_ref().is_some_and(|body| says(body))
        })
    }

    fn segment_faults(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let segments = std::mem::take(&mut self.segments);
        self.each_group(now, out, |group, scene, out| {
            for (position, router) in scene.config.routers.iter().enumerate() {
                let silent = segments.iter().any(|s| s.silent && Some(s.path) == router.path);
                let fault = Fault::SegmentSilent(RouterId::at(position));
                group.set_fault(scene, fault, silent, out);
            }
        });
        self.segments = segments;
    }

    /// Whether nothing on the segments of a group answers us, although it should: a neighbour is
    /// known there that has answered before.
    pub(super) fn is_isolated(&self, now: Instant, group: &GroupConfig) -> bool {
        let ours = |segment: &&Segment| group.routers.iter().any(|r| r.path == Some(segment.path));
        let testable = |segment: &Segment| segment.tester.is_running() && segment.tester.neighbours;
        let mut mine = self.segments.iter().filter(ours);
        mine.clone().any(testable)
            && mine.all(|segment| segment.tester.verdict(now) != Hearing::Somebody)
    }
}

impl Segment {
    /// Whether it is held to be silent: a reason for fault.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Draws the conclusion; says whether it has changed.
    fn judge(&mut self, now: Instant, verdict: Hearing, accused: bool, lives: bool) -> bool {
        if !self.silent {
            self.silent = verdict == Hearing::Nobody && accused;
            self.well_since = None;
            return self.silent;
        }
        let well = lives || verdict == Hearing::Somebody;
        self.well_since = if well { self.well_since.or(Some(now)) } else { None };
        let cleared = self.well_since.is_some_and(|since| now.since(since) >= SEGMENT_WELL_FOR);
        self.silent = !cleared;
        cleared
    }
}
