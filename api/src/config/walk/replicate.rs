//! `[replicate]`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{Walker, instead};
use crate::config::model::{
    COALESCE_DEFAULT, COALESCE_MAX, IGNORE_MAX, LINKS_MAX, Link, MARKS_MAX, Mark, Network,
    Node as NodeConfig, PROTECT_AFTER_MAX, PROTOCOLS, Recovery, Replicate, ZONES_MAX,
};
use crate::config::report::{Problem, Span};
use crate::config::tree::{Node, Table, Value};
use crate::config::words::{Place, nearest, shown};

/// The most protocols: one octet names them.
const PROTOCOLS_MAX: usize = 256;

impl Walker<'_> {
    pub(super) fn replicate(
        &mut self,
        tree: &Table,
        nodes: &BTreeMap<String, NodeConfig>,
        links: &BTreeMap<String, Link>,
    ) -> Option<Replicate> {
        let table = self.table(tree, "replicate")?;
        self.unknown(table, Place::Replicate, &[]);
        self.replicate_later(table);
        let mut protocols = self.set(table, "protocols", PROTOCOLS_MAX, Self::protocol);
        protocols.sort_unstable();
        let mut ignore = self.set(table, "ignore", IGNORE_MAX, |w, node| w.network(node, "ignore"));
        ignore.sort_unstable();
        let zone = |w: &mut Self, node: &Node| w.integer(node, "zones", 0, u16::MAX);
        let mut zones = self.set(table, "zones", ZONES_MAX, zone);
        zones.sort_unstable();
        let mut marks = self.set(table, "marks", MARKS_MAX, |w, node| w.mark(node, "marks"));
        marks.sort_unstable();
        let recovery = table.entries.get("recovery").and_then(|entry| {
            let words = [("flexible", Recovery::Flexible), ("strict", Recovery::Strict)];
            self.word(&entry.node, "recovery", &words)
        });
        let recovery = recovery.unwrap_or_default();
        let mut duration = |key: &str, most: Duration| {
            let entry = table.entries.get(key)?;
            self.duration(&entry.node, key, (Duration::ZERO, most))
        };
        let coalesce = duration("coalesce", COALESCE_MAX).unwrap_or(COALESCE_DEFAULT);
        let protect_after = duration("protect_after", PROTECT_AFTER_MAX).unwrap_or_default();
        let links = self.replicate_links(tree, table, links);
        let conntrackd = self.conntrackd(tree, table, nodes);
        Some(Replicate {
            links,
            protocols,
            ignore,
            zones,
            marks,
            coalesce,
            protect_after,
            recovery,
            conntrackd,
        })
    }

    /// The links in order of preference: those that are named, otherwise all.
    fn replicate_links(
        &mut self,
        tree: &Table,
        table: &Table,
        links: &BTreeMap<String, Link>,
    ) -> Vec<String> {
        let Some(entry) = table.entries.get("links") else {
            return links.keys().cloned().collect();
        };
        if matches!(&entry.node.value, Value::Array(items) if items.is_empty()) {
            let text = "`links` is empty, so nothing would be replicated";
            let help = "name a link, or leave it out for all links";
            self.push(Problem::error("bad-value", text).at(entry.node.at).help(help));
        }
        // Well-formed or not, so that a reference to it is not a second error.
        let written: Vec<&str> = match tree.entries.get("link").map(|entry| &entry.node.value) {
            Some(Value::Table(table)) => table.entries.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        let link = |w: &mut Self, node: &Node| {
            let name = w.string(node, "links")?;
            if !written.contains(&name) {
                let problem = Problem::error("unknown-link", format!("no link `{}`", shown(name)));
                w.push(problem.at(node.at).help(instead("link", name, &written)));
                return None;
            }
            Some(name.to_owned())
        };
        self.set(table, "links", LINKS_MAX, link)
    }

    /// The elements of an array, in which none may stand twice; empty where there is no array.
    fn set<T: PartialEq>(
        &mut self,
        table: &Table,
        key: &str,
        most: usize,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        let Some(entry) = table.entries.get(key) else { return Vec::new() };
        let mut values = Vec::new();
        for item in self.array(&entry.node, key, most) {
            let Some(value) = read(self, item) else { continue };
            if values.contains(&value) {
                self.wrong(item.at, format!("`{key}` names this twice"));
            } else {
                values.push(value);
            }
        }
        values
    }

    fn protocol(&mut self, node: &Node) -> Option<u8> {
        let text = match &node.value {
            Value::Integer(_) => return self.octet(node, "protocols", 0, u8::MAX),
            Value::Text(text) => text,
            _ => {
                self.wrong_type(
                    node,
                    "protocols",
                    "names such as \"tcp\" or numbers from 0 to 255",
                );
                return None;
            }
        };
        if let Some((_, number)) = PROTOCOLS.iter().find(|(name, _)| name == text) {
            return Some(*number);
        }
        let names = PROTOCOLS.iter().map(|(name, _)| *name);
        let help = match (text.parse::<u8>(), nearest(&text.to_lowercase(), names.clone())) {
            (Ok(number), _) => format!("a number stands without quotes: {number}"),
            (_, Some(near)) => format!("did you mean \"{near}\"?"),
            (_, None) => {
                let names: Vec<&str> = names.collect();
                format!("the names are: {}; any other by its number, 0 to 255", names.join(", "))
            }
        };
        let problem = Problem::error("bad-value", format!("no protocol `{}`", shown(text)));
        self.push(problem.at(node.at).help(help));
        None
    }

    /// A network that a key says.
    pub(super) fn network(&mut self, node: &Node, what: &str) -> Option<Network> {
        let text = self.string(node, what)?;
        self.network_of(text, node.at)
    }

    /// A network, wherever it stands.
    pub(super) fn network_of(&mut self, text: &str, at: Span) -> Option<Network> {
        let (ip_text, prefix_text) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let Ok(ip) = ip_text.parse::<IpAddr>() else {
            let text = format!("\"{}\" is no network", shown(text));
            let help = "write its first address and its prefix length: \"10.0.0.0/24\"";
            self.push(Problem::error("bad-value", text).at(at).help(help));
            return None;
        };
        let (bits, example) = if ip.is_ipv4() { (32, 24) } else { (128, 64) };
        let Some(prefix_text) = prefix_text else {
            let text = format!("`{ip}` has no prefix length");
            let network = Network::of(ip, example);
            let help = format!("write \"{ip}/{bits}\" for it alone, or a network: \"{network}\"");
            self.push(Problem::error("no-prefix", text).at(at).help(help));
            return None;
        };
        let prefix = prefix_text.parse::<u8>().ok().filter(|prefix| *prefix <= bits);
        let Some(prefix) = prefix.filter(|_| !prefix_text.starts_with('+')) else {
            let text = format!("the prefix length of `{ip}` must be from 0 to {bits}");
            self.wrong(at, text);
            return None;
        };
        let network = Network::of(ip, prefix);
        if network.ip != ip {
            let text = format!("`{ip}/{prefix}` is no network: bits behind its prefix are set");
            let help = format!("write \"{network}\", or \"{ip}/{bits}\" for it alone");
            self.push(Problem::error("bad-value", text).at(at).help(help));
            return None;
        }
        Some(network)
    }

    /// A value with an optional mask: `"0x1/0xff"`.
    pub(super) fn mark(&mut self, node: &Node, what: &str) -> Option<Mark> {
        let text = self.string(node, what)?;
        let (value, mask) = match text.split_once('/') {
            Some((value, mask)) => (number(value), number(mask)),
            None => (number(text), Some(u32::MAX)),
        };
        let (Some(value), Some(mask)) = (value, mask) else {
            let problem = format!("\"{}\" is no mark", shown(text));
            let help = "write its value, or value and mask, each of 32 bits: \"0x1/0xff\"";
            self.push(Problem::error("bad-value", problem).at(node.at).help(help));
            return None;
        };
        if value & !mask != 0 {
            let problem = format!("nothing has the mark `{}`", shown(text));
            let inside = Mark { value: value & mask, mask };
            let help = format!("bits of the value are not in its mask; did you mean \"{inside}\"?");
            self.push(Problem::error("bad-value", problem).at(node.at).help(help));
            return None;
        }
        Some(Mark { value, mask })
    }

    /// To hold answers back until the other node knows of the connection.
    fn no_defer(&mut self, at: Span) {
        let text = "`defer` in [replicate] is not supported";
        let help = "leave it out: answers could be held back only by sending them through a program, \
                    by a queue of packets that many kernels lack; `coalesce = \"0ms\"` makes the time \
                    shortest in which the other node does not know of a connection";
        self.push(Problem::error("not-yet", text).at(at).help(help));
    }

    /// What a later version will do.
    fn replicate_later(&mut self, table: &Table) {
        if let Some(entry) = table.entries.get("defer") {
            match &entry.node.value {
                Value::Array(items) if items.is_empty() => {}
                Value::Array(_) => self.no_defer(entry.key),
                _ => self.wrong_type(&entry.node, "defer", "an array"),
            }
        }
    }
}

/// A number of 32 bits, in digits or, behind `0x`, in hexadecimal ones.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // A sign would be taken otherwise.
    let plain = digits.chars().all(|digit| digit.is_digit(radix));
    u32::from_str_radix(digits, radix).ok().filter(|_| plain)
}
