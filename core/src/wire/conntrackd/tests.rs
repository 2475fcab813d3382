//! The captured datagrams of two conntrackd 1.4.7, and what no conntrackd would send.

use std::net::IpAddr;

use super::*;
use crate::flow::{Extra, Flow, Part, SequenceAdjustment, State, Synproxy, protocol, status, tcp};
use crate::wire::fixtures::{Dice, hex, text};

const UDP: &str =
    "1020 0034 6b00cce4 000c0000 0a090001 0a090002 00080005 00000188 00050002 11000000
    00080003 81690ec4 00080006 0000001e";
const TCP_SNAT: &str =
    "1100 005c 6b00cce9 000c0000 0a010002 0a020002 00080005 0000019e 00050002 06000000
    00080003 d3221f90 00050004 03000000 00050019 0a000000 0005001a 0a000000 00080006 00069780
    00080007 1234abcd 0008000c 0a020001";
const TCP_V6: &str = "1100 004c 6b00ccf4 00240001 fd010000000000000000000000000002
    fd020000000000000000000000000002 00080005 0000000e 00050002 06000000 00080003 ac541f90
    00050004 03000000";
const PING: &str =
    "1000 003c 00000001 000c0000 0a010002 0a020002 00080005 0000019e 00050002 01000000
    00050016 08000000 00050017 00000000 00060018 d83d0000";
const DNAT_TAIL: &str = "0008000d 0a020002 0006000f 901f0000";
const EXPECTATION: &str = "1300 00b8 6b00ccf7 000c0000 0a010002 0a020002 00050002 06000000 00080003 e64a0015
    000c0004 0a010002 0a020002 00050006 06000000 00080007 0000a30b 000c0008 ffffffff ffffffff 0005000a
    06000000 0008000b 0000ffff 0008000c 0000012c 0008000d 00000000 0008000e 00000000 000c000f 00000000
    00000000 00050011 06000000 00080010 a30b0000 00080012 00000000 00080013 66747000 00160014
    6e61742d666f6c6c6f772d6d6173746572 000000";

fn only(bytes: &[u8]) -> Message<'_> {
    let mut messages = Messages::new(bytes);
    let message = messages.next().expect("one").expect("a good head");
    assert_eq!(messages.next(), None);
    message
}

fn flow_of(bytes: &[u8]) -> (Change, Flow) {
    match only(bytes).body {
        Ok(Body::Flow(change, attributes)) => (change, decode(attributes).expect("a flow")),
        other => panic!("no flow: {other:?}"),
    }
}

fn again(bytes: &[u8]) -> String {
    let message = only(bytes);
    let (change, flow) = flow_of(bytes);
    let (mut attributes, mut out) = (Vec::new(), Vec::new());
    assert!(encode(&flow, &mut attributes));
    write_flow(change, &attributes, message.greetings, message.sequence, &mut out);
    text(&out)
}

#[test]
fn captured_controls_are_read_and_written() {
    let (ack, both) = (Control::Ack, flag::GREETINGS);
    for (bytes, greetings, sequence, control) in [
        ("1a30 0008 6b00cce3", flag::HELLO, 0x6b00_cce3, Control::Alive),
        ("1a68 0010 6b00cce5 6b00cce6 6b00cce6", both, 0x6b00_cce5, ack(0x6b00_cce6, 0x6b00_cce6)),
        ("1a08 0010 6b00cce6 6b00cce7 6b00cce7", 0, 0x6b00_cce6, ack(0x6b00_cce7, 0x6b00_cce7)),
        ("1a02 0010 6b00cced 00000000 00000000", 0, 0x6b00_cced, Control::Resync),
        ("1a04 0010 00000003 00000001 00000002", 0, 3, Control::Nack(1, 2)),
    ] {
        let bytes = hex(bytes);
        let body = Ok(Body::Control(control));
        assert_eq!(only(&bytes), Message { greetings, sequence, body });
        let mut out = Vec::new();
        write_control(control, greetings, sequence, &mut out);
        assert_eq!(out, bytes);
    }
}

#[test]
fn captured_flows_are_read_and_written_byte_for_byte() {
    for captured in [UDP, TCP_SNAT] {
        assert_eq!(again(&hex(captured)), text(&hex(captured)));
    }
    let (change, udp) = flow_of(&hex(UDP));
    assert_eq!(change, Change::New);
    assert_eq!(only(&hex(UDP)).greetings, flag::HELLO);
    assert_eq!(udp.key.original.part, Part::Ports { source: 0x8169, target: 3780 });
    assert_eq!((udp.timeout, udp.is_translated(), udp.state), (30, false, State::None));
}

