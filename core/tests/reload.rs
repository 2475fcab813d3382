//! A new configuration while two nodes run: what did not change goes on, whatever its number is now.

mod common;

use std::time::Duration;

use common::{GATEWAY, MS, Pair, config, group, node};
use evergate_core::config::Config;
use evergate_core::effect::{Note, View};
use evergate_core::fault::Fault;
use evergate_core::heartbeat::{Outcome, Role};
use evergate_core::ident::{GroupId, NodeId};

/// The configuration of a node at another pace.
fn paced(me: u16, heartbeat: Duration) -> Config {
    Config { heartbeat, ..config(me) }
}

/// The same with one more node and one more group, each before all others.
fn renumbered(former: &Config) -> Config {
    let mut new = former.clone();
    new.nodes.insert(0, node("gw0"));
    new.me = NodeId(former.me.0 + 1);
    new.groups.iter_mut().for_each(|group| group.priorities.insert(0, None));
    let mut first = group("alpha", 61);
    first.priorities = vec![None; 3];
    new.groups.insert(0, first);
    new.paths.rotate_left(1);
    new.paths.iter().zip(0..).for_each(|(path, at)| {
        for router in new.groups.iter_mut().flat_map(|group| &mut group.routers) {
            if path.interface == router.interface {
                router.path = Some(evergate_core::ident::PathId(at));
            }
        }
    });
    new
}

fn has_died(pair: &Pair) -> bool {
    let died = |(_, note): &(usize, Note)| matches!(note, Note::Peer { view: View::Dead, .. });
    pair.notes.iter().any(died)
}

/// The role of a node in the group `gateway`, whatever its number.
fn gateway(pair: &Pair, at: usize) -> Role {
    let node = pair.nodes[at].as_ref().expect("it runs");
    let position = node.config().groups.iter().position(|group| group.name == "gateway");
    node.groups()[position.expect("the group is there")].role()
}

#[test]
fn a_faster_heartbeat_begins_with_the_reload_and_not_a_slow_interval_later() {
    for late in [1, 30, 60, 99] {
        let mut pair = Pair::settled_with([paced(0, 100 * MS), paced(1, 100 * MS)]);
        pair.run(late * MS);
        pair.reload(0, paced(0, 10 * MS));
        pair.run(1000 * MS);
        assert!(!has_died(&pair), "{:?}", pair.notes);
        assert_eq!(pair.transitions(), 0);
    }
}

#[test]
fn who_reloads_to_a_faster_heartbeat_still_judges_its_peer_by_the_slow_one() {
    let mut pair = Pair::settled_with([paced(0, 100 * MS), paced(1, 100 * MS)]);
    pair.reload(1, renumbered(&paced(1, 10 * MS)));
    pair.run(1000 * MS);
    assert!(!has_died(&pair), "{:?}", pair.notes);
    assert_eq!(pair.transitions(), 0);
    let node = pair.nodes[1].as_ref().expect("it runs");
    let known = node.peers().iter().find(|peer| peer.node == NodeId(1)).expect("gw1");
    assert_eq!(known.view, View::Alive);
}

#[test]
fn what_a_peer_has_said_is_known_by_its_new_numbers_at_once() {
    let mut pair = Pair::settled();
    let former = pair.nodes[1].as_ref().expect("it runs").peers()[0].clone();
    pair.deaf[1] = true;
    pair.reload(1, renumbered(&config(1)));
    let node = pair.nodes[1].as_ref().expect("it runs");
    let known = node.peers().iter().find(|peer| peer.node == NodeId(1)).expect("gw1");
    assert_eq!(known.view, View::Alive);
    assert!(known.hears(NodeId(2)));
    let (former, last) = (former.last.expect("heard"), known.last.clone().expect("still known"));
    assert_eq!((last.interval, &last.sources), (former.interval, &former.sources));
    assert_eq!(last.groups[0].group, GroupId(1));
    assert_eq!(last.peers[0].paths.len(), 3);
    assert_eq!(last.peers[0].paths.iter().map(|p| p.path.0).collect::<Vec<_>>(), [2, 0, 1]);
}

