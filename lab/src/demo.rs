//! The show: a cluster is built, loaded with traffic, hurt, and its client is asked what it saw.

mod chart;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::clock;
use crate::config::Config;
use crate::control::Follower;
use crate::error::{LabError, Result};
use crate::figures;
use crate::firewall::Firewall;
use crate::lab::{Lab, Options, Subject};
use crate::load::Load;
use crate::peer::PeerConfig;
use crate::probe::Probe;
use crate::replication::Snapshot;
use crate::run::{self, Act, Observer, Plan};
use crate::terminal::{Screen, Tone};
use crate::topology::{Gateway, VIRTUAL_WAN};
use crate::wait::{READY_LIMIT, SYNC_LIMIT};

/// Undisturbed traffic that is shown before the fault.
const SHOW_BEFORE: Duration = Duration::from_millis(1400);
/// Traffic that is shown after the recovery.
const SHOW_AFTER: Duration = Duration::from_millis(1000);
/// Time between two updates of the live line.
const REFRESH: Duration = Duration::from_millis(150);

/// What the demonstration shows.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// What is done to the active gateway.
    pub act: Act,
    /// TCP connections through the gateways.
    pub connections: usize,
    /// Print one JSON document instead of the show.
    pub json: bool,
    /// Show keepalived at its defaults instead of Evergate, to compare.
    pub keepalived: bool,
    /// Another heartbeat than the default, such as `2ms`; with keepalived, the time between its adverts.
    pub heartbeat: Option<String>,
    /// Where the chart goes.
    pub chart: PathBuf,
    /// How the lab is built.
    pub lab: Options,
}

/// Shows it; true if the service recovered and every connection lived.
pub fn show(options: &DemoOptions) -> Result<bool> {
    let mut stage = Stage::new(Screen::new(options.json));
    stage.opening(options);
    // Better to say that something is not built before building the rest.
    if !options.keepalived {
        crate::binaries::Binaries::find(options.lab.bin_dir.as_deref())?;
    }
    let (mut lab, plain) = build(options)?;
    stage.tell("cables", "client, gw1, gw2, server and the switches between them");
    match &plain {
        None if options.keepalived => {}
        None => {
            let text = format!("what has no state is dropped, SNAT to {VIRTUAL_WAN}");
            stage.tell("firewall", &text);
        }
        Some(reason) => stage.tell_as(Tone::Warn, "plain", reason),
    }
    lab.start_all(&subject(options, lab.firewall().is_some()))?;
    let name = if options.keepalived { "keepalived" } else { "evergated" };
    stage.tell("daemons", &format!("{name} runs on gw1 and gw2"));
    let active = lab.wait_ready(READY_LIMIT).inspect_err(|_| eprintln!("{}", lab.log_tails()))?;
    stage.tell("ready", &format!("{active} is active, {} could take over now", active.other()));
    if lab.firewall().is_some() {
        // If the copies are not whole, the show will say so.
        drop(lab.wait_in_sync(SYNC_LIMIT));
    }
    stage.follow(&lab, active.other());
    let plan = Plan { connections: options.connections, before: SHOW_BEFORE, after: SHOW_AFTER };
    let outcome = run::run(&mut lab, options.act, plan, &mut stage)?;
    let drawn = chart::draw(&outcome, name);
    std::fs::write(&options.chart, drawn)
        .map_err(LabError::io(format!("write {}", options.chart.display())))?;
    if options.json {
        let mut document = outcome.to_json();
        document["good"] = json!(outcome.is_good());
        document["subject"] = json!(name);
        document["chart"] = json!(options.chart);
        document["plain_because"] = json!(plain);
        println!("{document}");
    } else {
        report::print(&mut stage.screen, &outcome, &options.chart);
        if !outcome.is_good() {
            eprintln!("{}", lab.log_tails());
        }
    }
    Ok(outcome.is_good())
}

/// A pair that translates and drops what it does not know; plain routers, and why, where that cannot be.
fn build(options: &DemoOptions) -> Result<(Lab, Option<String>)> {
    let plain = || Lab::build(options.lab.clone());
    if options.keepalived {
        return Ok((plain()?, None));
    }
    match Lab::build(Options { stateful: Some(Firewall::snat()), ..options.lab.clone() }) {
        Ok(lab) => Ok((lab, None)),
        Err(error) => {
            // What has failed for another reason fails again.
            let lab = plain()?;
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            let reason = format!("no firewall and no replication, as this fails here: {first}");
            Ok((lab, Some(reason)))
        }
    }
}

fn subject(options: &DemoOptions, stateful: bool) -> Subject {
    if options.keepalived {
        let advert_ms =
            options.heartbeat.as_ref().and_then(|text| text.strip_suffix("ms")?.parse().ok());
        return Subject::Keepalived(advert_ms.map_or_else(PeerConfig::default, PeerConfig::tuned));
    }
    let config = Config::example();
    let config = if stateful { config } else { config.without_table("replicate") };
    Subject::Evergate(match &options.heartbeat {
        Some(heartbeat) => config.with_heartbeat(heartbeat),
        None => config,
    })
}

