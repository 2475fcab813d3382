//! `[group.NAME.router.NAME]`.

use std::net::IpAddr;

use super::Walker;
use super::unknown::header;
use crate::config::model::{
    ADDRESSES_IPV4_MAX, ADDRESSES_IPV6_MAX, ANNOUNCE_MAX, ANNOUNCE_MIN, Address, AdvertsFrom,
    Announce, PerNode, Router, UNICAST_PEERS_MAX, VirtualMac,
};
use crate::config::report::Problem;
use crate::config::tree::{Node, Table, Value};
use crate::config::words::{Place, shown};

/// The keys of a router that may stand in its group as defaults.
#[derive(Clone)]
pub(super) struct Shared {
    heartbeat: bool,
    announce: Announce,
    unicast_peers: Vec<IpAddr>,
    virtual_mac: VirtualMac,
    adverts_from: AdvertsFrom,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            heartbeat: true,
            announce: Announce::OnTakeover,
            unicast_peers: Vec::new(),
            virtual_mac: VirtualMac::Off,
            adverts_from: AdvertsFrom::VirtualMac,
        }
    }
}

impl Walker<'_> {
    pub(super) fn router_defaults(&mut self, group: &Table) -> Shared {
        self.shared(group, &Shared::default())
    }

    fn shared(&mut self, table: &Table, defaults: &Shared) -> Shared {
        let mut shared = defaults.clone();
        let get = |key: &str| table.entries.get(key);
        if let Some(value) = get("heartbeat").and_then(|e| self.boolean(&e.node, "heartbeat")) {
            shared.heartbeat = value;
        }
        if let Some(value) = get("announce").and_then(|e| self.announce(&e.node)) {
            shared.announce = value;
        }
        if let Some(entry) = get("unicast_peers") {
            let peers = self.array(&entry.node, "unicast_peers", UNICAST_PEERS_MAX);
            let peers = peers.iter().filter_map(|peer| self.ip(peer, "unicast_peers"));
            shared.unicast_peers = peers.collect();
        }
        if let Some(value) = get("virtual_mac").and_then(|entry| self.virtual_mac(&entry.node)) {
            shared.virtual_mac = value;
        }
        let words =
            [("virtual_mac", AdvertsFrom::VirtualMac), ("interface", AdvertsFrom::Interface)];
        let from = get("adverts_from");
        if let Some(value) = from.and_then(|e| self.word(&e.node, "adverts_from", &words)) {
            shared.adverts_from = value;
        }
        if let Some(entry) = get("accept")
            && self.boolean(&entry.node, "accept") == Some(false)
        {
            self.not_yet(entry.node.at, "`accept = false`");
        }
        shared
    }

    fn virtual_mac(&mut self, node: &Node) -> Option<VirtualMac> {
        match node.value {
            Value::Boolean(true) => Some(VirtualMac::On),
            Value::Boolean(false) => Some(VirtualMac::Off),
            Value::Text(_) => self.interface_name(node).map(VirtualMac::Named),
            _ => {
                self.wrong_type(node, "virtual_mac", "true, false or the name of an interface");
                None
            }
        }
    }

    fn announce(&mut self, node: &Node) -> Option<Announce> {
        match node.value {
            Value::Boolean(true) => Some(Announce::OnTakeover),
            Value::Boolean(false) => Some(Announce::Never),
            _ => {
                let limits = (ANNOUNCE_MIN, ANNOUNCE_MAX);
                self.duration(node, "announce", limits).map(Announce::Every)
            }
        }
    }

    pub(super) fn router(
        &mut self,
        (group, name): (&str, &str),
        node: &Node,
        table: &Table,
        own: &[&str],
        defaults: &Shared,
    ) -> Router {
        self.unknown(table, Place::Router, &[group, name]);
        let names = [group, name];
        let place = (Place::Router, &names[..]);
        let interface = self.interface(table, node.at, place);
        if let (Some(entry), Some(value)) = (table.entries.get("interface"), &interface) {
            self.complete(value, own, &entry.node, "interface");
        }
        let vrid = table.entries.get("vrid").and_then(|e| self.octet(&e.node, "vrid", 1, 255));
        let source = table.entries.get("source").and_then(|entry| {
            let source = self.per_node(&entry.node, "source", |w, node| w.ip(node, "source"))?;
            self.complete(&source, own, &entry.node, "source");
            Some(source)
        });
        let addresses = match table.entries.get("addresses") {
            Some(entry) => self.addresses(&entry.node, &header(Place::Router, &names)),
            None => {
                self.missing((table, node.at), place, "addresses", "[\"10.0.0.1/24\"]");
                Vec::new()
            }
        };
        let shared = self.shared(table, defaults);
        Router {
            interface: interface.unwrap_or_else(|| PerNode::Same(String::new())),
            vrid,
            addresses,
            source,
            heartbeat: shared.heartbeat,
            announce: shared.announce,
            unicast_peers: shared.unicast_peers,
            virtual_mac: shared.virtual_mac,
            adverts_from: shared.adverts_from,
        }
    }

    fn addresses(&mut self, node: &Node, header: &str) -> Vec<Address> {
        let items = self.array(node, "addresses", ADDRESSES_IPV4_MAX + ADDRESSES_IPV6_MAX);
        let addresses: Vec<Address> =
            items.iter().filter_map(|item| self.virtual_address(item)).collect();
        if matches!(&node.value, Value::Array(items) if items.is_empty()) {
            self.wrong(node.at, format!("{header} has no address, so there is nothing to serve"));
        }
        let ipv4 = addresses.iter().filter(|address| address.ip.is_ipv4()).count();
        let ipv6 = addresses.len() - ipv4;
        for (count, most, family) in
            [(ipv4, ADDRESSES_IPV4_MAX, "IPv4"), (ipv6, ADDRESSES_IPV6_MAX, "IPv6")]
        {
            if count > most {
                let text = format!("{count} {family} addresses; one advert carries {most} at most");
                self.push(
                    Problem::error("bad-value", text).at(node.at).help(
                        "put the others in a second router without `vrid`, in the same group",
                    ),
                );
            }
        }
        addresses
    }

    fn virtual_address(&mut self, node: &Node) -> Option<Address> {
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
        let address = Address { ip, prefix };
        if let Some(what) = address.unusable() {
            self.wrong(node.at, format!("`{address}` is {what}, not an address of a host"));
            return None;
        }
        Some(address)
    }
}
