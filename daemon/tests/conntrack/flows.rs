//! Flows to put, and how they are compared with what is read.

use std::net::IpAddr;
use std::process::Command;

use evergate_core::flow::{Extra, Flow, FlowKey, Part, State, Tuple, Zones, protocol, status, tcp};
use evergate_daemon::kernel::conntrack::decode::{Message, News};
use evergate_daemon::kernel::conntrack::injector::{Injector, Operation, Report};
use evergate_daemon::kernel::conntrack::listener::{DATAGRAM_MAX, Listener};

use crate::namespace::{ip, skipped};

/// What a flow lives for, in seconds, unless a test says otherwise.
pub const TIMEOUT_S: u32 = 600;
/// The flags of TCP that are put.
const TCP_FLAGS: u8 = tcp::FLAG_WINDOW_SCALE | tcp::FLAG_SACK | tcp::FLAG_LIBERAL;
/// The bits of the status that a reader must find as they were put.
const STATUS: u32 =
    status::EXPECTED | status::SEEN_REPLY | status::ASSURED | status::SRC_NAT | status::DST_NAT;

/// A direction, of addresses and part.
pub fn tuple(source: &str, target: &str, protocol: u8, part: Part) -> Tuple {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    Tuple { source: address(source), target: address(target), protocol, part }
}

/// A direction of TCP or UDP: `10.0.0.1:1000` or `[2001:db8::1]:1000`.
pub fn ends(protocol: u8, source: &str, target: &str) -> Tuple {
    let end = |text: &str| text.parse::<std::net::SocketAddr>().unwrap();
    let (source, target) = (end(source), end(target));
    let part = Part::Ports { source: source.port(), target: target.port() };
    Tuple { source: source.ip(), target: target.ip(), protocol, part }
}

/// An answered flow that is not translated.
pub fn flow(original: Tuple) -> Flow {
    let state = match original.protocol {
        protocol::TCP => State::Tcp { state: tcp::ESTABLISHED, flags: [0x0b; 2], scales: [7, 9] },
        protocol::SCTP => State::Sctp { state: 4, tags: [0x0102_0304, 0x0506_0708] },
        _ => State::None,
    };
    Flow {
        key: FlowKey { original, zones: Zones::default() },
        reply: original.inverse(),
        status: status::SEEN_REPLY | status::ASSURED,
        timeout: TIMEOUT_S,
        mark: 0,
        state,
        extra: None,
    }
}

/// A flow that is translated: the reply tuple, and the bits that say so.
pub fn translated(original: Tuple, reply: Tuple) -> Flow {
    let plain = original.inverse();
    let ends = |tuple: &Tuple| match tuple.part {
        Part::Ports { source, target } => [(tuple.source, source), (tuple.target, target)],
        Part::Echo { id, .. } => [(tuple.source, 0), (tuple.target, id)],
        Part::None => [(tuple.source, 0), (tuple.target, 0)],
    };
    let [was, is] = [ends(&plain), ends(&reply)];
    let mut flow = Flow { reply, ..flow(original) };
    flow.status |= if was[0] == is[0] { 0 } else { status::DST_NAT };
    flow.status |= if was[1] == is[1] { 0 } else { status::SRC_NAT };
    flow
}

/// The `n`th of many flows of UDP.
pub fn numbered(n: u16) -> Flow {
    let part = Part::Ports { source: 1024 + n, target: 53 };
    flow(tuple("10.0.0.1", "10.0.0.2", protocol::UDP, part))
}

/// The flow with what few have.
pub fn with(extra: Extra, mut flow: Flow) -> Flow {
    flow.extra = Some(Box::new(extra));
    flow
}

/// An operation that puts a flow for the usual time.
pub fn put_of(flow: &Flow) -> Operation {
    Operation::Put(flow.clone(), TIMEOUT_S)
}

/// Puts flows, in this order; all must succeed.
pub fn put(injector: &mut Injector, flows: &[&Flow]) {
    let operations: Vec<Operation> = flows.iter().map(|flow| put_of(flow)).collect();
    let report = injector.apply(&operations);
    assert_eq!(report, Report { done: flows.len(), failures: Vec::new() });
}

/// What the table has of a flow.
pub fn read(injector: &mut Injector, flow: &Flow) -> Message {
    injector.look(&flow.key).unwrap().unwrap()
}

/// The flow without what need not read back: the time that has passed, and what the kernel owns.
pub fn comparable(flow: &Flow) -> Flow {
    let state = match flow.state {
        State::Tcp { state, flags, scales } => {
            let flags = flags.map(|flags| flags & TCP_FLAGS | tcp::FLAG_LIBERAL);
            State::Tcp { state, flags, scales }
        }
        other => other,
    };
    Flow { status: flow.status & STATUS, timeout: 0, state, ..flow.clone() }
}

/// Whether the table has the flow as it was put, with nearly all of its time left.
pub fn assert_reads_back(injector: &mut Injector, flow: &Flow) {
    let held = read(injector, flow);
    assert_eq!(comparable(&held.flow), comparable(flow));
    assert!(held.flow.timeout.abs_diff(TIMEOUT_S) <= 2, "{}", held.flow.timeout);
}

/// What the listener has heard.
pub fn heard(listener: &mut Listener) -> Vec<News> {
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut news = Vec::new();
    while let Some(pieces) = listener.receive(&mut buffer).unwrap() {
        news.extend(pieces.map(Result::unwrap));
    }
    news
}

/// Has connections of this namespace tracked, over `lo` too: that begins with the first rule that asks
/// for it, which is this one for what leaves. False where there is no nft.
pub fn track(rule: &str) -> bool {
    ip("link set lo up");
    let chain = "add table t; add chain t c { type filter hook output priority 0; }";
    run("nft", &[&format!("{chain}; add rule t c {rule}")]).is_some()
}

/// Runs a command in the calling thread's namespace; says so and is `None` where it is missing.
pub fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        skipped(&format!("needs {program}"));
        return None;
    };
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {problem}");
    Some(String::from_utf8(output.stdout).unwrap())
}
