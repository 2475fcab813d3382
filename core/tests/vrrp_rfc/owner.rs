//! Priority 255: the owner of the addresses (RFC 9568 §5.2.4, §6.4.1).

use std::net::IpAddr;
use std::time::Duration;

use evergate_core::config::{Conduct, Failback};
use evergate_core::effect::Note;
use evergate_core::heartbeat::Role;

use super::router::{NANOSECOND, OTHER, Router, SECOND, Setup, claims_after};

/// Higher than our own address, and lower.
const HIGHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 91, 0, 200));
/// The down interval at priority 255 and adverts of a second.
const DOWN: Duration = Duration::from_nanos(3_003_906_250);

fn owners() -> impl Iterator<Item = Setup> {
    let failbacks =
        [Failback::After(Duration::ZERO), Failback::After(60 * SECOND), Failback::Manual];
    let all = Setup::both()
        .map(|setup| failbacks.map(|failback| Setup { priority: 255, failback, ..setup }));
    all.into_iter().flatten()
}

#[test]
fn it_serves_again_at_once_when_its_last_fault_is_gone_whoever_serves_meanwhile() {
    for setup in owners() {
        let mut router = Router::started(setup);
        router.run(SECOND);
        router.mark();
        router.cable(false);
        assert_eq!(router.adverts(), [(Duration::ZERO, 0)], "it resigns");
        router.run(5 * SECOND);
        for priority in [1, 100, 254] {
            router.hears(priority, HIGHER);
        }
        assert_eq!(router.role(), Role::Fault);
        router.mark();
        router.cable(true);
        assert_eq!(router.role(), Role::Active);
        assert_eq!(router.adverts(), [(Duration::ZERO, 255)]);
    }
}

#[test]
fn nobody_of_lower_priority_makes_it_give_way() {
    for setup in owners() {
        let mut router = Router::started(setup);
        for priority in [1, 100, 254] {
            router.mark();
            router.hears(priority, HIGHER);
            assert_eq!(router.role(), Role::Active, "{priority}");
            assert_eq!(router.adverts(), [(Duration::ZERO, 255)], "it is answered");
            let told =
                router.notes.iter().any(|note| matches!(note, Note::Conflict { kept: true, .. }));
            assert_eq!(told, priority == 1, "once and not with every advert");
        }
        router.hears(255, OTHER);
        assert_eq!(router.role(), Role::Active, "the address decides between two owners");
    }
}

#[test]
fn it_gives_way_to_another_owner_of_higher_address_and_waits_for_its_end() {
    for setup in owners() {
        let mut router = Router::started(setup);
        router.run(SECOND);
        for _ in 0..20 {
            router.hears(255, HIGHER);
            assert_eq!(router.role(), Role::Standby);
            router.run(SECOND);
        }
        claims_after(&mut router, DOWN - SECOND);
        let mut router = Router::started(setup);
        router.hears(255, HIGHER);
        router.mark();
        router.hears(0, HIGHER);
        assert_eq!(router.role(), Role::Active, "it has resigned");
    }
}

#[test]
fn it_too_waits_for_the_end_of_the_delay_and_for_no_longer() {
    let conduct = Conduct { start_delay: 30 * SECOND, ..Conduct::default() };
    for setup in owners() {
        let mut router = Router::started(Setup { conduct, ..setup });
        router.run(20 * SECOND);
        router.hears(100, OTHER);
        router.run(10 * SECOND - NANOSECOND);
        assert_eq!(router.role(), Role::Standby);
        router.run(NANOSECOND);
        assert_eq!(router.role(), Role::Active);
    }
}
