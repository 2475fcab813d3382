//! RFC 9568 §6.4.3: a router that holds the addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use evergate_core::Effect;
use evergate_core::config::{Failback, Version};
use evergate_core::effect::{Note, Occasion};
use evergate_core::heartbeat::Role;
use evergate_core::ident::{Family, GroupId};

use super::router::{GROUP, MICROSECOND, MS, OTHER, OWN_V4, Router, SECOND, Setup, claims_after};

#[test]
fn it_advertises_at_every_interval() {
    for (version, interval) in
        [(Version::V2, SECOND), (Version::V2, 3 * SECOND), (Version::V3, 10 * MS)]
    {
        let mut router = Router::active(Setup { interval, ..Setup::new(version) });
        router.run(10 * interval);
        let expected: Vec<_> = (1..=10).map(|beat| (beat * interval, 100)).collect();
        assert_eq!(router.adverts(), expected);
    }
}

#[test]
fn routers_whose_adverts_are_due_within_a_millisecond_send_them_together_and_keep_the_interval() {
    for (apart, moments) in [(900 * MICROSECOND, 10), (1_100 * MICROSECOND, 20)] {
        let second = GroupId(1);
        let mut router = Router::started_beside(Setup::new(Version::V3));
        router.run(apart);
        router.hears_at(second, 100, OTHER, SECOND);
        router.run(5 * SECOND);
        assert_eq!([router.role(), router.role_in(second)], [Role::Active; 2]);
        router.mark();
        router.run(10 * SECOND);
        for group in [GROUP, second] {
            let sent: Vec<_> = router.adverts_of(group).iter().map(|(at, _)| *at).collect();
            assert_eq!(sent.len(), 10);
            assert!(sent.windows(2).all(|pair| pair[1] - pair[0] == SECOND), "{sent:?}");
        }
        let all = [GROUP, second].map(|group| router.adverts_of(group)).concat();
        let at: BTreeSet<_> = all.iter().map(|(at, _)| *at).collect();
        assert_eq!(at.len(), moments, "{apart:?} apart: {at:?}");
    }
}

#[test]
fn a_resignation_of_another_one_is_answered_at_once() {
    for setup in Setup::both() {
        let mut router = Router::active(setup);
        router.run(300 * MS);
        router.hears(0, OTHER);
        assert_eq!(router.adverts(), [(300 * MS, 100)]);
        assert_eq!(router.role(), Role::Active);
        router.run(700 * MS);
        let regular = (SECOND, 100);
        assert_eq!(router.adverts().last(), Some(&regular), "the next one is not put off");
    }
}

#[test]
fn a_higher_priority_makes_it_backup_without_a_resignation() {
    for setup in Setup::both() {
        for failback in [setup.failback, Failback::Manual] {
            let mut router = Router::active(Setup { failback, ..setup });
            router.run(300 * MS);
            router.hears(101, OTHER);
            assert_eq!(router.role(), Role::Standby);
            assert!(matches!(router.done()[..], [Effect::Own { lease: None, .. }]));
            router.run(3 * SECOND);
            assert_eq!(router.adverts(), []);
        }
    }
}

#[test]
fn it_then_waits_by_the_interval_of_the_new_active_router() {
    let mut router = Router::active(Setup::new(Version::V3));
    router.hears_at(GROUP, 200, OTHER, 2 * SECOND);
    claims_after(&mut router, Duration::from_nanos(7_218_750_000));
    let mut router = Router::active(Setup::new(Version::V2));
    router.hears_at(GROUP, 200, OTHER, 2 * SECOND);
    claims_after(&mut router, Duration::from_nanos(3_609_375_000));
}

