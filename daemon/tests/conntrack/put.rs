//! What is put reads back as it was: protocols, translation, zones, and the life of an entry.

use evergate_core::flow::{Flow, Part, State, Zones, protocol, status, tcp};
use evergate_daemon::kernel::conntrack::injector::{Injector, Operation, Report};
use evergate_daemon::kernel::conntrack::table;
use nix::errno::Errno;

use crate::flows::{
    TIMEOUT_S, assert_reads_back, ends, flow, numbered, put, put_of, read, translated, tuple,
};
use crate::namespace::in_namespace;

const PAIRS: [(&str, &str); 2] =
    [("198.51.100.1", "192.0.2.2"), ("2001:db8:1::1", "2001:db8:2::2")];

#[test]
fn every_protocol_of_both_families_reads_back() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let ports = Part::Ports { source: 1000, target: 2000 };
        let (echo, echo_v6) =
            (Part::Echo { kind: 8, code: 0, id: 77 }, Part::Echo { kind: 128, code: 0, id: 77 });
        for (place, (source, target)) in PAIRS.into_iter().enumerate() {
            let echo =
                if place == 0 { (protocol::ICMP, echo) } else { (protocol::ICMPV6, echo_v6) };
            for (number, part) in [
                (protocol::TCP, ports),
                (protocol::UDP, ports),
                (protocol::UDPLITE, ports),
                (protocol::SCTP, ports),
                (protocol::GRE, ports),
                (50, Part::None),
                echo,
            ] {
                let flow = flow(tuple(source, target, number, part));
                put(&mut injector, &[&flow]);
                assert_reads_back(&mut injector, &flow);
            }
        }
        assert_eq!(table::count().unwrap(), 14);
        assert!(table::maximum().unwrap() > 14);
    });
}

#[test]
fn every_state_of_tcp_reads_back() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let mut flow = flow(ends(protocol::TCP, "10.0.0.1:1", "10.0.0.2:2"));
        for state in 0..=tcp::SYN_SENT2 {
            flow.state = State::Tcp { state, flags: [0x0b; 2], scales: [14, 0] };
            put(&mut injector, &[&flow]);
            assert_reads_back(&mut injector, &flow);
        }
    });
}

#[test]
fn window_scales_need_the_flag_in_both_directions() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        for (port, flags, scales) in [(1, [1, 1], [7, 9]), (2, [1, 0], [0, 0]), (3, [0, 0], [0, 0])]
        {
            let mut flow = flow(ends(protocol::TCP, &format!("10.0.0.1:{port}"), "10.0.0.2:2"));
            flow.state = State::Tcp { state: tcp::ESTABLISHED, flags, scales: [7, 9] };
            put(&mut injector, &[&flow]);
            let flags = flags.map(|flags| flags | tcp::FLAG_LIBERAL);
            let state = State::Tcp { state: tcp::ESTABLISHED, flags, scales };
            assert_eq!(read(&mut injector, &flow).flow.state, state);
        }
    });
}

#[test]
fn windows_are_checked_at_once_where_that_is_asked_for_also_in_what_is_there() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let flow = flow(ends(protocol::TCP, "10.0.0.1:1", "10.0.0.2:2"));
        for strict in [false, true, false, true] {
            injector.set_strict(strict);
            put(&mut injector, &[&flow]);
            let State::Tcp { flags, scales, .. } = read(&mut injector, &flow).flow.state else {
                panic!("not TCP")
            };
            let is_liberal = flags.map(|flags| flags & tcp::FLAG_LIBERAL != 0);
            assert_eq!((is_liberal, scales), ([!strict; 2], [7, 9]));
        }
    });
}

