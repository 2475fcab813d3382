//! Gateways that remember connections: a strict ruleset, address translation, and what it has dropped.

use std::collections::BTreeMap;
use std::fmt::Write;

use evergate_api::config::model::PORT_DEFAULT;
use serde_json::Value;

use crate::conntrack;
use crate::conntrackd::PORT;
use crate::error::{LabError, Result};
use crate::ftp;
use crate::lab::Lab;
use crate::netns::Namespace;
use crate::shell;
use crate::topology::{Gateway, Topology, VIRTUAL_WAN, VIRTUAL_WAN6};

/// The table that holds all of it.
const TABLE: &str = "evergate_lab";
/// The set of refused packets where FTP is read along, and how a packet is told.
const REFUSED: &str = "refused_packets";
const PACKET: &str = "iif . meta protocol . ct state . tcp sport . tcp dport . tcp flags";
/// No connection is picked up in the middle, and windows are checked: what has no state is invalid.
const SYSCTLS: [(&str, &str); 2] =
    [("netfilter/nf_conntrack_tcp_loose", "0"), ("netfilter/nf_conntrack_tcp_be_liberal", "0")];

/// What becomes of the client's addresses on `wan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// They become the virtual address, by name.
    Snat,
    /// IPv4: they become the address of the interface, which is the virtual one, see
    /// [`Topology::set_wan_apart`]. IPv6 as with [`Nat::Snat`].
    Masquerade,
    /// They stay; the server has a way back.
    None,
}

/// What becomes of packets to the gateway itself that belong to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// They are dropped, as most people have it.
    Filtered,
    /// The gateway's own TCP answers them with a reset: an address that comes before its states kills.
    Open,
}

/// The ruleset of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firewall {
    /// Translation.
    pub nat: Nat,
    /// What is not forwarded.
    pub input: Input,
    /// The gateway reads along with FTP, and nothing else may begin: what is not FTP or expected by it is
    /// refused, and counted if it is TCP.
    pub ftp: bool,
}

/// Packets that the ruleset of one gateway has counted since the lab began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// To be forwarded, and invalid: of no connection that this gateway knows.
    pub invalid: u64,
    /// To the gateway itself, and invalid: answers that found no translation.
    pub invalid_input: u64,
    /// To be forwarded, valid and not allowed: new connections from `wan`.
    pub refused: u64,
}

impl Drops {
    /// All invalid packets.
    pub fn all_invalid(&self) -> u64 {
        self.invalid + self.invalid_input
    }
}

impl Firewall {
    /// What most people have: the virtual address by name, and a filtered input.
    pub const fn snat() -> Self {
        Self { nat: Nat::Snat, input: Input::Filtered, ftp: false }
    }

    /// The same, for FTP alone.
    pub const fn ftp() -> Self {
        Self { ftp: true, ..Self::snat() }
    }

    /// Loads it on every gateway and arranges the ends so that only a translated connection can work.
    pub fn set_up(&self, topology: &mut Topology) -> Result<()> {
        if self.nat == Nat::Masquerade {
            topology.set_wan_apart()?;
        }
        if self.nat != Nat::None {
            topology.remove_way_back()?;
        }
        if self.ftp {
            // The ruleset loads the helper where it is a module, but not its part that translates. A
            // kernel that has both built in knows no such module.
            drop(shell::run("modprobe", &["-q", "nf_nat_ftp"]));
        }
        topology.add_client_twin()?;
        topology.gateways().into_iter().try_for_each(|gateway| self.load(topology.gateway(gateway)))
    }

    fn load(&self, gateway: &Namespace) -> Result<()> {
        gateway.run("nft", &["-f", "-"], &self.ruleset())?;
        SYSCTLS.iter().try_for_each(|(key, value)| gateway.sysctl(key, value))
    }

