//! Two nodes and nothing else: no loss, no delay, a kernel that obeys at once unless a test says
//! otherwise. The rough world is the simulator's; here stands what must hold in the best one, in the
//! order in which it must happen.

mod common;

use std::time::Duration;

use common::{GATEWAY, MS, Pair, address};
use evergate_core::effect::{Cause, Note, View};
use evergate_core::fault::Fault;
use evergate_core::group::READY_PATIENCE;
use evergate_core::heartbeat::{Hold, Outcome, Refusal, Role};
use evergate_core::ident::{InterfaceId, NodeId, RouterId};
use evergate_core::input::Command;
use evergate_core::{Effect, Input, Machine};

#[test]
fn the_preferred_node_becomes_active_soon_after_both_have_started() {
    let mut pair = Pair::new();
    pair.run(1500 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.holds, [true, false]);
    assert_eq!(pair.transitions(), 1);
    assert!(pair.nodes.iter().flatten().all(|node| node.peers()[0].view == View::Alive));
}

#[test]
fn a_settled_pair_stays_as_it_is() {
    let mut pair = Pair::settled();
    pair.run(60_000 * MS);
    assert_eq!(pair.transitions(), 0, "{:?}", pair.notes);
}

#[test]
fn death_of_the_active_moves_the_group_after_three_heartbeats() {
    let mut pair = Pair::settled();
    pair.nodes[0] = None;
    pair.run(31 * MS);
    assert_eq!(pair.roles()[1], Role::Active);
    let (cause, detect) = pair.took_over(1).expect("taken over");
    assert_eq!(cause, Cause::Died(NodeId(0)));
    assert!(detect <= 30 * MS, "{detect:?}");
}

