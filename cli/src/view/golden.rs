//! What people see in the states that matter, letter by letter. Each fixture is a status document
//! and the text that it becomes.
//!
//! After a deliberate change: `EVERGATE_BLESS=1 cargo test -p evergate-cli`, then read the diff.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use evergate_api::status::Status;

use super::{failure, status};
use crate::failure::NoAnswer;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn compare(name: &str, text: &str) {
    let file = format!("{name}.txt");
    if std::env::var_os("EVERGATE_BLESS").is_some() {
        std::fs::write(fixture(&file), text).expect("fixtures are writable where they are blessed");
    }
    assert_eq!(text, read(&file), "{name}");
}

/// Renders a fixture, compares it, and returns the exit code.
fn shown(name: &str) -> u8 {
    let json = read(&format!("{name}.json"));
    let document: Status = serde_json::from_str(&json).expect("the fixture is a status");
    compare(name, &status::render(&document, false));
    let colored = status::render(&document, true);
    let mut bare = String::new();
    for part in colored.split('\x1b') {
        let code = part.starts_with('[').then(|| part.split_once('m')).flatten();
        bare.push_str(code.map_or(part, |(_, text)| text));
    }
    assert_eq!(bare, status::render(&document, false), "{name}: colours change no text");
    document.verdict.exit_code()
}

#[test]
fn ready_says_that_any_plug_can_be_pulled() {
    assert_eq!(shown("ready"), 0);
}

#[test]
fn a_dead_peer_is_still_shown_with_its_age() {
    assert_eq!(shown("peer-dead"), 1);
}

#[test]
fn a_split_names_both_nodes() {
    assert_eq!(shown("split"), 2);
}

#[test]
fn a_foreign_standby_is_unverified_and_no_error() {
    assert_eq!(shown("unverified"), 0);
}

#[test]
fn a_fault_shows_its_reasons() {
    assert_eq!(shown("fault"), 1);
}

#[test]
fn a_lock_shows_how_to_end_it() {
    assert_eq!(shown("locked"), 1);
}

#[test]
fn a_held_switchover_shows_how_to_go_back() {
    assert_eq!(shown("held"), 0);
}

#[test]
fn no_service_is_loud() {
    assert_eq!(shown("down"), 2);
}

#[test]
fn a_silent_path_is_named_and_moves_nothing() {
    assert_eq!(shown("path-silent"), 1);
}

#[test]
fn different_configurations_say_what_to_do() {
    assert_eq!(shown("config-differs"), 1);
}

#[test]
fn two_groups_with_replication_fit_one_page() {
    assert_eq!(shown("two-groups"), 0);
}

#[test]
fn a_belief_that_the_kernel_does_not_share_is_shown() {
    assert_eq!(shown("kernel-disagrees"), 1);
}

#[test]
fn an_unknown_verdict_of_a_newer_daemon_is_shown() {
    assert_eq!(shown("newer-daemon"), 1);
}

#[test]
fn nobody_answers_for_a_cause_that_is_told() {
    let socket = Path::new("/run/evergate/evergate.sock");
    let causes = [
        NoAnswer::Connect(io::ErrorKind::NotFound.into()),
        NoAnswer::Connect(io::ErrorKind::ConnectionRefused.into()),
        NoAnswer::Connect(io::ErrorKind::PermissionDenied.into()),
        NoAnswer::Late(Duration::from_secs(2)),
        NoAnswer::Closed,
        NoAnswer::Broken(io::ErrorKind::ConnectionReset.into()),
        NoAnswer::NotOurs("expected value at line 1 column 1".into()),
    ];
    let mut text = String::new();
    for cause in causes {
        let told = cause.told(socket, false);
        assert_eq!(told.exit, 3);
        text.push_str(&failure::render(&told, false));
        text.push('\n');
    }
    text.push_str(&failure::render(&NoAnswer::Closed.told(socket, true), false));
    compare("no-answer", &text);
}
