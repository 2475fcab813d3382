//! The file of conntrackd: what it says about the two boxes, as `[replicate.conntrackd]`.

use std::fmt::Write as _;
use std::net::IpAddr;

use evergate_api::config::model::{
    CONNTRACKD_GROUP_DEFAULT, CONNTRACKD_PORT_DEFAULT, PROTOCOLS, protocol_name,
};

use crate::report::{Fate, Finding, Imported, Unreadable};
use crate::toml::quoted;

mod general;
mod syntax;
#[cfg(test)]
mod tests;

use syntax::Statement;

/// What is gathered on the way through the file.
#[derive(Debug, Default)]
struct Import {
    findings: Vec<Finding>,
    notrack: bool,
    /// The transport that is taken, if one is: its line.
    transport: Option<usize>,
    interface: Option<String>,
    port: Option<u16>,
    address: Option<IpAddr>,
    group: Option<IpAddr>,
    protocols: Vec<u8>,
    ignore: Vec<String>,
}

/// Reads a file. `peer`: the name of the node that keeps conntrackd.
///
/// # Errors
///
/// It is no file of conntrackd, or it has no way of talking that is spoken here.
pub fn import(text: &str, peer: &str) -> Result<Imported, Unreadable> {
    let statements = syntax::read(text)?;
    if !statements.iter().any(|one| one.name() == "sync") {
        let text = "there is no `Sync` block: this is no conntrackd.conf that copies connections";
        return Err(Unreadable::whole(text));
    }
    let mut import = Import::default();
    for statement in &statements {
        match statement.name().as_str() {
            "sync" => statement.inside.iter().for_each(|inner| import.sync(inner)),
            "general" => statement.inside.iter().for_each(|inner| import.general(inner)),
            "stats" => import.unsupported(statement, "nothing is logged of closed connections"),
            "helper" => import.unsupported(statement, "helpers in user space are not run"),
            _ => import.unsupported(statement, "not known"),
        }
    }
    let (Some(_), Some(interface)) = (import.transport, &import.interface) else {
        let text = "there is no `Multicast` or `UDP` with an `Interface`: the only ways that are \
                    spoken here";
        return Err(Unreadable::whole(text));
    };
    let toml = import.toml(interface, peer);
    let mut findings = import.findings;
    findings.sort_by_key(|finding| finding.line);
    Ok(Imported { toml, findings, keys: Vec::new() })
}

impl Import {
    fn note(&mut self, statement: &Statement, fate: Fate, why: impl Into<String>) {
        let (line, text) = (statement.line, statement.text());
        let (file, used_at) = (None, None);
        self.findings.push(Finding { file, line, used_at, text, fate, why: why.into() });
    }

    fn exactly(&mut self, statement: &Statement, why: impl Into<String>) {
        self.note(statement, Fate::Exactly, why);
    }

    fn changed(&mut self, statement: &Statement, why: impl Into<String>) {
        self.note(statement, Fate::Changed, why);
    }

    fn unsupported(&mut self, statement: &Statement, why: impl Into<String>) {
        self.note(statement, Fate::Unsupported, why);
    }

    fn sync(&mut self, statement: &Statement) {
        match statement.name().as_str() {
            "mode" => {
                match statement.value().to_lowercase().as_str() {
                    "ftfw" | "nack" => self.exactly(statement, "mode = \"ftfw\""),
                    "notrack" => {
                        self.notrack = true;
                        self.exactly(statement, "mode = \"notrack\"");
                    }
                    _ => self.unsupported(statement, "FTFW is assumed: choose it on the peer too"),
                }
                statement.inside.iter().for_each(|inner| self.mode(inner));
            }
            "multicast" | "udp" => self.transport(statement),
            "tcp" => self.unsupported(statement, "only Multicast and UDP are spoken"),
            "options" => statement.inside.iter().for_each(|inner| self.option(inner)),
            _ => self.unsupported(statement, "not known"),
        }
    }

    fn mode(&mut self, statement: &Statement) {
        let is_on = is_on(statement.value());
        match statement.name().as_str() {
            "disableexternalcache" if is_on => {
                self.exactly(statement, "copies are in the kernel before they are needed");
            }
            "disableexternalcache" => {
                self.changed(statement, "copies are in the kernel at once, not in a cache");
            }
            "disableinternalcache" if is_on => {
                self.exactly(statement, "no connection is kept twice: the kernel has them");
            }
            "disableinternalcache" => {
                self.changed(statement, "the kernel's table takes the place of the cache");
            }
            "startupresync" if is_on => {
                self.exactly(statement, "the peer is asked for everything when it answers");
            }
            "startupresync" => {
                self.changed(statement, "the peer is asked for everything when it answers");
            }
            "resendqueuesize" => {
                self.changed(statement, "what is lost for good is told again whole");
            }
            "ackwindowsize" => {
                self.changed(statement, "each 100 messages, and within a second");
            }
            "committimeout" => {
                self.changed(statement, "at a takeover each protocol's own timeout");
            }
            "purgetimeout" => self.changed(statement, "copies that the peer ends are removed"),
            "refreshtime" | "cachetimeout" => self.unsupported(statement, "of mode ALARM only"),
            _ => self.unsupported(statement, "not known"),
        }
    }

