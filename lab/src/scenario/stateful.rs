//! Connections outlive the gateway that they go through: strict rulesets, address translation, takeovers.

use std::net::IpAddr;
use std::time::Duration;

use super::speed::switch;
use super::stateful_flows::flows;
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::control::GROUP;
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::firewall::{Facts, Firewall, Input, Nat};
use crate::lab::Lab;
use crate::load::{ChurnPlan, Load, LoadPlan, LoadReport};
use crate::topology::{
    CLIENT, CLIENT_TWIN, CLIENT6, CLIENT6_TWIN, Gateway, SERVER, SERVER6, VIRTUAL_WAN, VIRTUAL_WAN6,
};
use crate::wait::{READY_LIMIT, SYNC_LIMIT};
use crate::wire::{Sightings, Wire};

/// Calm after the last connection was opened, before the fault.
pub(super) const CALM: Duration = Duration::from_secs(1);
/// Time for every connection to speak after the last takeover, and for TCP to send again.
const AFTER: Duration = Duration::from_secs(4);
/// Time for every connection to ask and to be answered, once lost or not.
const SPEAK: Duration = Duration::from_millis(2000);
/// How long the other gateway may take to hold the addresses after a power cut.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(5);
/// Invalid packets for each connection that are let pass: what was under way at the takeover.
const INVALID_PER_CONNECTION: u64 = 2;

const fn scenario(
    name: &'static str,
    shows: &'static str,
    long: bool,
    test: fn(&Bed) -> Result<()>,
) -> Scenario {
    Scenario { name, shows, needs: Needs::Daemon, long, test }
}

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "stateful-power-cut",
        "1,000 connections behind SNAT live through a power cut, no reset",
        false,
        |bed| trial(bed, Firewall::snat(), &v4(1000), |lab, one, _| power_cut(lab, one)),
    ),
    scenario("stateful-power-cut-5000", "the same with 5,000 connections", true, |bed| {
        trial(bed, Firewall::snat(), &v4(5000), |lab, one, _| power_cut(lab, one))
    }),
    scenario(
        "stateful-open-input",
        "the same where the gateway would reset what it does not know",
        false,
        |bed| {
            let firewall = Firewall { input: Input::Open, ..Firewall::snat() };
            trial(bed, firewall, &v4(200), |lab, one, _| power_cut(lab, one))
        },
    ),
    scenario(
        "stateful-switchover",
        "500 connections and 100 new ones a second through switchover and failback, SNAT",
        false,
        |bed| {
            trial(bed, Firewall::snat(), &v4(500).with_churn(100), |lab, one, load| {
                to_and_fro(lab, one, load, 1)
            })
        },
    ),
    scenario("stateful-masquerade", "the same with masquerade", false, |bed| {
        let firewall = Firewall { nat: Nat::Masquerade, ..Firewall::snat() };
        trial(bed, firewall, &v4(500).with_churn(100), |lab, one, load| {
            to_and_fro(lab, one, load, 1)
        })
    }),
    scenario(
        "stateful-switchover-5000",
        "5,000 connections and 1,000 new ones a second through switchover and failback, SNAT",
        true,
        |bed| crowd(bed, Nat::Snat),
    ),
    scenario("stateful-masquerade-5000", "the same with masquerade", true, |bed| {
        crowd(bed, Nat::Masquerade)
    }),
    scenario(
        "stateful-double",
        "500 connections through ten takeovers in a row, switchover and failback in turn",
        false,
        |bed| {
            trial(bed, Firewall::snat(), &v4(500).with_churn(50), |lab, one, load| {
                to_and_fro(lab, one, load, 5)
            })
        },
    ),
    scenario(
        "stateful-udp-icmp",
        "flows of UDP and pings behind SNAT keep their port and identifier through a power cut",
        false,
        |bed| flows(bed, power_cut),
    ),
    scenario(
        "stateful-ipv6",
        "500 connections over IPv6 behind SNAT live through a power cut, no reset",
        false,
        |bed| trial(bed, Firewall::snat(), &v6(500), |lab, one, _| power_cut(lab, one)),
    ),
];

/// Addresses of the wiring as what they are.
pub(super) fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

pub(super) fn v4(connections: usize) -> LoadPlan {
    let (target, sources) = (addresses(&[SERVER]), addresses(&[CLIENT, CLIENT_TWIN]));
    LoadPlan::quiet(target[0], &sources, connections)
}

fn v6(connections: usize) -> LoadPlan {
    let (target, sources) = (addresses(&[SERVER6]), addresses(&[CLIENT6, CLIENT6_TWIN]));
    LoadPlan::quiet(target[0], &sources, connections)
}

/// The only address that the server may see.
pub(super) fn virtual_address(target: IpAddr) -> Vec<IpAddr> {
    addresses(&[if target.is_ipv6() { VIRTUAL_WAN6 } else { VIRTUAL_WAN }])
}

/// Many connections and many new ones go to and fro.
fn crowd(bed: &Bed, nat: Nat) -> Result<()> {
    let churn = ChurnPlan { per_second: 1000, hold: Duration::ZERO, ports: 32 };
    let plan = LoadPlan { churn: Some(churn), ..v4(5000) };
    let firewall = Firewall { nat, ..Firewall::snat() };
    trial(bed, firewall, &plan, |lab, one, load| to_and_fro(lab, one, load, 1))
}

