//! RFC 9568 §6.4.1: a router that begins.

use std::time::Duration;

use evergate_core::Effect;
use evergate_core::config::{Failback, Version};
use evergate_core::heartbeat::Role;

use super::router::{MS, OTHER, Router, SECOND, Setup, claims_after};

#[test]
fn a_router_that_has_not_started_says_and_does_nothing() {
    for setup in Setup::both() {
        let mut router = Router::new(setup);
        for priority in [0, 50, 100, 200, 255] {
            router.hears(priority, OTHER);
            router.run(10 * SECOND);
        }
        assert_eq!(router.role(), Role::Init);
        assert!(router.done().is_empty(), "{:?}", router.done());
    }
}

#[test]
fn who_does_not_own_the_addresses_begins_as_backup_and_waits_the_whole_down_interval() {
    let cases = [
        (Version::V3, 100, SECOND, 3_609_375_000),
        (Version::V3, 1, SECOND, 3_996_093_750),
        (Version::V3, 254, SECOND, 3_007_812_500),
        (Version::V3, 100, 3 * SECOND, 10_828_125_000),
        (Version::V3, 100, 10 * MS, 36_093_750),
        (Version::V2, 100, SECOND, 3_609_375_000),
        (Version::V2, 1, SECOND, 3_996_093_750),
        (Version::V2, 254, SECOND, 3_007_812_500),
        (Version::V2, 100, 3 * SECOND, 9_609_375_000),
    ];
    for (version, priority, interval, wait) in cases {
        let mut router = Router::started(Setup { priority, interval, ..Setup::new(version) });
        assert_eq!(router.role(), Role::Standby);
        claims_after(&mut router, Duration::from_nanos(wait));
    }
}

#[test]
fn preemption_or_not_makes_no_difference_where_nobody_is_heard() {
    let mut router =
        Router::started(Setup { failback: Failback::Manual, ..Setup::new(Version::V3) });
    claims_after(&mut router, Duration::from_nanos(3_609_375_000));
}

#[test]
fn the_owner_of_the_addresses_begins_as_active() {
    for setup in Setup::both() {
        for failback in [setup.failback, Failback::Manual] {
            let mut router = Router::started(Setup { priority: 255, failback, ..setup });
            assert_eq!(router.role(), Role::Active);
            assert_eq!(router.adverts(), [(Duration::ZERO, 255)]);
            assert!(matches!(
                router.done()[..],
                [
                    Effect::Advertise { .. },
                    Effect::Own { lease: Some(_), .. },
                    Effect::Announce { .. }
                ]
            ));
            router.mark();
            router.run(SECOND);
            assert_eq!(router.adverts(), [(SECOND, 255)]);
        }
    }
}
