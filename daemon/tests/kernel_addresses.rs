//! The lease of virtual addresses, against the real kernel.
#![allow(clippy::unwrap_used)]

mod namespace;

use evergate_daemon::kernel::addresses::{AddressSpec, own_source};
use evergate_daemon::kernel::error::NetlinkError;
use evergate_daemon::kernel::requests::Kernel;
use evergate_daemon::kernel::rtnetlink::{AddressRecord, OUR_PROTOCOL};
use namespace::{eventually, in_namespace, interface, ip, pause};

const VIRTUAL_V4: &str = "10.91.0.1/24";
const VIRTUAL_V6: &str = "2001:db8:91::1/64";
/// The kernel checks lifetimes once a second.
const LAPSE_LIMIT_MS: u64 = 2500;

fn spec(ifindex: u32, text: &str) -> AddressSpec {
    let (address, length) = text.split_once('/').unwrap();
    AddressSpec {
        ifindex,
        address: address.parse().unwrap(),
        prefix_length: length.parse().unwrap(),
    }
}

fn find(kernel: &mut Kernel, wanted: AddressSpec) -> Option<AddressRecord> {
    kernel.addresses_of(wanted.ifindex).unwrap().into_iter().find(|record| record.spec() == wanted)
}

/// A kernel door, and our two addresses on evk1.
fn set_up() -> (Kernel, [AddressSpec; 2]) {
    let kernel = Kernel::open().unwrap();
    let ifindex = interface("evk1").index;
    (kernel, [spec(ifindex, VIRTUAL_V4), spec(ifindex, VIRTUAL_V6)])
}

#[test]
fn a_held_address_is_tagged_leased_and_usable_at_once() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        let report = kernel.hold(&ours, 3).unwrap();
        assert_eq!((report.created.as_slice(), report.renewed), (&ours[..], 0));
        for wanted in ours {
            let record = find(&mut kernel, wanted).unwrap();
            assert_eq!(record.protocol, OUR_PROTOCOL);
            assert!(record.is_usable() && (1..=3).contains(&record.valid_s), "{record:?}");
        }
        let v6 = find(&mut kernel, ours[1]).unwrap();
        assert_eq!((v6.preferred_s, v6.flags & libc::IFA_F_DEPRECATED != 0), (0, true));
    });
}

#[test]
fn an_address_that_nobody_renews_lapses() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        kernel.hold(&ours, 1).unwrap();
        for wanted in ours {
            let gone = eventually(LAPSE_LIMIT_MS, || find(&mut kernel, wanted).is_none());
            assert!(gone, "{wanted:?} is still there");
        }
    });
}

#[test]
fn renewal_keeps_the_address_the_tag_and_the_flags() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        kernel.hold(&ours, 2).unwrap();
        let before = ours.map(|wanted| find(&mut kernel, wanted).unwrap());
        for _ in 0..8 {
            pause(500);
            assert_eq!(kernel.hold(&ours, 2).unwrap().renewed, 2);
            for (wanted, earlier) in ours.into_iter().zip(before) {
                let record = find(&mut kernel, wanted).unwrap();
                assert_eq!((record.protocol, record.flags), (OUR_PROTOCOL, earlier.flags));
            }
        }
    });
}

#[test]
fn a_restarted_process_renews_the_addresses_of_its_earlier_life() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        kernel.hold(&ours, 3).unwrap();
        let report = Kernel::open().unwrap().hold(&ours, 60).unwrap();
        assert_eq!((report.created.len(), report.renewed, report.foreign.len()), (0, 2, 0));
        assert!(find(&mut kernel, ours[0]).unwrap().valid_s > 50);
    });
}

#[test]
fn the_hosts_own_address_added_after_ours_survives_release_and_lapse() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        let ifindex = ours[0].ifindex;
        let hosts = [spec(ifindex, "10.91.0.7/24"), spec(ifindex, "2001:db8:91::7/64")];
        for (round, by_lapse) in [false, true].into_iter().enumerate() {
            kernel.hold(&ours, if by_lapse { 1 } else { 3 }).unwrap();
            ip("addr add 10.91.0.7/24 dev evk1");
            ip("addr add 2001:db8:91::7/64 dev evk1 nodad");
            assert!(find(&mut kernel, hosts[0]).unwrap().is_secondary());
            kernel.hold(&ours, if by_lapse { 1 } else { 3 }).unwrap();
            if by_lapse {
                assert!(eventually(LAPSE_LIMIT_MS, || {
                    ours.into_iter().all(|wanted| find(&mut kernel, wanted).is_none())
                }));
            } else {
                assert_eq!(kernel.release(&ours).unwrap().removed.len(), 2);
            }
            // Routes of a prefix outlive their lifetime by up to the kernel's next clean-up.
            pause(3500);
            for own in hosts {
                assert!(find(&mut kernel, own).is_some(), "round {round}: {own:?} is gone");
            }
            assert!(ip("route show dev evk1").contains("10.91.0.0/24"), "round {round}");
            assert!(ip("-6 route show dev evk1").contains("2001:db8:91::/64"), "round {round}");
            ip("addr del 10.91.0.7/24 dev evk1");
            ip("addr del 2001:db8:91::7/64 dev evk1");
        }
    });
}

