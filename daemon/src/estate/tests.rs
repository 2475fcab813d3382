use super::*;
use crate::kernel::ways::{WAY_BYTES_MAX, Way, WayKind};
use std::sync::atomic::AtomicBool;

/// An estate whose every part says the same number, so that a mixture of two is seen.
fn numbered(number: u32) -> Estate {
    let address = |ifindex| HeldAddress {
        ifindex,
        address: std::net::Ipv4Addr::from(number).into(),
        prefix_length: 24,
    };
    let way = |number: u32| Way {
        kind: if number.is_multiple_of(2) { WayKind::Route } else { WayKind::Rule },
        body: number.to_le_bytes().to_vec(),
    };
    let size = (number % 60) as usize + 1;
    Estate {
        groups: vec![Holding {
            group: format!("group-{number}"),
            addresses: (0..size).map(|_| address(number)).collect(),
            ways: (0..size).map(|_| way(number)).collect(),
        }],
        wills: vec![Will {
            transport: Transport::Udp,
            group: None,
            ifindex: number,
            source: "fe80::1".parse().unwrap(),
            destination: "ff02::114".parse().unwrap(),
            hops: 255,
            port: 8747,
            bytes: vec![7; size * 20],
        }],
    }
}

fn second_view(estate: &SharedEstate) -> SharedEstate {
    SharedEstate::from_fd(estate.as_fd().try_clone_to_owned().unwrap()).unwrap()
}

#[test]
fn what_is_published_is_read_and_nothing_is_empty() {
    let core = SharedEstate::create().unwrap();
    let guardian = second_view(&core);
    assert_eq!(guardian.read(&mut Vec::new()).unwrap(), (0, Estate::default()));
    for number in 1..5 {
        assert_eq!(core.publish(&numbered(number)).unwrap(), u64::from(number));
        let read = guardian.read(&mut Vec::new()).unwrap();
        assert_eq!(read, (u64::from(number), numbered(number)));
    }
    assert_eq!(core.publish(&Estate::default()).unwrap(), 5);
    assert_eq!(guardian.read(&mut Vec::new()).unwrap(), (5, Estate::default()));
}

#[test]
fn a_reader_never_sees_a_mixture_while_the_writer_goes_on() {
    let core = SharedEstate::create().unwrap();
    let guardian = second_view(&core);
    core.publish(&numbered(1)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 2..20_000 {
                core.publish(&numbered(number)).unwrap();
            }
            stop.store(true, Ordering::Release);
        });
        let (mut buffer, mut last, mut reads) = (Vec::new(), 0, 0_u32);
        while !stop.load(Ordering::Acquire) {
            // A reader that was overtaken eight times may say so; it may not say nonsense.
            let Ok((generation, estate)) = guardian.read(&mut buffer) else { continue };
            assert_eq!(estate, numbered(u32::try_from(generation).unwrap()));
            assert!(generation + 1 >= last, "never older than the one before the last");
            last = last.max(generation);
            reads += 1;
        }
        assert!(reads > 100);
    });
}

#[test]
fn a_writer_that_died_half_way_leaves_the_older_copy() {
    let estate = SharedEstate::create().unwrap();
    estate.publish(&numbered(1)).unwrap();
    estate.publish(&numbered(2)).unwrap();
    // The death of the writer at each point of its next turn.
    let words = estate.memory.words();
    let slot = Slot::of(words, 1 - words[Word::CurrentSlot as usize].load(Ordering::Acquire));
    slot.generation.store(0, Ordering::Release);
    assert_eq!(estate.read(&mut Vec::new()).unwrap().1, numbered(2));
    slot.content[3].store(u64::MAX, Ordering::Release);
    assert_eq!(estate.read(&mut Vec::new()).unwrap().1, numbered(2));
    slot.generation.store(3, Ordering::Release);
    assert_eq!(estate.read(&mut Vec::new()).unwrap().1, numbered(2), "the checksum refuses it");
}

#[test]
fn a_wild_writer_is_unreadable_and_never_a_panic() {
    let estate = SharedEstate::create().unwrap();
    estate.publish(&numbered(1)).unwrap();
    let words = estate.memory.words();
    for word in &words[Word::CurrentSlot as usize..HEADER_WORDS] {
        word.store(u64::MAX, Ordering::Release);
    }
    assert!(matches!(estate.read(&mut Vec::new()), Err(EstateError::Unreadable)));
    let mut bytes = Vec::new();
    numbered(3).encode(&mut bytes).unwrap();
    for cut in 0..bytes.len() {
        assert_eq!(Estate::decode(&bytes[..cut]), None, "cut at {cut}");
    }
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] = 0xff;
        let _ = Estate::decode(&changed);
    }
}

