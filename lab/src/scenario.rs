//! The tests of the lab by name, run one at a time: a lab measures time, so nothing else may run beside it.

mod accept;
mod address;
mod announce;
mod attributes;
mod bad_input;
mod calm;
mod conntrackd;
mod interop;
mod partition;
mod procedures;
mod process;
mod reload;
mod reloads;
mod replay;
mod replicate_flows;
mod replicate_loss;
mod replicate_repair;
mod routes;
mod samples;
mod speed;
mod stateful;
mod stateful_flows;
mod stateful_ftp;
mod stateful_groups;
mod stateful_lab;
mod stateful_policies;
mod track;
mod virtual_mac;
mod wiring;

use std::time::Duration;

use crate::binaries::Binaries;
use crate::clock;
use crate::config::Config;
use crate::error::{LabError, Result};
use crate::firewall::Firewall;
use crate::lab::{Lab, Options, Subject};
use crate::matrix::{self, Verdict, Verdicts};
use crate::package::Packaged;
use crate::privilege;
use crate::topology::{Gateway, VIRTUAL_LAN, VIRTUAL_WAN};
use crate::wait::{READY_LIMIT, SYNC_LIMIT};

/// What a scenario cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Namespaces only.
    Nothing,
    /// The built programs.
    Daemon,
    /// The built programs and root on this machine, for real-time priority.
    Root,
    /// The built programs and keepalived.
    Peer,
    /// The built programs, root on this machine and FRR.
    Frr,
    /// The built programs, keepalived and conntrackd.
    Conntrackd,
}

/// A test of the lab.
pub struct Scenario {
    /// Its name, a claim in a few words.
    pub name: &'static str,
    /// What it shows.
    pub shows: &'static str,
    /// What it cannot do without.
    pub needs: Needs,
    /// Does it take minutes?
    pub long: bool,
    /// The test.
    pub test: fn(&Bed) -> Result<()>,
}

/// What a scenario works with.
pub struct Bed {
    options: Options,
    seed: u64,
}

/// Which scenarios are run.
#[derive(Clone, Debug)]
pub struct TestOptions {
    /// Beginnings of names; empty for all.
    pub names: Vec<String>,
    /// The long ones too.
    pub long: bool,
    /// The seed of scenarios that go by chance.
    pub seed: u64,
    /// How labs are built.
    pub lab: Options,
}

impl Bed {
    /// The seed of whatever goes by chance.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A lab without daemons.
    pub fn lab(&self) -> Result<Lab> {
        Lab::build(self.options.clone())
    }

    /// A lab with our daemon on every gateway, all ready; gives also who is active.
    pub fn cluster(&self, config: Config) -> Result<(Lab, Gateway)> {
        ready(self.lab()?, config)
    }

    /// A lab without daemons whose gateways filter and translate.
    pub fn stateful_lab(&self, firewall: Firewall) -> Result<Lab> {
        Lab::build(Options { stateful: Some(firewall), ..self.options.clone() })
    }

    /// The same with our daemon on every gateway, all ready and in sync; gives also who is active.
    pub fn stateful(&self, config: Config, firewall: Firewall) -> Result<(Lab, Gateway)> {
        let (lab, active) = ready(self.stateful_lab(firewall)?, config)?;
        lab.wait_in_sync(SYNC_LIMIT)?;
        Ok((lab, active))
    }
}

/// Starts our daemon on every gateway of a lab and waits until all are ready.
fn ready(mut lab: Lab, config: Config) -> Result<(Lab, Gateway)> {
    lab.start_all(&Subject::Evergate(config))?;
    match lab.wait_ready(READY_LIMIT) {
        Ok(active) => Ok((lab, active)),
        Err(error) => {
            let text = format!("{error}\n{}", lab.log_tails());
            Err(LabError::Claim(text))
        }
    }
}

/// All scenarios in the order in which they run.
pub fn all() -> Vec<&'static Scenario> {
    let groups: [&'static [Scenario]; 28] = [
        wiring::SCENARIOS,
        stateful_lab::SCENARIOS,
        speed::SCENARIOS,
        process::SCENARIOS,
        partition::SCENARIOS,
        accept::SCENARIOS,
        address::SCENARIOS,
        announce::SCENARIOS,
        attributes::SCENARIOS,
        routes::SCENARIOS,
        virtual_mac::SCENARIOS,
        interop::SCENARIOS,
        samples::SCENARIOS,
        bad_input::SCENARIOS,
        reload::SCENARIOS,
        reloads::SCENARIOS,
        replay::SCENARIOS,
        calm::SCENARIOS,
        stateful::SCENARIOS,
        stateful_groups::SCENARIOS,
        stateful_ftp::SCENARIOS,
        stateful_policies::SCENARIOS,
        replicate_repair::SCENARIOS,
        replicate_flows::SCENARIOS,
        replicate_loss::SCENARIOS,
        conntrackd::SCENARIOS,
        track::SCENARIOS,
        procedures::SCENARIOS,
    ];
    groups.into_iter().flatten().collect()
}