#[test]
fn a_translated_source_is_where_answers_go() {
    let (change, flow) = flow_of(&hex(TCP_SNAT));
    assert_eq!(change, Change::Update);
    assert_eq!(flow.reply.target, IpAddr::from([10, 2, 0, 1]));
    assert_eq!(flow.reply.source, IpAddr::from([10, 2, 0, 2]));
    assert_eq!(flow.reply.part, Part::Ports { source: 8080, target: 0xd322 });
    assert_eq!((flow.mark, flow.timeout), (0x1234_abcd, 432_000));
    let flags = [tcp::FLAG_WINDOW_SCALE | tcp::FLAG_SACK; 2];
    assert_eq!(flow.state, State::Tcp { state: tcp::ESTABLISHED, flags, scales: [10, 10] });
    assert_eq!(flow.status & status::SRC_NAT, status::SRC_NAT);
}

#[test]
fn a_translated_port_is_swapped_once_too_often() {
    let mut attributes = hex(UDP)[HEAD_LEN..].to_vec();
    attributes.extend(hex(DNAT_TAIL));
    let flow = decode(&attributes).unwrap();
    assert_eq!(flow.reply.source, IpAddr::from([10, 2, 0, 2]));
    assert_eq!(flow.reply.part, Part::Ports { source: 8080, target: 0x8169 });
    let mut out = Vec::new();
    assert!(encode(&flow, &mut out));
    assert!(text(&out).ends_with(&text(&hex(DNAT_TAIL))), "{}", text(&out));
}

#[test]
fn pings_keep_their_identifier_and_have_no_ports() {
    let mut attributes = hex(PING)[HEAD_LEN..].to_vec();
    // A translated ping carries ports of 0, which mean nothing.
    attributes.extend(hex("0008000c 0a020001 0006000e 00000000 0006000f 00000000"));
    let flow = decode(&attributes).unwrap();
    assert_eq!(flow.key.original.part, Part::Echo { kind: 8, code: 0, id: 0x3dd8 });
    assert_eq!(flow.reply.part, Part::Echo { kind: 0, code: 0, id: 0x3dd8 });
    assert_eq!(flow.reply.target, IpAddr::from([10, 2, 0, 1]));
    let mut out = Vec::new();
    assert!(encode(&flow, &mut out));
    assert!(text(&out).contains("00060018d83d0000"), "{}", text(&out));
    // A translated identifier cannot be told: the flow would be another one.
    let mut moved = flow;
    moved.reply.part = Part::Echo { kind: 0, code: 0, id: 7 };
    assert!(!encode(&moved, &mut Vec::new()));
}

#[test]
fn ipv6_is_read_and_translated() {
    let (_, flow) = flow_of(&hex(TCP_V6));
    assert_eq!(flow.key.original.source, "fd01::2".parse::<IpAddr>().unwrap());
    assert_eq!(flow.key.original.target, "fd02::2".parse::<IpAddr>().unwrap());
    assert_eq!(
        flow.state,
        State::Tcp { state: tcp::ESTABLISHED, flags: [0; 2], scales: [0; 2] },
        "without window tracking no scale is told"
    );
    let mut translated = flow.clone();
    translated.reply.target = "fd02::1".parse().unwrap();
    let mut out = Vec::new();
    assert!(encode(&translated, &mut out));
    assert!(text(&out).ends_with("0014001dfd020000000000000000000000000001"), "{}", text(&out));
    assert_eq!(decode(&out), Ok(translated));
}

#[test]
fn an_expectation_is_known_as_one() {
    assert_eq!(only(&hex(EXPECTATION)).body, Ok(Body::Expectation));
}

