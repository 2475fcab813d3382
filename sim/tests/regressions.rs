//! Every bug that a walk has found has left its trace in `sim/traces`; none may come back.
#![allow(missing_docs)]

use std::path::{Path, PathBuf};

use evergate_sim::laws::Laws;
use evergate_sim::walk::replay::Trace;

fn traces() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces");
    let entries = std::fs::read_dir(&directory).expect("the directory of traces");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "json"));
    paths.sort();
    paths
}

#[test]
fn no_saved_trace_breaks_a_law() {
    assert!(!traces().is_empty());
    for path in traces() {
        let trace = Trace::load(&path).expect("a trace that can be read");
        let broken = trace.follow(Laws::default()).err();
        assert_eq!(broken, None, "{}: {}", path.display(), trace.about);
    }
}

#[test]
fn a_trace_that_is_saved_and_loaded_is_the_same() {
    let path = traces().remove(0);
    let trace = Trace::load(&path).expect("a trace that can be read");
    let copy = std::env::temp_dir().join(format!("evergate-trace-{}.json", std::process::id()));
    trace.save(&copy).expect("a place to write to");
    let again = Trace::load(&copy);
    std::fs::remove_file(&copy).expect("it was just written");
    assert_eq!(again.expect("a trace that can be read"), trace);
}
