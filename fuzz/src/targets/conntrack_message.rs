//! Any bytes as a datagram of the table of connections: no panic; a flow that was read, and that
//! nothing is translated in, is written and read again as far as the kernel takes it; likewise what a
//! connection expects.

use evergate_core::flow::{Flow, FlowKey, Part, State, Zones, status, tcp};
use evergate_daemon::kernel::conntrack::decode::{News, NewsOf, is_complete, messages};
use evergate_daemon::kernel::conntrack::encode::{Omit, create, delete, expect, unexpect, update};
use evergate_daemon::kernel::rtnetlink::encode::Requests;

/// The number of every request.
const SEQUENCE: u32 = 1;

/// One execution; whether a decoder took the bytes.
pub fn run(bytes: &[u8]) -> bool {
    let mut accepted = false;
    for message in messages(bytes).flatten() {
        accepted = true;
        let _ = is_complete(&message);
        let flow = message.flow;
        let mut requests = Requests::default();
        create(&mut requests, SEQUENCE, &flow, flow.timeout, Omit::default());
        let again = messages(requests.bytes()).next().expect("one was written");
        let again = again.expect("what was written can be read").flow;
        // One zone is in both directions or in one; the kernel has no two.
        let zones = flow.key.zones;
        let has_one = zones.original == zones.reply || zones.original.min(zones.reply) == 0;
        if has_one && !flow.is_translated() {
            assert_eq!(again, taken(flow.clone()));
        }
        update(&mut requests, SEQUENCE, &flow, 1, message.status, Omit::LABELS);
        delete(&mut requests, SEQUENCE, &flow.key);
        assert!(requests.count() == 3);
    }
    for news in NewsOf::new(bytes).flatten() {
        let News::Expectation(told) = news else { continue };
        let key = FlowKey { original: told.master, zones: Zones::default() };
        let mut requests = Requests::default();
        expect(&mut requests, SEQUENCE, &key, &told.expectation, b"ftp");
        let again = NewsOf::new(requests.bytes()).next().expect("one was written");
        let News::Expectation(again) = again.expect("what was written can be read") else {
            panic!("it was an expectation")
        };
        let mut wanted = told.expectation.clone();
        wanted.timeout = 0;
        // The port of NAT is told where the protocol has ports alone.
        if matches!(wanted.tuple.part, Part::Ports { .. }) {
            assert_eq!(again.expectation, wanted);
        }
        unexpect(&mut requests, SEQUENCE, &key, &told.expectation);
    }
    accepted
}

/// What the kernel takes of a flow.
fn taken(mut flow: Flow) -> Flow {
    const SENT: u8 = tcp::FLAG_WINDOW_SCALE | tcp::FLAG_SACK;
    flow.status &= status::SEEN_REPLY | status::ASSURED;
    if let State::Tcp { flags, .. } = &mut flow.state {
        *flags = flags.map(|flags| flags & SENT | tcp::FLAG_LIBERAL);
    }
    flow
}
