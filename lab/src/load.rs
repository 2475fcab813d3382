//! TCP connections through the gateways; every byte that comes back is checked.

mod churn;
mod client;
mod flows;
mod open;
mod server;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use serde_json::{Value, json};

pub use churn::{ChurnPlan, ChurnReport};
pub use flows::{FlowKind, FlowPlan, FlowReport, Flows};

use crate::error::{LabError, Result};
use crate::topology::Topology;

/// The most connections of one load.
pub const MAX_CONNECTIONS: usize = 10_000;
/// The first port of the echo in the server: that of the connections that stay.
pub const PORT: u16 = 9710;
/// The most ports of the echo.
const MAX_PORTS: u16 = 64;

/// The byte that a connection sends at an offset; it differs between connections and between offsets.
pub(crate) fn pattern(connection: usize, offset: u64) -> u8 {
    let mixed = offset.wrapping_mul(31) ^ (offset >> 8) ^ (connection as u64).wrapping_mul(17);
    mixed.to_le_bytes()[0]
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    drain: AtomicBool,
    alive: AtomicUsize,
    bytes: AtomicU64,
    /// Counts the calls of [`Load::mark`].
    marks: AtomicU64,
    /// Connections that got an answer since the last mark.
    spoken: AtomicUsize,
    /// Connections that come and go, begun so far.
    begun: AtomicU64,
    seen_from: Mutex<BTreeSet<IpAddr>>,
}

/// What a load is.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// The address of the server.
    pub target: IpAddr,
    /// Addresses of the client, taken in turn and each with the same ports; empty for what the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// Connections that stay.
    pub connections: usize,
    /// How many of them are opened in a second.
    pub opened_per_second: u32,
    /// How often each of them sends a chunk.
    pub every: Duration,
    /// How long the server waits before it answers them: then it is often the server who speaks next.
    pub lag: Duration,
    /// Connections that come and go beside them.
    pub churn: Option<ChurnPlan>,
}

impl LoadPlan {
    /// Busy connections, opened as fast as they can.
    pub fn busy(target: IpAddr, connections: usize) -> Self {
        Self {
            target,
            sources: Vec::new(),
            connections,
            opened_per_second: u32::MAX,
            every: Duration::from_millis(80),
            lag: Duration::ZERO,
            churn: None,
        }
    }

    /// Many connections that cost little: opened at a bounded rate, one exchange a second each.
    pub fn quiet(target: IpAddr, sources: &[IpAddr], connections: usize) -> Self {
        Self {
            sources: sources.to_vec(),
            opened_per_second: 1500,
            every: Duration::from_secs(1),
            lag: Duration::from_millis(300),
            ..Self::busy(target, connections)
        }
    }

    /// New connections each second beside the others, which exchange once and close at once.
    #[must_use]
    pub fn with_churn(mut self, per_second: u32) -> Self {
        self.churn = Some(ChurnPlan { per_second, hold: Duration::ZERO, ports: 1 });
        self
    }

    /// Where what comes and goes is served: the ports behind that of the connections that stay.
    fn churn_ports(&self) -> u16 {
        self.churn.map_or(0, |churn| churn.ports)
    }

    fn churn_targets(&self) -> Vec<SocketAddr> {
        let offsets = 1..=self.churn_ports();
        offsets.map(|offset| SocketAddr::new(self.target, PORT + offset)).collect()
    }
}

/// How the connections fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Connections opened at the start.
    pub opened: usize,
    /// Connections that got back everything they sent, to the end.
    pub alive: usize,
    /// Connections that were reset.
    pub resets: usize,
    /// Connections that were closed by the other side.
    pub closed: usize,
    /// Connections that got a wrong byte.
    pub corrupted: usize,
    /// Connections that were still waiting for bytes at the end.
    pub stalled: usize,
    /// Bytes that came back and were right.
    pub bytes_checked: u64,
    /// Those that came and went.
    pub churn: Option<ChurnReport>,
    /// Addresses from which the server was reached.
    pub seen_from: BTreeSet<IpAddr>,
}

impl LoadReport {
    /// Did every connection live to the end with every byte right?
    pub fn all_alive(&self) -> bool {
        self.alive == self.opened
    }

    /// The report for machines.
    pub fn to_json(&self) -> Value {
        json!({
            "opened": self.opened, "alive": self.alive, "resets": self.resets, "closed": self.closed,
            "corrupted": self.corrupted, "stalled": self.stalled, "bytes_checked": self.bytes_checked,
        })
    }
}

