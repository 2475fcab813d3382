//! What becomes of VRRP packets at the door, and what our own look like (RFC 9568 §7, RFC 3768 §7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use evergate_core::config::Version;
use evergate_core::ident::Vrid;
use evergate_core::vrrp::guard::Method;
use evergate_core::wire::ah;
use evergate_core::wire::checksum::Sum;
use evergate_core::wire::vrrp::{Advert, Auth, Context, Dialect, Password, decode, encode};

use super::guards::stamp_now;
use super::ports::Form;
use super::tests::{Bed, address};
use super::*;
use crate::estate::{Transport, Will};
use crate::kernel::internet_socket::Received;
use crate::kernel::vrrp_socket::{GROUP_V4, GROUP_V6};

const LAN: InterfaceId = InterfaceId(0);
const GATEWAY: GroupId = GroupId(0);
const IPV4: RouterId = RouterId(0);
const IPV6: RouterId = RouterId(1);
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

/// A gateway of both families; its routers share a number.
fn bed(version: u8) -> Bed {
    let groups = format!(
        r#"
[vrrp]
version = {version}
[group.gateway]
priority = {{ gw1 = 200, gw2 = 100 }}
[group.gateway.router.lan]
interface = "evg-lan"
vrid = 51
addresses = ["192.0.2.1/24", "192.0.2.3/24", "fe80::51:1/64", "2001:db8::1/64"]
"#
    );
    let mut bed = Bed::with(&groups);
    let now = instant_now();
    bed.drive.take_news(now, &[address("2001:db8::2", 0), address("fe80::2", 0)]);
    bed
}

/// An advert of another router that fits the gateway.
fn advert(version: Version) -> Advert {
    Advert {
        version,
        vrid: Vrid::new(51).unwrap(),
        priority: 100,
        interval: Duration::from_secs(1),
        addresses: vec![[192, 0, 2, 1].into(), [192, 0, 2, 3].into()],
        auth: Auth::None,
    }
}

fn bytes(advert: &Advert) -> Vec<u8> {
    let mut out = Vec::new();
    encode(advert, Dialect::Pseudo, OTHER, GROUP_V4.into(), &mut out).unwrap();
    out
}

fn received(length: usize) -> Received {
    Received {
        source: OTHER,
        source_port: 0,
        destination: GROUP_V4.into(),
        hop_limit: 255,
        length,
        truncated: false,
        received_ns: 0,
    }
}

/// Lets a packet come in as it came from the other router, with what is changed about it.
fn hear(bed: &mut Bed, packet: &[u8], change: impl Fn(&mut Received)) {
    let mut about = received(packet.len());
    change(&mut about);
    bed.drive.vrrp_packet(instant_now(), LAN, Form::Bare(Family::V4), &about, packet);
}

fn count(bed: &Bed, router: RouterId, name: &str) -> u64 {
    let counters = bed.drive.facts.routers.get(&(GATEWAY, router)).map(|facts| &facts.counters);
    counters.and_then(|counters| counters.get(name)).copied().unwrap_or_default()
}

/// Whether the machine was told of an advert.
fn is_heard(bed: &Bed, router: RouterId) -> bool {
    bed.drive.node.groups()[0].speakers[usize::from(router.0)].heard.is_some()
}

#[test]
fn an_advert_in_order_is_taken_and_counted() {
    for (number, version) in [(2, Version::V2), (3, Version::V3)] {
        let mut bed = bed(number);
        hear(&mut bed, &bytes(&Advert { priority: 250, ..advert(version) }), |_| ());
        assert!(is_heard(&bed, IPV4));
        assert_eq!(count(&bed, IPV4, "adverts_received"), 1);
        assert_eq!(count(&bed, IPV4, "resignations_received"), 0);
        hear(&mut bed, &bytes(&Advert { priority: 0, ..advert(version) }), |_| ());
        assert!(!is_heard(&bed, IPV4), "it has resigned");
        assert_eq!(count(&bed, IPV4, "adverts_received"), 2);
        assert_eq!(count(&bed, IPV4, "resignations_received"), 1);
    }
}

