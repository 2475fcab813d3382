//! The example of the manual, and what is read of it.
#![allow(dead_code, reason = "each test binary uses what it needs")]

use evergate_api::config::{Config, Outcome, Sources, parse};

/// Its text.
pub const EDGE: &str = include_str!("../config/edge.toml");

/// What becomes of a text.
pub fn outcome(text: &str) -> Outcome {
    parse(Sources::from_text("edge.toml", text))
}

/// The configuration that a good text is.
pub fn config(text: &str) -> Config {
    let outcome = outcome(text);
    outcome.config.unwrap_or_else(|| panic!("{}", outcome.report.render(false)))
}

/// The example with other words in one place.
pub fn edge_with(old: &str, new: &str) -> String {
    assert!(EDGE.contains(old), "the example has `{old}`");
    EDGE.replacen(old, new, 1)
}
