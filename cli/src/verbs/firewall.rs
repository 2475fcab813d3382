//! `firewall`: the nftables rules that a node needs, from its configuration.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use evergate_api::config::model::{Auth, PerNode, Router, Vrrp};
use evergate_api::config::{self, Config};
use evergate_api::control::ErrorCode;
use serde_json::json;

use super::{Ended, check};
use crate::args::{DEFAULT_CHAIN, Firewall};
use crate::context::Context;
use crate::failure::{Failure, exit};

/// VRRP over IPv4, unless told otherwise (RFC 9568 section 5.1.1.2).
const VRRP_IPV4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// VRRP over IPv6, unless told otherwise (RFC 9568 section 5.1.2.2).
const VRRP_IPV6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// The protocol number of VRRP (RFC 9568 section 5.1.1.4).
const VRRP_PROTOCOL: u8 = 112;

/// The protocol number of the authentication header (RFC 2402).
const HEADER_PROTOCOL: u8 = 51;

/// Interfaces and speakers of one node, by what arrives on them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    /// Adverts by multicast: the interfaces, by group and protocol.
    multicast: BTreeMap<(IpAddr, Reverse<u8>), BTreeSet<String>>,
    /// Adverts by unicast: interface, speaker and protocol.
    vrrp_from: BTreeSet<(String, IpAddr, u8)>,
    /// Heartbeats and replication.
    own: BTreeSet<String>,
    /// Replication of a peer that runs conntrackd: interface, speaker if it is known, port.
    conntrackd: Option<(String, Option<IpAddr>, u16)>,
}

/// 0, or 2 if the configuration has errors or leaves open which node is meant.
pub fn run(context: &mut Context, what: &Firewall) -> Ended {
    let outcome = config::load(&what.config).map_err(check::unreadable)?;
    let Some(config) = outcome.config else {
        let text = format!("{} has errors; no rules can be told from it", what.config.display());
        let failure = Failure::new(exit::ERRORS, ErrorCode::BadConfig, text);
        return Err(failure.next(format!("evergate check {}", word(&what.config))).into());
    };
    let node = node(&config, what)?;
    let needs = needs(&config, &node);
    quotable(&needs)?;
    let rules = rules(&needs, config.cluster.port);
    let json = json!({ "node": node, "chain": what.chain, "rules": rules });
    context.show_own(&json, || text(&config.cluster.name, &node, &what.chain, &rules))?;
    Ok(exit::GOOD)
}

/// The node that is meant: the named one, or any if they do not differ.
fn node(config: &Config, what: &Firewall) -> Result<String, Failure> {
    let own: Vec<&String> =
        config.nodes.iter().filter(|(_, node)| !node.foreign).map(|(name, _)| name).collect();
    let names = own.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(named) = &what.node {
        return if own.contains(&named) {
            Ok(named.clone())
        } else {
            let text = format!("no node `{named}` of ours in the configuration; it has {names}");
            Err(Failure::new(exit::ERRORS, ErrorCode::UnknownNode, text))
        };
    }
    let Some(first) = own.first() else {
        let text = "the configuration has no node of ours, only foreign ones";
        return Err(Failure::new(exit::ERRORS, ErrorCode::UnknownNode, text));
    };
    let same = own.iter().all(|other| needs(config, other) == needs(config, first));
    if same {
        return Ok(first.to_string());
    }
    let text = format!("the rules differ between {names}; say which node they are for");
    let mut next = format!("evergate firewall --config {} --node {first}", word(&what.config));
    if what.chain != DEFAULT_CHAIN {
        next.push_str(&format!(" --chain \"{}\"", what.chain));
    }
    Err(Failure::new(exit::ERRORS, ErrorCode::UnknownNode, text).next(next))
}

