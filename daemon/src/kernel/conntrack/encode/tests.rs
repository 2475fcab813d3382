use std::net::IpAddr;

use evergate_core::flow::{
    Expectation, ExpectationMask, ExpectationNat, Extra, Part, SequenceAdjustment, Synproxy, Tuple,
    protocol,
};

use super::*;
use crate::kernel::conntrack::decode::{Message, News, NewsOf, Present, messages, recorded};

const SEQUENCE: u32 = 7;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tuple(source: &str, target: &str, protocol: u8, part: Part) -> Tuple {
    Tuple { source: address(source), target: address(target), protocol, part }
}

fn flow_of(original: Tuple) -> Flow {
    Flow {
        key: FlowKey { original, zones: Zones::default() },
        reply: original.inverse(),
        status: status::SEEN_REPLY | status::ASSURED,
        timeout: 30,
        mark: 0xfeed,
        state: State::None,
        extra: None,
    }
}

fn tcp_flow() -> Flow {
    let part = Part::Ports { source: 40000, target: 443 };
    let (state, flags, scales) = (tcp::ESTABLISHED, [0x0b, 0x0a], [7, 99]);
    let state = State::Tcp { state, flags, scales };
    Flow { state, ..flow_of(tuple("10.0.0.1", "10.0.0.2", protocol::TCP, part)) }
}

fn created(flow: &Flow, omit: Omit) -> Message {
    let mut out = Requests::default();
    create(&mut out, SEQUENCE, flow, 30, omit);
    messages(out.bytes()).next().unwrap().unwrap()
}

#[test]
fn what_is_written_of_each_protocol_is_read_again() {
    let ports = Part::Ports { source: 1000, target: 2000 };
    let echo = |kind| Part::Echo { kind, code: 0, id: 77 };
    let (sctp, dccp) = (
        State::Sctp { state: 4, tags: [0x0102_0304, 9] },
        State::Dccp { state: 3, role: 1, sequence: 1 << 40 },
    );
    let cases = [
        (protocol::UDP, ports, State::None),
        (protocol::UDPLITE, ports, State::None),
        (protocol::GRE, ports, State::None),
        (protocol::SCTP, ports, sctp),
        (protocol::DCCP, ports, dccp),
        (50, Part::None, State::None),
        (protocol::ICMP, echo(8), State::None),
        (protocol::ICMPV6, echo(128), State::None),
    ];
    for (number, part, state) in cases {
        for (source, target) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
            let flow = Flow { state, ..flow_of(tuple(source, target, number, part)) };
            let read = created(&flow, Omit::default());
            assert_eq!(read.flow, flow);
            assert_eq!(read.status, flow.status | status::CONFIRMED);
        }
    }
}

#[test]
fn tcp_is_sent_liberal_with_flags_under_a_mask_and_scales_in_range() {
    let read = created(&tcp_flow(), Omit::default()).flow;
    let (state, flags, scales) = (tcp::ESTABLISHED, [0x0b, 0x0a], [7, SCALE_MAX]);
    assert_eq!(read.state, State::Tcp { state, flags, scales });
    let mut all_flags = tcp_flow();
    all_flags.state = State::Tcp { state, flags: [0xf7; 2], scales: [0; 2] };
    let State::Tcp { flags, .. } = created(&all_flags, Omit::default()).flow.state else {
        panic!("not TCP")
    };
    assert_eq!(flags, [0x0b; 2]);
}

#[test]
fn zones_of_both_and_of_one_direction_are_read_again() {
    for zones in [(3, 3), (3, 0), (0, 3)] {
        let mut flow = tcp_flow();
        flow.key.zones = Zones { original: zones.0, reply: zones.1 };
        assert_eq!(created(&flow, Omit::default()).flow.key, flow.key);
    }
}

#[test]
fn what_few_connections_have_is_sent_unless_it_is_left_out() {
    let adjustment = |n| SequenceAdjustment { position: n, before: n + 1, after: n + 2 };
    let mut flow = tcp_flow();
    let extra = Extra {
        labels: Some([0xa5; LABELS]),
        helper: Some(b"ftp".to_vec()),
        master: Some(flow.key.original),
        adjustments: Some([adjustment(1), adjustment(u32::MAX - 2)]),
        synproxy: Some(Synproxy { initial: 1, timestamp: 2, offset: 3 }),
        expectations: Vec::new(),
    };
    flow.extra = Some(Box::new(extra.clone()));
    assert_eq!(created(&flow, Omit::default()).flow.extra.as_deref(), Some(&extra));
    let none = Omit::HELPER.and(Omit::MASTER).and(Omit::LABELS);
    let left = Extra { labels: None, helper: None, master: None, ..extra };
    assert_eq!(created(&flow, none).flow.extra.as_deref(), Some(&left));
}

const LABELS: usize = evergate_core::flow::LABELS_BYTES;

#[test]
fn translation_is_sent_as_two_exact_ranges_and_the_plain_reply() {
    let mut flow = tcp_flow();
    flow.status |= status::SRC_NAT | status::DST_NAT;
    let part = Part::Ports { source: 8443, target: 50000 };
    flow.reply = tuple("10.1.1.1", "203.0.113.9", protocol::TCP, part);
    let mut out = Requests::default();
    create(&mut out, SEQUENCE, &flow, 30, Omit::default());
    let source = [8, 0, 1, 0, 203, 0, 113, 9, 12, 0, 3, 0x80, 6, 0, 1, 0, 0xc3, 0x50, 0, 0];
    let target = [8, 0, 1, 0, 10, 1, 1, 1, 12, 0, 3, 0x80, 6, 0, 1, 0, 0x20, 0xfb, 0, 0];
    let has = |part: &[u8]| out.bytes().windows(part.len()).any(|window| window == part);
    assert!(has(&source) && has(&target));
    let read = messages(out.bytes()).next().unwrap().unwrap();
    assert_eq!(read.flow.reply, flow.key.original.inverse());
    // The kernel ignores the bits: they are not sent.
    assert_eq!(read.status, status::CONFIRMED | status::SEEN_REPLY | status::ASSURED);
}

