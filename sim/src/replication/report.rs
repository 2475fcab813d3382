//! All seeds, and all planted defects, in one report.

use std::time::Duration;

use super::exhaustive::{self, Budgets, Closure};
use super::planted::Defect;
use super::walk::{Outcome, walk};
use super::{Law, Tally, Violation};
use crate::threads::{share_out, share_out_each};

/// The seeds of the walks are 0 to one below this.
pub const SEEDS: u64 = 400;
/// More states than this, and a small world counts as one that does not close.
pub const STATES_MAX: usize = 400_000;
/// How many worlds a defect is looked for in before it counts as missed.
pub const SEEDS_FOR_DEFECT: u64 = 60;

/// What all walks together have found.
#[derive(Debug, Default)]
pub struct Walked {
    /// What has happened.
    pub tally: Tally,
    /// The time that has passed in the worlds.
    pub lasted: Duration,
    /// What was broken, by seed.
    pub broken: Vec<(u64, Violation)>,
}

impl Walked {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.tally.add(outcome.tally);
        self.lasted += outcome.lasted;
        self.broken.extend(outcome.broken.map(|violation| (seed, violation)));
    }

    fn merge(&mut self, other: Walked) {
        self.tally.add(other.tally);
        self.lasted += other.lasted;
        self.broken.extend(other.broken);
    }
}

/// Walks through the worlds of all seeds from `from` to below `to`.
pub fn walks(from: u64, to: u64) -> Walked {
    let gathered = share_out(from..to, |walked: &mut Walked, seed| {
        walked.add(seed, walk(seed, None, &Law::ALL, false));
    });
    let mut all = Walked::default();
    gathered.into_iter().for_each(|walked| all.merge(walked));
    all.broken.sort_by_key(|(seed, _)| *seed);
    all
}

/// Looks for a planted defect with its own law alone; the seed of the world in which it was caught.
pub fn catch(defect: Defect) -> Option<(u64, Violation)> {
    (0..SEEDS_FOR_DEFECT).find_map(|seed| {
        let broken = walk(seed, Some(defect), &[defect.law()], false).broken;
        broken.map(|violation| (seed, violation))
    })
}

/// Does everything and prints it; true if nothing was broken and every defect was caught.
pub fn check() -> bool {
    let walked = walks(0, SEEDS);
    let (tally, hours) = (walked.tally, walked.lasted.as_secs_f64() / 3600.0);
    println!(
        "replication: {} steps, {} flows in {} states, {} faults, {} of {} packets lost, \
         {} takeovers, {} rests, {hours:.1} hours, {SEEDS} seeds",
        tally.steps,
        tally.flows,
        tally.states,
        tally.faults,
        tally.lost,
        tally.sent,
        tally.takeovers,
        tally.rests,
    );
    let good = tell_broken(&walked) & check_small_worlds();
    let catches = share_out_each(&Defect::ALL, |defect| {
        (catch_in_small_world(*defect).is_some(), catch(*defect).map(|(seed, _)| seed))
    });
    let told = Defect::ALL.into_iter().zip(catches);
    let caught = told.filter(|(defect, caught)| tell_caught(*defect, *caught)).count();
    let (laws, all) = (Law::ALL.len(), Defect::ALL.len());
    println!("replication laws: {laws}, planted defects caught: {caught} of {all}");
    good && caught == all
}

/// Walks through the worlds of these seeds and prints what was broken; true if nothing was.
pub fn check_seeds(from: u64, to: u64) -> bool {
    let walked = walks(from, to);
    let (tally, hours) = (walked.tally, walked.lasted.as_secs_f64() / 3600.0);
    let (steps, faults) = (tally.steps, tally.faults);
    println!("replication: {steps} steps, {faults} faults, {hours:.1} hours, seeds {from} to {to}");
    tell_broken(&walked)
}

fn tell_broken(walked: &Walked) -> bool {
    for (seed, violation) in &walked.broken {
        println!("BROKEN replication seed {seed}: {violation}");
    }
    walked.broken.is_empty()
}