/// A packet with a flaw, and the counter of the cause.
struct Flawed {
    cause: &'static str,
    /// The version that the listener is configured for.
    number: u8,
    packet: Vec<u8>,
    about: fn(&mut Received),
}

/// Every flaw in a packet of one version.
fn flawed(number: u8, version: Version) -> Vec<Flawed> {
    let good = || bytes(&Advert { priority: 250, ..advert(version) });
    let packet = |cause, change: fn(&mut Vec<u8>)| {
        let mut packet = good();
        change(&mut packet);
        Flawed { cause, number, packet, about: |_| () }
    };
    let header = |cause, about| Flawed { cause, number, packet: good(), about };
    vec![
        header("refused_hop_limit", |about| about.hop_limit = 254),
        header("refused_destination", |about| about.destination = [192, 0, 2, 2].into()),
        packet("refused_type", |p| p[0] += 1),
        packet("refused_version", |p| p[0] = 0x41),
        packet("refused_length", |p| p.truncate(12)),
        packet("refused_checksum", |p| p[6] ^= 1),
        Flawed { number: 5 - number, ..packet("refused_version_differs", |_| ()) },
    ]
}

#[test]
fn a_packet_that_fails_any_check_is_counted_by_its_cause_and_dropped() {
    let (v2, v3) = (flawed(2, Version::V2), flawed(3, Version::V3));
    for Flawed { cause, number, packet, about } in v2.into_iter().chain(v3) {
        let mut bed = bed(number);
        hear(&mut bed, &packet, about);
        assert_eq!(count(&bed, IPV4, cause), 1, "{cause}: {:?}", bed.drive.facts.routers);
        assert!(!is_heard(&bed, IPV4), "{cause}");
        assert_eq!(count(&bed, IPV4, "adverts_received"), 0, "{cause}");
    }
}

#[test]
fn an_advert_without_addresses_is_dropped() {
    let mut bed = bed(3);
    let mut packet = bytes(&Advert { priority: 250, ..advert(Version::V3) });
    packet.truncate(8);
    packet[3] = 0;
    packet[6..8].fill(0);
    let sum = Sum::new().bytes(&packet).checksum();
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    hear(&mut bed, &packet, |_| ());
    assert_eq!(count(&bed, IPV4, "refused_address_count"), 1);
    assert!(!is_heard(&bed, IPV4));
}

#[test]
fn an_advert_of_our_own_address_is_not_answered_and_shows_in_the_status() {
    let mut bed = bed(3);
    let ours = IpAddr::from([192, 0, 2, 2]);
    hear(&mut bed, &bytes(&advert(Version::V3)), |about| about.source = ours);
    assert_eq!(count(&bed, IPV4, "refused_our_own_address"), 1);
    assert!(!is_heard(&bed, IPV4));
    assert_eq!(bed.drive.facts.refused[&(GATEWAY, IPV4)].0, ours);
}

#[test]
fn a_number_that_is_not_configured_there_is_counted_and_nothing_else() {
    let mut bed = bed(3);
    let other = Advert { vrid: Vrid::new(52).unwrap(), priority: 250, ..advert(Version::V3) };
    hear(&mut bed, &bytes(&other), |_| ());
    assert_eq!(bed.drive.facts.counters.get("vrrp_unknown_vrid"), Some(&1));
    assert!(bed.drive.facts.routers.is_empty(), "{:?}", bed.drive.facts.routers);
}

