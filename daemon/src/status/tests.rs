//! The status of whole situations, each as an operator would meet it.

use evergate_api::status::{GroupState, PeerState, Status, Verdict};
use evergate_core::Input;
use evergate_core::check::Reading;
use evergate_core::heartbeat::Hold;
use evergate_core::ident::{CheckId, InterfaceId, PathId};
use evergate_core::input::Command;

use super::status;
use crate::fixture::{GATEWAY, MS, World, alone, config, tracking};

/// The golden document of a settled pair, seen from the active node.
const GOLDEN: &str = include_str!("golden.json");

fn of(world: &World, at: usize) -> Status {
    status(world.node(at), &world.facts[at], world.now, &world.clock())
}

fn codes(status: &Status) -> Vec<&str> {
    status.blockers.iter().map(|blocker| blocker.code.as_str()).collect()
}

fn text<'s>(status: &'s Status, code: &str) -> &'s str {
    &status.blockers.iter().find(|blocker| blocker.code == code).expect(code).text
}

#[test]
fn a_settled_pair_is_ready_on_both_nodes_and_has_the_shape_of_the_contract() {
    let world = World::settled();
    for at in 0..2 {
        let status = of(&world, at);
        assert_eq!(status.verdict, Verdict::Ready, "{:?}", status.blockers);
        assert_eq!((status.ready, codes(&status)), (Some(true), vec![]));
        assert_eq!(status.groups[0].active_node.as_deref(), Some("gw1"));
    }
    let json = serde_json::to_string_pretty(&of(&world, 0)).unwrap() + "\n";
    if std::env::var_os("EVERGATE_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/status/golden.json"), &json)
            .unwrap();
    }
    assert_eq!(json, GOLDEN);
}

#[test]
fn a_dead_peer_is_named_and_the_service_is_degraded() {
    let mut world = World::settled();
    world.nodes[0] = None;
    world.run(2000 * MS);
    let status = of(&world, 1);
    assert_eq!((status.verdict.clone(), status.ready), (Verdict::Degraded, Some(false)));
    assert_eq!(codes(&status), ["no-standby", "peer-dead"]);
    let said = text(&status, "peer-dead");
    assert!(said.contains("gw1 is dead") && said.contains("2000 ms"), "{said}");
    assert_eq!(status.groups[0].active_node.as_deref(), Some("gw2"));
    assert_eq!(status.groups[0].nodes[0].state, None, "a dead node's word is not repeated");
    let peer = &status.peers[0];
    assert_eq!((&peer.state, peer.alive), (&PeerState::Dead, Some(false)));
    assert!(peer.paths.iter().all(|path| path.alive == Some(false)));
}

#[test]
fn a_lost_carrier_is_named_on_the_node_that_has_it_and_pointed_to_on_the_other() {
    let mut world = World::settled();
    world.link(0, 1, false);
    world.run(500 * MS);
    let status = of(&world, 0);
    assert_eq!(status.groups[0].state, GroupState::Fault);
    let reason = &status.groups[0].reasons[0];
    let blocker = status.blockers.iter().find(|blocker| blocker.code == "carrier").unwrap();
    assert_eq!(reason.code, "carrier");
    assert!(reason.since.is_some() && reason.since == blocker.since, "{reason:?} {blocker:?}");
    assert!(text(&status, "carrier").contains("wan"), "{:?}", status.blockers);
    assert_eq!(status.verdict, Verdict::Degraded);
    let other = of(&world, 1);
    assert_eq!(codes(&other), ["no-standby", "peer-fault"]);
    assert_eq!(other.groups[0].nodes[0].state, Some(GroupState::Fault));
}

