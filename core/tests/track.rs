//! What checks do to a pair: faults, weights, and groups that follow others.

mod common;

use std::time::Duration;

use common::{MS, Pair, config, group};
use evergate_core::Input;
use evergate_core::check::{CheckConfig, Reading, Source, Tracked};
use evergate_core::config::{Config, Failback};
use evergate_core::effect::Cause;
use evergate_core::fault::Fault;
use evergate_core::group::{Obstacle, SETTLED_AFTER};
use evergate_core::heartbeat::Role;
use evergate_core::ident::{CheckId, GroupId, InterfaceId, NodeId};

const WEB: CheckId = CheckId(0);

fn check(name: &str, source: Source) -> CheckConfig {
    CheckConfig {
        name: name.into(),
        test: format!("test of {name}"),
        source,
        rise: 1,
        fall: 1,
        fails_first: false,
        invert: false,
    }
}

/// The pair with a check of this source, tracked with a weight or as a fault.
fn tracking(source: Source, weight: Option<i16>) -> [Config; 2] {
    [0, 1].map(|me| {
        let mut config = config(me);
        config.checks.push(check("web", source));
        config.groups[0].track.push(Tracked { check: WEB, weight });
        config
    })
}

fn told(pair: &mut Pair, at: usize, reading: Reading) {
    pair.feed(at, Input::Checked { check: WEB, reading });
}

/// Both nodes are up, both have passed, and the first has held the group for long.
fn settled(source: Source, weight: Option<i16>) -> Pair {
    settled_with(tracking(source, weight))
}

fn settled_with(configs: [Config; 2]) -> Pair {
    let mut pair = Pair::with(configs);
    told(&mut pair, 0, Reading::Pass);
    told(&mut pair, 1, Reading::Pass);
    pair.run(3000 * MS + SETTLED_AFTER);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    pair.notes.clear();
    pair
}

fn priority(pair: &Pair, at: usize) -> u8 {
    let node = pair.nodes[at].as_ref().expect("it runs");
    node.with_scene(pair.now, GroupId(0), |scene, group| {
        group.priority(scene).map_or(0, |priority| priority.get())
    })
}

#[test]
fn a_failure_that_is_tracked_as_a_fault_moves_the_group_and_its_end_brings_it_back() {
    let mut pair = settled(Source::Told, None);
    told(&mut pair, 0, Reading::Fail);
    pair.run(20 * MS);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    assert!(pair.had(0, Fault::Check(WEB)));
    assert_eq!(pair.holds, [false, true]);
    told(&mut pair, 0, Reading::Pass);
    pair.run(3000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.transitions(), 2, "{:?}", pair.notes);
}

#[test]
fn of_two_reasons_for_a_fault_one_that_ends_leaves_the_fault() {
    let other = CheckId(1);
    let mut pair = Pair::with(tracking(Source::Told, None).map(|mut config| {
        config.checks.push(check("uplink", Source::Told));
        config.groups[0].track.push(Tracked { check: other, weight: None });
        config
    }));
    for (node, check) in [(0, WEB), (0, other), (1, WEB), (1, other)] {
        pair.feed(node, Input::Checked { check, reading: Reading::Pass });
    }
    pair.run(3000 * MS + SETTLED_AFTER);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    let tell = |pair: &mut Pair, check, reading| pair.feed(0, Input::Checked { check, reading });
    tell(&mut pair, WEB, Reading::Fail);
    tell(&mut pair, other, Reading::Fail);
    pair.run(20 * MS);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    tell(&mut pair, WEB, Reading::Pass);
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active], "the other reason is still there");
    tell(&mut pair, other, Reading::Pass);
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
}

#[test]
fn a_standby_that_fails_moves_nothing_and_does_not_take_over() {
    let mut pair = settled(Source::Told, None);
    told(&mut pair, 1, Reading::Fail);
    pair.run(1000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Fault]);
    pair.nodes[0] = None;
    pair.run(10_000 * MS);
    assert_eq!(pair.roles()[1], Role::Fault);
    told(&mut pair, 1, Reading::Pass);
    pair.run(10_000 * MS);
    assert_eq!(pair.roles()[1], Role::Active);
}

