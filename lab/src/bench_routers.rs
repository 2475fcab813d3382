//! Many virtual routers on one machine: memory, processor time and the worst gap between two adverts, ours and
//! keepalived's, at rest and over a reload.
//!
//! One gateway has five cables to a listener. The routers are alone, so all become active and send.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::binaries::Binaries;
use crate::clock;
use crate::error::{LabError, Result};
use crate::idle::{cpu_seconds, rss_kb};
use crate::lab::{Lab, Options};
use crate::node::Running;
use crate::package::Packaged;
use crate::shell;
use crate::terminal::{Screen, Tone};
use crate::topology::GW1;

mod ears;

use ears::Ears;

/// The cables between the gateway and the listener.
const CABLES: usize = 5;
/// The most virtual routers on a cable: the numbers that there are.
const PER_CABLE_MAX: usize = 255;
/// The most virtual routers.
pub const ROUTERS_MAX: usize = CABLES * PER_CABLE_MAX - 1;
/// How long all may take to be active.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Time for the start to be over.
const SETTLE: Duration = Duration::from_secs(3);
/// How long adverts are watched from a reload on.
const RELOAD_WATCH: Duration = Duration::from_secs(5);
/// How long a daemon may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// What is measured.
#[derive(Clone, Debug)]
pub struct RoutersOptions {
    /// Virtual routers, 1 to [`ROUTERS_MAX`].
    pub routers: usize,
    /// Time between two adverts, in milliseconds.
    pub advert_ms: u32,
    /// How long each program is measured.
    pub span: Duration,
    /// Only the program whose name contains this.
    pub only: Option<String>,
    /// Print one JSON document instead of the table.
    pub json: bool,
    /// How the lab is built.
    pub lab: Options,
}

/// A program that can have many routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Evergate,
    Keepalived,
}

impl Program {
    const ALL: [Self; 2] = [Self::Evergate, Self::Keepalived];

    fn name(self) -> &'static str {
        match self {
            Self::Evergate => "evergate",
            Self::Keepalived => "keepalived",
        }
    }

    /// Its configuration with so many routers.
    fn config(self, routers: usize, advert_ms: u32) -> String {
        let mut text = match self {
            Self::Evergate => {
                let head = "[cluster]\nname = \"many\"\n[node.gw1]\npriority = 100\n";
                format!("{head}[vrrp]\nadvert = \"{advert_ms}ms\"\n")
            }
            Self::Keepalived => "global_defs {\n  vrrp_version 3\n}\n".to_owned(),
        };
        let seconds = f64::from(advert_ms) / 1000.0;
        for number in 0..routers {
            let (cable, vrid) = (number % CABLES, number / CABLES + 1);
            // Writing into a text cannot fail.
            let _ = match self {
                Self::Evergate => writeln!(
                    text,
                    "[group.g{cable}-{vrid}.router.it]\ninterface = \"r{cable}\"\nvrid = {vrid}\n\
                     addresses = [\"10.{}.0.{vrid}/16\"]",
                    100 + cable
                ),
                Self::Keepalived => writeln!(
                    text,
                    "vrrp_instance g{cable}-{vrid} {{\n  state BACKUP\n  interface r{cable}\n  \
                     virtual_router_id {vrid}\n  priority 100\n  advert_int {seconds}\n  \
                     virtual_ipaddress {{\n    10.{}.0.{vrid}/16\n  }}\n}}",
                    100 + cable
                ),
            };
        }
        text
    }

    fn start(self, lab: &Lab, options: &RoutersOptions, file: &Path) -> Result<Running> {
        let directory = lab.node_directory(GW1);
        let namespace = lab.topology.gateway(GW1);
        match self {
            Self::Evergate => {
                let binaries = Binaries::find(options.lab.bin_dir.as_deref())?;
                Running::evergated(namespace, "gw1", &binaries, file, &directory)
            }
            Self::Keepalived => {
                let mut command = Packaged::find("keepalived")?.command();
                command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file"]).arg(file);
                command.arg("--pid").arg(directory.join("keepalived.pid"));
                command.arg("--vrrp_pid").arg(directory.join("vrrp.pid"));
                Running::start(namespace, command, &directory)
            }
        }
    }

    /// Has it read its configuration again.
    fn reload(self, lab: &Lab, options: &RoutersOptions, running: &Running) -> Result<()> {
        match self {
            Self::Keepalived => running.hang_up(),
            Self::Evergate => {
                let binaries = Binaries::find(options.lab.bin_dir.as_deref())?;
                let socket = lab.node_directory(GW1).join("evergate.sock");
                let (program, socket) =
                    (binaries.evergate.to_string_lossy(), socket.to_string_lossy());
                shell::run(&program, &["--socket", &socket, "--timeout", "30s", "reload"])?;
            }
        }
        Ok(())
    }
}

