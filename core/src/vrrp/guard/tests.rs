use std::net::Ipv4Addr;

use super::*;
use crate::ident::Vrid;

const NOW: u64 = 1_800_000_000_000_000_000;

fn now() -> Stamp {
    Stamp::at(NOW)
}

fn password(bytes: &[u8; 8]) -> Password {
    Password(*bytes)
}

fn keys(mode: Mode, window: Option<Duration>) -> Method {
    let key = |text: &str| Key::new(text.as_bytes()).unwrap();
    let keys = BTreeMap::from([(1, key("the first one")), (2, key("the second one"))]);
    Method::Trailer(Keys { keys, active: 2, mode, window })
}

fn enforced() -> Method {
    keys(Mode::Enforce, Some(Duration::from_secs(5)))
}

fn advert(version: vrrp::Version, priority: u8) -> Advert {
    Advert {
        version,
        vrid: Vrid::new(51).unwrap(),
        priority,
        interval: Duration::from_secs(1),
        addresses: vec![Ipv4Addr::new(192, 0, 2, 100).into()],
        auth: Auth::None,
    }
}

fn from(host: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, host).into()
}

fn sent_by(guard: &mut Guard, version: vrrp::Version, at: Stamp) -> Vec<u8> {
    let mut out = Vec::new();
    let addresses = (from(1), vrrp::GROUP_V4.into());
    guard.seal(&advert(version, 100), addresses, Dialect::Pseudo, at, &mut out).unwrap();
    out
}

fn context() -> Context {
    let (source, destination) = (from(1), vrrp::GROUP_V4.into());
    Context { family: Family::V4, source, destination, hop_limit: 255, hop_limit_min: 255 }
}

fn opened_by(guard: &mut Guard, packet: &[u8]) -> Result<Advert, Refused> {
    guard.open(packet, &context(), now()).map(|(advert, _)| advert)
}

fn why(reject: Reject) -> Result<Advert, Refused> {
    Err(Refused::Auth(reject))
}

#[test]
fn only_the_same_method_with_the_same_secret_is_understood() {
    let methods = [
        Method::None,
        Method::Password(password(b"secret12")),
        Method::Password(password(b"secret13")),
        enforced(),
    ];
    for (one, ours) in methods.iter().enumerate() {
        for (other, theirs) in methods.iter().enumerate() {
            let packet = sent_by(&mut Guard::new(theirs.clone(), now()), vrrp::Version::V2, now());
            let taken = opened_by(&mut Guard::new(ours.clone(), now()), &packet);
            let failed = (1..=2).contains(&one) && (1..=2).contains(&other);
            match (one == other, failed) {
                (true, _) => assert_eq!(taken.map(|advert| advert.priority), Ok(100)),
                (false, true) => assert_eq!(taken, why(Reject::Failed)),
                (false, false) => assert_eq!(taken, why(Reject::Type), "{one} hears {other}"),
            }
        }
    }
}

#[test]
fn a_header_is_taken_once_and_whoever_takes_over_goes_on_with_its_numbers() {
    let method = Method::Header(password(b"secret12"));
    let mut active = Guard::new(method.clone(), now());
    let mut standby = Guard::new(method.clone(), Stamp(0));
    let first = sent_by(&mut active, vrrp::Version::V2, now());
    let (heard, dialect) = standby.open_header(&first, 255).unwrap();
    assert_eq!((heard.priority, dialect), (100, vrrp::Dialect::Plain));
    assert_eq!(standby.open_header(&first, 255).err(), Some(Refused::Auth(Reject::Replay)));
    // The standby's own counter stood at 0: it goes on behind what it has heard.
    let next = sent_by(&mut standby, vrrp::Version::V2, now());
    assert!(active.open_header(&next, 255).is_ok());
    let plain = sent_by(&mut Guard::default(), vrrp::Version::V2, now());
    assert_eq!(opened_by(&mut standby, &plain), why(Reject::Type));
    let mut other = Guard::new(Method::Header(password(b"secret13")), now());
    let foreign = sent_by(&mut other, vrrp::Version::V2, now());
    assert_eq!(active.open_header(&foreign, 255).err(), Some(Refused::Auth(Reject::Failed)));
    assert_eq!(active.open_header(&foreign[..30], 255).err(), Some(Refused::Auth(Reject::Form)));
    let mut none = Guard::default();
    assert_eq!(none.open_header(&next, 255).err(), Some(Refused::Auth(Reject::Type)));
}

