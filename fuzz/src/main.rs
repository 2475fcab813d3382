//! `evergate-fuzz`: mutants for every decoder, and figures of it.
//!
//! * `evergate-fuzz check [SEED]`: every corpus as it is, a bounded number of mutants of each, and ten million adverts.
//! * `evergate-fuzz adverts COUNT [SEED]`: mutants of valid adverts of every kind alone.
//! * `evergate-fuzz run TARGET COUNT [SEED]`: mutants of one corpus.
//! * `evergate-fuzz list`: the names of the targets.
//! * `evergate-fuzz unpack TARGET DIRECTORY`, `pack TARGET DIRECTORY`: a corpus as libFuzzer wants it, and back.

use std::path::Path;
use std::process::ExitCode;

use evergate_fuzz::corpus;
use evergate_fuzz::run::{Tally, mutants, replay, tell_of_panics};
use evergate_fuzz::targets::{ALL, Target, vrrp};

/// The exit code for wrong usage, as in sysexits.
const USAGE: u8 = 64;
/// The seed unless another is given.
const SEED: u64 = 9568;
/// Decodes of adverts in the check.
const ADVERTS: u64 = 10_000_000;

fn main() -> ExitCode {
    tell_of_panics();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match act(&words) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("evergate-fuzz: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!(
                "usage: evergate-fuzz check [SEED] | adverts COUNT [SEED] | run TARGET COUNT [SEED] | list | \
                 unpack TARGET DIRECTORY | pack TARGET DIRECTORY"
            );
            ExitCode::from(USAGE)
        }
    }
}

/// `None` for wrong usage.
fn act(words: &[&str]) -> Option<std::io::Result<()>> {
    Some(match words {
        ["check"] => check(SEED),
        ["check", seed] => check(seed.parse().ok()?),
        ["adverts", count] => adverts(count.parse().ok()?, SEED),
        ["adverts", count, seed] => adverts(count.parse().ok()?, seed.parse().ok()?),
        ["run", name, count] => run(find(name)?, count.parse().ok()?, SEED),
        ["run", name, count, seed] => run(find(name)?, count.parse().ok()?, seed.parse().ok()?),
        ["list"] => {
            ALL.iter().for_each(|target| println!("{}", target.name));
            Ok(())
        }
        ["unpack", name, directory] => corpus::unpack(find(name)?, Path::new(directory)),
        ["pack", name, directory] => corpus::pack(find(name)?, Path::new(directory)),
        _ => return None,
    })
}

fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

#[allow(clippy::disallowed_methods, reason = "how long the check took is for people")]
fn check(seed: u64) -> std::io::Result<()> {
    let began = std::time::Instant::now();
    for target in &ALL {
        run(target, target.mutants, seed)?;
    }
    adverts(ADVERTS, seed)?;
    println!("fuzz: took {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn run(target: &Target, count: u64, seed: u64) -> std::io::Result<()> {
    let inputs = corpus::load(target)?;
    let whole = replay(target, &inputs);
    let bytes: usize = inputs.iter().map(Vec::len).sum();
    let Tally { executions, accepted } = mutants(target, &inputs, count, seed);
    println!(
        "fuzz {}: corpus of {} inputs, {bytes} bytes, {} accepted; {executions} mutants, {accepted} accepted",
        target.name, whole.executions, whole.accepted,
    );
    Ok(())
}

/// Nothing here can fail but by a panic.
fn adverts(count: u64, seed: u64) -> std::io::Result<()> {
    let target = find("vrrp").ok_or_else(|| std::io::Error::other("there is no target vrrp"))?;
    let inputs = vrrp::valid();
    let whole = replay(target, &inputs);
    if whole.accepted != whole.executions {
        return Err(std::io::Error::other("a valid advert was refused"));
    }
    let Tally { executions, accepted } = mutants(target, &inputs, count, seed);
    let refused = executions - accepted;
    println!(
        "adverts: {executions} decodes of mutants of {} valid ones, {accepted} accepted, {refused} refused, no panic, seed {seed}",
        inputs.len(),
    );
    Ok(())
}
