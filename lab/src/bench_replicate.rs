//! What replication costs and gives: processor time and memory of the daemons, how far a copy is behind, how fast
//! a new one is whole, and what is there at a power cut.

mod beside;
mod conntrackd;
mod cost;
mod lag;
mod takeover;

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::config::Config;
use crate::conntrack::{self, Family};
use crate::error::{LabError, Result};
use crate::figures;
use crate::firewall::Firewall;
use crate::lab::{Lab, Options, Subject};
use crate::terminal::{Screen, Tone};
use crate::topology::Gateway;
use crate::wait::{READY_LIMIT, SYNC_LIMIT};

/// Time for the start to be over.
const SETTLE: Duration = Duration::from_secs(3);
/// How long a closed connection keeps its state here, in seconds: else a long run would fill the table.
const TIME_WAIT_S: &str = "10";
/// Beyond those that are made: our own traffic and what is being closed.
const ROOM: u64 = 100_000;

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Processor time for each connection.
    Processor,
    /// The same of conntrackd in the same lab, if its package can be fetched.
    Conntrackd,
    /// Memory for each state, a resync and a power cut with all of them.
    States,
    /// How far the standby is behind.
    Lag,
    /// What is added to a round trip.
    RoundTrip,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Processor, Self::Conntrackd, Self::States, Self::Lag, Self::RoundTrip];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Conntrackd => "conntrackd",
            Self::States => "states",
            Self::Lag => "lag",
            Self::RoundTrip => "round-trip",
        }
    }
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct ReplicateOptions {
    /// Which parts.
    pub sections: Vec<Section>,
    /// New connections a second.
    pub per_second: u32,
    /// How long each is measured, in seconds.
    pub seconds: u64,
    /// States made for the measurement of memory.
    pub states: u32,
    /// One JSON document instead of the table.
    pub json: bool,
    /// How the labs are built.
    pub lab: Options,
}

/// Measures and prints; true if no connection failed.
pub fn measure(options: &ReplicateOptions) -> Result<bool> {
    let mut screen = Screen::new(options.json);
    let title = format!(
        "   All processes of a daemon: {} connections a second for {} s each, and {} states",
        figures::count(u64::from(options.per_second)),
        options.seconds,
        figures::count(u64::from(options.states)),
    );
    let title = screen.paint(Tone::Strong, &title);
    screen.line(&title);
    let mut all = Vec::new();
    for section in &options.sections {
        screen.live(&format!("   {}", section.name()));
        let done = run(*section, options, &mut |rows| {
            rows.iter().for_each(|row| print(&mut screen, row));
            all.extend(rows);
        });
        match done {
            Err(error @ LabError::Tool { .. }) => {
                screen.line(&format!("   {} skipped: {error}", section.name()));
                all.push(json!({ "what": section.name(), "skipped": error.to_string() }));
            }
            other => other?,
        }
    }
    let good = all.iter().all(|row| row["failed"].as_u64().unwrap_or(0) == 0);
    if options.json {
        println!("{}", Value::from(all));
    }
    Ok(good)
}

/// Measures a part and tells each figure as soon as it is known.
fn run(
    section: Section,
    options: &ReplicateOptions,
    tell: &mut dyn FnMut(Vec<Value>),
) -> Result<()> {
    match section {
        Section::Processor => {
            tell(cost::churn(options, "short", Duration::ZERO)?);
            tell(cost::churn(options, "1 s", Duration::from_secs(1))?);
        }
        Section::Conntrackd => {
            tell(beside::churn(options, "short", Duration::ZERO)?);
            tell(beside::churn(options, "1 s", Duration::from_secs(1))?);
        }
        Section::States => {
            states(options, tell)?;
            make_room(options)?;
            let (lab, active) = pair(options, Config::example())?;
            tell(cost::memory(&lab, active, options, Family::V6)?);
        }
        Section::Lag => {
            tell(lag::lag(options, None)?);
            tell(lag::lag(options, Some("0ms"))?);
        }
        Section::RoundTrip => tell(lag::round_trip(options)?),
    }
    Ok(())
}

