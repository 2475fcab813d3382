use super::*;
use crate::wire::Cause;
use crate::wire::fixtures::{Dice, hex, vectors};

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const MULTICAST: IpAddr = IpAddr::V4(GROUP_V4);

fn to(destination: IpAddr) -> Context {
    let hop_limit_min = if destination.is_multicast() { HOP_LIMIT } else { 0 };
    let family = Family::of(destination);
    let source = match family {
        Family::V4 => SOURCE,
        Family::V6 => "fe80::a".parse().unwrap(),
    };
    Context { family, source, destination, hop_limit: 255, hop_limit_min }
}

fn advert(version: Version, priority: u8, auth: Auth) -> Advert {
    Advert {
        version,
        vrid: Vrid::new(51).unwrap(),
        priority,
        interval: Duration::from_secs(1),
        addresses: vec![[192, 0, 2, 100].into(), [192, 0, 2, 101].into()],
        auth,
    }
}

fn bytes(advert: &Advert, dialect: Dialect, context: &Context) -> Vec<u8> {
    let mut out = Vec::new();
    encode(advert, dialect, context.source, context.destination, &mut out).unwrap();
    out
}

/// Both directions, for a packet as it was seen on the wire.
fn same(packet: &str, context: &Context, advert: &Advert, dialect: Dialect) {
    let packet = hex(packet);
    assert_eq!(decode(&packet, context), Ok((advert.clone(), dialect)));
    assert_eq!(bytes(advert, dialect, context), packet);
}

#[test]
fn version_2_is_these_bytes() {
    let (context, plain) = (to(MULTICAST), Dialect::Plain);
    let none = |priority| advert(Version::V2, priority, Auth::None);
    same("2133c802000191fe c0000264 c0000265 0000000000000000", &context, &none(200), plain);
    same("21330002000159ff c0000264 c0000265 0000000000000000", &context, &none(0), plain);
    let password = Auth::Password(Password(*b"secret12"));
    let pass = |priority| advert(Version::V2, priority, password);
    same("2133c80201012380 c0000264 c0000265 7365637265743132", &context, &pass(200), plain);
    same("213300020101eb80 c0000264 c0000265 7365637265743132", &context, &pass(0), plain);
    let header = |priority| advert(Version::V2, priority, Auth::Header);
    same("2133c80202018ffe c0000264 c0000265 0000000000000000", &context, &header(200), plain);
    same("21330002020157ff c0000264 c0000265 0000000000000000", &context, &header(0), plain);
}

#[test]
fn version_3_over_ipv4_is_these_bytes_in_each_dialect() {
    let (multicast, unicast) = (to(MULTICAST), to(PEER));
    let v3 = |priority| advert(Version::V3, priority, Auth::None);
    let (pseudo, plain) = (Dialect::Pseudo, Dialect::Plain);
    same("3133c8020064df06 c0000264 c0000265", &multicast, &v3(200), pseudo);
    same("313300020064a707 c0000264 c0000265", &multicast, &v3(0), pseudo);
    same("3133c8020064819b c0000264 c0000265", &multicast, &v3(200), plain);
    same("3133c8020064819b c0000264 c0000265", &unicast, &v3(200), plain);
    same("3133c8020064fd16 c0000264 c0000265", &unicast, &v3(200), pseudo);
    let old = Dialect::PseudoMulticast;
    same("3133c8020064df06 c0000264 c0000265", &unicast, &v3(200), old);
}

#[test]
fn version_3_over_ipv6_is_these_bytes_and_has_one_dialect() {
    let context = to(IpAddr::V6(GROUP_V6));
    let mut v3 = advert(Version::V3, 200, Auth::None);
    v3.addresses = ["fe80::51:1", "2001:db8::100"].map(|a| a.parse().unwrap()).to_vec();
    let packet = "3133c8020064daa1 fe800000000000000000000000510001
                  20010db8000000000000000000000100";
    same(packet, &context, &v3, Dialect::Pseudo);
    assert_eq!(bytes(&v3, Dialect::Plain, &context), hex(packet));
}

