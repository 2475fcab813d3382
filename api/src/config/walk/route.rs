//! `routes` and `rules` of a group.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Walker;
use crate::config::model::{
    Hop, NEXTHOP_WEIGHT_MAX, NEXTHOPS_MAX, Network, ROUTES_MAX, RULES_MAX, Route, RouteKind, Rule,
    RuleAction, Scope, TABLE_MAIN,
};
use crate::config::report::Problem;
use crate::config::tree::{Node, Table, Value};
use crate::config::words::Place;

/// What a rule does that names no table.
const ACTIONS: [(&str, RuleAction); 4] = [
    ("blackhole", RuleAction::Blackhole),
    ("unreachable", RuleAction::Unreachable),
    ("prohibit", RuleAction::Prohibit),
    ("nop", RuleAction::Nop),
];

impl Walker<'_> {
    pub(super) fn routes(&mut self, group: &Table, own: &[&str]) -> Vec<Route> {
        let Some(entry) = group.entries.get("routes") else { return Vec::new() };
        let items = self.array(&entry.node, "routes", ROUTES_MAX);
        items.iter().filter_map(|item| self.route(item, own)).collect()
    }

    pub(super) fn rules(&mut self, group: &Table) -> Vec<Rule> {
        let Some(entry) = group.entries.get("rules") else { return Vec::new() };
        let items = self.array(&entry.node, "rules", RULES_MAX);
        items.iter().filter_map(|item| self.rule(item)).collect()
    }

    fn route(&mut self, node: &Node, own: &[&str]) -> Option<Route> {
        let Value::Table(table) = &node.value else {
            let example = "a table, as in { to = \"default\", via = \"10.0.0.254\" }";
            self.wrong_type(node, "routes", example);
            return None;
        };
        self.unknown(table, Place::Route, &[]);
        let kind = table.entries.get("type");
        let kind = kind.and_then(|e| self.word(&e.node, "type", &RouteKind::WORDS));
        let kind = kind.unwrap_or(RouteKind::Unicast);
        let hops = self.hops(node, table, kind, own)?;
        let source = table.entries.get("source").and_then(|e| self.ip(&e.node, "source"));
        let says_ipv6 = hops.iter().filter_map(|hop| hop.via).chain(source).any(|ip| ip.is_ipv6());
        let to = self.destination(node, table, says_ipv6)?;
        let of_family = |ip: &IpAddr| ip.is_ipv4() == to.ip.is_ipv4();
        if !hops.iter().filter_map(|hop| hop.via).chain(source).all(|ip| of_family(&ip)) {
            let text = format!("the route to {to} has an address of the other family");
            self.push(Problem::error("wrong-family", text).at(node.at));
        }
        let scope = table.entries.get("scope");
        let scope = scope.and_then(|e| self.word(&e.node, "scope", &Scope::WORDS));
        if let (Some(entry), true) = (table.entries.get("scope"), to.ip.is_ipv6()) {
            let text = "an IPv6 route has no `scope`";
            self.push(Problem::error("wrong-family", text).at(entry.key));
        }
        Some(Route {
            to,
            kind,
            hops,
            source,
            metric: self.count(table, "metric", (0, u32::MAX)),
            table: self.count(table, "table", (1, u32::MAX)).unwrap_or(TABLE_MAIN),
            scope,
            mtu: self.count(table, "mtu", (68, 65_535)),
            advmss: self.count(table, "advmss", (1, 65_535)),
            hop_limit: self.count(table, "hoplimit", (1, 255)),
            keep: self.keep(table),
        })
    }

    /// Where it leads; `default` is of the family of what else is said.
    fn destination(&mut self, node: &Node, table: &Table, is_ipv6: bool) -> Option<Network> {
        let Some(entry) = table.entries.get("to") else {
            let help = "add: to = \"default\", or a network such as \"10.0.0.0/8\"";
            self.push(Problem::error("missing", "a route needs `to`").at(node.at).help(help));
            return None;
        };
        match &entry.node.value {
            Value::Text(text) if text == "default" && is_ipv6 => {
                Some(Network { ip: Ipv6Addr::UNSPECIFIED.into(), prefix: 0 })
            }
            Value::Text(text) if text == "default" => {
                Some(Network { ip: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 })
            }
            _ => self.network(&entry.node, "to"),
        }
    }

    /// Its ways: one that stands in the route itself, or several.
    fn hops(
        &mut self,
        node: &Node,
        table: &Table,
        kind: RouteKind,
        own: &[&str],
    ) -> Option<Vec<Hop>> {
        let mut alone = ["via", "interface", "onlink"].into_iter();
        let alone = alone.find_map(|key| table.entries.get(key).map(|entry| (key, entry.key)));
        let several = table.entries.get("nexthops");
        let problem = match (kind, alone, several) {
            (RouteKind::Unicast, None, None) => {
                let help =
                    "add `via`, `interface` or `nexthops`, or a `type` such as \"blackhole\"";
                let text = "a route needs a way";
                Problem::error("missing", text).at(node.at).help(help)
            }
            (RouteKind::Unicast, Some((key, at)), Some(_)) => {
                let text = format!("`{key}` beside `nexthops`");
                let help = "write it in an entry of `nexthops`";
                Problem::error("bad-value", text).at(at).help(help)
            }
            (RouteKind::Unicast, Some(_), None) => {
                return Some(vec![self.hop(table, own)]);
            }
            (RouteKind::Unicast, None, Some(entry)) => {
                let items = self.array(&entry.node, "nexthops", NEXTHOPS_MAX);
                let hops = items.iter().filter_map(|item| self.nexthop(item, own));
                return Some(hops.collect());
            }
            (_, None, None) => return Some(Vec::new()),
            (_, Some((_, at)), _)
            | (_, None, Some(&crate::config::tree::Entry { key: at, .. })) => {
                let text = "packets of this type of route go nowhere";
                Problem::error("bad-value", text).at(at).help("leave the way out, or the `type`")
            }
        };
        self.push(problem);
        None
    }

    fn nexthop(&mut self, node: &Node, own: &[&str]) -> Option<Hop> {
        let Value::Table(table) = &node.value else {
            self.wrong_type(node, "nexthops", "a table, as in { via = \"10.0.0.254\" }");
            return None;
        };
        self.unknown(table, Place::Nexthop, &[]);
        if !["via", "interface"].iter().any(|key| table.entries.contains_key(*key)) {
            let text = "an entry of `nexthops` needs `via` or `interface`";
            self.push(Problem::error("missing", text).at(node.at));
            return None;
        }
        Some(self.hop(table, own))
    }

    fn hop(&mut self, table: &Table, own: &[&str]) -> Hop {
        let interface = table.entries.get("interface").and_then(|entry| {
            let interface = self.per_node(&entry.node, "interface", Self::interface_name)?;
            self.complete(&interface, own, &entry.node, "interface");
            Some(interface)
        });
        let weight = table.entries.get("weight");
        let weight = weight.and_then(|e| self.integer(&e.node, "weight", 1, NEXTHOP_WEIGHT_MAX));
        let onlink = table.entries.get("onlink");
        let onlink = onlink.and_then(|e| self.boolean(&e.node, "onlink")).unwrap_or(false);
        if let (true, Some(entry), None) = (onlink, table.entries.get("onlink"), &interface) {
            let text = "`onlink` needs an `interface`";
            self.push(Problem::error("missing", text).at(entry.key));
        }
        let via = table.entries.get("via").and_then(|e| self.ip(&e.node, "via"));
        Hop { via, interface, weight: weight.unwrap_or(1), onlink }
    }

    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let Value::Table(table) = &node.value else {
            let example = "a table, as in { from = \"10.0.0.0/8\", table = 100, priority = 1000 }";
            self.wrong_type(node, "rules", example);
            return None;
        };
        self.unknown(table, Place::Rule, &[]);
        let mut network = |key: &str| {
            let entry = table.entries.get(key)?;
            self.network(&entry.node, key)
        };
        let (from, to) = (network("from"), network("to"));
        let is_ipv6 = [from, to].iter().flatten().any(|network| network.ip.is_ipv6());
        if [from, to].iter().flatten().any(|network| network.ip.is_ipv6() != is_ipv6) {
            let text = "`from` and `to` are of different families";
            self.push(Problem::error("wrong-family", text).at(node.at));
        }
        let action = self.action(node, table);
        let priority = self.count(table, "priority", (1, u32::MAX));
        if !table.entries.contains_key("priority") {
            let help = "add: priority = 1000; the rule with the lowest number is asked first";
            self.push(Problem::error("missing", "a rule needs `priority`").at(node.at).help(help));
        }
        let mut name = |key: &str| {
            let entry = table.entries.get(key)?;
            self.interface_name(&entry.node)
        };
        let (input, output) = (name("in"), name("out"));
        let not = table.entries.get("not").and_then(|e| self.boolean(&e.node, "not"));
        let tos = table.entries.get("tos").and_then(|e| self.octet(&e.node, "tos", 0, 255));
        Some(Rule {
            priority: priority?,
            is_ipv6,
            from,
            to,
            input,
            output,
            mark: table.entries.get("mark").and_then(|e| self.mark(&e.node, "mark")),
            tos,
            not: not.unwrap_or(false),
            action: action?,
            suppress_prefix: self.count(table, "suppress_prefix", (0, 128)),
            keep: self.keep(table),
        })
    }

    /// A table, or what else becomes of the packets.
    fn action(&mut self, node: &Node, table: &Table) -> Option<RuleAction> {
        match (table.entries.get("table"), table.entries.get("type")) {
            (Some(_), None) => self.count(table, "table", (1, u32::MAX)).map(RuleAction::Table),
            (None, Some(entry)) => self.word(&entry.node, "type", &ACTIONS),
            (Some(_), Some(entry)) => {
                let text = "a rule has a `table` or a `type`, not both";
                self.push(Problem::error("bad-value", text).at(entry.key));
                None
            }
            (None, None) => {
                let help = "add: table = 100, or a `type` such as \"blackhole\"";
                let text = "a rule needs `table` or `type`";
                self.push(Problem::error("missing", text).at(node.at).help(help));
                None
            }
        }
    }

    fn keep(&mut self, table: &Table) -> bool {
        let keep = table.entries.get("keep").and_then(|e| self.boolean(&e.node, "keep"));
        keep.unwrap_or(true)
    }

    fn count(&mut self, table: &Table, key: &str, limits: (u32, u32)) -> Option<u32> {
        self.number(&table.entries.get(key)?.node, key, limits)
    }
}