#[test]
fn adverts_that_nobody_understands_and_adverts_without_a_source_are_blockers_for_a_while() {
    let mut world = World::settled();
    let source = std::net::IpAddr::from([10, 91, 0, 9]);
    let at = (GATEWAY, evergate_core::ident::RouterId(0));
    world.facts[0].refused.insert(at, (source, "refused_version_differs", world.now));
    world.facts[0].mute.insert(at, world.now);
    let status = of(&world, 0);
    assert!(text(&status, "adverts-refused").contains("10.91.0.9"), "{:?}", status.blockers);
    assert!(text(&status, "adverts-refused").contains("version differs"));
    assert!(text(&status, "no-source-address").contains("lan"));
    assert_eq!(status.verdict, Verdict::Degraded);
    world.run(11_000 * MS);
    assert_eq!(of(&world, 0).verdict, Verdict::Ready);
}

#[test]
fn a_node_that_waits_after_its_start_says_so_and_is_not_ready() {
    let mut late = config(1);
    late.groups[0].conduct.start_delay = 30_000 * MS;
    let mut world = World::start(vec![config(0), late]);
    world.run(10_000 * MS);
    let status = of(&world, 1);
    assert_eq!((status.verdict.clone(), status.ready), (Verdict::Degraded, Some(false)));
    assert!(text(&status, "start-delay").contains("20 s"), "{:?}", status.blockers);
    assert_eq!(codes(&of(&world, 0)), ["no-standby", "peer-not-ready"]);
    world.run(21_000 * MS);
    assert_eq!(of(&world, 1).verdict, Verdict::Ready);
}

#[test]
fn packets_that_cannot_be_refused_are_a_blocker_of_the_groups_that_refuse_them() {
    let mut world = World::settled();
    world.facts[0].accept_failure = Some("no such protocol".into());
    assert_eq!(of(&world, 0).verdict, Verdict::Ready, "nobody wants it");
    world.facts[0].unaccepted.insert((GATEWAY, evergate_core::ident::RouterId(0)));
    let status = of(&world, 0);
    assert_eq!(status.verdict, Verdict::Degraded);
    assert!(text(&status, "accept-on").contains("no such protocol"), "{:?}", status.blockers);
}

#[test]
fn a_silent_path_is_named_with_its_likely_cause() {
    let mut world = World::settled();
    world.cut.push(PathId(2));
    world.run(3000 * MS);
    let status = of(&world, 0);
    assert_eq!((status.verdict.clone(), codes(&status)), (Verdict::Degraded, vec!["path-silent"]));
    let said = text(&status, "path-silent");
    assert!(
        said.starts_with("link:sync: heartbeats on sync do not arrive from gw2: cable"),
        "{said}"
    );
    assert!(said.contains("firewall that drops our UDP port"), "{said}");
    assert_eq!(status.peers[0].state, PeerState::Doubt);
}

#[test]
fn where_both_nodes_hear_others_on_a_segment_its_silence_is_laid_on_a_filter() {
    let mut world = World::settled();
    world.cut.push(PathId(0));
    for at in 0..2 {
        world.feed(at, Input::Neighbours { interface: InterfaceId(0), known: true });
    }
    world.run(3000 * MS);
    let said = of(&world, 0);
    let said = text(&said, "path-silent");
    assert!(said.contains("both nodes hear others there"), "{said}");
}

#[test]
fn filtered_adverts_are_told_from_silent_heartbeats() {
    let mut world = World::settled();
    world.no_adverts = true;
    world.run(8000 * MS);
    let status = of(&world, 1);
    assert_eq!(status.verdict, Verdict::Degraded);
    assert_eq!(codes(&status), ["adverts-missing", "adverts-missing"]);
    let said = text(&status, "adverts-missing");
    assert!(said.contains("adverts of gw1 do not arrive on lan") && said.contains("112"), "{said}");
}

