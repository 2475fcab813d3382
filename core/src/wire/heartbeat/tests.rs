use std::net::Ipv4Addr;

use super::*;
use crate::heartbeat::{Answered, Hearing, Outcome, Refusal, Request, RequestKind, Role};
use crate::ident::{GroupId, NodeId, PathId};
use crate::wire::fixtures::{Dice, documented, hex, text, vectors};

fn names() -> Names {
    Names::new(
        ["gw1", "gw2", "gw3"].into_iter(),
        ["dmz", "gateway"].into_iter(),
        ["link:sync", "router:gateway/lan"].into_iter(),
    )
    .unwrap()
}

/// The heartbeats of `conformance/wire/heartbeat.txt`, by the names that stand there.
fn example(name: &str) -> Heartbeat {
    let mut heartbeat = Heartbeat {
        interval: Duration::from_millis(10),
        lateness: Duration::from_micros(250),
        digest: 0x0123_4567_89ab_cdef,
        leaving: false,
        peers: Vec::new(),
        groups: Vec::new(),
        segments: Vec::new(),
        sources: Vec::new(),
    };
    match name {
        "alone" => heartbeat.leaving = true,
        "pair" => {
            heartbeat.peers.push(peer());
            heartbeat.groups.push(group(1, Role::Active));
        }
        "full" => {
            heartbeat.peers = vec![peer(), stranger()];
            heartbeat.groups = vec![asking(), group(1, Role::Active)];
            let nobody = SegmentReport { path: PathId(1), hears: Hearing::Nobody };
            heartbeat.segments = vec![nobody];
            let v6 = "fe80::a".parse().unwrap();
            heartbeat.sources = vec![IpAddr::V4(Ipv4Addr::new(10, 91, 0, 2)), v6];
        }
        _ => panic!("no example is called {name}"),
    }
    heartbeat
}

fn peer() -> PeerReport {
    let incarnation = Incarnation(*b"fedcba9876543210");
    let ms = Duration::from_millis;
    PeerReport {
        node: NodeId(1),
        hears: true,
        dead: ms(30),
        challenge: 2,
        echo: Some(Echo { incarnation, answer: 1 }),
        paths: vec![
            PathReport { path: PathId(0), age: ms(4), stamp: 0xffff_fff0 },
            PathReport { path: PathId(1), age: Duration::from_micros(u32::MAX.into()), stamp: 0 },
        ],
    }
}

fn stranger() -> PeerReport {
    let dead = Duration::from_secs(1);
    let (node, paths) = (NodeId(2), Vec::new());
    PeerReport { node, hears: false, dead, challenge: 0, echo: None, paths }
}

fn group(number: u16, role: Role) -> GroupReport {
    GroupReport {
        group: GroupId(number),
        role,
        priority: Priority::new(200).unwrap(),
        ready: true,
        term: 7,
        tie: 0x0a5b_0002,
        successor: Some(NodeId(1)),
        held: Some(Hold::Open),
        request: None,
        answered: Some(Answered {
            node: NodeId(1),
            serial: 9,
            outcome: Outcome::Done { gap: Duration::from_micros(1_500) },
        }),
    }
}

fn asking() -> GroupReport {
    let kind = RequestKind::Switchover {
        to: NodeId(0),
        within: Duration::from_secs(10),
        hold: Hold::Open,
    };
    GroupReport {
        ready: false,
        held: None,
        successor: None,
        request: Some(Request { serial: 3, kind }),
        answered: Some(Answered {
            node: NodeId(2),
            serial: 4,
            outcome: Outcome::Refused(Refusal::NobodyReady),
        }),
        ..group(0, Role::Standby)
    }
}

fn bytes(heartbeat: &Heartbeat) -> Vec<u8> {
    let mut out = Vec::new();
    encode(heartbeat, &names(), &mut out);
    out
}

#[test]
fn the_vectors_are_written_and_read() {
    for vector in vectors("heartbeat.txt") {
        let [name, body] = vector.as_slice() else { panic!("two fields: {vector:?}") };
        let heartbeat = example(name);
        assert_eq!(text(&bytes(&heartbeat)), *body, "{name}");
        assert_eq!(decode(&hex(body), &names()), Ok(heartbeat), "{name}");
    }
}

#[test]
fn a_hold_with_an_end_travels_in_whole_seconds_rounded_up() {
    let held = |left| GroupReport { held: Some(Hold::Until(left)), ..group(0, Role::Active) };
    for (left, read) in [(0, 0), (1, 1), (59_999, 60), (60_000, 60)] {
        let left = Duration::from_millis(left);
        let sent = Heartbeat { groups: vec![held(left)], ..example("alone") };
        let heard = decode(&bytes(&sent), &names()).unwrap();
        assert_eq!(heard.groups, [held(Duration::from_secs(read))]);
    }
    let hold = Hold::Until(Duration::from_secs(90));
    let kind = RequestKind::Switchover { to: NodeId(0), within: Duration::ZERO, hold };
    let report = GroupReport { request: Some(Request { serial: 1, kind }), ..asking() };
    let sent = Heartbeat { groups: vec![report], ..example("alone") };
    assert_eq!(decode(&bytes(&sent), &names()), Ok(sent));
}