#[test]
fn the_same_number_in_the_other_family_is_another_virtual_router() {
    let mut bed = bed(3);
    hear(&mut bed, &bytes(&Advert { priority: 250, ..advert(Version::V3) }), |_| ());
    assert!(is_heard(&bed, IPV4) && !is_heard(&bed, IPV6));
    let addresses = vec!["fe80::51:1".parse().unwrap()];
    let (from, to) = ("fe80::9".parse::<IpAddr>().unwrap(), IpAddr::from(GROUP_V6));
    let advert = Advert { priority: 250, addresses, ..advert(Version::V3) };
    let mut packet = Vec::new();
    encode(&advert, Dialect::Pseudo, from, to, &mut packet).unwrap();
    let about = Received { source: from, destination: to, ..received(packet.len()) };
    bed.drive.vrrp_packet(instant_now(), LAN, Form::Bare(Family::V6), &about, &packet);
    assert!(is_heard(&bed, IPV6));
    assert_eq!(count(&bed, IPV4, "adverts_received"), 1);
    assert_eq!(count(&bed, IPV6, "adverts_received"), 1);
}

#[test]
fn another_interval_is_refused_by_version_2_and_taken_by_version_3() {
    let interval = Duration::from_secs(2);
    let mut v2 = bed(2);
    hear(&mut v2, &bytes(&Advert { priority: 250, interval, ..advert(Version::V2) }), |_| ());
    assert_eq!(count(&v2, IPV4, "refused_interval_differs"), 1);
    assert!(!is_heard(&v2, IPV4));
    let mut v3 = bed(3);
    hear(&mut v3, &bytes(&Advert { priority: 250, interval, ..advert(Version::V3) }), |_| ());
    assert!(is_heard(&v3, IPV4));
    assert_eq!(v3.drive.node.groups()[0].speakers[0].interval, interval);
}

#[test]
fn authentication_that_is_not_configured_is_refused() {
    for auth in [Auth::Password(Password(*b"secret12")), Auth::Header] {
        let mut bed = bed(2);
        hear(&mut bed, &bytes(&Advert { priority: 250, auth, ..advert(Version::V2) }), |_| ());
        assert_eq!(count(&bed, IPV4, "refused_auth_type"), 1);
        assert!(!is_heard(&bed, IPV4));
    }
}

#[test]
fn whose_adverts_are_refused_is_kept_for_the_status() {
    let mut bed = bed(3);
    hear(&mut bed, &bytes(&advert(Version::V3)), |_| ());
    assert!(bed.drive.facts.refused.is_empty());
    hear(&mut bed, &bytes(&advert(Version::V2)), |_| ());
    let (from, why, _) = bed.drive.facts.refused[&(GATEWAY, IPV4)];
    assert_eq!((from, why), (OTHER, "refused_version_differs"));
}

#[test]
fn our_adverts_say_what_is_configured() {
    for (number, version) in [(2, Version::V2), (3, Version::V3)] {
        let mut bed = bed(number);
        for (router, priority) in [(IPV4, 200), (IPV4, 0), (IPV6, 200)] {
            let source = bed.drive.source_of(GATEWAY, router).unwrap();
            let config = bed.drive.layout.core.groups[0].routers[usize::from(router.0)].clone();
            let destination = bed.drive.destinations(GATEWAY, router)[0];
            let mut packet = Vec::new();
            let said = bed.drive.advert(GATEWAY, router, priority).unwrap();
            let ends = (source, destination);
            let sent = bed.drive.seal_advert((GATEWAY, router), &said, ends, false, &mut packet);
            assert_eq!(sent, Ok(()));
            let family = Family::of(source);
            let context =
                Context { family, source, destination, hop_limit: 255, hop_limit_min: 255 };
            let (said, dialect) = decode(&packet, &context).unwrap();
            let is_v2 = (router, version) == (IPV4, Version::V2);
            let expected = Advert {
                version: if router == IPV6 { Version::V3 } else { version },
                priority,
                addresses: config.addresses.iter().map(|(address, _)| *address).collect(),
                ..advert(version)
            };
            assert_eq!(said, expected);
            assert_eq!(dialect, if is_v2 { Dialect::Plain } else { Dialect::Pseudo });
        }
    }
}

#[test]
fn our_adverts_go_from_an_address_of_our_own_to_the_group() {
    let bed = bed(3);
    let source = |router| bed.drive.source_of(GATEWAY, router);
    assert_eq!(source(IPV4), Some([192, 0, 2, 2].into()));
    let link_local: Ipv6Addr = "fe80::2".parse().unwrap();
    assert_eq!(source(IPV6), Some(link_local.into()));
    assert_eq!(bed.drive.destinations(GATEWAY, IPV4), [IpAddr::from(GROUP_V4)]);
    assert_eq!(bed.drive.destinations(GATEWAY, IPV6), [IpAddr::from(GROUP_V6)]);
}

