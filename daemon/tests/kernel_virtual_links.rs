//! Links with virtual MAC addresses, against the real kernel.
#![allow(clippy::unwrap_used)]

mod namespace;

use std::collections::BTreeSet;
use std::sync::Arc;

use evergate_daemon::kernel::addresses::AddressSpec;
use evergate_daemon::kernel::requests::Kernel;
use evergate_daemon::kernel::virtual_links::{LinkError, VirtualLink};
use evergate_daemon::kernel_thread::{Granted, Holder, KernelThread, OnLink, Wish};
use evergate_daemon::sys::ready::Bell;
use namespace::{eventually, in_namespace, ip};

const OWNER: &str = "/run/test.sock";

fn kernel(owner: &str) -> Kernel {
    let mut kernel = Kernel::open().unwrap();
    kernel.own_links_as(owner);
    kernel
}

fn wanted(vrid: u8, is_ipv6: bool) -> VirtualLink {
    let (name, family) = if is_ipv6 { ("vrrp6", 2) } else { ("vrrp", 1) };
    VirtualLink {
        name: format!("{name}.{vrid}"),
        parent: "evk1".into(),
        mac: [0, 0, 0x5e, 0, family, vrid],
        is_ipv6,
    }
}

fn links() -> String {
    ip("-d -o link show")
}

