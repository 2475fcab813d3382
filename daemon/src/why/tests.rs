//! The chain names every figure that a decision used.

use std::collections::BTreeSet;

use evergate_api::control::WhyReply;
use evergate_api::status::GroupState;
use evergate_core::Input;
use evergate_core::check::Reading;
use evergate_core::ident::{CheckId, InterfaceId, PathId};
use evergate_core::input::Command;

use super::why;
use crate::facts::LastLook;
use crate::fixture::{GATEWAY, MS, World, alone, config, tracking};

fn of(world: &World, at: usize) -> WhyReply {
    why(world.node(at), &world.facts[at], GATEWAY, world.now, &world.clock())
}

fn figures(reply: &WhyReply) -> BTreeSet<&str> {
    reply.lines.iter().flat_map(|line| line.figures.keys().map(String::as_str)).collect()
}

fn all(reply: &WhyReply) -> String {
    reply.lines.iter().map(|line| format!("{}\n", line.text)).collect()
}

fn figure(reply: &WhyReply, name: &str) -> f64 {
    let found = reply.lines.iter().find_map(|line| line.figures.get(name));
    *found.unwrap_or_else(|| panic!("{name} in {}", all(reply)))
}

#[test]
fn a_standby_names_the_holder_the_ranks_the_timers_and_every_figure_of_the_detector() {
    let mut world = World::settled();
    world.run(5 * MS);
    let reply = of(&world, 1);
    assert_eq!((reply.group.as_str(), &reply.state), ("gateway", &GroupState::Standby));
    let text = all(&reply);
    for said in [
        "gateway is standby on gw2 for",
        "it does not claim: gw1 holds it",
        "gw1 ranks above this node: priority 200, tie-break 10.91.0.2",
        "own priority 100 (as configured, no check adds to it), tie-break 10.91.0.3",
        "down timer of gateway/lan/ipv4",
        "down timer of gateway/wan/ipv4",
        "gw1 is alive",
        "path link:sync (sync) to gw1 lives",
        "failback is automatic",
    ] {
        assert!(text.contains(said), "{said} in\n{text}");
    }
    let known = figures(&reply);
    for name in [
        "state_for_ms",
        "term",
        "priority",
        "peer_priority",
        "ranks_above",
        "ready",
        "age_ms",
        "isolated",
        "down_remaining_ms",
        "advert_interval_ms",
        "skew_ms",
        "peer_advert_age_ms",
        "lease_ms",
        "failback_delay_ms",
        "silence_ms",
        "dead_ms",
        "dead_step",
        "heartbeat_ms",
        "lateness_own_ms",
        "lateness_peer_ms",
        "dead_of_peer_ms",
        "hears_us",
        "alive",
        "silent_after_ms",
        "heard_age_ms",
        "heard_us_age_ms",
        "rtt_us",
        "testing",
        "neighbours",
        "segment_silent",
        "addresses",
        "addresses_present",
        "holder_known_for_ms",
    ] {
        assert!(known.contains(name), "{name} in {known:?}");
    }
    assert_eq!(figure(&reply, "dead_ms"), 30.0);
    assert_eq!(figure(&reply, "dead_step"), 1.0);
    assert_eq!(figure(&reply, "lease_ms"), 3000.0);
    assert_eq!(figure(&reply, "silence_ms"), 5.0);
    assert!(reply.lines.iter().all(|line| line.figures.values().all(|value| value.is_finite())));
}

#[test]
fn an_active_node_names_its_next_advert_and_the_lease() {
    let world = World::settled();
    let reply = of(&world, 0);
    assert!(figures(&reply).is_superset(&BTreeSet::from([
        "advert_remaining_ms",
        "renew_remaining_ms",
        "lease_ms"
    ])));
    assert_eq!(figure(&reply, "addresses_present"), 2.0);
    assert!(all(&reply).contains("gw2 ranks below this node: priority 100"), "{}", all(&reply));
}

#[test]
fn after_a_death_the_cause_and_the_silence_are_named() {
    let mut world = World::settled();
    world.nodes[0] = None;
    world.run(100 * MS);
    let text = all(&of(&world, 1));
    assert!(
        text.contains("gateway is active on gw2") && text.contains("because gw1 is dead"),
        "{text}"
    );
    assert!(text.contains("gw1 is dead: last heard 100 ms ago"), "{text}");
    assert!(text.contains("path link:sync (sync) to gw1 is silent"), "{text}");
}