#[test]
fn a_weight_that_makes_the_standby_the_better_one_hands_over_at_once_and_without_a_gap() {
    let mut pair = settled(Source::Told, Some(-150));
    told(&mut pair, 0, Reading::Fail);
    assert_eq!(priority(&pair, 0), 50);
    pair.run(20 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    assert_eq!(pair.took_over(1).expect("taken").0, Cause::HandedOver(NodeId(0)));
    told(&mut pair, 0, Reading::Pass);
    pair.run(500 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active], "a failback waits");
    pair.run(3000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.transitions(), 2, "{:?}", pair.notes);
}

#[test]
fn a_weight_that_changes_no_order_moves_nothing_and_is_told() {
    let mut pair = settled(Source::Told, Some(-60));
    told(&mut pair, 0, Reading::Fail);
    pair.run(5000 * MS);
    assert_eq!((pair.roles(), pair.transitions()), ([Role::Active, Role::Standby], 0));
    assert_eq!(priority(&pair, 0), 140);
    let report = pair.group(1).reports[0].as_ref().expect("a report");
    assert_eq!(report.priority.get(), 140);
}

#[test]
fn a_positive_weight_counts_while_the_check_passes() {
    let mut pair = settled(Source::Told, Some(50));
    assert_eq!((priority(&pair, 0), priority(&pair, 1)), (250, 150));
    told(&mut pair, 0, Reading::Fail);
    pair.run(1000 * MS);
    assert_eq!(priority(&pair, 0), 200);
    assert_eq!(pair.transitions(), 0);
}

#[test]
fn a_priority_stays_from_1_to_254() {
    let mut pair = settled(Source::Told, Some(100));
    assert_eq!(priority(&pair, 0), 254);
    let mut low = settled(Source::Told, Some(-253));
    told(&mut low, 0, Reading::Fail);
    assert_eq!(priority(&low, 0), 1);
    pair.run(1000 * MS);
    assert_eq!(pair.transitions(), 0);
}

#[test]
fn a_check_that_both_fail_moves_the_group_nowhere_for_long() {
    for weight in [-60, -150] {
        let mut pair = settled(Source::Told, Some(weight));
        told(&mut pair, 0, Reading::Fail);
        told(&mut pair, 1, Reading::Fail);
        pair.run(5000 * MS);
        assert_eq!(pair.roles(), [Role::Active, Role::Standby], "{weight}");
        let moves = pair.transitions();
        assert!(moves <= 2, "{moves} moves: {:?}", pair.notes);
        pair.run(60_000 * MS);
        assert_eq!(pair.transitions(), moves, "{weight}: {:?}", pair.notes);
    }
}

#[test]
fn what_comes_back_on_both_is_seen_by_the_standby_first_and_moves_nothing() {
    let mut pair = settled(Source::Told, Some(-150));
    told(&mut pair, 1, Reading::Fail);
    told(&mut pair, 0, Reading::Fail);
    pair.run(SETTLED_AFTER);
    assert_eq!((pair.roles(), pair.transitions()), ([Role::Active, Role::Standby], 0));
    told(&mut pair, 1, Reading::Pass);
    pair.run(800 * MS);
    told(&mut pair, 0, Reading::Pass);
    pair.run(5000 * MS);
    assert_eq!((pair.roles(), pair.transitions()), ([Role::Active, Role::Standby], 0));
}

#[test]
fn a_check_that_fails_wherever_the_group_is_does_not_throw_it_to_and_fro() {
    let mut pair = settled(Source::Told, Some(-150));
    for _ in 0..600 {
        for at in 0..2 {
            let active = pair.roles()[at] == Role::Active;
            told(&mut pair, at, if active { Reading::Fail } else { Reading::Pass });
        }
        pair.run(100 * MS);
    }
    let moves = pair.transitions();
    assert!(moves <= 61, "{moves} moves in a minute");
}

#[test]
fn failback_by_hand_does_not_keep_the_group_on_a_node_whose_checks_fail() {
    let mut configs = tracking(Source::Told, Some(-150));
    configs.iter_mut().for_each(|config| config.groups[0].failback = Failback::Manual);
    let mut pair = settled_with(configs);
    told(&mut pair, 0, Reading::Fail);
    pair.run(20 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    told(&mut pair, 0, Reading::Pass);
    pair.run(30_000 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active], "it waits for an operator");
    told(&mut pair, 1, Reading::Fail);
    pair.run(20 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby], "or for a check");
}