fn setting(interface: &str, name: &str) -> String {
    let path = format!("/proc/sys/net/ipv4/conf/{interface}/{name}");
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

fn set(interface: &str, name: &str, value: u8) {
    let path = format!("/proc/sys/net/ipv4/conf/{interface}/{name}");
    std::fs::write(path, value.to_string()).unwrap();
}

fn index(kernel: &Kernel, name: &str) -> u32 {
    kernel.virtual_link(name).unwrap()
}

#[test]
fn the_settings_below_come_back_with_the_last_link_whoever_removes_it() {
    in_namespace(|| {
        set("evk1", "arp_announce", 1);
        let mut first = kernel(OWNER);
        let both = [wanted(51, false), wanted(52, false)];
        assert!(first.settle_links(&both).is_empty());
        assert_eq!(
            (setting("evk1", "arp_ignore"), setting("evk1", "arp_announce")),
            ("1".into(), "2".into())
        );
        assert!(links().contains("00:00:5e:00:01:33"), "{}", links());
        assert_eq!(setting("vrrp.51", "arp_ignore"), "1");
        // The process dies; another of the same daemon removes one, then the other.
        drop(first);
        let mut second = kernel(OWNER);
        assert!(second.settle_links(&both[1..]).is_empty());
        assert!(!links().contains("vrrp.51") && links().contains("vrrp.52"), "{}", links());
        assert_eq!(setting("evk1", "arp_ignore"), "1", "one still needs it");
        assert!(second.settle_links(&[]).is_empty());
        assert!(!links().contains("vrrp."), "{}", links());
        assert_eq!(
            (setting("evk1", "arp_ignore"), setting("evk1", "arp_announce")),
            ("0".into(), "1".into())
        );
    });
}

#[test]
fn a_setting_that_somebody_has_changed_meanwhile_stays() {
    in_namespace(|| {
        let mut kernel = kernel(OWNER);
        assert!(kernel.settle_links(&[wanted(51, false)]).is_empty());
        set("evk1", "arp_ignore", 2);
        assert!(kernel.settle_links(&[]).is_empty());
        assert_eq!(
            (setting("evk1", "arp_ignore"), setting("evk1", "arp_announce")),
            ("2".into(), "0".into())
        );
    });
}

#[test]
fn an_interface_of_somebody_else_is_neither_used_nor_removed() {
    in_namespace(|| {
        ip("link add link evk1 name vrrp.51 address 00:00:5e:00:01:33 type macvlan mode private");
        let mut kernel = kernel(OWNER);
        let wrong = kernel.settle_links(&[wanted(51, false)]);
        assert!(
            matches!(wrong.as_slice(), [LinkError::Taken(name)] if name == "vrrp.51"),
            "{wrong:?}"
        );
        assert!(kernel.raise_link(&wanted(51, false)).is_err());
        assert!(kernel.settle_links(&[]).is_empty());
        assert!(links().contains("vrrp.51"), "{}", links());
        assert_eq!(setting("evk1", "arp_ignore"), "0");
    });
}

#[test]
fn the_link_of_another_daemon_is_somebody_elses_and_one_that_is_half_made_is_nobodys() {
    in_namespace(|| {
        assert!(kernel("/run/other.sock").settle_links(&[wanted(51, false)]).is_empty());
        let mut ours = kernel(OWNER);
        assert!(matches!(
            ours.settle_links(&[wanted(51, false)]).as_slice(),
            [LinkError::Taken(_)]
        ));
        assert!(kernel("/run/other.sock").settle_links(&[]).is_empty());
        ip(
            "link add link evk1 name vrrp.51 address 00:00:5e:00:01:33 group 230 type macvlan mode vepa",
        );
        assert!(ours.settle_links(&[wanted(51, false)]).is_empty());
        assert!(links().contains("evergate arp_ignore=0"), "{}", links());
    });
}

#[test]
fn a_link_is_down_and_silent_until_it_is_raised_and_is_made_again_if_somebody_removes_it() {
    in_namespace(|| {
        let mut kernel = kernel(OWNER);
        let (v4, v6) = (wanted(51, false), wanted(51, true));
        assert!(kernel.settle_links(&[v4.clone(), v6.clone()]).is_empty());
        assert!(!ip("-o link show dev vrrp.51").contains("UP"), "{}", links());
        let former = index(&kernel, "vrrp.51");
        ip("link del vrrp.51");
        let ifindex = kernel.raise_link(&v4).unwrap();
        assert_ne!(ifindex, former);
        kernel.raise_link(&v6).unwrap();
        // No address that nobody has asked for, from which the kernel would speak.
        for name in ["vrrp.51", "vrrp6.51"] {
            assert!(ip(&format!("-o link show dev {name}")).contains(",UP"), "{}", links());
            assert_eq!(ip(&format!("-o addr show dev {name}")), "");
        }
        let both = BTreeSet::from([ifindex, index(&kernel, "vrrp6.51")]);
        kernel.lower_links(&both).unwrap();
        assert!(!ip("-o link show dev vrrp6.51").contains(",UP"), "{}", links());
        kernel.lower_links(&BTreeSet::from([namespace::interface("evk1").index])).unwrap();
        assert!(ip("-o link show dev evk1").contains(",UP"), "only ours are lowered");
    });
}

/// The thread, with a wish for one IPv4 and one IPv6 address.
struct World {
    thread: KernelThread,
}

impl World {
    fn new() -> World {
        let bell = Arc::new(Bell::new().unwrap());
        World { thread: KernelThread::start(kernel(OWNER), bell).unwrap() }
    }

    fn ask(&self, holder: Holder, lease_s: Option<u32>, has_link: bool) -> Granted {
        let spec = |ifindex, address: &str, prefix_length| AddressSpec {
            ifindex,
            address: address.parse().unwrap(),
            prefix_length,
        };
        let on =
            |is_ipv6, spec| OnLink { link: Arc::new(wanted(51, is_ipv6)), addresses: vec![spec] };
        let base = namespace::interface("evk1").index;
        let (addresses, on_links) = if has_link {
            let v4 = on(false, spec(0, "10.91.0.1", 24).into());
            (vec![], vec![v4, on(true, spec(0, "fe80::91", 64).into())])
        } else {
            let specs = [spec(base, "10.91.0.1", 24), spec(base, "fe80::91", 64)];
            (specs.map(Into::into).to_vec(), vec![])
        };
        let (ways, restore) = (Vec::new(), true);
        let wish = Wish { serial: 1, addresses, on_links, ways, restore, lease_s, after: None };
        self.thread.wish([(holder, wish)]);
        let (mut granted, mut complaints) = (Vec::new(), Vec::new());
        assert!(eventually(3000, || {
            self.thread.take(&mut granted, &mut complaints);
            !granted.is_empty()
        }));
        assert_eq!(complaints, Vec::<String>::new());
        granted.remove(0)
    }
}

fn has(interface: &str) -> bool {
    let addresses = ip(&format!("-o addr show dev {interface}"));
    addresses.contains("10.91.0.1/24") || addresses.contains("fe80::91/64")
}

#[test]
fn addresses_are_on_their_link_while_they_are_held_and_the_interface_below_serves_their_subnet() {
    in_namespace(|| {
        ip("addr add 10.91.0.2/24 dev evk1");
        let world = World::new();
        assert!(world.ask(Holder(1), Some(60), true).result.is_ok());
        assert!(has("vrrp.51") && has("vrrp6.51") && !has("evk1"));
        assert!(ip("route get 10.91.0.9").contains("dev evk1"), "{}", ip("route"));
        assert!(world.ask(Holder(1), Some(60), true).result.is_ok(), "and are renewed");
        assert!(world.ask(Holder(1), None, true).result.is_ok());
        assert!(!has("vrrp.51") && !has("vrrp6.51"));
        assert!(!ip("-o link show dev vrrp.51").contains(",UP"), "{}", links());
        world.thread.stop();
        assert!(eventually(3000, || world.thread.has_stopped()));
        assert!(!links().contains("vrrp"), "{}", links());
        assert_eq!(setting("evk1", "arp_ignore"), "0");
    });
}

#[test]
fn held_addresses_move_to_a_link_and_back() {
    in_namespace(|| {
        let world = World::new();
        for has_link in [false, true, false] {
            assert!(world.ask(Holder(1), Some(60), has_link).result.is_ok());
            assert_eq!(has("evk1"), !has_link);
            if has_link {
                assert!(has("vrrp.51") && has("vrrp6.51"));
            }
        }
        assert!(!ip("-o link show dev vrrp.51").contains(",UP"), "{}", links());
        world.thread.stop();
    });
}