#[test]
fn a_whole_packet_to_one_router_has_the_hop_limit_that_was_set_and_one_to_the_group_has_not() {
    let mut guard = Guard::new(Method::Header(password(b"secret12")), now());
    guard.set_hop_limit(64);
    for (destination, ttl) in [(from(2), 64), (vrrp::GROUP_V4.into(), 255)] {
        let (mut packet, mut will) = (Vec::new(), Vec::new());
        let advert = advert(vrrp::Version::V2, 100);
        let ends = (from(1), destination);
        guard.seal(&advert, ends, Dialect::Plain, now(), &mut packet).unwrap();
        guard.seal_will(&advert, ends, Dialect::Plain, now(), &mut will).unwrap();
        assert_eq!((packet[8], will[8]), (ttl, ttl));
        for (hop_limit_min, is_heard) in [(ttl, true), (65, ttl == 255)] {
            let mut other = Guard::new(Method::Header(password(b"secret12")), now());
            let heard = other.open_header(&packet, hop_limit_min);
            assert_eq!(heard.is_ok(), is_heard, "{hop_limit_min}");
        }
    }
}

#[test]
fn a_trailer_has_to_be_fresh_new_and_of_a_known_key() {
    for version in [vrrp::Version::V2, vrrp::Version::V3] {
        let (mut sender, mut receiver) =
            (Guard::new(enforced(), now()), Guard::new(enforced(), now()));
        let packet = sent_by(&mut sender, version, now());
        assert!(opened_by(&mut receiver, &packet).is_ok());
        assert_eq!(opened_by(&mut receiver, &packet), why(Reject::Replay));
        let again = sent_by(&mut sender, version, now());
        assert!(
            opened_by(&mut receiver, &again).is_ok(),
            "in the same moment, with a higher count"
        );
        for seconds in [-6_i64, 6] {
            let at = Stamp::at(NOW.checked_add_signed(seconds * 1_000_000_000).unwrap());
            let packet = sent_by(&mut Guard::new(enforced(), at), version, at);
            assert_eq!(opened_by(&mut receiver, &packet), why(Reject::Stale));
        }
        let Method::Trailer(mut one) = enforced() else { unreachable!() };
        one.keys.remove(&2);
        let mut elder = Guard::new(Method::Trailer(one), now());
        assert_eq!(opened_by(&mut elder, &again), why(Reject::Key));
        let mut forged = again;
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(opened_by(&mut Guard::new(enforced(), now()), &forged), why(Reject::Failed));
    }
}

#[test]
fn without_a_window_a_stamp_only_has_to_rise() {
    let mut receiver = Guard::new(keys(Mode::Enforce, None), now());
    let at = |seconds: u64| Stamp::at(seconds * 1_000_000_000);
    let mut sender = Guard::new(enforced(), at(1000));
    let (old, new) = {
        let old = sent_by(&mut sender, vrrp::Version::V3, at(1000));
        (old, sent_by(&mut sender, vrrp::Version::V3, at(1001)))
    };
    assert!(opened_by(&mut receiver, &new).is_ok());
    assert_eq!(opened_by(&mut receiver, &old), why(Reject::Replay));
}

#[test]
fn a_segment_is_moved_to_trailers_in_three_steps_without_a_break() {
    let window = Some(Duration::from_secs(5));
    let steps = [
        Method::None,
        keys(Mode::ReceiveOnly, window),
        keys(Mode::Permissive, window),
        keys(Mode::Enforce, window),
    ];
    // Each step understands its neighbours, whoever goes first.
    for pair in [(0, 1), (1, 2), (2, 3)] {
        for (ours, theirs) in [pair, (pair.1, pair.0)] {
            let packet =
                sent_by(&mut Guard::new(steps[theirs].clone(), now()), vrrp::Version::V3, now());
            let taken = opened_by(&mut Guard::new(steps[ours].clone(), now()), &packet);
            assert!(taken.is_ok(), "{ours} hears {theirs}: {taken:?}");
        }
    }
    let plain = sent_by(&mut Guard::default(), vrrp::Version::V3, now());
    assert_eq!(opened_by(&mut Guard::new(steps[3].clone(), now()), &plain), why(Reject::Type));
}

