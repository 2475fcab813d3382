//! Processor time for each connection that comes and goes, and memory for each that stays.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ReplicateOptions, pair, role};
use crate::clock;
use crate::config::Config;
use crate::conntrack::{self, Family, Made};
use crate::error::{LabError, Result};
use crate::idle::{cpu_seconds, rss_kb};
use crate::lab::Lab;
use crate::load::{ChurnPlan, Load, LoadPlan};
use crate::topology::{Gateway, SERVER};

/// Ports of the server, so that no pair of ports comes back while its state still lives.
const PORTS: u16 = 32;
/// How long the memory of a daemon is left to settle.
const SETTLE: Duration = Duration::from_secs(3);
/// How long the standby may take to have all that were made.
const FILL_LIMIT: Duration = Duration::from_secs(60);

/// Processor time of all processes of a daemon in seconds, and their memory in kB.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    cpu: f64,
    rss_kb: u64,
}

fn cost(lab: &Lab, gateway: Gateway) -> Result<Cost> {
    let mut cost = Cost::default();
    for (pid, _) in lab.daemon_processes(gateway)? {
        cost.cpu += cpu_seconds(pid);
        cost.rss_kb += rss_kb(pid);
    }
    Ok(cost)
}

/// Processor time that a gateway's daemon takes in a while, as a part of one processor.
fn share(lab: &Lab, span: Duration) -> Result<Vec<(Gateway, f64)>> {
    let gateways = lab.gateways();
    let before: Vec<Cost> = gateways.iter().map(|one| cost(lab, *one)).collect::<Result<_>>()?;
    let start = clock::now();
    clock::sleep(span);
    let took = start.elapsed().as_secs_f64();
    let share = |(gateway, before): (Gateway, Cost)| {
        Ok((gateway, (cost(lab, gateway)?.cpu - before.cpu) / took))
    };
    gateways.into_iter().zip(before).map(share).collect()
}

/// Connections that come and go to the server, none of whose pairs of ports comes back soon.
pub(super) fn comers(per_second: u32, hold: Duration) -> Result<LoadPlan> {
    let target: IpAddr =
        SERVER.parse().map_err(|_| LabError::Usage(format!("{SERVER} is no address")))?;
    let churn = ChurnPlan { per_second, hold, ports: PORTS };
    Ok(LoadPlan { churn: Some(churn), ..LoadPlan::quiet(target, &[], 0) })
}

/// The cost of connections that come and go with our daemons, beyond that of a calm pair.
pub(super) fn churn(options: &ReplicateOptions, name: &str, hold: Duration) -> Result<Vec<Value>> {
    let (lab, active) = pair(options, Config::example())?;
    churn_through(&lab, active, options, name, hold)
}

/// The same with whatever runs on the gateways.
pub(super) fn churn_through(
    lab: &Lab,
    active: Gateway,
    options: &ReplicateOptions,
    name: &str,
    hold: Duration,
) -> Result<Vec<Value>> {
    lab.topology.client.sysctl("ipv4/tcp_tw_reuse", "1")?;
    let span = Duration::from_secs(options.seconds);
    let calm = share(lab, span)?;
    let load = Load::begin(&lab.topology, &comers(options.per_second, hold)?)?;
    clock::sleep(hold + Duration::from_secs(2));
    let before = load.churn_begun();
    let busy = share(lab, span)?;
    let rate = (load.churn_begun() - before) as f64 / span.as_secs_f64();
    let report = load.stop().churn.unwrap_or_default();
    let row = |((gateway, busy), (_, calm)): ((Gateway, f64), (Gateway, f64))| {
        json!({
            "what": name, "role": role(gateway, active), "connections_per_second": rate,
            "cpu_percent": busy * 100.0, "calm_cpu_percent": calm * 100.0,
            "cpu_us_per_connection": (busy - calm) / rate * 1e6,
            "failed": report.failed(), "completed": report.completed,
        })
    };
    Ok(busy.into_iter().zip(calm).map(row).collect())
}

/// The memory of both daemons for each state, with many that are made at once on the active gateway.
pub(super) fn memory(
    lab: &Lab,
    active: Gateway,
    options: &ReplicateOptions,
    family: Family,
) -> Result<Vec<Value>> {
    let gateways = lab.gateways();
    let before: Vec<Cost> = gateways.iter().map(|one| cost(lab, *one)).collect::<Result<_>>()?;
    let start = clock::now();
    Made::open(lab.topology.gateway(active), family)?.create(0..options.states)?;
    let made_s = start.elapsed().as_secs_f64();
    let standby = lab.topology.gateway(active.other());
    clock::wait_for("the standby to have all", FILL_LIMIT, Duration::from_millis(20), || {
        let all = conntrack::count(standby)? >= u64::from(options.states);
        Ok(all.then_some(()))
    })?;
    let filled_s = start.elapsed().as_secs_f64();
    lab.wait_in_sync(FILL_LIMIT)?;
    clock::sleep(SETTLE);
    let mut rows = Vec::new();
    for (gateway, before) in gateways.into_iter().zip(before) {
        let after = cost(lab, gateway)?;
        let grown = after.rss_kb.saturating_sub(before.rss_kb);
        rows.push(json!({
            "what": if family == Family::V4 { "states" } else { "states6" },
            "role": role(gateway, active), "made": options.states, "made_s": made_s,
            "standby_has_all_s": filled_s,
            "states": conntrack::count(lab.topology.gateway(gateway))?,
            "rss_kb": after.rss_kb, "calm_rss_kb": before.rss_kb,
            "bytes_per_state": grown as f64 * 1024.0 / f64::from(options.states),
            "cpu_us_per_state": (after.cpu - before.cpu) / f64::from(options.states) * 1e6,
        }));
    }
    Ok(rows)
}
