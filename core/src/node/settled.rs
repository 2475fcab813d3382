//! Which groups need not be looked at: nothing has changed for them, and nothing is due.
//!
//! With a thousand groups on a node almost every fact concerns one of them. A group that was decided in the
//! same surroundings, that nobody has touched since and whose deadline lies ahead would decide the same again.

use std::hash::{Hash, Hasher};

use super::Node;
use crate::effect::View;
use crate::heartbeat::Hearing;
use crate::ident::GroupId;
use crate::input::Interface;
use crate::time::{Instant, earliest};

/// What all groups decide by, beside the time.
#[derive(Clone, PartialEq, Debug)]
struct Surroundings {
    /// Of each node: the verdict, whether its own heartbeats reach us, whether it hears us.
    sights: Vec<(View, bool, bool)>,
    interfaces: Vec<Interface>,
    /// Of each segment: whether it can be tested, and what is heard on it.
    segments: Vec<(bool, Hearing)>,
    unheard: bool,
    stopping: bool,
    differs: bool,
    partial: bool,
}

/// What is remembered to save work. It follows from the rest: two nodes that differ in it alone are equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Settled {
    surroundings: Option<Surroundings>,
    groups: Vec<Standing>,
}

/// How a group stands.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// Somebody has acted on it since it was decided last.
    touched: bool,
    /// When it wants to be looked at, whatever happens.
    due: Option<Instant>,
}

impl PartialEq for Settled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Settled {}

impl Hash for Settled {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Settled {
    /// Nothing is known of any group: there are others now, or they have other numbers.
    pub fn forget(&mut self) {
        *self = Settled::default();
    }

    /// A group was acted on, and wants to be looked at then.
    pub fn touch(&mut self, group: GroupId, due: Option<Instant>) {
        if let Some(standing) = self.groups.get_mut(group.index()) {
            *standing = Standing { touched: true, due };
        }
    }

    /// A group was decided, and nothing has changed by that.
    pub fn settle(&mut self, group: GroupId) {
        if let Some(standing) = self.groups.get_mut(group.index()) {
            standing.touched = false;
        }
    }

    /// The groups that are to be looked at now, of so many. Groups themselves are large: those that are not
    /// wanted stay where they are, out of the processor's cache.
    pub fn wanted(&self, now: Instant, groups: usize) -> Vec<GroupId> {
        if self.groups.len() != groups {
            return (0..groups).map(GroupId::at).collect();
        }
        let wants = |it: &Standing| it.touched || it.due.is_some_and(|due| due <= now);
        let wanted = self.groups.iter().enumerate().filter(|(_, standing)| wants(standing));
        wanted.map(|(at, _)| GroupId::at(at)).collect()
    }

    /// When the first group wants to be looked at; outer `None` if that has to be asked of the groups.
    pub fn due(&self, groups: usize) -> Option<Option<Instant>> {
        let dues = self.groups.iter().map(|standing| standing.due);
        (self.groups.len() == groups).then(|| dues.fold(None, earliest))
    }
}

impl Node {
    /// Looks whether anything has changed that all groups decide by; if so, each wants to be looked at.
    pub(super) fn look_for_changes(&mut self, now: Instant) {
        let surroundings = self.surroundings(now);
        if self.settled.surroundings.as_ref() == Some(&surroundings) {
            return;
        }
        self.settled.surroundings = Some(surroundings);
        let groups = self.groups.iter().zip(&self.config.groups);
        let standing =
            groups.map(|(group, config)| Standing { touched: true, due: group.deadline(config) });
        self.settled.groups = standing.collect();
    }

    fn surroundings(&self, now: Instant) -> Surroundings {
        let sights = self.sights.iter().map(|sight| (sight.view, sight.fresh, sight.hears_us));
        let segments = self.segments.iter().map(|segment| {
            let tester = &segment.tester;
            (tester.is_running() && tester.neighbours, tester.verdict(now))
        });
        Surroundings {
            sights: sights.collect(),
            interfaces: self.interfaces.clone(),
            segments: segments.collect(),
            unheard: self.unheard_at().is_some_and(|at| at <= now),
            stopping: self.stopping,
            differs: self.differs(now),
            partial: self.partial,
        }
    }
}
