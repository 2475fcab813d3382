//! The thread that writes to the kernel, against the real kernel.
#![allow(clippy::unwrap_used)]

mod namespace;

use std::cell::RefCell;
use std::sync::Arc;

use caps::{CapSet, Capability};
use evergate_api::config::model::Network;
use evergate_daemon::kernel::accept_mode::Unaccepted;
use evergate_daemon::kernel::addresses::AddressSpec;
use evergate_daemon::kernel::requests::Kernel;
use evergate_daemon::kernel::ways::{NextHop, RouteSpec, UNICAST};
use evergate_daemon::kernel_thread::{Granted, Holder, KernelThread, WantedWay, WaysReport, Wish};
use evergate_daemon::sys::ready::Bell;
use namespace::{eventually, in_namespace, interface, ip, pause};

const ONE: Holder = Holder(1);
const OTHER: Holder = Holder(2);
/// Longer than a test.
const LEASE: Option<u32> = Some(60);

struct World {
    thread: KernelThread,
    ifindex: u32,
    complaints: RefCell<Vec<String>>,
}

impl World {
    fn new() -> World {
        let ifindex = interface("evk1").index;
        let thread = KernelThread::start(Kernel::open().unwrap(), Arc::new(Bell::new().unwrap()));
        World { thread: thread.unwrap(), ifindex, complaints: RefCell::default() }
    }

    fn spec(&self, host: u8) -> AddressSpec {
        let address = [10, 91, 0, host].into();
        AddressSpec { ifindex: self.ifindex, address, prefix_length: 24 }
    }

    fn wish(&self, serial: u32, hosts: &[u8], lease_s: Option<u32>) -> Wish {
        let addresses = hosts.iter().map(|host| self.spec(*host).into()).collect();
        let (ways, on_links) = (Vec::new(), Vec::new());
        Wish { serial, addresses, on_links, ways, restore: true, lease_s, after: None }
    }

    /// Leaves wishes together and waits for as many answers.
    fn ask<const N: usize>(&self, wishes: [(Holder, Wish); N]) -> Vec<Granted> {
        self.thread.wish(wishes);
        let mut granted = Vec::new();
        let all = eventually(2000, || {
            self.thread.take(&mut granted, &mut self.complaints.borrow_mut());
            granted.len() >= N
        });
        assert!(all, "{granted:?}");
        granted
    }

    /// The same with routes over evk1, those that are kept and those that are not.
    fn routed(&self, serial: u32, kept: &[&str], loose: &[&str], lease_s: Option<u32>) -> Wish {
        let all = kept.iter().map(|to| (to, true)).chain(loose.iter().map(|to| (to, false)));
        let ways = all.map(|(to, keep)| WantedWay { keep, ..self.route(to) }).collect();
        Wish { ways, ..self.wish(serial, &[1], lease_s) }
    }

    fn route(&self, to: &str) -> WantedWay {
        let (ip, prefix) = to.split_once('/').unwrap();
        let to_network = Network { ip: ip.parse().unwrap(), prefix: prefix.parse().unwrap() };
        let spec = RouteSpec {
            to: to_network,
            kind: UNICAST,
            hops: vec![NextHop {
                via: None,
                ifindex: Some(self.ifindex),
                weight: 1,
                onlink: false,
            }],
            source: "10.91.0.1".parse().ok(),
            metric: None,
            table: 254,
            scope: None,
            mtu: None,
            advmss: None,
            hop_limit: None,
        };
        WantedWay { way: spec.way(), name: to.into(), keep: true }
    }

