//! The verdict in one word: who serves each group, and who could take over.

use evergate_api::status::{Blocker, Verdict};
use evergate_core::group::{Group, Scene, State};
use evergate_core::heartbeat::Role;
use evergate_core::ident::GroupId;

use super::{Truth, foreign};
use crate::words;

/// How one group is served.
pub(super) struct Service {
    pub(super) group: GroupId,
    /// Who holds it, as far as we know: names of nodes, or addresses of routers of another make.
    pub(super) holders: Vec<String>,
    /// More than one holder, and no handover is under way.
    pub(super) split: bool,
    pub(super) standby: Standby,
}

/// Who could take over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standby {
    /// A living, fit node of ours.
    Ready,
    /// Nobody of ours besides the one that serves; what a router of another make could do is
    /// unknown.
    Foreign,
    /// Nobody.
    Nobody,
}

/// How every group is served.
pub(super) fn services(truth: &Truth) -> Vec<Service> {
    truth.groups().map(|id| service(truth, id)).collect()
}

/// The verdict that follows.
pub(super) fn of(services: &[Service], blockers: &[Blocker]) -> Verdict {
    if services.iter().any(|service| service.split) {
        Verdict::Split
    } else if services.iter().any(|service| service.holders.is_empty()) {
        Verdict::Down
    } else if !blockers.is_empty() {
        Verdict::Degraded
    } else if services.iter().any(|service| service.standby == Standby::Foreign) {
        Verdict::Unverified
    } else {
        Verdict::Ready
    }
}

/// The verdict as yes, no or unknown.
pub(super) fn ready(verdict: &Verdict) -> Option<bool> {
    match verdict {
        Verdict::Ready => Some(true),
        Verdict::Unverified => None,
        _ => Some(false),
    }
}

fn service(truth: &Truth, id: GroupId) -> Service {
    truth.node.with_scene(truth.now, id, |scene, group| {
        let active = matches!(group.state, State::Active { .. });
        let peers: Vec<_> = group.peers_in(scene, Role::Active).collect();
        let mut holders: Vec<String> = Vec::new();
        holders.extend(active.then(|| words::node(truth.config, scene.me).to_owned()));
        holders.extend(peers.iter().map(|peer| words::node(truth.config, *peer).to_owned()));
        let foreign = foreign::holder(truth, id);
        holders.extend(foreign.map(|seen| foreign::name(truth, seen.address)));
        let rivals = if active {
            group.rivals(scene).next().is_some() || foreign.is_some()
        } else {
            holders.len() > 1 && !is_handing_over(scene, group)
        };
        Service { group: id, holders, split: rivals, standby: standby(truth, scene, group) }
    })
}

/// Whether a peer that holds the group has named its successor.
fn is_handing_over(scene: &Scene, group: &Group) -> bool {
    group.living(scene).any(|(_, report)| report.role == Role::Active && report.successor.is_some())
}

fn standby(truth: &Truth, scene: &Scene, group: &Group) -> Standby {
    let ours = scene.config.priorities.iter().enumerate().filter(|(at, priority)| {
        priority.is_some() && !truth.config.nodes.get(*at).is_some_and(|node| node.foreign)
    });
    if ours.count() < 2 && truth.config.expects_foreign() {
        return Standby::Foreign;
    }
    let me = group.role() == Role::Standby && group.is_ready(scene) && !scene.isolated;
    let runs_here = scene.config.priority(scene.me).is_some();
    let peer = group.living(scene).any(|(node, report)| {
        let hears = scene.sight(node).hears_us || !runs_here;
        report.role == Role::Standby && report.ready && hears
    });
    if me || peer { Standby::Ready } else { Standby::Nobody }
}
