//! Routes and rules that come with the addresses: what is wanted, and what is said when they are missing.

use std::sync::Arc;

use evergate_api::config::model as file;
use evergate_core::Instant;
use evergate_core::ident::GroupId;
use evergate_core::put_back::PutBacks;

use super::Drive;
use crate::kernel::ways::{NextHop, RouteSpec, RuleSpec, TO_TABLE, UNICAST};
use crate::kernel_thread::{WantedWay, WaysReport};
use crate::layout::{GroupLayout, RouteLayout};

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
        wanted_ways(&self.layout.groups[group.index()], &index)
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

/// Those of a group, with the present index of each interface. A route by an interface that is missing is left out:
/// it is asked for again a second later.
pub fn wanted_ways(
    layout: &GroupLayout,
    index: &dyn Fn(evergate_core::ident::InterfaceId) -> Option<u32>,
) -> Vec<WantedWay> {
    let routes = layout.routes.iter().filter_map(|route| {
        let way = route_spec(route, index)?.way();
        Some(WantedWay { way, name: route.route.to_string().into(), keep: route.route.keep })
    });
    let rules = layout.rules.iter().map(|rule| WantedWay {
        way: rule_spec(rule).way(),
        name: rule.to_string().into(),
        keep: rule.keep,
    });
    routes.chain(rules).collect()
}

fn route_spec(
    layout: &RouteLayout,
    index: &dyn Fn(evergate_core::ident::InterfaceId) -> Option<u32>,
) -> Option<RouteSpec> {
    let route = &layout.route;
    let mut hops = Vec::new();
    for (hop, interface) in route.hops.iter().zip(&layout.interfaces) {
        let ifindex = match interface {
            Some(id) => Some(index(*id)?),
            None => None,
        };
        hops.push(NextHop { via: hop.via, ifindex, weight: hop.weight, onlink: hop.onlink });
    }
    Some(RouteSpec {
        to: route.to,
        kind: route_kind(route.kind),
        hops,
        source: route.source,
        metric: route.metric,
        table: route.table,
        scope: route.scope.map(file::Scope::number),
        mtu: route.mtu,
        advmss: route.advmss,
        hop_limit: route.hop_limit,
    })
}

/// As the kernel numbers it.
fn route_kind(kind: file::RouteKind) -> u8 {
    match kind {
        file::RouteKind::Unicast => UNICAST,
        file::RouteKind::Blackhole => 6,
        file::RouteKind::Unreachable => 7,
        file::RouteKind::Prohibit => 8,
        file::RouteKind::Throw => 9,
    }
}

fn rule_spec(rule: &file::Rule) -> RuleSpec {
    let (action, table) = match rule.action {
        file::RuleAction::Table(table) => (TO_TABLE, Some(table)),
        file::RuleAction::Nop => (3, None),
        file::RuleAction::Blackhole => (6, None),
        file::RuleAction::Unreachable => (7, None),
        file::RuleAction::Prohibit => (8, None),
    };
    let family = if rule.is_ipv6 { libc::AF_INET6 } else { libc::AF_INET };
    RuleSpec {
        priority: rule.priority,
        family: u8::try_from(family).unwrap_or(0),
        from: rule.from,
        to: rule.to,
        input: rule.input.clone(),
        output: rule.output.clone(),
        mark: rule.mark.map(|mark| (mark.value, mark.mask)),
        tos: rule.tos.unwrap_or(0),
        not: rule.not,
        action,
        table,
        suppress_prefix: rule.suppress_prefix,
    }
}