#[test]
fn the_preferred_node_gets_its_group_back_in_order_when_it_is_ready_again() {
    let mut pair = Pair::settled();
    pair.nodes[0] = None;
    pair.holds[0] = false;
    pair.run(100 * MS);
    pair.boot(0, 3, Vec::new());
    pair.run(500 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    pair.run(3000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.holds, [true, false]);
    assert_eq!(pair.transitions(), 2, "{:?}", pair.notes);
}

#[test]
fn a_switchover_is_held_against_priority_until_an_operator_says_otherwise() {
    let mut pair = Pair::settled();
    let within = Duration::from_secs(10);
    let hold = Hold::Open;
    let command = |to| Command::Switchover { token: 1, group: GATEWAY, to, within, hold };
    pair.feed(0, Input::Command(command(Some(NodeId(1)))));
    pair.run(100 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    assert_eq!(pair.answers, [Outcome::Done { gap: Duration::ZERO }], "{:?}", pair.notes);
    pair.run(120_000 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    assert!(pair.nodes[1].as_ref().is_some_and(|node| node.groups()[0].held.is_some()));
    // The standby passes the wish on to the active node.
    pair.feed(0, Input::Command(Command::Failback { token: 2, group: GATEWAY, within }));
    pair.run(100 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.answers.len(), 2);
    assert_eq!(pair.transitions(), 2);
}

#[test]
fn a_hold_with_an_end_lets_priority_decide_again_then() {
    for asked_at in [0, 1] {
        let mut pair = Pair::settled();
        let (within, to) = (Duration::from_secs(10), Some(NodeId(1)));
        let hold = Hold::Until(Duration::from_secs(60));
        let command = Command::Switchover { token: 1, group: GATEWAY, to, within, hold };
        pair.feed(asked_at, Input::Command(command));
        pair.run(59_000 * MS);
        assert_eq!(pair.roles(), [Role::Standby, Role::Active], "asked at {asked_at}");
        pair.run(3_000 * MS);
        assert_eq!(pair.roles(), [Role::Active, Role::Standby], "asked at {asked_at}");
        assert_eq!(pair.transitions(), 2);
    }
}

#[test]
fn a_switchover_to_a_node_that_is_not_ready_is_refused_and_changes_nothing() {
    let mut pair = Pair::settled();
    pair.link(1, 1, false);
    pair.run(50 * MS);
    let within = Duration::from_secs(10);
    let to = Some(NodeId(1));
    let command = Command::Switchover { token: 1, group: GATEWAY, to, within, hold: Hold::Open };
    pair.feed(0, Input::Command(command));
    pair.run(50 * MS);
    assert_eq!(pair.answers, [Outcome::Refused(Refusal::NotReady)]);
    assert_eq!(pair.transitions(), 0);
}

#[test]
fn a_switchover_waits_for_a_standby_whose_copies_are_not_whole_yet() {
    for asked_at in [0, 1] {
        let mut pair = Pair::settled();
        pair.feed(1, Input::Copies { whole: false });
        pair.run(50 * MS);
        pair.switchover(asked_at, 1);
        pair.run(1000 * MS);
        assert_eq!((&pair.answers[..], pair.transitions()), (&[][..], 0), "asked at {asked_at}");
        assert_eq!(pair.group(1).held, None, "nothing is held before it has begun");
        pair.feed(1, Input::Copies { whole: true });
        pair.run(100 * MS);
        assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
        assert_eq!(pair.answers, [Outcome::Done { gap: Duration::ZERO }]);
        assert_eq!(pair.group(1).held, Some(Hold::Open));
    }
}

#[test]
fn a_switchover_is_refused_when_its_target_does_not_become_ready() {
    for fails in [false, true] {
        let mut pair = Pair::settled();
        pair.feed(1, Input::Copies { whole: false });
        pair.run(50 * MS);
        pair.switchover(0, 1);
        if fails {
            pair.link(1, 1, false);
            pair.run(50 * MS);
            assert_eq!(pair.answers, [Outcome::Refused(Refusal::NotReady)]);
        }
        pair.run(READY_PATIENCE + 50 * MS);
        assert_eq!(pair.answers, [Outcome::Refused(Refusal::NotReady)]);
        assert_eq!(pair.transitions(), 0);
    }
}

#[test]
fn a_lock_does_not_wait_for_the_target_of_a_switchover() {
    let mut pair = Pair::settled();
    pair.feed(1, Input::Copies { whole: false });
    pair.run(50 * MS);
    pair.switchover(0, 1);
    pair.feed(0, Input::Command(Command::Lock { group: GATEWAY }));
    pair.run(100 * MS);
    assert_eq!(pair.answers, [Outcome::Refused(Refusal::NotReady)]);
    assert_eq!(pair.roles(), [Role::Locked, Role::Active]);
}

#[test]
fn a_switchover_to_nobody_in_particular_says_that_nobody_is_ready() {
    let mut pair = Pair::settled();
    pair.link(1, 1, false);
    pair.run(50 * MS);
    let (within, hold) = (Duration::from_secs(10), Hold::Open);
    let command = Command::Switchover { token: 1, group: GATEWAY, to: None, within, hold };
    pair.feed(0, Input::Command(command));
    assert_eq!(pair.answers, [Outcome::Refused(Refusal::NobodyReady)]);
}

#[test]
fn loss_of_carrier_moves_the_group_at_once_and_back_when_it_returns() {
    let mut pair = Pair::settled();
    pair.link(0, 1, false);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    assert_eq!(pair.holds, [false, true]);
    pair.run(60_000 * MS);
    assert_eq!(pair.transitions(), 1);
    pair.link(0, 1, true);
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.transitions(), 2, "{:?}", pair.notes);
}

#[test]
fn a_node_that_was_stopped_gives_up_and_rejoins_as_standby() {
    let mut pair = Pair::settled();
    let sleeper = pair.nodes[0].take();
    pair.run(200 * MS);
    assert_eq!(pair.roles()[1], Role::Active);
    pair.nodes[0] = sleeper;
    let mut out = Vec::new();
    if let Some(node) = &mut pair.nodes[0] {
        node.tick(pair.now, &mut out);
    }
    assert!(out.iter().any(|effect| matches!(effect, Effect::Own { lease: None, .. })), "{out:?}");
    assert!(!out.iter().any(|effect| matches!(effect, Effect::Advertise { .. })), "{out:?}");
    pair.carry_out(0, out);
    pair.deliver();
    pair.run(500 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
}

#[test]
fn after_a_healed_split_the_higher_rank_stays_and_announces_again() {
    let mut pair = Pair::settled();
    pair.deaf = [true, true];
    pair.run(5000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Active]);
    pair.notes.clear();
    pair.deaf = [false, false];
    pair.run(1000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    pair.run(60_000 * MS);
    assert_eq!(pair.transitions(), 0, "{:?}", pair.notes);
}

#[test]
fn one_way_silence_ends_with_one_active_node() {
    for deaf in [[true, false], [false, true]] {
        let mut pair = Pair::settled();
        pair.deaf = deaf;
        pair.run(10_000 * MS);
        let active = pair.roles().iter().filter(|role| **role == Role::Active).count();
        assert_eq!(active, 1, "{deaf:?} {:?} {:?}", pair.roles(), pair.notes);
        assert!(pair.transitions() <= 1, "{:?}", pair.notes);
    }
}

#[test]
fn an_orderly_end_hands_over_before_it_lets_go() {
    let mut pair = Pair::settled();
    pair.feed(0, Input::Shutdown);
    pair.run(200 * MS);
    assert!(pair.stopped[0]);
    assert_eq!(pair.roles()[1], Role::Active);
    assert_eq!(pair.took_over(1).map(|(cause, _)| cause), Some(Cause::HandedOver(NodeId(0))));
}

#[test]
fn a_lone_node_adopts_what_its_former_process_has_left() {
    let mut pair = Pair::settled();
    pair.nodes = [None, None];
    pair.boot(0, 9, vec![GATEWAY]);
    assert_eq!(pair.roles()[0], Role::Active);
    assert_eq!(pair.took_over(0).map(|(cause, _)| cause), Some(Cause::Adopted));
}

#[test]
fn a_deleted_address_is_put_back_five_times_a_minute_and_then_a_fault() {
    let mut pair = Pair::settled();
    for _ in 0..5 {
        pair.feed(0, Input::AddressLost(GATEWAY));
        pair.run(1000 * MS);
    }
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    assert_eq!(pair.transitions(), 0);
    pair.feed(0, Input::AddressLost(GATEWAY));
    pair.run(50 * MS);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
}

#[test]
fn a_release_that_the_kernel_refuses_is_asked_for_again_and_the_node_is_in_fault_until_then() {
    let mut pair = Pair::settled();
    pair.refusals[0] = 3;
    pair.link(0, 1, false);
    pair.run(50 * MS);
    pair.link(0, 1, true);
    pair.run(6_900 * MS);
    assert_eq!(pair.holds, [true, true], "refused at once, after 1 s and 2 s more");
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    pair.run(500 * MS);
    assert_eq!(pair.holds, [false, true], "asked again after 4 s more");
    pair.run(10_000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
}

#[test]
fn a_locked_node_hands_over_and_stays_out() {
    let mut pair = Pair::settled();
    pair.feed(0, Input::Command(Command::Lock { group: GATEWAY }));
    pair.run(10_000 * MS);
    assert_eq!(pair.roles(), [Role::Locked, Role::Active]);
    pair.feed(0, Input::Command(Command::Unlock { group: GATEWAY }));
    pair.run(10_000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
}

#[test]
fn a_foreign_router_of_higher_priority_keeps_the_group_by_its_adverts_alone() {
    let mut pair = Pair::new();
    pair.nodes[1] = None;
    for _ in 0..20 {
        for router in [RouterId(0), RouterId(1)] {
            let source = address(router.0, 9);
            let interval = Duration::from_secs(1);
            let advert = Input::Advert { group: GATEWAY, router, source, priority: 250, interval };
            pair.feed(0, advert);
        }
        pair.run(1000 * MS);
        assert_eq!(pair.roles()[0], Role::Standby);
    }
    pair.run(4000 * MS);
    assert_eq!(pair.roles()[0], Role::Active);
    assert_eq!(pair.took_over(0).map(|(cause, _)| cause), Some(Cause::DownTimer));
}

#[test]
fn a_retry_that_is_due_while_the_kernel_is_slow_to_let_go_leaves_no_fault_behind() {
    let mut pair = Pair::settled();
    pair.slow[0] = 1500 * MS;
    pair.rejects[0] = 1;
    pair.run(2600 * MS);
    assert_eq!(pair.roles(), [Role::Releasing, Role::Active], "the renewal was refused");
    pair.slow[0] = Duration::ZERO;
    pair.run(5_000 * MS);
    assert!(pair.group(0).faults.is_empty(), "{:?}", pair.group(0).faults);
    pair.run(30_000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
}

#[test]
fn a_release_that_succeeds_makes_the_next_wait_short_again() {
    let mut pair = Pair::settled();
    pair.refusals[0] = 3;
    pair.link(0, 1, false);
    pair.run(10_000 * MS);
    assert!(!pair.holds[0], "asked again after 1, 2 and 4 s");
    pair.rejects[0] = 1;
    pair.link(0, 1, true);
    while !pair.had(0, Fault::KernelRefused) || pair.rejects[0] > 0 {
        pair.run(10 * MS);
    }
    pair.run(1_100 * MS);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
}

#[test]
fn grants_that_are_refused_in_a_row_are_asked_for_less_and_less_often() {
    let mut pair = Pair::new();
    pair.nodes[1] = None;
    pair.rejects[0] = usize::MAX;
    pair.run(120_000 * MS);
    let tried = usize::MAX - pair.rejects[0];
    assert!((3..8).contains(&tried), "tried {tried} times in two minutes");
}

#[test]
fn a_kernel_that_has_lost_a_request_is_asked_again() {
    let mut pair = Pair::settled();
    pair.slow[0] = common::NEVER;
    pair.link(0, 1, false);
    pair.run(3_100 * MS);
    assert!(pair.group(0).faults.contains(Fault::KernelStuck));
    pair.link(0, 1, true);
    pair.run(30_000 * MS);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    pair.mend_kernels();
    pair.run(40_000 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
}

#[test]
fn an_address_that_is_gone_after_its_lease_is_given_up_and_not_put_back() {
    let mut pair = Pair::settled();
    pair.slow[0] = common::NEVER;
    pair.run(2_000 * MS);
    pair.feed(0, Input::AddressLost(GATEWAY));
    assert_eq!(pair.roles()[0], Role::Active, "removed by others while the lease ran");
    pair.run(1_100 * MS);
    pair.notes.clear();
    pair.feed(0, Input::AddressLost(GATEWAY));
    pair.run(50 * MS);
    assert_eq!(pair.roles(), [Role::Releasing, Role::Active]);
    let put_back = |(_, note): &(usize, Note)| matches!(note, Note::PutBack(_));
    assert!(!pair.notes.iter().any(put_back), "{:?}", pair.notes);
    assert_eq!(pair.took_over(1).map(|(cause, _)| cause), Some(Cause::Resigned));
}

#[test]
fn a_restarted_node_is_not_told_what_came_of_its_former_process_s_wish() {
    let mut pair = Pair::settled();
    pair.switchover(1, 1);
    pair.run(100 * MS);
    pair.failback(1);
    pair.run(100 * MS);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    pair.nodes[1] = None;
    pair.run(100 * MS);
    pair.boot(1, 3, Vec::new());
    pair.run(100 * MS);
    pair.answers.clear();
    pair.switchover(1, 0);
    pair.run(100 * MS);
    assert_eq!(pair.answers, [Outcome::Refused(Refusal::AlreadyThere)]);
}

#[test]
fn a_forged_resignation_of_a_living_peer_moves_nothing() {
    let mut pair = Pair::settled();
    for router in [RouterId(0), RouterId(1)] {
        let (source, interval) = (address(router.0, 2), Duration::from_secs(1));
        let advert = Input::Advert { group: GATEWAY, router, source, priority: 0, interval };
        pair.feed(1, advert);
    }
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    pair.run(5_000 * MS);
    assert_eq!(pair.transitions(), 0, "{:?}", pair.notes);
}

#[test]
fn a_handover_whose_release_hangs_is_answered_all_the_same() {
    let mut pair = Pair::settled();
    pair.slow[0] = common::NEVER;
    pair.switchover(0, 1);
    pair.run(3_100 * MS);
    assert_eq!(pair.roles(), [Role::Fault, Role::Active]);
    assert_eq!(pair.answers, [Outcome::Done { gap: Duration::ZERO }]);
    assert_eq!(pair.group(0).handover, None);
}

#[test]
fn a_fault_in_the_middle_of_a_handover_is_told_to_who_wanted_it() {
    for asked_at in [0, 1] {
        let mut pair = Pair::settled();
        pair.slow[1] = 500 * MS;
        pair.switchover(asked_at, 1);
        pair.run(100 * MS);
        assert_eq!(pair.roles(), [Role::Active, Role::Claiming]);
        pair.link(0, 1, false);
        pair.run(50 * MS);
        assert_eq!(pair.answers, [Outcome::Failed], "asked at {asked_at}");
    }
}

#[test]
fn a_failback_that_is_refused_for_another_handover_leaves_the_hold() {
    let mut pair = Pair::settled();
    pair.switchover(0, 1);
    pair.run(100 * MS);
    pair.slow[0] = common::NEVER;
    pair.switchover(1, 0);
    pair.run(100 * MS);
    assert_eq!(pair.roles(), [Role::Claiming, Role::Active]);
    pair.answers.clear();
    pair.failback(1);
    assert_eq!(pair.answers, [Outcome::Refused(Refusal::Busy)]);
    assert_eq!(pair.group(1).held, Some(Hold::Open));
}

#[test]
fn a_standby_whose_known_neighbours_do_not_answer_claims_when_they_do() {
    for known in [true, false] {
        let mut pair = Pair::settled();
        for interface in [InterfaceId(0), InterfaceId(1)] {
            pair.feed(1, Input::Neighbours { interface, known });
        }
        pair.unanswered[1] = true;
        pair.nodes[0] = None;
        pair.run(20_000 * MS);
        let expected = if known { Role::Standby } else { Role::Active };
        assert_eq!(pair.roles()[1], expected, "neighbours known: {known}");
        pair.unanswered[1] = false;
        pair.run(500 * MS);
        assert_eq!(pair.roles()[1], Role::Active);
    }
}