#[test]
fn an_interval_that_no_configuration_allows_is_refused() {
    for (micros, read) in [(0, false), (999, false), (1_000, true), (10_000_000, true)] {
        let interval = Duration::from_micros(micros);
        let sent = Heartbeat { interval, ..example("alone") };
        let expected = if read { Ok(sent.clone()) } else { Err(Reject::Value) };
        assert_eq!(decode(&bytes(&sent), &names()), expected, "{micros} us");
    }
    let sent = Heartbeat { interval: INTERVAL_MAX + HEARTBEAT_MIN, ..example("alone") };
    assert_eq!(decode(&bytes(&sent), &names()), Err(Reject::Value));
}

#[test]
fn the_document_shows_a_body() {
    assert_eq!(documented("pair"), text(&bytes(&example("pair"))));
}

#[test]
fn a_body_is_these_bytes() {
    let literal = hex("01 0011 00002710 000000fa 0123456789abcdef 01");
    assert_eq!(bytes(&example("alone")), literal);
}

#[test]
fn every_word_comes_back() {
    use Refusal::{AlreadyThere, Busy, NoActive, NobodyReady, NotAMember, NotReady, TimedOut};
    use Role::{Active, Claiming, Fault, Init, Locked, Releasing, Standby};
    let mut heartbeat = example("pair");
    let back = |heartbeat: &Heartbeat| decode(&bytes(heartbeat), &names()).unwrap();
    for role in [Init, Standby, Claiming, Active, Releasing, Fault, Locked] {
        heartbeat.groups = vec![group(1, role)];
        assert_eq!(back(&heartbeat), heartbeat);
    }
    let refusals = [NoActive, NotAMember, NotReady, AlreadyThere, Busy, NobodyReady, TimedOut];
    let others = [Outcome::Failed, Outcome::Done { gap: Duration::ZERO }];
    for outcome in refusals.map(Outcome::Refused).into_iter().chain(others) {
        heartbeat.groups[0].answered = Some(Answered { node: NodeId(0), serial: 1, outcome });
        let kind = RequestKind::Failback { within: Duration::from_secs(1) };
        heartbeat.groups[0].request = Some(Request { serial: u32::MAX, kind });
        assert_eq!(back(&heartbeat), heartbeat);
    }
    for hears in [Hearing::Unknown, Hearing::Somebody, Hearing::Nobody] {
        heartbeat.segments = vec![SegmentReport { path: PathId(0), hears }];
        assert_eq!(back(&heartbeat), heartbeat);
    }
}

#[test]
fn what_is_unknown_is_left_out_and_the_rest_counts() {
    let body = bytes(&example("full"));
    let nobody = Names::new([].into_iter(), [].into_iter(), [].into_iter()).unwrap();
    let heartbeat = decode(&body, &nobody).unwrap();
    assert_eq!((heartbeat.peers.len(), heartbeat.groups.len()), (0, 0));
    assert_eq!((heartbeat.segments.len(), heartbeat.sources.len()), (0, 2));

    // A newer sender: an unknown value in front, a longer list of basics, a role of its own.
    let mut newer = hex("c8 0002 beef  01 0013 00002710 000000fa 0123456789abcdef 01 1234");
    let mut strange = Vec::new();
    let hash = names().group_hash(GroupId(1)).unwrap();
    tlv::write(&mut strange, GROUP, |out| {
        write_group(out, hash, &group(1, Role::Active), &names());
        out[3 + 4] = 99;
    });
    newer.extend(strange);
    assert_eq!(decode(&newer, &names()), Ok(example("alone")));
}

#[test]
fn spans_that_are_too_long_become_the_longest() {
    let mut heartbeat = example("alone");
    heartbeat.lateness = Duration::MAX;
    let back = decode(&bytes(&heartbeat), &names()).unwrap();
    assert_eq!(back.lateness, Duration::from_micros(u32::MAX.into()));
}