/// Each translation, as the original tuple and the reply.
fn translations() -> Vec<Flow> {
    let (tcp, udp) = (protocol::TCP, protocol::UDP);
    let mut all: Vec<Flow> = [
        // The source, with and without another port.
        (tcp, "10.0.0.1:1000", "192.0.2.2:80", "192.0.2.2:80", "203.0.113.9:1000"),
        (tcp, "10.0.0.1:1001", "192.0.2.2:80", "192.0.2.2:80", "203.0.113.9:61001"),
        (udp, "10.0.0.1:1002", "192.0.2.2:53", "192.0.2.2:53", "10.0.0.1:61002"),
        // The target, with and without another port.
        (tcp, "198.51.100.1:1003", "203.0.113.9:80", "10.0.0.2:80", "198.51.100.1:1003"),
        (tcp, "198.51.100.1:1004", "203.0.113.9:80", "10.0.0.2:8080", "198.51.100.1:1004"),
        (udp, "198.51.100.1:1005", "203.0.113.9:53", "203.0.113.9:5353", "198.51.100.1:1005"),
        // Both.
        (tcp, "10.0.0.1:1006", "203.0.113.9:80", "10.0.0.2:8080", "10.0.0.254:61006"),
        // And of IPv6.
        (tcp, "[fd00::1]:1", "[2001:db8::2]:80", "[2001:db8::2]:80", "[2001:db8::9]:61000"),
        (udp, "[2001:db8::2]:2", "[2001:db8::9]:53", "[fd00::2]:5353", "[2001:db8::2]:2"),
        (tcp, "[fd00::1]:3", "[2001:db8::9]:80", "[fd00::2]:8080", "[fd00::9]:61000"),
    ]
    .into_iter()
    .map(|(protocol, source, target, reply_source, reply_target)| {
        let reply = ends(protocol, reply_source, reply_target);
        translated(ends(protocol, source, target), reply)
    })
    .collect();
    let echo = |kind, id| Part::Echo { kind, code: 0, id };
    all.push(translated(
        tuple("10.0.0.1", "192.0.2.2", protocol::ICMP, echo(8, 7)),
        tuple("192.0.2.2", "203.0.113.9", protocol::ICMP, echo(0, 700)),
    ));
    all.push(translated(
        tuple("198.51.100.1", "203.0.113.9", protocol::ICMP, echo(8, 8)),
        tuple("10.0.0.2", "198.51.100.1", protocol::ICMP, echo(0, 8)),
    ));
    all.push(translated(
        tuple("fd00::1", "2001:db8::2", protocol::ICMPV6, echo(128, 7)),
        tuple("2001:db8::2", "2001:db8::9", protocol::ICMPV6, echo(129, 700)),
    ));
    all.push(translated(
        tuple("10.0.0.1", "192.0.2.2", protocol::SCTP, Part::Ports { source: 1, target: 2 }),
        tuple("192.0.2.2", "203.0.113.9", protocol::SCTP, Part::Ports { source: 2, target: 9 }),
    ));
    all.push(translated(
        tuple("10.0.0.1", "192.0.2.2", protocol::GRE, Part::Ports { source: 0, target: 0 }),
        tuple("192.0.2.2", "203.0.113.9", protocol::GRE, Part::Ports { source: 0, target: 0 }),
    ));
    all.push(translated(
        tuple("10.0.0.1", "192.0.2.2", 50, Part::None),
        tuple("192.0.2.2", "203.0.113.9", 50, Part::None),
    ));
    all
}

#[test]
fn every_translation_reads_back_with_its_bits() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let flows = translations();
        for flow in &flows {
            put(&mut injector, &[flow]);
            assert_reads_back(&mut injector, flow);
            let done = status::SRC_NAT_DONE | status::DST_NAT_DONE;
            assert_eq!(read(&mut injector, flow).status & done, done);
        }
        assert_eq!(table::count().unwrap() as usize, flows.len());
        // Again, over what is there: nothing is refused and nothing comes twice.
        put(&mut injector, &flows.iter().collect::<Vec<_>>());
        assert_eq!(table::count().unwrap() as usize, flows.len());
        flows.iter().for_each(|flow| assert_reads_back(&mut injector, flow));
    });
}

#[test]
fn bits_of_translation_without_a_translation_are_not_kept() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let mut flow = numbered(0);
        flow.status |= status::SRC_NAT | status::SRC_NAT_DONE | status::DST_NAT_DONE;
        put(&mut injector, &[&flow]);
        let kept = status::CONFIRMED | status::SEEN_REPLY | status::ASSURED;
        assert_eq!(read(&mut injector, &flow).status, kept);
    });
}

#[test]
fn an_unanswered_flow_that_nat_left_alone_stays_decided() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let done = status::SRC_NAT_DONE | status::DST_NAT_DONE;
        for original in
            [numbered(0).key.original, ends(protocol::UDP, "[fd00::1]:1", "[fd00::2]:2")]
        {
            let flow = Flow { status: done, ..flow(original) };
            put(&mut injector, &[&flow]);
            assert_reads_back(&mut injector, &flow);
            assert_eq!(read(&mut injector, &flow).status, status::CONFIRMED | done);
            // Its first answer, put over it.
            let answered = Flow { status: done | status::SEEN_REPLY, ..flow };
            put(&mut injector, &[&answered]);
            assert_reads_back(&mut injector, &answered);
        }
    });
}