    fn holds(&self, host: u8) -> bool {
        ip("-o addr show dev evk1").contains(&format!("10.91.0.{host}/24"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.thread.stop();
    }
}

#[test]
fn a_group_that_gives_up_takes_no_address_that_another_holds() {
    in_namespace(|| {
        let world = World::new();
        world.ask([(ONE, world.wish(1, &[1, 2], LEASE))]);
        world.ask([(OTHER, world.wish(1, &[2], LEASE))]);
        let granted = world.ask([(ONE, world.wish(2, &[1, 2], None))]);
        assert!(granted[0].result.is_ok());
        assert!(world.holds(2) && !world.holds(1));
        world.ask([(OTHER, world.wish(2, &[2], None))]);
        assert!(!world.holds(2), "its own holder gives it up");
    });
}

#[test]
fn an_address_that_moves_to_another_group_stays_up() {
    in_namespace(|| {
        let world = World::new();
        world.ask([(ONE, world.wish(1, &[1, 2], LEASE)), (OTHER, world.wish(1, &[3], LEASE))]);
        let removed = watch_removals(|| {
            let (one, other) = (world.wish(2, &[1], LEASE), world.wish(2, &[2, 3], LEASE));
            world.ask([(ONE, one), (OTHER, other)]);
        });
        assert!(world.holds(1) && world.holds(2) && world.holds(3));
        assert_eq!(removed, Vec::<String>::new());
        // Nobody keeps what nobody wants.
        let removed = watch_removals(|| {
            world.ask([(OTHER, world.wish(3, &[2], LEASE))]);
        });
        assert_eq!(removed.len(), 1, "{removed:?}");
        assert!(world.holds(2) && !world.holds(3));
    });
}

/// The removals of addresses that `ip monitor` sees meanwhile.
fn watch_removals(act: impl FnOnce()) -> Vec<String> {
    use evergate_daemon::kernel::monitor::{Event, Monitor};
    let mut monitor = Monitor::open().unwrap();
    act();
    let mut events = Vec::new();
    while monitor.read(&mut events).unwrap() {}
    let removed = events.into_iter().filter_map(|event| match event {
        Event::AddressRemoved { address, .. } => Some(address.to_string()),
        _ => None,
    });
    removed.collect()
}

#[test]
fn what_a_group_has_is_released_when_it_is_gone_from_the_configuration() {
    in_namespace(|| {
        let world = World::new();
        world.ask([(ONE, world.wish(1, &[1, 2], LEASE)), (OTHER, world.wish(1, &[2], LEASE))]);
        world.thread.retire(ONE);
        assert!(eventually(2000, || !world.holds(1)));
        assert!(world.holds(2));
        world.ask([(OTHER, world.wish(2, &[2], None))]);
        assert!(!world.holds(2));
    });
}

#[test]
fn an_answer_names_the_holder_and_the_serial_that_it_is_for() {
    in_namespace(|| {
        let world = World::new();
        let (one, other) = (world.wish(7, &[1], LEASE), world.wish(8, &[2], None));
        let granted = world.ask([(ONE, one), (OTHER, other)]);
        let told: Vec<_> = granted.iter().map(|g| (g.holder, g.serial, g.result)).collect();
        assert_eq!(told, [(ONE, 7, Ok(())), (OTHER, 8, Ok(()))]);
    });
}

#[test]
fn a_release_that_the_kernel_refuses_is_told_and_tried_again() {
    in_namespace(|| {
        let ours = AddressSpec {
            ifindex: interface("evk1").index,
            address: [10, 91, 0, 1].into(),
            prefix_length: 24,
        };
        let mut kernel = Kernel::open().unwrap();
        kernel.hold(&[ours], 60).unwrap();
        // Only this thread and the one that it starts lose it.
        caps::drop(None, CapSet::Effective, Capability::CAP_NET_ADMIN).unwrap();
        let world = World::new();
        caps::raise(None, CapSet::Effective, Capability::CAP_NET_ADMIN).unwrap();
        for serial in 1..3 {
            let granted = world.ask([(ONE, world.wish(serial, &[1], None))]);
            assert!(granted[0].result.is_err(), "{granted:?}");
            assert!(world.holds(1));
        }
        assert_eq!(world.complaints.borrow().len(), 2);
        kernel.release(&[ours]).unwrap();
        pause(20);
        let granted = world.ask([(ONE, world.wish(3, &[1], None))]);
        assert!(granted[0].result.is_ok(), "{granted:?}");
    });
}

#[test]
fn groups_that_renew_at_one_moment_are_each_told_what_came_of_it() {
    in_namespace(|| {
        let world = World::new();
        ip("link add evk3 type veth peer name evk4");
        let third = interface("evk3").index;
        let wishes = |serial, lease| {
            let mut wishes =
                [1, 2, 3].map(|host| (Holder(host.into()), world.wish(serial, &[host], lease)));
            wishes[2].1.addresses[0].spec.ifindex = third;
            wishes
        };
        let told = |granted: Vec<Granted>| -> Vec<_> {
            granted.iter().map(|g| (g.holder.0, g.serial, g.result.is_ok())).collect()
        };
        world.ask(wishes(1, Some(5)));
        let granted = told(world.ask(wishes(2, LEASE)));
        assert_eq!(granted, [(1, 2, true), (2, 2, true), (3, 2, true)]);
        for host in 1..=3 {
            let shown = ip(&format!("-o addr show to 10.91.0.{host}"));
            assert!(
                shown.contains("valid_lft 60sec") || shown.contains("valid_lft 59sec"),
                "{shown}"
            );
        }
        // One whose interface is gone spoils nobody else's lease.
        ip("link del evk3");
        let granted = told(world.ask(wishes(3, LEASE)));
        assert_eq!(granted, [(1, 3, true), (2, 3, true), (3, 3, false)]);
    });
}

#[test]
fn routes_come_after_the_addresses_are_put_back_and_go_before_them() {
    in_namespace(|| {
        let world = World::new();
        let shown = || ip("route show proto 230");
        let put_back = |granted: Vec<Granted>| -> Vec<String> {
            granted[0].ways.put_back.iter().map(|name| name.to_string()).collect()
        };
        let kept = ["10.1.0.0/16", "10.2.0.0/16"];
        let granted = world.ask([(ONE, world.routed(1, &kept, &["10.3.0.0/16"], LEASE))]);
        // Their source is the address, so they could not be there before it.
        assert_eq!(
            (granted[0].result.is_ok(), granted[0].ways.clone()),
            (true, WaysReport::default())
        );
        assert_eq!(shown().lines().count(), 3, "{}", shown());
        ip("route del 10.1.0.0/16");
        ip("route del 10.3.0.0/16");
        let again = world.ask([(ONE, world.routed(2, &kept, &["10.3.0.0/16"], LEASE))]);
        assert_eq!(put_back(again), ["10.1.0.0/16"]);
        assert!(shown().contains("10.1.0.0/16") && !shown().contains("10.3.0.0/16"));
        ip("route del 10.2.0.0/16");
        let resting = Wish { restore: false, ..world.routed(3, &kept, &[], LEASE) };
        assert!(put_back(world.ask([(ONE, resting)])).is_empty());
        assert!(!shown().contains("10.2.0.0/16"));
        assert_eq!(
            put_back(world.ask([(ONE, world.routed(4, &kept, &[], LEASE))])),
            ["10.2.0.0/16"]
        );
        // Another list: what is on both is not touched.
        world.ask([(ONE, world.routed(5, &["10.2.0.0/16", "10.4.0.0/16"], &[], LEASE))]);
        assert!(!shown().contains("10.1.0.0/16") && shown().contains("10.4.0.0/16"));
        world.ask([(ONE, world.routed(6, &["10.4.0.0/16"], &[], None))]);
        assert_eq!(shown(), "");
        assert!(!world.holds(1));
        assert!(world.complaints.borrow().is_empty(), "{:?}", world.complaints);
    });
}

#[test]
fn a_route_that_is_refused_keeps_no_address_away_and_a_holder_that_is_gone_has_no_routes() {
    in_namespace(|| {
        let world = World::new();
        let mut wish = world.routed(1, &["10.1.0.0/16"], &[], LEASE);
        let mut wrong = world.route("10.5.0.0/16");
        // No such interface.
        wrong.way.body.truncate(wrong.way.body.len() - 4);
        wrong.way.body.extend(4_000_u32.to_ne_bytes());
        wish.ways.push(wrong);
        let granted = world.ask([(ONE, wish)]);
        assert!(granted[0].result.is_ok() && world.holds(1));
        assert_eq!(granted[0].ways.missing.len(), 1, "{granted:?}");
        assert!(ip("route show proto 230").contains("10.1.0.0/16"));
        world.thread.retire(ONE);
        assert!(eventually(2000, || ip("route show proto 230").is_empty() && !world.holds(1)));
    });
}

#[test]
fn what_is_not_accepted_is_dropped_before_the_address_is_there_and_until_the_thread_ends() {
    in_namespace(|| {
        let rules = || match std::process::Command::new("nft").args(["list", "ruleset"]).output() {
            Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
            Err(_) => None,
        };
        if rules().is_none() {
            namespace::skipped("needs nft");
            return;
        }
        let world = World::new();
        let unaccepted = |host: u8| {
            let address = [10, 91, 0, host].into();
            Unaccepted { address, interface: "evk1".into() }
        };
        world.thread.drop_packets_to(vec![unaccepted(1)]);
        world.ask([(Holder(1), world.wish(1, &[1], LEASE))]);
        let text = rules().unwrap();
        assert!(text.contains("10.91.0.1"), "{text}");
        assert_eq!(world.thread.accept_failure(), None);
        world.thread.drop_packets_to(vec![unaccepted(2)]);
        world.ask([(Holder(1), world.wish(2, &[1], LEASE))]);
        let text = rules().unwrap();
        assert!(text.contains("10.91.0.2") && !text.contains("10.91.0.1"), "{text}");
        assert_eq!(text.matches("table inet evergate_accept_").count(), 1, "{text}");
        world.thread.drop_packets_to(Vec::new());
        world.ask([(Holder(1), world.wish(3, &[1], LEASE))]);
        assert_eq!(rules().unwrap(), "");
        world.thread.drop_packets_to(vec![unaccepted(1)]);
        world.thread.stop();
        assert!(eventually(2000, || world.thread.has_stopped()));
        assert!(eventually(2000, || rules().unwrap().is_empty()));
    });
}