#[test]
fn what_an_operator_holds_stays_whatever_weights_say() {
    let mut pair = settled(Source::Told, Some(-50));
    pair.switchover(0, 1);
    pair.run(SETTLED_AFTER + 2000 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    told(&mut pair, 1, Reading::Fail);
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
}

#[test]
fn nobody_claims_before_every_check_has_a_result_but_who_holds_keeps() {
    let mut pair = Pair::with(tracking(Source::Told, None));
    pair.run(10_000 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Standby]);
    let node = pair.nodes[0].as_ref().expect("it runs");
    let why = node.with_scene(pair.now, GroupId(0), |scene, group| group.claim_reason(scene));
    assert_eq!(why, Err(Obstacle::Unchecked));
    told(&mut pair, 1, Reading::Pass);
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    let mut more = tracking(Source::Told, None)[1].clone();
    more.checks.push(check("zone", Source::Told));
    more.groups[0].track.push(Tracked { check: CheckId(1), weight: None });
    pair.reload(1, more);
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active], "a check that is new does not move it");
}

#[test]
fn the_failback_waits_while_the_kernel_owes_an_answer() {
    let mut pair = settled(Source::Told, Some(-150));
    pair.slow[0] = 400 * MS;
    // The next renewal is under way.
    while pair.group(0).kernel_pending().is_none() {
        pair.run(10 * MS);
    }
    told(&mut pair, 0, Reading::Fail);
    pair.run(100 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby], "a release would come behind it");
    pair.slow[0] = Duration::ZERO;
    pair.run(350 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
}

#[test]
fn an_interface_that_no_router_uses_can_be_tracked() {
    for source in [Source::Carrier(InterfaceId(2)), Source::Running(InterfaceId(2))] {
        let mut pair = settled(source, None);
        pair.link(0, 2, false);
        pair.run(20 * MS);
        assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
        pair.link(0, 2, true);
        pair.run(3000 * MS);
        assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    }
}

#[test]
fn a_group_follows_another_that_is_active_or_fit() {
    for source in [Source::Active(GroupId(0)), Source::Fit(GroupId(0))] {
        let configs = [0, 1].map(|me| {
            let mut config = config(me);
            config.groups.push(group("shop", 61));
            config.checks.push(check("gateway", source));
            config.groups[1].track.push(Tracked { check: WEB, weight: None });
            config.groups[0].track.push(Tracked { check: CheckId(1), weight: None });
            config.checks.push(check("web", Source::Told));
            config
        });
        let mut pair = Pair::with(configs);
        for at in 0..2 {
            pair.feed(at, Input::Checked { check: CheckId(1), reading: Reading::Pass });
        }
        pair.run(8000 * MS);
        let second =
            |pair: &Pair, at: usize| pair.nodes[at].as_ref().expect("it runs").groups()[1].role();
        assert_eq!((pair.roles()[0], second(&pair, 0)), (Role::Active, Role::Active));
        pair.feed(0, Input::Checked { check: CheckId(1), reading: Reading::Fail });
        // One that was in fault listens for others before it claims.
        pair.run(2000 * MS);
        assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
        assert_eq!((second(&pair, 0), second(&pair, 1)), (Role::Fault, Role::Active), "{source:?}");
    }
}

#[test]
fn a_number_in_a_file_is_a_term_and_one_that_takes_all_is_a_fault() {
    let mut pair = settled(Source::Told, Some(-2));
    told(&mut pair, 0, Reading::Value(20));
    assert_eq!(priority(&pair, 0), 160);
    told(&mut pair, 0, Reading::Value(127));
    pair.run(50 * MS);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    told(&mut pair, 0, Reading::Value(0));
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
}

#[test]
fn a_reload_keeps_the_results_of_checks_that_stay_under_other_numbers() {
    let mut pair = settled(Source::Told, None);
    told(&mut pair, 0, Reading::Fail);
    pair.run(50 * MS);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    pair.notes.clear();
    let mut more = tracking(Source::Told, None)[0].clone();
    more.checks.insert(0, check("arp", Source::Told));
    more.groups[0].track = [0, 1].map(|at| Tracked { check: CheckId(at), weight: None }).into();
    pair.reload(0, more);
    pair.run(1000 * MS);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    assert!(pair.group(0).faults.contains(Fault::Check(CheckId(1))));
    assert!(!pair.group(0).faults.contains(Fault::Check(CheckId(0))));
    pair.reload(0, config(0));
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby], "nothing is tracked any more");
}