#[test]
fn a_handover_under_way_goes_on_over_a_reload_at_either_node() {
    for reloaded in [0, 1] {
        let mut pair = Pair::settled();
        pair.slow[1] = 300 * MS;
        pair.switchover(0, 1);
        pair.run(100 * MS);
        assert_eq!(pair.roles(), [Role::Active, Role::Claiming]);
        let me = u16::try_from(reloaded).expect("two nodes");
        pair.reload(reloaded, renumbered(&config(me)));
        pair.run(1500 * MS);
        assert_eq!([gateway(&pair, 0), gateway(&pair, 1)], [Role::Standby, Role::Active]);
        assert_eq!(pair.answers, [Outcome::Done { gap: Duration::ZERO }], "at {reloaded}");
    }
}

#[test]
fn a_handover_to_a_node_that_the_new_configuration_does_not_have_has_failed() {
    let mut pair = Pair::settled();
    pair.slow[1] = 500 * MS;
    pair.switchover(0, 1);
    pair.run(100 * MS);
    let mut alone = config(0);
    alone.nodes.truncate(1);
    pair.reload(0, alone);
    assert_eq!(pair.answers, [Outcome::Failed]);
    assert_eq!(pair.roles()[0], Role::Active);
    // Procedures that were run for it are taken back.
    let yields = pair.notes.iter().filter_map(|(_, note)| match note {
        Note::Yields { to, .. } => Some(*to),
        _ => None,
    });
    assert_eq!(yields.collect::<Vec<_>>(), [Some(NodeId(1)), None]);
}

#[test]
fn a_wish_that_waits_over_a_reload_still_names_the_same_node() {
    let mut pair = Pair::settled();
    pair.deaf[0] = true;
    pair.switchover(1, 1);
    pair.reload(1, renumbered(&config(1)));
    pair.deaf[0] = false;
    pair.run(500 * MS);
    assert_eq!([gateway(&pair, 0), gateway(&pair, 1)], [Role::Standby, Role::Active]);
    assert_eq!(pair.answers, [Outcome::Done { gap: Duration::ZERO }]);
}

#[test]
fn a_group_that_lets_go_during_a_reload_asks_the_kernel_again() {
    let mut pair = Pair::settled();
    pair.slow[0] = 500 * MS;
    pair.link(0, 1, false);
    pair.run(50 * MS);
    assert_eq!(pair.roles(), [Role::Releasing, Role::Active]);
    pair.reload(0, renumbered(&config(0)));
    pair.link(0, 1, true);
    pair.run(10_000 * MS);
    assert!(!pair.had(0, Fault::KernelStuck), "{:?}", pair.notes);
    assert_eq!([gateway(&pair, 0), gateway(&pair, 1)], [Role::Active, Role::Standby]);
}

#[test]
fn the_kernel_s_answer_to_a_group_that_is_gone_is_not_taken_for_another_s() {
    let both = |me| Config { groups: vec![group("alpha", 61), group("gateway", 51)], ..config(me) };
    let mut pair = Pair::settled_with([both(0), both(1)]);
    pair.slow[0] = 100 * MS;
    pair.refusals[0] = 1;
    pair.reload(0, config(0));
    pair.run(1_000 * MS);
    let first = pair.group(0);
    assert_eq!(first.id, GATEWAY);
    assert!(first.faults.is_empty() && first.holds(), "{:?}", pair.notes);
}

#[test]
fn after_a_reload_no_adverts_are_missed_that_had_no_time_to_come() {
    for late in [0, 300, 600, 900] {
        let mut pair = Pair::settled();
        pair.run(10_000 * MS + late * MS);
        pair.notes.clear();
        pair.reload(1, Config { digest: 2, ..config(1) });
        pair.run(3_000 * MS);
        let alarm = |(_, note): &&(usize, Note)| {
            matches!(note, Note::Alarm(evergate_core::effect::Alarm::AdvertsMissing { .. }))
        };
        assert_eq!(pair.notes.iter().find(alarm), None, "{late} ms");
    }
}