/// What a program costs, and how evenly it sends.
#[derive(Clone, Debug)]
struct Figures {
    program: Program,
    processes: usize,
    /// Resident memory of all processes; pages that two of them share are counted twice.
    rss_kb: u64,
    /// The same with shared pages divided among those that share them.
    pss_kb: u64,
    cpu_percent: f64,
    adverts_per_second: f64,
    worst_gap_ms: f64,
    worst_gap_over_reload_ms: f64,
}

/// Measures both programs one after the other and prints the figures.
pub fn measure(options: &RoutersOptions) -> Result<bool> {
    if !(1..=ROUTERS_MAX).contains(&options.routers) || options.advert_ms == 0 {
        let text = format!("1 to {ROUTERS_MAX} routers, and adverts at least 1 ms apart");
        return Err(LabError::Usage(text));
    }
    let mut screen = Screen::new(options.json);
    let mut all = Vec::new();
    for program in Program::ALL {
        if options.only.as_ref().is_none_or(|part| program.name().contains(part)) {
            let label = format!("   {}: {} routers", program.name(), options.routers);
            screen.live(&label);
            all.push(one(program, options)?);
        }
    }
    if options.json {
        println!("{}", Value::from(all.iter().map(to_json).collect::<Vec<_>>()));
    } else {
        table(&mut screen, options, &all);
    }
    Ok(true)
}

fn one(program: Program, options: &RoutersOptions) -> Result<Figures> {
    let lab = Lab::build(Options { gateways: 1, ..options.lab.clone() })?;
    wire(&lab)?;
    let directory = lab.node_directory(GW1);
    fs::create_dir_all(&directory).map_err(LabError::io("make a node's directory"))?;
    let file = directory.join("routers.conf");
    write(&file, &program.config(options.routers, options.advert_ms))?;
    let mut ears = Ears::open(&lab.topology.client, &interfaces())?;
    let mut running = program.start(&lab, options, &file)?;
    let senders = |ears: &Ears| ears.senders();
    clock::wait_for("all routers to be active", START_LIMIT, LOOK, || {
        if let Some(status) = running.reap() {
            let text = format!("{} ended with {status}\n{}", program.name(), running.log_tail());
            return Err(LabError::Node { node: GW1.to_string(), text });
        }
        Ok((senders(&ears) >= options.routers).then_some(()))
    })?;
    clock::sleep(SETTLE);
    let processes: Vec<i32> = lab.daemon_processes(GW1)?.into_iter().map(|(pid, _)| pid).collect();
    let spent = || processes.iter().map(|pid| cpu_seconds(*pid)).sum::<f64>();
    let (before, start) = (spent(), clock::now());
    ears.forget();
    clock::sleep(options.span);
    let (took, calm) = (start.elapsed().as_secs_f64(), ears.heard());
    let cpu_percent = (spent() - before) / took * 100.0;
    let memory = |of: fn(i32) -> u64| processes.iter().map(|pid| of(*pid)).sum::<u64>();
    let (rss_kb, pss_kb) = (memory(rss_kb), memory(pss_kb));
    ears.forget();
    // One router more: a reload with something to do.
    write(&file, &program.config(options.routers + 1, options.advert_ms))?;
    program.reload(&lab, options, &running)?;
    clock::sleep(RELOAD_WATCH);
    let reload = ears.heard();
    end(&mut running)?;
    Ok(Figures {
        program,
        processes: processes.len(),
        rss_kb,
        pss_kb,
        cpu_percent,
        adverts_per_second: calm.adverts as f64 / took,
        worst_gap_ms: clock::ms(calm.worst_gap),
        worst_gap_over_reload_ms: clock::ms(reload.worst_gap),
    })
}

