//! Routers of another make: known by their adverts only, and only while they are active.

use std::net::IpAddr;

use evergate_core::Instant;
use evergate_core::group::State;
use evergate_core::ident::{GroupId, NodeId};

use super::Truth;

/// A router of another make that was heard in a group.
#[derive(Clone, Copy)]
pub(super) struct Foreign {
    pub(super) group: GroupId,
    pub(super) address: IpAddr,
    pub(super) priority: u8,
    pub(super) at: Instant,
    /// It was heard within the down interval and has not resigned.
    pub(super) active: bool,
}

/// Every router of another make that was heard, the newest advert of each address and group.
pub(super) fn heard(truth: &Truth) -> Vec<Foreign> {
    let mut all: Vec<Foreign> = Vec::new();
    for ((group, router), (address, priority, at)) in &truth.facts.foreign {
        let Some(state) = truth.node.groups().get(group.index()) else { continue };
        if is_ours(truth, *address) {
            continue;
        }
        let config = &truth.config.groups[group.index()];
        let speaker = state.speakers.get(router.index());
        let interval = speaker.map_or(config.advert, |it| it.interval);
        let fresh = truth.now.since(*at) <= interval * (config.conduct.down_after + 1);
        let active = fresh && *priority > 0;
        let seen =
            Foreign { group: *group, address: *address, priority: *priority, at: *at, active };
        match all.iter_mut().find(|known| known.address == *address && known.group == *group) {
            Some(known) if known.at < seen.at => *known = seen,
            Some(_) => {}
            None => all.push(seen),
        }
    }
    all
}

/// Who of another make holds a group. While we hold it ourselves, only an advert that came when the
/// other must have heard ours counts: the last one of a former holder proves nothing.
pub(super) fn holder(truth: &Truth, group: GroupId) -> Option<Foreign> {
    let ours = match truth.node.groups()[group.index()].state {
        State::Active { since, .. } => Some(since + truth.config.groups[group.index()].advert),
        _ => None,
    };
    let counts = |seen: &Foreign| seen.active && ours.is_none_or(|since| seen.at > since);
    heard(truth).into_iter().find(|seen| seen.group == group && counts(seen))
}

/// The name of a router of another make: that of the only foreign node of the configuration, else
/// its address.
pub(super) fn name(truth: &Truth, address: IpAddr) -> String {
    let mut foreign = truth.config.nodes.iter().filter(|node| node.foreign);
    match (foreign.next(), foreign.next()) {
        (Some(only), None) => only.name.clone(),
        _ => address.to_string(),
    }
}

/// The newest advert that is attributed to a foreign node of the configuration.
pub(super) fn of_node(truth: &Truth, node: NodeId, group: Option<GroupId>) -> Option<Foreign> {
    let name_of = |seen: &Foreign| name(truth, seen.address);
    heard(truth)
        .into_iter()
        .filter(|seen| group.is_none_or(|group| seen.group == group))
        .filter(|seen| {
            truth.config.nodes.get(node.index()).is_some_and(|n| n.name == name_of(seen))
        })
        .max_by_key(|seen| seen.at)
}

/// Whether a peer of ours sends its adverts from this address: then its heartbeats say more.
fn is_ours(truth: &Truth, address: IpAddr) -> bool {
    let says = |peer: &evergate_core::detector::Peer| {
        peer.last.as_ref().is_some_and(|last| last.sources.contains(&address))
    };
    truth.node.peers().iter().any(says)
}