#[test]
fn a_fault_a_lock_and_a_hold_are_named() {
    let mut world = World::settled();
    world.link(0, 1, false);
    world.run(100 * MS);
    let text = all(&of(&world, 0));
    assert!(text.contains("fault carrier: interface wan"), "{text}");
    assert!(text.contains("it does not claim: this node has a fault"), "{text}");
    let mut world = World::settled();
    world.feed(1, Input::Command(Command::Lock { group: GATEWAY }));
    let text = all(&of(&world, 1));
    assert!(text.contains("`evergate unlock gateway`") && text.contains("locked out"), "{text}");
    let mut world = World::settled();
    world.switchover();
    for at in 0..2 {
        assert_eq!(figure(&of(&world, at), "held"), 1.0);
    }
}

#[test]
fn the_time_left_until_failback_is_named() {
    let mut world = World::settled();
    world.link(0, 1, false);
    world.run(1000 * MS);
    world.link(0, 1, true);
    let mut seen = None;
    for _ in 0..5000 {
        world.run(MS);
        let reply = of(&world, 1);
        if figures(&reply).contains("failback_remaining_ms") {
            seen = Some(figure(&reply, "failback_remaining_ms"));
            break;
        }
    }
    assert!(seen.is_some_and(|left| left > 900.0 && left <= 1000.0), "{seen:?}");
}

#[test]
fn both_tests_of_a_segment_are_named_while_a_path_is_silent() {
    let mut world = World::settled();
    world.cut.push(PathId(0));
    for at in 0..2 {
        world.feed(at, Input::Neighbours { interface: InterfaceId(0), known: true });
    }
    world.run(3000 * MS);
    let reply = of(&world, 0);
    let text = all(&reply);
    assert!(
        text.contains("own test of the segment of router:gateway/lan (lan): hears somebody"),
        "{text}"
    );
    assert!(text.contains("gw2 hears somebody on the segment of router:gateway/lan"), "{text}");
    assert_eq!(
        (figure(&reply, "hears_somebody"), figure(&reply, "peer_hears_somebody")),
        (1.0, 1.0)
    );
}

#[test]
fn the_difference_of_configurations_and_its_age_are_named() {
    let mut other = config(1);
    other.digest = 2;
    let mut world = World::start(vec![config(0), other]);
    world.run(6000 * MS);
    let age = figure(&of(&world, 0), "config_differs_ms");
    assert!(age > 5000.0 && age <= 6000.0, "{age}");
}

#[test]
fn a_lone_node_says_how_long_its_down_timer_still_runs() {
    let mut world = World::start(vec![alone(false)]);
    world.run(1000 * MS);
    let reply = of(&world, 0);
    let text = all(&reply);
    assert!(text.contains("it does not claim: a down timer has"), "{text}");
    // Three adverts and the skew of priority 200, of which one second is over.
    let left = figure(&reply, "down_remaining_ms");
    assert!((left - (3000.0 + 56.0 * 1000.0 / 256.0 - 1000.0)).abs() < 1.0, "{left}");
}

#[test]
fn the_adverts_of_another_make_are_named_with_their_source() {
    let mut world = World::start(vec![alone(true)]);
    world.foreign_advert(0, 250);
    world.run(10 * MS);
    let text = all(&of(&world, 0));
    assert!(text.contains("of another router 10.91.0.9 with priority 250, 10 ms ago"), "{text}");
}

#[test]
fn a_check_is_told_with_its_last_look_its_exit_status_and_what_it_does() {
    let mut world = World::start([0, 1].map(|me| tracking(me, Some(-60))).into());
    let check = CheckId(0);
    for at in 0..2 {
        world.feed(at, Input::Checked { check, reading: Reading::Pass });
    }
    world.run(6000 * MS);
    world.feed(0, Input::Checked { check, reading: Reading::Fail });
    let look =
        LastLook { at: world.now, text: "exit status 3".into(), status: Some(3), took: 7 * MS };
    world.facts[0].looks.insert("web".into(), look);
    let reply = of(&world, 0);
    let text = all(&reply);
    for said in [
        "check web (exec:/usr/local/bin/check-web) passes for",
        "+0 of -60",
        "in 7 ms: exit status 3",
        "1 of 2 results in a row say otherwise",
        "the process that makes checks is not there",
    ] {
        assert!(text.contains(said), "{said} in\n{text}");
    }
    assert!((figure(&reply, "exit_status") - 3.0).abs() < f64::EPSILON);
    world.feed(0, Input::Checked { check, reading: Reading::Fail });
    let text = all(&of(&world, 0));
    assert!(text.contains("own priority 140 (200 as configured, -60 by checks)"), "{text}");
    assert!(text.contains("check web (exec:/usr/local/bin/check-web) fails for"), "{text}");
}
