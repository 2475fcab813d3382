//! Routes and rules that come with the addresses: what is wanted, and what is said when they are missing.

use std::sync::Arc;

use evergate_core::Instant;
use evergate_core::ident::GroupId;
use evergate_core::put_back::PutBacks;

use super::Drive;
use crate::kernel_thread::{WantedWay, WaysReport};

/// How routes and rules of a group fare.
#[derive(Clone, Debug, Default)]
pub struct WaysState {
    /// How often they were put back of late.
    pub put_backs: PutBacks,
    /// Those that are not there, each with the reason.
    pub missing: Vec<(Arc<str>, String)>,
}

impl Drive {
    /// The routes and rules of a group, with the interfaces that exist now.
    pub(super) fn ways_of(&self, group: GroupId) -> Vec<WantedWay> {
        let index = |id: evergate_core::ident::InterfaceId| self.ports[id.index()].ifindex();
        self.layout.groups[group.index()].wanted_ways(&index)
    }

    /// Whether routes and rules of a group that are gone are put back now.
    pub(super) fn restores(&mut self, now: Instant, group: GroupId) -> bool {
        self.facts.ways.get_mut(&group).is_none_or(|state| state.put_backs.is_allowed(now))
    }

    /// Takes what the kernel thread says of them.
    pub(super) fn heed_ways(&mut self, now: Instant, group: GroupId, report: &WaysReport) {
        let missing: Vec<_> = report
            .missing
            .iter()
            .map(|(name, error)| (Arc::clone(name), error.to_string()))
            .collect();
        if report.put_back.is_empty() && missing.is_empty() && !self.facts.ways.contains_key(&group)
        {
            return;
        }
        let name = self.layout.core.groups[group.index()].name.clone();
        let state = self.facts.ways.entry(group).or_default();
        let mut complaints = Vec::new();
        if let Some(first) = report.put_back.first() {
            let more = report.put_back.len() - 1;
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            complaints.push(format!("{name}: somebody has removed {first}{more}: put back"));
            if !state.put_backs.count(now) {
                complaints.push(format!(
                    "{name}: its routes and rules are removed as fast as they are put back: left alone for \
                     a minute"
                ));
            }
        }
        for (way, error) in missing.iter().filter(|one| !state.missing.contains(one)) {
            complaints.push(format!("{name}: {way} cannot be installed: {error}"));
        }
        state.missing = missing;
        complaints.iter().for_each(|complaint| self.complain(complaint));
    }
}
