//! Procedures: the machine that decides what is run is told what has happened, and the runner what is to run.
//!
//! Nothing here waits: orders are left for a thread that hands them over, once the adverts, the addresses
//! and the announcements of the moment are under way.

use std::time::Duration;

use evergate_core::effect::{Cause, Note};
use evergate_core::group::Group;
use evergate_core::heartbeat::Role;
use evergate_core::ident::GroupId;
use evergate_core::procedure::{Fact, Outcome, Phase, Run, Told, Why};
use evergate_core::{Instant, Machine};

use super::Drive;
use crate::checks::News;
use crate::facts::LastProcedure;
use crate::observe::procedure_event;
use crate::procedures::{Ended, Job, Work};
use crate::sys::ready::Ready;
use crate::wall_clock::WallClock;
use crate::words;

/// How often the end looks whether procedures are through.
const END_TURN_NS: u64 = 50_000_000;

impl Drive {
    /// Takes over the procedures of the configuration.
    pub(super) fn configure_procedures(&mut self, now: Instant) {
        let (plans, fifo) = (self.layout.plans.clone(), self.layout.fifo.is_some());
        self.facts.procedures.retain(|name, _| plans.contains_key(name));
        self.tell_procedures(now, Fact::Configured { plans, fifo });
        for position in 0..self.layout.core.groups.len() {
            let id = GroupId::at(position);
            let Some(group) = self.followed(id) else { continue };
            let role = self.node.groups().get(position).map_or(Role::Init, Group::role);
            let priority = self.priority_of(id);
            self.tell_procedures(now, Fact::Found { group, role, priority });
        }
        self.new_work = true;
    }

    /// Passes on what procedures are run for.
    pub(super) fn note_for_procedures(&mut self, now: Instant, note: &Note) {
        match *note {
            Note::Role { group, from, to, cause } => {
                let Some(name) = self.followed(group) else { return };
                let holds = self.node.groups().get(group.index()).is_some_and(|g| g.holds());
                let (group, why) = (name, self.why_of(group, cause));
                self.tell_procedures(now, Fact::Role { group, from, to, holds, why });
            }
            Note::Yields { group, to } => {
                let Some(name) = self.followed(group) else { return };
                let why = match to {
                    Some(node) => self.why_of(group, Cause::HandsOver(node)),
                    None => Why {
                        cause: "handover-failed",
                        text: "the handover came to nothing".to_owned(),
                        priority: self.priority_of(group),
                    },
                };
                let (group, goes) = (name, to.is_some());
                self.tell_procedures(now, Fact::Yields { group, goes, why });
            }
            _ => {}
        }
    }

    /// An active router of another make with a lower priority was heard.
    pub(super) fn lower_heard(&mut self, now: Instant, group: GroupId) {
        let Some(name) = self.followed(group) else { return };
        let why = Why {
            cause: "lower-heard",
            text: "another router claims the group with a lower priority".to_owned(),
            priority: self.priority_of(group),
        };
        self.tell_procedures(now, Fact::LowerHeard { group: name, why });
    }

    /// The name of a group if anything is run or written when its role changes: with a thousand groups, to
    /// say why for nobody takes longer than all else.
    fn followed(&self, group: GroupId) -> Option<String> {
        let name = &self.layout.core.groups[group.index()].name;
        self.procedures.follows(name).then(|| name.clone())
    }

    fn why_of(&self, group: GroupId, cause: Cause) -> Why {
        let text = words::cause(&self.layout.core, cause);
        Why { cause: words::cause_code(cause), text, priority: self.priority_of(group) }
    }

    fn priority_of(&self, group: GroupId) -> u8 {
        let config = &self.layout.core;
        if self.next_layout.is_some() {
            // The machine counts by the next configuration already.
            let base = config.groups[group.index()].priority(config.me);
            return base.map_or(0, |priority| priority.get());
        }
        let now = super::instant_now();
        let priority = self.node.with_scene(now, group, |scene, group| group.priority(scene));
        priority.map_or(0, |priority| priority.get())
    }

    /// Tells the machine of procedures a fact, and takes note of what follows.
    pub(super) fn tell_procedures(&mut self, now: Instant, fact: Fact) {
        let mut told = Vec::new();
        self.procedures.handle(now, fact, &mut told);
        self.heed_procedures(now, told);
    }

