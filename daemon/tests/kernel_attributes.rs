//! What a configuration says of an address, against the real kernel.
#![allow(clippy::unwrap_used)]

mod namespace;

use evergate_daemon::kernel::addresses::{AddressSpec, Attributes, VirtualAddress};
use evergate_daemon::kernel::requests::Kernel;
use namespace::{in_namespace, interface, ip};

fn address(text: &str) -> VirtualAddress {
    let (address, length) = text.split_once('/').unwrap();
    let spec = AddressSpec {
        ifindex: interface("evk1").index,
        address: address.parse().unwrap(),
        prefix_length: length.parse().unwrap(),
    };
    spec.into()
}

fn with(text: &str, change: impl FnOnce(&mut Attributes)) -> VirtualAddress {
    let mut address = address(text);
    change(&mut address.attributes);
    address
}

/// What `ip` says of the addresses of evk1 that begin with a text.
fn shown(text: &str) -> String {
    ip(&format!("-d addr show dev evk1 to {text}"))
}

#[test]
fn everything_that_is_said_of_an_address_is_there_and_stays_with_each_renewal() {
    in_namespace(|| {
        let mut kernel = Kernel::open().unwrap();
        let all = [
            with("10.91.0.1/24", |how| {
                how.label = Some("evk1:vip".into());
                how.scope = Some(253);
                how.broadcast = Some([10, 91, 0, 255].into());
                how.no_prefix_route = true;
            }),
            with("10.92.0.1/32", |how| how.peer = Some("10.92.0.2".parse().unwrap())),
            with("10.93.0.1/24", |how| how.deprecated = true),
            with("2001:db8:91::1/64", |how| how.deprecated = false),
        ];
        for _ in 0..3 {
            kernel.hold(&all, 30).unwrap();
            let first = shown("10.91.0.1");
            for word in ["brd 10.91.0.255", "scope link", "evk1:vip", "noprefixroute"] {
                assert!(first.contains(word), "{word}: {first}");
            }
            let second = shown("10.92.0.1");
            assert!(second.contains("inet 10.92.0.1 peer 10.92.0.2/32"), "{second}");
            assert!(shown("10.93.0.1").contains("deprecated"));
            let sixth = shown("2001:db8:91::1");
            assert!(!sixth.contains("deprecated") && sixth.contains("nodad"), "{sixth}");
        }
        // Which `ip` shows only if it is newer than the kernel needs.
        let records = kernel.addresses_of(all[0].spec.ifindex).unwrap();
        let ours = records.iter().filter(|record| record.is_ours()).count();
        assert_eq!(ours, all.len(), "each carries our tag");
        assert!(!ip("route show dev evk1").contains("10.91.0.0/24"));
        let specs = all.map(|address| address.spec);
        let report = Kernel::open().unwrap().sweep(&specs).unwrap();
        assert_eq!(
            (report.removed.len(), report.failures.len()),
            (4, 0),
            "also the one with a peer"
        );
    });
}

#[test]
fn an_address_is_made_anew_where_a_renewal_would_change_nothing() {
    in_namespace(|| {
        let mut kernel = Kernel::open().unwrap();
        let labelled = |label: &str| with("10.91.0.1/24", |how| how.label = Some(label.into()));
        kernel.hold(&[labelled("evk1:a"), address("10.91.0.2/24")], 30).unwrap();
        ip("addr add 10.91.0.7/24 dev evk1");
        let report = kernel.hold(&[labelled("evk1:b"), address("10.91.0.2/24")], 30).unwrap();
        assert_eq!((report.created, report.renewed), (vec![labelled("evk1:b").spec], 1));
        assert!(shown("10.91.0.1").contains("evk1:b"));
        assert!(shown("10.91.0.7").contains("10.91.0.7"), "what is not ours stays");
        let never = |how: &mut Attributes| {
            how.label = Some("evk1:b".into());
            how.deprecated = true;
        };
        let report = kernel.hold(&[with("10.91.0.1/24", never)], 30).unwrap();
        assert_eq!((report.created.len(), report.renewed), (0, 1), "a renewal says so");
        assert!(shown("10.91.0.1").contains("deprecated"));
    });
}

#[test]
fn an_ipv6_address_that_looks_for_duplicates_is_tentative_first() {
    in_namespace(|| {
        let mut kernel = Kernel::open().unwrap();
        let checked = with("2001:db8:91::1/64", |how| how.detect_duplicates = true);
        kernel.hold(std::slice::from_ref(&checked), 30).unwrap();
        let usable = |kernel: &mut Kernel| {
            let all = kernel.addresses_of(checked.spec.ifindex).unwrap();
            all.iter().any(|record| record.spec() == checked.spec && record.is_usable())
        };
        assert!(!usable(&mut kernel));
        assert!(namespace::eventually(5000, || usable(&mut kernel)));
        kernel.hold(std::slice::from_ref(&checked), 30).unwrap();
        assert!(usable(&mut kernel), "a renewal does not ask again");
    });
}
