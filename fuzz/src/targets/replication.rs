//! Any bytes as a story: what a peer sends, what the kernel and an operator say, and time that
//! passes. No panic, and the machine never wants to be called for ever in the same moment.

use std::time::Duration;

use evergate_core::flow::{Flow, HashKey};
use evergate_core::ident::{Incarnation, NodeId};
use evergate_core::replicate::{Effect, Input, Replicator, Settings, Sight};
use evergate_core::wire::flow::{decode, decode_key};
use evergate_core::wire::names::Names;
use evergate_core::{Instant, Machine};

/// More calls than this in one moment are a circle.
const CALLS_MAX: u32 = 64;

/// One execution; whether a decoder took the bytes.
pub fn run(bytes: &[u8]) -> bool {
    let mut now = Instant::from_nanos(1_000_000_000);
    let mut machine = Replicator::new(settings(), now);
    let mut flow: Option<Flow> = None;
    let mut rest = bytes;
    let mut accepted = false;
    while let Some((length, [kind, more @ ..])) = rest.split_first() {
        let (value, after) = more.split_at(usize::from(*length).min(more.len()));
        rest = after;
        flow = decode(value).ok().or(flow);
        let Some(input) = input(kind % 16, value, flow.as_ref()) else {
            now += Duration::from_millis(u64::from(*length) * u64::from(kind / 16 + 1));
            tick(&mut machine, now);
            continue;
        };
        accepted = true;
        let mut out = Vec::new();
        machine.handle(now, input, &mut out);
        answer(&mut machine, now, out);
    }
    accepted
}

/// Lets the machine work until it has nothing to do in this moment.
fn tick(machine: &mut Replicator, now: Instant) {
    for _ in 0..CALLS_MAX {
        if machine.deadline().is_none_or(|due| due > now) {
            return;
        }
        let mut out = Vec::new();
        machine.tick(now, &mut out);
        answer(machine, now, out);
    }
    panic!("due at {:?}, and it is {now:?}", machine.deadline());
}

/// What it wants is done; what it sends can be read by a peer.
fn answer(machine: &mut Replicator, now: Instant, effects: Vec<Effect>) {
    for effect in effects {
        let mut out = Vec::new();
        match effect {
            Effect::Dump => machine.handle(now, Input::DumpEnded(true), &mut out),
            Effect::Send(body) => {
                let names = settings().names;
                let body = evergate_core::wire::replica::Body::read(&body).expect("a body");
                assert!(body.items(&names).all(|item| item.is_ok()));
            }
            _ => {}
        }
    }
}

fn input(kind: u8, value: &[u8], flow: Option<&Flow>) -> Option<Input> {
    let incarnation = |number: u8| Incarnation([number; 16]);
    let first = value.first().copied().unwrap_or(0);
    let node = NodeId(u16::from(first % 4));
    let sight = |number: u8| Sight {
        node: NodeId(u16::from(number % 4)),
        incarnation: incarnation(number >> 4 & 1),
        serves: number & 8 != 0,
    };
    Some(match kind {
        0 => Input::Changed(flow?.clone()),
        1 => Input::Gone(decode_key(value).ok().or(flow.map(|flow| flow.key))?),
        2..6 => Input::Packet {
            from: NodeId(u16::from(kind - 2)),
            incarnation: incarnation(first & 1),
            body: value.get(1..)?.to_vec(),
        },
        6 => Input::Peers(value.iter().take(3).map(|number| sight(*number)).collect()),
        7 => Input::Serving(first & 1 == 1),
        8 => Input::Dumped(flow?.clone()),
        9 => Input::DumpEnded(first & 1 == 1),
        10 => Input::Refused(flow?.key),
        11 => Input::NewsLost,
        12 => Input::Resync(node),
        _ => return None,
    })
}

fn settings() -> Settings {
    let names = ["gw1", "gw2", "gw3"].into_iter();
    Settings {
        me: NodeId(0),
        incarnation: Incarnation([0; 16]),
        key: HashKey([1, 2]),
        names: Names::new(names, [].into_iter(), [].into_iter()).expect("names that differ"),
        coalesce: Duration::from_millis(2),
        protect_after: Duration::ZERO,
        read_every: Duration::from_secs(5),
    }
}