#[test]
fn all_that_a_flow_may_have_comes_back() {
    let (_, mut flow) = flow_of(&hex(TCP_SNAT));
    let one = SequenceAdjustment { position: 1, before: 2, after: 3 };
    let mut labels = [0; 16];
    labels[0] = 1;
    labels[5] = 7;
    flow.key.zones = crate::flow::Zones { original: 9, reply: 9 };
    flow.extra = Some(Box::new(Extra {
        labels: Some(labels),
        helper: Some(b"ftp".to_vec()),
        master: Some(flow.key.original),
        adjustments: Some([one, SequenceAdjustment { position: 4, ..one }]),
        synproxy: Some(Synproxy { initial: 5, timestamp: 6, offset: 7 }),
        expectations: Vec::new(),
    }));
    let mut out = Vec::new();
    assert!(encode(&flow, &mut out));
    assert_eq!(decode(&out), Ok(flow.clone()));
    assert_eq!(decode_key(&out), Ok(flow.key));
    // Label 0 is the lowest bit of the first word.
    assert!(text(&out).contains("0014001c00000001000007"), "{}", text(&out));
    let mut key = Vec::new();
    assert!(encode_key(&flow.key, &mut key));
    assert_eq!(decode_key(&key), Ok(flow.key));
}

#[test]
fn what_conntrackd_cannot_tell_is_not_told() {
    let (_, udp) = flow_of(&hex(UDP));
    for number in [protocol::GRE, protocol::UDPLITE] {
        let mut flow = udp.clone();
        (flow.key.original.protocol, flow.reply.protocol) = (number, number);
        let mut out = vec![1];
        assert!(!encode(&flow, &mut out) && !encode_key(&flow.key, &mut out));
        assert_eq!(out, [1]);
    }
    let mut zoned = udp.clone();
    zoned.key.zones.reply = 5;
    assert!(!encode(&zoned, &mut Vec::new()) && !encode_key(&zoned.key, &mut Vec::new()));
    let mut named = udp;
    named.extra = Some(Box::new(Extra { helper: Some(vec![b'x'; 12]), ..Extra::default() }));
    let mut out = Vec::new();
    assert!(encode(&named, &mut out));
    assert_eq!(decode(&out).unwrap().extra, None, "the flow is told without its long helper");
}

#[test]
fn what_is_wrong_is_refused_for_its_cause() {
    let first = |bytes: &str| Messages::new(&hex(bytes)).next().unwrap().map(|m| m.body.err());
    assert_eq!(first("2a10 0008 00000001"), Err(Reject::Version));
    assert_eq!(first("1a10 0009 00000001"), Err(Reject::Length));
    assert_eq!(first("1a10 0007 00000001"), Err(Reject::Length));
    assert_eq!(first("1a10 0008 0000"), Err(Reject::Truncated));
    assert_eq!(first("1a08 0008 00000001"), Ok(Some(Reject::Length)));
    assert_eq!(first("1708 0008 00000001"), Ok(Some(Reject::Type)));
    assert_eq!(first("1008 0008 00000001"), Ok(Some(Reject::Type)));
    for (attributes, cause) in [
        ("", Reject::Flow),
        ("0003 0000 00", Reject::Attribute),
        ("00ff 0000 00", Reject::Attribute),
        ("0009 0000 0a090001 0a000000", Reject::Attribute),
        ("000c0000 0a090001 0a090002 00050002 11000000", Reject::Flow),
        ("000c0000 0a090001 0a090002 00050002 2f000000", Reject::Flow),
    ] {
        assert_eq!(decode(&hex(attributes)), Err(cause), "{attributes}");
    }
    // A number of a later release is passed over.
    let mut newer = hex(UDP)[HEAD_LEN..].to_vec();
    newer.extend(hex("00080021 00000001"));
    assert!(decode(&newer).is_ok());
}

#[test]
fn a_bad_message_does_not_hide_the_next_one() {
    let bytes = hex("1708 0008 00000001 1a10 0008 00000002");
    let found: Vec<_> = Messages::new(&bytes).map(|m| m.unwrap().sequence).collect();
    assert_eq!(found, [1, 2]);
}

#[test]
fn any_bytes_are_read_without_a_panic_and_flows_come_back() {
    let mut dice = Dice(0x5eed);
    let captured = [UDP, TCP_SNAT, TCP_V6, PING, EXPECTATION].map(hex);
    let mut flows = 0;
    for _ in 0..20_000 {
        let whole = [captured[dice.index(5)].clone(), captured[dice.index(5)].clone()].concat();
        for message in Messages::new(&dice.mutate(&whole)).flatten() {
            let Ok(Body::Flow(_, attributes)) = message.body else { continue };
            let Ok(flow) = decode(attributes) else { continue };
            let mut out = Vec::new();
            if encode(&flow, &mut out) {
                assert_eq!(decode(&out), Ok(flow));
                flows += 1;
            }
        }
    }
    assert!(flows > 1_000, "{flows}");
}
