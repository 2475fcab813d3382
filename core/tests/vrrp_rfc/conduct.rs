//! What an operator may choose: how many adverts are missed, when is answered, a delay at the start.

use std::time::Duration;

use evergate_core::Effect;
use evergate_core::config::{Conduct, Version};
use evergate_core::effect::Occasion;
use evergate_core::heartbeat::Role;

use super::router::{GROUP, MS, NANOSECOND, OTHER, Router, SECOND, Setup, claims_after};

/// The skew at priority 100 and adverts of a second.
const SKEW: Duration = Duration::from_nanos(609_375_000);
/// The down interval with it, unless told otherwise.
const DOWN: Duration = Duration::from_nanos(3_609_375_000);
const DELAY: Duration = Duration::from_secs(30);

fn both(conduct: Conduct) -> [Setup; 2] {
    Setup::both().map(|setup| Setup { conduct, ..setup })
}

fn delayed() -> [Setup; 2] {
    both(Conduct { start_delay: DELAY, ..Conduct::default() })
}

#[test]
fn a_standby_waits_for_as_many_adverts_as_it_is_told() {
    for down_after in [1, 2, 5, 100] {
        for setup in both(Conduct { down_after, ..Conduct::default() }) {
            let mut router = Router::started(setup);
            claims_after(&mut router, SECOND * down_after + SKEW);
            let mut router = Router::started(setup);
            router.run(500 * MS);
            router.hears(200, OTHER);
            claims_after(&mut router, SECOND * down_after + SKEW);
        }
    }
}

#[test]
fn the_adverts_that_it_waits_for_are_those_of_the_active_router() {
    let conduct = Conduct { down_after: 2, ..Conduct::default() };
    let mut router = Router::started(Setup { conduct, ..Setup::new(Version::V3) });
    router.hears_at(GROUP, 200, OTHER, 2 * SECOND);
    claims_after(&mut router, 4 * SECOND + 2 * SKEW);
}

#[test]
fn who_does_not_answer_lower_ones_announces_and_sends_its_next_advert_in_its_time() {
    for setup in both(Conduct { answer_lower: false, ..Conduct::default() }) {
        let mut router = Router::active(setup);
        router.run(300 * MS);
        router.mark();
        router.hears(99, OTHER);
        router.hears(100, [10, 91, 0, 9].into());
        assert_eq!(router.adverts(), []);
        let announces = Effect::Announce { group: GROUP, occasion: Occasion::LowerHeard };
        assert!(router.done().contains(&&announces), "{:?}", router.done());
        router.run(700 * MS);
        assert_eq!(router.adverts(), [(700 * MS, 100)]);
        assert_eq!(router.role(), Role::Active);
        router.mark();
        router.hears(0, OTHER);
        assert_eq!(router.adverts(), [(Duration::ZERO, 100)], "a resignation is another matter");
    }
}

#[test]
fn one_more_advert_goes_out_before_it_gives_way_where_that_is_wanted() {
    for setup in both(Conduct { advert_before_yield: true, ..Conduct::default() }) {
        let mut router = Router::active(setup);
        router.run(300 * MS);
        router.hears(101, OTHER);
        assert_eq!(router.role(), Role::Standby);
        assert!(matches!(
            router.done()[..],
            [Effect::Advertise { priority: 100, .. }, Effect::Own { lease: None, .. }]
        ));
        router.run(3 * SECOND);
        assert_eq!(router.adverts().len(), 1, "it says no more");
    }
}

#[test]
fn nothing_is_claimed_during_the_delay_and_its_end_begins_a_whole_down_interval() {
    for setup in delayed() {
        let mut router = Router::started(setup);
        router.run(DELAY - NANOSECOND);
        assert_eq!((router.role(), router.done().len()), (Role::Standby, 0));
        router.run(NANOSECOND);
        claims_after(&mut router, DOWN);
    }
}

#[test]
fn an_active_router_that_was_heard_during_the_delay_is_followed_after_it() {
    for setup in delayed() {
        let mut router = Router::started(setup);
        for _ in 0..29 {
            router.run(SECOND);
            router.hears(200, OTHER);
        }
        router.run(500 * MS);
        router.hears(200, OTHER);
        // The delay ends half a second after its last advert, and starts no timer anew.
        claims_after(&mut router, DOWN);
        let mut router = Router::started(setup);
        router.run(DELAY - SECOND);
        router.hears(200, OTHER);
        router.hears(0, OTHER);
        router.run(SECOND);
        assert_eq!(router.role(), Role::Standby, "it resigned too early for us");
        claims_after(&mut router, DOWN);
    }
}

#[test]
fn what_a_former_process_has_left_is_held_without_a_delay() {
    for setup in delayed() {
        let mut router = Router::new(setup);
        router.adopt();
        assert_eq!(router.role(), Role::Active);
        router.mark();
        router.run(SECOND);
        assert_eq!(router.adverts(), [(SECOND, 100)]);
    }
}

#[test]
fn a_fault_after_the_delay_does_not_begin_it_again() {
    for setup in delayed() {
        let mut router = Router::started(setup);
        router.run(DELAY + 10 * SECOND);
        router.cable(false);
        assert_eq!(router.role(), Role::Fault);
        router.run(SECOND);
        router.cable(true);
        claims_after(&mut router, DOWN);
    }
}
