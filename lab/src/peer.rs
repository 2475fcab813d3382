//! keepalived as a peer.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{LabError, Result};
use crate::package::Packaged;
use crate::topology::{Gateway, Segment};

/// A keepalived that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keepalived(Packaged);

impl Keepalived {
    /// Finds or fetches it.
    pub fn find() -> Result<Self> {
        Packaged::find("keepalived").map(Self)
    }

    /// A command that starts it, without arguments yet.
    pub fn command(&self) -> Command {
        self.0.command()
    }

    /// Its version, as it says.
    pub fn version(&self) -> Result<String> {
        let output =
            self.command().arg("--version").output().map_err(LabError::io("start keepalived"))?;
        // It says so on standard error.
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let word = text.split_whitespace().find(|word| word.starts_with('v'));
        Ok(word.map_or("unknown", |word| &word[1..]).to_owned())
    }
}

/// A configuration of keepalived that serves the same addresses as our example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// VRRP version for IPv4, 2 or 3.
    pub version: u8,
    /// Time between adverts, in milliseconds; version 2 knows whole seconds only.
    pub advert_ms: u32,
    /// Serve IPv4 addresses.
    pub ipv4: bool,
    /// Serve IPv6 addresses.
    pub ipv6: bool,
    /// Take over from a living node of lower priority.
    pub preempt: bool,
    /// Type of authentication and password, of version 2.
    pub auth: Option<(&'static str, &'static str)>,
    /// Send adverts to the other gateway alone.
    pub unicast: bool,
    /// Have the addresses on an interface with the virtual MAC address.
    pub virtual_mac: bool,
    /// Another multicast group than 224.0.0.18.
    pub multicast: Option<&'static str>,
    /// The TTL of what is sent to the other gateway alone, and the least of what comes from it.
    pub ttl: Option<u8>,
    /// The priority on both gateways; none for 200 on the first and 100 on the others.
    pub priority: Option<u8>,
    /// What is called with `primary`, `backup` or `fault` when its role changes.
    pub notify: Option<PathBuf>,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            version: 2,
            advert_ms: 1000,
            ipv4: true,
            ipv6: false,
            preempt: true,
            auth: None,
            unicast: false,
            virtual_mac: false,
            multicast: None,
            ttl: None,
            priority: None,
            notify: None,
        }
    }
}

/// One virtual router of the example: name, family, identifier and addresses.
struct Router {
    name: &'static str,
    segment: &'static str,
    ipv6: bool,
    vrid: u8,
    addresses: &'static [&'static str],
}

impl Router {
    fn segment(&self) -> Segment {
        if self.segment == "lan" { Segment::Lan } else { Segment::Wan }
    }
}

const ROUTERS: [Router; 4] = [
    Router { name: "lan", segment: "lan", ipv6: false, vrid: 51, addresses: &["10.91.0.1/24"] },
    Router { name: "wan", segment: "wan", ipv6: false, vrid: 52, addresses: &["10.92.0.1/24"] },
    Router {
        name: "lan6",
        segment: "lan",
        ipv6: true,
        vrid: 51,
        addresses: &["fe80::91:1/64", "fd91::1/64"],
    },
    Router {
        name: "wan6",
        segment: "wan",
        ipv6: true,
        vrid: 52,
        addresses: &["fe80::92:1/64", "fd92::1/64"],
    },
];

impl PeerConfig {
    /// Version 3 with adverts this many milliseconds apart.
    pub fn tuned(advert_ms: u32) -> Self {
        Self { version: 3, advert_ms, ..Self::default() }
    }

    /// Writes the file for a gateway into its directory; gives its path.
    pub fn write(&self, gateway: Gateway, directory: &Path) -> Result<PathBuf> {
        let file = directory.join("keepalived.conf");
        fs::write(&file, self.to_text(gateway))
            .map_err(LabError::io("write a configuration of keepalived"))?;
        Ok(file)
    }

