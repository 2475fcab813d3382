//! Checks: what is looked at beside interfaces and peers, and what groups make of it.
//!
//! A result is a fact. How many in a row count is decided here, and so is what follows: a reason for
//! fault, or a change of the priority.

use serde::{Deserialize, Serialize};

use crate::ident::{CheckId, GroupId, InterfaceId};
use crate::time::Instant;

/// The most that one check adds to a priority or takes from it; to take it all is a fault.
pub const TERM_MAX: i32 = 254;

/// A check as this node makes it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CheckConfig {
    /// Its name.
    pub name: String,
    /// What is looked at, as the file has it. Where that stays the same, the result stays.
    pub test: String,
    /// Where its results come from.
    pub source: Source,
    /// How many passes in a row make it pass again, from 1.
    pub rise: u16,
    /// How many failures in a row make it fail, from 1.
    pub fall: u16,
    /// It fails until it has passed; otherwise its first result decides.
    pub fails_first: bool,
    /// A pass is a failure and the other way round.
    pub invert: bool,
}

/// Where the results of a check come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Source {
    /// The driver tells them, by [`crate::Input::Checked`].
    Told,
    /// An interface has carrier.
    Carrier(InterfaceId),
    /// An interface is up and runs.
    Running(InterfaceId),
    /// This node holds another group.
    Active(GroupId),
    /// This node could hold another group.
    Fit(GroupId),
}

/// What a group makes of a check.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Tracked {
    /// The check.
    pub check: CheckId,
    /// Added to the priority while it passes, if above 0; taken from it while it fails, if below.
    /// `None`: a failure is a reason for fault.
    pub weight: Option<i16>,
}

/// What one look has found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Reading {
    /// All is well.
    Pass,
    /// It is not.
    Fail,
    /// A number that weights are multiplied with.
    Value(i32),
}

/// How a check stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Standing {
    /// No result is known yet. It counts as passed, and its groups are not claimed.
    Unknown,
    /// It passes.
    Passes,
    /// It fails.
    Fails,
    /// A number that weights are multiplied with.
    Value(i32),
}

/// A check and its results so far.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Check {
    /// How it stands.
    pub standing: Standing,
    /// How many results in a row have said otherwise.
    pub contrary: u16,
    /// Since when it stands so.
    pub since: Instant,
}

impl Check {
    /// One without results.
    pub fn new(config: &CheckConfig, now: Instant) -> Check {
        let standing = if config.fails_first { Standing::Fails } else { Standing::Unknown };
        Check { standing, contrary: 0, since: now }
    }

    /// Takes a result; says whether the check stands otherwise now.
    pub fn take(&mut self, config: &CheckConfig, now: Instant, reading: Reading) -> bool {
        let (said, needed) = match reading {
            Reading::Value(value) => (Standing::Value(value), 1),
            Reading::Pass if !config.invert => (Standing::Passes, config.rise),
            Reading::Fail if config.invert => (Standing::Passes, config.rise),
            Reading::Pass | Reading::Fail => (Standing::Fails, config.fall),
        };
        if said == self.standing {
            self.contrary = 0;
            return false;
        }
        self.contrary = self.contrary.saturating_add(1);
        if self.standing != Standing::Unknown && self.contrary < needed {
            return false;
        }
        *self = Check { standing: said, contrary: 0, since: now };
        true
    }
}

impl Standing {
    /// What it does to a priority under a weight.
    pub fn term(self, weight: i16) -> i32 {
        let weight = i32::from(weight);
        match self {
            Standing::Unknown | Standing::Passes => weight.max(0),
            Standing::Fails => weight.min(0),
            Standing::Value(value) => value.saturating_mul(weight).clamp(-TERM_MAX, TERM_MAX),
        }
    }
}

impl Tracked {
    /// What the check does to the priority of the group.
    pub fn term(&self, standing: Standing) -> i32 {
        self.weight.map_or(0, |weight| standing.term(weight))
    }

    /// Whether the check is a reason for fault.
    pub fn is_fault(&self, standing: Standing) -> bool {
        match self.weight {
            None => standing == Standing::Fails,
            Some(_) => matches!(standing, Standing::Value(_)) && self.term(standing) <= -TERM_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rise: u16, fall: u16) -> CheckConfig {
        CheckConfig {
            name: "web".into(),
            test: "exec:/bin/true".into(),
            source: Source::Told,
            rise,
            fall,
            fails_first: false,
            invert: false,
        }
    }

    /// What a check says after each of these results: `+` passes, `-` fails, `?` unknown.
    fn says(config: &CheckConfig, results: &str) -> String {
        let mut check = Check::new(config, Instant::ZERO);
        let word = |check: &Check| match check.standing {
            Standing::Unknown => '?',
            Standing::Passes => '+',
            Standing::Fails => '-',
            Standing::Value(_) => '#',
        };
        let mut said = String::from(word(&check));
        for result in results.chars() {
            let reading = if result == '+' { Reading::Pass } else { Reading::Fail };
            let before = check.standing;
            let changed = check.take(config, Instant::ZERO, reading);
            assert_eq!(changed, before != check.standing);
            said.push(word(&check));
        }
        said
    }

    #[test]
    fn the_first_result_decides_whatever_rise_and_fall_are() {
        assert_eq!(says(&config(3, 3), "+"), "?+");
        assert_eq!(says(&config(3, 3), "-"), "?-");
    }

    #[test]
    fn only_results_in_a_row_count() {
        assert_eq!(says(&config(1, 3), "+--+---+"), "?++++++-+");
        assert_eq!(says(&config(2, 1), "-+-++-"), "?----+-");
    }

    #[test]
    fn one_that_fails_first_has_to_rise() {
        let config = CheckConfig { fails_first: true, ..config(2, 1) };
        assert_eq!(says(&config, "++-"), "--+-");
    }

    #[test]
    fn an_inverted_one_passes_when_the_test_fails() {
        let config = CheckConfig { invert: true, ..config(1, 1) };
        assert_eq!(says(&config, "-+"), "?+-");
    }

    #[test]
    fn a_weight_counts_one_way_and_an_unknown_result_takes_nothing() {
        let term = |weight, standing: Standing| standing.term(weight);
        assert_eq!(term(60, Standing::Passes), 60);
        assert_eq!(term(60, Standing::Fails), 0);
        assert_eq!(term(-60, Standing::Passes), 0);
        assert_eq!(term(-60, Standing::Fails), -60);
        assert_eq!((term(60, Standing::Unknown), term(-60, Standing::Unknown)), (60, 0));
        assert_eq!(term(-3, Standing::Value(7)), -21);
        assert_eq!(term(253, Standing::Value(i32::MAX)), TERM_MAX);
    }

    #[test]
    fn a_number_that_takes_all_is_a_fault_and_a_weight_is_none() {
        let tracked = |weight| Tracked { check: CheckId(0), weight };
        assert!(tracked(None).is_fault(Standing::Fails));
        assert!(!tracked(None).is_fault(Standing::Unknown));
        assert!(!tracked(Some(-253)).is_fault(Standing::Fails));
        assert!(tracked(Some(-1)).is_fault(Standing::Value(254)));
        assert!(!tracked(Some(-1)).is_fault(Standing::Value(253)));
    }
}
