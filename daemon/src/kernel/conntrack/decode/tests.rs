use std::net::IpAddr;

use evergate_core::flow::{Part, State, Tuple, Zones, protocol, status, tcp};

use super::recorded::{self, bytes};
use super::*;

/// Where the status is in the recorded TCP messages: behind header, tuples and number.
const STATUS_AT: usize = 20 + 2 * 52 + 8 + 4;

fn read(hex: &str) -> Message {
    let bytes = bytes(hex);
    let mut all = messages(&bytes);
    let message = all.next().unwrap().unwrap();
    assert!(all.next().is_none());
    message
}

fn ports(source: &str, target: &str, protocol: u8, source_port: u16, target_port: u16) -> Tuple {
    let part = Part::Ports { source: source_port, target: target_port };
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    Tuple { source: address(source), target: address(target), protocol, part }
}

#[test]
fn a_syn_is_new_with_its_mark_and_labels() {
    let message = read(recorded::TCP_NEW);
    assert_eq!((message.what, message.port), (What::New, 0));
    assert_eq!(message.id, Some(0xa586_4fd1));
    let flow = &message.flow;
    let original = ports("10.99.0.1", "10.99.0.1", protocol::TCP, 40000, 8080);
    assert_eq!((flow.key.original, flow.reply), (original, original.inverse()));
    assert_eq!((flow.timeout, flow.mark), (120, 0x1234));
    let (state, flags, scales) = (tcp::SYN_SENT, [3, 0], [10, 0]);
    assert_eq!(flow.state, State::Tcp { state, flags, scales });
    let mut labels = [0; 16];
    labels[0] = 1 << 5;
    assert_eq!(flow.extra.as_ref().unwrap().labels, Some(labels));
    assert_eq!(flow.status, status::SRC_NAT_DONE | status::DST_NAT_DONE);
    assert!(message.present.has(Present::LABELS) && message.present.has(Present::MARK));
    assert!(!message.present.has(Present::NAT) && is_complete(&message));
}

#[test]
fn a_handshake_that_ends_is_a_change_with_state_flags_and_scales() {
    let message = read(recorded::TCP_ESTABLISHED);
    assert_eq!(message.what, What::Changed);
    let State::Tcp { state, flags, scales } = message.flow.state else { panic!("not TCP") };
    assert_eq!((state, flags, scales), (tcp::ESTABLISHED, [0x23; 2], [10; 2]));
    assert!(message.present.has(Present::PROTOCOL_INFO) && message.present.has(Present::WINDOW));
    assert_eq!(message.flow.timeout, 432_000);
    assert_eq!(message.flow.extra, None);
}

#[test]
fn an_end_has_a_state_alone_and_names_who_ended_it() {
    let message = read(recorded::TCP_DESTROYED);
    assert_eq!(message.what, What::Destroyed);
    assert_ne!(message.port, 0);
    let State::Tcp { state, flags, scales } = message.flow.state else { panic!("not TCP") };
    assert_eq!((state, flags, scales), (tcp::TIME_WAIT, [0; 2], [0; 2]));
    assert!(message.present.has(Present::PROTOCOL_INFO));
    assert!(!message.present.has(Present::WINDOW));
}

#[test]
fn translation_shows_in_the_reply_and_in_the_status() {
    let message = read(recorded::TCP_TRANSLATED);
    assert_eq!(message.flow.reply, ports("10.99.0.1", "10.99.0.1", protocol::TCP, 8080, 40001));
    assert!(message.flow.is_translated() && message.present.has(Present::NAT));
    assert_ne!(message.flow.status & status::DST_NAT, 0);
    let v6 = read(recorded::UDP_V6_TRANSLATED).flow;
    assert_eq!(v6.reply, ports("fd00:99::1", "fd00:99::1", protocol::UDP, 6001, 3000));
    assert!(v6.is_translated());
}

#[test]
fn a_zone_is_that_of_both_directions_or_of_one() {
    let zones = |hex| read(hex).flow.key.zones;
    assert_eq!(zones(recorded::UDP_ZONE), Zones { original: 7, reply: 7 });
    assert_eq!(zones(recorded::UDP_ORIGINAL_ZONE), Zones { original: 9, reply: 0 });
    assert_eq!(zones(recorded::PING), Zones::default());
}

#[test]
fn echoes_of_both_families_have_their_numbers() {
    let ping = read(recorded::PING).flow;
    assert_eq!(ping.key.original.part, Part::Echo { kind: 8, code: 0, id: 0x2749 });
    assert!(!ping.is_translated());
    let ping = read(recorded::PING_V6_ANSWERED).flow;
    assert_eq!(ping.key.original.part, Part::Echo { kind: 128, code: 0, id: 0x274b });
    assert_eq!(ping.reply.part, Part::Echo { kind: 129, code: 0, id: 0x274b });
    assert_ne!(ping.status & status::SEEN_REPLY, 0);
}

#[test]
fn an_offloaded_connection_is_established_and_its_timeout_unknown() {
    let mut bytes = bytes(recorded::TCP_ESTABLISHED);
    let at = STATUS_AT;
    bytes[at..at + 4].copy_from_slice(&(0x18e_u32 | a::IPS_OFFLOAD).to_be_bytes());
    let told = messages(&bytes).next().unwrap().unwrap();
    assert!(told.is_offloaded() && !told.present.has(Present::TIMEOUT));
    assert_eq!((told.flow.status & a::IPS_OFFLOAD, told.flow.timeout), (0, 0));
    // What a list tells of it: neither state nor timeout. Their types are made ones that we pass by.
    let info_at = at + 4 + 8 + 2;
    bytes[info_at] = 0x3f;
    let listed = messages(&bytes).next().unwrap().unwrap();
    let (state, flags, scales) = (tcp::ESTABLISHED, [tcp::FLAG_LIBERAL; 2], [0; 2]);
    assert_eq!(listed.flow.state, State::Tcp { state, flags, scales });
    assert!(!listed.present.has(Present::PROTOCOL_INFO));
}

