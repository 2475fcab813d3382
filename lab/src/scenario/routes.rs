//! Routes and rules that come and go with the addresses.

use std::time::Duration;

use super::speed::switch_group;
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::control::GROUP;
use crate::error::Result;
use crate::fault::Fault;
use crate::lab::Lab;
use crate::node::Part;
use crate::topology::{GW1, GW2, Gateway, VIRTUAL_LAN};
use crate::wait::READY_LIMIT;
use crate::watch::AddressWatch;

/// What the file says.
const ROUTES: &str = r#"[
  { to = "default", via = "10.92.0.254", source = "10.92.0.1" },
  { to = "10.50.0.0/16", via = "10.91.0.10", metric = 9, mtu = 1400 },
  { to = "10.51.0.0/16", type = "blackhole", table = 100 },
  { to = "10.52.0.0/16", nexthops = [{ via = "10.91.0.10" }, { via = "10.91.0.11", weight = 2 }] },
  { to = "fd50::/64", via = "fd91::10" },
  { to = "10.53.0.0/16", interface = "lan", keep = false },
]"#;
const RULES: &str = r#"[
  { from = "10.60.0.0/16", table = 100, priority = 1000 },
  { from = "fd60::/64", mark = "0x1/0xff", table = 100, priority = 1001 },
]"#;
/// What `ip` shows of it: the family, the command, a line.
const SHOWN: [(&str, &str, &str); 8] = [
    ("-4", "route show table main", "default via 10.92.0.254 dev wan proto 230 src 10.92.0.1"),
    (
        "-4",
        "route show table main",
        "10.50.0.0/16 via 10.91.0.10 dev lan proto 230 metric 9 mtu 1400",
    ),
    ("-4", "route show table 100", "blackhole 10.51.0.0/16 proto 230"),
    ("-4", "route show table main", "nexthop via 10.91.0.11 dev lan weight 2"),
    ("-4", "route show table main", "10.53.0.0/16 dev lan proto 230"),
    ("-6", "route show table main", "fd50::/64 via fd91::10 dev lan proto 230"),
    ("-4", "rule show", "1000:\tfrom 10.60.0.0/16 lookup 100"),
    ("-6", "rule show", "1001:\tfrom fd60::/64 fwmark 0x1/0xff lookup 100"),
];
/// The route of somebody else, which nothing may touch.
const FOREIGN: &str = "10.70.0.0/16 via 10.91.0.10 dev lan proto static";
/// What is missing is there again within this.
const SOON: Duration = Duration::from_secs(5);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// For so long nothing may come back that is not to.
const CALM: Duration = Duration::from_millis(2500);
/// Removals, more than are answered within a minute.
const REMOVALS: usize = 7;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "routes-and-rules",
    shows: "routes and rules move with the addresses, are put back, and are gone after an end or a crash",
    needs: Needs::Daemon,
    long: false,
    test: routes,
}];

fn config() -> Config {
    Config::example().with_ipv6().with("group.gateway", "routes", &ROUTES.replace('\n', " ")).with(
        "group.gateway",
        "rules",
        &RULES.replace('\n', " "),
    )
}

/// What `ip` shows of routes or rules of a gateway.
fn ip(lab: &Lab, gateway: Gateway, family: &str, command: &str) -> Result<String> {
    let mut arguments = vec![family];
    arguments.extend(command.split(' '));
    // A table that nobody has used yet is an error to `ip`.
    let output = lab
        .topology
        .gateway(gateway)
        .enter(|| crate::shell::run_unchecked("ip", &arguments, ""))??;
    Ok(String::from_utf8_lossy(&output.stdout).replace(" \n", "\n"))
}

/// Those of the file that a gateway has.
fn present(lab: &Lab, gateway: Gateway) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for (family, command, line) in SHOWN {
        if ip(lab, gateway, family, command)?.contains(line) {
            found.push(line);
        }
    }
    Ok(found)
}

fn wait_all(lab: &Lab, gateway: Gateway, when: &str) -> Result<()> {
    let mut missing = Vec::new();
    clock::wait_for(&format!("all routes and rules on {gateway} {when}"), SOON, LOOK, || {
        let found = present(lab, gateway)?;
        missing = SHOWN.iter().filter(|(.., line)| !found.contains(line)).collect();
        Ok(missing.is_empty().then_some(()))
    })
    .map_err(|error| crate::error::LabError::Claim(format!("{error}: {missing:?}")))
}