    fn transport(&mut self, statement: &Statement) {
        let is_default = statement.value().eq_ignore_ascii_case("default");
        if self.transport.is_some() && !is_default {
            return self.unsupported(statement, "one link is used, the first or the default");
        }
        if self.transport.is_some() {
            let text = "this default one is used and not the one before it";
            self.changed(statement, text);
            (self.interface, self.port) = (None, None);
            (self.address, self.group) = (None, None);
        } else {
            self.exactly(statement, "[replicate.conntrackd]");
        }
        self.transport = Some(statement.line);
        let is_udp = statement.name() == "udp";
        statement.inside.iter().for_each(|inner| self.transport_key(inner, is_udp));
    }

    fn transport_key(&mut self, statement: &Statement, is_udp: bool) {
        let value = statement.value();
        let address = value.parse::<IpAddr>();
        match (statement.name().as_str(), is_udp) {
            ("interface", _) => {
                self.interface = Some(value.to_owned());
                self.exactly(statement, "interface of the link");
            }
            ("ipv4_address", false) => match address {
                Ok(group) if group.is_ipv4() && group.is_multicast() => {
                    self.group = Some(group);
                    self.exactly(statement, "group");
                }
                _ => self.unsupported(statement, "no multicast group of IPv4"),
            },
            ("ipv6_address", false) => {
                self.unsupported(statement, "multicast is IPv4 only: use UDP for IPv6");
            }
            ("ipv4_destination_address" | "ipv6_destination_address", true) => match address {
                Ok(address) => {
                    self.address = Some(address);
                    self.exactly(statement, "address");
                }
                Err(_) => self.unsupported(statement, "no address"),
            },
            ("group", false) | ("port", true) => match value.parse::<u16>() {
                Ok(port) if port > 0 => {
                    self.port = Some(port);
                    self.exactly(statement, "port");
                }
                _ => self.unsupported(statement, "no port"),
            },
            ("ipv4_interface", false) | ("ipv4_address" | "ipv6_address", true) => {
                self.changed(statement, "the interface's own address is used");
            }
            ("sndsocketbuffer" | "rcvsocketbuffer", _) => {
                self.changed(statement, "the buffer is chosen by itself: 8 MiB");
            }
            ("checksum", _) if is_on(value) => self.exactly(statement, "always"),
            ("checksum", _) => self.changed(statement, "UDP always has its checksum"),
            _ => self.unsupported(statement, "not known"),
        }
    }

    fn option(&mut self, statement: &Statement) {
        let is_on = is_on(statement.value());
        match statement.name().as_str() {
            "tcpwindowtracking" if is_on => self.changed(
                statement,
                "window scales are told and restored; windows are checked from ten seconds after \
                 a takeover on",
            ),
            "tcpwindowtracking" => self.changed(
                statement,
                "window scales are told all the same; the peer may ignore them",
            ),
            "expectationsync" if is_on || statement.is_block => {
                self.unsupported(statement, "expected connections are not copied");
            }
            "expectationsync" => self.exactly(statement, "expected connections are not copied"),
            _ => self.unsupported(statement, "not known"),
        }
    }

    fn toml(&self, interface: &str, peer: &str) -> String {
        let mut text = format!(
            "# Add this to the file with [cluster], the nodes and the groups; a table that is there\n\
             # already gets what is missing in it.\n\n[node.{peer}]\nforeign = true\n\n[link.sync]\n\
             interface = {}\n\n[replicate]\n",
            quoted(interface)
        );
        if !self.protocols.is_empty() {
            let names = self.protocols.iter().map(|number| match protocol_name(*number) {
                name if PROTOCOLS.iter().any(|(known, _)| *known == name) => quoted(&name),
                number => number,
            });
            let _ = writeln!(text, "protocols = [{}]", names.collect::<Vec<_>>().join(", "));
        }
        if !self.ignore.is_empty() {
            let networks: Vec<String> = self.ignore.iter().map(|one| quoted(one)).collect();
            let _ = writeln!(text, "ignore = [{}]", networks.join(", "));
        }
        let _ =
            writeln!(text, "\n[replicate.conntrackd]\npeer = {}\nlink = \"sync\"", quoted(peer));
        let mode = if self.notrack { "notrack" } else { "ftfw" };
        let _ = writeln!(text, "mode = \"{mode}\"");
        let _ = writeln!(text, "port = {}", self.port.unwrap_or(CONNTRACKD_PORT_DEFAULT));
        let _ = match (self.address, self.group) {
            (Some(address), _) => writeln!(text, "address = \"{address}\""),
            (None, Some(group)) => writeln!(text, "group = \"{group}\""),
            (None, None) => writeln!(text, "group = \"{CONNTRACKD_GROUP_DEFAULT}\""),
        };
        text
    }
}

fn is_on(value: &str) -> bool {
    ["yes", "on", "true"].iter().any(|word| value.eq_ignore_ascii_case(word))
}
