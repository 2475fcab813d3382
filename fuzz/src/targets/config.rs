//! Any text as a configuration: no panic; every problem can be shown; what is good is good again, and a plan from it to
//! itself changes nothing.

use evergate_api::config::{Sources, parse};

/// One execution; whether the configuration has no errors.
pub fn run(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let read = || parse(Sources::from_text("edge.toml", &text));
    let outcome = read();
    let _ = outcome.report.render(false);
    assert_eq!(outcome.config.is_some(), !outcome.report.has_errors());
    let Some(config) = outcome.config else { return false };
    assert_eq!(read().config.as_ref(), Some(&config), "the same text gives the same");
    true
}
