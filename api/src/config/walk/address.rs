//! An entry of `addresses`: a text, or a table with all that can be said of an address.

use std::net::{IpAddr, Ipv4Addr};

use super::Walker;
use crate::config::model::{Address, LABEL_MAX, Scope};
use crate::config::report::Problem;
use crate::config::tree::{Node, Table, Value};
use crate::config::words::{Place, shown};

/// Keys that say something of IPv4 alone.
const IPV4_KEYS: [&str; 3] = ["label", "scope", "broadcast"];

impl Walker<'_> {
    pub(super) fn virtual_address(&mut self, node: &Node, own: &[&str]) -> Option<Address> {
        let Value::Table(table) = &node.value else { return self.plain_address(node) };
        self.unknown(table, Place::Address, &[]);
        let Some(entry) = table.entries.get("address") else {
            let text = "an entry of `addresses` needs `address`";
            let help = "add: address = \"10.0.0.1/24\"";
            self.push(Problem::error("missing", text).at(node.at).help(help));
            return None;
        };
        let mut address = self.plain_address(&entry.node)?;
        self.wrong_family(table, address.ip);
        self.place_of(table, &mut address, own);
        self.shape_of(table, &mut address);
        Some(address)
    }

    /// Where it is, and what belongs to its place.
    fn place_of(&mut self, table: &Table, address: &mut Address, own: &[&str]) {
        if let Some(entry) = table.entries.get("interface") {
            address.interface =
                self.per_node(&entry.node, "interface", |w, node| w.interface_name(node));
            if let Some(interface) = &address.interface {
                self.complete(interface, own, &entry.node, "interface");
            }
        }
        if let Some(entry) = table.entries.get("peer")
            && let Some((peer, prefix)) = self.peer(&entry.node, address.ip)
        {
            address.peer = Some(peer);
            address.prefix = prefix.unwrap_or(address.prefix);
        }
        if let Some(entry) = table.entries.get("broadcast") {
            address.broadcast = self.broadcast(&entry.node, address);
        }
        if let Some(entry) = table.entries.get("label") {
            address.label = self.label(&entry.node);
        }
    }

    fn shape_of(&mut self, table: &Table, address: &mut Address) {
        if let Some(entry) = table.entries.get("scope") {
            address.scope = self.word(&entry.node, "scope", &Scope::WORDS);
        }
        let mut flag = |key: &str, value: &mut bool| {
            let entry = table.entries.get(key);
            *value = entry.and_then(|entry| self.boolean(&entry.node, key)).unwrap_or(*value);
        };
        flag("advertise", &mut address.advertise);
        flag("deprecated", &mut address.deprecated);
        flag("detect_duplicates", &mut address.detect_duplicates);
        flag("prefix_route", &mut address.prefix_route);
        flag("keep", &mut address.keep);
    }

    /// Notes what the kernel would not take for the family.
    fn wrong_family(&mut self, table: &Table, ip: IpAddr) {
        if ip.is_ipv6() {
            for key in IPV4_KEYS {
                if let Some(entry) = table.entries.get(key) {
                    let text = format!("an IPv6 address has no `{key}`");
                    self.push(Problem::error("wrong-family", text).at(entry.key));
                }
            }
        } else if let Some(entry) = table.entries.get("detect_duplicates") {
            let text = "`detect_duplicates` does nothing for an IPv4 address";
            self.push(Problem::warning("no-effect", text).at(entry.key));
        }
    }

    /// The other end, with a prefix length of its own if it has one.
    fn peer(&mut self, node: &Node, ip: IpAddr) -> Option<(IpAddr, Option<u8>)> {
        let text = self.string(node, "peer")?;
        let (peer, prefix) = if text.contains('/') {
            let peer = self.plain_address(node)?;
            (peer.ip, Some(peer.prefix))
        } else {
            (self.ip(node, "peer")?, None)
        };
        if peer.is_ipv4() == ip.is_ipv4() {
            return Some((peer, prefix));
        }
        let text = format!("`peer` is {peer}, and the address {ip} is of the other family");
        self.push(Problem::error("wrong-family", text).at(node.at));
        None
    }

    /// `"auto"` sets the bits of the host.
    fn broadcast(&mut self, node: &Node, address: &Address) -> Option<Ipv4Addr> {
        let IpAddr::V4(ip) = address.ip else { return None };
        let text = self.string(node, "broadcast")?;
        if text == "auto" {
            let host = u32::MAX.checked_shr(u32::from(address.prefix)).unwrap_or(0);
            return Some(Ipv4Addr::from(u32::from(ip) | host));
        }
        let broadcast = text.parse().ok();
        if broadcast.is_none() {
            let text = format!("\"{}\" is no IPv4 address", shown(text));
            let help = "write one, or \"auto\"";
            self.push(Problem::error("bad-value", text).at(node.at).help(help));
        }
        broadcast
    }

    fn label(&mut self, node: &Node) -> Option<String> {
        let text = self.string(node, "label")?;
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if (1..=LABEL_MAX).contains(&text.len()) && printable {
            return Some(text.to_owned());
        }
        let text = format!("a label has 1 to {LABEL_MAX} printable characters");
        let help = "write the interface and a word of yours, as in \"eth0:vip\"";
        self.push(Problem::error("bad-value", text).at(node.at).help(help));
        None
    }

    fn plain_address(&mut self, node: &Node) -> Option<Address> {
        let text = self.string(node, "addresses")?;
        let no_address = |text: &str| {
            Problem::error("bad-value", format!("\"{}\" is no IP address", shown(text)))
                .at(node.at)
                .help("write an address and the prefix length of its subnet: \"10.0.0.1/24\"")
        };
        let Some((ip_text, prefix_text)) = text.split_once('/') else {
            let problem = match text.parse::<IpAddr>() {
                Err(_) => no_address(text),
                Ok(ip) => {
                    let example = if ip.is_ipv4() { 24 } else { 64 };
                    Problem::error("no-prefix", format!("`{ip}` has no prefix length"))
                        .at(node.at)
                        .help(format!("write that of its subnet, as in \"{ip}/{example}\""))
                }
            };
            self.push(problem);
            return None;
        };
        let Ok(ip) = ip_text.parse::<IpAddr>() else {
            self.push(no_address(ip_text));
            return None;
        };
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        let plain = !prefix_text.starts_with('+');
        let Some(prefix) =
            prefix_text.parse::<u8>().ok().filter(|prefix| plain && (1..=bits).contains(prefix))
        else {
            let text = format!("the prefix length of `{ip}` must be from 1 to {bits}");
            self.wrong(node.at, text);
            return None;
        };
        let address = Address::plain(ip, prefix);
        if let Some(what) = address.unusable() {
            self.wrong(node.at, format!("`{address}` is {what}, not an address of a host"));
            return None;
        }
        Some(address)
    }
}
