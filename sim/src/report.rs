//! The whole check: every walk, in one report.

use std::path::Path;
use std::time::Duration;

use crate::laws::{Law, Laws, Violation};
use crate::planted::Defect;
use crate::setup::Setup;
use crate::threads::{share_out, share_out_each};
use crate::walk::exhaustive::{self, Closure};
use crate::walk::random::{self, Outcome};
use crate::walk::replay::Trace;
use crate::walk::{Budgets, shrink};

/// The seeds of the random walks are 0 to one below this: enough for 10^8 steps.
pub const SEEDS: u64 = 800;
/// How many worlds a defect is looked for in before it counts as missed.
pub const SEEDS_FOR_DEFECT: u64 = 120;
/// More states than this, and a world counts as one that does not close.
pub const STATES_MAX: usize = 4_000_000;

/// The world of a seed: two nodes, three nodes, two groups with opposite preference, and two nodes or
/// three with checks, in turn.
pub fn setup_of(seed: u64) -> Setup {
    match seed % 4 {
        0 => Setup::default_timing(2, seed),
        1 => Setup::default_timing(3, seed),
        2 => Setup::opposite_groups(seed),
        _ => Setup::tracked(if seed.is_multiple_of(3) { 3 } else { 2 }, seed),
    }
}

/// What all random walks together have found.
#[derive(Debug, Default)]
pub struct Walked {
    /// Facts, deadlines and answers of kernels that machines have worked on.
    pub steps: u64,
    /// Faults, without single packets lost by chance.
    pub faults: u64,
    /// Packets lost by chance.
    pub lost: u64,
    /// How often a group became active somewhere.
    pub takeovers: u64,
    /// The time that has passed in the worlds.
    pub lasted: Duration,
    /// What was broken, by seed.
    pub broken: Vec<(u64, Violation, Trace)>,
}

impl Walked {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.steps += outcome.tally.steps;
        self.faults += outcome.tally.faults;
        self.lost += outcome.tally.lost;
        self.takeovers += outcome.tally.takeovers;
        self.lasted += outcome.lasted;
        if let Some((violation, trace)) = outcome.broken {
            self.broken.push((seed, violation, trace));
        }
    }

    fn merge(&mut self, other: Walked) {
        self.steps += other.steps;
        self.faults += other.faults;
        self.lost += other.lost;
        self.takeovers += other.takeovers;
        self.lasted += other.lasted;
        self.broken.extend(other.broken);
    }
}

/// Walks by chance through the worlds of all seeds from `from` to below `to`.
pub fn random_walks(from: u64, to: u64) -> Walked {
    let gathered = share_out(from..to, |walked: &mut Walked, seed| {
        walked.add(seed, random::walk(&setup_of(seed), Laws::default()));
    });
    let mut all = Walked::default();
    gathered.into_iter().for_each(|walked| all.merge(walked));
    all.broken.sort_by_key(|(seed, ..)| *seed);
    all
}

/// The worlds that are walked through completely, with their names.
pub fn small_worlds() -> Vec<(&'static str, Setup, Budgets)> {
    let two = Setup::coarse(2, 0, 1);
    let three = Setup::coarse(3, 0, 1);
    let none = Budgets::default();
    let turn = Budgets { in_turn: true, ..none.clone() };
    // The large ones first, so that no thread is left alone with one at the end.
    vec![
        ("3 nodes in turn, 1 core killed", three, Budgets { kills: 1, ..turn }),
        (
            "2 nodes, 1 loss, 1 core killed",
            two.clone(),
            Budgets { losses: 1, kills: 1, ..none.clone() },
        ),
        ("2 nodes, 1 power cut", two.clone(), Budgets { power_cuts: 1, ..none.clone() }),
        ("2 nodes, 2 losses", two.clone(), Budgets { losses: 2, ..none.clone() }),
        ("2 nodes, 1 pause", two.clone(), Budgets { pauses: 1, ..none.clone() }),
        ("2 nodes, 1 shutdown", two.clone(), Budgets { shutdowns: 1, ..none.clone() }),
        ("2 nodes, 1 address deleted", two.clone(), Budgets { deletions: 1, ..none.clone() }),
        ("2 nodes, 1 late packet", two.clone(), Budgets { delays: 1, ..none.clone() }),
        ("2 nodes, 1 packet twice", two.clone(), Budgets { duplicates: 1, ..none.clone() }),
        ("2 nodes, 1 refusal of the kernel", two, Budgets { refusals: 1, ..none }),
    ]
}