/// One pair with many states: their memory, a resync of all, a power cut.
fn states(options: &ReplicateOptions, tell: &mut dyn FnMut(Vec<Value>)) -> Result<()> {
    make_room(options)?;
    let (mut lab, active) = pair(options, Config::example())?;
    tell(cost::memory(&lab, active, options, Family::V4)?);
    tell(vec![takeover::resync(&mut lab, active, options)?]);
    tell(vec![takeover::power_cut(&mut lab, active)?]);
    Ok(())
}

/// Room for all states; it ends with the lab that is built next.
fn make_room(options: &ReplicateOptions) -> Result<()> {
    conntrack::make_room(u64::from(options.states) * 2 + ROOM)
}

/// A stateful pair of gateways of which both are ready; gives who is active.
fn pair(options: &ReplicateOptions, config: Config) -> Result<(Lab, Gateway)> {
    let replicates = config.to_toml().contains("[replicate]");
    let stateful = Some(Firewall::snat());
    let mut lab = Lab::build(Options { stateful, ..options.lab.clone() })?;
    prepare(&lab)?;
    lab.start_all(&Subject::Evergate(config))?;
    let active = lab.wait_ready(READY_LIMIT)?;
    if replicates {
        lab.wait_in_sync(SYNC_LIMIT)?;
    }
    clock::sleep(SETTLE);
    Ok((lab, active))
}

/// What every lab of a measurement has beside its ruleset.
fn prepare(lab: &Lab) -> Result<()> {
    for gateway in lab.gateways() {
        let namespace = lab.topology.gateway(gateway);
        namespace.sysctl("netfilter/nf_conntrack_tcp_timeout_time_wait", TIME_WAIT_S)?;
    }
    Ok(())
}

fn role(gateway: Gateway, active: Gateway) -> &'static str {
    if gateway == active { "active" } else { "standby" }
}

fn print(screen: &mut Screen, row: &Value) {
    let number = |key: &str| row[key].as_f64().unwrap_or(0.0);
    let text = |key: &str| row[key].as_str().unwrap_or("").to_owned();
    let (what, role) = (text("what"), text("role"));
    let lag = || {
        format!(
            "p50 {:.2} ms, p99 {:.2} ms, worst {:.1} ms of {} connections",
            number("p50_ms"),
            number("p99_ms"),
            number("worst_ms"),
            row["connections"],
        )
    };
    screen.line(&match what.as_str() {
        "states" | "states6" => format!(
            "   {what:<8} {role:<8} {:8.1} MB, calm {:6.1} MB {:9.1} bytes a state {:8.1} us a state, {} in the kernel; made in {:.1} s, the standby had all after {:.1} s",
            number("rss_kb") / 1024.0,
            number("calm_rss_kb") / 1024.0,
            number("bytes_per_state"),
            number("cpu_us_per_state"),
            row["states"],
            number("made_s"),
            number("standby_has_all_s"),
        ),
        "resync" => format!(
            "   {what:<17} first copy {:.2} s, all {:.2} s, in sync {:.2} s after the start; live meanwhile: {}, {} failed",
            number("first_copy_s"),
            number("all_s"),
            number("in_sync_s"),
            lag(),
            row["failed"],
        ),
        "power cut" => format!(
            "   {what:<17} {} states, {} in the standby's kernel {:.1} ms after it; address after {:.1} ms; missing {}, differing {}, too many {}",
            row["states"],
            row["counted"],
            number("counted_after_ms"),
            number("address_after_ms"),
            row["missing"],
            row["differing"],
            row["extra"],
        ),
        "round trip" => format!(
            "   {what:<17} {:.3} ms with, {:.3} ms without, {:+.3} ms: medians of {} runs each",
            number("with_ms"),
            number("without_ms"),
            number("added_ms"),
            row["runs"],
        ),
        what if what.starts_with("lag") => format!(
            "   {what:<17} {}; {} gone before they were told, kernel's times: {}",
            lag(),
            row["alone"],
            row["kernel_times"],
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