fn interfaces() -> Vec<String> {
    (0..CABLES).map(|cable| format!("r{cable}")).collect()
}

fn wire(lab: &Lab) -> Result<()> {
    let (gateway, listener) = (lab.topology.gateway(GW1), &lab.topology.client);
    let mut lines = (String::new(), String::new());
    for (cable, name) in interfaces().iter().enumerate() {
        let peer = listener.name();
        let _ = writeln!(lines.0, "link add {name} type veth peer name {name} netns {peer}");
        let _ = writeln!(lines.0, "address add 10.{}.255.1/16 dev {name}", 100 + cable);
        let _ = writeln!(lines.0, "link set {name} up");
        let _ = writeln!(lines.1, "link set {name} up");
    }
    listener.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    gateway.ip_batch(&lines.0)?;
    listener.ip_batch(&lines.1)
}

fn write(file: &PathBuf, text: &str) -> Result<()> {
    fs::write(file, text).map_err(LabError::io("write a configuration with many routers"))
}

fn end(running: &mut Running) -> Result<()> {
    running.terminate();
    clock::wait_for("the daemon to end", STOP_LIMIT, LOOK, || Ok(running.reap().map(drop)))
}

/// Memory of a process in kB, pages shared with others divided among them; 0 if it has ended.
fn pss_kb(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn to_json(figures: &Figures) -> Value {
    json!({
        "program": figures.program.name(), "processes": figures.processes,
        "rss_kb": figures.rss_kb, "pss_kb": figures.pss_kb, "cpu_percent": figures.cpu_percent,
        "adverts_per_second": figures.adverts_per_second, "worst_gap_ms": figures.worst_gap_ms,
        "worst_gap_over_reload_ms": figures.worst_gap_over_reload_ms,
    })
}

fn table(screen: &mut Screen, options: &RoutersOptions, all: &[Figures]) {
    let title = format!(
        "   {} routers on {CABLES} interfaces, adverts every {} ms",
        options.routers, options.advert_ms
    );
    let title = screen.paint(Tone::Strong, &title);
    screen.line(&title);
    let head = format!(
        "   {:<12} {:>9} {:>9} {:>9} {:>11} {:>11} {:>13}",
        "program", "RSS", "PSS", "processor", "adverts/s", "worst gap", "over a reload"
    );
    let head = screen.paint(Tone::Quiet, &head);
    screen.line(&head);
    for figures in all {
        let mb = |kb: u64| format!("{:.1} MB", kb as f64 / 1024.0);
        screen.line(&format!(
            "   {:<12} {:>9} {:>9} {:>7.2} % {:>11.0} {:>8.1} ms {:>10.1} ms",
            figures.program.name(),
            mb(figures.rss_kb),
            mb(figures.pss_kb),
            figures.cpu_percent,
            figures.adverts_per_second,
            figures.worst_gap_ms,
            figures.worst_gap_over_reload_ms,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_router_has_a_number_of_its_own_on_its_cable() {
        for program in Program::ALL {
            let text = program.config(ROUTERS_MAX + 1, 1000);
            assert!(text.contains("10.104.0.255/16") && !text.contains(".256/"));
            assert_eq!(text.matches("/16").count(), ROUTERS_MAX + 1);
        }
    }
}
