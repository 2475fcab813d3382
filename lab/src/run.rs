//! One measured disturbance: probes and connections run, something is done, and the client's view is recorded.

use std::time::Duration;

use evergate_api::status::PhasesMs;
use serde_json::{Value, json};

use crate::clock::{self, ms};
use crate::control::{Control, GROUP};
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::gap::Record;
use crate::lab::Lab;
use crate::load::{Load, LoadPlan, LoadReport};
use crate::node::Part;
use crate::probe::Probe;
use crate::replication::{Snapshot, Story};
use crate::topology::{CLIENT, CLIENT_TWIN, Gateway, SERVER, Segment};
use crate::watch::{AddressLog, AddressWatch};
use crate::wire::Wire;

/// How long the service may take to come back before a run is given up.
pub const RECOVERY_LIMIT: Duration = Duration::from_secs(15);
/// Undisturbed time before a disturbance and after the recovery.
const CALM: Duration = Duration::from_millis(600);
/// How long the copies of a stateful pair may take to be whole before the disturbance; then it comes anyway.
const WHOLE_LIMIT: Duration = Duration::from_secs(5);
/// Time between two steps of a run's observer.
const STEP: Duration = Duration::from_millis(10);

/// What is done to the active gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Its power is cut.
    Power,
    /// The process that decides is killed; of another make, the whole daemon.
    Daemon,
    /// The process that decides is frozen; of another make, the whole daemon.
    Freeze,
    /// Its uplink is pulled.
    Link,
    /// The service is handed over as planned; of another make, its daemon is stopped.
    Switchover,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Power, Self::Daemon, Self::Freeze, Self::Link, Self::Switchover];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Daemon => "daemon",
            Self::Freeze => "freeze",
            Self::Link => "link",
            Self::Switchover => "switchover",
        }
    }

    /// A sentence for people.
    pub fn describe(self, gateway: Gateway) -> String {
        match self {
            Self::Power => format!("the power of {gateway} is cut"),
            Self::Daemon => format!("the daemon of {gateway} is killed"),
            Self::Freeze => format!("the daemon of {gateway} is frozen"),
            Self::Link => format!("the uplink of {gateway} is pulled"),
            Self::Switchover => format!("{gateway} is asked to hand over"),
        }
    }

    fn fault(self, lab: &Lab, gateway: Gateway) -> Option<Fault> {
        let part = if lab.is_ours(gateway) { Part::Core } else { Part::All };
        match self {
            Self::Power => Some(Fault::Power(gateway)),
            Self::Daemon => Some(Fault::Killed(gateway, part)),
            Self::Freeze => Some(Fault::Frozen(gateway, part)),
            Self::Link => Some(Fault::Carrier(gateway, Segment::Wan)),
            Self::Switchover => None,
        }
    }
}

/// What is measured beside the probes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// TCP connections through the gateways.
    pub connections: usize,
    /// Undisturbed time to show before the disturbance, beyond the usual.
    pub before: Duration,
    /// Time to show after the recovery, beyond the usual.
    pub after: Duration,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was done.
    pub act: Act,
    /// To whom.
    pub victim: Gateway,
    /// Who served at the end, if exactly one did.
    pub successor: Option<Gateway>,
    /// Every probe.
    pub record: Record,
    /// When it was done, on the clock of the record.
    pub at: Duration,
    /// The same in microseconds since 1970 UTC, the clock of the address log.
    pub at_us: u64,
    /// Who held which address when.
    pub addresses: AddressLog,
    /// How the connections fared, if there were any.
    pub load: Option<LoadReport>,
    /// What a stateful pair knew of them; none of plain routers.
    pub story: Option<Story>,
    /// The phases of the handover as the successor tells them.
    pub phases: Option<PhasesMs>,
    /// The dead time in force before, in milliseconds, if a daemon tells it.
    pub dead_time_ms: Option<f64>,
    /// Did the service come back for good?
    pub recovered: bool,
}

/// Told about the progress of a run, from the thread that runs it.
pub trait Observer {
    /// Probes and connections are under way.
    fn started(&mut self, _lab: &Lab) {}
    /// Called every few milliseconds.
    fn step(&mut self, _lab: &Lab, _probe: &Probe, _load: Option<&Load>) {}
    /// Probes are answered again, or are given up; from now on [`Load::spoken`] counts anew.
    fn recovered(&mut self) {}
    /// A stateful pair was looked at: just before the disturbance, and after the recovery.
    fn looked(&mut self, _snapshot: &Snapshot, _load: Option<&Load>) {}
    /// It was done just now.
    fn acted(&mut self, _act: Act, _victim: Gateway) {}
}

