//! `evergate-sim`: walks through worlds and prints what was found.
//!
//! * `evergate-sim check [DIRECTORY]` does everything; traces of what is broken go to the directory.
//! * `evergate-sim random FROM TO [DIRECTORY]` walks through the worlds of these seeds.
//! * `evergate-sim replay FILE` follows a saved trace and tells what happens.
//! * `evergate-sim replication` checks the replication of connections alone, which `check` does too;
//!   with `SEED` it tells what happens in that world, with `FROM TO` it walks through those of these
//!   seeds.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use evergate_sim::laws::Laws;
use evergate_sim::replication::report as replication;
use evergate_sim::report;
use evergate_sim::walk::replay::Trace;
use evergate_sim::walk::shrink;

/// The exit code for wrong usage, as in sysexits.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["check"] => check(Path::new(".")),
        ["check", directory] => check(Path::new(directory)),
        ["random", from, to, rest @ ..] => match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) => random(from, to, rest.first().map(PathBuf::from)),
            _ => usage(),
        },
        ["replication"] => code(replication::check()),
        ["replication", from, to] => match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) => code(replication::check_seeds(from, to)),
            _ => usage(),
        },
        ["replication", "small"] => code(replication::check_small_worlds()),
        ["replication", seed] => match seed.parse() {
            Ok(seed) => code(replication::tell(seed)),
            Err(_) => usage(),
        },
        ["replay", file] => replay(Path::new(file)),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: evergate-sim check [DIRECTORY] | random FROM TO [DIRECTORY] | replay FILE | \
         replication [small | SEED | FROM TO]"
    );
    ExitCode::from(USAGE)
}

#[allow(clippy::disallowed_methods, reason = "how long the check took is for people")]
fn check(traces: &Path) -> ExitCode {
    let began = std::time::Instant::now();
    let good = report::check(traces) & replication::check();
    println!("took {:.1} s", began.elapsed().as_secs_f64());
    code(good)
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn random(from: u64, to: u64, traces: Option<PathBuf>) -> ExitCode {
    let walked = report::random_walks(from, to);
    let hours = walked.lasted.as_secs_f64() / 3600.0;
    println!("{} steps, {} faults, {hours:.1} hours", walked.steps, walked.faults);
    for (seed, violation, trace) in &walked.broken {
        println!("seed {seed}: {violation}");
        let Some(directory) = &traces else { continue };
        let short = shrink::shrink(trace, violation.law);
        let path = directory.join(format!("seed-{seed}.json"));
        match short.save(&path) {
            Ok(()) => println!("  {} choices in {}", short.choices.len(), path.display()),
            Err(error) => println!("  could not be saved as {}: {error}", path.display()),
        }
    }
    if walked.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay(file: &Path) -> ExitCode {
    match Trace::load(file) {
        Ok(trace) => {
            trace.tell(Laws::default()).iter().for_each(|line| println!("{line}"));
            let good = trace.follow(Laws::default()).is_ok();
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            ExitCode::from(USAGE)
        }
    }
}
