//! The command line of the lab.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use evergate_lab::bench::{self, BenchOptions};
use evergate_lab::bench_replicate::{self, ReplicateOptions, Section};
use evergate_lab::bench_routers::{self, RoutersOptions};
use evergate_lab::cleanup;
use evergate_lab::demo::{self, DemoOptions};
use evergate_lab::error::{LabError, Result};
use evergate_lab::idle;
use evergate_lab::lab::Options;
use evergate_lab::privilege;
use evergate_lab::run::Act;
use evergate_lab::scenario::{self, TestOptions};

/// Two gateways, a client and a server in network namespaces: shows, tests and measures a takeover.
#[derive(Parser)]
#[command(name = "evergate-lab", version)]
struct Arguments {
    #[arg(long, hide = true, global = true)]
    inside_user_namespace: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args)]
struct LabArguments {
    /// Where evergated and evergate are; else beside this program or in target/.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Keep the logs of the nodes in this directory.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
}

impl LabArguments {
    fn options(self) -> Options {
        Options { bin_dir: self.bin_dir, keep_logs: self.logs, ..Options::default() }
    }
}

#[derive(Subcommand)]
enum Verb {
    /// Shows a takeover under real traffic and reports what the client saw.
    Demo {
        /// What is done to the active gateway: power, daemon, freeze, link or switchover.
        #[arg(long, value_parser = act, default_value = "power")]
        fault: Act,
        /// TCP connections through the gateways.
        #[arg(long, default_value_t = 200)]
        connections: usize,
        /// One JSON document instead of the show.
        #[arg(long)]
        json: bool,
        /// The same show with keepalived at its defaults, to compare.
        #[arg(long)]
        keepalived: bool,
        /// Another heartbeat than the default, such as 2ms.
        #[arg(long, value_name = "TIME")]
        heartbeat: Option<String>,
        /// Where the chart goes.
        #[arg(long, value_name = "FILE", default_value = "evergate-demo.svg")]
        chart: PathBuf,
        #[command(flatten)]
        lab: LabArguments,
    },
    /// Runs named scenarios one after the other; without names, all but the long ones.
    Test {
        /// Scenarios whose names begin with one of these.
        names: Vec<String>,
        /// The long ones too.
        #[arg(long)]
        long: bool,
        /// Only list them.
        #[arg(long)]
        list: bool,
        /// The seed of what goes by chance: another number is another walk
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[command(flatten)]
        lab: LabArguments,
    },
    /// Compares outages with keepalived in the same lab.
    Bench {
        /// Runs of each cell.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Only this fault; may be repeated.
        #[arg(long = "fault", value_parser = act)]
        faults: Vec<Act>,
        /// Only programs whose name contains this, such as evergate.
        #[arg(long)]
        only: Option<String>,
        /// One JSON document instead of the table.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        lab: LabArguments,
    },
    /// Measures replication: processor time and memory, lag, round trips, resync and power cut with many states.
    BenchReplicate {
        /// Only this part: processor, conntrackd, states, lag or round-trip; may be repeated.
        #[arg(long = "part", value_parser = section)]
        parts: Vec<Section>,
        /// New connections a second.
        #[arg(long, default_value_t = 2500)]
        per_second: u32,
        /// How long each is measured, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// States made for the measurement of memory, resync and power cut.
        #[arg(long, default_value_t = 100_000)]
        states: u32,
        /// One JSON document instead of the table.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        lab: LabArguments,
    },
    /// Measures many virtual routers on one machine beside keepalived: memory, processor time, gaps between adverts.
    BenchRouters {
        /// How many.
        #[arg(long, default_value_t = 1000)]
        routers: usize,
        /// Time between two adverts, in milliseconds.
        #[arg(long, default_value_t = 1000)]
        advert_ms: u32,
        /// How long each program is measured, in seconds.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// Only the program whose name contains this, such as evergate.
        #[arg(long)]
        only: Option<String>,
        /// One JSON document instead of the table.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        lab: LabArguments,
    },
    /// Measures memory and processor time of an idle pair at heartbeats of 10 ms and 2 ms.
    Idle {
        /// How long each node is measured, in seconds.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// One JSON document instead of the lines.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        lab: LabArguments,
    },
    /// Removes what labs that were killed have left behind.
    Sweep,
}