fn wait_none(lab: &Lab, gateway: Gateway, when: &str) -> Result<()> {
    clock::wait_for(&format!("no route and no rule on {gateway} {when}"), SOON, LOOK, || {
        Ok(present(lab, gateway)?.is_empty().then_some(()))
    })?;
    let main = ip(lab, gateway, "-4", "route show table main")?;
    claim(main.contains(FOREIGN), || format!("the route of somebody else is gone {when}: {main}"))
}

fn routes(bed: &Bed) -> Result<()> {
    let lab = bed.lab()?;
    for gateway in [GW1, GW2] {
        lab.topology.gateway(gateway).ip_batch(&format!("route add {FOREIGN}\n"))?;
    }
    let (mut lab, active) = super::ready(lab, config())?;
    wait_all(&lab, active, "at the start")?;
    wait_none(&lab, active.other(), "at the start")?;
    switch_group(&lab, active, GROUP)?;
    let active = lab.wait_ready(READY_LIMIT)?;
    wait_all(&lab, active, "after a switchover")?;
    wait_none(&lab, active.other(), "after a switchover")?;
    removed(&lab, active)?;
    reloaded(&lab, active)?;
    lab.inflict(&Fault::Killed(active, Part::Core))?;
    lab.wait_holder(active.other(), READY_LIMIT)?;
    wait_none(&lab, active, "after the death of its core")?;
    wait_all(&lab, active.other(), "after the death of the other's core")?;
    let active = lab.wait_ready(READY_LIMIT)?;
    lab.stop(active)?;
    wait_none(&lab, active, "after its end")
}

/// Somebody removes routes: they are put back without a transition, and after five times left alone.
fn removed(lab: &Lab, active: Gateway) -> Result<()> {
    let watch = AddressWatch::start(lab)?;
    let namespace = lab.topology.gateway(active);
    namespace.ip_batch(
        "route del 10.50.0.0/16 metric 9\nroute del default\nrule del priority 1000\n\
         route del 10.53.0.0/16\n",
    )?;
    clock::wait_for("what was removed to be back", SOON, LOOK, || {
        Ok((present(lab, active)?.len() >= SHOWN.len() - 1).then_some(()))
    })?;
    clock::sleep(CALM);
    let main = ip(lab, active, "-4", "route show table main")?;
    claim(!main.contains("10.53.0.0/16"), || "a route is back that is not kept".to_owned())?;
    for _ in 0..REMOVALS {
        // It may be left alone already.
        let _ = lab.topology.gateway(active).ip_batch("route del 10.50.0.0/16 metric 9\n");
        clock::sleep(Duration::from_millis(1200));
    }
    clock::sleep(CALM);
    let main = ip(lab, active, "-4", "route show table main")?;
    claim(!main.contains("10.50.0.0/16"), || "it is put back without an end".to_owned())?;
    let status = lab.control(active)?.status()?;
    let codes: Vec<String> =
        status.iter().flat_map(|s| &s.blockers).map(|blocker| blocker.code.clone()).collect();
    claim(codes.iter().any(|code| code == "routes-contested"), || {
        format!("blockers: {codes:?}\n{}", lab.log_tails())
    })?;
    let log = watch.stop()?;
    claim(log.moves(VIRTUAL_LAN) == 0, || "the address has moved".to_owned())?;
    claim(lab.control(active)?.is_active()?, || format!("{active} is not active any more"))
}

/// A reload that changes one route touches no other.
fn reloaded(lab: &Lab, active: Gateway) -> Result<()> {
    let changed = ROUTES.replace("10.91.0.10\", metric = 9", "10.91.0.12\", metric = 9");
    let config = config().with("group.gateway", "routes", &changed.replace('\n', " "));
    for gateway in [GW1, GW2] {
        lab.write_config(gateway, &config)?;
        let answer = lab.control(gateway)?.ask(&["reload"])?;
        claim(matches!(answer.code, 0 | 1), || format!("reload: {}", answer.errors))?;
    }
    clock::wait_for("the changed route", SOON, LOOK, || {
        let main = ip(lab, active, "-4", "route show table main")?;
        Ok(main.contains("10.50.0.0/16 via 10.91.0.12").then_some(()))
    })?;
    let found = present(lab, active)?;
    claim(found.len() >= SHOWN.len() - 2, || format!("others are gone: {found:?}"))?;
    for gateway in [GW1, GW2] {
        lab.write_config(gateway, &self::config())?;
        lab.control(gateway)?.ask(&["reload"])?;
    }
    claim(lab.control(active)?.is_active()?, || format!("{active} is not active after a reload"))?;
    clock::wait_for("all routes that are kept, after the reload back", SOON, LOOK, || {
        Ok((present(lab, active)?.len() >= SHOWN.len() - 1).then_some(()))
    })
}