#[test]
fn two_holders_that_know_of_each_other_are_a_split_and_two_that_do_not_are_not() {
    let mut world = World::settled();
    world.deaf = [true, true];
    world.run(5000 * MS);
    assert_eq!(of(&world, 0).verdict, Verdict::Degraded);
    assert_eq!(of(&world, 1).verdict, Verdict::Degraded);
    // gw1 hears gw2 again and not the other way round: both hold for a moment, and gw1 knows it.
    world.deaf = [false, true];
    world.run(10 * MS);
    world.deaf = [false, false];
    for _ in 0..1000 {
        if of(&world, 0).verdict == Verdict::Split || of(&world, 1).verdict == Verdict::Split {
            break;
        }
        world.run(MS);
    }
    let (one, two) = (of(&world, 0), of(&world, 1));
    let split = if one.verdict == Verdict::Split { one } else { two };
    assert_eq!((split.verdict.clone(), split.ready), (Verdict::Split, Some(false)));
    assert!(text(&split, "split").contains("gw1 and gw2"), "{:?}", split.blockers);
    world.run(5000 * MS);
    assert_eq!(of(&world, 0).verdict, Verdict::Ready);
}

#[test]
fn a_planned_handover_is_at_no_moment_a_split_or_down() {
    let mut world = World::settled();
    let within = 10_000 * MS;
    let to = Some(evergate_core::ident::NodeId(1));
    let hold = Hold::Until(3_600_000 * MS);
    let command = Command::Switchover { token: 1, group: GATEWAY, to, within, hold };
    world.feed(0, Input::Command(command));
    for _ in 0..200 {
        for at in 0..2 {
            let status = of(&world, at);
            assert!(
                !matches!(status.verdict, Verdict::Split | Verdict::Down),
                "{:?}",
                status.blockers
            );
        }
        world.run(MS);
    }
    let status = of(&world, 0);
    assert_eq!(status.groups[0].active_node.as_deref(), Some("gw2"));
    let held = |at| of(&world, at).groups[0].held.clone().unwrap();
    assert_eq!((held(0).by.as_str(), held(1).by.as_str()), ("operator", "operator"));
    // Both nodes know when it ends; the clocks of the fixture agree.
    let end = held(1).until.unwrap();
    assert!(end.starts_with("2026-01-01T01:00:"), "{end}");
    assert_eq!(held(0).until.unwrap()[..19], end[..19]);
    assert_eq!(status.verdict, Verdict::Ready, "{:?}", status.blockers);
}

#[test]
fn a_node_without_others_is_unverified_while_it_serves_and_down_while_nobody_does() {
    let mut world = World::start(vec![alone(false)]);
    let status = of(&world, 0);
    assert_eq!((status.verdict.clone(), status.ready), (Verdict::Down, Some(false)));
    assert_eq!(codes(&status), ["no-active"]);
    world.run(6000 * MS);
    let status = of(&world, 0);
    assert_eq!((status.verdict.clone(), status.ready), (Verdict::Unverified, None));
    assert_eq!((codes(&status), status.verdict.exit_code()), (vec![], 0));
}

#[test]
fn a_foreign_router_is_shown_by_its_name_and_leaves_the_verdict_unverified() {
    let mut world = World::start(vec![alone(true)]);
    for _ in 0..6 {
        world.foreign_advert(0, 250);
        world.run(1000 * MS);
    }
    let status = of(&world, 0);
    assert_eq!((status.verdict.clone(), status.ready), (Verdict::Unverified, None));
    assert_eq!(status.groups[0].state, GroupState::Standby);
    assert_eq!(status.groups[0].active_node.as_deref(), Some("gw2"));
    assert_eq!(status.groups[0].nodes[1].priority, Some(250));
    assert!(status.peers[0].foreign && status.peers[0].alive == Some(true));
    // It goes silent: after the down interval the group is ours, and it is unknown.
    world.run(6000 * MS);
    let status = of(&world, 0);
    assert_eq!(status.groups[0].active_node.as_deref(), Some("gw1"));
    assert_eq!(status.verdict, Verdict::Unverified, "{:?}", status.blockers);
    assert_eq!((&status.peers[0].state, status.peers[0].alive), (&PeerState::Unknown, None));
    assert_eq!(status.peers.len(), 1);
}

#[test]
fn a_foreign_router_that_does_not_give_way_is_a_split() {
    let mut world = World::start(vec![alone(false)]);
    world.run(6000 * MS);
    world.foreign_advert(0, 10);
    let status = of(&world, 0);
    assert_eq!(status.verdict, Verdict::Split);
    assert!(text(&status, "split").contains("gw1 and 10.91.0.9"), "{:?}", status.blockers);
    world.run(10_000 * MS);
    assert_eq!(of(&world, 0).verdict, Verdict::Unverified);
}

