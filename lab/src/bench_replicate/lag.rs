//! How far the standby is behind, and what replication adds to the way of a packet.

use std::time::Duration;

use serde_json::{Value, json};

use super::cost::comers;
use super::{ReplicateOptions, pair};
use crate::clock::{self, ms};
use crate::config::Config;
use crate::conntrack::{Lag, LagReport};
use crate::error::Result;
use crate::figures::median;
use crate::lab::Lab;
use crate::load::Load;
use crate::probe::Probe;
use crate::topology::{Gateway, SERVER};
use crate::wait::READY_LIMIT;

/// How long each connection stays, so that the standby gets to know of it.
const HOLD: Duration = Duration::from_millis(500);
/// Pairs of runs with and without replication.
const RUNS: usize = 10;
/// How long the round trips of each run are measured.
const RUN: Duration = Duration::from_secs(2);
/// Connections that come and go in a second while round trips are measured.
const BESIDE: u32 = 500;

/// The lag with a time of coalescing; none for the default.
pub(super) fn lag(options: &ReplicateOptions, coalesce: Option<&str>) -> Result<Vec<Value>> {
    let config = Config::example();
    let config = match coalesce {
        Some(time) => config.with("replicate", "coalesce", &format!("\"{time}\"")),
        None => config,
    };
    let (lab, active) = pair(options, config)?;
    note_times(&lab)?;
    lab.topology.client.sysctl("ipv4/tcp_tw_reuse", "1")?;
    let load = Load::begin(&lab.topology, &comers(options.per_second, HOLD)?)?;
    clock::sleep(Duration::from_secs(1));
    let lag = start(&lab, active)?;
    clock::sleep(Duration::from_secs(options.seconds));
    let report = lag.stop();
    let failed = load.stop().churn.unwrap_or_default().failed();
    let name = format!("lag, coalesce {}", coalesce.unwrap_or("2ms"));
    Ok(vec![to_json(&name, &report, failed)])
}

/// Lets both kernels note times, for connections from now on. Nothing else is measured with it: it
/// costs the kernel time for each.
pub(super) fn note_times(lab: &Lab) -> Result<()> {
    let gateways = lab.gateways().into_iter();
    gateways.map(|one| lab.topology.gateway(one)).try_for_each(Lag::prepare)
}

/// Listens on both gateways.
pub(super) fn start(lab: &Lab, active: Gateway) -> Result<Lag> {
    Lag::start(lab.topology.gateway(active), lab.topology.gateway(active.other()))
}

pub(super) fn to_json(name: &str, report: &LagReport, failed: u64) -> Value {
    json!({
        "what": name, "connections": report.lags_ms.len(), "alone": report.alone,
        "p50_ms": report.percentile(50), "p99_ms": report.percentile(99),
        "worst_ms": report.percentile(100), "kernel_times": report.exact, "failed": failed,
    })
}

/// The medians of round trips of probes in runs with and without replication in turn, the same pair of gateways.
pub(super) fn round_trip(options: &ReplicateOptions) -> Result<Vec<Value>> {
    let with = Config::example();
    let without = with.clone().without_table("replicate");
    let mut medians = [Vec::new(), Vec::new()];
    for number in 0..RUNS * 2 {
        let on = number % 2 == 0;
        let (lab, _) = pair(options, if on { with.clone() } else { without.clone() })?;
        lab.topology.client.sysctl("ipv4/tcp_tw_reuse", "1")?;
        let load = Load::begin(&lab.topology, &comers(BESIDE, Duration::ZERO)?)?;
        let probe = Probe::start(&lab.topology, SERVER)?;
        probe.wait_steady(Duration::from_millis(500), READY_LIMIT)?;
        let since = probe.elapsed();
        clock::sleep(RUN);
        let record = probe.stop();
        load.stop();
        let late = record.samples.iter().filter(|sample| sample.sent >= since);
        let trips = late.filter_map(|sample| Some(ms(sample.answered? - sample.sent)));
        medians[usize::from(!on)].extend(median(&trips.collect::<Vec<_>>()));
    }
    let [with, without] = &medians;
    let (on, off) = (median(with).unwrap_or(f64::NAN), median(without).unwrap_or(f64::NAN));
    Ok(vec![json!({
        "what": "round trip", "runs": RUNS, "connections_per_second": BESIDE,
        "with_ms": on, "without_ms": off, "added_ms": on - off,
        "medians_with_ms": with, "medians_without_ms": without,
    })])
}
