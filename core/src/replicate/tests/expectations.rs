//! What a connection expects travels with it.

use super::*;
use crate::flow::{Expectation, ExpectationMask, Extra};

/// A connection of FTP that expects another one to each of these ports.
fn expecting(ports: &[u16]) -> Flow {
    let one = |port: &u16| Expectation {
        tuple: Tuple { part: Part::Ports { source: 0, target: *port }, ..flow(1).key.original },
        mask: ExpectationMask { source: [255; 4].into(), port: 0 },
        nat: None,
        function: Vec::new(),
        class: 0,
        flags: 0,
        timeout: 300,
    };
    let mut extra = Extra { helper: Some(b"ftp".to_vec()), ..Extra::default() };
    extra.set_expectations(ports.iter().map(one).collect());
    Flow { extra: Some(Box::new(extra)), ..flow(1) }
}

/// The ports to which the copy on the standby expects connections.
fn copied(world: &mut World) -> Vec<u16> {
    let copy = &world.host(1).table[&flow(1).key];
    let expectations = &copy.extra.as_ref().unwrap().expectations;
    let port = |one: &Expectation| match one.tuple.part {
        Part::Ports { target, .. } => target,
        Part::None | Part::Echo { .. } => 0,
    };
    expectations.iter().map(port).collect()
}

#[test]
fn an_expectation_is_told_when_it_comes_and_when_it_goes_whatever_is_lost() {
    let mut world = World::new(2);
    (0..50).for_each(|number| world.packet(0, &flow(number)));
    for (round, ports) in [&[4000][..], &[4001, 4002], &[]].into_iter().enumerate() {
        world.loss = if round == 0 { 0 } else { 30 };
        world.packet(0, &expecting(ports));
        world.run(3000 * MS);
        assert_eq!(copied(&mut world), ports);
        assert!(world.equal(0, 1) && world.synced(1, 0));
    }
    let told = world.host(0).machine.counters;
    assert_eq!(told.told - told.retold, 50 + 2, "once for each change");
}

#[test]
fn an_expectation_of_which_no_event_came_and_one_that_a_copy_lost_are_repaired() {
    let mut world = World::new(2);
    world.packet(0, &expecting(&[4000]));
    world.run(100 * MS);
    // It is consumed, and nobody says so.
    world.host(0).table.insert(flow(1).key, expecting(&[]));
    world.run(12_000 * MS);
    assert_eq!(copied(&mut world), []);
    world.packet(0, &expecting(&[4001]));
    world.run(100 * MS);
    world.host(1).table.insert(flow(1).key, expecting(&[]));
    world.run(12_000 * MS);
    assert_eq!(copied(&mut world), [4001]);
    assert!(world.equal(0, 1) && world.synced(1, 0));
}

#[test]
fn an_expectation_outlives_a_takeover_and_its_end_is_told_by_the_new_owner() {
    let mut world = World::new(3);
    world.packet(0, &expecting(&[4000]));
    world.run(100 * MS);
    world.crash(0);
    world.serve(1, true);
    world.run(100 * MS);
    assert_eq!(copied(&mut world), [4000]);
    world.packet(1, &expecting(&[]));
    world.run(3000 * MS);
    assert!(world.equal(1, 2) && world.synced(2, 1));
}
