//! Our own heartbeats: when they are sent and what they say.

use std::net::IpAddr;
use std::sync::Arc;

use super::Node;
use crate::config::SLOW_HEARTBEAT;
use crate::effect::Effect;
use crate::group::next_beat;
use crate::heartbeat::{
    GROUP_REPORTS_MAX, GroupReport, Hearing, Heartbeat, SOURCES_MAX, SegmentReport,
};
use crate::ident::{GroupId, PathSet};
use crate::time::Instant;

impl Node {
    /// Sends what is due.
    pub(super) fn beat(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let mut paths = PathSet::default();
        if self.slow_at <= now {
            self.slow_at = next_beat(self.slow_at, SLOW_HEARTBEAT, now);
            paths = self.config.all_paths();
            self.review_alarms(now, out);
        }
        if self.beat_at <= now {
            self.beat_at = next_beat(self.beat_at, self.config.heartbeat, now);
            paths.0 |= self.config.full_rate_paths().0;
        }
        self.send_heartbeat(now, paths, out);
    }

    /// When heartbeats are due next. Without peers only what is looked at once a second is.
    pub(super) fn next_beat_at(&self) -> Instant {
        if self.peers.is_empty() { self.slow_at } else { self.beat_at.min(self.slow_at) }
    }

    pub(super) fn send_heartbeat(&mut self, now: Instant, paths: PathSet, out: &mut Vec<Effect>) {
        if paths.is_empty() || self.peers.is_empty() {
            return;
        }
        let body = Arc::new(self.picture(now));
        self.peers.iter_mut().for_each(|peer| peer.session.echoed());
        out.push(Effect::Heartbeat { paths, body });
    }

    /// The whole picture as we see it.
    fn picture(&self, now: Instant) -> Heartbeat {
        let peers = self.peers.iter().map(|peer| {
            let dead = self.dead(peer);
            peer.report(now, dead, peer.is_heard(&self.config, now, self.awake, dead))
        });
        let segments = self.segments.iter().map(|segment| SegmentReport {
            path: segment.path,
            hears: segment.tester.verdict(now),
        });
        Heartbeat {
            interval: self.config.heartbeat,
            lateness: self.lateness.worst(),
            digest: self.config.digest,
            leaving: self.stopping,
            peers: peers.collect(),
            groups: self.reports(now),
            segments: segments.filter(|report| report.hears != Hearing::Unknown).collect(),
            sources: self.sources(),
        }
    }

    /// The reports of the groups. Where there are many they take turns, and those that have just
    /// changed go with every heartbeat for a while, because any one of them may be lost.
    fn reports(&self, now: Instant) -> Vec<GroupReport> {
        let report = |id: GroupId| self.groups[id.index()].report(&self.scene(now, id));
        let count = self.groups.len();
        if count <= GROUP_REPORTS_MAX {
            return (0..count).map(GroupId::at).filter_map(report).collect();
        }
        let fresh = |id: &GroupId| now.since(self.groups[id.index()].touched_at) < SLOW_HEARTBEAT;
        let changed = (0..count).map(GroupId::at).filter(fresh).take(GROUP_REPORTS_MAX / 2);
        let turn = self.turn(now, count);
        let others =
            (0..count).map(|step| GroupId::at((turn + step) % count)).filter(|id| !fresh(id));
        changed.chain(others).take(GROUP_REPORTS_MAX).filter_map(report).collect()
    }

    /// Where the turn begins now: it moves on with every heartbeat interval.
    fn turn(&self, now: Instant, count: usize) -> usize {
        let interval = u64::try_from(self.config.heartbeat.as_nanos()).unwrap_or(u64::MAX).max(1);
        let beats = now.as_nanos() / interval;
        let start = beats.wrapping_mul(GROUP_REPORTS_MAX as u64 / 2) % count as u64;
        usize::try_from(start).unwrap_or(0)
    }

    /// The addresses that our adverts come from.
    fn sources(&self) -> Vec<IpAddr> {
        let mut sources = Vec::new();
        for interface in &self.interfaces {
            sources.extend(interface.source_v4.map(IpAddr::V4));
            sources.extend(interface.source_v6.map(IpAddr::V6));
        }
        sources.truncate(SOURCES_MAX);
        sources
    }
}
