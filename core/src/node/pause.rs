//! Our own pauses. A process that did not run for longer than its peers wait must assume that they
//! have acted without it.

use std::time::Duration;

use super::Node;
use crate::Machine;
use crate::config::GroupConfig;
use crate::effect::{Effect, Note};
use crate::time::Instant;

impl Node {
    /// Compares the time with the moment at which we wanted to wake. The driver feeds packets before
    /// it ticks, so what was sent to us during a pause is heard before anybody is judged.
    pub(super) fn notice_pause(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(due) = self.deadline() else { return };
        let late = now.since(due);
        if late < self.config.heartbeat {
            return;
        }
        self.awake = now;
        let patience = self.patience();
        let adverts = self.config.groups.iter().map(|group| group.advert).min();
        let too_long = patience.or(adverts).is_some_and(|patience| late >= patience);
        if !too_long || self.paused_at_deadline == Some(due) {
            return;
        }
        self.paused_at_deadline = Some(due);
        self.catching_up = true;
        let resigned = patience.is_some() && self.groups.iter().any(crate::group::Group::holds);
        out.push(Effect::Note(Note::Paused { span: late, resigned }));
        self.forget_what_was(now, patience.is_some(), out);
        self.urgent = true;
    }

    /// The first tick after a pause: everything that was read until now was sent while we stood
    /// still, and some of what was sent may be lost. Only fresh words count from here on.
    pub(super) fn caught_up(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if std::mem::take(&mut self.catching_up) {
            self.forget_what_was(now, self.patience().is_some(), out);
        }
    }

    /// Gives up what another may have taken, if there is another, and listens anew.
    fn forget_what_was(&mut self, now: Instant, resign: bool, out: &mut Vec<Effect>) {
        self.each_group(now, out, |group, scene, out| {
            if resign || !group.holds() {
                group.paused(scene, out);
            }
        });
    }

    /// How long others wait for us before they act: living peers say so themselves, routers of
    /// another make wait for the down interval. `None`: nobody would act.
    fn patience(&self) -> Option<Duration> {
        let adverts = self.config.groups.iter().map(GroupConfig::foreign_patience).min();
        let foreign = adverts.filter(|_| self.config.expects_foreign());
        let ours = self.shortest_wait();
        match (ours, foreign) {
            (Some(ours), Some(foreign)) => Some(ours.min(foreign)),
            (one, None) | (None, one) => one,
        }
    }
}
