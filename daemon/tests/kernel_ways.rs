//! Routes and rules, against the real kernel.
#![allow(clippy::unwrap_used)]

mod namespace;

use std::net::IpAddr;

use evergate_api::config::model::Network;
use evergate_daemon::kernel::error::NetlinkError;
use evergate_daemon::kernel::requests::Kernel;
use evergate_daemon::kernel::ways::{NextHop, RouteSpec, RuleSpec, TO_TABLE, UNICAST, Way};
use namespace::{in_namespace, interface, ip};

fn network(text: &str) -> Network {
    let (ip, prefix) = text.split_once('/').unwrap();
    Network { ip: ip.parse().unwrap(), prefix: prefix.parse().unwrap() }
}

fn hop(via: &str) -> NextHop {
    NextHop { via: via.parse::<IpAddr>().ok(), ifindex: None, weight: 1, onlink: false }
}

fn route(to: &str, hops: Vec<NextHop>) -> RouteSpec {
    RouteSpec {
        to: network(to),
        kind: UNICAST,
        hops,
        source: None,
        metric: None,
        table: 254,
        scope: None,
        mtu: None,
        advmss: None,
        hop_limit: None,
    }
}

fn rule(priority: u32, from: &str) -> RuleSpec {
    RuleSpec {
        priority,
        family: if from.contains(':') { 10 } else { 2 },
        from: Some(network(from)),
        to: None,
        input: None,
        output: None,
        mark: None,
        tos: 0,
        not: false,
        action: TO_TABLE,
        table: Some(100),
        suppress_prefix: None,
    }
}

/// A kernel door, and addresses of the host on evk1.
fn set_up() -> Kernel {
    ip("addr add 10.91.0.7/24 dev evk1");
    ip("addr add fd91::7/64 dev evk1 nodad");
    Kernel::open().unwrap()
}

fn made(kernel: &mut Kernel, ways: &[Way]) {
    for (way, verdict) in ways.iter().zip(kernel.make_ways(ways)) {
        assert_eq!(verdict, Ok(()), "{way:?}");
    }
}

#[test]
fn every_attribute_of_a_route_is_there_and_the_route_is_removed_whole() {
    in_namespace(|| {
        let mut kernel = set_up();
        let evk1 = interface("evk1").index;
        let mut tuned = route("10.1.0.0/16", vec![hop("10.91.0.254")]);
        tuned.source = "10.91.0.7".parse().ok();
        (tuned.metric, tuned.table) = (Some(7), 1000);
        (tuned.mtu, tuned.advmss, tuned.hop_limit) = (Some(1400), Some(1300), Some(9));
        let far = NextHop { ifindex: Some(evk1), onlink: true, ..hop("192.0.2.9") };
        let direct = NextHop { ifindex: Some(evk1), ..hop("") };
        let heavy = NextHop { weight: 3, ..hop("10.91.0.253") };
        let nowhere = RouteSpec { kind: 7, ..route("10.5.0.0/16", vec![]) };
        let ways = [
            tuned,
            route("10.2.0.0/16", vec![far]),
            route("10.3.0.0/16", vec![direct]),
            route("10.4.0.0/16", vec![hop("10.91.0.254"), heavy]),
            nowhere,
            route("0.0.0.0/0", vec![hop("10.91.0.254")]),
            route("fd01::/64", vec![hop("fd91::254")]),
            route("fd04::/64", vec![hop("fd91::254"), hop("fd91::253")]),
            RouteSpec { kind: 6, ..route("fd05::/64", vec![]) },
            route("::/0", vec![direct]),
        ];
        let ways: Vec<Way> = ways.iter().map(RouteSpec::way).collect();
        made(&mut kernel, &ways);
        let first = ip("-d route show table 1000");
        for word in [
            "10.1.0.0/16 via 10.91.0.254",
            "proto 230",
            "src 10.91.0.7",
            "metric 7",
            "mtu 1400",
            "advmss 1300",
            "hoplimit 9",
        ] {
            assert!(first.contains(word), "{word}: {first}");
        }
        let main = ip("route show");
        for line in [
            "10.2.0.0/16 via 192.0.2.9 dev evk1 proto 230 onlink",
            "10.3.0.0/16 dev evk1 proto 230 scope link",
            "unreachable 10.5.0.0/16 proto 230",
            "default via 10.91.0.254 dev evk1 proto 230",
            "nexthop via 10.91.0.253 dev evk1 weight 3",
        ] {
            assert!(main.contains(line), "{line}: {main}");
        }
        let sixth = ip("-6 route show");
        for line in ["fd01::/64 via fd91::254", "blackhole fd05::/64", "default dev evk1"] {
            assert!(sixth.contains(line), "{line}: {sixth}");
        }
        let again = kernel.make_ways(&ways);
        assert!(again.iter().all(|verdict| *verdict == Err(NetlinkError::Exists)), "{again:?}");
        assert_eq!(kernel.remove_ways(&ways), []);
        assert!(!ip("route show table all").contains("proto 230"));
        assert!(!ip("-6 route show table all").contains("proto 230"));
        assert_eq!(kernel.remove_ways(&ways), [], "asking again is harmless");
    });
}

