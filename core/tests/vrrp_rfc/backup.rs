//! RFC 9568 §6.4.2: a router that stands by.

use std::net::IpAddr;
use std::time::Duration;

use evergate_core::Effect;
use evergate_core::config::{Failback, Version};
use evergate_core::effect::Occasion;
use evergate_core::heartbeat::Role;
use evergate_core::ident::{Family, GroupId};

use super::router::{GROUP, MS, OTHER, OWN_V4, Router, SECOND, Setup, claims_after};

/// The down interval at priority 100 and adverts of a second, in both versions.
const DOWN: Duration = Duration::from_nanos(3_609_375_000);
/// The skew of it.
const SKEW: Duration = Duration::from_nanos(609_375_000);

#[test]
fn when_its_timer_ends_it_advertises_first_then_takes_the_addresses_then_announces_them() {
    for setup in Setup::both() {
        let mut router = Router::started(setup);
        claims_after(&mut router, DOWN);
        assert!(matches!(
            router.done()[..],
            [
                Effect::Advertise { .. },
                Effect::Own { lease: Some(_), .. },
                Effect::Announce { occasion: Occasion::TookOver, .. }
            ]
        ));
        router.mark();
        router.run(SECOND - MS);
        assert_eq!(router.adverts(), []);
        router.run(MS);
        assert_eq!(router.adverts(), [(SECOND, 100)], "its own interval later");
    }
}

#[test]
fn it_says_nothing_and_takes_nothing_while_an_active_router_is_heard() {
    for setup in Setup::both() {
        let mut router = Router::started(setup);
        for _ in 0..60 {
            router.run(SECOND);
            router.hears(200, OTHER);
        }
        assert_eq!(router.role(), Role::Standby);
        assert!(router.done().is_empty(), "{:?}", router.done());
    }
}

#[test]
fn an_advert_of_the_same_or_a_higher_priority_starts_its_timer_anew() {
    // The address decides between active routers only: a lower one is followed all the same.
    let lower = IpAddr::from([10, 91, 0, 1]);
    let higher = IpAddr::from([10, 91, 0, 200]);
    for setup in Setup::both() {
        for (priority, source) in [(100, lower), (100, higher), (101, lower), (255, lower)] {
            let mut router = Router::started(setup);
            router.run(DOWN - MS);
            router.hears(priority, source);
            claims_after(&mut router, DOWN);
        }
    }
}

#[test]
fn an_advert_of_lower_priority_neither_starts_its_timer_anew_nor_shortens_it() {
    for setup in Setup::both() {
        let mut router = Router::started(setup);
        let mut left = DOWN;
        for _ in 0..3 {
            router.run(SECOND);
            left -= SECOND;
            router.hears_at(GROUP, 99, OTHER, 5 * SECOND);
        }
        claims_after(&mut router, left);
        router.mark();
        router.run(2 * SECOND);
        assert_eq!(router.adverts(), [(SECOND, 100), (2 * SECOND, 100)]);
    }
}

#[test]
fn without_preemption_an_advert_of_lower_priority_is_followed() {
    for setup in Setup::both() {
        let mut router = Router::started(Setup { failback: Failback::Manual, ..setup });
        for _ in 0..60 {
            router.run(SECOND);
            router.hears(1, OTHER);
        }
        assert_eq!(router.role(), Role::Standby);
        claims_after(&mut router, DOWN);
    }
}

#[test]
fn with_a_delay_it_preempts_only_that_long_after_its_start() {
    let failback = Failback::After(10 * SECOND);
    let mut router = Router::started(Setup { failback, ..Setup::new(Version::V3) });
    for _ in 0..9 {
        router.run(SECOND);
        router.hears(50, OTHER);
    }
    router.run(SECOND);
    router.hears(50, OTHER);
    claims_after(&mut router, DOWN - SECOND);
}

#[test]
fn a_resignation_leaves_it_one_skew_time() {
    for setup in Setup::both() {
        let mut router = Router::started(setup);
        router.run(SECOND);
        router.hears(200, OTHER);
        router.run(500 * MS);
        router.hears(0, OTHER);
        claims_after(&mut router, SKEW);
    }
}