/// Walks through one small world.
pub fn close(setup: &Setup, budgets: &Budgets) -> Closure {
    exhaustive::walk(setup, Laws::default(), budgets, STATES_MAX)
}

/// Looks for a planted defect with its own law alone; the seed of the world in which it was caught.
pub fn catch(defect: Defect) -> Option<(u64, Violation)> {
    (0..SEEDS_FOR_DEFECT).find_map(|seed| {
        let setup = Setup { defect: Some(defect), ..setup_of(seed) };
        let outcome = random::walk(&setup, Laws::only(defect.law()));
        outcome.broken.map(|(violation, _)| (seed, violation))
    })
}

/// Does everything and prints one report; true if nothing was broken and every defect was caught.
pub fn check(traces: &Path) -> bool {
    let closed = check_small_worlds(traces);
    let walked = check_random(traces);
    let catches = share_out_each(&Defect::ALL, |defect| catch(*defect));
    let told = Defect::ALL.into_iter().zip(catches);
    let caught = told.filter(|(defect, caught)| tell_caught(*defect, caught.as_ref())).count();
    println!("laws: {}, planted defects caught: {caught} of {}", Law::ALL.len(), Defect::ALL.len());
    closed && walked && caught == Defect::ALL.len()
}

fn check_small_worlds(traces: &Path) -> bool {
    let worlds = small_worlds();
    let closures = share_out_each(&worlds, |(_, setup, budgets)| close(setup, budgets));
    let (mut states, mut edges, mut good) = (0, 0, true);
    for (at, ((name, ..), closure)) in worlds.iter().zip(closures).enumerate() {
        let word = if closure.closed { "closed" } else { "NOT CLOSED" };
        println!("{name}: {} states, {} edges, {word}", closure.states, closure.edges);
        states += closure.states;
        edges += closure.edges;
        good &= closure.closed;
        if let Some((violation, trace)) = &closure.broken {
            keep(traces, &format!("small-world-{at}"), violation, trace);
        }
    }
    println!("exhaustive: {states} states, {edges} edges");
    good
}

fn check_random(traces: &Path) -> bool {
    let walked = random_walks(0, SEEDS);
    let hours = walked.lasted.as_secs_f64() / 3600.0;
    println!(
        "random: {} steps, {} faults and {} packets lost, {} takeovers, {hours:.1} hours, {} seeds",
        walked.steps, walked.faults, walked.lost, walked.takeovers, SEEDS
    );
    for (seed, violation, trace) in &walked.broken {
        let short = shrink::shrink(trace, violation.law);
        keep(traces, &format!("seed-{seed}"), violation, &short);
    }
    walked.broken.is_empty()
}

fn tell_caught(defect: Defect, caught: Option<&(u64, Violation)>) -> bool {
    match caught {
        Some((seed, violation)) => {
            println!("{defect:?}: caught by {:?}, seed {seed}", violation.law);
            true
        }
        None => {
            println!("{defect:?}: NOT CAUGHT by {:?}", defect.law());
            false
        }
    }
}

/// Says what was broken and saves how.
fn keep(traces: &Path, name: &str, violation: &Violation, trace: &Trace) {
    println!("BROKEN {name}: {violation}");
    let path = traces.join(format!("{name}.json"));
    match trace.save(&path) {
        Ok(()) => println!("  saved as {}", path.display()),
        Err(error) => println!("  could not be saved as {}: {error}", path.display()),
    }
}
