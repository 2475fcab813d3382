//! Which groups need not be looked at: nothing has changed for them, and nothing is due.
//!
//! With a thousand groups on a node almost every fact concerns one of them. A group that was decided in the
//! same surroundings, that nobody has touched since and whose deadline lies ahead would decide the same again.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::Node;
use crate::config::GroupConfig;
use crate::effect::View;
use crate::group::{Group, State};
use crate::heartbeat::Hearing;
use crate::ident::{GroupId, NodeId};
use crate::input::Interface;
use crate::time::Instant;

/// What all groups decide by, beside the time.
#[derive(Clone, PartialEq, Debug)]
struct Surroundings {
    /// Of each node: the verdict, whether its own heartbeats reach us, whether it hears us.
    sights: Vec<(View, bool, bool)>,
    interfaces: Vec<Interface>,
    /// Of each segment: whether it can be tested, and what is heard on it.
    segments: Vec<(bool, Hearing)>,
    flags: Flags,
}

/// What a scene says of the node itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Flags {
    unheard: bool,
    stopping: bool,
    differs: bool,
    partial: bool,
}

/// What is remembered to save work. It follows from the rest: two nodes that differ in it alone are equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Settled {
    /// Shared by copies of a node, as it is replaced whole.
    surroundings: Option<Arc<Surroundings>>,
    groups: Vec<Standing>,
    /// Groups that somebody has acted on since they were decided last.
    touched: BTreeSet<GroupId>,
    /// When each group wants to be looked at, whatever happens.
    dues: BTreeSet<(Instant, GroupId)>,
    /// How many standbys follow each node, or nobody that we know of.
    following: BTreeMap<Option<NodeId>, usize>,
}

/// How a group stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Standing {
    due: Option<Instant>,
    /// Of a standby: whom it follows.
    follows: Option<Option<NodeId>>,
}

impl Standing {
    fn of(group: &Group, config: &GroupConfig) -> Standing {
        let standby = matches!(group.state, State::Standby);
        let holder = group.holder.map(|(node, _)| node);
        Standing { due: group.deadline(config), follows: standby.then_some(holder) }
    }
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

    /// A group was acted on.
    pub fn touch(&mut self, group: &Group, config: &GroupConfig) {
        let Some(standing) = self.groups.get_mut(group.id.index()) else { return };
        let former = std::mem::replace(standing, Standing::of(group, config));
        let now = *standing;
        self.touched.insert(group.id);
        if former.due != now.due {
            if let Some(due) = former.due {
                self.dues.remove(&(due, group.id));
            }
            self.dues.extend(now.due.map(|due| (due, group.id)));
        }
        if former.follows != now.follows {
            if let Some(count) = former.follows.and_then(|node| self.following.get_mut(&node)) {
                *count = count.saturating_sub(1);
            }
            if let Some(node) = now.follows {
                *self.following.entry(node).or_default() += 1;
            }
        }
    }

    /// A group was decided, and nothing has changed by that.
    pub fn settle(&mut self, group: GroupId) {
        self.touched.remove(&group);
    }

    /// The groups that are to be looked at now, of so many, in their order. Groups themselves are large: those
    /// that are not wanted stay where they are, out of the processor's cache.
    pub fn wanted(&self, now: Instant, groups: usize) -> Vec<GroupId> {
        if self.groups.len() != groups {
            return (0..groups).map(GroupId::at).collect();
        }
        let due = self.dues.iter().take_while(|(at, _)| *at <= now).map(|(_, group)| *group);
        let mut wanted: Vec<GroupId> = self.touched.iter().copied().chain(due).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// When the first group wants to be looked at; outer `None` if that has to be asked of the groups.
    pub fn due(&self, groups: usize) -> Option<Option<Instant>> {
        (self.groups.len() == groups).then(|| self.dues.first().map(|(at, _)| *at))
    }

    /// Whether each standby, of so many groups, is known to follow a node for which this holds.
    pub fn all_follow(&self, groups: usize, holds: impl Fn(NodeId) -> bool) -> bool {
        let mut followed = self.following.iter().filter(|(_, count)| **count > 0);
        self.groups.len() == groups && followed.all(|(node, _)| node.is_some_and(&holds))
    }
}

impl Node {
    /// Looks whether anything has changed that all groups decide by; if so, each wants to be looked at.
    pub(super) fn look_for_changes(&mut self, now: Instant) {
        if self.settled.surroundings.as_ref().is_some_and(|known| self.is_still(now, known)) {
            return;
        }
        let surroundings = Some(Arc::new(self.surroundings(now)));
        self.settled = Settled { surroundings, ..Settled::default() };
        let empty = Standing { due: None, follows: None };
        self.settled.groups = vec![empty; self.groups.len()];
        for (group, config) in self.groups.iter().zip(&self.config.groups) {
            self.settled.touch(group, config);
        }
    }

    /// Whether these are the surroundings still. Asked after every fact: it copies nothing.
    fn is_still(&self, now: Instant, known: &Surroundings) -> bool {
        known.interfaces == self.interfaces
            && known.sights.iter().copied().eq(self.seen())
            && known.segments.iter().copied().eq(self.tested(now))
            && known.flags == self.flags(now)
    }

    fn seen(&self) -> impl Iterator<Item = (View, bool, bool)> {
        self.sights.iter().map(|sight| (sight.view, sight.fresh, sight.hears_us))
    }

    fn tested(&self, now: Instant) -> impl Iterator<Item = (bool, Hearing)> {
        self.segments.iter().map(move |segment| {
            let tester = &segment.tester;
            (tester.is_running() && tester.neighbours, tester.verdict(now))
        })
    }

    fn flags(&self, now: Instant) -> Flags {
        Flags {
            unheard: self.unheard_at().is_some_and(|at| at <= now),
            stopping: self.stopping,
            differs: self.differs(now),
            partial: self.partial,
        }
    }

    fn surroundings(&self, now: Instant) -> Surroundings {
        Surroundings {
            sights: self.seen().collect(),
            interfaces: self.interfaces.clone(),
            segments: self.tested(now).collect(),
            flags: self.flags(now),
        }
    }
}
