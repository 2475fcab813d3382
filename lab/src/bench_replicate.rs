//! What connections cost the daemons: processor time for each that comes and goes, and memory for each that stays.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::config::Config;
use crate::conntrack::{self, Family, Made};
use crate::error::{LabError, Result};
use crate::figures;
use crate::firewall::Firewall;
use crate::idle::{cpu_seconds, rss_kb};
use crate::lab::{Lab, Options, Subject};
use crate::load::{ChurnPlan, Load, LoadPlan};
use crate::terminal::{Screen, Tone};
use crate::topology::{Gateway, SERVER};
use crate::wait::{READY_LIMIT, SYNC_LIMIT};

/// Ports of the server, so that no pair of ports comes back while its state still lives.
const PORTS: u16 = 32;
/// Time for the start to be over.
const SETTLE: Duration = Duration::from_secs(3);
/// How long a closed connection keeps its state here, in seconds: else a long run would fill the table.
const TIME_WAIT_S: &str = "10";
/// Beyond those that are made: our own traffic and what is being closed.
const ROOM: u64 = 100_000;

/// What is measured.
#[derive(Clone, Debug)]
pub struct ReplicateOptions {
    /// New connections a second.
    pub per_second: u32,
    /// How long each is measured, in seconds.
    pub seconds: u64,
    /// States made for the measurement of memory; 0 to leave it out.
    pub states: u32,
    /// One JSON document instead of the table.
    pub json: bool,
    /// How the labs are built.
    pub lab: Options,
}

/// Processor time of all processes of a daemon in seconds, and their memory in kB.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    cpu: f64,
    rss_kb: u64,
}

/// Measures and prints; true if no connection failed.
pub fn measure(options: &ReplicateOptions) -> Result<bool> {
    let mut screen = Screen::new(options.json);
    let (mut rows, mut good) = (Vec::new(), true);
    for (name, hold) in [("short", Duration::ZERO), ("1 s", Duration::from_secs(1))] {
        screen.live(&format!("   {} connections a second, {name}", options.per_second));
        let (row, all) = churn(options, name, hold)?;
        rows.extend(row);
        good &= all;
    }
    if options.states > 0 {
        screen.live(&format!("   {} states", options.states));
        rows.extend(memory(options)?);
    }
    if options.json {
        println!("{}", Value::from(rows));
    } else {
        table(&mut screen, options, &rows);
    }
    Ok(good)
}

/// A pair of gateways of which both are ready; gives who is active.
fn pair(options: &ReplicateOptions) -> Result<(Lab, Gateway)> {
    let stateful = Some(Firewall::snat());
    let mut lab = Lab::build(Options { stateful, ..options.lab.clone() })?;
    for gateway in lab.gateways() {
        let key = "netfilter/nf_conntrack_tcp_timeout_time_wait";
        lab.topology.gateway(gateway).sysctl(key, TIME_WAIT_S)?;
    }
    lab.start_all(&Subject::Evergate(Config::example()))?;
    let active = lab.wait_ready(READY_LIMIT)?;
    lab.wait_in_sync(SYNC_LIMIT)?;
    clock::sleep(SETTLE);
    Ok((lab, active))
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

fn role(gateway: Gateway, active: Gateway) -> &'static str {
    if gateway == active { "active" } else { "standby" }
}

/// The cost of connections that come and go, beyond that of a calm pair.
fn churn(options: &ReplicateOptions, name: &str, hold: Duration) -> Result<(Vec<Value>, bool)> {
    let (lab, active) = pair(options)?;
    lab.topology.client.sysctl("ipv4/tcp_tw_reuse", "1")?;
    let span = Duration::from_secs(options.seconds);
    let calm = share(&lab, span)?;
    let target: IpAddr =
        SERVER.parse().map_err(|_| LabError::Usage(format!("{SERVER} is no address")))?;
    let churn = ChurnPlan { per_second: options.per_second, hold, ports: PORTS };
    let plan = LoadPlan { churn: Some(churn), ..LoadPlan::quiet(target, &[], 0) };
    let load = Load::begin(&lab.topology, &plan)?;
    clock::sleep(hold + Duration::from_secs(2));
    let before = load.churn_begun();
    let busy = share(&lab, span)?;
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
    let rows = busy.into_iter().zip(calm).map(row).collect();
    Ok((rows, report.failed() == 0 && report.completed > 0))
}

/// The memory of both daemons for each state, with many that are made at once on the active gateway.
fn memory(options: &ReplicateOptions) -> Result<Vec<Value>> {
    if !conntrack::make_room(u64::from(options.states) + ROOM)? {
        return Err(LabError::Usage("this process may not raise nf_conntrack_max".to_owned()));
    }
    let (lab, active) = pair(options)?;
    let gateways = lab.gateways();
    let before: Vec<Cost> = gateways.iter().map(|one| cost(&lab, *one)).collect::<Result<_>>()?;
    let start = clock::now();
    Made::open(lab.topology.gateway(active), Family::V4)?.create(0..options.states)?;
    let made_s = start.elapsed().as_secs_f64();
    lab.wait_in_sync(SYNC_LIMIT)?;
    clock::sleep(SETTLE);
    let mut rows = Vec::new();
    for (gateway, before) in gateways.into_iter().zip(before) {
        let after = cost(&lab, gateway)?;
        let grown = after.rss_kb.saturating_sub(before.rss_kb);
        rows.push(json!({
            "what": "states", "role": role(gateway, active), "made": options.states, "made_s": made_s,
            "states": conntrack::count(lab.topology.gateway(gateway))?,
            "rss_kb": after.rss_kb, "calm_rss_kb": before.rss_kb,
            "bytes_per_state": grown as f64 * 1024.0 / f64::from(options.states),
            "cpu_us_per_state": (after.cpu - before.cpu) / f64::from(options.states) * 1e6,
        }));
    }
    Ok(rows)
}

fn table(screen: &mut Screen, options: &ReplicateOptions, rows: &[Value]) {
    let title = format!(
        "   All processes of a daemon: {} connections a second for {} s each, and {} states",
        figures::count(u64::from(options.per_second)),
        options.seconds,
        figures::count(u64::from(options.states)),
    );
    let title = screen.paint(Tone::Strong, &title);
    screen.line(&title);
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap_or(0.0);
        let text = |key: &str| row[key].as_str().unwrap_or("").to_owned();
        let (what, role) = (text("what"), text("role"));
        screen.line(&match what.as_str() {
            "states" => format!(
                "   {what:<8} {role:<8} {:8.1} MB, calm {:6.1} MB {:9.1} bytes a state {:8.1} us a state, {} in the kernel",
                number("rss_kb") / 1024.0,
                number("calm_rss_kb") / 1024.0,
                number("bytes_per_state"),
                number("cpu_us_per_state"),
                row["states"],
            ),
            _ => format!(
                "   {what:<8} {role:<8} {:8.2} %, calm {:6.2} % {:9.1} us a connection, {:.0} a second, {} failed",
                number("cpu_percent"),
                number("calm_cpu_percent"),
                number("cpu_us_per_connection"),
                number("connections_per_second"),
                row["failed"],
            ),
        });
    }
}
