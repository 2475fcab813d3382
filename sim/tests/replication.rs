//! Worlds of replication, very small ones: a debug build is slow. `evergate-sim check` does the rest.
#![allow(missing_docs)]

use evergate_sim::replication::Law;
use evergate_sim::replication::exhaustive::{Budgets, walk};
use evergate_sim::replication::planted::Defect;
use evergate_sim::replication::report::{STATES_MAX, walks};

fn tiny() -> Budgets {
    Budgets { span_ms: 50, flows: 1, packets: 1, meddles: 1, ..Budgets::default() }
}

#[test]
fn a_defect_is_caught_in_a_small_world_which_closes_without_it() {
    let defect = Defect::IgnoresSums;
    let broken = walk(2, &tiny(), Some(defect), &[defect.law()], STATES_MAX).broken;
    assert_eq!(broken.map(|(violation, _)| violation.law), Some(defect.law()));
    let closure = walk(2, &tiny(), None, &Law::ALL, STATES_MAX);
    assert!(closure.closed && closure.ends > 1, "{closure:?}");
    assert_eq!(closure.broken, None);
}

#[test]
fn a_change_overtakes_what_comes_of_a_reading_and_no_copy_goes_back() {
    let waits = Budgets { waits: 1, restarts: 1, meddles: 0, ..tiny() };
    let defect = Defect::BelievesReadings;
    let broken = |waits| walk(2, waits, Some(defect), &[defect.law()], STATES_MAX).broken;
    assert_eq!(broken(&waits).map(|(violation, _)| violation.law), Some(defect.law()));
    assert_eq!(broken(&Budgets { waits: 0, ..waits.clone() }), None, "nothing else shows it");
    let closure = walk(2, &waits, None, &Law::ALL, STATES_MAX);
    assert!(closure.closed && closure.broken.is_none(), "{closure:?}");
}

#[test]
fn a_world_that_does_not_close_says_so() {
    let closure = walk(2, &tiny(), None, &Law::ALL, 5);
    assert!(!closure.closed && closure.states == 5);
}

#[test]
fn a_walk_by_chance_breaks_no_law() {
    let walked = walks(0, 1);
    assert_eq!(walked.broken, []);
    assert!(walked.tally.rests == 5 && walked.tally.faults > 0);
}
