//! Many reloads by chance, under traffic: what the plan did not announce does not happen.

mod shape;

use std::collections::BTreeMap;
use std::time::Duration;

use evergate_api::control::{Event, ReloadReply};

use self::shape::Shape;
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::control::GROUP;
use crate::dice::Dice;
use crate::error::{LabError, Result};
use crate::lab::{Lab, Subject};
use crate::probe::Probe;
use crate::topology::{GW1, GW2, Gateway, SERVER};
use crate::wait::READY_LIMIT;
use crate::watch::{AddressLog, AddressWatch, Change};

/// Reloads of the short scenario and of the long one.
const FEW: usize = 25;
const MANY: usize = 100;
/// Files that are tried until one is valid.
const TRIES_MAX: usize = 200;
/// The longest time between the reloads of the two nodes, and after a reload that moves nothing, in milliseconds.
const APART_MAX_MS: usize = 200;
const AFTER_MAX_MS: usize = 400;
/// What a group with a delayed failback takes until it has moved, and whatever else was announced.
const MOVED: Duration = Duration::from_millis(2_500);
/// Every so often the pair is waited for to be ready.
const READY_EVERY: usize = 5;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "reloads-by-chance",
        shows: "25 random valid reloads under traffic: no address blinks, nothing moves unannounced, no probe is lost",
        needs: Needs::Daemon,
        long: false,
        test: |bed| reloads(bed, FEW),
    },
    Scenario {
        name: "reloads-by-chance-hundred",
        shows: "100 random valid reloads under traffic, likewise",
        needs: Needs::Daemon,
        long: true,
        test: |bed| reloads(bed, MANY),
    },
];

/// One reload, and what the nodes had said that it would do.
struct Step {
    turned: Vec<&'static str>,
    config: Config,
    plans: BTreeMap<Gateway, Vec<String>>,
    from_us: u64,
    to_us: u64,
}

impl Step {
    fn says(&self, gateway: Gateway, is_so: impl Fn(&str) -> bool) -> bool {
        self.plans.get(&gateway).is_some_and(|plan| plan.iter().any(|line| is_so(line)))
    }

    /// Whether any node's plan says that this group may change hands: it comes or goes, or other priorities count.
    fn moves(&self, group: &str) -> bool {
        let (add, remove) = (format!("add group {group}"), format!("remove group {group}"));
        let whole = [format!("group {group}: priority of"), format!("group {group}: failback")];
        let is_so = |line: &str| {
            line == add
                || line == remove
                || whole.iter().any(|begin| line.starts_with(begin.as_str()))
                || (line.starts_with("node ") && line.contains(": priority: "))
        };
        [GW1, GW2].into_iter().any(|gateway| self.says(gateway, is_so))
    }

    fn told(&self) -> String {
        let plan: Vec<String> = self.plans.values().next().cloned().unwrap_or_default();
        format!(
            "turned {:?}; the plan: {}\n{}",
            self.turned,
            plan.join("; "),
            self.config.to_toml()
        )
    }
}

fn reloads(bed: &Bed, count: usize) -> Result<()> {
    let seed = bed.seed();
    println!("      {count} reloads, seed {seed} (evergate-lab test --seed {seed} repeats them)");
    let mut walk = Walk::start(bed, seed)?;
    let probe = Probe::start(&walk.lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(300), READY_LIMIT)?;
    let (since, watch) = (probe.elapsed(), AddressWatch::start(&walk.lab)?);
    let mut steps = Vec::new();
    for number in 0..count {
        let step = walk.step(number).map_err(|error| walk.explain(number, &error))?;
        claim_announced(&walk.take_events()?, &step)
            .map_err(|error| walk.explain(number, &error))?;
        steps.push(step);
    }
    walk.lab.wait_ready(READY_LIMIT)?;
    let (log, record) = (watch.stop()?, probe.stop());
    for (number, step) in steps.iter().enumerate() {
        claim_no_blink(&log, step).map_err(|error| walk.explain(number, &error))?;
    }
    println!("      {} files were no valid ones and were not taken", walk.refused);
    let lost = record.lost_since(since);
    claim(lost == 0, || {
        format!(
            "seed {seed}: {lost} probes lost, gaps {:?}\n{}",
            record.gaps(),
            walk.lab.log_tails()
        )
    })
}

/// A pair on its way from file to file.
struct Walk {
    lab: Lab,
    seed: u64,
    dice: Dice,
    shape: Shape,
    seen: BTreeMap<Gateway, u64>,
    refused: usize,
}

impl Walk {
    fn start(bed: &Bed, seed: u64) -> Result<Self> {
        let shape = Shape::example();
        let (lab, _) = bed.cluster(shape.config())?;
        let (dice, seen) = (Dice::new(seed), BTreeMap::new());
        let mut walk = Self { lab, seed, dice, shape, seen, refused: 0 };
        walk.take_events()?;
        Ok(walk)
    }

    fn explain(&self, number: usize, error: &LabError) -> LabError {
        let (seed, tails) = (self.seed, self.lab.log_tails());
        LabError::Claim(format!("seed {seed}, reload {number}: {error}\n{tails}"))
    }

    /// Another file, checked, planned and taken by both nodes, in either order.
    fn step(&mut self, number: usize) -> Result<Step> {
        let (turned, config) = self.draw()?;
        let mut order = [GW1, GW2];
        if self.dice.below(2) == 0 {
            order.reverse();
        }
        let mut plans = BTreeMap::new();
        for gateway in order {
            self.lab.write_config(gateway, &config)?;
            plans.insert(gateway, self.plan(gateway)?);
        }
        let mut step = Step { turned, config, plans, from_us: clock::wall_us(), to_us: 0 };
        for gateway in order {
            self.lab.reload(gateway, &Subject::Evergate(step.config.clone()))?;
            self.rest(APART_MAX_MS);
        }
        self.settle(number, &step)?;
        step.to_us = clock::wall_us();
        Ok(step)
    }

