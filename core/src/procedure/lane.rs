//! The procedures of one group: one transition at a time, one program at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Kind, Occasion, Phase, Plan, Procedure, Program, Run, Transition};
use crate::heartbeat::Role;
use crate::time::Instant;

/// One group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lane {
    plan: Arc<Plan>,
    /// The role of the group now.
    role: Role,
    priority: u8,
    current: Option<Running>,
    /// At most one of each [`Phase`].
    waiting: VecDeque<Transition>,
    /// Whether `activate` was run last, or `deactivate`; not known at the start.
    activated: Option<bool>,
    /// What the programs of `notify` were told last.
    told: Option<Occasion>,
    /// What the FIFO was told last.
    lined: Option<Occasion>,
    skipped: u32,
    /// The group is not configured any more.
    removed: bool,
}

/// A transition whose procedures are run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Running {
    /// Which.
    pub transition: Transition,
    /// The program that runs now.
    pub run: Option<Run>,
    steps: VecDeque<(Procedure, Program)>,
    /// It had any.
    has_steps: bool,
    skipped: u32,
}

impl Default for Lane {
    fn default() -> Self {
        Lane {
            plan: Arc::default(),
            role: Role::Init,
            priority: 0,
            current: None,
            waiting: VecDeque::new(),
            activated: None,
            told: None,
            lined: None,
            skipped: 0,
            removed: false,
        }
    }
}

impl Lane {
    /// What waits is run as the new configuration has it; what is being run goes on.
    pub(super) fn configure(&mut self, plan: Arc<Plan>) {
        self.plan = plan;
        self.removed = false;
        if !self.runs_anything() {
            // What happens meanwhile is not followed.
            (self.activated, self.told) = (None, None);
        }
    }

    pub(super) fn remove(&mut self) {
        self.removed = true;
        self.role = Role::Init;
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed
    }

    /// Whether its plan has any program.
    pub(super) fn runs_anything(&self) -> bool {
        self.plan.runs_anything()
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn priority(&self) -> u8 {
        self.priority
    }

    pub(super) fn set_role(&mut self, role: Role, priority: u8) {
        self.role = role;
        self.priority = priority;
    }

    pub(super) fn run(&self) -> Option<&Run> {
        self.current.as_ref()?.run.as_ref()
    }

    pub(super) fn running(&self) -> Option<(&Running, usize)> {
        self.current.as_ref().map(|running| (running, self.waiting.len()))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    /// Nothing is left to do, and nothing will come.
    pub(super) fn is_over(&self) -> bool {
        self.removed && self.is_idle()
    }

    /// The line that the FIFO gets for a transition, if it says anything new.
    pub(super) fn line(&mut self, group: &str, transition: &Transition) -> Option<String> {
        let occasion = transition.to.occasion().filter(|_| !transition.quiet)?;
        if occasion != Occasion::LowerPriority {
            if self.lined == Some(occasion) {
                return None;
            }
            self.lined = Some(occasion);
        }
        let (kind, priority) = self.names(transition);
        Some(format!("{kind} \"{group}\" {} {priority}", occasion.word()))
    }

    fn names(&self, transition: &Transition) -> (&'static str, u8) {
        match self.plan.kind {
            Kind::Group => ("GROUP", 0),
            Kind::Instance => ("INSTANCE", transition.why.priority),
        }
    }

    /// Queues a transition; returns those that it makes idle.
    pub(super) fn push(&mut self, transition: Transition) -> Vec<Transition> {
        let same = self.waiting.iter().position(|waiting| waiting.to == transition.to);
        let idle: Vec<Transition> =
            same.map_or_else(Vec::new, |at| self.waiting.drain(at..).collect());
        self.skipped = self.skipped.saturating_add(u32::try_from(idle.len()).unwrap_or(u32::MAX));
        self.waiting.push_back(transition);
        idle
    }

    /// The number of the transition that could go on now; `None` while a program runs.
    pub(super) fn ready(&self) -> Option<u64> {
        match &self.current {
            Some(running) if running.run.is_some() => None,
            Some(running) => Some(running.transition.sequence),
            None => self.waiting.front().map(|transition| transition.sequence),
        }
    }

    /// Ends a transition that has no program left; tells how long that took if it had one. Takes up the
    /// next one if there is none.
    pub(super) fn finish(&mut self, group: &str, now: Instant) -> Option<(Transition, Duration)> {
        if self.current.is_none() {
            let transition = self.waiting.pop_front()?;
            let steps = self.steps(group, &transition);
            // What is skipped for one that runs nothing is told with the next.
            let skipped = if steps.is_empty() { 0 } else { std::mem::take(&mut self.skipped) };
            let has_steps = !steps.is_empty();
            self.current = Some(Running { transition, run: None, steps, has_steps, skipped });
        }
        let done = self.current.take_if(|running| running.steps.is_empty())?;
        let took = now.since(done.transition.at);
        done.has_steps.then_some((done.transition, took))
    }

    /// Orders the next program of the transition that is at work.
    pub(super) fn start(&mut self, group: &str, id: u64) -> bool {
        let Some(running) = &mut self.current else { return false };
        let Some((procedure, program)) = running.steps.pop_front() else { return false };
        let (transition, skipped) = (running.transition.clone(), running.skipped);
        let group = group.to_owned();
        running.run = Some(Run { id, group, procedure, program, transition, skipped });
        true
    }

    /// The program has ended.
    pub(super) fn end(&mut self) -> Option<Run> {
        self.current.as_mut()?.run.take()
    }

    /// What a transition runs, now that all before it are through.
    fn steps(&mut self, group: &str, transition: &Transition) -> VecDeque<(Procedure, Program)> {
        let mut steps = VecDeque::new();
        let wanted = match transition.to {
            Phase::LowerHeard => self.activated,
            phase => Some(phase == Phase::Active),
        };
        if wanted != self.activated {
            self.activated = wanted;
            let all =
                if wanted == Some(true) { &self.plan.activate } else { &self.plan.deactivate };
            let name =
                if wanted == Some(true) { Procedure::Activate } else { Procedure::Deactivate };
            let numbered = all.iter().enumerate();
            steps.extend(numbered.map(|(at, program)| (name(at), program.clone())));
        }
        let Some(occasion) = transition.to.occasion().filter(|_| !transition.quiet) else {
            return steps;
        };
        if occasion != Occasion::LowerPriority && self.told.replace(occasion) == Some(occasion) {
            return steps;
        }
        let specific = self.plan.notify.get(&occasion);
        steps.extend(specific.map(|program| (Procedure::Notify(occasion), program.clone())));
        // As keepalived.conf(5) has it: `notify` is called for states, and this is none.
        let any = self.plan.any.as_ref().filter(|_| occasion != Occasion::LowerPriority);
        if let Some(program) = any {
            steps.push_back((
                Procedure::Any(occasion),
                self.with_arguments(group, program, transition),
            ));
        }
        steps
    }

    /// What keepalived adds: what it is, its name, its state, its priority.
    fn with_arguments(&self, group: &str, program: &Program, transition: &Transition) -> Program {
        let (kind, priority) = self.names(transition);
        let word = transition.to.occasion().map_or("", Occasion::word);
        let mut program = program.clone();
        let name = group.to_owned();
        program.words.extend([kind.to_owned(), name, word.to_owned(), priority.to_string()]);
        program
    }
}
