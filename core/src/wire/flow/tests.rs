//! Bytes of flows: to and fro, cut anywhere, changed anywhere.

use super::*;
use crate::flow::{Expectation, ExpectationMask, ExpectationNat, FUNCTION_NAME_MAX, tcp};
use crate::wire::fixtures::{Dice, hex, text};
use crate::wire::replica::{BODY_MAX, HEAD_LEN};

fn tuple(protocol: u8, part: Part) -> Tuple {
    let (source, target) = ([10, 91, 0, 100].into(), [10, 92, 0, 200].into());
    Tuple { source, target, protocol, part }
}

/// A TCP connection behind SNAT.
fn translated() -> Flow {
    let original = tuple(protocol::TCP, Part::Ports { source: 40_000, target: 80 });
    let outside = Tuple { source: [10, 92, 0, 1].into(), ..original };
    Flow {
        key: FlowKey { original, zones: Zones::default() },
        reply: outside.inverse(),
        status: 0x019e & status::REPLICATED,
        timeout: 432_000,
        mark: 0,
        state: State::Tcp { state: tcp::ESTABLISHED, flags: [3, 3], scales: [10, 7] },
        extra: None,
    }
}

fn six() -> Flow {
    let part = Part::Echo { kind: 128, code: 0, id: 77 };
    let (source, target) = (Ipv6Addr::LOCALHOST.into(), "fd00::2".parse().unwrap());
    let original = Tuple { source, target, protocol: protocol::ICMPV6, part };
    let zones = Zones { original: 7, reply: 0 };
    Flow {
        key: FlowKey { original, zones },
        reply: original.inverse(),
        status: status::SEEN_REPLY,
        timeout: 30,
        mark: 0x1234_abcd,
        state: State::None,
        extra: None,
    }
}

fn rich() -> Flow {
    let master = tuple(protocol::TCP, Part::Ports { source: 5, target: 21 });
    let one = SequenceAdjustment { position: 1, before: 2, after: 3 };
    let extra = Extra {
        labels: Some([9; 16]),
        helper: Some(b"ftp".to_vec()),
        master: Some(master),
        adjustments: Some([one, SequenceAdjustment { position: 4, before: 5, after: 6 }]),
        synproxy: Some(Synproxy { initial: 7, timestamp: 8, offset: 9 }),
        expectations: vec![expectation(1), Expectation { nat: None, ..expectation(2) }],
    };
    Flow { extra: Some(Box::new(extra)), ..translated() }
}

/// A connection to this port that FTP behind SNAT expects.
fn expectation(port: u16) -> Expectation {
    let nat = ExpectationNat { address: [10, 91, 0, 100].into(), port: 4000, reply: true };
    Expectation {
        tuple: tuple(protocol::TCP, Part::Ports { source: 0, target: port }),
        mask: ExpectationMask { source: [255; 4].into(), port: 0 },
        nat: Some(nat),
        function: b"nat-follow-master".to_vec(),
        class: 0,
        flags: 1,
        timeout: 300,
    }
}

/// As long as a flow can be.
fn longest() -> Flow {
    let six = |n: u16| IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n));
    let part = Part::Ports { source: 1, target: 2 };
    let wide = |n| Tuple { source: six(n), target: six(n + 1), protocol: protocol::TCP, part };
    let one = |port| Expectation {
        tuple: Tuple { part: Part::Ports { source: 0, target: port }, ..wide(7) },
        mask: ExpectationMask { source: six(0xffff), port: 0 },
        nat: Some(ExpectationNat { address: six(9), port: 1, reply: true }),
        function: vec![b'x'; FUNCTION_NAME_MAX],
        ..expectation(port)
    };
    let mut extra = *rich().extra.unwrap_or_default();
    extra.helper = Some(vec![b'h'; HELPER_NAME_MAX]);
    extra.master = Some(wide(5));
    extra.set_expectations((0..100).map(one).collect());
    let key = FlowKey { original: wide(1), zones: Zones { original: 1, reply: 2 } };
    Flow { key, reply: wide(3), mark: 1, extra: Some(Box::new(extra)), ..translated() }
}

fn plain(protocol: u8) -> Flow {
    let original = tuple(protocol, if protocol == 50 { Part::None } else { ports() });
    let state = match protocol {
        protocol::SCTP => State::Sctp { state: 3, tags: [1, 2] },
        protocol::DCCP => State::Dccp { state: 3, role: 1, sequence: 99 },
        _ => State::None,
    };
    let key = FlowKey { original, zones: Zones::default() };
    Flow { key, reply: original.inverse(), status: 0, timeout: 1, mark: 0, state, extra: None }
}

