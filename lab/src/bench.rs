//! Side by side with the peer: the same lab, the same faults, the same client.

use serde_json::{Value, json};

use crate::config::Config;
use crate::error::Result;
use crate::figures::{median, millis, worst};
use crate::lab::{Lab, Options, Subject};
use crate::peer::PeerConfig;
use crate::run::{self, Act, Plan, Silent};
use crate::terminal::{Screen, Tone};
use crate::wait::READY_LIMIT;

/// The faults that are compared unless told otherwise.
pub const USUAL_ACTS: [Act; 3] = [Act::Power, Act::Link, Act::Switchover];

/// What is compared.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// Runs of each cell.
    pub runs: usize,
    /// The faults.
    pub acts: Vec<Act>,
    /// Only subjects whose name contains this.
    pub only: Option<String>,
    /// Print one JSON document instead of the table.
    pub json: bool,
    /// How the labs are built.
    pub lab: Options,
}

/// One program with one configuration.
struct Entrant {
    name: &'static str,
    subject: Subject,
    /// The entrant of ours that it is compared with.
    rival: Option<&'static str>,
}

fn entrants() -> Vec<Entrant> {
    let ours = |name, config| Entrant { name, subject: Subject::Evergate(config), rival: None };
    let peer = |name, config, rival| Entrant {
        name,
        subject: Subject::Keepalived(config),
        rival: Some(rival),
    };
    vec![
        ours("evergate default", Config::example()),
        ours("evergate 2 ms", Config::example().with_heartbeat("2ms")),
        peer("keepalived 1 s", PeerConfig::default(), "evergate default"),
        peer("keepalived 10 ms", PeerConfig::tuned(10), "evergate 2 ms"),
    ]
}

/// The runs of one entrant under one fault.
struct Cell {
    entrant: &'static str,
    rival: Option<&'static str>,
    act: Act,
    outages_ms: Vec<f64>,
    lost: Vec<f64>,
    dead_time_ms: Option<f64>,
    failures: Vec<String>,
}

/// Runs the comparison and prints it; true if no run failed.
pub fn compare(options: &BenchOptions) -> Result<bool> {
    let mut screen = Screen::new(options.json);
    let mut cells = Vec::new();
    for act in &options.acts {
        for entrant in entrants() {
            let wanted = options.only.as_ref().is_none_or(|part| entrant.name.contains(part));
            if wanted {
                cells.push(measure(options, &entrant, *act, &mut screen)?);
            }
        }
    }
    if options.json {
        println!(
            "{}",
            Value::from(cells.iter().map(|cell| to_json(cell, &cells)).collect::<Vec<_>>())
        );
    } else {
        table(&mut screen, &cells, options.runs);
    }
    Ok(cells.iter().all(|cell| cell.failures.is_empty()))
}

fn measure(
    options: &BenchOptions,
    entrant: &Entrant,
    act: Act,
    screen: &mut Screen,
) -> Result<Cell> {
    let mut cell = Cell {
        entrant: entrant.name,
        rival: entrant.rival,
        act,
        outages_ms: Vec::new(),
        lost: Vec::new(),
        dead_time_ms: None,
        failures: Vec::new(),
    };
    for number in 1..=options.runs {
        screen.live(&format!(
            "   {} under {}: run {number} of {}",
            entrant.name,
            act.name(),
            options.runs
        ));
        // A fresh lab for every run: no run inherits what another has left.
        let mut lab = Lab::build(options.lab.clone())?;
        lab.start_all(&entrant.subject)?;
        let outcome = lab
            .wait_ready(READY_LIMIT)
            .and_then(|_| run::run(&mut lab, act, Plan::default(), &mut Silent));
        match outcome {
            Ok(outcome) if outcome.recovered => {
                cell.outages_ms.push(outcome.outage_ms());
                cell.lost.push(outcome.record.lost() as f64);
                cell.dead_time_ms = outcome.dead_time_ms.or(cell.dead_time_ms);
            }
            Ok(_) => cell.failures.push("the service did not come back".to_owned()),
            Err(error) => cell.failures.push(error.to_string()),
        }
    }
    Ok(cell)
}

/// How many times longer the peer's outage is than that of its rival of ours.
fn ratio(cell: &Cell, cells: &[Cell]) -> Option<f64> {
    let rival = cells.iter().find(|one| Some(one.entrant) == cell.rival && one.act == cell.act)?;
    let (theirs, ours) = (median(&cell.outages_ms)?, median(&rival.outages_ms)?);
    (ours > 0.0).then(|| theirs / ours)
}

fn to_json(cell: &Cell, cells: &[Cell]) -> Value {
    json!({
        "subject": cell.entrant, "fault": cell.act.name(),
        "median_ms": median(&cell.outages_ms), "worst_ms": worst(&cell.outages_ms),
        "outages_ms": cell.outages_ms, "median_lost": median(&cell.lost),
        "dead_time_ms": cell.dead_time_ms, "ratio": ratio(cell, cells), "failures": cell.failures,
    })
}

fn table(screen: &mut Screen, cells: &[Cell], runs: usize) {
    screen.line("");
    let title = format!("   The client's outage, {runs} runs each, 1 ms between probes");
    let title = screen.paint(Tone::Strong, &title);
    screen.line(&title);
    screen.line("");
    let head = format!(
        "   {:<11} {:<18} {:>11} {:>11} {:>12} {:>10} {:>8}",
        "fault", "program", "median", "worst", "probes lost", "dead time", "ratio"
    );
    let head = screen.paint(Tone::Quiet, &head);
    screen.line(&head);
    for cell in cells {
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), millis);
        let lost = median(&cell.lost).map_or("-".to_owned(), |lost| format!("{lost:.0}"));
        let ratio = ratio(cell, cells).map_or(String::new(), |ratio| format!("{ratio:.1}x"));
        screen.line(&format!(
            "   {:<11} {:<18} {:>11} {:>11} {lost:>12} {:>10} {ratio:>8}",
            cell.act.name(),
            cell.entrant,
            figure(median(&cell.outages_ms)),
            figure(worst(&cell.outages_ms)),
            figure(cell.dead_time_ms),
        ));
        for failure in &cell.failures {
            let text = format!("               failed: {failure}");
            let text = screen.paint(Tone::Bad, &text);
            screen.line(&text);
        }
    }
    screen.line("");
    screen.line(
        "   The ratio compares keepalived at 1 s with our default and at 10 ms with our 2 ms.",
    );
}
