//! A few hundred TCP connections through the gateways; every byte that comes back is checked.

mod client;
mod server;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{LabError, Result};
use crate::topology::Topology;

/// The most connections of one load.
pub const MAX_CONNECTIONS: usize = 4000;
/// The port of the echo in the server.
const PORT: u16 = 9702;
/// How long opening one connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The byte that a connection sends at an offset; it differs between connections and between offsets.
fn pattern(connection: usize, offset: u64) -> u8 {
    let mixed = offset.wrapping_mul(31) ^ (offset >> 8) ^ (connection as u64).wrapping_mul(17);
    mixed.to_le_bytes()[0]
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    drain: AtomicBool,
    alive: AtomicUsize,
    bytes: AtomicU64,
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

/// Connections under way.
pub struct Load {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
    client: JoinHandle<LoadReport>,
}

impl Load {
    /// Opens the connections to an address of the server and starts talking on all of them.
    pub fn start(topology: &Topology, target: &str, connections: usize) -> Result<Self> {
        if connections > MAX_CONNECTIONS {
            let text = format!("at most {MAX_CONNECTIONS} connections, not {connections}");
            return Err(LabError::Usage(text));
        }
        let address: SocketAddr = match target.parse() {
            Ok(ip) => SocketAddr::new(ip, PORT),
            Err(_) => {
                return Err(LabError::Usage(format!("`{target}` is no address to connect to")));
            }
        };
        let listener = topology.server.enter(|| TcpListener::bind(("::", PORT)))?;
        let listener = listener.map_err(LabError::io("listen in the server"))?;
        let shared = Arc::new(Shared::default());
        let server_shared = Arc::clone(&shared);
        let server_loop = server::Server::new(listener, server_shared)?;
        let server = std::thread::spawn(move || server_loop.run());
        let streams = match topology.client.enter(|| open(address, connections))? {
            Ok(streams) => streams,
            Err(source) => {
                shared.stop.store(true, Ordering::Relaxed);
                drop(server.join());
                let doing = format!("open {connections} connections through the gateways");
                return Err(LabError::Io { doing, source });
            }
        };
        shared.alive.store(streams.len(), Ordering::Relaxed);
        let client_loop = client::Client::new(streams, Arc::clone(&shared))?;
        let client = std::thread::spawn(move || client_loop.run());
        Ok(Self { shared, server, client })
    }

    /// Connections alive and bytes checked so far.
    pub fn counts(&self) -> (usize, u64) {
        (self.shared.alive.load(Ordering::Relaxed), self.shared.bytes.load(Ordering::Relaxed))
    }

    /// Ends the load: every connection sends once more and has some seconds to get everything back.
    pub fn stop(self) -> LoadReport {
        self.shared.drain.store(true, Ordering::Relaxed);
        let report = self.client.join().unwrap_or_default();
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(self.server.join());
        report
    }
}

fn open(address: SocketAddr, count: usize) -> std::io::Result<Vec<TcpStream>> {
    (0..count)
        .map(|_| {
            let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
        .collect()
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
