//! News of links and addresses, from the real kernel.
#![allow(clippy::unwrap_used)]

mod namespace;

use evergate_daemon::kernel::addresses::AddressSpec;
use evergate_daemon::kernel::monitor::{Event, Monitor, snapshot};
use evergate_daemon::kernel::requests::Kernel;
use evergate_daemon::kernel::rtnetlink::OUR_PROTOCOL;
use namespace::{eventually, in_namespace, interface, ip};

/// Whether news that fits comes within a second.
fn hears(monitor: &mut Monitor, is_it: impl Fn(&Event) -> bool) -> bool {
    eventually(1000, || {
        let mut events = Vec::new();
        monitor.read(&mut events).unwrap();
        events.iter().any(&is_it)
    })
}

fn drain(monitor: &mut Monitor) {
    let mut events = Vec::new();
    while monitor.read(&mut events).unwrap() {}
}

fn is_running(event: &Event, name: &str, running: bool) -> bool {
    matches!(event, Event::LinkState(link) if link.name == name && link.running == running)
}

#[test]
fn a_lost_and_a_restored_carrier_are_heard() {
    in_namespace(|| {
        let mut monitor = Monitor::open().unwrap();
        ip("link set evk2 down");
        assert!(hears(&mut monitor, |event| is_running(event, "evk1", false)));
        drain(&mut monitor);
        ip("link set evk2 up");
        assert!(hears(&mut monitor, |event| is_running(event, "evk1", true)));
    });
}

#[test]
fn an_interface_that_comes_and_goes_is_heard() {
    in_namespace(|| {
        let mut monitor = Monitor::open().unwrap();
        ip("link add evk3 type veth peer name evk4");
        let index = interface("evk3").index;
        assert!(hears(&mut monitor, |event| is_running(event, "evk3", false)));
        ip("link del evk3");
        assert!(hears(&mut monitor, |event| *event == Event::LinkGone { ifindex: index }));
    });
}

#[test]
fn addresses_that_come_and_go_are_heard_with_who_added_them() {
    in_namespace(|| {
        let (mut monitor, mut kernel) = (Monitor::open().unwrap(), Kernel::open().unwrap());
        let ifindex = interface("evk1").index;
        for text in ["10.91.0.1", "2001:db8:91::1"] {
            let prefix_length = if text.contains(':') { 64 } else { 24 };
            let ours = AddressSpec { ifindex, address: text.parse().unwrap(), prefix_length };
            kernel.hold(&[ours], 60).unwrap();
            assert!(hears(&mut monitor, |event| {
                matches!(event, Event::AddressAdded(record) if record.spec() == ours && record.is_ours())
            }));
            kernel.release(&[ours]).unwrap();
            let gone = Event::AddressRemoved {
                ifindex,
                address: ours.address,
                prefix_length,
                protocol: OUR_PROTOCOL,
            };
            assert!(hears(&mut monitor, |event| *event == gone));
        }
    });
}

#[test]
fn a_reader_that_falls_behind_is_told_and_a_snapshot_has_it_all() {
    in_namespace(|| {
        let (mut monitor, mut kernel) = (Monitor::open().unwrap(), Kernel::open().unwrap());
        let ifindex = interface("evk1").index;
        let many: Vec<AddressSpec> = (0..200)
            .map(|n| AddressSpec {
                ifindex,
                address: format!("10.93.0.{}", n + 1).parse().unwrap(),
                prefix_length: 32,
            })
            .collect();
        kernel.hold(&many, 60).unwrap();
        let is_overflow = |monitor: &mut Monitor| {
            let mut events = Vec::new();
            while monitor.read(&mut events).unwrap() {}
            events.contains(&Event::Overflow)
        };
        assert!(!is_overflow(&mut monitor), "the buffer is too small for a moderate burst");
        for _ in 0..60 {
            kernel.hold(&many, 60).unwrap();
        }
        assert!(is_overflow(&mut monitor));
        let facts = snapshot(&mut kernel).unwrap();
        let ours = |event: &&Event| matches!(event, Event::AddressAdded(a) if a.is_ours());
        assert_eq!(facts.iter().filter(ours).count(), 200);
        assert!(facts.iter().any(|event| is_running(event, "evk1", true)));
    });
}
