//! `[group.NAME]` and `[vrrp]`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Walker;
use crate::config::model::{
    Election, FAILBACK_MAX, Failback, Group, Node as NodeConfig, PRIORITY_OWNER, Router, Vrrp,
};
use crate::config::report::Problem;
use crate::config::tree::{Node, Table, Value};
use crate::config::words::{Place, shown};

impl Walker<'_> {
    pub(super) fn groups(
        &mut self,
        tree: &Table,
        nodes: &BTreeMap<String, NodeConfig>,
    ) -> BTreeMap<String, Group> {
        let defaults = match self.table(tree, "vrrp") {
            Some(table) => self.vrrp(table, Place::Vrrp, &[], &Vrrp::default()),
            None => Vrrp::default(),
        };
        let mut groups = BTreeMap::new();
        for (name, node, table) in self.named(tree, "group") {
            let group = self.group(name, node, table, nodes, &defaults);
            groups.insert(name.to_owned(), group);
        }
        groups
    }

    fn group(
        &mut self,
        name: &str,
        node: &Node,
        table: &Table,
        nodes: &BTreeMap<String, NodeConfig>,
        defaults: &Vrrp,
    ) -> Group {
        self.unknown(table, Place::Group, &[name]);
        self.later(table);
        let members = self.members(table, nodes);
        let mut priorities = self.priorities(table, &members, nodes);
        let owner = table.entries.get("owner").and_then(|e| self.owner(&e.node, &members));
        priorities.extend(owner.clone().map(|owner| (owner, PRIORITY_OWNER)));
        let failback = table.entries.get("failback").and_then(|e| self.failback(&e.node));
        let vrrp = match self.table(table, "vrrp") {
            Some(inner) => self.vrrp(inner, Place::GroupVrrp, &[name], defaults),
            None => defaults.clone(),
        };
        let own: Vec<&str> = members.iter().filter(|n| !is_foreign(nodes, n)).copied().collect();
        let routers = self.routers(name, table, &own);
        let track = self.track(table);
        if !table.entries.contains_key("router") {
            let text = format!("[group.{name}] has no router, so there is nothing to serve");
            let help =
                format!("add: [group.{name}.router.NAME] with interface, vrid and addresses");
            self.push(Problem::error("missing", text).at(node.at).help(help));
        }
        Group {
            election: Election::Vrrp,
            priorities,
            owner,
            failback: failback.unwrap_or(Failback::Auto),
            track,
            procedures: self.procedures(name, table),
            vrrp,
            routers,
            routes: self.routes(table, &own),
            rules: self.rules(table),
        }
    }

    /// What a later version will do.
    fn later(&mut self, table: &Table) {
        if let Some(entry) = table.entries.get("election") {
            let words = [("vrrp", true), ("cluster", false)];
            if self.word(&entry.node, "election", &words) == Some(false) {
                self.not_yet(entry.node.at, "`election = \"cluster\"`");
            }
        }
    }

    /// The nodes that a group runs on: those it names, otherwise all.
    fn members<'n>(
        &mut self,
        table: &'n Table,
        nodes: &'n BTreeMap<String, NodeConfig>,
    ) -> Vec<&'n str> {
        let Some(entry) = table.entries.get("nodes") else {
            return nodes.keys().map(String::as_str).collect();
        };
        let mut members: Vec<&str> = Vec::new();
        for item in self.array(&entry.node, "nodes", super::super::model::NODES_MAX) {
            let Some(name) = self.string(item, "nodes") else { continue };
            self.known_node(name, item.at);
            if members.contains(&name) {
                self.wrong(item.at, format!("`{}` is named twice", shown(name)));
            } else if nodes.contains_key(name) {
                members.push(name);
            }
        }
        let empty = matches!(&entry.node.value, Value::Array(items) if items.is_empty());
        if empty {
            self.wrong(entry.node.at, "`nodes` is empty, so the group runs nowhere".to_owned());
        }
        members
    }

    fn priorities(
        &mut self,
        table: &Table,
        members: &[&str],
        nodes: &BTreeMap<String, NodeConfig>,
    ) -> BTreeMap<String, u8> {
        let entry = table.entries.get("priority");
        let written =
            entry.and_then(|e| self.per_node(&e.node, "priority", |w, node| w.priority(node)));
        if let (Some(entry), Some(written)) = (entry, &written) {
            let own: Vec<&str> =
                members.iter().filter(|n| !is_foreign(nodes, n)).copied().collect();
            self.complete(written, &own, &entry.node, "priority");
        }
        let of = |name: &str| {
            let written = written.as_ref().and_then(|written| written.get(name)).copied();
            let base = nodes.get(name).map(|node| node.priority);
            written.or(base).map(|priority| (name.to_owned(), priority))
        };
        members.iter().filter_map(|name| of(name)).collect()
    }

    /// The node that owns the addresses: one that the group runs on.
    fn owner(&mut self, node: &Node, members: &[&str]) -> Option<String> {
        let name = self.string(node, "owner")?;
        self.known_node(name, node.at);
        if members.contains(&name) {
            return Some(name.to_owned());
        }
        if self.nodes.contains(name) {
            let text =
                format!("`{}` does not run the group, so it cannot be its owner", shown(name));
            self.wrong(node.at, text);
        }
        None
    }

    fn failback(&mut self, node: &Node) -> Option<Failback> {
        match &node.value {
            Value::Text(text) if text == "auto" => Some(Failback::Auto),
            Value::Text(text) if text == "manual" => Some(Failback::Manual),
            Value::Boolean(_) => {
                let text = "`failback` must be \"auto\", \"manual\" or a delay such as \"30s\"";
                self.wrong(node.at, text.to_owned());
                None
            }
            Value::Text(text) if !text.starts_with(|c: char| c.is_ascii_digit()) => {
                let words = [("auto", Failback::Auto), ("manual", Failback::Manual)];
                self.word(node, "failback", &words)
            }
            _ => {
                let limits = (Duration::ZERO, FAILBACK_MAX);
                self.duration(node, "failback", limits).map(Failback::After)
            }
        }
    }

    fn routers(
        &mut self,
        group: &str,
        table: &Table,
        own: &[&str],
    ) -> BTreeMap<String, Box<Router>> {
        let defaults = self.router_defaults(table);
        let mut routers = BTreeMap::new();
        for (name, node, inner) in self.named(table, "router") {
            let router = self.router((group, name), node, inner, own, &defaults);
            routers.insert(name.to_owned(), Box::new(router));
        }
        routers
    }
}

fn is_foreign(nodes: &BTreeMap<String, NodeConfig>, name: &str) -> bool {
    nodes.get(name).is_some_and(|node| node.foreign)
}