#[test]
fn a_route_of_somebody_else_is_neither_replaced_nor_removed() {
    in_namespace(|| {
        let mut kernel = set_up();
        ip("route add 10.1.0.0/16 via 10.91.0.200 proto static");
        ip("-6 route add fd01::/64 via fd91::200 proto static");
        ip("rule add from 10.0.0.0/8 table 100 priority 77");
        let ways = [
            route("10.1.0.0/16", vec![hop("10.91.0.254")]).way(),
            route("fd01::/64", vec![hop("fd91::254")]).way(),
            rule(77, "10.0.0.0/8").way(),
        ];
        let verdicts = kernel.make_ways(&ways);
        // Rules of different origin may stand beside each other.
        assert_eq!(verdicts, [Err(NetlinkError::Exists), Err(NetlinkError::Exists), Ok(())]);
        assert_eq!(ip("rule show priority 77").lines().count(), 2);
        assert_eq!(kernel.remove_ways(&ways), []);
        assert!(ip("route show").contains("10.1.0.0/16 via 10.91.0.200"));
        assert!(ip("-6 route show").contains("fd01::/64 via fd91::200"));
        assert_eq!(ip("rule show priority 77").lines().count(), 1);
    });
}

#[test]
fn every_attribute_of_a_rule_is_there_and_the_rule_is_removed() {
    in_namespace(|| {
        let mut kernel = set_up();
        let mut whole = rule(500, "10.0.0.0/8");
        whole.to = Some(network("10.9.0.0/16"));
        (whole.input, whole.output) = (Some("evk1".into()), Some("evk2".into()));
        (whole.mark, whole.tos, whole.not) = (Some((1, 0xff)), 16, true);
        (whole.table, whole.suppress_prefix) = (Some(1000), Some(0));
        let drop = RuleSpec { action: 6, table: None, ..rule(501, "10.0.0.0/8") };
        let ways =
            [whole.way(), drop.way(), rule(502, "fd00::/8").way(), rule(503, "0.0.0.0/0").way()];
        made(&mut kernel, &ways);
        let shown = ip("-d rule show");
        let all = "500:\tnot from 10.0.0.0/8 to 10.9.0.0/16 tos 0x10 fwmark 0x1/0xff iif evk1 oif evk2 lookup 1000 suppress_prefixlength 0 proto 230";
        for line in [all, "501:\tfrom 10.0.0.0/8 blackhole proto 230", "503:\tfrom all lookup 100"]
        {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        assert!(ip("-6 rule show").contains("502:\tfrom fd00::/8 lookup 100"));
        let again = kernel.make_ways(&ways);
        assert!(again.iter().all(|v| *v == Err(NetlinkError::Exists)), "no rule is there twice");
        assert_eq!(kernel.remove_ways(&ways), []);
        assert!(!ip("rule show").contains("50") && !ip("-6 rule show").contains("502"));
    });
}

#[test]
fn what_the_kernel_does_not_take_is_told_and_stops_nothing_else() {
    in_namespace(|| {
        let mut kernel = set_up();
        let ways = [
            route("10.1.0.0/16", vec![hop("198.51.100.1")]).way(),
            route("10.2.0.0/16", vec![hop("10.91.0.254")]).way(),
        ];
        let verdicts = kernel.make_ways(&ways);
        assert!(matches!(verdicts[0], Err(NetlinkError::Refused { .. })), "{verdicts:?}");
        assert_eq!(verdicts[1], Ok(()));
    });
}
