//! Through everything: small worlds with every order of events and every fault that the budgets
//! leave, until no new state is found; and behind each end the rest in which copies must be whole.

mod small;

use std::hash::BuildHasherDefault;

pub use small::{Budgets, Choice, Small};

use super::planted::Defect;
use super::{Law, Violation};
use crate::mixer::Mixer;

/// What came of a walk.
#[derive(Clone, Debug)]
pub struct Closure {
    /// States that differ.
    pub states: usize,
    /// Choices that were tried.
    pub edges: u64,
    /// Ends: states from which nothing but rest follows.
    pub ends: u64,
    /// Whether there is nothing left to try.
    pub closed: bool,
    /// The law that was broken, and the choices that led there.
    pub broken: Option<(Violation, Vec<Choice>)>,
}

/// The states that were seen; asked whether one is in it, and never gone through.
#[allow(clippy::disallowed_types, reason = "nothing depends on its order: it is only asked")]
type Seen = std::collections::HashSet<u128, BuildHasherDefault<Mixer>>;

/// A state, and the choices in it that are still to be tried.
struct Open {
    /// Gone with the last choice: a copy of a world takes much longer than a step in it.
    small: Option<Small>,
    left: Vec<Choice>,
    /// What led here.
    by: Option<Choice>,
}

/// Walks depth first, because a state takes much more room than a choice.
pub fn walk(
    nodes: usize,
    budgets: &Budgets,
    defect: Option<Defect>,
    laws: &[Law],
    states_max: usize,
) -> Closure {
    let small = Small::new(nodes, budgets.clone(), defect, laws);
    let mut seen = Seen::default();
    seen.insert(fingerprint(&small));
    let mut closure = Closure { states: 1, edges: 0, ends: 0, closed: false, broken: None };
    let mut open = vec![Open { left: small.choices(), small: Some(small), by: None }];
    while let Some(last) = open.last_mut() {
        let Some(choice) = last.left.pop() else {
            open.pop();
            continue;
        };
        closure.edges += 1;
        let is_last = last.left.is_empty();
        let small = if is_last { last.small.take() } else { last.small.clone() };
        let Some(mut small) = small else { continue };
        if !small.apply(choice) {
            continue;
        }
        if small.world.broken.is_none() && !seen.insert(fingerprint(&small)) {
            continue;
        }
        closure.states += 1;
        let left = small.choices();
        if small.world.broken.is_none() && left.is_empty() {
            closure.ends += 1;
            small.rest();
        }
        if let Some(violation) = small.world.broken.take() {
            let way = open.iter().filter_map(|open| open.by).chain([choice]).collect();
            closure.broken = Some((violation, way));
            return closure;
        }
        if closure.states >= states_max {
            return closure;
        }
        open.push(Open { small: Some(small), left, by: Some(choice) });
    }
    closure.closed = true;
    closure
}

/// Follows choices through a world and tells what happens.
pub fn tell(nodes: usize, budgets: &Budgets, way: &[Choice]) -> Vec<String> {
    let mut small = Small::new(nodes, budgets.clone(), None, &Law::ALL);
    small.world.journal = Some(Vec::new());
    for choice in way {
        small.world.write(|| format!("{choice:?}"));
        small.apply(*choice);
    }
    if small.world.broken.is_none() && small.choices().is_empty() {
        small.rest();
    }
    small.world.journal.unwrap_or_default()
}

/// A name of a state: equal states have the same one.
fn fingerprint(small: &Small) -> u128 {
    let mut mixer = Mixer::default();
    small.hash_state(&mut mixer);
    mixer.whole()
}
