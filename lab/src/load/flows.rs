//! Flows without connections: requests by UDP, and pings. Every byte of every answer is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{
    SockFlag, SockProtocol, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt::ReuseAddr,
};

use super::open::family;
use super::pattern;
use crate::clock;
use crate::error::{LabError, Result};
use crate::topology::Topology;

/// The port of the echo in the server.
const PORT: u16 = 9703;
/// The first port, or identifier of pings, on each source.
const FIRST: u16 = 21_000;
/// Bytes of a request: flow and number, then a pattern.
const REQUEST: usize = 40;
/// Bytes of the header of a ping.
const PING_HEADER: usize = 8;
/// Time between two looks at what has come.
const TICK: Duration = Duration::from_millis(10);
/// How long answers may take at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);

/// What a flow is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowKind {
    /// Requests to an echo in the server.
    Udp,
    /// Echo requests of ICMP or ICMPv6, answered by the server's kernel.
    Ping,
}

/// Which flows.
#[derive(Clone, Debug)]
pub struct FlowPlan {
    /// What they are made of.
    pub kind: FlowKind,
    /// The address of the server.
    pub target: IpAddr,
    /// Addresses of the client; each has the same ports or identifiers.
    pub sources: Vec<IpAddr>,
    /// Flows of each source.
    pub flows: u16,
    /// How often each flow sends a request.
    pub every: Duration,
}

/// How they fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowReport {
    /// How many there were.
    pub flows: usize,
    /// Requests sent and answered.
    pub sent: u64,
    /// Answers that were right.
    pub answered: u64,
    /// Answers with a wrong byte.
    pub corrupted: u64,
    /// Flows that got no answer to their last request.
    pub silent: usize,
    /// Flows of UDP that the server saw from more than one address and port.
    pub moved: usize,
    /// Flows of UDP that the server saw from another port than the client's: the translator chose one.
    pub translated: usize,
    /// Addresses from which the server was reached by UDP.
    pub seen_from: BTreeSet<IpAddr>,
}

struct Flow {
    socket: UdpSocket,
    port: u16,
    sent: u32,
    answered: Option<u32>,
}

type Sources = BTreeMap<usize, BTreeSet<SocketAddr>>;

/// Flows under way.
pub struct Flows {
    stop_sending: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    client: JoinHandle<(FlowReport, Vec<u16>)>,
    echo: Option<JoinHandle<Sources>>,
}

impl Flows {
    /// Opens the sockets and starts asking.
    pub fn start(topology: &Topology, plan: &FlowPlan) -> Result<Self> {
        let echo_socket = match plan.kind {
            FlowKind::Udp => Some(listen(topology)?),
            FlowKind::Ping => {
                topology.client.sysctl("ipv4/ping_group_range", "0 0")?;
                None
            }
        };
        let flows = topology.client.enter(|| open(plan))?;
        let flows = flows.map_err(LabError::io("open the sockets of flows"))?;
        let (stop_sending, stop) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (for_client, for_echo) = (Arc::clone(&stop_sending), Arc::clone(&stop));
        let mut asker = Asker {
            kind: plan.kind,
            ipv6: plan.target.is_ipv6(),
            flows,
            report: FlowReport::default(),
        };
        let every = plan.every;
        Ok(Self {
            stop_sending,
            stop,
            client: std::thread::spawn(move || {
                asker.run(every, &for_client);
                (asker.report, asker.flows.iter().map(|flow| flow.port).collect())
            }),
            echo: echo_socket.map(|socket| std::thread::spawn(move || echo(&socket, &for_echo))),
        })
    }

    /// Ends them: each asks once more and has some seconds to be answered.
    pub fn stop(self) -> FlowReport {
        self.stop_sending.store(true, Ordering::Relaxed);
        let (mut report, ports) = self.client.join().unwrap_or_default();
        self.stop.store(true, Ordering::Relaxed);
        let sources = self.echo.and_then(|echo| echo.join().ok()).unwrap_or_default();
        report.moved = sources.values().filter(|seen| seen.len() > 1).count();
        let other = |(flow, seen): &(&usize, &BTreeSet<SocketAddr>)| {
            let own = ports.get(**flow).copied();
            seen.iter().any(|address| Some(address.port()) != own)
        };
        report.translated = sources.iter().filter(other).count();
        report.seen_from =
            sources.values().flatten().map(|address| address.ip().to_canonical()).collect();
        report
    }
}

fn listen(topology: &Topology) -> Result<UdpSocket> {
    let open = || {
        let socket = UdpSocket::bind(("::", PORT))?;
        socket.set_read_timeout(Some(TICK))?;
        Ok(socket)
    };
    topology.server.enter(open)?.map_err(LabError::io("listen for flows in the server"))
}

