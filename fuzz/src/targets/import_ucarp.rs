//! Any text as a command line of ucarp, an argument a line: no panic; the same gives the same; what is written is TOML with
//! each key once.

use evergate_api::config::{Outcome, Sources, parse};
use evergate_import::Imported;
use evergate_import::ucarp::{Options, import};

/// One execution; whether the command line was understood.
pub fn run(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let arguments: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let options = Options { cluster: "edge".into(), node: "gw1".into() };
    let imported = import(&arguments, &options);
    assert_eq!(imported, import(&arguments, &options), "the same arguments give the same");
    let Ok(imported) = imported else { return false };
    assert_written_well(&imported, parse(Sources::from_text("e.toml", &imported.toml)));
    true
}

/// What an importer wrote is TOML, each key stands there once, and both forms of the report can be written.
pub fn assert_written_well(imported: &Imported, outcome: Outcome) {
    for problem in outcome.report.problems() {
        assert!(!["syntax", "set-twice"].contains(&problem.code), "{}", imported.toml);
    }
    let _ = (imported.report("a"), imported.to_json("a"));
}