#[test]
fn the_vectors_are_read_and_written() {
    for vector in vectors("vrrp.txt") {
        let [name, from, to, dialect, packet] = vector.as_slice() else { panic!("{vector:?}") };
        let (source, destination): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let hop_limit_min = if destination.is_multicast() { HOP_LIMIT } else { 0 };
        let family = Family::of(source);
        let context = Context { family, source, destination, hop_limit: 255, hop_limit_min };
        let packet = hex(packet);
        let (advert, spoken) = decode(&packet, &context).unwrap();
        assert_eq!(format!("{spoken:?}"), *dialect, "{name}");
        assert_eq!(bytes(&advert, spoken, &context), packet, "{name}");
    }
}

/// What the decoder says of a good packet after a change; the checksum is made right again.
fn changed(change: impl Fn(&mut Vec<u8>)) -> Result<(Advert, Dialect), Reject> {
    let mut packet = hex("3133c8020064819b c0000264 c0000265");
    change(&mut packet);
    packet[6..8].fill(0);
    let sum = Sum::new().bytes(&packet).checksum();
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    decode(&packet, &to(MULTICAST))
}

#[test]
fn bad_adverts_are_refused_by_cause() {
    assert!(changed(|_| ()).is_ok());
    assert_eq!(changed(|p| p[0] = 0x41), Err(Reject::Version));
    assert_eq!(changed(|p| p[0] = 0x32), Err(Reject::Type));
    assert_eq!(changed(|p| p[1] = 0), Err(Reject::Vrid));
    assert_eq!(changed(|p| p[3] = 3), Err(Reject::Length));
    assert_eq!(changed(|p| p[5] = 0), Err(Reject::Interval));
    assert_eq!(changed(|p| (p[3], _) = (0, p.truncate(8))), Err(Reject::AddressCount));
    assert_eq!(changed(|p| (p[0], _) = (0x21, p.extend([0; 8]))), changed_v2(0));
    assert_eq!(changed(|p| (p[0], p[4], _) = (0x21, 3, p.extend([0; 8]))), changed_v2(3));
    let good = hex("3133c8020064df06 c0000264 c0000265");
    let mut wrong = good.clone();
    wrong[7] ^= 1;
    assert_eq!(decode(&wrong, &to(MULTICAST)), Err(Reject::Checksum));
    let far = Context { hop_limit: 254, ..to(MULTICAST) };
    assert_eq!(decode(&good, &far), Err(Reject::HopLimit));
    let mixed = Context { source: "::1".parse().unwrap(), ..to(MULTICAST) };
    assert_eq!(decode(&good, &mixed), Err(Reject::Family));
    let v6 = to(IpAddr::V6(GROUP_V6));
    let v2 = hex("2133c802000191fe c0000264 c0000265 0000000000000000");
    assert_eq!(decode(&v2, &v6), Err(Reject::Version));
}

fn changed_v2(auth: u8) -> Result<(Advert, Dialect), Reject> {
    if auth > 2 {
        return Err(Reject::AuthType);
    }
    // The interval byte of the version 3 packet, 0x64, read as seconds.
    let interval = Duration::from_secs(100);
    let advert = Advert { interval, ..advert(Version::V2, 200, Auth::None) };
    Ok((advert, Dialect::Plain))
}

#[test]
fn unicast_may_have_crossed_as_many_routers_as_its_operator_says() {
    let packet = hex("3133c8020064fd16 c0000264 c0000265");
    let context = Context { hop_limit: 3, ..to(PEER) };
    assert!(decode(&packet, &context).is_ok());
    for (hop_limit_min, expected) in [(3, Ok(200)), (4, Err(Reject::HopLimit))] {
        let told = decode(&packet, &Context { hop_limit_min, ..context });
        assert_eq!(told.map(|(advert, _)| advert.priority), expected, "{hop_limit_min}");
    }
}

#[test]
fn padding_of_ethernet_is_no_part_of_the_advert() {
    let mut packet = hex("3133c8020064df06 c0000264 c0000265");
    let plain = decode(&packet, &to(MULTICAST));
    for _ in packet.len()..PADDED_LEN {
        packet.push(0xa5);
        assert_eq!(decode(&packet, &to(MULTICAST)), plain);
    }
    packet.push(0);
    assert_eq!(decode(&packet, &to(MULTICAST)), Err(Reject::Length));
    let v2 = hex("2133c802000191fe c0000264 c0000265 0000000000000000 0000 00");
    assert!(decode(&v2[..PADDED_LEN], &to(MULTICAST)).is_ok());
    assert_eq!(decode(&v2, &to(MULTICAST)), Err(Reject::Length));
}