    fn heed_procedures(&mut self, now: Instant, told: Vec<Told>) {
        for told in told {
            match told {
                Told::Orders => self.new_work = true,
                Told::Ended { run, outcome } => self.procedure_ended(now, run, outcome),
                Told::Skipped { group, transition, by } => {
                    let facts = self.facts.procedures.entry(group.clone()).or_default();
                    facts.skipped = facts.skipped.saturating_add(1);
                    let text = format!(
                        "{group}: nothing is run for transition {} ({}), which transition {by} has made idle",
                        transition.sequence,
                        words::phase(transition.to)
                    );
                    self.say_procedure(now, &group, transition.why.cause, true, text);
                }
                Told::Done { group, transition, took } => {
                    if transition.to == Phase::Active {
                        self.procedures_took(&group, took);
                    }
                }
                Told::LinesLost(count) => {
                    self.complain(&format!(
                        "{count} lines for the FIFO were lost: the runner does not take them"
                    ));
                }
                Told::LineFailed(why) => self.complain(&why),
                Told::Abandoned(groups) => self.complain(&format!(
                    "the daemon ends before the procedures of {} are through",
                    groups.join(", ")
                )),
            }
        }
    }

    fn procedure_ended(&mut self, now: Instant, run: Run, outcome: Outcome) {
        let name = words::procedure(run.procedure);
        let text = format!(
            "{}: {name} ({}) of transition {} ({}): {} after {}",
            run.group,
            run.program.words[0],
            run.transition.sequence,
            words::phase(run.transition.to),
            outcome.text,
            words::span(outcome.took)
        );
        self.say_procedure(now, &run.group, run.transition.why.cause, outcome.well, text);
        let facts = self.facts.procedures.entry(run.group).or_default();
        facts.begin(&run.transition);
        facts.ended.push(LastProcedure { name, at: now, outcome });
    }

    fn say_procedure(
        &mut self,
        now: Instant,
        group: &str,
        cause: &'static str,
        well: bool,
        text: String,
    ) {
        let draft = procedure_event(now, group, cause, well, text);
        if let Some(draft) = self.observer.limited(now, group, draft) {
            self.tell(draft);
        }
    }

    /// The last phase of a takeover.
    fn procedures_took(&mut self, group: &str, took: Duration) {
        let position = self.layout.core.groups.iter().position(|known| known.name == group);
        let Some(handover) = position.and_then(|at| self.facts.handovers.get_mut(&GroupId::at(at)))
        else {
            return;
        };
        let phases = &mut handover.phases_ms;
        let took = words::millis(took);
        phases.procedures = Some(took);
        // They run while the addresses are announced.
        let rest = phases.total.unwrap_or(0.0) - phases.announce.unwrap_or(0.0);
        phases.total = Some(rest + took.max(phases.announce.unwrap_or(0.0)));
    }

    /// A program has ended, or a line was written.
    pub(super) fn work_ended(&mut self, now: Instant, ended: Ended) {
        let Ended { id, well, text, status, took } = ended;
        let outcome = Outcome { well, text, status, took };
        self.tell_procedures(now, Fact::Ended { id, outcome });
    }

    /// Leaves the newest list for the runner, if there is a newer one.
    pub(super) fn order_work(&mut self, now: Instant) {
        let mut told = Vec::new();
        self.procedures.tick(now, &mut told);
        self.heed_procedures(now, told);
        if !std::mem::take(&mut self.new_work) {
            return;
        }
        for run in self.procedures.orders() {
            let facts = self.facts.procedures.entry(run.group.clone()).or_default();
            facts.begin(&run.transition);
        }
        for (group, facts) in &mut self.facts.procedures {
            let running = self.procedures.running(group);
            facts.waiting = running.map_or(0, |(_, waiting)| waiting);
            let run = running.and_then(|(running, _)| running.run.as_ref());
            facts.running = run.map(|run| words::procedure(run.procedure));
        }
        let Some(runner) = &self.runner else { return };
        let clock = WallClock::now();
        let job = |run: &Run| job(run, self.layout.me(), &clock);
        let jobs = self.procedures.orders().map(job).collect();
        let lines = self.procedures.lines().map(|line| (line.id, line.text.clone())).collect();
        runner.work(Work { jobs, fifo: self.layout.fifo.clone(), lines });
    }