fn open(plan: &FlowPlan) -> std::io::Result<Vec<Flow>> {
    let (protocol, port) = match (plan.kind, plan.target) {
        (FlowKind::Udp, _) => (SockProtocol::Udp, PORT),
        (FlowKind::Ping, IpAddr::V4(_)) => (SockProtocol::Icmp, 0),
        (FlowKind::Ping, IpAddr::V6(_)) => (SockProtocol::IcmpV6, 0),
    };
    let mut flows = Vec::new();
    for own in FIRST..FIRST + plan.flows {
        for source in &plan.sources {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(family(plan.target), SockType::Datagram, flags, protocol)?;
            // Two sources may have the same identifier of pings only so.
            setsockopt(&socket, ReuseAddr, &true)?;
            let address = SocketAddr::new(*source, own);
            bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
            let socket = UdpSocket::from(socket);
            socket.connect(SocketAddr::new(plan.target, port))?;
            flows.push(Flow { socket, port: own, sent: 0, answered: None });
        }
    }
    Ok(flows)
}

struct Asker {
    kind: FlowKind,
    ipv6: bool,
    flows: Vec<Flow>,
    report: FlowReport,
}

impl Asker {
    fn run(&mut self, every: Duration, stop: &AtomicBool) {
        self.report.flows = self.flows.len();
        let groups = usize::try_from(every.as_millis() / TICK.as_millis()).unwrap_or(1).max(1);
        let mut group = 0;
        while !stop.load(Ordering::Relaxed) {
            (group..self.flows.len()).step_by(groups).for_each(|index| self.ask(index));
            group = (group + 1) % groups;
            clock::sleep(TICK);
            self.receive();
        }
        let last: Vec<u32> = self.flows.iter().map(|flow| flow.sent).collect();
        let silent = |flow: &Flow, last: u32| flow.answered.is_none_or(|answer| answer < last);
        let start = clock::now();
        let mut waited = 0;
        while start.elapsed() < DRAIN_LIMIT {
            let waiting: Vec<usize> =
                (0..last.len()).filter(|at| silent(&self.flows[*at], last[*at])).collect();
            if waiting.is_empty() {
                break;
            }
            // A datagram may be lost; then it is sent again.
            if waited % 20 == 0 {
                waiting.into_iter().for_each(|index| self.ask(index));
            }
            waited += 1;
            clock::sleep(TICK);
            self.receive();
        }
        let pairs = self.flows.iter().zip(last);
        self.report.silent = pairs.filter(|(flow, last)| silent(flow, *last)).count();
    }

    fn ask(&mut self, index: usize) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let body = request(index, flow.sent);
        let header = [if self.ipv6 { 128 } else { 8 }, 0, 0, 0, 0, 0, 0, 0];
        let bytes = match self.kind {
            FlowKind::Udp => body.to_vec(),
            FlowKind::Ping => [&header[..], &body].concat(),
        };
        // No route or no neighbour is a lost request, not an error.
        let _ = flow.socket.send(&bytes);
        flow.sent += 1;
        self.report.sent += 1;
    }

    fn receive(&mut self) {
        let skip = if self.kind == FlowKind::Ping { PING_HEADER } else { 0 };
        let mut room = [0; 256];
        for (index, flow) in self.flows.iter_mut().enumerate() {
            while let Ok(length) = flow.socket.recv(&mut room) {
                let body = room.get(skip..length).unwrap_or(&[]);
                let number = number(body, 4);
                if body == request(index, number) && number < flow.sent {
                    flow.answered = flow.answered.max(Some(number));
                    self.report.answered += 1;
                } else {
                    self.report.corrupted += 1;
                }
            }
        }
    }
}

fn request(flow: usize, number: u32) -> [u8; REQUEST] {
    let mut body = [0; REQUEST];
    body[..4].copy_from_slice(&u32::try_from(flow).unwrap_or(u32::MAX).to_be_bytes());
    body[4..8].copy_from_slice(&number.to_be_bytes());
    for (offset, byte) in (u64::from(number) * 32..).zip(&mut body[8..]) {
        *byte = pattern(flow, offset);
    }
    body
}

/// Four bytes of a body as a number.
fn number(body: &[u8], at: usize) -> u32 {
    body.get(at..at + 4).map_or(0, |bytes| bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
}

fn echo(socket: &UdpSocket, stop: &AtomicBool) -> Sources {
    let mut sources = Sources::new();
    let mut room = [0; 256];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut room) else { continue };
        if length == REQUEST {
            let flow = usize::try_from(number(&room, 0)).unwrap_or(0);
            sources.entry(flow).or_default().insert(from);
        }
        // An answer that cannot be sent is a lost request.
        let _ = socket.send_to(&room[..length], from);
    }
    sources
}
