//! `[cluster]`, `[node.NAME]`, `[link.NAME]` and `[check.NAME]`, which is only recognised so far.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Walker;
use crate::config::model::{
    Cluster, HEARTBEAT_DEFAULT, HEARTBEAT_MAX, HEARTBEAT_MIN, INTERFACE_NAME_MAX, Link,
    Node as NodeConfig, PORT_DEFAULT, PRIORITY_DEFAULT, PRIORITY_MAX, PerNode,
};
use crate::config::report::{Problem, Span};
use crate::config::tree::{Node, Table, Value};
use crate::config::words::{Place, is_name, shown};

impl Walker<'_> {
    pub(super) fn cluster(&mut self, tree: &Table) -> Cluster {
        let mut cluster = Cluster {
            name: String::new(),
            key_file: None,
            heartbeat: HEARTBEAT_DEFAULT,
            port: PORT_DEFAULT,
        };
        let Some(entry) = tree.entries.get("cluster") else {
            let help = "add: [cluster] and under it name = \"…\"";
            self.push(Problem::error("missing", "there is no [cluster]").help(help));
            return cluster;
        };
        let Some(table) = self.table(tree, "cluster") else { return cluster };
        self.unknown(table, Place::Cluster, &[]);
        match table.entries.get("name") {
            Some(entry) => cluster.name = self.name(&entry.node).unwrap_or_default(),
            None => {
                let place = (Place::Cluster, &[][..]);
                self.missing((table, entry.node.at), place, "name", "\"edge\"");
            }
        }
        let key_file = table.entries.get("key_file");
        cluster.key_file = key_file.and_then(|entry| self.path(&entry.node, "key_file"));
        let limits = (HEARTBEAT_MIN, HEARTBEAT_MAX);
        let heartbeat = table.entries.get("heartbeat");
        if let Some(value) = heartbeat.and_then(|e| self.duration(&e.node, "heartbeat", limits)) {
            cluster.heartbeat = value;
        }
        let port = table.entries.get("port");
        if let Some(value) = port.and_then(|e| self.integer(&e.node, "port", 1, u16::MAX)) {
            cluster.port = value;
        }
        cluster
    }

    fn name(&mut self, node: &Node) -> Option<String> {
        let name = self.string(node, "name")?;
        if is_name(name) {
            return Some(name.to_owned());
        }
        let text = format!("`{}` cannot be the name of a cluster", shown(name));
        let help = "use letters, digits, `-`, `_` and `.`, 63 at most";
        self.push(Problem::error("bad-name", text).at(node.at).help(help));
        None
    }

    /// Notes that a table lacks a key, unless a key that it should not have explains that.
    pub(super) fn missing(
        &mut self,
        (table, at): (&Table, Span),
        (place, names): (Place, &[&str]),
        key: &str,
        example: &str,
    ) {
        if super::unknown::explains(table, place, key) {
            return;
        }
        let text = format!("{} needs `{key}`", super::unknown::header(place, names));
        let help = format!("add: {key} = {example}");
        self.push(Problem::error("missing", text).at(at).help(help));
    }

    pub(super) fn nodes(&mut self, tree: &Table) -> BTreeMap<String, NodeConfig> {
        let mut nodes = BTreeMap::new();
        for (name, _, table) in self.named(tree, "node") {
            self.nodes.insert(name.to_owned());
            self.unknown(table, Place::Node, &[name]);
            let priority = table.entries.get("priority");
            let priority = priority.and_then(|e| self.priority(&e.node));
            let foreign = table.entries.get("foreign");
            let foreign = foreign.and_then(|e| self.boolean(&e.node, "foreign"));
            let priority = priority.unwrap_or(PRIORITY_DEFAULT);
            nodes.insert(name.to_owned(), NodeConfig { priority, foreign: foreign == Some(true) });
        }
        nodes
    }

    /// A priority: 0 and 255 have meanings of their own on the wire.
    pub(super) fn priority(&mut self, node: &Node) -> Option<u8> {
        let help = match node.value {
            Value::Integer(Some(0)) => "0 is what a router says when it resigns; the lowest is 1",
            Value::Integer(Some(255)) => {
                "255 is for the node that owns the addresses: owner = \"NODE\" in [group.NAME]"
            }
            _ => return self.octet(node, "priority", 1, PRIORITY_MAX),
        };
        let text = format!("`priority` must be a whole number from 1 to {PRIORITY_MAX}");
        self.push(Problem::error("bad-value", text).at(node.at).help(help));
        None
    }

    pub(super) fn links(
        &mut self,
        tree: &Table,
        nodes: &BTreeMap<String, NodeConfig>,
    ) -> BTreeMap<String, Link> {
        let mut links = BTreeMap::new();
        for (name, node, table) in self.named(tree, "link") {
            self.unknown(table, Place::Link, &[name]);
            let interface = self.interface(table, node.at, (Place::Link, &[name]));
            let own = nodes.iter().filter(|(_, node)| !node.foreign).map(|(name, _)| name.as_str());
            let own: Vec<&str> = own.collect();
            if let (Some(entry), Some(value)) = (table.entries.get("interface"), &interface) {
                self.complete(value, &own, &entry.node, "interface");
            }
            let address = table.entries.get("address").and_then(|entry| {
                let address =
                    self.per_node(&entry.node, "address", |w, node| w.ip(node, "address"))?;
                self.link_address(address, &own, &entry.node)
            });
            let interface = interface.unwrap_or_else(|| PerNode::Same(String::new()));
            links.insert(name.to_owned(), Link { interface, address });
        }
        links
    }

    fn link_address(
        &mut self,
        address: PerNode<IpAddr>,
        own: &[&str],
        node: &Node,
    ) -> Option<BTreeMap<String, IpAddr>> {
        self.complete(&address, own, node, "address");
        match address {
            PerNode::Each(addresses) => Some(addresses),
            PerNode::Same(address) => {
                let text = "`address` of a link is each node's own address".to_owned();
                let name = own.first().copied().unwrap_or("NODE");
                let help =
                    format!("write a table by node: address = {{ {name} = \"{address}\", … }}");
                self.push(Problem::error("bad-value", text).at(node.at).help(help));
                None
            }
        }
    }

    /// The required `interface` of a link or router.
    pub(super) fn interface(
        &mut self,
        table: &Table,
        at: Span,
        place: (Place, &[&str]),
    ) -> Option<PerNode<String>> {
        let Some(entry) = table.entries.get("interface") else {
            self.missing((table, at), place, "interface", "\"eth0\"");
            return None;
        };
        self.per_node(&entry.node, "interface", Self::interface_name)
    }

    pub(super) fn interface_name(&mut self, node: &Node) -> Option<String> {
        if let Value::Float(_) = node.value {
            let text = format!("`interface` must be a string, not {}", node.value.kind());
            let help = "a name with a dot needs quotes: \"eth0.100\"";
            self.push(Problem::error("bad-value", text).at(node.at).help(help));
            return None;
        }
        let name = self.string(node, "interface")?;
        self.interface_named(name, node.at)
    }

    /// The name of an interface, wherever it stands.
    pub(super) fn interface_named(&mut self, name: &str, at: Span) -> Option<String> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
        let text = if name.is_empty() || name == "." || name == ".." || name.contains(bad) {
            format!("\"{}\" cannot be the name of an interface", shown(name))
        } else if name.len() > INTERFACE_NAME_MAX {
            format!(
                "\"{}\" has {} bytes; the name of an interface has {INTERFACE_NAME_MAX} at most",
                shown(name),
                name.len()
            )
        } else {
            return Some(name.to_owned());
        };
        self.wrong(at, text);
        None
    }

    /// A table by node name must name every node that needs the value.
    pub(super) fn complete<T>(
        &mut self,
        value: &PerNode<T>,
        own: &[&str],
        node: &Node,
        what: &str,
    ) {
        let (PerNode::Each(values), Value::Table(table)) = (value, &node.value) else { return };
        if table.entries.len() != values.len() {
            // An entry could not be read; its own error says enough.
            return;
        }
        let missing: Vec<&str> =
            own.iter().copied().filter(|name| !values.contains_key(*name)).collect();
        if !missing.is_empty() {
            let text = format!("`{what}` has no value for {}", missing.join(", "));
            let help = "a table by node names every node of ours that runs it";
            self.push(Problem::error("missing-node", text).at(node.at).help(help));
        }
    }
}