fn act(text: &str) -> std::result::Result<Act, String> {
    let known = Act::ALL.into_iter().find(|act| act.name() == text);
    known.ok_or_else(|| format!("one of: {}", Act::ALL.map(Act::name).join(", ")))
}

fn section(text: &str) -> std::result::Result<Section, String> {
    let known = Section::ALL.into_iter().find(|section| section.name() == text);
    known.ok_or_else(|| format!("one of: {}", Section::ALL.map(Section::name).join(", ")))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = matches!(
        &arguments.verb,
        Verb::Demo { json: true, .. }
            | Verb::Bench { json: true, .. }
            | Verb::BenchReplicate { json: true, .. }
            | Verb::BenchRouters { json: true, .. }
            | Verb::Idle { json: true, .. }
    );
    let result = run(arguments.verb);
    cleanup::stay_silent_if_interrupted();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            if json {
                let text = error.to_string();
                println!("{}", serde_json::json!({"error": {"code": code(&error), "text": text}}));
            } else {
                eprintln!("evergate-lab: {error}");
            }
            ExitCode::from(2)
        }
    }
}

/// The stable code of an error, for machines.
fn code(error: &LabError) -> &'static str {
    match error {
        LabError::Tool { .. } => "missing-tool",
        LabError::Command { .. } => "command-failed",
        LabError::Binary { .. } => "not-built",
        LabError::Io { .. } => "io",
        LabError::Privilege(_) => "no-privilege",
        LabError::Timeout { .. } => "timeout",
        LabError::Node { .. } => "node",
        LabError::Answer { .. } => "bad-answer",
        LabError::Claim(_) => "not-as-claimed",
        LabError::Usage(_) => "usage",
    }
}

fn run(verb: Verb) -> Result<bool> {
    if let Verb::Test { list: true, .. } = verb {
        scenario::list();
        return Ok(true);
    }
    privilege::gain(&std::env::args().collect::<Vec<_>>())?;
    cleanup::install_handlers()?;
    match verb {
        Verb::Demo { fault, connections, json, keepalived, heartbeat, chart, lab } => {
            demo::show(&DemoOptions {
                act: fault,
                connections,
                json,
                keepalived,
                heartbeat,
                chart,
                lab: lab.options(),
            })
        }
        Verb::Test { names, long, seed, lab, .. } => {
            scenario::run_all(&TestOptions { names, long, seed, lab: lab.options() })
        }
        Verb::Bench { runs, faults, only, json, lab } => {
            let acts = if faults.is_empty() { bench::USUAL_ACTS.to_vec() } else { faults };
            bench::compare(&BenchOptions { runs, acts, only, json, lab: lab.options() })
        }
        Verb::BenchReplicate { parts, per_second, seconds, states, json, lab } => {
            let sections = if parts.is_empty() { Section::ALL.to_vec() } else { parts };
            let lab = lab.options();
            let options = ReplicateOptions { sections, per_second, seconds, states, json, lab };
            bench_replicate::measure(&options)
        }
        Verb::BenchRouters { routers, advert_ms, seconds, only, json, lab } => {
            let (span, lab) = (Duration::from_secs(seconds), lab.options());
            let options = RoutersOptions { routers, advert_ms, span, only, json, lab };
            bench_routers::measure(&options)
        }
        Verb::Idle { seconds, json, lab } => {
            idle::measure(&lab.options(), Duration::from_secs(seconds), json).map(|()| true)
        }
        Verb::Sweep => {
            println!("{} namespaces removed", cleanup::sweep());
            Ok(true)
        }
    }
}