#[test]
fn without_an_address_of_its_own_a_router_is_mute_and_says_so() {
    let mut bed = Bed::with(
        r#"
[group.gateway]
priority = { gw1 = 200, gw2 = 100 }
[group.gateway.router.lan]
interface = "evg-lan"
vrid = 51
addresses = ["fe80::51:1/64"]
"#,
    );
    let now = instant_now();
    bed.drive.take_news(now, &[address("2001:db8::2", 0)]);
    assert_eq!(bed.drive.source_of(GATEWAY, RouterId(0)), None, "not a link-local one");
    let mut effects =
        vec![evergate_core::Effect::Advertise { group: GATEWAY, router: RouterId(0), priority: 1 }];
    bed.drive.carry_out(now, &mut effects);
    assert_eq!(count(&bed, RouterId(0), "no_source_address"), 1);
    assert_eq!(count(&bed, RouterId(0), "adverts_sent"), 0);
}

/// The gateway with an authentication header, active.
fn authenticated() -> Bed {
    let mut bed = bed(2);
    let method = Method::Header(Password(*b"secret12"));
    bed.drive.secrets.adverts.insert("gateway".into(), method);
    bed.drive.arm_guards();
    bed.drive.held.insert(GATEWAY);
    bed.drive.publish_estate();
    bed
}

fn send(bed: &mut Bed, count: usize) -> u32 {
    let ends = (IpAddr::from([192, 0, 2, 2]), IpAddr::from(GROUP_V4));
    let mut packet = Vec::new();
    for _ in 0..count {
        packet.clear();
        let said = bed.drive.advert(GATEWAY, IPV4, 200).unwrap();
        let sent = bed.drive.seal_advert((GATEWAY, IPV4), &said, ends, false, &mut packet);
        assert_eq!(sent, Ok(()));
        bed.drive.renew_wills();
    }
    number(&packet)
}

fn number(packet: &[u8]) -> u32 {
    ah::Header::decode(&packet[ah::OUTER_LEN..]).unwrap().0.sequence
}

#[test]
fn the_guardian_always_has_a_will_that_is_ahead_of_what_was_sent() {
    let mut bed = authenticated();
    for _ in 0..5 {
        let last = send(&mut bed, 100);
        let (_, estate) = bed.drive.estate.read(&mut Vec::new()).unwrap();
        let of_header = |will: &&Will| will.transport == Transport::VrrpHeader;
        let will = estate.wills.iter().find(of_header).unwrap();
        assert!(number(&will.bytes) > last, "{} after {last}", number(&will.bytes));
    }
}

#[test]
fn a_reload_keeps_the_numbers_of_a_router_unless_it_becomes_another_one() {
    let text = |vrid: u8| {
        let groups = "[group.gateway.router.lan]\ninterface = \"evg-lan\"\n";
        format!("[vrrp]\nversion = 2\n{groups}vrid = {vrid}\naddresses = [\"192.0.2.1/24\"]\n")
    };
    for (vrid, kept) in [(51, true), (52, false)] {
        let mut bed = authenticated();
        let before = send(&mut bed, 1000);
        let secrets = bed.drive.secrets.clone();
        bed.drive.apply(instant_now(), super::tests::layout(&text(vrid)), secrets);
        let after = send(&mut bed, 1);
        assert_eq!(after > before, kept, "vrid {vrid}: {before}, then {after}");
    }
}

#[test]
fn wills_are_looked_after_also_when_a_reload_finds_them_fresh() {
    let mut bed = authenticated();
    bed.drive.arm_guards();
    assert!(!bed.drive.guards["gateway/lan/ipv4"].wants_will(stamp_now()), "just made");
    assert!(bed.drive.has_numbered);
}
