//! One small datagram each millisecond from the client through the gateways to the server and back.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock;
use crate::error::{LabError, Result};
use crate::gap::{Record, Sample};
use crate::netns::Namespace;
use crate::topology::Topology;

/// Time between two probes.
pub const SPACING: Duration = Duration::from_millis(1);
/// The most probes of one run: half an hour at the usual spacing.
pub const MAX_PROBES: usize = 1_800_000;
/// How long after the last probe an answer still counts.
const DRAIN: Duration = Duration::from_millis(300);
/// How long a receiver waits before it looks whether it shall stop.
const PATIENCE: Duration = Duration::from_millis(20);
/// The port of the echo in the server.
const PORT: u16 = 9701;
/// Size of a probe: mark and sequence number.
const PROBE_BYTES: usize = 16;

#[derive(Default)]
struct Shared {
    stop_sending: AtomicBool,
    stop: AtomicBool,
    sent: AtomicU64,
    answered: AtomicU64,
    last_answer_us: AtomicU64,
}

/// Probes under way.
pub struct Probe {
    start: Instant,
    shared: Arc<Shared>,
    echo: JoinHandle<()>,
    sender: JoinHandle<Vec<Duration>>,
    receiver: JoinHandle<Vec<(u64, Duration)>>,
}

impl Probe {
    /// Starts probing an address of the server.
    pub fn start(topology: &Topology, target: &str) -> Result<Self> {
        let address: IpAddr = target
            .parse()
            .map_err(|_| LabError::Usage(format!("`{target}` is no address to probe")))?;
        let target = SocketAddr::new(address, PORT);
        let any = SocketAddr::new(unspecified(address), 0);
        let echo_socket = socket(&topology.server, SocketAddr::new(any.ip(), PORT))?;
        let client = socket(&topology.client, any)?;
        let receiving = client.try_clone().map_err(LabError::io("clone the probe's socket"))?;
        let shared = Arc::new(Shared::default());
        let start = clock::now();
        let mark = clock::wall_us();
        let (for_echo, for_sender, for_receiver) =
            (Arc::clone(&shared), Arc::clone(&shared), Arc::clone(&shared));
        Ok(Self {
            start,
            echo: std::thread::spawn(move || echo(&echo_socket, &for_echo)),
            sender: std::thread::spawn(move || send(&client, target, mark, start, &for_sender)),
            receiver: std::thread::spawn(move || receive(&receiving, mark, start, &for_receiver)),
            shared,
        })
    }

    /// Probes sent and answered so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.sent.load(Ordering::Relaxed), self.shared.answered.load(Ordering::Relaxed))
    }

    /// The time since the start of the run.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// How long ago the last answer came; the whole run if none came.
    pub fn silence(&self) -> Duration {
        let last = Duration::from_micros(self.shared.last_answer_us.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }

    /// Waits until answers have come without a pause for `steady`; an error after `limit`.
    pub fn wait_steady(&self, steady: Duration, limit: Duration) -> Result<()> {
        /// A silence longer than this is a pause.
        const PAUSE: Duration = Duration::from_millis(25);
        let mut since = None;
        clock::wait_for("probes to be answered", limit, Duration::from_millis(2), || {
            if self.silence() > PAUSE {
                since = None;
                return Ok(None);
            }
            let since = *since.get_or_insert_with(clock::now);
            Ok((since.elapsed() >= steady).then_some(()))
        })
    }

    /// Ends the run: waits a little for late answers and gives the record.
    pub fn stop(self) -> Record {
        self.shared.stop_sending.store(true, Ordering::Relaxed);
        let sent = self.sender.join().unwrap_or_default();
        clock::sleep(DRAIN);
        self.shared.stop.store(true, Ordering::Relaxed);
        let answers = self.receiver.join().unwrap_or_default();
        drop(self.echo.join());
        let mut samples: Vec<Sample> =
            sent.into_iter().map(|sent| Sample { sent, answered: None }).collect();
        for (number, at) in answers {
            let sample = usize::try_from(number).ok().and_then(|index| samples.get_mut(index));
            if let Some(sample) = sample {
                // A doubled answer is no news.
                sample.answered.get_or_insert(at);
            }
        }
        Record { samples }
    }
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn socket(namespace: &Namespace, address: SocketAddr) -> Result<UdpSocket> {
    let socket = namespace.enter(|| UdpSocket::bind(address))?;
    let socket = socket.map_err(LabError::io(format!("open a probe's socket on {address}")))?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(LabError::io("set the probe's patience"))?;
    Ok(socket)
}

fn echo(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 64];
    while !shared.stop.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // An answer that cannot be sent is a lost probe: the record will say so.
            let _ = socket.send_to(&buffer[..length], from);
        }
    }
}

fn send(
    socket: &UdpSocket,
    to: SocketAddr,
    mark: u64,
    start: Instant,
    shared: &Shared,
) -> Vec<Duration> {
    // A sender that wakes late would look like a slow network.
    let _ = nix::sys::prctl::set_timerslack(1);
    let mut sent = Vec::with_capacity(1 << 16);
    let mut due = start.elapsed();
    while !shared.stop_sending.load(Ordering::Relaxed) && sent.len() < MAX_PROBES {
        clock::sleep(due.saturating_sub(start.elapsed()));
        let at = start.elapsed();
        let number = u64::try_from(sent.len()).unwrap_or(u64::MAX);
        let mut probe = [0; PROBE_BYTES];
        probe[..8].copy_from_slice(&mark.to_be_bytes());
        probe[8..].copy_from_slice(&number.to_be_bytes());
        // No route or no neighbour is a lost probe, not an error.
        let _ = socket.send_to(&probe, to);
        sent.push(at);
        shared.sent.fetch_add(1, Ordering::Relaxed);
        // After a pause of this machine there is no burst to catch up.
        due = (due + SPACING).max(at + SPACING / 2);
    }
    sent
}

fn receive(socket: &UdpSocket, mark: u64, start: Instant, shared: &Shared) -> Vec<(u64, Duration)> {
    let mut answers = Vec::with_capacity(1 << 16);
    let mut buffer = [0; 64];
    while !shared.stop.load(Ordering::Relaxed) && answers.len() < MAX_PROBES {
        let Ok(PROBE_BYTES) = socket.recv(&mut buffer) else { continue };
        let at = start.elapsed();
        let (first, second) = buffer[..PROBE_BYTES].split_at(8);
        if first != mark.to_be_bytes() {
            continue;
        }
        let number = second.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        answers.push((number, at));
        shared.answered.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        shared.last_answer_us.store(micros, Ordering::Relaxed);
    }
    answers
}
