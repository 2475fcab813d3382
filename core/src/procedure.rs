//! Procedures: programs that are run when a group changes its role, in an order that can be relied on.
//!
//! ```text
//!   Standby ── claim ──► Active          activate, then notify `master`
//!   Active ── yields ─► Releasing        deactivate: before the addresses go, and they do not wait
//!   Releasing ────────► Standby, Fault   notify `backup`, `fault`
//!   the daemon ends                      deactivate if that has not been, then notify `stop`
//! ```
//!
//! * Each group has a lane: one program of it runs at a time, and a transition that comes meanwhile waits.
//! * What is superseded while it waits is skipped: from the first that says the same as the newest one, up
//!   to that. So what is left is a history that could have been, in the order in which it was.
//! * What is to run is a level ([`Procedures::orders`]): whoever runs it may die and be replaced.
//! * Lines for the FIFO are never skipped, and do not wait for programs.
//!
//! Nothing here is asked by what decides about addresses, and nothing there waits for this.
mod lane;
mod model;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lane::Lane;
pub use lane::Running;
pub use model::{
    Fact, Kind, Line, Occasion, Outcome, Phase, Plan, Procedure, Program, Run, Told, Transition,
    Why,
};

use crate::Machine;
use crate::heartbeat::Role;
use crate::time::Instant;

/// The most programs of all groups that run at the same time; others wait.
pub const RUNNING_MAX: usize = 64;
/// The most lines for the FIFO that are not handed over yet; the oldest are lost beyond that.
pub const LINES_MAX: usize = 1024;
/// How long the end of the daemon waits for procedures.
pub const END_WITHIN: Duration = Duration::from_secs(10);

/// The procedures of all groups of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Procedures {
    lanes: BTreeMap<String, Lane>,
    lines: VecDeque<Line>,
    fifo: bool,
    next_sequence: u64,
    next_id: u64,
    stopping: bool,
    /// Something may be run now that could not before.
    due: bool,
    /// When nothing is waited for any more.
    end_at: Option<Instant>,
}

impl Procedures {
    /// Nothing yet. Numbers begin with the time, so that no former process has used them.
    pub fn new(now: Instant) -> Self {
        let first = now.as_nanos() / 1_000_000;
        Procedures {
            lanes: BTreeMap::new(),
            lines: VecDeque::new(),
            fifo: false,
            next_sequence: first,
            next_id: first,
            stopping: false,
            due: false,
            end_at: None,
        }
    }

    /// The programs that are to run now, one of a group, in the order of the groups.
    pub fn orders(&self) -> impl Iterator<Item = &Run> {
        self.lanes.values().filter_map(Lane::run)
    }

