//! Through everything: every order of what is due and every fault that the budgets leave, until no
//! new state is found.

use std::collections::VecDeque;
use std::hash::BuildHasherDefault;

use super::Budgets;
use super::canonical::fingerprint;
use super::replay::Trace;
use crate::choice::Choice;
use crate::laws::{Laws, Violation};
use crate::mixer::Mixer;
use crate::setup::Setup;
use crate::world::World;

/// What came of a walk.
#[derive(Clone, Debug)]
pub struct Closure {
    /// States that differ.
    pub states: usize,
    /// Choices that were tried.
    pub edges: u64,
    /// Whether there is nothing left to try.
    pub closed: bool,
    /// The law that was broken, and how.
    pub broken: Option<(Violation, Trace)>,
}

/// The states that were seen; asked whether one is in it, and never gone through.
#[allow(clippy::disallowed_types, reason = "nothing depends on its order: it is only asked")]
type Seen = std::collections::HashSet<u128, BuildHasherDefault<Mixer>>;

/// A state to go on from, and how it was reached.
struct Open {
    world: World,
    /// Its place in the list of steps.
    step: usize,
}

/// Walks breadth first, so that the first trace that breaks a law is a shortest one.
pub fn walk(setup: &Setup, laws: Laws, budgets: &Budgets, states_max: usize) -> Closure {
    let mut world = World::new(setup.clone(), laws);
    world.budgets = Some(budgets.clone());
    if budgets.replays == 0 {
        world.records.clear();
    }
    let mut seen = Seen::default();
    seen.insert(fingerprint(&world));
    let mut steps: Vec<(usize, Choice)> = vec![(0, Choice::Advance)];
    let mut open = VecDeque::from([Open { world, step: 0 }]);
    let mut choices = Vec::new();
    let mut closure = Closure { states: 1, edges: 0, closed: false, broken: None };
    while let Some(Open { world, step }) = open.pop_front() {
        choices.clear();
        world.choices(&mut choices);
        // The last choice gets the world itself, the others a copy.
        let mut worlds = vec![world; choices.len()];
        for choice in &choices {
            closure.edges += 1;
            let Some(mut world) = worlds.pop() else { break };
            if let Err(violation) = world.apply(*choice).and_then(|()| world.look()) {
                let choices = way(&steps, step, *choice);
                let trace = Trace { about: violation.to_string(), setup: setup.clone(), choices };
                closure.broken = Some((violation, trace));
                return closure;
            }
            if seen.insert(fingerprint(&world)) {
                closure.states += 1;
                if closure.states >= states_max {
                    return closure;
                }
                steps.push((step, *choice));
                open.push_back(Open { world, step: steps.len() - 1 });
            }
        }
    }
    closure.closed = true;
    closure
}

/// The choices that lead to a step, and one more.
fn way(steps: &[(usize, Choice)], mut step: usize, last: Choice) -> Vec<Choice> {
    let mut choices = vec![last];
    while step != 0 {
        choices.push(steps[step].1);
        step = steps[step].0;
    }
    choices.reverse();
    choices
}