    /// The addresses are gone: what is left to be run is waited for, so long and no longer.
    pub(super) fn finish_procedures(&mut self) -> std::io::Result<()> {
        let mut ready = Ready::default();
        loop {
            let now = super::instant_now();
            while let Ok(news) = self.check_news.try_recv() {
                if let News::Ended(ended) = news {
                    self.work_ended(now, ended);
                }
            }
            self.order_work(now);
            if self.procedures.is_idle() {
                return Ok(());
            }
            self.rest(&mut ready, END_TURN_NS)?;
        }
    }
}

/// What the runner is told of a program: all that is known of the transition too, twice.
fn job(run: &Run, node: &str, clock: &WallClock) -> Job {
    let transition = &run.transition;
    let told = serde_json::json!({
        "schema": 1,
        "node": node,
        "group": run.group,
        "procedure": words::procedure(run.procedure),
        "sequence": transition.sequence,
        "from": words::state(transition.from).as_str(),
        "to": words::phase(transition.to),
        "cause": transition.why.cause,
        "text": transition.why.text,
        "priority": transition.why.priority,
        "time": clock.rfc3339(transition.at),
        "skipped": run.skipped,
    });
    let variables = [
        ("EVERGATE_GROUP", run.group.clone()),
        ("EVERGATE_PROCEDURE", words::procedure(run.procedure)),
        ("EVERGATE_SEQUENCE", transition.sequence.to_string()),
        ("EVERGATE_FROM", words::state(transition.from).as_str().to_owned()),
        ("EVERGATE_TO", words::phase(transition.to).to_owned()),
        ("EVERGATE_CAUSE", transition.why.cause.to_owned()),
        ("EVERGATE_PRIORITY", transition.why.priority.to_string()),
    ];
    Job {
        id: run.id,
        group: run.group.clone(),
        words: run.program.words.clone(),
        user: run.program.user.clone(),
        user_group: run.program.user_group.clone(),
        timeout: run.program.timeout,
        environment: variables.map(|(name, value)| (name.to_owned(), value)).into(),
        input: format!("{told}\n"),
    }
}

#[cfg(test)]
mod tests {
    use evergate_core::heartbeat::Role;

    use super::*;
    use crate::drive::tests::Bed;

    #[test]
    fn a_program_is_told_all_of_the_transition_in_its_environment_and_as_json() {
        let mut bed = Bed::with(
            "[group.g]\nactivate = [\"exec:/bin/up x\"]\n\
             procedures = { user = \"root\", timeout = \"5s\" }\n[group.g.router.lan]\n\
             interface = \"evg-lan\"\nvrid = 51\naddresses = [\"192.0.2.1/24\"]\n",
        );
        let why = Why { cause: "died", text: "gw2 is dead".into(), priority: 200 };
        let (from, to) = (Role::Claiming, Role::Active);
        let fact = Fact::Role { group: "g".into(), from, to, holds: true, why };
        bed.drive.tell_procedures(Instant::from_nanos(1), fact);
        bed.drive.order_work(Instant::from_nanos(1));
        let run = bed.drive.procedures.orders().next().expect("it is run").clone();
        let job = job(&run, "gw1", &WallClock::new(Instant::ZERO, 0));
        assert_eq!(job.words, ["/bin/up", "x"]);
        assert_eq!((job.user.as_str(), job.timeout), ("root", Duration::from_secs(5)));
        let sequence = run.transition.sequence;
        let told: serde_json::Value = serde_json::from_str(&job.input).expect("it is JSON");
        let expected = serde_json::json!({
            "schema": 1, "node": "gw1", "group": "g", "procedure": "activate 1",
            "sequence": sequence, "from": "claiming", "to": "active", "cause": "died",
            "text": "gw2 is dead", "priority": 200, "time": "1970-01-01T00:00:00.000Z",
            "skipped": 0,
        });
        assert_eq!(told, expected);
        let variable = |name: &str| {
            job.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(variable("EVERGATE_SEQUENCE"), Some(sequence.to_string().as_str()));
        assert_eq!(variable("EVERGATE_CAUSE"), Some("died"));
        assert_eq!(variable("EVERGATE_PROCEDURE"), Some("activate 1"));
    }
}