#[test]
fn an_expected_or_adjusted_connection_is_not_complete_without_the_rest() {
    let mut bytes = bytes(recorded::TCP_ESTABLISHED);
    for bit in [status::EXPECTED, status::SEQ_ADJUST] {
        bytes[STATUS_AT..STATUS_AT + 4].copy_from_slice(&(0x18e_u32 | bit).to_be_bytes());
        assert!(!is_complete(&messages(&bytes).next().unwrap().unwrap()));
    }
}

#[test]
fn what_is_not_about_a_connection_or_lacks_a_part_says_so() {
    let good = bytes(recorded::UDP_ZONE);
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        messages(&bytes).next().unwrap().unwrap_err()
    };
    assert_eq!(error(&|bytes| bytes[5] = 2), DecodeError::Foreign);
    assert_eq!(error(&|bytes| bytes[4] = 1), DecodeError::Foreign);
    assert_eq!(error(&|bytes| bytes[0] = 18), DecodeError::Cut);
    assert_eq!(error(&|bytes| bytes.truncate(100)), DecodeError::Cut);
    assert_eq!(error(&|bytes| bytes[0] -= 6), DecodeError::Cut);
    assert_eq!(error(&|bytes| bytes[22] = 0x3f), DecodeError::NoTuple(a::CTA_TUPLE_ORIG));
    assert_eq!(error(&|bytes| bytes[74] = 0x3f), DecodeError::NoTuple(a::CTA_TUPLE_REPLY));
    // The type of the source's address, that of the protocol, and that of the port.
    assert_eq!(error(&|bytes| bytes[30] = 9), DecodeError::Addresses);
    assert_eq!(error(&|bytes| bytes[50] = 15), DecodeError::Part);
    assert_eq!(error(&|bytes| bytes[58] = 15), DecodeError::Part);
    assert_eq!(error(&|bytes| bytes[28] = 7), DecodeError::Attribute(a::CTA_IP_V4_SRC));
}

#[test]
fn an_expectation_has_its_master_its_mask_and_what_nat_must_know() {
    let bytes = bytes(recorded::EXPECTATION);
    let mut news = NewsOf::new(&bytes);
    let Some(Ok(News::Expectation(told))) = news.next() else { panic!("not an expectation") };
    assert!(news.next().is_none());
    assert!(told.is_there);
    assert_eq!(told.master, ports("10.0.0.1", "192.0.2.2", protocol::TCP, 1000, 21));
    let one = &told.expectation;
    assert_eq!(one.tuple, ports("10.0.0.1", "192.0.2.2", protocol::TCP, 0, 4000));
    assert_eq!((one.mask.source, one.mask.port), ([255; 4].into(), 0));
    let nat = one.nat.unwrap();
    assert_eq!((nat.address, nat.port, nat.reply), ([10, 0, 0, 1].into(), 4001, true));
    assert_eq!(one.function, b"nat-follow-master");
    assert_eq!((one.class, one.flags, one.timeout), (0, 0, 300));
}

#[test]
fn every_cut_and_every_changed_byte_of_an_expectation_is_read_without_a_panic() {
    let whole = bytes(recorded::EXPECTATION);
    for position in 0..whole.len() {
        assert!(!NewsOf::new(&whole[..position]).any(|news| news.is_ok()), "{position}");
        for value in [0, 1, 4, 0x7f, 0xff] {
            let mut changed = whole.clone();
            changed[position] = value;
            NewsOf::new(&changed).for_each(drop);
        }
    }
}

#[test]
fn every_cut_and_every_changed_byte_is_read_without_a_panic() {
    for hex in recorded::ALL {
        let whole = bytes(hex);
        for position in 0..whole.len() {
            assert!(messages(&whole[..position]).all(|message| message.is_err()));
            for value in [0, 1, 2, 3, 4, 5, 8, 15, 16, 0x3f, 0x7f, 0x80, 0xfe, 0xff] {
                let mut changed = whole.clone();
                changed[position] = value;
                messages(&changed).flatten().for_each(|message| _ = is_complete(&message));
            }
        }
    }
}

#[test]
fn any_mixture_of_recorded_bytes_is_read_without_a_panic() {
    let all: Vec<Vec<u8>> = recorded::ALL.iter().map(|hex| bytes(hex)).collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = |limit: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % limit as u64).unwrap()
    };
    for _ in 0..20_000 {
        let mut mixture = all[dice(all.len())].clone();
        for _ in 0..=dice(6) {
            let from = &all[dice(all.len())];
            let start = dice(from.len()) & !3;
            let end = (start + 4 * (1 + dice(16))).min(from.len());
            let at = 16 + (dice(mixture.len() - 16) & !3);
            let room = (mixture.len() - at).min(end - start);
            mixture[at..at + room].copy_from_slice(&from[start..start + room]);
            let at = dice(mixture.len());
            mixture[at] = u8::try_from(dice(256)).unwrap();
        }
        let _ = messages(&mixture).count();
    }
}
