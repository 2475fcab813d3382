//! `[group.NAME.router.NAME]`.

use std::net::IpAddr;

use super::Walker;
use super::unknown::header;
use crate::config::model::{
    ADDRESSES_IPV4_MAX, ADDRESSES_IPV6_MAX, Address, AdvertsFrom, Announce, PerNode, Router,
    UNICAST_PEERS_MAX, VirtualMac,
};
use crate::config::report::Problem;
use crate::config::tree::{Node, Table, Value};
use crate::config::words::Place;

/// The keys of a router that may stand in its group as defaults.
#[derive(Clone)]
pub(super) struct Shared {
    heartbeat: bool,
    announce: Option<Announce>,
    unicast_peers: Vec<IpAddr>,
    virtual_mac: VirtualMac,
    adverts_from: AdvertsFrom,
    accept: bool,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            heartbeat: true,
            announce: Some(Announce::default()),
            unicast_peers: Vec::new(),
            virtual_mac: VirtualMac::Off,
            adverts_from: AdvertsFrom::VirtualMac,
            accept: true,
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
        if let Some(value) = get("accept").and_then(|e| self.boolean(&e.node, "accept")) {
            shared.accept = value;
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
            Some(entry) => self.addresses(&entry.node, &header(Place::Router, &names), own),
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
            accept: shared.accept,
        }
    }

    fn addresses(&mut self, node: &Node, header: &str, own: &[&str]) -> Vec<Address> {
        let items = self.array(node, "addresses", ADDRESSES_IPV4_MAX + ADDRESSES_IPV6_MAX);
        let addresses: Vec<Address> =
            items.iter().filter_map(|item| self.virtual_address(item, own)).collect();
        if matches!(&node.value, Value::Array(items) if items.is_empty()) {
            self.wrong(node.at, format!("{header} has no address, so there is nothing to serve"));
        }
        let advertised = addresses.iter().filter(|address| address.advertise);
        let (ipv4, ipv6): (Vec<_>, Vec<_>) = advertised.partition(|address| address.ip.is_ipv4());
        for (count, most, family) in
            [(ipv4.len(), ADDRESSES_IPV4_MAX, "IPv4"), (ipv6.len(), ADDRESSES_IPV6_MAX, "IPv6")]
        {
            if count > most {
                let text = format!("{count} {family} addresses; one advert carries {most} at most");
                self.push(Problem::error("bad-value", text).at(node.at).help(
                    "write the others with `advertise = false`, or put them in a second router",
                ));
            }
        }
        addresses
    }
}
