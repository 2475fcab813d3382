//! The other nodes, their paths and the replication to them, for people.

use evergate_api::status::{PathStatus, PeerState, PeerStatus, ReplicationPeer, Status};

use super::age;
use super::number::grouped;
use super::page::{Page, Span, Style, dim, plain, strong};

/// Every peer with its paths.
pub fn peers(page: &mut Page, peers: &[PeerStatus]) {
    if peers.is_empty() {
        page.line([strong("peers"), plain("  none")]);
        return;
    }
    page.line([strong("peers")]);
    for peer in peers {
        page.line([
            plain(format!("  {}  ", peer.node)),
            state(&peer.state),
            plain(heard(peer.age_ms)),
            about(peer),
        ]);
        page.table(4, &peer.paths.iter().map(path).collect::<Vec<_>>());
    }
}

fn state(state: &PeerState) -> Span {
    let style = match state {
        PeerState::Alive => Style::Good,
        PeerState::Dead => Style::Bad,
        PeerState::Doubt | PeerState::Unknown | PeerState::Other(_) => Style::Warn,
    };
    Span::new(style, state.as_str())
}

fn heard(age_ms: Option<u64>) -> String {
    age_ms.map_or(", never heard".to_owned(), |_| format!(", heard {}", age::ago(age_ms)))
}

fn about(peer: &PeerStatus) -> Span {
    if peer.foreign {
        return plain(", foreign (VRRP only)");
    }
    let version = peer.version.as_ref().map(|version| format!(", version {version}"));
    let version = version.unwrap_or_default();
    match peer.config_matches {
        Some(true) => plain(format!("{version}, same configuration")),
        Some(false) => Span::new(Style::Warn, format!("{version}, ANOTHER CONFIGURATION")),
        None => plain(version),
    }
}

fn path(path: &PathStatus) -> Vec<Span> {
    let alive = match path.alive {
        Some(true) => Span::new(Style::Good, "alive"),
        Some(false) => Span::new(Style::Bad, "silent"),
        None => Span::new(Style::Warn, "unknown"),
    };
    let rtt = path.rtt_us.map(|us| {
        // Round trips are far below 2^53 microseconds.
        #[allow(clippy::cast_precision_loss)]
        let ms = us as f64 / 1000.0;
        dim(format!("round trip {ms:.2} ms"))
    });
    let interface = plain(format!("on {}", path.interface));
    let mut row = vec![plain(&path.id), interface, alive, plain(age::ago(path.age_ms))];
    row.extend(rtt);
    row
}

/// What happens to connections in a takeover.
pub fn replication(page: &mut Page, status: &Status) {
    let replication = &status.replication;
    let Some(local) = replication.flows_local else {
        page.line([strong("connections"), plain("  not replicated")]);
        return;
    };
    let mut line = vec![strong("connections")];
    line.push(plain(format!("  {} of this node, replicated to ", grouped(local))));
    for (position, peer) in replication.peers.iter().enumerate() {
        line.push(plain(if position > 0 { ", " } else { "" }));
        line.push(plain(format!("{} (", peer.node)));
        line.push(whole(peer));
        let waiting = peer.backlog_flows.map(|count| format!(", {} waiting", grouped(count)));
        line.push(plain(format!("{})", waiting.unwrap_or_default())));
    }
    if replication.peers.is_empty() {
        line.push(Span::new(Style::Warn, "nobody"));
    }
    let replica = replication.flows_replica.map_or("?".to_owned(), grouped);
    line.push(plain(format!("; {replica} of others")));
    page.line(line);
    let rows: Vec<_> = replication.peers.iter().map(|peer| copy(peer, status)).collect();
    page.table(2, &rows);
}

fn whole(peer: &ReplicationPeer) -> Span {
    match peer.in_sync {
        Some(true) => Span::new(Style::Good, "whole"),
        Some(false) => Span::new(Style::Bad, "NOT WHOLE"),
        None => Span::new(Style::Warn, "not known if whole"),
    }
}

/// What is known of this node's copy of a peer's connections.
fn copy(peer: &ReplicationPeer, status: &Status) -> Vec<Span> {
    let mut row = vec![plain(&peer.node)];
    row.push(match peer.divergent_flows {
        Some(0) => plain("0 differ"),
        Some(count) => Span::new(Style::Warn, format!("{} DIFFER", grouped(count))),
        None => plain("not known if any differ"),
    });
    let compared = peer.verified_at.as_deref();
    row.push(dim(match compared.and_then(|at| age::lasting(at, &status.time)) {
        Some(span) => format!("found equal {span} ago"),
        None => "never found equal".to_owned(),
    }));
    row.extend(peer.lag_ms.map(|ms| plain(format!("behind {}", age::whole(ms)))));
    row
}