    fn ruleset(&self) -> String {
        let mut text = format!("table inet {TABLE} {{\n");
        for counter in ["invalid", "invalid_input", "refused"] {
            let _ = writeln!(text, "  counter {counter} {{ }}");
        }
        let (begins, note) = match self.ftp {
            true => (
                format!("tcp dport {} ", ftp::PORT),
                format!("meta l4proto != tcp drop\n    add @{REFUSED} {{ {PACKET} }}\n    "),
            ),
            false => (String::new(), String::new()),
        };
        let _ = write!(
            text,
            "  chain forward {{\n    type filter hook forward priority filter; policy drop;\n    \
             ct state invalid counter name \"invalid\" drop\n    \
             ct state established,related accept\n    \
             iifname \"lan\" oifname \"wan\" {begins}ct state new accept\n    \
             {note}counter name \"refused\"\n  }}\n",
        );
        if self.ftp {
            let _ = write!(
                text,
                "  set {REFUSED} {{ typeof {PACKET}; flags dynamic; size 64; timeout 1h; }}\n  \
                 ct helper ftp {{ type \"ftp\" protocol tcp; }}\n  \
                 chain helpers {{\n    type filter hook prerouting priority filter;\n    \
                 tcp dport {} ct helper set \"ftp\"\n  }}\n",
                ftp::PORT
            );
        }
        let (policy, verdict) = match self.input {
            Input::Filtered => ("drop", " drop"),
            Input::Open => ("accept", ""),
        };
        let _ = write!(
            text,
            "  chain input {{\n    type filter hook input priority filter; policy {policy};\n    \
             ct state invalid counter name \"invalid_input\"{verdict}\n    \
             ct state established,related accept\n    iifname \"lo\" accept\n    \
             meta l4proto {{ 112, icmp, ipv6-icmp }} accept\n    \
             udp dport {{ {PORT_DEFAULT}, {PORT} }} accept\n  }}\n"
        );
        let snat4 = format!("snat ip to {VIRTUAL_WAN}");
        let snat6 = format!("snat ip6 to {VIRTUAL_WAN6}");
        let translation = match self.nat {
            Nat::Snat => Some((snat4.as_str(), snat6.as_str())),
            Nat::Masquerade => Some(("masquerade", snat6.as_str())),
            Nat::None => None,
        };
        if let Some((ip4, ip6)) = translation {
            let _ = write!(
                text,
                "  chain postrouting {{\n    type nat hook postrouting priority srcnat;\n    \
                 oifname \"wan\" ip saddr 10.91.0.0/24 {ip4}\n    \
                 oifname \"wan\" ip6 saddr fd91::/64 {ip6}\n  }}\n"
            );
        }
        text + "}\n"
    }
}

/// What a gateway has dropped since the lab began.
pub fn drops(gateway: &Namespace) -> Result<Drops> {
    let arguments = ["-j", "list", "counters", "table", "inet", TABLE];
    let text = gateway.run("nft", &arguments, "")?;
    let wrong = |what: &str| LabError::Answer {
        question: format!("nft {}", arguments.join(" ")),
        text: format!("{what}: {text}"),
    };
    let document: Value = serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
    let objects = document["nftables"].as_array().ok_or_else(|| wrong("no list"))?;
    let packets = |name: &str| {
        let counters = objects.iter().filter_map(|object| object.get("counter"));
        let mut named = counters.filter(|counter| counter["name"] == name);
        named.next().and_then(|counter| counter["packets"].as_u64()).ok_or_else(|| wrong(name))
    };
    Ok(Drops {
        invalid: packets("invalid")?,
        invalid_input: packets("invalid_input")?,
        refused: packets("refused")?,
    })
}

/// The packets that a gateway has refused where FTP is read along, as `nft` shows them.
pub fn refused_packets(gateway: &Namespace) -> Result<String> {
    gateway.run("nft", &["list", "set", "inet", TABLE, REFUSED], "")
}

/// What the gateways' kernels tell of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What was dropped.
    pub drops: BTreeMap<Gateway, Drops>,
    /// Entries in the table of connections, our own control traffic included.
    pub states: BTreeMap<Gateway, u64>,
}

impl Facts {
    /// Invalid packets on all gateways since earlier facts.
    pub fn invalid_since(&self, earlier: &Self) -> u64 {
        let sum = |facts: &Self| facts.drops.values().map(Drops::all_invalid).sum::<u64>();
        sum(self) - sum(earlier)
    }
}

impl Lab {
    /// Reads the counters and tables of all gateways; the lab must be stateful.
    pub fn facts(&self) -> Result<Facts> {
        let mut facts = Facts::default();
        for gateway in self.gateways() {
            let namespace = self.topology.gateway(gateway);
            facts.drops.insert(gateway, drops(namespace)?);
            facts.states.insert(gateway, conntrack::count(namespace)?);
        }
        Ok(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masquerade_names_no_address_for_ipv4() {
        let text = Firewall { nat: Nat::Masquerade, ..Firewall::snat() }.ruleset();
        assert!(text.contains("10.91.0.0/24 masquerade\n"), "{text}");
        assert!(!text.contains(VIRTUAL_WAN), "{text}");
    }

    #[test]
    fn an_open_input_counts_and_drops_nothing() {
        let firewall = Firewall { nat: Nat::None, input: Input::Open, ..Firewall::snat() };
        let text = firewall.ruleset();
        assert!(text.contains("counter name \"invalid_input\"\n"), "{text}");
        assert!(!text.contains("postrouting"), "{text}");
    }

    #[test]
    fn where_ftp_is_read_nothing_else_may_begin() {
        let new = "oifname \"wan\" ct state new accept\n";
        assert!(Firewall::snat().ruleset().contains(new));
        let text = Firewall::ftp().ruleset();
        assert!(!text.contains(new), "{text}");
        assert!(text.contains("tcp dport 21 ct state new accept\n"), "{text}");
        assert!(text.contains("ct helper set \"ftp\""), "{text}");
    }
}
