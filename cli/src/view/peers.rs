//! The other nodes, their paths and the replication to them, for people.

use evergate_api::status::{PathStatus, PeerState, PeerStatus, ReplicationPeer, Status};

use super::age;
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
    let replica = replication.flows_replica.map_or("?".to_owned(), |count| count.to_string());
    page.line([strong("connections"), plain(format!("  {local} own, {replica} of others"))]);
    let rows: Vec<_> = replication.peers.iter().map(|peer| flows(peer, status)).collect();
    page.table(2, &rows);
}

fn flows(peer: &ReplicationPeer, status: &Status) -> Vec<Span> {
    let in_sync = match peer.in_sync {
        Some(true) => Span::new(Style::Good, "in sync"),
        Some(false) => Span::new(Style::Bad, "NOT IN SYNC"),
        None => Span::new(Style::Warn, "unknown"),
    };
    let number = |value: Option<u64>| value.map_or("?".to_owned(), |value| value.to_string());
    let compared = peer.verified_at.as_deref();
    let compared = match compared.and_then(|at| age::lasting(at, &status.time)) {
        Some(span) => format!("compared {span} ago"),
        None => "never compared".to_owned(),
    };
    vec![
        plain(&peer.node),
        in_sync,
        plain(format!("behind {}", peer.lag_ms.map_or("?".to_owned(), age::whole))),
        plain(format!("backlog {}", number(peer.backlog_flows))),
        plain(format!("different {}", number(peer.divergent_flows))),
        dim(compared),
    ]
}
