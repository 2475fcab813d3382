//! What the daemons cost while nothing happens.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::config::Config;
use crate::error::Result;
use crate::lab::{Lab, Options, Subject};
use crate::node::Part;
use crate::terminal::{Screen, Tone};
use crate::topology::Gateway;
use crate::wait::READY_LIMIT;

/// Clock ticks of /proc in a second: the same on every Linux that we know.
const TICKS_PER_SECOND: f64 = 100.0;
/// The heartbeats that are measured.
const HEARTBEATS: [&str; 2] = ["10ms", "2ms"];
/// Time for the start to be over.
const SETTLE: Duration = Duration::from_secs(3);

/// The cost of one process.
struct Cost {
    part: Part,
    rss_kb: u64,
    cpu_percent: f64,
}

/// Measures an idle pair at both heartbeats for some time each and prints memory and processor time of every process.
pub fn measure(options: &Options, span: Duration, machine: bool) -> Result<()> {
    let mut screen = Screen::new(machine);
    let mut document = Vec::new();
    for heartbeat in HEARTBEATS {
        let mut lab = Lab::build(options.clone())?;
        lab.start_all(&Subject::Evergate(Config::example().with_heartbeat(heartbeat)))?;
        let active = lab.wait_ready(READY_LIMIT)?;
        clock::sleep(SETTLE);
        for gateway in lab.gateways() {
            let role = if gateway == active { "active" } else { "standby" };
            let costs = costs(&lab, gateway, span)?;
            print(&mut screen, heartbeat, role, &costs);
            document.push(to_json(heartbeat, role, &costs));
        }
    }
    if machine {
        println!("{}", Value::from(document));
    }
    Ok(())
}

fn costs(lab: &Lab, gateway: Gateway, span: Duration) -> Result<Vec<Cost>> {
    let processes = lab.daemon_processes(gateway)?;
    let before: Vec<f64> = processes.iter().map(|(pid, _)| cpu_seconds(*pid)).collect();
    let start = clock::now();
    clock::sleep(span);
    let took = start.elapsed().as_secs_f64();
    let cost = |((pid, part), before): (&(i32, Part), f64)| Cost {
        part: *part,
        rss_kb: rss_kb(*pid),
        cpu_percent: (cpu_seconds(*pid) - before) / took * 100.0,
    };
    Ok(processes.iter().zip(before).map(cost).collect())
}

/// Processor time of a process so far, in seconds; 0 if it has ended.
pub fn cpu_seconds(pid: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // User and system time are the 14th and 15th field; the state behind the name is the 3rd.
    let ticks: f64 =
        after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS_PER_SECOND
}

/// Resident memory of a process in kB; 0 if it has ended.
pub fn rss_kb(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn print(screen: &mut Screen, heartbeat: &str, role: &str, costs: &[Cost]) {
    let title = screen.paint(Tone::Strong, &format!("heartbeat {heartbeat}, {role}"));
    screen.line(&title);
    for cost in costs {
        let part = cost.part.to_string();
        let (rss, cpu) = (cost.rss_kb as f64 / 1024.0, cost.cpu_percent);
        screen.line(&format!("  {part:<10} {rss:6.1} MB {cpu:6.2} % of a processor"));
    }
    let rss = costs.iter().map(|cost| cost.rss_kb).sum::<u64>() as f64 / 1024.0;
    let cpu: f64 = costs.iter().map(|cost| cost.cpu_percent).sum();
    screen.line(&format!("  {:<10} {rss:6.1} MB {cpu:6.2} %", "together"));
}

fn to_json(heartbeat: &str, role: &str, costs: &[Cost]) -> Value {
    let processes: Vec<Value> = costs
        .iter()
        .map(|cost| {
            let part = cost.part.to_string();
            json!({"part": part, "rss_kb": cost.rss_kb, "cpu_percent": cost.cpu_percent})
        })
        .collect();
    json!({"heartbeat": heartbeat, "role": role, "processes": processes})
}