/// Observes nothing.
pub struct Silent;

impl Observer for Silent {}

/// Does it to the gateway that serves and records what the client saw. The cluster must be ready.
pub fn run(lab: &mut Lab, act: Act, plan: Plan, observer: &mut dyn Observer) -> Result<Outcome> {
    let victim = lab.wait_one_holder(RECOVERY_LIMIT)?;
    let dead_time_ms = dead_time(lab, victim.other());
    let watch = AddressWatch::start(lab)?;
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(200), RECOVERY_LIMIT)?;
    let wire = lab.firewall().map(|_| Wire::start(&lab.topology)).transpose()?;
    let load = match plan.connections {
        0 => None,
        some => Some(Load::begin(&lab.topology, &load_plan(lab, some)?)?),
    };
    observer.started(lab);
    observe(lab, &probe, load.as_ref(), CALM + plan.before, observer);
    let before = look_before(lab, load.as_ref(), observer)?;
    let (at, at_us) = (probe.elapsed(), clock::wall_us());
    match act.fault(lab, victim) {
        Some(fault) => drop(lab.inflict(&fault)?),
        None => hand_over(lab, victim)?,
    }
    observer.acted(act, victim);
    let recovered = recover(lab, &probe, load.as_ref(), observer);
    load.iter().for_each(Load::mark);
    observer.recovered();
    observe(lab, &probe, load.as_ref(), CALM + plan.after, observer);
    let story = match (wire, before) {
        (Some(wire), Some(before)) => {
            let after = lab.snapshot()?;
            observer.looked(&after, load.as_ref());
            // What is reset from here on would only be the end of the load.
            Some(Story { before, after, sightings: wire.stop() })
        }
        _ => None,
    };
    let load = load.map(Load::stop);
    let record = probe.stop();
    let successor = lab.one_holder()?;
    let phases = successor.and_then(|gateway| phases_of(lab, gateway));
    Ok(Outcome {
        act,
        victim,
        successor,
        recovered: recovered && record.recovered(),
        record,
        at,
        at_us,
        addresses: watch.stop()?,
        load,
        story,
        phases,
        dead_time_ms,
    })
}

/// Busy connections; through a translator from two addresses with the same ports, so that it has to choose others.
fn load_plan(lab: &Lab, connections: usize) -> Result<LoadPlan> {
    let parse = |text: &str| {
        text.parse().map_err(|_| LabError::Usage(format!("`{text}` is no address to connect to")))
    };
    let mut plan = LoadPlan::busy(parse(SERVER)?, connections);
    if lab.firewall().is_some() {
        plan.sources = vec![parse(CLIENT)?, parse(CLIENT_TWIN)?];
    }
    Ok(plan)
}

/// Gives the copies of a stateful pair time to be whole, then looks; none of plain routers.
fn look_before(
    lab: &mut Lab,
    load: Option<&Load>,
    observer: &mut dyn Observer,
) -> Result<Option<Snapshot>> {
    if lab.firewall().is_none() {
        return Ok(None);
    }
    // If they are not, the snapshot says so.
    drop(lab.wait_in_sync(WHOLE_LIMIT));
    let snapshot = lab.snapshot()?;
    observer.looked(&snapshot, load);
    Ok(Some(snapshot))
}

fn hand_over(lab: &mut Lab, from: Gateway) -> Result<()> {
    if !lab.is_ours(from) {
        return lab.stop(from);
    }
    let answer = lab.control(from)?.ask(&["switchover", GROUP])?;
    if answer.code == 0 {
        return Ok(());
    }
    let text = format!("exit code {}: {}{}", answer.code, answer.text, answer.errors);
    Err(LabError::Answer { question: format!("evergate switchover {GROUP}"), text })
}

/// Waits until probes have come back steadily after the disturbance.
fn recover(lab: &Lab, probe: &Probe, load: Option<&Load>, observer: &mut dyn Observer) -> bool {
    /// Answers without such a pause count as steady.
    const PAUSE: Duration = Duration::from_millis(25);
    /// How long they must be steady: longer than the slowest detection of a tuned daemon.
    const STEADY: Duration = Duration::from_millis(400);
    let start = clock::now();
    let mut good_since = clock::now();
    while start.elapsed() < RECOVERY_LIMIT {
        observer.step(lab, probe, load);
        clock::sleep(STEP);
        if probe.silence() > PAUSE {
            good_since = clock::now();
        } else if good_since.elapsed() > STEADY {
            return true;
        }
    }
    false
}