#[test]
fn an_address_that_the_kernel_does_not_have_is_never_believed() {
    let mut world = World::settled();
    let gone = *world.facts[0].present.iter().next().unwrap();
    world.facts[0].present.remove(&gone);
    world.facts[1].present.insert(gone);
    let status = of(&world, 0);
    assert_eq!(status.groups[0].routers[0].addresses[0].present, Some(false));
    assert_eq!(codes(&status), ["address-missing"]);
    assert_eq!(codes(&of(&world, 1)), ["address-left"]);
}

#[test]
fn a_lock_is_a_blocker_here_and_there() {
    let mut world = World::settled();
    world.feed(1, Input::Command(Command::Lock { group: GATEWAY }));
    world.run(100 * MS);
    assert_eq!(codes(&of(&world, 1)), ["no-standby", "locked"]);
    assert_eq!(codes(&of(&world, 0)), ["no-standby", "peer-locked"]);
}

#[test]
fn another_configuration_is_shown_at_once_and_blocks_after_a_minute() {
    let mut other = config(1);
    other.digest = 2;
    let mut world = World::start(vec![config(0), other]);
    world.run(6000 * MS);
    let status = of(&world, 0);
    assert_eq!(status.peers[0].config_matches, Some(false));
    assert_eq!(status.verdict, Verdict::Ready, "{:?}", status.blockers);
    world.run(60_000 * MS);
    let status = of(&world, 0);
    assert!(codes(&status).contains(&"config-differs"), "{:?}", codes(&status));
    assert_eq!(status.verdict, Verdict::Degraded);
}

#[test]
fn a_peer_that_was_never_heard_is_told_from_a_dead_one() {
    let mut world = World::start(vec![config(0)]);
    world.run(6000 * MS);
    let status = of(&world, 0);
    assert_eq!(codes(&status), ["no-standby", "peer-unknown"]);
    assert_eq!((&status.peers[0].state, status.peers[0].alive), (&PeerState::Unknown, None));
    assert!(status.peers[0].paths.iter().all(|path| path.alive.is_none()));
}

#[test]
fn a_check_shows_as_a_reason_or_as_a_term_and_one_without_a_result_keeps_from_ready() {
    let check = CheckId(0);
    let mut world = World::start([0, 1].map(|me| tracking(me, None)).into());
    world.feed(0, Input::Checked { check, reading: Reading::Pass });
    world.run(6000 * MS);
    let waiting = of(&world, 1);
    assert!(codes(&waiting).contains(&"unchecked"), "{:?}", waiting.blockers);
    assert_eq!(waiting.groups[0].reasons[0].code, "unchecked");
    world.feed(1, Input::Checked { check, reading: Reading::Fail });
    let failed = of(&world, 1);
    assert_eq!(failed.groups[0].state, GroupState::Fault);
    let reason = &failed.groups[0].reasons[0];
    assert_eq!(reason.code, "check");
    assert!(reason.text.contains("check web fails (exec:/usr/local/bin/check-web)"));
    assert!(reason.since.is_some() && codes(&failed).contains(&"check"));

    let mut world = World::start([0, 1].map(|me| tracking(me, Some(-60))).into());
    for at in 0..2 {
        world.feed(at, Input::Checked { check, reading: Reading::Pass });
    }
    world.run(6000 * MS);
    assert_eq!(of(&world, 0).groups[0].priority_terms[0].weight, 0);
    for _ in 0..2 {
        world.feed(0, Input::Checked { check, reading: Reading::Fail });
    }
    let group = &of(&world, 0).groups[0];
    assert_eq!((group.priority, group.priority_base), (140, 200));
    let term = &group.priority_terms[0];
    assert_eq!((term.check.as_str(), term.weight), ("web", -60));
    assert_eq!(group.nodes[0].priority, Some(140));
}