#[test]
fn every_other_version_and_type_is_refused() {
    for other in 0..16 {
        if other != 3 && other != 2 {
            assert_eq!(changed(|p| p[0] = other << 4 | 1), Err(Reject::Version), "{other}");
        }
        if other != ADVERTISEMENT {
            assert_eq!(changed(|p| p[0] = 3 << 4 | other), Err(Reject::Type), "{other}");
        }
    }
}

#[test]
fn by_multicast_every_hop_limit_but_255_is_refused() {
    let v4 = hex("3133c8020064df06 c0000264 c0000265");
    let v6 = hex("3133c8020064daa1 fe800000000000000000000000510001
                  20010db8000000000000000000000100");
    let v2 = hex("2133c802000191fe c0000264 c0000265 0000000000000000");
    let v6_group = to(IpAddr::V6(GROUP_V6));
    for (packet, context) in [(&v4, to(MULTICAST)), (&v6, v6_group), (&v2, to(MULTICAST))] {
        assert!(decode(packet, &context).is_ok());
        for hop_limit in 0..255 {
            let far = Context { hop_limit, ..context };
            assert_eq!(decode(packet, &far), Err(Reject::HopLimit), "{hop_limit}");
        }
    }
}

#[test]
fn a_packet_that_ends_too_soon_is_refused_wherever_it_ends() {
    let v4 = hex("3133c8020064df06 c0000264 c0000265");
    let v6 = hex("3133c8020064daa1 fe800000000000000000000000510001
                  20010db8000000000000000000000100");
    let v2 = hex("2133c802000191fe c0000264 c0000265 0000000000000000");
    let v6_group = to(IpAddr::V6(GROUP_V6));
    for (packet, context) in [(v4, to(MULTICAST)), (v6, v6_group), (v2, to(MULTICAST))] {
        for length in 0..packet.len() {
            assert_eq!(decode(&packet[..length], &context), Err(Reject::Length), "{length}");
        }
    }
}

#[test]
fn the_checksum_covers_every_bit() {
    let packets = [
        ("2133c802000191fe c0000264 c0000265 0000000000000000", to(MULTICAST)),
        ("3133c8020064819b c0000264 c0000265", to(MULTICAST)),
        ("3133c8020064df06 c0000264 c0000265", to(MULTICAST)),
        ("3133c8020064fd16 c0000264 c0000265", to(PEER)),
        (
            "3133c8020064daa1 fe800000000000000000000000510001 20010db8000000000000000000000100",
            to(IpAddr::V6(GROUP_V6)),
        ),
    ];
    for (packet, context) in packets {
        let good = hex(packet);
        assert!(decode(&good, &context).is_ok());
        for bit in 0..good.len() * 8 {
            let mut packet = good.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&packet, &context).is_err(), "bit {bit} of {good:02x?}");
        }
    }
}

#[test]
fn each_version_and_family_has_its_checksum_and_no_other() {
    let v6 = to(IpAddr::V6(GROUP_V6));
    let summed = |packet: &str, start: Sum| {
        let mut packet = hex(packet);
        packet[6..8].fill(0);
        let sum = start.bytes(&packet).checksum();
        packet[6..8].copy_from_slice(&sum.to_be_bytes());
        packet
    };
    let plain = summed("3133c80100640000 fe800000000000000000000000510001", Sum::new());
    assert_eq!(decode(&plain, &v6), Err(Reject::Checksum), "IPv6 knows the pseudo header only");
    let start = pseudo(Dialect::Pseudo, v6.source, v6.destination, plain.len()).unwrap();
    let right = summed("3133c80100640000 fe800000000000000000000000510001", start);
    assert!(decode(&right, &v6).is_ok());
    let v2 = "2133c80200010000 c0000264 c0000265 0000000000000000";
    let start = pseudo(Dialect::Pseudo, SOURCE, MULTICAST, 24).unwrap();
    assert_eq!(decode(&summed(v2, start), &to(MULTICAST)), Err(Reject::Checksum));
    assert!(decode(&summed(v2, Sum::new()), &to(MULTICAST)).is_ok());
}

