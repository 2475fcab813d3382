//! What it costs to put copies into the kernel's table and to delete them, with and without a listener that hears
//! of beginnings. Nobody else on the machine may listen meanwhile.
//!
//! ```text
//! unshare --net target/release/examples/put_copies
//! ```

use std::net::Ipv4Addr;

use evergate_core::flow::{Flow, FlowKey, Part, State, Tuple, Zones, protocol, status, tcp};
use evergate_daemon::kernel::conntrack::injector::{Injector, Operation};
use evergate_daemon::kernel::conntrack::listener::{BUFFER_BYTES, Listener, enable_events};
use evergate_daemon::sys::clock::boottime_now;

/// Copies in a round.
const COPIES: u32 = 50_000;
const ROUNDS: usize = 5;
/// Copies that are put or deleted in one call, as by a standby at 2,500 connections a second.
const TOGETHER: usize = 5;

/// An established connection of TCP behind SNAT.
fn copy(number: u32) -> Flow {
    let source = [10, 91, 0, 1].into();
    let target = Ipv4Addr::from(0x0a5c_0000 + (number >> 14)).into();
    let port = 1024 + u16::try_from(number & 0x3fff).unwrap_or(0);
    let part = Part::Ports { source: port, target: 80 };
    let original = Tuple { source, target, protocol: protocol::TCP, part };
    let reply = Tuple { target: [192, 0, 2, 1].into(), ..original.inverse() };
    let state = State::Tcp { state: tcp::ESTABLISHED, flags: [0x03; 2], scales: [7; 2] };
    let status = status::SEEN_REPLY | status::ASSURED | status::CONFIRMED | status::SRC_NAT;
    let key = FlowKey { original, zones: Zones::default() };
    Flow { key, reply, status, timeout: 600, mark: 0, state, extra: None }
}

/// Microseconds for each of these operations.
fn apply(injector: &mut Injector, operations: &[Operation]) -> f64 {
    let start = boottime_now();
    let failed: usize =
        operations.chunks(TOGETHER).map(|some| injector.apply(some).failures.len()).sum();
    let took_ns = boottime_now() - start;
    assert_eq!(failed, 0, "the kernel has refused copies: is its table full?");
    took_ns as f64 / 1e3 / operations.len() as f64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    enable_events()?;
    let mut injector = Injector::open()?;
    let mut listener = Listener::open(&[injector.port()], BUFFER_BYTES)?;
    let put: Vec<Operation> = (0..COPIES).map(|n| Operation::Put(copy(n), 600)).collect();
    let delete: Vec<Operation> = (0..COPIES).map(|n| Operation::Delete(copy(n).key)).collect();
    for _ in 0..ROUNDS {
        for hears in [true, false] {
            listener.hear_beginnings(hears)?;
            let (made, deleted) = (apply(&mut injector, &put), apply(&mut injector, &delete));
            println!(
                "beginnings heard: {hears:<5}  {made:.2} us to put, {deleted:.2} us to delete"
            );
        }
    }
    Ok(())
}