#[test]
fn bad_bodies_are_refused_by_cause() {
    let good = bytes(&example("full"));
    let read = |body: &[u8]| decode(body, &names());
    assert_eq!(read(&[]), Err(Reject::Basics));
    assert_eq!(read(&[good.as_slice(), &good].concat()), Err(Reject::Basics));
    assert_eq!(read(&good[..good.len() - 1]), Err(Reject::Truncated));
    assert_eq!(read(&hex("01 0010 00002710 000000fa 0123456789abcdef")), Err(Reject::Truncated));
    assert_eq!(read(&vec![0; BODY_MAX + 1]), Err(Reject::Size));
    let mut zero = Vec::new();
    tlv::write(&mut zero, GROUP, |out| out.extend([0; 27]));
    assert_eq!(read(&zero), Err(Reject::Value));
}

#[test]
fn every_list_stops_at_its_bound() {
    let one = |fill: &dyn Fn(&mut Vec<u8>), kind: u8, times: usize| {
        let mut out = bytes(&example("alone"));
        for _ in 0..times {
            tlv::write(&mut out, kind, fill);
        }
        decode(&out, &names())
    };
    let node = names().node_hash(NodeId(1)).unwrap();
    let write_stranger = |out: &mut Vec<u8>| write_peer(out, node, &stranger(), &names());
    assert!(one(&write_stranger, PEER, NODES_MAX).is_ok());
    assert_eq!(one(&write_stranger, PEER, NODES_MAX + 1), Err(Reject::Count));
    let hash = names().group_hash(GroupId(0)).unwrap();
    let write_asking = |out: &mut Vec<u8>| write_group(out, hash, &asking(), &names());
    assert!(one(&write_asking, GROUP, GROUP_REPORTS_MAX).is_ok());
    assert_eq!(one(&write_asking, GROUP, GROUP_REPORTS_MAX + 1), Err(Reject::Count));
    let source = |out: &mut Vec<u8>| out.extend([1; 16]);
    assert!(one(&source, SOURCES, SOURCES_MAX).is_ok());
    assert_eq!(one(&source, SOURCES, SOURCES_MAX + 1), Err(Reject::Count));
    let path = names().path_hash(PathId(0)).unwrap().to_be_bytes();
    let segment = |out: &mut Vec<u8>| out.extend([&path[..], &[1]].concat());
    assert!(one(&segment, SEGMENTS, PATH_REPORTS_MAX).is_ok());
    assert_eq!(one(&segment, SEGMENTS, PATH_REPORTS_MAX + 1), Err(Reject::Count));
    let paths = |out: &mut Vec<u8>| {
        write_stranger(out);
        let entries = [&path[..], &[0; 8]].concat().repeat(PATH_REPORTS_MAX + 1);
        tlv::write(out, PEER_PATHS, |out| out.extend(entries));
    };
    assert_eq!(one(&paths, PEER, 1), Err(Reject::Count));
}

#[test]
fn the_largest_heartbeat_fits() {
    let mut heartbeat = example("full");
    let names = names();
    let mut large = peer();
    large.paths = vec![large.paths[0]; PATH_REPORTS_MAX];
    heartbeat.peers = vec![large; NODES_MAX];
    heartbeat.groups =
        vec![GroupReport { successor: Some(NodeId(0)), ..asking() }; GROUP_REPORTS_MAX];
    heartbeat.segments = vec![heartbeat.segments[0]; PATH_REPORTS_MAX];
    heartbeat.sources = vec![heartbeat.sources[0]; SOURCES_MAX];
    let mut body = Vec::new();
    encode(&heartbeat, &names, &mut body);
    About { capabilities: u32::MAX, version: "x".repeat(99) }.encode(&mut body);
    assert!(body.len() <= BODY_MAX, "{} bytes", body.len());
    assert_eq!(decode(&body, &names), Ok(heartbeat));
}

#[test]
fn the_software_is_told_beside_the_heartbeat() {
    let about = About { capabilities: 5, version: "0.1.0".into() };
    let mut body = bytes(&example("pair"));
    assert_eq!(About::decode(&body), None);
    about.encode(&mut body);
    assert_eq!(About::decode(&body), Some(about));
    assert_eq!(decode(&body, &names()), Ok(example("pair")));
    let long = About { capabilities: 0, version: "é\n".repeat(40) };
    let mut body = Vec::new();
    long.encode(&mut body);
    let back = About::decode(&body).unwrap();
    assert_eq!(back.version, "é".repeat(11));
}

#[test]
fn no_bytes_make_it_panic_and_what_is_read_is_stable() {
    let (mut dice, good) = (Dice(17), bytes(&example("full")));
    let names = names();
    let rounds = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let mut read = 0;
    for _ in 0..rounds {
        let body = dice.mutate(&good);
        let _ = About::decode(&body);
        if let Ok(heartbeat) = decode(&body, &names) {
            read += 1;
            let again = bytes(&heartbeat);
            assert_eq!(decode(&again, &names), Ok(heartbeat));
        }
    }
    assert!(read > rounds / 10, "only {read} mutants were valid");
}
