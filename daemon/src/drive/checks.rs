//! What the runner finds, as facts.

use evergate_core::ident::CheckId;
use evergate_core::{Input, Instant};

use super::Drive;
use crate::checks::{Found, News};
use crate::facts::LastLook;

/// The most results that are taken in one go.
const NEWS_PER_WAKE_MAX: usize = 256;

impl Drive {
    /// Tells the runner what to look at.
    pub(super) fn order_checks(&mut self) {
        if let Some(runner) = &self.runner {
            runner.order(self.layout.orders.clone());
        }
    }

    /// Takes what the runner has found.
    pub(super) fn take_checks(&mut self, now: Instant) {
        for _ in 0..NEWS_PER_WAKE_MAX {
            match self.check_news.try_recv() {
                Ok(News::Found(found)) => self.found(now, found),
                Ok(News::Ended(ended)) => self.work_ended(now, ended),
                Ok(News::Runner { there }) => self.runner_news(there),
                Err(_) => return,
            }
        }
        // There may be more; other work comes first.
        let _ = self.bell.ring();
    }

    /// A result of a check that is still made, and still the same.
    fn found(&mut self, now: Instant, found: Found) {
        let checks = &self.layout.core.checks;
        let known = |check: &evergate_core::check::CheckConfig| {
            check.name == found.name && check.test == found.test
        };
        let Some(position) = checks.iter().position(known) else { return };
        let Found { name, reading, text, status, took, .. } = found;
        self.facts.looks.insert(name, LastLook { at: now, text, status, took });
        self.feed(now, Input::Checked { check: CheckId::at(position), reading });
    }

    fn runner_news(&mut self, there: bool) {
        let was_there = std::mem::replace(&mut self.facts.runner, there);
        if was_there && !there && !self.layout.orders.is_empty() {
            self.complain("the process that makes checks is gone; until another has come, what they said last counts");
        }
    }
}