#[test]
fn the_hosts_own_address_added_before_ours_keeps_its_route_for_ever() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        ip("addr add 10.91.0.7/24 dev evk1");
        ip("addr add 2001:db8:91::7/64 dev evk1 nodad");
        for _ in 0..3 {
            kernel.hold(&ours, 1).unwrap();
        }
        for wanted in ours {
            assert!(eventually(LAPSE_LIMIT_MS, || find(&mut kernel, wanted).is_none()));
        }
        pause(1500);
        let routes = ip("-6 route show dev evk1");
        let of_prefix: Vec<&str> =
            routes.lines().filter(|line| line.starts_with("2001:db8:91::/64")).collect();
        assert_eq!(of_prefix.len(), 1, "{routes}");
        assert!(!of_prefix[0].contains("expires"), "the host's route has an end now: {routes}");
        assert!(ip("route show dev evk1").contains("10.91.0.0/24"));
    });
}

#[test]
fn an_address_that_the_host_has_itself_is_never_leased_or_removed() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        ip("addr add 10.91.0.1/24 dev evk1");
        ip("addr add 2001:db8:91::1/64 dev evk1 nodad");
        let report = kernel.hold(&ours, 1).unwrap();
        assert_eq!(report.foreign, ours);
        assert_eq!(kernel.hold(&ours, 1).unwrap().foreign, ours);
        assert!(kernel.release(&ours).unwrap().removed.is_empty());
        assert!(kernel.sweep(&ours).unwrap().removed.is_empty());
        pause(2200);
        for own in ours {
            assert_eq!(find(&mut kernel, own).unwrap().protocol, 0);
        }
    });
}

#[test]
fn a_batch_that_fails_half_way_is_undone_and_names_the_failure() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        let missing = spec(4_000, "10.92.0.1/24");
        let wrong = spec(ours[0].ifindex, "10.92.0.1/33");
        let error = kernel.hold(&[ours[0], missing, ours[1]], 3).unwrap_err();
        assert_eq!(error.failures, [(missing, NetlinkError::NoInterface)]);
        let error = kernel.hold(&[ours[0], wrong, ours[1]], 3).unwrap_err();
        assert_eq!((error.failures.len(), error.failures[0].0), (1, wrong));
        assert!(error.left_over.is_empty());
        for wanted in ours {
            assert_eq!(find(&mut kernel, wanted), None);
        }
    });
}

#[test]
fn a_sweep_removes_only_what_is_tagged_and_configured() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        let anothers = spec(ours[0].ifindex, "10.91.0.200/24");
        kernel.hold(&[ours[0], ours[1], anothers], 60).unwrap();
        ip("addr add 10.91.0.7/24 dev evk1");
        let report = Kernel::open().unwrap().sweep(&ours).unwrap();
        assert_eq!((report.removed.len(), report.failures.len()), (2, 0));
        assert!(find(&mut kernel, anothers).is_some());
        assert!(find(&mut kernel, spec(ours[0].ifindex, "10.91.0.7/24")).is_some());
    });
}

#[test]
fn five_hundred_addresses_are_held_and_released_whole() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        let many: Vec<AddressSpec> = (0..500)
            .map(|n| spec(ours[0].ifindex, &format!("10.93.{}.{}/32", n / 250, n % 250 + 1)))
            .collect();
        assert_eq!(kernel.hold(&many, 60).unwrap().created.len(), 500);
        assert_eq!(kernel.hold(&many, 60).unwrap().renewed, 500);
        assert_eq!(kernel.release(&many).unwrap().removed.len(), 500);
    });
}

#[test]
fn the_protection_of_secondaries_is_undone_to_what_it_was() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        let ifindex = ours[0].ifindex;
        let setting = || {
            let path = "/proc/sys/net/ipv4/conf/evk1/promote_secondaries";
            std::fs::read_to_string(path).unwrap().trim().to_owned()
        };
        let before = setting();
        kernel.hold(&ours, 60).unwrap();
        assert_eq!(setting(), "1");
        assert_eq!(kernel.protected_links().collect::<Vec<_>>(), [(ifindex, before == "0")]);
        kernel.unprotect_secondaries(ifindex).unwrap();
        assert_eq!(setting(), before);
        assert_eq!(kernel.release(&ours).unwrap().removed.len(), 2);
        assert_eq!(setting(), before);
        assert_eq!(kernel.protect_secondaries(4_000), Err(NetlinkError::NoInterface));
    });
}

#[test]
fn our_packets_never_come_from_a_virtual_address() {
    in_namespace(|| {
        let (mut kernel, ours) = set_up();
        let ifindex = ours[0].ifindex;
        let link_local = spec(ifindex, "fe80::51:1/64");
        kernel.hold(&[ours[0], ours[1], link_local], 60).unwrap();
        assert_eq!(own_source(&kernel.addresses().unwrap(), ifindex, true), None);
        ip("addr add 10.91.0.7/24 dev evk1");
        ip("addr add fe80::7/64 dev evk1 nodad");
        ip("addr add 2001:db8:91::7/64 dev evk1 nodad");
        ip("addr add fe80::8/64 dev evk2 nodad");
        let addresses = kernel.addresses().unwrap();
        assert_eq!(own_source(&addresses, ifindex, true), Some("10.91.0.7".parse().unwrap()));
        assert_eq!(own_source(&addresses, ifindex, false), Some("fe80::7".parse().unwrap()));
    });
}
