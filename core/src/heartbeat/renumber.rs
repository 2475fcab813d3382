//! What was heard before a new configuration, in the numbers of that one. What it does not have any
//! more is left out.

use super::{
    Answered, GroupReport, Heartbeat, PathReport, PeerReport, Request, RequestKind, SegmentReport,
};
use crate::config::Places;

impl Heartbeat {
    pub(crate) fn renumbered(&self, places: &Places) -> Heartbeat {
        let segment = |report: &SegmentReport| {
            Some(SegmentReport { path: places.path(report.path)?, ..*report })
        };
        Heartbeat {
            interval: self.interval,
            lateness: self.lateness,
            digest: self.digest,
            leaving: self.leaving,
            peers: self.peers.iter().filter_map(|report| report.renumbered(places)).collect(),
            groups: self.groups.iter().filter_map(|report| report.renumbered(places)).collect(),
            segments: self.segments.iter().filter_map(segment).collect(),
            sources: self.sources.clone(),
        }
    }
}

impl PeerReport {
    fn renumbered(&self, places: &Places) -> Option<PeerReport> {
        let path =
            |report: &PathReport| Some(PathReport { path: places.path(report.path)?, ..*report });
        let paths = self.paths.iter().filter_map(path).collect();
        Some(PeerReport { node: places.node(self.node)?, paths, ..*self })
    }
}

impl GroupReport {
    pub(crate) fn renumbered(&self, places: &Places) -> Option<GroupReport> {
        Some(GroupReport {
            group: places.group(self.group)?,
            successor: self.successor.and_then(|node| places.node(node)),
            request: self.request.and_then(|request| request.renumbered(places)),
            answered: self.answered.and_then(|answered| answered.renumbered(places)),
            ..*self
        })
    }
}

impl Request {
    pub(crate) fn renumbered(self, places: &Places) -> Option<Request> {
        let kind = match self.kind {
            RequestKind::Switchover { to, within, hold } => {
                RequestKind::Switchover { to: places.node(to)?, within, hold }
            }
            kind @ RequestKind::Failback { .. } => kind,
        };
        Some(Request { kind, ..self })
    }
}

impl Answered {
    pub(crate) fn renumbered(self, places: &Places) -> Option<Answered> {
        Some(Answered { node: places.node(self.node)?, ..self })
    }
}
