//! Any text as a `conntrackd.conf`: no panic; the same text gives the same; what is written is TOML with each key once.

use evergate_api::config::{Sources, parse};
use evergate_import::conntrackd::import;

/// One execution; whether the file was understood.
pub fn run(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let imported = import(&text, "gw2");
    assert_eq!(imported, import(&text, "gw2"), "the same text gives the same");
    let Ok(imported) = imported else { return false };
    super::import_ucarp::assert_written_well(
        &imported,
        parse(Sources::from_text("e.toml", &imported.toml)),
    );
    true
}
