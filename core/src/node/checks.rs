//! The checks of a node: results come in, groups are weighed anew.

use super::Node;
use crate::check::{Check, Reading, Source};
use crate::config::{Config, GroupConfig, Places};
use crate::effect::{Effect, Note};
use crate::ident::CheckId;
use crate::time::Instant;

impl Node {
    /// A result of a check that the driver makes.
    pub(super) fn checked(
        &mut self,
        now: Instant,
        id: CheckId,
        reading: Reading,
        out: &mut Vec<Effect>,
    ) {
        let told = |check: &crate::check::CheckConfig| check.source == Source::Told;
        if self.config.checks.get(id.index()).is_some_and(told) {
            self.read(now, id, reading, out);
        }
    }

    /// Takes a result; says whether the check stands otherwise now.
    fn read(&mut self, now: Instant, id: CheckId, reading: Reading, out: &mut Vec<Effect>) -> bool {
        let config = &self.config.checks[id.index()];
        if !self.checks[id.index()].take(config, now, reading) {
            return false;
        }
        let standing = self.checks[id.index()].standing;
        out.push(Effect::Note(Note::Check { check: id, standing }));
        let tracks = |group: &GroupConfig| group.track.iter().any(|tracked| tracked.check == id);
        self.weigh_groups(now, tracks, out);
        true
    }

    /// Lets the chosen groups draw the consequences of all checks.
    pub(super) fn weigh_groups(
        &mut self,
        now: Instant,
        chosen: impl Fn(&GroupConfig) -> bool,
        out: &mut Vec<Effect>,
    ) {
        let checks = std::mem::take(&mut self.checks);
        for at in 0..self.groups.len() {
            if chosen(&self.config.groups[at]) {
                let id = crate::ident::GroupId::at(at);
                self.one_group(now, id, out, |group, scene, out| group.weigh(scene, &checks, out));
            }
        }
        self.checks = checks;
    }

    /// Looks at the checks that follow from what this node knows; says whether any stands otherwise.
    pub(super) fn review_checks(&mut self, now: Instant, out: &mut Vec<Effect>) -> bool {
        let mut changed = false;
        for at in 0..self.checks.len() {
            if let Some(passes) = self.known(self.config.checks[at].source) {
                let reading = if passes { Reading::Pass } else { Reading::Fail };
                changed |= self.read(now, CheckId::at(at), reading, out);
            }
        }
        changed
    }

    /// Groups that track another group decide after it. No group tracks itself, by way of others or
    /// not, so this comes to an end; each turn reaches one group more.
    pub(super) fn follow_groups(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for _ in 0..self.groups.len() {
            if !self.review_checks(now, out) {
                break;
            }
            self.decide(now, out);
        }
    }

    fn known(&self, source: Source) -> Option<bool> {
        match source {
            Source::Told => None,
            Source::Carrier(id) => Some(self.interfaces.get(id.index())?.carrier),
            Source::Running(id) => Some(self.interfaces.get(id.index())?.running),
            Source::Active(id) => Some(matches!(
                self.groups.get(id.index())?.state,
                crate::group::State::Active { .. }
            )),
            Source::Fit(id) => {
                let config = self.config.groups.get(id.index())?;
                Some(self.groups.get(id.index())?.is_fit(config, self.config.me))
            }
        }
    }

    /// A new configuration: a check that looks at the same thing stands as it did.
    pub(super) fn carry_checks(&mut self, now: Instant, old: &Config, places: &Places) {
        let mut carried: Vec<Check> =
            self.config.checks.iter().map(|check| Check::new(check, now)).collect();
        for (position, former) in old.checks.iter().enumerate() {
            let Some(id) = places.check(CheckId::at(position)) else { continue };
            let new = &self.config.checks[id.index()];
            if (&former.test, former.invert) == (&new.test, new.invert) {
                carried[id.index()] = self.checks[position].clone();
            }
        }
        self.checks = carried;
    }
}