    /// The lines that are to be written, in their order.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// Whether nothing runs, waits or is to be written.
    pub fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.lanes.values().all(Lane::is_idle)
    }

    /// Whether anybody is told what happens to a group: facts about another one change nothing.
    pub fn follows(&self, group: &str) -> bool {
        self.lanes.contains_key(group)
    }

    /// What a group is at, and how many transitions wait behind that.
    pub fn running(&self, group: &str) -> Option<(&Running, usize)> {
        self.lanes.get(group).and_then(Lane::running)
    }

    fn configure(&mut self, now: Instant, plans: BTreeMap<String, Arc<Plan>>, out: &mut Vec<Told>) {
        let gone: Vec<String> =
            self.lanes.keys().filter(|name| !plans.contains_key(*name)).cloned().collect();
        for (name, plan) in plans {
            if self.fifo || plan.runs_anything() || self.lanes.contains_key(&name) {
                self.lanes.entry(name).or_default().configure(plan);
            }
        }
        for name in gone {
            let why = Why { cause: "configured", text: "the group is removed".into(), priority: 0 };
            self.transition(now, &name, Phase::Stopped, None, why, out);
            if let Some(lane) = self.lanes.get_mut(&name) {
                lane.remove();
            }
        }
    }

    /// Takes a transition of a group that is known.
    fn transition(
        &mut self,
        now: Instant,
        group: &str,
        to: Phase,
        from: Option<Role>,
        why: Why,
        out: &mut Vec<Told>,
    ) {
        let fifo = self.fifo;
        let wants = |lane: &&mut Lane| !lane.is_removed() && (fifo || lane.runs_anything());
        let Some(lane) = self.lanes.get_mut(group).filter(wants) else { return };
        self.due = true;
        // In the end one word is said, and that is `stop`.
        let quiet = self.stopping && to != Phase::Stopped;
        let sequence = self.next_sequence;
        let from = from.unwrap_or(lane.role());
        let transition = Transition { sequence, from, to, at: now, why, quiet };
        if self.fifo
            && let Some(text) = lane.line(group, &transition)
        {
            self.write(text, out);
        }
        let Some(lane) = self.lanes.get_mut(group) else { return };
        self.next_sequence += 1;
        for skipped in lane.push(transition) {
            let group = group.to_owned();
            out.push(Told::Skipped { group, transition: skipped, by: sequence });
        }
    }

    fn write(&mut self, text: String, out: &mut Vec<Told>) {
        let lost = (self.lines.len() + 1).saturating_sub(LINES_MAX);
        self.lines.drain(..lost);
        if lost > 0 {
            out.push(Told::LinesLost(lost));
        }
        self.lines.push_back(Line { id: self.next_id, text });
        self.next_id += 1;
        out.push(Told::Orders);
    }

    fn ended(&mut self, id: u64, outcome: Outcome, out: &mut Vec<Told>) {
        let lines = self.lines.len();
        if !outcome.well && self.lines.iter().any(|line| line.id == id) {
            out.push(Told::LineFailed(outcome.text.clone()));
        }
        // They are written in their order: who has written one has written those before it.
        if self.lines.iter().any(|line| line.id == id) {
            self.lines.retain(|line| line.id > id);
        }
        let lane = self.lanes.values_mut().find(|lane| lane.run().is_some_and(|run| run.id == id));
        if let Some(run) = lane.and_then(Lane::end) {
            out.push(Told::Ended { run, outcome });
            out.push(Told::Orders);
        } else if self.lines.len() != lines {
            out.push(Told::Orders);
        }
        self.due = true;
    }

    /// Orders what may run: of those who wait the oldest first.
    fn proceed(&mut self, now: Instant, out: &mut Vec<Told>) {
        let mut running = self.orders().count();
        loop {
            let ready = self.lanes.iter().filter_map(|(name, lane)| Some((lane.ready()?, name)));
            let Some((_, name)) = ready.min() else { break };
            let name = name.clone();
            let Some(lane) = self.lanes.get_mut(&name) else { break };
            if let Some((transition, took)) = lane.finish(&name, now) {
                out.push(Told::Done { group: name, transition, took });
                continue;
            }
            if running >= RUNNING_MAX {
                break;
            }
            if lane.start(&name, self.next_id) {
                self.next_id += 1;
                running += 1;
                out.push(Told::Orders);
            }
        }
        self.lanes.retain(|_, lane| !lane.is_over());
    }

    fn stopped(&mut self, now: Instant, out: &mut Vec<Told>) {
        self.stopping = true;
        self.end_at = Some(now + END_WITHIN);
        let names: Vec<String> = self.lanes.keys().cloned().collect();
        for name in names {
            let priority = self.lanes.get(&name).map_or(0, Lane::priority);
            let why = Why { cause: "shutdown", text: "this daemon ends".into(), priority };
            self.transition(now, &name, Phase::Stopped, None, why, out);
        }
    }
}

impl Machine for Procedures {
    type Input = Fact;
    type Effect = Told;

    fn handle(&mut self, now: Instant, fact: Fact, out: &mut Vec<Told>) {
        match fact {
            Fact::Configured { plans, fifo } => {
                self.fifo = fifo;
                self.due = true;
                self.configure(now, plans, out);
            }
            Fact::Found { group, role, priority } => {
                if let Some(lane) = self.lanes.get_mut(&group) {
                    lane.set_role(role, priority);
                }
            }
            Fact::Role { group, from, to, holds, why } => {
                if let Some(lane) = self.lanes.get_mut(&group) {
                    lane.set_role(to, why.priority);
                }
                // Who begins with what a former process has left is no standby on the way: what runs
                // is not to be ended for that.
                let begins_active = from == Role::Init && holds;
                if let Some(phase) = Phase::of(to).filter(|_| !begins_active) {
                    self.transition(now, &group, phase, Some(from), why, out);
                }
            }
            Fact::Yields { group, goes, why } => {
                let phase = if goes { Phase::Releasing } else { Phase::Active };
                self.transition(now, &group, phase, None, why, out);
            }
            Fact::LowerHeard { group, why } => {
                self.transition(now, &group, Phase::LowerHeard, None, why, out);
            }
            Fact::Ended { id, outcome } => self.ended(id, outcome, out),
            Fact::Stopping => self.stopping = true,
            Fact::Stopped => self.stopped(now, out),
        }
    }

    /// Orders what may run after all facts of the moment: when a peer dies, many groups change at once.
    fn tick(&mut self, now: Instant, out: &mut Vec<Told>) {
        if std::mem::take(&mut self.due) {
            self.proceed(now, out);
        }
        if self.end_at.is_none_or(|at| now < at) {
            return;
        }
        self.end_at = None;
        if self.is_idle() {
            return;
        }
        let late = self.lanes.iter().filter(|(_, lane)| !lane.is_idle());
        out.push(Told::Abandoned(late.map(|(name, _)| name.clone()).collect()));
        self.lanes.clear();
        self.lines.clear();
        out.push(Told::Orders);
    }

    fn deadline(&self) -> Option<Instant> {
        if self.due { Some(Instant::ZERO) } else { self.end_at }
    }
}