#[test]
fn a_trailer_over_ipv6_is_under_the_checksum_and_is_taken_without_too() {
    let (source, destination) = ("fe80::1".parse().unwrap(), vrrp::GROUP_V6.into());
    let addresses = vec!["fe80::51:1".parse().unwrap()];
    let advert = Advert { addresses, ..advert(vrrp::Version::V3, 100) };
    let context =
        Context { family: Family::V6, source, destination, hop_limit: 255, hop_limit_min: 255 };
    let mut packet = Vec::new();
    let ends = (source, destination);
    let mut sender = Guard::new(enforced(), now());
    sender.seal(&advert, ends, Dialect::Pseudo, now(), &mut packet).unwrap();
    assert!(Guard::new(enforced(), now()).open(&packet, &context, now()).is_ok());
    let mut alone = Vec::new();
    vrrp::encode(&advert, Dialect::Pseudo, source, destination, &mut alone).unwrap();
    assert_ne!(packet[6..8], alone[6..8]);
    packet[6..8].copy_from_slice(&alone[6..8]);
    assert!(Guard::new(enforced(), now()).open(&packet, &context, now()).is_ok());
    packet[6] ^= 1;
    let refused = Guard::new(enforced(), now()).open(&packet, &context, now());
    assert_eq!(refused.err(), Some(Refused::Advert(vrrp::Reject::Checksum)));
}

#[test]
fn a_will_is_behind_all_that_was_sent_and_the_next_process_goes_on_behind_it() {
    let addresses = (from(1), vrrp::GROUP_V4.into());
    let resignation = advert(vrrp::Version::V2, 0);
    for method in [Method::Header(password(b"secret12")), enforced()] {
        let mut dying = Guard::new(method.clone(), now());
        assert!(dying.wants_will(now()), "none was made yet");
        let mut will = Vec::new();
        dying.seal_will(&resignation, addresses, Dialect::Plain, now(), &mut will).unwrap();
        let mut standby = Guard::new(method.clone(), Stamp(0));
        let mut take = |packet: &[u8]| match standby.is_header() {
            true => standby.open_header(packet, 255).map(|(advert, _)| advert.priority),
            false => opened_by(&mut standby, packet).map(|advert| advert.priority),
        };
        let mut sent = 0;
        while !dying.wants_will(now()) && sent < 1000 {
            let packet = sent_by(&mut dying, vrrp::Version::V2, now());
            assert_eq!(take(&packet), Ok(100));
            sent += 1;
        }
        assert_eq!(take(&will), Ok(0));
        let mut next = Guard::new(method, Stamp(0));
        next.inherit(&will);
        let packet = sent_by(&mut next, vrrp::Version::V2, now());
        assert_eq!(take(&packet), Ok(100));
    }
    let mut late = Guard::new(enforced(), now());
    let mut will = Vec::new();
    late.seal_will(&resignation, addresses, Dialect::Plain, now(), &mut will).unwrap();
    assert!(!late.wants_will(now()));
    assert!(late.wants_will(now().later(Duration::from_millis(1500))));
    let mut plain = Guard::default();
    will.clear();
    plain.seal_will(&resignation, addresses, Dialect::Plain, now(), &mut will).unwrap();
    assert!(!plain.wants_will(now()));
    plain.inherit(&will);
}

#[test]
fn at_the_end_of_its_numbers_a_router_can_only_resign() {
    let method = Method::Header(password(b"secret12"));
    let mut active = Guard::new(method, Stamp(0));
    active.sequence.skip_to(u32::MAX);
    let mut out = vec![7];
    let addresses = (from(1), vrrp::GROUP_V4.into());
    let mut seal = |priority: u8, out: &mut Vec<u8>| {
        let advert = advert(vrrp::Version::V2, priority);
        active.seal(&advert, addresses, Dialect::Plain, now(), out)
    };
    assert_eq!(seal(100, &mut out), Err(Unsendable::Exhausted));
    assert_eq!(out, [7], "nothing was appended");
    assert_eq!(seal(0, &mut out), Ok(()));
    assert_eq!(seal(100, &mut out), Ok(()), "it counts from the start");
}