#[test]
fn the_count_of_addresses_is_that_of_the_packet_s_family() {
    // Sixteen bytes are four IPv4 addresses or one of IPv6: the family of the packet tells.
    let four = |p: &mut Vec<u8>| (p[3], _) = (4, p.extend(hex("c0000266 c0000267")));
    let (advert, _) = changed(four).unwrap();
    assert_eq!(advert.addresses.len(), 4);
    assert!(advert.addresses.iter().all(IpAddr::is_ipv4));
    for count in [0, 1, 2, 3, 5, 255] {
        let cause = if count == 0 { Reject::AddressCount } else { Reject::Length };
        let wrong = |p: &mut Vec<u8>| {
            four(p);
            p[3] = count;
            // Longer than what Ethernet fills up, so that nothing passes for padding.
            p.extend([0; 32]);
            if count == 0 {
                p.truncate(8);
            }
        };
        assert_eq!(changed(wrong), Err(cause), "{count}");
    }
}

#[test]
fn version_2_knows_three_types_of_authentication() {
    for kind in 0..=255 {
        let v2 = |p: &mut Vec<u8>| (p[0], p[4], _) = (0x21, kind, p.extend([0; 8]));
        let expected = match kind {
            0 => Ok(Auth::None),
            1 => Ok(Auth::Password(Password([0; 8]))),
            2 => Ok(Auth::Header),
            _ => Err(Reject::AuthType),
        };
        assert_eq!(changed(v2).map(|(advert, _)| advert.auth), expected, "{kind}");
    }
}

#[test]
fn authentication_data_that_means_nothing_is_ignored_and_sent_as_zero() {
    for (kind, auth) in [(0, Auth::None), (2, Auth::Header)] {
        let v2 = |p: &mut Vec<u8>| (p[0], p[4], _) = (0x21, kind, p.extend([0xa5; 8]));
        let (advert, dialect) = changed(v2).unwrap();
        assert_eq!(advert.auth, auth);
        assert_eq!(bytes(&advert, dialect, &to(MULTICAST))[16..], [0; 8]);
    }
}

#[test]
fn every_priority_is_carried_as_it_is() {
    for priority in 0..=255 {
        for version in [Version::V2, Version::V3] {
            let said = advert(version, priority, Auth::None);
            let packet = bytes(&said, Dialect::Plain, &to(MULTICAST));
            assert_eq!(packet[2], priority);
            assert_eq!(decode(&packet, &to(MULTICAST)), Ok((said, Dialect::Plain)));
        }
    }
}

#[test]
fn reserved_bits_are_sent_as_zero() {
    let slow = Advert { interval: V3_INTERVAL_MAX, ..advert(Version::V3, 1, Auth::None) };
    assert_eq!(bytes(&slow, Dialect::Plain, &to(MULTICAST))[4..6], [0x0f, 0xff]);
    let fast = Advert { interval: CENTISECOND, ..slow };
    assert_eq!(bytes(&fast, Dialect::Plain, &to(MULTICAST))[4..6], [0, 1]);
}

#[test]
fn reserved_bits_are_ignored() {
    assert_eq!(changed(|p| p[4] = 0xf0), changed(|_| ()));
}

#[test]
fn the_longest_lists_and_intervals_go_through_and_longer_ones_do_not() {
    let (context, mut large) = (to(MULTICAST), advert(Version::V3, 1, Auth::None));
    large.addresses = (0..=254).map(|n| [10, 0, 0, n].into()).collect();
    large.interval = V3_INTERVAL_MAX;
    let packet = bytes(&large, Dialect::Plain, &context);
    assert_eq!(decode(&packet, &context), Ok((large.clone(), Dialect::Plain)));
    let mut out = vec![7];
    let mut refused = |advert: &Advert| {
        let result = encode(advert, Dialect::Plain, SOURCE, MULTICAST, &mut out).unwrap_err();
        assert_eq!(out, [7]);
        result
    };
    let good = || advert(Version::V3, 1, Auth::None);
    large.addresses.push(SOURCE);
    assert_eq!(refused(&large), Unsendable::AddressCount);
    assert_eq!(refused(&Advert { addresses: vec![], ..good() }), Unsendable::AddressCount);
    let v6 = vec!["::1".parse().unwrap()];
    assert_eq!(refused(&Advert { addresses: v6, ..good() }), Unsendable::Family);
    assert_eq!(refused(&Advert { auth: Auth::Header, ..good() }), Unsendable::Auth);
    for millis in [0, 1, 15, 40_960, 10_000_000] {
        let interval = Duration::from_millis(millis);
        assert_eq!(refused(&Advert { interval, ..good() }), Unsendable::Interval);
    }
    for seconds in [0.0, 0.5, 1.5, 256.0] {
        let (version, interval) = (Version::V2, Duration::from_secs_f64(seconds));
        assert_eq!(refused(&Advert { version, interval, ..good() }), Unsendable::Interval);
    }
    let interval = V2_INTERVAL_MAX;
    let slow = Advert { interval, ..advert(Version::V2, 1, Auth::None) };
    let packet = bytes(&slow, Dialect::Plain, &context);
    assert_eq!(decode(&packet, &context), Ok((slow, Dialect::Plain)));
}