/// The worlds that are walked through completely, with their names.
pub fn small_worlds() -> Vec<(&'static str, usize, Budgets)> {
    let one = Budgets { span_ms: 1_100, flows: 1, ..Budgets::default() };
    let two = Budgets { flows: 2, packets: 2, ends: 1, ..one.clone() };
    let busy = Budgets { packets: 2, ends: 1, ..one.clone() };
    let brief = Budgets { span_ms: 300, packets: 1, ends: 1, ..one.clone() };
    let waits = Budgets { span_ms: 60, packets: 1, restarts: 1, waits: 1, ..one.clone() };
    // The large ones first, so that no thread is left alone with one at the end.
    vec![
        (
            "3 nodes, 1 handover, 1 packet lost",
            3,
            Budgets { handovers: 1, losses: 1, ..brief.clone() },
        ),
        ("1 handover, 1 packet late", 2, Budgets { handovers: 1, late: 1, ..brief.clone() }),
        ("3 nodes, 1 death, 1 packet lost", 3, Budgets { deaths: 1, losses: 1, ..brief.clone() }),
        ("1 restart, 1 packet late", 2, Budgets { restarts: 1, late: 1, ..brief.clone() }),
        ("1 death, 1 packet late", 2, Budgets { deaths: 1, late: 1, ..brief.clone() }),
        ("2 flows, 1 packet lost", 2, Budgets { losses: 1, ..two }),
        ("1 handover, 1 packet lost", 2, Budgets { handovers: 1, losses: 1, ..brief.clone() }),
        ("1 restart, 1 packet lost", 2, Budgets { restarts: 1, losses: 1, ..brief.clone() }),
        ("2 packets lost", 2, Budgets { losses: 2, packets: 1, ..busy.clone() }),
        ("1 packet late, 1 twice", 2, Budgets { late: 1, twice: 1, ..brief.clone() }),
        ("1 packet lost, 1 late", 2, Budgets { losses: 1, late: 1, ..brief.clone() }),
        ("2 packets late", 2, Budgets { late: 2, ..brief.clone() }),
        ("1 event lost, 1 packet lost", 2, Budgets { silent: 1, losses: 1, ..busy }),
        ("1 refusal, 1 packet late", 2, Budgets { refusals: 1, late: 1, ..brief.clone() }),
        ("1 copy changed, 1 packet late", 2, Budgets { meddles: 1, late: 1, ..brief }),
        ("1 restart, 2 of a reading wait", 2, Budgets { waits: 2, ends: 1, ..waits.clone() }),
        (
            "1 restart, 1 handover, 1 of a reading waits",
            2,
            Budgets { handovers: 1, ..waits.clone() },
        ),
        ("3 nodes, 1 restart, 1 of a reading waits", 3, Budgets { ends: 1, ..waits }),
    ]
}

/// A small world in which a planted defect shows.
fn small_world_of(defect: Defect) -> Budgets {
    let one = Budgets { span_ms: 300, flows: 1, packets: 2, ends: 1, ..Budgets::default() };
    match defect {
        Defect::IgnoresNumbers => Budgets { late: 1, ..one },
        Defect::DeletesOnWord => Budgets { handovers: 1, late: 1, ..one },
        // Sums show it too, unless they are lost as well.
        Defect::ForgetsLost => Budgets { losses: 2, ..one },
        Defect::IgnoresSums => Budgets { meddles: 1, ..one },
        Defect::IgnoresAcks => one,
        Defect::BelievesReadings => {
            Budgets { span_ms: 50, packets: 1, ends: 0, restarts: 1, waits: 1, ..one }
        }
    }
}

/// Looks for a planted defect in its small world with its own law alone.
fn catch_in_small_world(defect: Defect) -> Option<Violation> {
    let broken = close(2, &small_world_of(defect), Some(defect), &[defect.law()]).broken;
    broken.map(|(violation, _)| violation)
}

/// Walks through one small world.
pub fn close(nodes: usize, budgets: &Budgets, defect: Option<Defect>, laws: &[Law]) -> Closure {
    exhaustive::walk(nodes, budgets, defect, laws, STATES_MAX)
}

/// Walks through the small worlds completely and prints what was found; true if nothing was.
pub fn check_small_worlds() -> bool {
    let worlds = small_worlds();
    let walk = |(_, nodes, budgets): &(_, usize, Budgets)| close(*nodes, budgets, None, &Law::ALL);
    let closures = share_out_each(&worlds, walk);
    worlds.iter().zip(&closures).fold(true, |good, ((name, nodes, budgets), closure)| {
        good & tell_closure(name, *nodes, budgets, closure)
    })
}

fn tell_closure(name: &str, nodes: usize, budgets: &Budgets, closure: &Closure) -> bool {
    let Closure { states, edges, ends, closed, broken } = closure;
    let word = if *closed { "closed" } else { "NOT CLOSED" };
    println!("replication, {name}: {states} states, {edges} edges, {ends} ends, {word}");
    if let Some((violation, way)) = broken {
        println!("BROKEN replication, {name}: {violation}");
        exhaustive::tell(nodes, budgets, way).iter().for_each(|line| println!("  {line}"));
    }
    *closed && broken.is_none()
}

/// Tells what happens in the world of a seed; true if no law was broken.
pub fn tell(seed: u64) -> bool {
    let outcome = walk(seed, None, &Law::ALL, true);
    outcome.journal.iter().for_each(|line| println!("{line}"));
    outcome.broken.is_none()
}

fn tell_caught(defect: Defect, (small, seed): (bool, Option<u64>)) -> bool {
    let law = defect.law();
    match seed {
        Some(seed) if small => println!("{defect:?}: caught by {law:?}, seed {seed}, small world"),
        _ => println!("{defect:?}: NOT CAUGHT by {law:?}, seed {seed:?}, small world {small}"),
    }
    small && seed.is_some()
}
