//! Routes and rules of the holders: made after the addresses, looked after with each renewal, removed first.

use std::sync::Arc;

use super::{Holder, Wish, Worker};
use crate::kernel::error::NetlinkError;
use crate::kernel::ways::Way;

/// A route or a rule that a group wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedWay {
    /// What the kernel is told.
    pub way: Way,
    /// How people call it.
    pub name: Arc<str>,
    /// It is put back when somebody removes it.
    pub keep: bool,
}

/// What became of the routes and rules of a wish.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WaysReport {
    /// Those that were gone and are there again.
    pub put_back: Vec<Arc<str>>,
    /// Those that the kernel does not take, each with the reason.
    pub missing: Vec<(Arc<str>, NetlinkError)>,
}

impl Worker {
    /// Makes what is wanted and not there; removes what is not wanted any more.
    pub(super) fn grant_ways(&mut self, holder: Holder, wish: &Wish) -> WaysReport {
        let former = self.ways.remove(&holder).unwrap_or_default();
        let wanted = |way: &WantedWay| wish.ways.iter().any(|other| other.way == way.way);
        let gone: Vec<WantedWay> = former.iter().filter(|way| !wanted(way)).cloned().collect();
        let mut held = self.remove_ways(gone);
        let was_there = |way: &WantedWay| former.iter().any(|other| other.way == way.way);
        // What was there is asked for again, and the kernel says that it exists: there is no cheaper look.
        let (asked, resting): (Vec<_>, Vec<_>) =
            wish.ways.iter().partition(|way| !was_there(way) || (way.keep && wish.restore));
        held.extend(resting.into_iter().cloned());
        let bodies: Vec<Way> = asked.iter().map(|wanted| wanted.way.clone()).collect();
        let verdicts = self.kernel.make_ways(&bodies);
        let mut report = WaysReport::default();
        for (wanted, verdict) in asked.into_iter().zip(verdicts) {
            match verdict {
                Ok(()) if was_there(wanted) => report.put_back.push(Arc::clone(&wanted.name)),
                Ok(()) | Err(NetlinkError::Exists) => {}
                Err(error) => {
                    report.missing.push((Arc::clone(&wanted.name), error));
                    continue;
                }
            }
            held.push(wanted.clone());
        }
        if !held.is_empty() {
            self.ways.insert(holder, held);
        }
        report
    }

    /// Removes all that a holder may have; false if something may still be there.
    pub(super) fn release_ways(&mut self, holder: Holder, wished: &[WantedWay]) -> bool {
        let mut doomed = self.ways.remove(&holder).unwrap_or_default();
        doomed
            .extend(wished.iter().filter(|way| !doomed.contains(way)).cloned().collect::<Vec<_>>());
        let left = self.remove_ways(doomed);
        let done = left.is_empty();
        if !done {
            self.ways.insert(holder, left);
        }
        done
    }

    /// Removes routes and rules; returns those that may still be there.
    fn remove_ways(&mut self, doomed: Vec<WantedWay>) -> Vec<WantedWay> {
        if doomed.is_empty() {
            return doomed;
        }
        let bodies: Vec<Way> = doomed.iter().map(|wanted| wanted.way.clone()).collect();
        let left = self.kernel.remove_ways(&bodies);
        if let Some((_, error)) = left.first() {
            self.complain(format!("cannot remove {} routes and rules: {error}", left.len()));
        }
        doomed.into_iter().filter(|one| left.iter().any(|(way, _)| *way == one.way)).collect()
    }
}
