//! The three processes, killed and stopped in every way, with a fake core that does as it is told.
//!
//! This program is all of them: the first argument says which, as in the product. Guardian and
//! runner are the real ones; the core only beats, and the kernel's addresses are lines in a file.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "processes/cases.rs"]
mod cases;
#[path = "processes/fake.rs"]
mod fake;
#[path = "processes/world.rs"]
mod world;

use std::process::ExitCode;

use evergate_daemon::guardian::Role;

fn main() -> ExitCode {
    match Role::of(std::env::args_os().skip(1)) {
        Ok(Role::First { arguments }) if fake::is_ours(&arguments) => fake::guardian(arguments),
        Ok(Role::First { arguments }) => run_cases(&arguments),
        Ok(Role::Successor(inherited)) => fake::successor(&inherited),
        Ok(Role::Core { adopt, inherited }) => fake::core(adopt, &inherited),
        Ok(Role::Runner(inherited)) => fake::runner(&inherited),
        Err(error) => panic!("{error}"),
    }
}

/// Runs the cases whose name contains one of the words given, one after the other: they measure
/// time.
fn run_cases(arguments: &[std::ffi::OsString]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let listing = words.contains(&"--list");
    let wanted: Vec<&&str> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let mut failed = 0;
    for (name, case) in cases::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(**word)) {
            continue;
        }
        if listing {
            println!("{name}: test");
            continue;
        }
        let good = std::panic::catch_unwind(case).is_ok();
        println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
        failed += usize::from(!good);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
