//! `[replicate.conntrackd]`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::{Walker, instead};
use crate::config::model::{
    CONNTRACKD_GROUP_DEFAULT, CONNTRACKD_PORT_DEFAULT, Conntrackd, ConntrackdMode,
    Node as NodeConfig,
};
use crate::config::report::{Problem, Span};
use crate::config::tree::{Node, Table, Value};
use crate::config::words::{Place, shown};

impl Walker<'_> {
    pub(super) fn conntrackd(
        &mut self,
        tree: &Table,
        replicate: &Table,
        nodes: &BTreeMap<String, NodeConfig>,
    ) -> Option<Conntrackd> {
        let node = &replicate.entries.get("conntrackd")?.node;
        let Value::Table(table) = &node.value else {
            self.wrong_type(node, "conntrackd", "a table, as in `[replicate.conntrackd]`");
            return None;
        };
        let at = node.at;
        self.unknown(table, Place::Conntrackd, &[]);
        let peer = self.conntrackd_peer(table, at, nodes);
        let link = self.conntrackd_link(tree, table, at);
        let words = [("ftfw", ConntrackdMode::Ftfw), ("notrack", ConntrackdMode::Notrack)];
        let mode = table.entries.get("mode");
        let mode = mode.and_then(|entry| self.word(&entry.node, "mode", &words));
        let port = table.entries.get("port");
        let port = port.and_then(|entry| self.integer(&entry.node, "port", 1, u16::MAX));
        let address = table.entries.get("address");
        let address = address.and_then(|entry| self.conntrackd_address(&entry.node));
        let group = table.entries.get("group");
        let group = group.and_then(|entry| self.conntrackd_group(&entry.node));
        if let (Some(_), Some(entry)) = (table.entries.get("address"), table.entries.get("group")) {
            let text = "`address` and `group` exclude each other";
            let help =
                "`address` for UDP to the peer alone, `group` for multicast: as its file has it";
            self.push(Problem::error("contradiction", text).at(entry.key).help(help));
        }
        Some(Conntrackd {
            peer: peer?,
            link: link?,
            mode: mode.unwrap_or(ConntrackdMode::Ftfw),
            port: port.unwrap_or(CONNTRACKD_PORT_DEFAULT),
            address,
            group: group.unwrap_or(CONNTRACKD_GROUP_DEFAULT),
        })
    }

    fn conntrackd_peer(
        &mut self,
        table: &Table,
        at: Span,
        nodes: &BTreeMap<String, NodeConfig>,
    ) -> Option<String> {
        let Some(entry) = table.entries.get("peer") else {
            self.missing((table, at), (Place::Conntrackd, &[]), "peer", "\"gw2\"");
            return None;
        };
        let name = self.string(&entry.node, "peer")?;
        let (problem, help) = match nodes.get(name) {
            Some(node) if node.foreign => return Some(name.to_owned()),
            Some(_) => {
                let text = format!("node `{name}` is ours: it does not run conntrackd");
                let help = format!("say that it is of another make: [node.{name}] foreign = true");
                (Problem::error("not-foreign", text), help)
            }
            // Not well-formed, so that a reference to it is not a second error.
            None if self.nodes.contains(name) => return None,
            None => {
                let names: Vec<&str> = nodes.keys().map(String::as_str).collect();
                let problem = Problem::error("unknown-node", format!("no node `{}`", shown(name)));
                (problem, instead("node", name, &names))
            }
        };
        self.push(problem.at(entry.node.at).help(help));
        None
    }

    fn conntrackd_link(&mut self, tree: &Table, table: &Table, at: Span) -> Option<String> {
        let Some(entry) = table.entries.get("link") else {
            self.missing((table, at), (Place::Conntrackd, &[]), "link", "\"sync\"");
            return None;
        };
        let name = self.string(&entry.node, "link")?;
        let written: Vec<&str> = match tree.entries.get("link").map(|entry| &entry.node.value) {
            Some(Value::Table(table)) => table.entries.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        if written.contains(&name) {
            return Some(name.to_owned());
        }
        let problem = Problem::error("unknown-link", format!("no link `{}`", shown(name)));
        self.push(problem.at(entry.node.at).help(instead("link", name, &written)));
        None
    }

    fn conntrackd_address(&mut self, node: &Node) -> Option<IpAddr> {
        let address = self.ip(node, "address")?;
        if address.is_multicast() {
            let text = format!("`{address}` is a group, not the address of a peer");
            let problem = Problem::error("bad-value", text).at(node.at);
            self.push(problem.help(format!("write: group = \"{address}\"")));
            return None;
        }
        if address.is_unspecified() || address.is_loopback() {
            self.wrong(node.at, format!("`{address}` cannot be the address of a peer"));
            return None;
        }
        Some(address)
    }

    fn conntrackd_group(&mut self, node: &Node) -> Option<Ipv4Addr> {
        match self.ip(node, "group")? {
            IpAddr::V4(group) if group.is_multicast() => Some(group),
            other => {
                let text = format!("`{other}` is no multicast group of IPv4");
                let help = format!(
                    "write what the peer has as IPv4_address: \"{CONNTRACKD_GROUP_DEFAULT}\""
                );
                self.push(Problem::error("bad-value", text).at(node.at).help(help));
                None
            }
        }
    }
}