#[test]
fn an_unanswered_flow_that_nat_left_alone_is_sent_with_ranges_that_change_nothing() {
    let has_ranges = |flow: &Flow| nat::ends(flow).is_some();
    let mut flow = tcp_flow();
    assert!(!has_ranges(&flow));
    flow.status |= status::SRC_NAT_DONE | status::DST_NAT_DONE;
    assert!(!has_ranges(&flow));
    flow.status &= !status::SEEN_REPLY;
    assert!(has_ranges(&flow));
    flow.status = 0;
    assert!(!has_ranges(&flow));
}

#[test]
fn an_update_keeps_the_bits_that_the_kernel_has() {
    let mut out = Requests::default();
    let (flow, held) = (Flow { status: 0, ..tcp_flow() }, 0x4000 | 0x1b0 | 0x0f);
    update(&mut out, SEQUENCE, &flow, 30, held, Omit::default());
    let expected = recorded::bytes("08000300").into_iter().chain(0x0f_u32.to_be_bytes());
    let expected: Vec<u8> = expected.collect();
    assert!(out.bytes().windows(8).any(|window| window == expected));
}

#[test]
fn a_deletion_is_this_and_has_always_a_tuple() {
    let mut out = Requests::default();
    delete(&mut out, SEQUENCE, &tcp_flow().key);
    let expected = "480000000201010007000000000000000200000034000180140001800800010\
                    00a000001080002000a0000021c0002800500010006000000060002009c4000000600030001bb0000";
    assert_eq!(out.bytes(), recorded::bytes(expected));
}

#[test]
fn the_end_of_liberality_changes_one_bit_in_both_directions() {
    let mut out = Requests::default();
    check_windows(&mut out, SEQUENCE, &tcp_flow().key, true);
    let expected = recorded::bytes("180004801400018006000400000800000600050000080000");
    assert!(out.bytes().windows(expected.len()).any(|window| window == expected));
    let message = messages(out.bytes()).next().unwrap();
    assert!(message.is_err(), "a request about a key has no reply");
    let mut out = Requests::default();
    create(&mut out, SEQUENCE, &tcp_flow(), 30, Omit::default());
    assert!(messages(out.bytes()).next().unwrap().unwrap().present.has(Present::WINDOW));
}

fn expectation(source: &str, target: &str, nat: Option<&str>) -> Expectation {
    let part = Part::Ports { source: 0, target: 4000 };
    let tuple = tuple(source, target, protocol::TCP, part);
    let all = if tuple.source.is_ipv4() { "255.255.255.255" } else { "ffff::ffff" };
    let nat = nat.map(|text| ExpectationNat { address: address(text), port: 4001, reply: true });
    let mask = ExpectationMask { source: address(all), port: 0 };
    let function = nat.map_or(Vec::new(), |_| b"nat-follow-master".to_vec());
    Expectation { tuple, mask, nat, function, class: 0, flags: 0, timeout: 0 }
}

fn told(requests: &Requests) -> News {
    NewsOf::new(requests.bytes()).next().unwrap().unwrap()
}

#[test]
fn what_is_written_of_an_expectation_is_read_again() {
    let plain = expectation("192.0.2.1", "192.0.2.2", None);
    let permanent = Expectation { class: 2, flags: 3, ..plain.clone() };
    for one in [
        plain,
        permanent,
        expectation("192.0.2.1", "192.0.2.2", Some("10.0.0.1")),
        expectation("2001:db8::1", "2001:db8::2", Some("fd00::1")),
    ] {
        let master = flow_of(Tuple { part: Part::Ports { source: 9, target: 21 }, ..one.tuple });
        let mut out = Requests::default();
        expect(&mut out, SEQUENCE, &master.key, &one, b"ftp");
        let News::Expectation(read) = told(&out) else { panic!("not an expectation") };
        assert!(read.is_there);
        assert_eq!((read.master, read.expectation), (master.key.original, one.clone()));
        out.clear();
        set_expectation_timeout(&mut out, SEQUENCE, &master.key, &one, 99);
        let News::Expectation(read) = told(&out) else { panic!("not an expectation") };
        assert_eq!((read.expectation.timeout, read.expectation.tuple), (99, one.tuple));
    }
}

#[test]
fn the_helper_of_the_master_is_named_only_where_the_kernel_needs_it() {
    let names_helper = |one: &Expectation| {
        let mut out = Requests::default();
        expect(&mut out, SEQUENCE, &flow_of(one.tuple).key, one, b"ftp");
        out.bytes().windows(4).any(|four| four == b"ftp\0")
    };
    let plain = expectation("192.0.2.1", "192.0.2.2", None);
    assert!(!names_helper(&plain), "or the connection with the file would have it too");
    assert!(names_helper(&Expectation { class: 1, ..plain.clone() }));
    assert!(names_helper(&Expectation { flags: 1, ..plain }));
}