/// The screen and what it knows of the run.
struct Stage {
    screen: Screen,
    start: Instant,
    refreshed: Instant,
    holder: Option<Gateway>,
    acted: bool,
    recovered: bool,
    events: Option<Follower>,
}

impl Stage {
    fn new(screen: Screen) -> Self {
        let start = clock::now();
        Self {
            screen,
            start,
            refreshed: start,
            holder: None,
            acted: false,
            recovered: false,
            events: None,
        }
    }

    fn opening(&mut self, options: &DemoOptions) {
        let name = if options.keepalived { "keepalived" } else { "Evergate" };
        let title = self.screen.paint(Tone::Strong, &format!("{name}: two gateways, one address"));
        let drawing = [
            "",
            "   client ── lan ──┬── gw1 ──┬── wan ── server",
            "                   └── gw2 ──┘",
            "   10.91.0.10                      10.92.0.10",
            "",
        ];
        self.screen.line("");
        self.screen.line(&format!("   {title}"));
        for line in drawing {
            let line = self.screen.paint(Tone::Quiet, line);
            self.screen.line(&line);
        }
    }

    fn tell(&mut self, what: &str, text: &str) {
        self.tell_as(Tone::Strong, what, text);
    }

    fn tell_as(&mut self, tone: Tone, what: &str, text: &str) {
        let at = format!("{:6.1} s", self.start.elapsed().as_secs_f64());
        let at = self.screen.paint(Tone::Quiet, &at);
        let what = self.screen.paint(tone, &format!("{what:<9}"));
        self.screen.line(&format!("{at}   {what} {text}"));
    }

    /// Follows the events of the node that is to take over; it is the one that lives to tell.
    fn follow(&mut self, lab: &Lab, gateway: Gateway) {
        if lab.is_ours(gateway) {
            self.events = lab.control(gateway).and_then(|control| control.follow()).ok();
        }
    }

    fn tell_events(&mut self) {
        let events = self.events.as_ref().map(Follower::take).unwrap_or_default();
        if !self.acted {
            // What was before the fault is no part of the show.
            return;
        }
        for event in events {
            let node = event.node;
            self.tell_as(Tone::Quiet, &node, &event.text);
        }
    }
}

impl Observer for Stage {
    fn started(&mut self, lab: &Lab) {
        self.holder = lab.one_holder().ok().flatten();
        self.tell("traffic", "one probe each millisecond, and connections that check every byte");
    }

    fn step(&mut self, lab: &Lab, probe: &Probe, load: Option<&Load>) {
        self.tell_events();
        if self.refreshed.elapsed() < REFRESH {
            return;
        }
        self.refreshed = clock::now();
        let holder = lab.one_holder().ok().flatten();
        if holder.is_some() && holder != self.holder {
            self.holder = holder;
            let name = holder.map(|gateway| gateway.to_string()).unwrap_or_default();
            self.tell_as(Tone::Good, "takeover", &format!("{name} holds the addresses and serves"));
        }
        let dot = |gateway: Gateway| match holder {
            Some(active) if active == gateway => {
                self.screen.paint(Tone::Good, &format!("● {gateway}"))
            }
            _ => self.screen.paint(Tone::Quiet, &format!("○ {gateway}")),
        };
        let nodes: Vec<String> = lab.gateways().into_iter().map(dot).collect();
        let (sent, answered) = probe.counts();
        let probes = format!("probes {} of {}", figures::count(answered), figures::count(sent));
        let flow = if probe.silence() > Duration::from_millis(25) {
            self.screen.paint(Tone::Bad, "silence")
        } else {
            self.screen.paint(Tone::Good, "answered")
        };
        let connections = load.map_or_else(String::new, |load| {
            let (open, bytes) = load.counts();
            let alive = if self.recovered { load.spoken() } else { open };
            let (opened, checked) = (load.opened(), figures::bytes(bytes));
            format!("   {alive} of {opened} connections, {checked} checked")
        });
        self.screen
            .live(&format!("           {}   {probes} {flow}{connections}", nodes.join("  ")));
    }

    fn looked(&mut self, snapshot: &Snapshot, load: Option<&Load>) {
        self.tell_events();
        if let Some(load) = load.filter(|_| self.acted) {
            // One that lost its state is not closed: it only never hears an answer again.
            let (spoken, opened) = (load.spoken(), load.opened());
            let tone = if spoken == opened { Tone::Good } else { Tone::Bad };
            let text = format!("{spoken} of {opened} connections had answers since the takeover");
            self.tell_as(tone, "alive", &text);
        }
        let known: Vec<String> = (snapshot.known.iter())
            .map(|(gateway, known)| format!("{gateway} {}", report::known(known.as_ref())))
            .collect();
        let (tone, whole) = match (self.acted, snapshot.is_whole()) {
            (true, _) => (Tone::Strong, ""),
            (false, true) => (Tone::Good, "; whole"),
            (false, false) => (Tone::Bad, "; not whole"),
        };
        self.tell_as(tone, "known", &(known.join(", ") + whole));
    }

    fn recovered(&mut self) {
        self.recovered = true;
    }

    fn acted(&mut self, act: Act, victim: Gateway) {
        self.acted = true;
        self.tell_as(Tone::Warn, "fault", &act.describe(victim));
    }
}
