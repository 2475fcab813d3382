//! Where adverts go and come from, and through how many routers: what the file says of it counts at the door,
//! for what is sent, and for what is left to the guardian.

use std::net::IpAddr;

use evergate_core::config::Version;
use evergate_core::ident::Vrid;
use evergate_core::wire::vrrp::{Advert, Auth, Dialect, encode};

use super::ports::Form;
use super::tests::{Bed, address};
use super::*;
use crate::kernel::internet_socket::Received;

const LAN: InterfaceId = InterfaceId(0);
const GATEWAY: GroupId = GroupId(0);
const ROUTER: RouterId = RouterId(0);
const OTHER: &str = "192.0.2.9";

/// A gateway of one family, with some lines in `[group.gateway.vrrp]` and in its router.
fn bed(vrrp: &str, router: &str) -> Bed {
    let groups = format!(
        "[group.gateway.vrrp]\n{vrrp}\n[group.gateway.router.lan]\ninterface = \"evg-lan\"\nvrid = 51\n\
         addresses = [\"192.0.2.1/24\"]\n{router}\n"
    );
    let mut bed = Bed::with(&groups);
    bed.drive.take_news(instant_now(), &[address("192.0.2.2", 0)]);
    bed
}

fn unicast(vrrp: &str) -> Bed {
    bed(vrrp, "unicast_peers = [\"192.0.2.2\", \"192.0.2.9\"]")
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Lets an advert of another router come in.
fn hear(bed: &mut Bed, destination: &str, hop_limit: u8) {
    let advert = Advert {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority: 250,
        interval: Duration::from_secs(1),
        addresses: vec![ip("192.0.2.1")],
        auth: Auth::None,
    };
    let (source, destination) = (ip(OTHER), ip(destination));
    let mut packet = Vec::new();
    encode(&advert, Dialect::Pseudo, source, destination, &mut packet).unwrap();
    let about = Received {
        source,
        source_port: 0,
        destination,
        hop_limit,
        length: packet.len(),
        truncated: false,
        received_ns: 0,
    };
    bed.drive.vrrp_packet(instant_now(), LAN, Form::Bare(Family::V4), &about, &packet);
}

fn count(bed: &Bed, name: &str) -> u64 {
    let counters = bed.drive.facts.routers.get(&(GATEWAY, ROUTER)).map(|facts| &facts.counters);
    counters.and_then(|counters| counters.get(name)).copied().unwrap_or_default()
}

/// Destination and hop limit of what the guardian would say for the router.
fn wills(bed: &mut Bed) -> Vec<(IpAddr, u8)> {
    let mut wills = Vec::new();
    bed.drive.vrrp_wills(GATEWAY, Some(0), &mut wills);
    wills.iter().map(|will| (will.destination, will.hops)).collect()
}

#[test]
fn another_group_takes_the_place_of_the_usual_one_in_and_out() {
    let mut bed = bed("multicast = { ipv4 = \"224.0.0.19\" }", "");
    assert_eq!(bed.drive.destinations(GATEWAY, ROUTER), [ip("224.0.0.19")]);
    assert_eq!(wills(&mut bed), [(ip("224.0.0.19"), 255)]);
    hear(&mut bed, "224.0.0.18", 255);
    assert_eq!([count(&bed, "refused_destination"), count(&bed, "adverts_received")], [1, 0]);
    hear(&mut bed, "224.0.0.19", 255);
    assert_eq!([count(&bed, "refused_destination"), count(&bed, "adverts_received")], [1, 1]);
    hear(&mut bed, "224.0.0.19", 254);
    assert_eq!(count(&bed, "refused_hop_limit"), 1);
}

#[test]
fn adverts_of_single_routers_may_come_from_as_far_as_the_file_says() {
    for (vrrp, taken) in
        [("", [3, 0]), ("min_hop_limit = 64", [2, 1]), ("min_hop_limit = 255", [1, 2])]
    {
        let mut bed = unicast(vrrp);
        for hop_limit in [255, 64, 63] {
            hear(&mut bed, "192.0.2.2", hop_limit);
        }
        let counts = [count(&bed, "adverts_received"), count(&bed, "refused_hop_limit")];
        assert_eq!(counts, taken, "{vrrp}");
    }
}

#[test]
fn a_resignation_that_is_left_to_the_guardian_has_the_hop_limit_of_the_file() {
    assert_eq!(wills(&mut unicast("hop_limit = 64")), [(ip(OTHER), 64)]);
    assert_eq!(wills(&mut unicast("")), [(ip(OTHER), 255)]);
    assert_eq!(wills(&mut bed("hop_limit = 64", "")), [(ip("224.0.0.18"), 255)], "multicast");
}

#[test]
fn where_the_file_says_nothing_the_usual_group_is_joined_beside_the_others() {
    let groups = "[group.a.vrrp]\nmulticast = { ipv4 = \"224.0.0.19\", ipv6 = \"ff02::77\" }\n\
        [group.a.router.lan]\ninterface = \"evg-lan\"\nvrid = 51\n\
        addresses = [\"192.0.2.1/24\", \"fe80::51:1/64\"]\n\
        [group.b.router.lan]\ninterface = \"evg-lan\"\nvrid = 52\naddresses = [\"192.0.2.3/24\"]\n";
    let bed = Bed::with(groups);
    let wanted = bed.drive.wanted(LAN);
    let joined =
        |groups: &std::collections::BTreeSet<IpAddr>| groups.iter().copied().collect::<Vec<_>>();
    assert_eq!(joined(&wanted.vrrp_v4), [ip("224.0.0.18"), ip("224.0.0.19")]);
    assert_eq!(joined(&wanted.vrrp_v6), [ip("ff02::77")]);
}
