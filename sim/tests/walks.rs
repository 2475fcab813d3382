//! The walkers and the laws themselves: small enough for a debug build.
#![allow(missing_docs)]

use evergate_sim::choice::Choice;
use evergate_sim::laws::{Law, Laws};
use evergate_sim::planted::Defect;
use evergate_sim::report::{close, setup_of};
use evergate_sim::setup::Setup;
use evergate_sim::walk::{Budgets, random};
use evergate_sim::world::World;

#[test]
fn every_planted_defect_is_caught_by_its_own_law() {
    for defect in Defect::ALL {
        let broken = defect.scene().follow(Laws::only(defect.law())).err();
        assert_eq!(broken.map(|violation| violation.law), Some(defect.law()), "{defect:?}");
    }
}

#[test]
fn without_the_defects_the_same_stories_break_no_law() {
    for defect in Defect::ALL {
        let mut scene = defect.scene();
        scene.setup.defect = None;
        assert_eq!(scene.follow(Laws::default()).err(), None, "{defect:?}");
    }
}

#[test]
fn a_fault_hidden_from_its_group_shows_the_circuit() {
    let scene = Defect::ForgetsFault.scene();
    let broken = scene.follow(Laws::only(Law::NoEndlessHandover)).err();
    assert_eq!(broken.map(|violation| violation.law), Some(Law::NoEndlessHandover));
}

#[test]
fn a_walk_without_a_defect_breaks_no_law() {
    for seed in 0..6 {
        let outcome = random::walk(&setup_of(seed), Laws::default());
        assert_eq!(outcome.broken.map(|(violation, _)| violation), None, "seed {seed}");
    }
}

#[test]
fn the_same_seed_walks_the_same_way() {
    let one = random::walk(&setup_of(7), Laws::default());
    let other = random::walk(&setup_of(7), Laws::default());
    assert_eq!((one.tally.steps, one.tally.faults), (other.tally.steps, other.tally.faults));
    assert_eq!(one.lasted, other.lasted);
}

#[test]
fn two_nodes_without_faults_close_in_a_small_number_of_states() {
    let closure = close(&Setup::coarse(2, 0, 1), &Budgets::default());
    assert!(closure.closed);
    assert_eq!(closure.broken, None);
    assert!(closure.states < 2_000, "{} states", closure.states);
}

#[test]
fn two_nodes_with_one_refusal_of_the_kernel_close() {
    let budgets = Budgets { refusals: 1, ..Budgets::default() };
    let closure = close(&Setup::coarse(2, 0, 1), &budgets);
    assert!(closure.closed);
    assert_eq!(closure.broken, None);
}

#[test]
fn the_exhaustive_walk_finds_a_planted_defect_too() {
    let setup = Setup { defect: Some(Defect::ForgetsKernel), ..Setup::coarse(2, 0, 1) };
    assert!(close(&setup, &Budgets::default()).broken.is_some());
}

#[test]
fn time_goes_on_only_when_nothing_is_due() {
    let mut world = World::new(setup_of(0), Laws::default());
    let mut choices = Vec::new();
    for _ in 0..2_000 {
        choices.clear();
        world.choices(&mut choices);
        let due = choices.iter().any(|choice| *choice != Choice::Advance);
        assert_ne!(due, choices.contains(&Choice::Advance));
        assert_eq!(world.apply(choices[0]), Ok(()));
    }
}