/// Prints names and what they show.
pub fn list() {
    for scenario in all() {
        let long = if scenario.long { " (long)" } else { "" };
        println!("{:<32} {}{long}", scenario.name, scenario.shows);
    }
}

/// One failed attempt on a machine that others share proves little; two in a row count. The first
/// is told in full, so that a weakness cannot hide behind the second.
fn again(scenario: &Scenario, error: &LabError, bed: &Bed) -> Result<()> {
    println!("AGAIN {:<32} the first attempt failed:\n      {error}", scenario.name);
    (scenario.test)(bed)
}

/// Runs scenarios one after the other and prints a line for each; true if none failed.
pub fn run_all(options: &TestOptions) -> Result<bool> {
    let chosen: Vec<_> =
        all().into_iter().filter(|scenario| is_chosen(scenario, options)).collect();
    if chosen.is_empty() {
        let text = format!("no scenario begins with {}; see --list", options.names.join(" or "));
        return Err(LabError::Usage(text));
    }
    let bed = Bed { options: options.lab.clone(), seed: options.seed };
    let mut verdicts = Verdicts::new();
    for scenario in chosen {
        let start = clock::now();
        let result = match missing(scenario, &options.lab) {
            Some(reason) => {
                verdicts.insert(scenario.name, Verdict::Skipped);
                println!("SKIP  {:<32} skipped: {reason}", scenario.name);
                continue;
            }
            None => (scenario.test)(&bed).or_else(|error| again(scenario, &error, &bed)),
        };
        let took = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                verdicts.insert(scenario.name, Verdict::Passed);
                println!("PASS  {:<32} {took:6.1} s", scenario.name);
            }
            Err(error) => {
                verdicts.insert(scenario.name, Verdict::Failed);
                println!("FAIL  {:<32} {took:6.1} s\n      {error}", scenario.name);
            }
        }
    }
    if let Some(matrix) = matrix::table(&verdicts) {
        print!("{matrix}");
    }
    let count = |wanted: Verdict| verdicts.values().filter(|verdict| **verdict == wanted).count();
    let (passed, failed) = (count(Verdict::Passed), count(Verdict::Failed));
    println!("{passed} passed, {failed} failed, {} skipped", count(Verdict::Skipped));
    Ok(failed == 0)
}

fn is_chosen(scenario: &Scenario, options: &TestOptions) -> bool {
    if options.names.is_empty() {
        return options.long || !scenario.long;
    }
    options.names.iter().any(|name| scenario.name.starts_with(name.as_str()))
}

/// Why a scenario cannot run here, if it cannot.
fn missing(scenario: &Scenario, lab: &Options) -> Option<String> {
    let built = || Binaries::find(lab.bin_dir.as_deref()).err();
    match scenario.needs {
        Needs::Nothing => None,
        Needs::Daemon => built().map(|_| "evergated is not built".to_owned()),
        Needs::Root if !privilege::is_real_root() => Some("needs root".to_owned()),
        Needs::Root => built().map(|_| "evergated is not built".to_owned()),
        Needs::Conntrackd => built()
            .map(|_| "evergated is not built".to_owned())
            .or_else(|| crate::peer::Keepalived::find().err().map(|error| error.to_string()))
            .or_else(|| Packaged::find("conntrackd").err().map(|error| error.to_string())),
        Needs::Frr if !privilege::is_real_root() => Some("needs root".to_owned()),
        Needs::Frr => built()
            .map(|_| "evergated is not built".to_owned())
            .or_else(|| crate::frr::Frr::find().err().map(|error| error.to_string())),
        Needs::Peer => built()
            .map(|_| "evergated is not built".to_owned())
            .or_else(|| crate::peer::Keepalived::find().err().map(|error| error.to_string())),
    }
}

/// An error with this sentence unless the claim holds.
fn claim(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(LabError::Claim(otherwise())) }
}

/// Watches for a while that an address moves nowhere; an error if it does.
fn claim_still(lab: &mut Lab, span: Duration) -> Result<()> {
    claim_still_of(lab, &[VIRTUAL_LAN, VIRTUAL_WAN], span)
}

/// Watches for a while that these addresses move nowhere; an error if they do.
fn claim_still_of(lab: &mut Lab, addresses: &[&str], span: Duration) -> Result<()> {
    let before = lab.holder_of(addresses)?;
    let start = clock::now();
    while start.elapsed() < span {
        clock::sleep(Duration::from_millis(50).min(span));
        lab.check_alive()?;
        let now = lab.holder_of(addresses)?;
        claim(now == before && now.is_some(), || {
            let name = |one: Option<Gateway>| one.map_or("nobody".to_owned(), |g| g.to_string());
            format!("the service moved from {} to {}", name(before), name(now))
        })?;
    }
    Ok(())
}