/// A thread of the load inside a namespace.
type Inside<T> = JoinHandle<std::result::Result<T, Errno>>;

/// Connections under way.
pub struct Load {
    opened: usize,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
    client: JoinHandle<LoadReport>,
    churn: Option<Inside<ChurnReport>>,
}

impl Load {
    /// Opens busy connections to an address of the server and starts talking on all of them.
    pub fn start(topology: &Topology, target: &str, connections: usize) -> Result<Self> {
        let address = target
            .parse()
            .map_err(|_| LabError::Usage(format!("`{target}` is no address to connect to")))?;
        Self::begin(topology, &LoadPlan::busy(address, connections))
    }

    /// Opens all connections of a plan, then starts talking on all of them.
    pub fn begin(topology: &Topology, plan: &LoadPlan) -> Result<Self> {
        if plan.connections > MAX_CONNECTIONS || plan.churn_ports() > MAX_PORTS {
            let text = format!(
                "at most {MAX_CONNECTIONS} connections and {MAX_PORTS} ports, not {} and {}",
                plan.connections,
                plan.churn_ports()
            );
            return Err(LabError::Usage(text));
        }
        open::make_room(plan.connections)?;
        let shared = Arc::new(Shared::default());
        let listeners =
            topology.server.enter(|| server::listen(PORT, plan.churn_ports() + 1))??;
        let server_loop = server::Server::new(listeners, plan.lag, Arc::clone(&shared))?;
        let server = std::thread::spawn(move || server_loop.run());
        let streams = match topology.client.enter(|| open::open(plan))? {
            Ok(streams) => streams,
            Err(source) => {
                shared.stop.store(true, Ordering::Relaxed);
                drop(server.join());
                let doing = format!("open {} connections through the gateways", plan.connections);
                return Err(LabError::Io { doing, source });
            }
        };
        let opened = streams.len();
        shared.alive.store(opened, Ordering::Relaxed);
        let client_loop = client::Client::new(streams, plan.every, Arc::clone(&shared))?;
        let client = std::thread::spawn(move || client_loop.run());
        let churn = plan.churn.map(|churn| {
            let churn_loop = churn::Churn::new(churn, plan.churn_targets(), Arc::clone(&shared))?;
            topology.client.thread(move || churn_loop.run())
        });
        Ok(Self { opened, shared, server, client, churn: churn.transpose()? })
    }

    /// Connections alive and bytes checked so far.
    pub fn counts(&self) -> (usize, u64) {
        (self.shared.alive.load(Ordering::Relaxed), self.shared.bytes.load(Ordering::Relaxed))
    }

    /// Connections opened at the start.
    pub fn opened(&self) -> usize {
        self.opened
    }

    /// Connections that come and go, begun so far.
    pub fn churn_begun(&self) -> u64 {
        self.shared.begun.load(Ordering::Relaxed)
    }

    /// Begins to count anew which connections get answers.
    pub fn mark(&self) {
        self.shared.spoken.store(0, Ordering::Relaxed);
        self.shared.marks.fetch_add(1, Ordering::Relaxed);
    }

    /// How many connections got an answer since the last mark.
    pub fn spoken(&self) -> usize {
        self.shared.spoken.load(Ordering::Relaxed)
    }

    /// Ends the load: every connection sends once more and has some seconds to get everything back.
    pub fn stop(self) -> LoadReport {
        self.shared.drain.store(true, Ordering::Relaxed);
        let mut report = self.client.join().unwrap_or_default();
        report.churn = self.churn.map(|churn| match churn.join() {
            Ok(Ok(report)) => report,
            // Zero connections begun: no test takes that for good.
            Ok(Err(_)) | Err(_) => ChurnReport::default(),
        });
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(self.server.join());
        let mut seen = self.shared.seen_from.lock().unwrap_or_else(PoisonError::into_inner);
        report.seen_from = std::mem::take(&mut seen);
        report
    }

    /// Ends the load at once: what was not answered yet counts as stalled.
    pub fn abandon(self) -> LoadReport {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_at_the_wrong_place_or_from_another_connection_is_seen() {
        let run = |connection, from: u64| (from..from + 64).map(move |at| pattern(connection, at));
        assert!(run(0, 0).ne(run(0, 1)));
        assert!(run(0, 0).ne(run(1, 0)));
        assert!(run(0, 0).ne(run(0, 48)));
    }
}
