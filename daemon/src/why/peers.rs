//! The part of the chain that speaks of the peers, the paths to them, and the segments.

use evergate_core::config::SLOW_HEARTBEAT;
use evergate_core::detector::{HEARTBEATS_MISSED, Peer};
use evergate_core::heartbeat::Hearing;
use evergate_core::ident::PathId;

use super::{Figures, Lines, Sources, or_never};
use crate::status::{hearing_of, own_hearing};
use crate::words;

/// A peer: the verdict and the figures behind it, then its paths.
pub(super) fn peer(sources: &Sources, peer: &Peer, lines: &mut Lines) {
    let dead = sources.node.dead(peer);
    let silence = sources.since(peer.heard_at);
    let interval = peer.last.as_ref().map_or(sources.config.heartbeat, |last| last.interval);
    let (own, theirs) = (sources.node.lateness(), peer.last.as_ref().map(|last| last.lateness));
    let applied = peer.applies_to(sources.config.me);
    let step = dead.as_secs_f64() / (interval * HEARTBEATS_MISSED).as_secs_f64();
    let text = format!(
        "{} is {}: last heard {}; dead after {}, which is step {step:.2} of {HEARTBEATS_MISSED} \
         heartbeats of {} (worst lateness here {}, there {}); it waits {} for us",
        sources.name(peer.node),
        words::view(peer.view),
        or_never(silence),
        words::span(dead),
        words::span(interval),
        words::span(own),
        theirs.map_or_else(|| "unknown".to_owned(), words::span),
        applied.map_or_else(|| "unknown".to_owned(), words::span),
    );
    let figures = Figures::default()
        .ms_if("silence_ms", silence)
        .ms("dead_ms", dead)
        .number("dead_step", step)
        .ms("heartbeat_ms", interval)
        .ms("lateness_own_ms", own)
        .ms_if("lateness_peer_ms", theirs)
        .ms_if("dead_of_peer_ms", applied)
        .is("hears_us", peer.hears(sources.config.me));
    lines.add(text, figures);
    configuration(sources, peer, lines);
    witnesses(sources, peer, lines);
    for position in 0..peer.paths.len() {
        path(sources, peer, PathId::at(position), lines);
    }
}

fn configuration(sources: &Sources, peer: &Peer, lines: &mut Lines) {
    let Some(since) = peer.differs_since else { return };
    let age = sources.now.since(since);
    let text = format!(
        "{} runs another configuration, seen for {}; after {} this node is not ready",
        sources.name(peer.node),
        words::span(age),
        words::span(evergate_core::node::DIFFERS_FOR)
    );
    lines.add(text, Figures::default().ms("config_differs_ms", age));
}

/// What third nodes say of a peer.
fn witnesses(sources: &Sources, peer: &Peer, lines: &mut Lines) {
    let others = sources.node.peers().iter().filter(|witness| witness.node != peer.node);
    for witness in others.filter(|witness| witness.lives()) {
        let Some(report) = witness.report_about(peer.node) else { continue };
        let age = sources.since(witness.heard_at);
        let text = format!(
            "{} {} {}, by its word of {}",
            sources.name(witness.node),
            if report.hears { "hears" } else { "does not hear" },
            sources.name(peer.node),
            or_never(age)
        );
        let figures = Figures::default().is("third_node_hears", report.hears).ms_if("age_ms", age);
        lines.add(text, figures);
    }
}

fn path(sources: &Sources, peer: &Peer, id: PathId, lines: &mut Lines) {
    let config = sources.config;
    let view = &peer.paths[id.index()];
    let (heard, heard_us) = (sources.since(view.heard_at), sources.since(view.heard_us_at));
    let slow = config.paths.get(id.index()).is_some_and(|path| !path.full_rate);
    let limit = if slow { SLOW_HEARTBEAT * HEARTBEATS_MISSED } else { sources.node.dead(peer) };
    let text = format!(
        "path {} ({}) to {} {}: heard {}, it heard us {}, silent after {}{}; round trip {}",
        words::path(config, id),
        words::path_interface(config, id),
        sources.name(peer.node),
        if view.alive { "lives" } else { "is silent" },
        or_never(heard),
        or_never(heard_us),
        words::span(limit),
        if slow { " (a slow path: no verdict waits for it)" } else { "" },
        view.round_trip.map_or_else(|| "unknown".to_owned(), words::span),
    );
    let micros = view.round_trip.map(|trip| trip.as_secs_f64() * 1e6);
    let mut figures = Figures::default()
        .is("alive", view.alive)
        .ms("silent_after_ms", limit)
        .ms_if("heard_age_ms", heard)
        .ms_if("heard_us_age_ms", heard_us);
    if let Some(micros) = micros {
        figures = figures.number("rtt_us", micros);
    }
    lines.add(text, figures);
    if hearing_of(peer, id) != Hearing::Unknown {
        let text = format!(
            "{} {} on the segment of {}, by its own test",
            sources.name(peer.node),
            words::hearing(hearing_of(peer, id)),
            words::path(config, id)
        );
        let hears = hearing_of(peer, id) == Hearing::Somebody;
        lines.add(text, Figures::default().is("peer_hears_somebody", hears));
    }
}

/// Our own tests of the segments that clients share.
pub(super) fn segments(sources: &Sources, lines: &mut Lines) {
    for segment in sources.node.segments() {
        let hears = own_hearing(sources.node, segment.path, sources.now);
        let text = format!(
            "own test of the segment of {} ({}): {}{}{}",
            words::path(sources.config, segment.path),
            words::path_interface(sources.config, segment.path),
            words::hearing(hears),
            if segment.tester.neighbours { "" } else { "; no neighbour is known to ask" },
            if segment.is_silent() { "; it is held to be silent, a fault" } else { "" },
        );
        let figures = Figures::default()
            .is("testing", segment.tester.is_running())
            .is("neighbours", segment.tester.neighbours)
            .is("segment_silent", segment.is_silent());
        let figures = match hears {
            Hearing::Unknown => figures,
            Hearing::Somebody | Hearing::Nobody => {
                figures.is("hears_somebody", hears == Hearing::Somebody)
            }
        };
        lines.add(text, figures);
    }
}
