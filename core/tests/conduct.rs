//! An owner of the addresses and a delay at the start, between two nodes of ours: heartbeats decide.

mod common;

use std::time::Duration;

use common::{MS, Pair, config};
use evergate_core::config::{Conduct, Config, Failback};
use evergate_core::effect::Cause;
use evergate_core::heartbeat::{Outcome, Refusal, Role};
use evergate_core::ident::{NodeId, Priority};

const DELAY: Duration = Duration::from_secs(30);

fn owned(me: u16, failback: Failback) -> Config {
    let mut config = config(me);
    config.groups[0].priorities = vec![Some(Priority::OWNER), Priority::new(100)];
    config.groups[0].failback = failback;
    config
}

fn delayed(me: u16) -> Config {
    let mut config = config(me);
    config.groups[0].conduct = Conduct { start_delay: DELAY, ..Conduct::default() };
    config
}

/// The second node is active, the first one has died.
fn orphaned(configs: [Config; 2]) -> Pair {
    let mut pair = Pair::with(configs);
    pair.run(60_000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    pair.nodes[0] = None;
    pair.holds[0] = false;
    pair.run(2_000 * MS);
    assert_eq!(pair.roles(), [Role::Init, Role::Active]);
    pair.notes.clear();
    pair
}

#[test]
fn an_owner_that_returns_is_handed_the_group_in_order_whatever_the_failback_is() {
    for failback in [Failback::After(Duration::ZERO), Failback::After(DELAY), Failback::Manual] {
        let mut pair = orphaned([owned(0, failback), owned(1, failback)]);
        pair.boot_with(owned(0, failback), 0, 3, Vec::new());
        pair.run(500 * MS);
        assert_eq!(pair.roles(), [Role::Standby, Role::Active], "{failback:?}: not out of hand");
        pair.run(2_500 * MS);
        assert_eq!(pair.roles(), [Role::Active, Role::Standby], "{failback:?}");
        let cause = pair.took_over(0).map(|(cause, _)| cause);
        assert_eq!(cause, Some(Cause::HandedOver(NodeId(1))), "{failback:?}");
    }
}

#[test]
fn an_owner_that_hears_no_node_of_ours_waits_for_no_timer() {
    let manual = Failback::Manual;
    let mut pair = orphaned([owned(0, manual), owned(1, manual)]);
    pair.nodes[1] = None;
    pair.boot_with(owned(0, manual), 0, 3, Vec::new());
    pair.run(1_249 * MS);
    assert_eq!(pair.roles()[0], Role::Standby, "it listens");
    pair.run(2 * MS);
    assert_eq!(pair.roles()[0], Role::Active);
    assert_eq!(pair.took_over(0).map(|(cause, _)| cause), Some(Cause::Owner));
}

#[test]
fn a_switchover_away_from_the_owner_holds() {
    let manual = Failback::Manual;
    let mut pair = Pair::settled_with([owned(0, manual), owned(1, manual)]);
    pair.switchover(0, 1);
    pair.run(60_000 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
}

#[test]
fn a_node_in_its_delay_speaks_to_its_peers_and_is_not_ready() {
    let mut pair = orphaned([delayed(0), delayed(1)]);
    pair.boot_with(delayed(0), 0, 3, Vec::new());
    pair.run(10_000 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active], "the better one waits");
    assert!(pair.nodes[1].as_ref().expect("it runs").has_living_peer(), "heartbeats go on");
    pair.switchover(1, 0);
    pair.run(6_000 * MS);
    assert_eq!(pair.answers, [Outcome::Refused(Refusal::NotReady)]);
    pair.run(20_000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby], "the delay is over");
}

#[test]
fn a_node_in_its_delay_claims_nothing_although_its_peer_dies() {
    let mut pair = orphaned([delayed(0), delayed(1)]);
    pair.boot_with(delayed(0), 0, 3, Vec::new());
    pair.run(10_000 * MS);
    pair.nodes[1] = None;
    pair.run(19_990 * MS);
    assert_eq!(pair.roles()[0], Role::Standby);
    pair.run(20 * MS);
    assert_eq!(pair.took_over(0).map(|(cause, _)| cause), Some(Cause::Died(NodeId(1))));
}