    /// The file for a gateway: priority 200 on the first, 100 on the others.
    pub fn to_text(&self, gateway: Gateway) -> String {
        let routers: Vec<&Router> = ROUTERS
            .iter()
            .filter(|router| if router.ipv6 { self.ipv6 } else { self.ipv4 })
            .collect();
        let mut text =
            format!("global_defs {{\n  router_id {gateway}\n  vrrp_version {}\n", self.version);
        // Scripts and mail are not used; saying so silences the start-up warnings.
        if let Some(group) = self.multicast {
            let _ = writeln!(text, "  vrrp_mcast_group4 {group}");
        }
        text.push_str("  script_user root\n}\n\nvrrp_sync_group gateway {\n  group {\n");
        for router in &routers {
            let _ = writeln!(text, "    {}", router.name);
        }
        text.push_str("  }\n");
        if let Some(script) = &self.notify {
            for (role, word) in [("master", "primary"), ("backup", "backup"), ("fault", "fault")] {
                let _ = writeln!(text, "  notify_{role} \"{} {word}\"", script.display());
            }
        }
        text.push_str("}\n");
        for router in routers {
            text.push_str(&self.instance(gateway, router));
        }
        text
    }

    fn instance(&self, gateway: Gateway, router: &Router) -> String {
        let usual = if gateway.number() == 1 { 200 } else { 100 };
        let priority = self.priority.unwrap_or(usual);
        let mut text = format!("\nvrrp_instance {} {{\n  state BACKUP\n", router.name);
        let _ = writeln!(text, "  interface {}", router.segment);
        let _ = writeln!(text, "  virtual_router_id {}", router.vrid);
        let _ = writeln!(text, "  priority {priority}");
        let _ = writeln!(text, "  advert_int {}", f64::from(self.advert_ms) / 1000.0);
        if !self.preempt {
            text.push_str("  nopreempt\n");
        }
        if self.virtual_mac {
            text.push_str("  use_vmac\n");
        }
        if self.unicast {
            let segment = router.segment();
            let address = |gateway: Gateway| match router.ipv6 {
                true => gateway.address6(segment),
                false => gateway.address(segment),
            };
            let _ = writeln!(text, "  unicast_src_ip {}", address(gateway));
            let least = self.ttl.map_or(String::new(), |ttl| format!(" min_ttl {ttl}"));
            let peer = address(gateway.other());
            let _ = writeln!(text, "  unicast_peer {{\n    {peer}{least}\n  }}");
            if let Some(ttl) = self.ttl {
                let _ = writeln!(text, "  unicast_ttl {ttl}");
            }
        }
        if let Some((kind, password)) = self.auth {
            let _ = writeln!(
                text,
                "  authentication {{\n    auth_type {kind}\n    auth_pass {password}\n  }}"
            );
        }
        text.push_str("  virtual_ipaddress {\n");
        for address in router.addresses {
            // With a virtual MAC address they are to be on its interface, which is what no name means.
            let place = format!(" dev {}", router.segment);
            let place = if self.virtual_mac { "" } else { &place };
            let _ = writeln!(text, "    {address}{place}");
        }
        text.push_str("  }\n}\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{GW1, GW2};

    #[test]
    fn the_default_is_what_most_people_run() {
        let text = PeerConfig::default().to_text(GW2);
        assert!(text.contains("vrrp_version 2"));
        assert!(text.contains("advert_int 1\n"));
        assert!(text.contains("priority 100"));
        assert!(!text.contains("lan6"));
    }

    #[test]
    fn a_tuned_peer_speaks_version_3_in_fractions_of_a_second() {
        let config = PeerConfig { ipv6: true, ..PeerConfig::tuned(10) };
        let text = config.to_text(GW1);
        assert!(text.contains("vrrp_version 3"));
        assert!(text.contains("advert_int 0.01\n"));
        assert_eq!(text.matches("vrrp_instance").count(), 4);
    }
}
