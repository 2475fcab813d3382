//! Routes and rules that come with the addresses: from the file to what the kernel is told.

use std::sync::Arc;

use evergate_api::config::model as file;
use evergate_core::ident::InterfaceId;

use super::{Build, GroupLayout};
use crate::kernel::ways::{NextHop, RouteSpec, RuleSpec, TO_TABLE, UNICAST};
use crate::kernel_thread::WantedWay;

/// A route of the file, with the interface of each of its ways on this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteLayout {
    /// The route.
    route: file::Route,
    /// How people call it.
    name: Arc<str>,
    /// By way; none where the kernel finds it.
    interfaces: Vec<Option<InterfaceId>>,
}

impl GroupLayout {
    /// The routes and rules of a group, with the present index of each interface. A route by an interface that is
    /// missing is left out: it is asked for again a second later.
    pub fn wanted_ways(&self, index: &dyn Fn(InterfaceId) -> Option<u32>) -> Vec<WantedWay> {
        let routes = self.routes.iter().filter_map(|layout| {
            let (way, name) = (route_spec(layout, index)?.way(), Arc::clone(&layout.name));
            Some(WantedWay { way, name, keep: layout.route.keep })
        });
        routes.chain(self.rules.iter().cloned()).collect()
    }
}

impl Build<'_> {
    /// A route with the interfaces of this node.
    pub(super) fn route(&mut self, route: &file::Route) -> RouteLayout {
        let mut interfaces = Vec::new();
        for hop in &route.hops {
            let name = hop.interface.as_ref().and_then(|interface| interface.get(self.me));
            interfaces.push(name.map(|name| self.interface(name)));
        }
        RouteLayout { route: route.clone(), name: route.to_string().into(), interfaces }
    }
}

/// A rule as it is wanted: no index in it changes.
pub(super) fn rule(rule: &file::Rule) -> WantedWay {
    WantedWay { way: rule_spec(rule).way(), name: rule.to_string().into(), keep: rule.keep }
}

fn route_spec(
    layout: &RouteLayout,
    index: &dyn Fn(InterfaceId) -> Option<u32>,
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
