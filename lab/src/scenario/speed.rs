//! How long the client is without service (points 2 and 3 of what must be shown).

use std::time::Duration;

use super::{Bed, Needs, Scenario, claim, claim_still};
use crate::clock;
use crate::config::Config;
use crate::control::GROUP;
use crate::error::{LabError, Result};
use crate::figures::{median, millis};
use crate::lab::Lab;
use crate::load::Load;
use crate::probe::Probe;
use crate::run::{self, Act, Plan, Silent};
use crate::topology::{Gateway, SERVER};
use crate::wait::READY_LIMIT;

/// Runs of which the median is taken.
const RUNS: usize = 5;
/// Switchovers in a row.
const SWITCHOVERS: usize = 10;
/// Connections under a switchover.
const CONNECTIONS: usize = 200;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "power-cut-default",
        shows: "power cut with the example as written: outage at most 60 ms on quiet machines, median of 5",
        needs: Needs::Daemon,
        long: false,
        test: |bed| outage(bed, &Config::example(), Act::Power, (60.0, 30.0)),
    },
    Scenario {
        name: "power-cut-2ms",
        shows: "power cut with a heartbeat of 2 ms: outage at most 12 ms on quiet machines, median of 5",
        needs: Needs::Daemon,
        long: false,
        test: |bed| outage(bed, &Config::example().with_heartbeat("2ms"), Act::Power, (12.0, 6.0)),
    },
    Scenario {
        name: "carrier-cut",
        shows: "carrier of the active's wan lost: outage at most 10 ms, median of 5",
        needs: Needs::Daemon,
        long: false,
        test: |bed| outage(bed, &Config::example(), Act::Link, (10.0, f64::INFINITY)),
    },
    Scenario {
        name: "power-cut-connections",
        shows: "all of 200 connections live through a power cut with every byte right",
        needs: Needs::Daemon,
        long: false,
        test: connections,
    },
    Scenario {
        name: "switchover-ten-times",
        shows: "ten switchovers to and fro: no probe lost, 200 connections alive",
        needs: Needs::Daemon,
        long: false,
        test: switchovers,
    },
    Scenario {
        name: "switchover-held",
        shows: "a switchover holds against priority until a failback is asked for",
        needs: Needs::Daemon,
        long: false,
        test: held,
    },
];

/// Claims the outage that quiet machines have. On late ones the dead time rises, as it has to, and with it the
/// outage: what it was above `quiet_ms` is no fault of the takeover.
fn outage(bed: &Bed, config: &Config, act: Act, (limit_ms, quiet_ms): (f64, f64)) -> Result<()> {
    let (mut outages, mut dead_times, mut takeovers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (mut lab, _) = bed.cluster(config.clone())?;
        let outcome = run::run(&mut lab, act, Plan::default(), &mut Silent)?;
        claim(outcome.is_good(), || format!("no service after the fault\n{}", lab.log_tails()))?;
        let late_ms = outcome.dead_time_ms.map_or(0.0, |dead_ms| (dead_ms - quiet_ms).max(0.0));
        outages.push(outcome.outage_ms());
        takeovers.push(outcome.outage_ms() - late_ms);
        dead_times.extend(outcome.dead_time_ms);
    }
    let told: Vec<String> = outages.iter().copied().map(millis).collect();
    let told = format!("outages {}; dead times in force, in ms: {dead_times:?}", told.join(", "));
    println!("      {told}");
    let median = median(&takeovers).unwrap_or(f64::INFINITY);
    claim(median <= limit_ms, || {
        format!("{told}: median above {} on quiet machines", millis(limit_ms))
    })
}

fn connections(bed: &Bed) -> Result<()> {
    let (mut lab, _) = bed.cluster(Config::example())?;
    let plan = Plan { connections: CONNECTIONS, ..Plan::default() };
    let outcome = run::run(&mut lab, Act::Power, plan, &mut Silent)?;
    claim(outcome.is_good(), || format!("{:?}, recovered: {}", outcome.load, outcome.recovered))
}

/// Asks the active gateway to hand a group over to the other.
pub(super) fn switch_group(lab: &Lab, from: Gateway, group: &str) -> Result<()> {
    let to = from.other().to_string();
    let answer = lab.control(from)?.ask(&["switchover", group, "--to", &to])?;
    claim(answer.code == 0, || {
        format!(
            "switchover of {group} to {to} ended with {}: {}{}",
            answer.code, answer.text, answer.errors
        )
    })
}

/// Asks the active gateway to hand over to the other and waits until both are ready again.
pub(super) fn switch(lab: &mut Lab, from: Gateway) -> Result<()> {
    switch_group(lab, from, GROUP)?;
    let now = lab.wait_ready(READY_LIMIT)?;
    claim(now == from.other(), || format!("{now} is active after a switchover to {}", from.other()))
}

fn switchovers(bed: &Bed) -> Result<()> {
    let (mut lab, mut active) = bed.cluster(Config::example())?;
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(300), READY_LIMIT)?;
    let load = Load::start(&lab.topology, SERVER, CONNECTIONS)?;
    let since = probe.elapsed();
    for _ in 0..SWITCHOVERS {
        switch(&mut lab, active)?;
        active = active.other();
        clock::sleep(Duration::from_millis(300));
    }
    let record = probe.stop();
    let report = load.stop();
    let lost = record.lost_since(since);
    claim(lost == 0, || format!("{lost} probes lost, gaps: {:?}", record.gaps()))?;
    claim(report.all_alive(), || format!("{report:?}"))
}

fn held(bed: &Bed) -> Result<()> {
    let (mut lab, preferred) = bed.cluster(Config::example())?;
    switch(&mut lab, preferred)?;
    claim_still(&mut lab, Duration::from_secs(6))?;
    let group = lab.control(preferred.other())?.group()?;
    claim(group.is_some_and(|group| group.held.is_some()), || {
        "status says nothing of the hold".to_owned()
    })?;
    let answer = lab.control(preferred.other())?.ask(&["failback", GROUP])?;
    if answer.code != 0 {
        let text = format!("{}{}", answer.text, answer.errors);
        return Err(LabError::Answer { question: "evergate failback".to_owned(), text });
    }
    lab.wait_holder(preferred, READY_LIMIT)
}
