//! All seeds, and all planted defects, in one report.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::planted::Defect;
use super::walk::{Outcome, walk};
use super::{Law, Tally, Violation};
use crate::report::THREADS;

/// The seeds of the walks are 0 to one below this.
pub const SEEDS: u64 = 400;
/// How many worlds a defect is looked for in before it counts as missed.
pub const SEEDS_FOR_DEFECT: u64 = 60;

/// In how many worlds a law may be broken: the reasons for some are not found yet. Each is told; more
/// fail the check. Which seeds they are changes with every change of the machine. This must become 0.
pub const OPEN_MAX: usize = 6;

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
}

/// Walks through the worlds of all seeds from `from` to below `to`.
pub fn walks(from: u64, to: u64) -> Walked {
    let next = AtomicU64::new(from);
    let work = || {
        let mut walked = Walked::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= to {
                return walked;
            }
            walked.add(seed, walk(seed, None, &Law::ALL, false));
        }
    };
    let mut all = Walked::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let walked = thread.join().expect("a walk does not panic");
            all.tally.add(walked.tally);
            all.lasted += walked.lasted;
            all.broken.extend(walked.broken);
        }
    });
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
    for (seed, violation) in &walked.broken {
        println!("OPEN replication seed {seed}: {violation}");
    }
    let open = walked.broken.len();
    println!("replication laws broken in {open} of {SEEDS} worlds, at most {OPEN_MAX} are known");
    let good = open <= OPEN_MAX;
    let caught = Defect::ALL.into_iter().filter(|defect| check_defect(*defect)).count();
    let (laws, all) = (Law::ALL.len(), Defect::ALL.len());
    println!("replication laws: {laws}, planted defects caught: {caught} of {all}");
    good && caught == all
}

/// Tells what happens in the world of a seed; true if no law was broken.
pub fn tell(seed: u64) -> bool {
    let outcome = walk(seed, None, &Law::ALL, true);
    outcome.journal.iter().for_each(|line| println!("{line}"));
    outcome.broken.is_none()
}

fn check_defect(defect: Defect) -> bool {
    match catch(defect) {
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
