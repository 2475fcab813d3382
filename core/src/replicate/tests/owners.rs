//! Whose a flow is when groups move, nodes get other numbers, or take over without having everything.

use super::*;

#[test]
fn a_group_that_moves_alone_takes_its_flows_along() {
    let mut world = World::new(2);
    (1..=4).for_each(|number| world.packet(0, &flow(number)));
    world.run(2000 * MS);
    // One of two groups moves to node 1, with flows 1 and 2.
    world.serve(1, true);
    world.feed(0, Input::Released);
    world.packet(1, &Flow { mark: 7, ..flow(1) });
    world.packet(0, &Flow { mark: 8, ..flow(3) });
    world.run(1000 * MS);
    assert_eq!(world.owners(&flow(1)), [1, 1], "its packets have told who has it");
    assert!(world.host(0).lenient >= 2, "those that may come back with other numbers");
    assert_eq!(world.owners(&flow(2)), [0, 0], "nothing has told that it has moved");
    // The former node forgets what it sees no more; what it still serves is closed.
    world.expire(0, &flow(2));
    world.expire(0, &flow(3));
    world.run(500 * MS);
    assert_eq!(world.host(1).table.get(&flow(1).key).map(|flow| flow.mark), Some(7));
    assert!(world.host(1).table.contains_key(&flow(2).key), "it lives on where it may be served");
    assert!(!world.host(1).table.contains_key(&flow(3).key), "closed by the node that served it");
    world.run(5000 * MS);
    assert_eq!(world.owners(&flow(2)), [1, 1]);
    assert!(world.host(1).restored > 0);
    assert!(world.synced(0, 1) && world.synced(1, 0) && world.equal(0, 1));
}

#[test]
fn a_flow_that_a_group_has_taken_along_comes_back_with_it() {
    let mut world = World::new(2);
    (1..=2).for_each(|number| world.packet(0, &flow(number)));
    world.run(2000 * MS);
    for round in 0..4 {
        let (from, to) = (round % 2, (round + 1) % 2);
        world.serve(to, true);
        world.feed(from, Input::Released);
        world.packet(to, &Flow { mark: 100 + u32::try_from(round).unwrap(), ..flow(1) });
        world.run(3000 * MS);
        assert_eq!(world.owners(&flow(1)), [to, to]);
        assert!(world.synced(0, 1) && world.synced(1, 0) && world.equal(0, 1));
    }
}

#[test]
fn nodes_get_other_numbers_and_nothing_is_told_again() {
    let mut world = World::new(2);
    (0..100).for_each(|number| world.packet(0, &flow(number)));
    world.run(4000 * MS);
    let told = world.host(0).machine.counters.told;
    let names = Names::new(["gw2", "gw1"].into_iter(), [].into_iter(), [].into_iter()).unwrap();
    let moved: BTreeMap<NodeId, NodeId> =
        [(NodeId(0), NodeId(1)), (NodeId(1), NodeId(0))].into_iter().collect();
    for at in 0..2 {
        let me = NodeId::at(1 - at);
        let (names, moved) = (names.clone(), moved.clone());
        let (coalesce, protect_after) = (Duration::ZERO, Duration::ZERO);
        let new = Reconfigured { me, names, moved, coalesce, protect_after };
        world.feed(at, Input::Reconfigured(Box::new(new)));
    }
    world.hosts.swap(0, 1);
    world.tell_sights();
    for _ in 0..50 {
        world.run(100 * MS);
        assert!(world.synced(0, 1) && world.synced(1, 0));
    }
    assert_eq!(world.host(1).machine.counters.told, told);
    assert_eq!(world.owners(&flow(1)), [1, 1]);
    world.packet(1, &flow(500));
    world.run(100 * MS);
    assert!(world.equal(0, 1) && world.host(0).table.contains_key(&flow(500).key));
}

#[test]
fn changes_are_not_collected_while_a_group_is_handed_over() {
    let mut world = World::new(2);
    world.packet(0, &flow(1));
    assert!(!world.equal(0, 1), "collected");
    world.feed(0, Input::HandingOver(true));
    world.run(MS);
    assert!(world.equal(0, 1), "what waits goes out");
    world.packet(0, &flow(2));
    world.run(MS);
    assert!(world.equal(0, 1), "what comes does not wait");
    world.feed(0, Input::HandingOver(false));
    world.packet(0, &flow(3));
    assert!(!world.equal(0, 1));
}

#[test]
fn who_takes_over_without_having_everything_is_given_it_by_the_former_owner() {
    let mut world = World::new(2);
    (0..200).for_each(|number| world.packet(0, &flow(number)));
    world.run(2000 * MS);
    // Node 1 comes up empty and takes over at once, though node 0 is well.
    world.crash(1);
    world.hosts[1] = None;
    world.boot(1, 7);
    world.host(1).table.clear();
    world.loss = 10;
    world.serve(1, true);
    world.packet(1, &flow(300));
    world.packet(1, &flow(5));
    world.expire(1, &flow(5));
    world.serve(0, false);
    world.run(20_000 * MS);
    world.loss = 0;
    world.run(10_000 * MS);
    assert!(!world.host(1).table.contains_key(&flow(5).key), "it has ended where it is served");
    assert_eq!(world.host(1).table.len(), 200);
    assert!(world.equal(0, 1) && world.synced(0, 1));
    assert_eq!(world.owners(&flow(1)), [1, 1]);
}
