//! A silent path, told so that somebody knows where to look.

use evergate_core::config::{PathKind, SLOW_HEARTBEAT};
use evergate_core::detector::{HEARTBEATS_MISSED, Peer};
use evergate_core::heartbeat::Hearing;
use evergate_core::ident::PathId;
use evergate_core::{Instant, Node};

use crate::words;

/// What is silent on a path to a living peer, and the likely cause.
pub(crate) fn silence(node: &Node, peer: &Peer, path: PathId, now: Instant) -> String {
    let config = node.config();
    let name = words::node(config, peer.node);
    let interface = words::path_interface(config, path);
    let own = config.paths.get(path.index()).map(|path| path.interface.index());
    if let Some(state) = own.and_then(|at| node.interfaces().get(at)) {
        if !state.present {
            return format!("{interface}, the path to {name}, does not exist here: create it");
        }
        if !state.running {
            return format!(
                "{interface}, the path to {name}, is down or has no carrier here: cable or switch port"
            );
        }
    }
    let (from_it, to_it) = directions(node, peer, path, now);
    let cause = likely_cause(node, peer, path, now);
    match (from_it, to_it) {
        (false, true) => {
            format!(
                "heartbeats on {interface} do not arrive from {name}, which hears ours: {cause}"
            )
        }
        (true, _) => {
            format!(
                "heartbeats on {interface} arrive from {name}, which does not hear ours: {cause}"
            )
        }
        (false, false) => format!("heartbeats on {interface} do not arrive from {name}: {cause}"),
    }
}

/// Since when at least one direction of a path has been silent, if it ever worked.
pub(crate) fn silent_since(peer: &Peer, path: PathId) -> Option<Instant> {
    let view = peer.paths.get(path.index())?;
    match (view.heard_at, view.heard_us_at) {
        (Some(heard), Some(heard_us)) => Some(heard.min(heard_us)),
        (one, None) | (None, one) => one,
    }
}

/// Which directions of a path work: from the peer to us, and from us to the peer.
fn directions(node: &Node, peer: &Peer, path: PathId, now: Instant) -> (bool, bool) {
    let Some(view) = peer.paths.get(path.index()) else { return (false, false) };
    let slow = node.config().paths.get(path.index()).is_some_and(|path| !path.full_rate);
    let dead = if slow { SLOW_HEARTBEAT * HEARTBEATS_MISSED } else { node.dead(peer) };
    let back = peer.applies_to(node.config().me).filter(|_| !slow).unwrap_or(dead) + dead;
    let within = |at: Option<Instant>, span| at.is_some_and(|at| now.since(at) < span);
    (within(view.heard_at, dead), within(view.heard_us_at, back))
}

/// The tests of the segment narrow the cause down, where there are any.
fn likely_cause(node: &Node, peer: &Peer, path: PathId, now: Instant) -> &'static str {
    let usual = "cable, switch port or a firewall that drops our UDP port";
    if node.config().paths.get(path.index()).is_none_or(|path| path.kind == PathKind::Link) {
        return usual;
    }
    match (own_hearing(node, path, now), hearing_of(peer, path)) {
        (Hearing::Somebody, Hearing::Somebody) => {
            "both nodes hear others there, so a firewall that drops our UDP port, a VLAN or a \
             multicast filter of the switch is likely"
        }
        (Hearing::Nobody, Hearing::Somebody) => {
            "this node hears nobody there and the peer hears somebody: cable, switch port or VLAN \
             of this node"
        }
        (Hearing::Somebody, Hearing::Nobody) => {
            "this node hears somebody there and the peer hears nobody: cable, switch port or VLAN \
             of the peer"
        }
        (Hearing::Nobody, Hearing::Nobody) => "both nodes hear nobody there: the switch",
        (Hearing::Unknown, _) | (_, Hearing::Unknown) => usual,
    }
}

/// What our own test of the segment of a path says.
pub(crate) fn own_hearing(node: &Node, path: PathId, now: Instant) -> Hearing {
    let segment = node.segments().iter().find(|segment| segment.path == path);
    segment.map_or(Hearing::Unknown, |segment| segment.tester.verdict(now))
}

/// What a peer says of its own test.
pub(crate) fn hearing_of(peer: &Peer, path: PathId) -> Hearing {
    let said = peer.last.as_ref().and_then(|body| {
        body.segments.iter().find(|report| report.path == path).map(|report| report.hears)
    });
    said.unwrap_or(Hearing::Unknown)
}