#[test]
fn each_limit_is_refused_by_name() {
    let estate = SharedEstate::create().unwrap();
    let refused = |content: Estate| match estate.publish(&content) {
        Err(EstateError::TooLarge(what)) => what,
        other => panic!("not refused: {other:?}"),
    };
    let will = numbered(1).wills.remove(0);
    let holding = numbered(1).groups.remove(0);
    let groups = vec![Holding::default(); GROUPS_MAX + 1];
    assert_eq!(refused(Estate { groups, wills: vec![] }), TooLarge::Groups);
    let name = Holding { group: "x".repeat(GROUP_NAME_BYTES_MAX + 1), ..Holding::default() };
    assert_eq!(refused(Estate { groups: vec![name], wills: vec![] }), TooLarge::Name);
    let addresses = vec![holding.addresses[0]; ADDRESSES_PER_GROUP_MAX + 1];
    let crowd = Holding { addresses, ..holding.clone() };
    assert_eq!(refused(Estate { groups: vec![crowd], wills: vec![] }), TooLarge::Addresses);
    let ways = vec![holding.ways[0].clone(); WAYS_PER_GROUP_MAX + 1];
    let crowd = Holding { ways, ..holding.clone() };
    assert_eq!(refused(Estate { groups: vec![crowd], wills: vec![] }), TooLarge::Ways);
    let ways = vec![Way { kind: WayKind::Rule, body: vec![0; WAY_BYTES_MAX + 1] }];
    let long = Holding { ways, ..holding };
    assert_eq!(refused(Estate { groups: vec![long], wills: vec![] }), TooLarge::Ways);
    let wills = vec![will.clone(); WILLS_MAX + 1];
    assert_eq!(refused(Estate { groups: vec![], wills }), TooLarge::Wills);
    let long = Will { bytes: vec![0; WILL_BYTES_MAX + 1], ..will.clone() };
    assert_eq!(refused(Estate { groups: vec![], wills: vec![long] }), TooLarge::Will);
    let large = Will { bytes: vec![0; WILL_BYTES_MAX], ..will };
    assert_eq!(refused(Estate { groups: vec![], wills: vec![large; 1000] }), TooLarge::Whole);
    assert_eq!(estate.generation(), 0, "a refusal publishes nothing");
}

#[test]
fn kept_addresses_are_adopted_once_or_released_once() {
    let estate = SharedEstate::create().unwrap();
    estate.publish(&numbered(4)).unwrap();
    assert_eq!(estate.adopt(), None, "nobody died");
    estate.keep();
    assert_eq!(estate.adopt(), Some(numbered(4)));
    assert_eq!(estate.adopt(), None);
    assert!(!estate.end_keeping(), "they are the core's now");
    estate.keep();
    assert!(estate.end_keeping());
    assert_eq!(estate.adopt(), None, "too late");
}

#[test]
fn crashes_are_counted_within_a_span_and_the_oldest_forgotten() {
    let estate = SharedEstate::create().unwrap();
    assert_eq!(estate.crashes_within(1000, 100), 0);
    for at in [100, 910, 950, 1000] {
        estate.record_crash(at);
    }
    assert_eq!(estate.crashes_within(1000, 100), 3);
    for at in 0..50 {
        estate.record_crash(1000 + at);
    }
    assert_eq!(estate.crashes_within(1050, 100), CRASHES_REMEMBERED_MAX);
    assert_eq!(estate.crash_count(), 54);
}

#[test]
fn other_memory_is_not_an_estate() {
    let other = SharedWords::create(WORDS).unwrap();
    let copy = other.as_fd().try_clone_to_owned().unwrap();
    assert!(matches!(SharedEstate::from_fd(copy), Err(EstateError::NotAnEstate)));
}

#[test]
fn a_core_names_itself_unless_another_was_named_meanwhile() {
    let core = SharedEstate::create().unwrap();
    let guardian = second_view(&core);
    let (late, next) = (Identity { pid: 7, start_ticks: 70 }, Identity { pid: 8, start_ticks: 80 });
    guardian.clear_core();
    core.core_enters(late);
    assert_eq!(guardian.core(), late);
    guardian.clear_core();
    guardian.core_started(next);
    core.core_enters(late);
    assert_eq!(guardian.core(), next);
}