#[test]
fn causes_are_counted_one_by_one() {
    for (at, cause) in Reject::ALL.iter().enumerate() {
        assert_eq!(cause.index(), at);
        assert!(Reject::ALL[..at].iter().all(|other| other.code() != cause.code()));
    }
    assert_eq!(Reject::ALL.len(), 10);
}

#[test]
fn a_password_does_not_show() {
    let shown = format!("{:?}", Auth::Password(Password(*b"secret12")));
    assert!(!shown.contains("secret") && !shown.contains("115"));
}

/// What the standard tells a receiver to ignore, set to what a sender writes.
fn canonical(packet: &[u8], advert: &Advert) -> Vec<u8> {
    let family = Family::of(advert.addresses[0]);
    let length = length(advert.version, family, advert.addresses.len());
    let mut packet = packet[..length].to_vec();
    match (advert.version, advert.auth) {
        (Version::V3, _) => packet[4] &= 0x0f,
        (Version::V2, Auth::Password(_)) => {}
        (Version::V2, Auth::None | Auth::Header) => packet[length - AUTH_LEN..].fill(0),
    }
    packet
}

#[test]
fn no_bytes_make_it_panic_and_what_is_read_is_written_again() {
    let contexts = [to(MULTICAST), to(PEER), to(IpAddr::V6(GROUP_V6))];
    let mut v6 = advert(Version::V3, 9, Auth::None);
    v6.addresses = vec!["fe80::1".parse().unwrap()];
    let seeds = [
        bytes(
            &advert(Version::V2, 100, Auth::Password(Password([7; 8]))),
            Dialect::Plain,
            &to(PEER),
        ),
        bytes(&advert(Version::V3, 100, Auth::None), Dialect::Pseudo, &to(PEER)),
        bytes(&v6, Dialect::Pseudo, &contexts[2]),
    ];
    let (mut dice, mut read) = (Dice(23), 0);
    let rounds = if cfg!(debug_assertions) { 150_000 } else { 1_200_000 };
    for round in 0..rounds {
        let context = &contexts[dice.index(3)];
        let mut packet = match round % 4 {
            3 => (0..dice.below(40)).map(|_| dice.byte()).collect(),
            seed => dice.mutate(&seeds[seed]),
        };
        if packet.len() >= 8 && dice.below(4) > 0 {
            mend(&mut packet, context);
        }
        let Ok((advert, dialect)) = decode(&packet, context) else { continue };
        read += 1;
        let canonical = canonical(&packet, &advert);
        let again = bytes(&advert, dialect, context);
        // The checksum differs where ignored bits were set, and where it was ffff instead of 0.
        assert_eq!(again[..6], canonical[..6]);
        assert_eq!(again[8..], canonical[8..]);
        assert_eq!(decode(&again, context), Ok((advert, dialect)));
    }
    assert!(read > rounds / 10, "only {read} of {rounds} were valid");
}

/// Makes the checksum right, as far as the packet is long enough to have one.
fn mend(packet: &mut [u8], context: &Context) {
    let v6 = context.family == Family::V6;
    let version = if packet[0] >> 4 == 2 { Version::V2 } else { Version::V3 };
    let length = length(version, context.family, packet[3].into()).min(packet.len());
    let dialect = if v6 { Dialect::Pseudo } else { Dialect::Plain };
    packet[6..8].fill(0);
    let start = pseudo(dialect, context.source, context.destination, length).unwrap();
    let sum = start.bytes(&packet[..length]).checksum();
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
}
