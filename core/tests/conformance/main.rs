//! `spec/` against the repository: each requirement of an RFC is an entry there, with the tests that
//! show it or the reason why there is none. A name that went stale fails here, and so does a count in
//! `docs/conformance.md` that is not that of the files.

use std::collections::BTreeSet;
use std::fmt::Write;

mod list;
mod names;

use list::{OBJECTS, Object, Requirement, objects, read, requirements};
use names::{exists, resolve, runs};

/// The lists of requirements, in the order of the document.
const RFCS: [&str; 3] = ["9568", "3768", "2338"];
const LEVELS: [&str; 5] = ["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"];
/// Why an entry needs no tests; each wants its reason.
const STATUSES: [&str; 4] = ["kernel", "not-applicable", "not-built", "deviation"];
/// The longest sentence: an entry says one thing.
const TEXT_BYTES_MAX: usize = 240;
const DOCUMENT: &str = "docs/conformance.md";
/// The page with tests and scenarios in the last column of its tables.
const PAINS: &str = "docs/keepalived-pains.md";

#[test]
fn every_requirement_is_well_formed_and_its_tests_exist_and_run() {
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    for rfc in RFCS {
        let requirements = requirements(rfc);
        println!("{}", row(rfc, &counts(&requirements)));
        for requirement in &requirements {
            if !ids.insert(requirement.id.clone()) {
                problems.push(format!("{}: twice", requirement.id));
            }
            let found = faults(rfc, requirement);
            problems.extend(found.into_iter().map(|fault| format!("{}: {fault}", requirement.id)));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_object_is_kept_where_its_entry_says_or_is_not_built() {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    let objects = objects();
    println!("{}", row(OBJECTS, &object_counts(&objects)));
    for object in &objects {
        let Object { name, meaning, status, reason, kept } = object;
        if !names.insert(name) {
            problems.push(format!("{name}: twice"));
        }
        if !is_sentence(meaning) {
            problems.push(format!("{name}: `meaning` is not one sentence"));
        }
        match (kept, status.as_deref(), reason) {
            (Some((file, says)), None, _) if !read(file).contains(says) => {
                problems.push(format!("{name}: {file} does not say {says}"));
            }
            (Some(_), None, _) => {}
            (None, Some("not-built" | "not-applicable"), Some(reason)) if is_sentence(reason) => {}
            _ => problems.push(format!("{name}: either `kept`, or `status` with its `reason`")),
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn the_document_has_the_counts_of_the_files_and_names_what_is_missing() {
    let page = read(DOCUMENT);
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for rfc in RFCS {
        let requirements = requirements(rfc);
        let row = row(rfc, &counts(&requirements));
        if !page.contains(&row) {
            problems.push(format!("the row of RFC {rfc} is to be\n{row}"));
        }
        for requirement in requirements {
            let told = matches!(requirement.status.as_deref(), Some("not-built" | "deviation"));
            if told && !page.contains(&format!("`{}`", requirement.id)) {
                problems.push(format!("`{}` is not explained", requirement.id));
            }
            if told {
                known.insert(requirement.id);
            }
        }
    }
    let row = row(OBJECTS, &object_counts(&objects()));
    if !page.contains(&row) {
        problems.push(format!("the row of RFC {OBJECTS} is to be\n{row}"));
    }
    for id in page.split('`').skip(1).step_by(2).filter(|word| is_id(word)) {
        if !known.contains(id) {
            problems.push(format!("`{id}` is neither a deviation nor missing"));
        }
    }
    assert!(problems.is_empty(), "\n{DOCUMENT}:\n{}", problems.join("\n"));
}

#[test]
fn the_page_for_users_of_keepalived_names_tests_that_exist() {
    let page = read(PAINS);
    let rows = page.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let (mut problems, mut count) = (Vec::new(), 0);
    for shown in rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next()) {
        for name in shown.split('`').skip(1).step_by(2) {
            count += 1;
            if !(resolve(name).is_ok() || exists(name)) {
                problems.push(name);
            }
        }
    }
    assert!(problems.is_empty(), "{PAINS} names what is not there: {problems:#?}");
    assert!(count > 50, "{count} names");
    assert!(!exists("no_test_has_this_name_but_for_this_line_here"));
}

#[test]
fn a_name_that_is_stale_or_never_runs_is_found_out() {
    let good = [
        "evergate_core::vrrp::timing::tests::no_priority_has_no_skew",
        "evergate_core::wire::vrrp::tests::version_2_is_these_bytes",
        "core/tests/pair.rs::a_settled_pair_stays_as_it_is",
        "lab:foreign-v3",
    ];
    for name in good {
        assert_eq!(resolve(name), Ok(()), "{name}");
    }
    let stale = [
        "evergate_core::vrrp::timing::tests::no_such_test",
        "evergate_core::vrrp::timing::no_priority_has_no_skew",
        "evergate_core::no_such_module::tests::no_priority_has_no_skew",
        "evergate_core::vrrp::timing::tests::priority",
        "no_such_crate::tests::a",
        "core/tests/pair.rs::config",
        "core/tests/no_such_file.rs::a",
        "lab:no-such-scenario",
        "a_settled_pair_stays_as_it_is",
    ];
    for name in stale {
        assert!(resolve(name).is_err(), "{name}");
    }
    let ignored = "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n\n#[test]\nfn b() {}\n";
    assert!(!runs(ignored, "", "a") && runs(ignored, "", "b"));
}

/// What is wrong with an entry.
fn faults(rfc: &str, requirement: &Requirement) -> Vec<String> {
    let Requirement { id, section, level, text, status, reason, positive, negative } = requirement;
    let mut faults = Vec::new();
    if !id.starts_with(&format!("{rfc}-{section}-")) || !is_id(id) {
        faults.push(format!("the id is to be {rfc}-{section}- and a few words"));
    }
    if !LEVELS.contains(&level.as_str()) {
        faults.push(format!("no level is called {level}"));
    }
    if !is_sentence(text) {
        faults.push("`text` is not one sentence".into());
    }
    if reason.as_ref().is_some_and(|reason| !is_sentence(reason)) {
        faults.push("`reason` is not one sentence".into());
    }
    match status {
        Some(status) if !STATUSES.contains(&status.as_str()) => {
            faults.push(format!("no status is called {status}"));
        }
        Some(_) if reason.is_none() => faults.push("a status wants its reason".into()),
        Some(_) => {}
        None if positive.is_empty() => faults.push("no test shows it, and no status".into()),
        None if negative.is_empty() && reason.is_none() => {
            faults.push("no test shows what must not happen, and no reason".into());
        }
        None => {}
    }
    for name in positive.iter().chain(negative) {
        faults.extend(resolve(name).err());
    }
    faults
}

/// How many entries there are: all, with both kinds of tests, with one, and of each status.
fn counts(requirements: &[Requirement]) -> Vec<usize> {
    let none = |r: &&Requirement| r.status.is_none();
    let with =
        |status: &str| requirements.iter().filter(|r| r.status.as_deref() == Some(status)).count();
    let both = requirements.iter().filter(none).filter(|r| !r.negative.is_empty()).count();
    let one = requirements.iter().filter(none).count() - both;
    let mut counts = vec![requirements.len(), both, one];
    counts.extend(STATUSES.map(with));
    counts
}

/// How many objects there are: all, kept, not applicable and not built.
fn object_counts(objects: &[Object]) -> Vec<usize> {
    let with =
        |status: &str| objects.iter().filter(|o| o.status.as_deref() == Some(status)).count();
    let kept = objects.iter().filter(|object| object.kept.is_some()).count();
    vec![objects.len(), kept, with("not-applicable"), with("not-built")]
}

/// The row of an RFC in the tables of the document.
fn row(rfc: &str, counts: &[usize]) -> String {
    let mut row = format!("| [RFC {rfc}](../spec/rfc{rfc}.toml) |");
    for count in counts {
        let _ = write!(row, " {count} |");
    }
    row
}

fn is_sentence(text: &str) -> bool {
    text.ends_with('.') && text.len() <= TEXT_BYTES_MAX && !text.contains('\n')
}

/// Four digits, a section, and words in small letters.
fn is_id(word: &str) -> bool {
    let mut parts = word.splitn(3, '-');
    let (rfc, section, words) = (parts.next(), parts.next(), parts.next());
    let digits =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    rfc.is_some_and(|rfc| rfc.len() == 4 && digits(rfc))
        && section.is_some_and(digits)
        && words.is_some_and(|words| !words.is_empty() && words.bytes().all(letter))
}
