//! The lab without any daemon: is it what the tests on top of it believe it to be?
//!
//! The other scenarios that need no daemon, and the tests of the daemon itself, are run by `evergate-lab test`,
//! one at a time and with nothing beside them.

use std::process::Command;

/// Runs scenarios through the program, as `make test` does; gives what it printed.
fn run(scenario: &str) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_evergate-lab"))
        .args(["test", scenario])
        .output()
        .expect("the lab's program is built with its tests");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("no right to make network namespaces") {
        println!("skipped: needs root");
        return None;
    }
    assert!(output.status.success(), "{said}{errors}");
    Some(said)
}

#[test]
fn every_fault_cuts_what_it_says() {
    if let Some(said) = run("lab-faults") {
        assert!(said.contains("1 passed, 0 failed"), "{said}");
    }
}

#[test]
fn every_scenario_has_a_name_of_its_own() {
    let mut names: Vec<_> = evergate_lab::scenario::all().iter().map(|one| one.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}