#[test]
fn between_equal_priorities_the_higher_address_wins_as_a_number() {
    // As text or as signed bytes, some of these would be on the other side.
    let higher: [[u8; 4]; 4] = [[10, 91, 0, 101], [10, 91, 0, 200], [10, 92, 0, 1], [192, 0, 2, 1]];
    let lower: [[u8; 4]; 4] =
        [[10, 91, 0, 99], [10, 91, 0, 9], [9, 255, 255, 255], [10, 90, 200, 0]];
    for setup in Setup::both() {
        for source in higher {
            let mut router = Router::active(setup);
            router.hears(100, source.into());
            assert_eq!(router.role(), Role::Standby, "{source:?}");
        }
        for source in lower {
            let mut router = Router::active(setup);
            router.hears(100, source.into());
            assert_eq!(router.role(), Role::Active, "{source:?}");
        }
    }
}

#[test]
fn the_same_holds_for_ipv6() {
    let setup = Setup { family: Family::V6, ..Setup::new(Version::V3) };
    for (source, role) in [
        ("fe80::101", Role::Standby),
        ("fe80::8000:0:0:1", Role::Standby),
        ("fe80::ff", Role::Active),
        ("fe80::9", Role::Active),
    ] {
        let mut router = Router::active(setup);
        router.hears(100, source.parse::<IpAddr>().expect("an address"));
        assert_eq!(router.role(), role, "{source}");
    }
}

#[test]
fn who_ranks_lower_is_told_at_once_and_changes_nothing() {
    for setup in Setup::both() {
        for (priority, source) in [(99, [192, 0, 2, 1]), (1, [10, 91, 0, 9]), (100, [10, 91, 0, 9])]
        {
            let mut router = Router::active(setup);
            router.run(300 * MS);
            router.mark();
            router.hears(priority, source.into());
            assert_eq!(router.adverts(), [(Duration::ZERO, 100)]);
            let announces = Effect::Announce { group: GROUP, occasion: Occasion::LowerHeard };
            assert!(router.done().contains(&&announces), "{:?}", router.done());
            router.run(700 * MS);
            assert_eq!(router.adverts()[1..], [(700 * MS, 100)], "the regular one, in its time");
            assert_eq!(router.role(), Role::Active);
        }
    }
}

#[test]
fn its_own_address_in_an_advert_does_not_make_it_give_way() {
    for setup in Setup::both() {
        let mut router = Router::active(setup);
        router.hears(100, OWN_V4.into());
        assert_eq!(router.role(), Role::Active);
    }
}

#[test]
fn another_active_router_is_noted_once_and_not_with_every_advert() {
    let mut router = Router::active(Setup::new(Version::V3));
    router.run(10 * SECOND);
    let any = |note: &Note| matches!(note, Note::Conflict { .. });
    assert!(!router.notes.iter().any(any), "nobody is there");
    for _ in 0..5 {
        router.hears(50, OTHER);
        router.run(100 * MS);
    }
    let kept = |note: &&Note| matches!(note, Note::Conflict { group: GROUP, kept: true });
    assert_eq!(router.notes.iter().filter(kept).count(), 1);
    router.hears(200, OTHER);
    let lost = |note: &&Note| matches!(note, Note::Conflict { group: GROUP, kept: false });
    assert_eq!(router.notes.iter().filter(lost).count(), 1);
}

#[test]
fn a_shutdown_resigns_with_priority_0_and_lets_go() {
    for setup in Setup::both() {
        let mut router = Router::active(setup);
        router.run(300 * MS);
        router.shut_down();
        assert_eq!(router.adverts(), [(300 * MS, 0)]);
        let done = router.done();
        assert!(
            matches!(
                done[..],
                [Effect::Advertise { .. }, Effect::Own { lease: None, .. }, Effect::Stopped]
            ),
            "{done:?}"
        );
        router.run(60 * SECOND);
        assert_eq!(router.adverts().len(), 1, "it says no more");
    }
}

#[test]
fn it_claims_again_when_the_better_one_resigns() {
    for setup in Setup::both() {
        let mut router = Router::active(setup);
        router.hears(200, OTHER);
        router.run(SECOND);
        router.hears(0, OTHER);
        claims_after(&mut router, Duration::from_nanos(609_375_000));
    }
}
