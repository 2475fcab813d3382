//! The other nodes of the status document.

use evergate_api::status::{PathKind, PathStatus, PeerState, PeerStatus};
use evergate_core::config::NodeConfig;
use evergate_core::detector::Peer;
use evergate_core::effect::View;
use evergate_core::ident::{NodeId, PathId};

use super::{Truth, foreign};
use crate::words;

/// Every other node: ours, foreign ones of the configuration, and strangers that were heard.
pub(super) fn all(truth: &Truth) -> Vec<PeerStatus> {
    let mut peers: Vec<PeerStatus> = Vec::new();
    for (position, node) in truth.config.nodes.iter().enumerate() {
        let id = NodeId::at(position);
        if node.foreign {
            peers.push(named(truth, node, id));
        } else if let Some(peer) = truth.node.peers().iter().find(|peer| peer.node == id) {
            peers.push(ours(truth, peer));
        }
    }
    for seen in foreign::heard(truth) {
        let name = foreign::name(truth, seen.address);
        if !peers.iter().any(|known| known.node == name) {
            peers.push(stranger(truth, name, Some(seen)));
        }
    }
    peers
}

fn named(truth: &Truth, node: &NodeConfig, id: NodeId) -> PeerStatus {
    stranger(truth, node.name.clone(), foreign::of_node(truth, id, None))
}

/// A router of another make is alive while its adverts come, and unknown else: a standby is silent.
fn stranger(truth: &Truth, node: String, seen: Option<foreign::Foreign>) -> PeerStatus {
    let active = seen.is_some_and(|seen| seen.active);
    PeerStatus {
        node,
        foreign: true,
        state: if active { PeerState::Alive } else { PeerState::Unknown },
        alive: active.then_some(true),
        age_ms: seen.map(|seen| words::whole_millis(truth.now.since(seen.at))),
        version: None,
        config_matches: None,
        paths: Vec::new(),
    }
}

fn ours(truth: &Truth, peer: &Peer) -> PeerStatus {
    let last = peer.last.as_ref().filter(|_| peer.lives());
    PeerStatus {
        node: words::node(truth.config, peer.node).to_owned(),
        foreign: false,
        state: words::view(peer.view),
        alive: match peer.view {
            View::Alive => Some(true),
            View::Dead => Some(false),
            View::Doubt | View::Unknown => None,
        },
        age_ms: peer.heard_at.map(|at| words::whole_millis(truth.now.since(at))),
        version: truth.facts.versions.get(&peer.node.0).cloned(),
        config_matches: last.map(|last| last.digest == truth.config.digest),
        paths: (0..peer.paths.len()).map(|at| path(truth, peer, PathId::at(at))).collect(),
    }
}

fn path(truth: &Truth, peer: &Peer, id: PathId) -> PathStatus {
    let view = &peer.paths[id.index()];
    let name = words::path(truth.config, id);
    let micros = |trip: std::time::Duration| u64::try_from(trip.as_micros()).unwrap_or(u64::MAX);
    PathStatus {
        id: name.to_owned(),
        kind: if name.starts_with("link:") { PathKind::Link } else { PathKind::Router },
        interface: words::path_interface(truth.config, id).to_owned(),
        alive: (peer.view != View::Unknown).then_some(view.alive),
        age_ms: view.heard_at.map(|at| words::whole_millis(truth.now.since(at))),
        rtt_us: view.round_trip.map(micros),
    }
}