fn observe(
    lab: &Lab,
    probe: &Probe,
    load: Option<&Load>,
    span: Duration,
    observer: &mut dyn Observer,
) {
    let start = clock::now();
    while start.elapsed() < span {
        observer.step(lab, probe, load);
        clock::sleep(STEP);
    }
}

fn phases_of(lab: &Lab, gateway: Gateway) -> Option<PhasesMs> {
    let control = lab.is_ours(gateway).then(|| lab.control(gateway).ok())??;
    Some(control.group().ok()??.last_handover?.phases_ms)
}

/// The dead time that a node applies, from the figures of its `why`.
pub fn dead_time(lab: &Lab, gateway: Gateway) -> Option<f64> {
    let control: Control = lab.is_ours(gateway).then(|| lab.control(gateway).ok())??;
    let why = control.ask(&["why", GROUP, "--json"]).ok()?.json("why").ok()?;
    find_dead_time(&why)
}

fn find_dead_time(value: &Value) -> Option<f64> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, inner)| match inner.as_f64() {
            Some(number) if key.starts_with("dead") && key.ends_with("_ms") => Some(number),
            _ => find_dead_time(inner),
        }),
        Value::Array(items) => items.iter().find_map(find_dead_time),
        _ => None,
    }
}

impl Outcome {
    /// Did the service come back with every connection alive?
    pub fn is_good(&self) -> bool {
        self.recovered && self.load.as_ref().is_none_or(LoadReport::all_alive)
    }

    /// Connections opened at the start.
    pub fn opened(&self) -> usize {
        self.load.as_ref().map_or(0, |load| load.opened)
    }

    /// The client's outage in milliseconds.
    pub fn outage_ms(&self) -> f64 {
        ms(self.record.outage())
    }

    /// Who got which virtual address when, in milliseconds after the disturbance, in order.
    pub fn address_moves(&self) -> Vec<(f64, Gateway, String, bool)> {
        let mut moves = Vec::new();
        for (gateway, changes) in &self.addresses.changes {
            let mut addresses: Vec<&String> =
                changes.iter().map(|change| &change.address).collect();
            addresses.sort();
            addresses.dedup();
            for address in addresses {
                for (from, to) in self.addresses.spans(*gateway, address) {
                    let after = |at: u64| {
                        let micros =
                            i64::try_from(at).unwrap_or(0) - i64::try_from(self.at_us).unwrap_or(0);
                        (micros >= 0).then_some(micros as f64 / 1000.0)
                    };
                    moves.extend(after(from).map(|at| (at, *gateway, address.clone(), true)));
                    if to < self.addresses.end_us {
                        moves.extend(after(to).map(|at| (at, *gateway, address.clone(), false)));
                    }
                }
            }
        }
        moves.sort_by(|one, other| one.0.total_cmp(&other.0));
        moves
    }

    /// The outcome for machines.
    pub fn to_json(&self) -> Value {
        let moves: Vec<Value> = self
            .address_moves()
            .into_iter()
            .map(|(at, node, address, present)| {
                json!({"at_ms": at, "node": node.to_string(), "address": address, "present": present})
            })
            .collect();
        json!({
            "fault": self.act.name(),
            "victim": self.victim.to_string(),
            "active": self.successor.map(|gateway| gateway.to_string()),
            "recovered": self.recovered,
            "outage_ms": self.outage_ms(),
            "probes": {"sent": self.record.samples.len(), "lost": self.record.lost()},
            "gaps": self.record.gaps().iter().map(|gap| json!({
                "from_ms": ms(gap.from) - ms(self.at), "length_ms": ms(gap.length()), "lost": gap.lost,
            })).collect::<Vec<_>>(),
            "connections": self.load.as_ref().map(LoadReport::to_json),
            "stateful": self.story.is_some(),
            "replication": self.story.as_ref().map(|story| story.to_json(self.opened())),
            "phases_ms": self.phases,
            "dead_time_ms": self.dead_time_ms,
            "address_moves": moves,
        })
    }
}