#[test]
fn the_same_tuple_in_two_zones_is_two_flows() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let in_zones = |original, reply, n| {
            let mut flow = numbered(n);
            flow.key.zones = Zones { original, reply };
            flow
        };
        let same = [in_zones(0, 0, 1), in_zones(5, 5, 1), in_zones(6, 6, 1)];
        let one_sided = [in_zones(7, 0, 2), in_zones(0, 8, 3)];
        for flow in same.iter().chain(&one_sided) {
            put(&mut injector, &[flow]);
        }
        for flow in same.iter().chain(&one_sided) {
            assert_reads_back(&mut injector, flow);
        }
        assert_eq!(table::count().unwrap(), 5);
        let report = injector.apply(&[Operation::Delete(same[1].key)]);
        assert_eq!(report, Report { done: 1, failures: Vec::new() });
        assert_eq!(injector.look(&same[1].key).unwrap(), None);
        [&same[0], &same[2]].into_iter().for_each(|flow| assert_reads_back(&mut injector, flow));
        let report = injector.apply(&one_sided.map(|flow| Operation::Delete(flow.key)));
        assert_eq!((report.done, table::count().unwrap()), (2, 2));
    });
}

#[test]
fn deletion_is_by_key_and_of_what_is_not_there_is_no_failure() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let (one, other) = (numbered(1), numbered(2));
        put(&mut injector, &[&one, &other]);
        let delete = [Operation::Delete(one.key)];
        for _ in 0..2 {
            let report = injector.apply(&delete);
            assert_eq!(report, Report { done: 1, failures: Vec::new() });
        }
        assert_eq!(injector.look(&one.key).unwrap(), None);
        assert_reads_back(&mut injector, &other);
    });
}

#[test]
fn a_timeout_is_set_on_what_is_there_alone() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let flow = numbered(1);
        put(&mut injector, &[&flow]);
        let absent = numbered(2).key;
        let report = injector.apply(&[
            Operation::SetTimeout(absent, 5),
            Operation::SetTimeout(flow.key, 5000),
            Operation::CheckWindows(absent, true),
        ]);
        let failures: Vec<_> = report.failures.iter().map(|one| (one.index, one.errno)).collect();
        assert_eq!(failures, [(0, Errno::ENOENT), (2, Errno::ENOENT)]);
        assert_eq!(report.done, 1);
        let held = read(&mut injector, &flow);
        assert!((4998..=5000).contains(&held.flow.timeout));
        assert_eq!(injector.look(&absent).unwrap(), None);
    });
}

#[test]
fn windows_are_checked_or_not_and_the_rest_stays() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let flow = flow(ends(protocol::TCP, "10.0.0.1:1", "10.0.0.2:2"));
        put(&mut injector, &[&flow]);
        let report = injector.apply(&[Operation::CheckWindows(flow.key, true)]);
        assert_eq!(report.failures, []);
        let held = read(&mut injector, &flow).flow;
        let state = State::Tcp { state: tcp::ESTABLISHED, flags: [0x03; 2], scales: [7, 9] };
        assert_eq!((held.state, held.reply), (state, flow.reply));
        assert!(held.timeout.abs_diff(TIMEOUT_S) <= 2);
        let report = injector.apply(&[Operation::CheckWindows(flow.key, false)]);
        assert_eq!(report.failures, []);
        let state = State::Tcp { state: tcp::ESTABLISHED, flags: [0x0b; 2], scales: [7, 9] };
        assert_eq!(read(&mut injector, &flow).flow.state, state);
    });
}

#[test]
fn three_failures_among_a_thousand_are_told_by_their_place() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let bad = [(127, Errno::ERANGE), (128, Errno::ENOENT), (999, Errno::ERANGE)];
        let operation = |n: u16| match bad.iter().find(|(index, _)| *index == usize::from(n)) {
            None => put_of(&numbered(n)),
            Some((_, Errno::ENOENT)) => Operation::SetTimeout(numbered(n).key, 5),
            Some(_) => {
                let mut flow = flow(ends(protocol::TCP, &format!("10.0.0.1:{n}"), "10.0.0.2:2"));
                // No such state.
                flow.state = State::Tcp { state: 200, flags: [0; 2], scales: [0; 2] };
                put_of(&flow)
            }
        };
        let operations: Vec<Operation> = (0..1000).map(operation).collect();
        let report = injector.apply(&operations);
        let failures: Vec<_> = report.failures.iter().map(|one| (one.index, one.errno)).collect();
        assert_eq!(failures, bad);
        assert_eq!((report.done, table::count().unwrap()), (997, 997));
        let keys: Vec<_> = (0..1000).map(|n| numbered(n).key).collect();
        let held = injector.look_all(keys.iter()).unwrap();
        let held: Vec<_> = held.into_iter().map(|one| one.map(|it| it.flow.key)).collect();
        let is_bad = |n: usize| bad.iter().any(|(index, _)| *index == n);
        let expected = keys.iter().enumerate().map(|(n, key)| (!is_bad(n)).then_some(*key));
        assert!(expected.eq(held), "many calls answer like one, in the order of the keys");
    });
}