    fn rest(&mut self, longest_ms: usize) {
        let millis = self.dice.below(longest_ms);
        clock::sleep(Duration::from_millis(millis.try_into().unwrap_or(0)));
    }

    /// The next file that `evergate check` takes.
    fn draw(&mut self) -> Result<(Vec<&'static str>, Config)> {
        for _ in 0..TRIES_MAX {
            let (shape, turned) = self.shape.turned(&mut self.dice);
            let config = shape.config();
            let path = self.lab.write_config(GW1, &config)?;
            let answer = self.lab.control(GW1)?.ask(&["check", &path.to_string_lossy()])?;
            match answer.code {
                0 | 1 if shape != self.shape => {
                    self.shape = shape;
                    return Ok((turned, config));
                }
                _ => self.refused += 1,
            }
        }
        Err(LabError::Claim(format!("none of {TRIES_MAX} files is valid")))
    }

    fn plan(&self, gateway: Gateway) -> Result<Vec<String>> {
        let answer = self.lab.control(gateway)?.ask(&["reload", "--plan", "--json"])?;
        let reply: ReloadReply = serde_json::from_value(answer.json("evergate reload --plan")?)
            .map_err(|error| LabError::Claim(format!("no plan: {error}: {}", answer.text)))?;
        claim(reply.errors.is_empty(), || format!("{gateway} refuses: {:?}", reply.errors))?;
        Ok(reply.plan)
    }

    /// Waits until what was announced is over; a while if nothing was.
    fn settle(&mut self, number: usize, step: &Step) -> Result<()> {
        let (first, second) = self.shape.priorities();
        let preferred = if first > second { GW1 } else { GW2 };
        if step.moves(GROUP) && self.shape.goes_back() {
            let what = format!("{preferred} to be active and all to be ready");
            let pause = Duration::from_millis(20);
            return clock::wait_for(&what, READY_LIMIT, pause, || {
                Ok((self.lab.wait_ready(READY_LIMIT)? == preferred).then_some(()))
            });
        }
        let names = ["alpha", "zeta", "omega", GROUP];
        if names.iter().any(|group| step.moves(group)) {
            clock::sleep(MOVED);
        }
        if number.is_multiple_of(READY_EVERY) {
            return self.lab.wait_ready(READY_LIMIT).map(drop);
        }
        self.rest(AFTER_MAX_MS);
        Ok(())
    }

    /// What the nodes have told since the last time.
    fn take_events(&mut self) -> Result<Vec<Event>> {
        let mut all = Vec::new();
        for gateway in self.lab.gateways() {
            let last = self.seen.get(&gateway).copied().unwrap_or(0);
            let events = self.lab.control(gateway)?.events()?;
            let new: Vec<Event> = events.into_iter().filter(|event| event.seq > last).collect();
            let newest = new.last().map_or(last, |event| event.seq);
            self.seen.insert(gateway, newest);
            all.extend(new);
        }
        Ok(all)
    }
}

/// No group has changed its role but those of which the plan said so.
fn claim_announced(events: &[Event], step: &Step) -> Result<()> {
    for event in events.iter().filter(|event| event.event == "state") {
        let group = event.group.as_deref().unwrap_or_default();
        claim(step.moves(group), || {
            format!(
                "{} {}: {}, which was not announced; {}",
                event.time,
                event.node,
                event.text,
                step.told()
            )
        })?;
    }
    let alarms = ["alarm", "address"];
    for event in events.iter().filter(|event| alarms.contains(&event.event.as_str())) {
        println!("      {} {}: {}", event.time, event.node, event.text);
    }
    Ok(())
}

/// The group of an address of these files.
fn group_of(address: &str) -> &'static [&'static str] {
    match address {
        "10.91.0.61" | "10.92.0.61" => &["alpha"],
        "10.92.0.71" => &["zeta", "omega"],
        _ => &[GROUP],
    }
}

/// Each address stayed where it was, but for those that the plan names.
fn claim_no_blink(log: &AddressLog, step: &Step) -> Result<()> {
    for (gateway, changes) in &log.changes {
        let within = |change: &&Change| (step.from_us..step.to_us).contains(&change.at_us);
        for removed in changes.iter().filter(within).filter(|change| !change.present) {
            let address = removed.address.as_str();
            if group_of(address).iter().any(|group| step.moves(group)) {
                continue;
            }
            let (gone, anew) = (format!("remove {address}/"), format!("{address}/"));
            let is_moved =
                |line: &str| line.contains("addresses move from") || line.contains(": interface: ");
            let removal = |line: &str| {
                line.contains(&gone) || (is_moved(line) && address.starts_with("10.92.0.71"))
            };
            claim(step.says(*gateway, removal), || {
                format!(
                    "{address} was removed on {gateway}, which was not announced; {}",
                    step.told()
                )
            })?;
            let back = changes.iter().filter(within).any(|change| {
                change.present && change.at_us > removed.at_us && change.address == address
            });
            let again =
                |line: &str| is_moved(line) || (line.contains(&anew) && line.contains("add"));
            claim(!back || step.says(*gateway, again), || {
                format!(
                    "{address} was removed on {gateway} and added again, which was not announced; {}",
                    step.told()
                )
            })?;
        }
    }
    Ok(())
}