/// A path as one word of a shell.
fn word(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

fn needs(config: &Config, node: &str) -> Needs {
    let mut needs = Needs::default();
    let runs_here = config.groups.values().filter(|group| group.priorities.contains_key(node));
    for group in runs_here {
        for router in group.routers.values() {
            needs.router(router, &group.vrrp, node);
        }
    }
    let alone = config.nodes.values().filter(|node| !node.foreign).count() < 2;
    if !alone {
        let here = |interface: &PerNode<String>| interface.get(node).cloned();
        needs.own.extend(config.links.values().filter_map(|link| here(&link.interface)));
        needs.own.extend(config.paths().iter().filter_map(|path| here(path.interface)));
    }
    let conntrackd = config.replicate.as_ref().and_then(|file| file.conntrackd.as_ref());
    needs.conntrackd = conntrackd.and_then(|plan| {
        let interface = config.links.get(&plan.link)?.interface.get(node)?;
        Some((interface.clone(), plan.address, plan.port))
    });
    needs
}

impl Needs {
    fn router(&mut self, router: &Router, vrrp: &Vrrp, node: &str) {
        let Some(interface) = router.interface.get(node) else { return };
        if router.vrid.is_none() {
            return;
        }
        let speaks = |ipv4| match ipv4 {
            true => router.ipv4().next().is_some(),
            false => router.ipv6().next().is_some(),
        };
        let header = matches!(vrrp.auth, Auth::Header { .. });
        for peer in &router.unicast_peers {
            let protocol = if header && peer.is_ipv4() { HEADER_PROTOCOL } else { VRRP_PROTOCOL };
            if speaks(peer.is_ipv4()) {
                self.vrrp_from.insert((interface.clone(), *peer, protocol));
            }
        }
        let multicast =
            |ipv4| speaks(ipv4) && !router.unicast_peers.iter().any(|peer| peer.is_ipv4() == ipv4);
        let mut add = |group: IpAddr, protocol: u8| {
            let interfaces = self.multicast.entry((group, Reverse(protocol))).or_default();
            interfaces.insert(interface.clone());
        };
        if multicast(true) {
            let protocol = if header { HEADER_PROTOCOL } else { VRRP_PROTOCOL };
            add(vrrp.multicast_v4.unwrap_or(VRRP_IPV4).into(), protocol);
        }
        if multicast(false) {
            add(vrrp.multicast_v6.unwrap_or(VRRP_IPV6).into(), VRRP_PROTOCOL);
        }
    }
}

/// The kernel allows names of interfaces that nftables cannot quote, and a rule must never hold
/// more than is meant.
fn quotable(needs: &Needs) -> Result<(), Failure> {
    let from = needs.vrrp_from.iter().map(|(interface, ..)| interface);
    let conntrackd = needs.conntrackd.iter().map(|(interface, ..)| interface);
    let multicast = needs.multicast.values().flatten();
    let mut all = multicast.chain(&needs.own).chain(from).chain(conntrackd);
    let strange = |c: char| !c.is_ascii_graphic() || "\"\\*".contains(c);
    match all.find(|name| name.contains(strange)) {
        None => Ok(()),
        Some(name) => {
            let text = format!("nftables cannot name the interface {name:?} in a rule");
            let next = "give the interface a name of letters and digits";
            Err(Failure::new(exit::ERRORS, ErrorCode::BadConfig, text).next(next))
        }
    }
}

/// The rules without their chain.
fn rules(needs: &Needs, port: u16) -> Vec<String> {
    let mut rules = Vec::new();
    for ((group, Reverse(protocol)), interfaces) in &needs.multicast {
        let family = if group.is_ipv4() { "ip" } else { "ip6" };
        rules.push(format!(
            "iifname {} {family} daddr {group} meta l4proto {protocol} accept comment \"evergate: VRRP\"",
            set(interfaces)
        ));
    }
    for (interface, peer, protocol) in &needs.vrrp_from {
        let family = if peer.is_ipv4() { "ip" } else { "ip6" };
        rules.push(format!(
            "iifname \"{interface}\" {family} saddr {peer} meta l4proto {protocol} accept \
             comment \"evergate: VRRP\""
        ));
    }
    if !needs.own.is_empty() {
        rules.push(format!(
            "iifname {} udp dport {port} accept comment \"evergate: heartbeats, replication\"",
            set(&needs.own)
        ));
    }
    if let Some((interface, peer, port)) = &needs.conntrackd {
        let speaker = match peer {
            Some(peer) if peer.is_ipv4() => format!("ip saddr {peer} "),
            Some(peer) => format!("ip6 saddr {peer} "),
            None => String::new(),
        };
        rules.push(format!(
            "iifname \"{interface}\" {speaker}udp dport {port} accept comment \"evergate: conntrackd\""
        ));
    }
    rules
}

fn set(interfaces: &BTreeSet<String>) -> String {
    let quoted: Vec<String> = interfaces.iter().map(|name| format!("\"{name}\"")).collect();
    format!("{{ {} }}", quoted.join(", "))
}

fn text(cluster: &str, node: &str, chain: &str, rules: &[String]) -> String {
    let mut text = format!(
        "# What {node} has to hear in cluster {cluster}. An accept in a table of its own would not \
         help:\n# every chain has to accept. So these rules go to the head of your own chain.\n\
         # Keep: save this as /etc/evergate/firewall.nft and end /etc/nftables.conf with\n\
         #   include \"/etc/evergate/firewall.nft\"\n"
    );
    for rule in rules.iter().rev() {
        text.push_str(&format!("insert rule {chain} {rule}\n"));
    }
    text.push_str(
        "# Where what goes out is filtered too: the same with oifname, and daddr for saddr.\n",
    );
    text
}