fn ports() -> Part {
    Part::Ports { source: 1, target: 2 }
}

fn all() -> Vec<Flow> {
    let others = [protocol::SCTP, protocol::DCCP, protocol::GRE, protocol::UDPLITE, 50];
    let mut flows = vec![translated(), six(), rich(), longest()];
    flows.extend(others.map(plain));
    flows
}

fn bytes(flow: &Flow) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(encode(flow, &mut out));
    out
}

#[test]
fn a_flow_is_these_bytes() {
    let literal = "0a 06 0196  0a5b0064 0a5c00c8 9c40 0050  0a5c00c8 0a5c0001 0050 9c40
                   00069780  03 03 03 a7";
    assert_eq!(text(&bytes(&translated())), text(&hex(literal)));
}

#[test]
fn an_expectation_is_these_bytes() {
    let mut flow = rich();
    let extra = Extra { expectations: vec![expectation(0xabcd)], ..Extra::default() };
    flow.extra = Some(Box::new(extra));
    let literal = "08 0031  06 81 00 0000012c  0a5b0064 0a5c00c8 0000 abcd  ffffffff 0000
                   01 0a5b0064 0fa0  6e61742d666f6c6c6f772d6d6173746572";
    let literal = hex(literal);
    let bytes = bytes(&flow);
    assert_eq!(text(&bytes[bytes.len() - literal.len()..]), text(&literal));
}

#[test]
fn the_longest_flow_fits_a_packet_and_keeps_as_many_expectations_as_may_be() {
    let flow = longest();
    assert!(bytes(&flow).len() + tlv::HEAD_LEN <= BODY_MAX - HEAD_LEN);
    let read = decode(&bytes(&flow)).unwrap().extra.unwrap();
    assert_eq!(read.expectations.len(), EXPECTATIONS_MAX);
}

#[test]
fn an_expectation_that_contradicts_itself_is_left_out() {
    let mask = ExpectationMask { source: Ipv6Addr::LOCALHOST.into(), port: 0 };
    let wrong = Expectation { mask, ..expectation(1) };
    let extra = Extra { expectations: vec![wrong, expectation(2)], ..Extra::default() };
    let flow = Flow { extra: Some(Box::new(extra)), ..translated() };
    let read = decode(&bytes(&flow)).unwrap().extra.unwrap();
    assert_eq!(read.expectations, [expectation(2)]);
}

#[test]
fn every_kind_of_flow_reads_back_as_it_was() {
    for flow in all() {
        assert_eq!(decode(&bytes(&flow)), Ok(flow.clone()));
        let mut key = Vec::new();
        assert!(encode_key(&flow.key, &mut key));
        assert_eq!(decode_key(&key), Ok(flow.key));
    }
}

#[test]
fn a_flow_that_is_cut_is_refused_or_lacks_only_whole_extras() {
    for flow in all() {
        let whole = bytes(&flow);
        for length in 0..whole.len() {
            if let Ok(read) = decode(&whole[..length]) {
                assert_eq!((read.key, read.reply, read.mark), (flow.key, flow.reply, flow.mark));
                assert_ne!(read, flow);
            }
        }
    }
}

#[test]
fn changed_bytes_never_panic_and_what_is_read_is_written_again() {
    let mut dice = Dice(0x5eed);
    let flows = all();
    for _ in 0..50_000 {
        let mut bytes = bytes(&flows[dice.index(flows.len())]);
        for _ in 0..=dice.below(3) {
            let at = dice.index(bytes.len());
            bytes[at] = u8::try_from(dice.below(256)).unwrap();
        }
        if let Ok(flow) = decode(&bytes) {
            let mut again = Vec::new();
            assert!(encode(&flow, &mut again));
            assert_eq!(decode(&again), Ok(flow));
        }
        let _ = decode_key(&bytes);
    }
}

#[test]
fn a_flow_that_contradicts_itself_is_not_written() {
    let good = translated();
    let mut out = vec![1];
    let mixed = Tuple { target: Ipv6Addr::LOCALHOST.into(), ..good.key.original };
    let key = FlowKey { original: mixed, ..good.key };
    assert!(!encode(&Flow { key, ..good.clone() }, &mut out));
    assert!(!encode_key(&key, &mut out));
    let reply = Tuple { protocol: protocol::UDP, ..good.reply };
    assert!(!encode(&Flow { reply, ..good.clone() }, &mut out));
    let original = Tuple { part: Part::None, ..good.key.original };
    let key = FlowKey { original, ..good.key };
    assert!(!encode(&Flow { key, ..good }, &mut out));
    assert_eq!(out, [1]);
}