/// Cuts the power of the active gateway.
pub(super) fn power_cut(lab: &mut Lab, active: Gateway) -> Result<()> {
    lab.inflict(&Fault::Power(active))?;
    lab.wait_holder(active.other(), TAKEOVER_LIMIT)
}

/// Hands over and back this many times; on each side every connection must speak.
fn to_and_fro(lab: &mut Lab, preferred: Gateway, load: &Load, times: usize) -> Result<()> {
    for turn in 1..=times {
        switch(lab, preferred)?;
        lab.wait_in_sync(SYNC_LIMIT)?;
        all_speak(load, || format!("after switchover {turn}"))?;
        let answer = lab.control(preferred.other())?.ask(&["failback", GROUP])?;
        claim(answer.code == 0, || {
            format!("failback ended with {}: {}{}", answer.code, answer.text, answer.errors)
        })?;
        lab.wait_holder(preferred, READY_LIMIT)?;
        lab.wait_ready(READY_LIMIT)?;
        lab.wait_in_sync(SYNC_LIMIT)?;
        all_speak(load, || format!("after failback {turn}"))?;
    }
    Ok(())
}

/// Every connection that was opened gets an answer.
pub(super) fn all_speak(load: &Load, when: impl FnOnce() -> String) -> Result<()> {
    load.mark();
    clock::sleep(SPEAK);
    let (alive, spoken) = (load.counts().0, load.spoken());
    claim(spoken == load.opened(), || {
        format!("{}: {spoken} of {} connections spoke, {alive} not closed", when(), load.opened())
    })
}

/// Opens the connections of a plan, lets something happen to the active gateway and judges what both ends saw.
fn trial(
    bed: &Bed,
    firewall: Firewall,
    plan: &LoadPlan,
    act: impl FnOnce(&mut Lab, Gateway, &Load) -> Result<()>,
) -> Result<()> {
    let config = Config::example();
    let config = if plan.target.is_ipv6() { config.with_ipv6() } else { config };
    let (lab, active) = bed.stateful(config, firewall)?;
    trial_in(lab, active, plan, act)
}

/// The same in a lab that is ready.
pub(super) fn trial_in(
    mut lab: Lab,
    active: Gateway,
    plan: &LoadPlan,
    act: impl FnOnce(&mut Lab, Gateway, &Load) -> Result<()>,
) -> Result<()> {
    let wire = Wire::start(&lab.topology)?;
    let load = Load::begin(&lab.topology, plan)?;
    clock::sleep(CALM);
    lab.wait_in_sync(SYNC_LIMIT)?;
    let before = lab.facts()?;
    let acted = act(&mut lab, active, &load);
    clock::sleep(AFTER);
    let after = lab.facts()?;
    // What is reset from here on would only be the end of the load.
    let sightings = wire.stop();
    let report = load.stop();
    let (figures, failures) = judge(plan, &report, &sightings, &before, &after);
    println!("      {figures}");
    if let Err(error) = acted {
        let text = if let LabError::Claim(text) = error { text } else { error.to_string() };
        return Err(LabError::Claim(format!("{text}; {}", failures.join("; "))));
    }
    claim(failures.is_empty(), || failures.join("; "))
}

/// The figures in a line, and what is not as it should be.
pub(super) fn judge(
    plan: &LoadPlan,
    report: &LoadReport,
    sightings: &Sightings,
    before: &Facts,
    after: &Facts,
) -> (String, Vec<String>) {
    let (opened, resets) = (report.opened, sightings.resets());
    let invalid = after.invalid_since(before);
    let churn = report.churn.clone().unwrap_or_default();
    let figures = format!(
        "{} of {opened} connections alive ({} reset, {} closed, {} stalled, {} corrupted); \
         {} of {} new ones completed, slowest {:.1} s; resets seen by client {}, server {}; \
         invalid {invalid}; states {:?}",
        report.alive,
        report.resets,
        report.closed,
        report.stalled,
        report.corrupted,
        churn.completed,
        churn.started,
        churn.slowest.as_secs_f64(),
        sightings.client_resets,
        sightings.server_resets,
        after.states.values().collect::<Vec<_>>(),
    );
    let per_second = plan.churn.map_or(0, |churn| u64::from(churn.per_second));
    let limit = INVALID_PER_CONNECTION * (opened as u64 + per_second);
    let seen_from: Vec<IpAddr> = report.seen_from.iter().copied().collect();
    let checks = [
        (report.all_alive(), format!("{} of {opened} connections died", opened - report.alive)),
        (resets == 0, format!("{resets} resets")),
        (invalid <= limit, format!("{invalid} invalid packets, more than {limit}")),
        (churn.failed() == 0, format!("{} new connections failed: {churn:?}", churn.failed())),
        (plan.churn.is_none() || churn.started > 0, "no new connection was begun".to_owned()),
        (
            seen_from == virtual_address(plan.target),
            format!("the server was reached from {seen_from:?}"),
        ),
    ];
    let failures = checks.into_iter().filter(|(good, _)| !good).map(|(_, text)| text).collect();
    (figures, failures)
}
