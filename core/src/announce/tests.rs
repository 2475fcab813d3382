use super::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const PLAIN: Place = place(0, 0, 0);

const fn place(group: u16, router: u16, interface: u16) -> Place {
    let (group, router) = (GroupId(group), RouterId(router));
    Place { group, router, interface: InterfaceId(interface) }
}

fn address(number: usize) -> IpAddr {
    let number = u32::try_from(number).expect("a few");
    IpAddr::V4(std::net::Ipv4Addr::from(0x0a00_0000 + number))
}

fn addresses(count: usize) -> Vec<IpAddr> {
    (0..count).map(address).collect()
}

fn at(span: Duration) -> Instant {
    Instant::ZERO + span
}

/// What is handed out until then, each with its moment; time goes from deadline to deadline.
fn run(announcer: &mut Announcer, until: Instant) -> Vec<(Instant, Announcement)> {
    let mut all = Vec::new();
    let mut now = Instant::ZERO;
    while let Some(due) = announcer.deadline().filter(|due| *due <= until) {
        now = now.max(due);
        while let Some(one) = announcer.next(now) {
            all.push((now, one));
        }
    }
    all
}

/// The moments in seconds at which a plain router of one address announces.
fn moments(schedule: Schedule, occasion: Occasion, until: Duration) -> Vec<f64> {
    let mut announcer = Announcer::default();
    announcer.announce(Instant::ZERO, PLAIN, schedule, addresses(1), occasion);
    let all = run(&mut announcer, at(until));
    all.iter().map(|(when, _)| when.since(Instant::ZERO).as_secs_f64()).collect()
}

#[test]
fn by_default_each_occasion_is_one_round_at_once() {
    for occasion in [Occasion::TookOver, Occasion::LowerHeard, Occasion::LowerGone, Occasion::Once]
    {
        assert_eq!(moments(Schedule::default(), occasion, 100 * S), [0.0], "{occasion:?}");
    }
}

#[test]
fn a_takeover_is_announced_as_often_as_the_schedule_says_and_again_later() {
    let schedule = Schedule { repeat: 3, again_after: 5 * S, ..Schedule::default() };
    assert_eq!(moments(schedule, Occasion::TookOver, 100 * S), [0.0, 0.0, 0.0, 5.0, 5.0, 5.0]);
    assert_eq!(moments(schedule, Occasion::Once, 100 * S), [0.0], "the rest is for takeovers");
}

#[test]
fn who_is_not_to_answer_a_lower_router_does_not() {
    let schedule = Schedule { lower_repeat: 2, lower_after: S, ..Schedule::default() };
    assert_eq!(moments(schedule, Occasion::LowerHeard, 100 * S), [0.0, 0.0, 1.0, 1.0]);
    let silent = Schedule { lower_repeat: 0, lower_after: S, ..Schedule::default() };
    assert!(moments(silent, Occasion::LowerHeard, 100 * S).is_empty());
    assert!(moments(silent, Occasion::LowerGone, 100 * S).is_empty());
    assert_eq!(moments(silent, Occasion::Once, 100 * S), [0.0]);
}

#[test]
fn announcements_are_refreshed_while_the_group_is_held_and_no_longer() {
    let schedule = Schedule { refresh: Some(10 * S), refresh_repeat: 2, ..Schedule::default() };
    let expected = [0.0, 10.0, 10.0, 20.0, 20.0, 30.0, 30.0];
    assert_eq!(moments(schedule, Occasion::TookOver, 35 * S), expected);
    // After a reload nothing is known of a takeover.
    assert_eq!(moments(schedule, Occasion::Once, 25 * S), expected[..5]);
    let mut announcer = Announcer::default();
    announcer.announce(Instant::ZERO, PLAIN, schedule, addresses(3), Occasion::TookOver);
    assert!(announcer.next(Instant::ZERO).is_some());
    announcer.stop(PLAIN.group);
    assert_eq!(announcer.deadline(), None);
    assert_eq!(announcer.next(at(60 * S)), None);
}

#[test]
fn a_thousand_addresses_on_an_interface_never_come_closer_than_the_interval() {
    let schedule = Schedule { repeat: 2, again_after: 5 * S, interval: MS, ..Schedule::default() };
    let mut announcer = Announcer::default();
    for group in 0..10 {
        let theirs = (0..100).map(|number| address(usize::from(group) * 100 + number)).collect();
        announcer.announce(Instant::ZERO, place(group, 0, 0), schedule, theirs, Occasion::TookOver);
    }
    announcer.announce(Instant::ZERO, place(10, 0, 1), schedule, addresses(1), Occasion::TookOver);
    let all = run(&mut announcer, at(60 * S));
    let (here, there): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(_, one)| one.place.interface == InterfaceId(0));
    assert_eq!(here.len(), 4000);
    assert!(here.windows(2).all(|two| two[1].0.since(two[0].0) >= MS));
    assert_eq!(here[3999].0, at(5 * S + 1999 * MS), "and no time is lost");
    let first: BTreeSet<_> = here[..1000].iter().map(|(_, one)| one.address).collect();
    assert_eq!(first.len(), 1000, "each address is announced before one is repeated");
    assert_eq!(there[0].0, Instant::ZERO, "another interface does not wait");
}

#[test]
fn a_takeover_is_announced_when_the_last_address_is() {
    let schedule = Schedule { repeat: 5, interval: MS, ..Schedule::default() };
    let mut announcer = Announcer::default();
    let group = PLAIN.group;
    announcer.announce(Instant::ZERO, PLAIN, schedule, addresses(3), Occasion::TookOver);
    announcer.announce(Instant::ZERO, place(0, 1, 1), schedule, addresses(2), Occasion::TookOver);
    for (now, count, owes) in [(0, 2, true), (1, 2, true), (2, 2, false)] {
        assert!(announcer.owes(group));
        let now = at(now * MS);
        assert_eq!(std::iter::from_fn(|| announcer.next(now)).count(), count);
        assert_eq!(announcer.owes(group), owes, "{now:?}");
    }
}

#[test]
fn what_is_wanted_again_before_it_is_done_is_not_done_twice() {
    let schedule = Schedule { interval: MS, ..Schedule::default() };
    let mut announcer = Announcer::default();
    for _ in 0..100 {
        announcer.announce(Instant::ZERO, PLAIN, schedule, addresses(3), Occasion::Once);
    }
    assert!(announcer.next(Instant::ZERO).is_some());
    // The first address is not announced yet since this one.
    announcer.announce(at(MS / 2), PLAIN, schedule, addresses(3), Occasion::Once);
    assert_eq!(run(&mut announcer, at(S)).len(), 5);
}

#[test]
fn with_other_addresses_a_round_begins_anew() {
    let mut announcer = Announcer::default();
    announcer.announce(Instant::ZERO, PLAIN, Schedule::default(), addresses(3), Occasion::TookOver);
    assert!(announcer.next(Instant::ZERO).is_some());
    announcer.announce(Instant::ZERO, PLAIN, Schedule::default(), vec![address(9)], Occasion::Once);
    let rest: Vec<_> = run(&mut announcer, at(S)).iter().map(|(_, one)| one.address).collect();
    assert_eq!(rest, [address(9)]);
}
