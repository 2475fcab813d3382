//! Many executions of a target, on all cores, repeatable by their seed.

use std::cell::RefCell;
use std::panic::{PanicHookInfo, set_hook, take_hook};

use evergate_sim::dice::Dice;
use evergate_sim::threads::share_out;

use crate::corpus::to_hex;
use crate::mutate::mutate;
use crate::targets::Target;

/// Mutants that are made with one seed; the number of threads changes nothing.
const MUTANTS_AT_ONCE: u64 = 1_000;

/// What came of some executions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// How many there were.
    pub executions: u64,
    /// How many of them were accepted.
    pub accepted: u64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.executions += other.executions;
        self.accepted += other.accepted;
    }
}

thread_local! {
    /// What this thread feeds to which target, for whoever has to say why it died.
    static FED: RefCell<(&'static str, Vec<u8>)> = const { RefCell::new(("", Vec::new())) };
}

/// From here on a panic says which bytes led to it, before the process ends.
pub fn tell_of_panics() {
    let before = take_hook();
    set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        before(info);
        FED.with_borrow(|(target, bytes)| {
            eprintln!("target {target}, {} bytes: {}", bytes.len(), to_hex(bytes));
        });
    }));
}

/// Executes each of some inputs as it is.
pub fn replay(target: &Target, inputs: &[Vec<u8>]) -> Tally {
    let mut tally = Tally::default();
    for input in inputs {
        tally.add(execute(target, |bytes| bytes.clone_from(input)));
    }
    tally
}

/// Executes `count` mutants of some inputs, rounded up to a multiple of 1,000.
pub fn mutants(target: &Target, inputs: &[Vec<u8>], count: u64, seed: u64) -> Tally {
    let shares = share_out(0..count.div_ceil(MUTANTS_AT_ONCE), |tally: &mut Tally, share| {
        let mut dice = Dice::new(seed ^ share.rotate_left(32));
        for _ in 0..MUTANTS_AT_ONCE {
            tally.add(execute(target, |bytes| mutate(&mut dice, inputs, bytes)));
        }
    });
    let mut all = Tally::default();
    shares.into_iter().for_each(|share| all.add(share));
    all
}

fn execute(target: &Target, fill: impl FnOnce(&mut Vec<u8>)) -> Tally {
    FED.with_borrow_mut(|(name, bytes)| {
        *name = target.name;
        fill(bytes);
    });
    let accepted = FED.with_borrow(|(_, bytes)| (target.run)(bytes));
    Tally { executions: 1, accepted: accepted.into() }
}