#[test]
fn a_resignation_without_preemption_is_one_too() {
    let mut router =
        Router::started(Setup { failback: Failback::Manual, ..Setup::new(Version::V3) });
    router.run(SECOND);
    router.hears(0, OTHER);
    claims_after(&mut router, SKEW);
}

#[test]
fn who_takes_over_after_a_resignation_is_followed() {
    for setup in Setup::both() {
        let mut router = Router::started(setup);
        router.hears(0, OTHER);
        router.run(SKEW - MS);
        router.hears(150, IpAddr::from([10, 91, 0, 7]));
        claims_after(&mut router, DOWN);
    }
}

#[test]
fn version_3_waits_by_the_interval_of_the_active_router() {
    for (theirs, down, skew) in [
        (4 * SECOND, 14_437_500_000, 2_437_500_000),
        (100 * MS, 360_937_500, 60_937_500),
        (Duration::from_millis(40_950), 147_803_906_250, 24_953_906_250),
    ] {
        let mut router = Router::started(Setup::new(Version::V3));
        router.hears_at(GROUP, 200, OTHER, theirs);
        claims_after(&mut router, Duration::from_nanos(down));
        let mut router = Router::started(Setup::new(Version::V3));
        router.hears_at(GROUP, 200, OTHER, theirs);
        router.hears_at(GROUP, 0, OTHER, theirs);
        claims_after(&mut router, Duration::from_nanos(skew));
    }
}

#[test]
fn version_2_waits_by_its_own_interval() {
    let mut router = Router::started(Setup { interval: 3 * SECOND, ..Setup::new(Version::V2) });
    router.hears_at(GROUP, 200, OTHER, 5 * SECOND);
    claims_after(&mut router, Duration::from_nanos(9_609_375_000));
}

#[test]
fn once_active_it_speaks_at_its_own_interval_whatever_it_has_learned() {
    let mut router = Router::started(Setup::new(Version::V3));
    router.hears_at(GROUP, 200, OTHER, 4 * SECOND);
    claims_after(&mut router, Duration::from_nanos(14_437_500_000));
    router.mark();
    router.run(3 * SECOND);
    assert_eq!(router.adverts(), [(SECOND, 100), (2 * SECOND, 100), (3 * SECOND, 100)]);
}

#[test]
fn a_shutdown_of_it_is_silent() {
    for setup in Setup::both() {
        let mut router = Router::started(setup);
        router.run(SECOND);
        router.hears(200, OTHER);
        router.shut_down();
        router.run(60 * SECOND);
        assert_eq!(router.done(), [&Effect::Stopped]);
    }
}

#[test]
fn each_virtual_router_has_a_state_of_its_own() {
    let second = GroupId(1);
    let mut router = Router::started_beside(Setup::new(Version::V3));
    for _ in 0..10 {
        router.run(SECOND);
        router.hears_at(second, 200, OTHER, SECOND);
    }
    assert_eq!([router.role(), router.role_in(second)], [Role::Active, Role::Standby]);
    router.hears_at(GROUP, 200, OTHER, SECOND);
    router.hears_at(second, 0, OTHER, SECOND);
    router.run(SECOND);
    assert_eq!([router.role(), router.role_in(second)], [Role::Standby, Role::Active]);
}

#[test]
fn over_ipv6_it_does_the_same() {
    let setup = Setup { family: Family::V6, ..Setup::new(Version::V3) };
    let other: IpAddr = "fe80::9".parse().expect("an address");
    let mut router = Router::started(setup);
    router.run(SECOND);
    router.hears(200, other);
    router.run(DOWN - MS);
    assert_eq!(router.role(), Role::Standby);
    router.hears(0, other);
    claims_after(&mut router, SKEW);
}

#[test]
fn an_advert_that_seems_to_come_from_itself_is_judged_like_any_other() {
    let mut router = Router::started(Setup::new(Version::V3));
    router.run(SECOND);
    router.hears(100, OWN_V4.into());
    claims_after(&mut router, DOWN);
}
