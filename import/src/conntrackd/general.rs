//! `General`: what is copied at all, and how the daemon runs.

use std::net::IpAddr;

use evergate_api::config::model::{Network, PROTOCOLS};

use super::Import;
use super::syntax::Statement;

/// Statements about the process, which ours does in its own way.
const OTHERWISE: [(&str, &str); 16] = [
    ("hashsize", "the table grows by itself"),
    ("hashlimit", "the table grows by itself"),
    ("logfile", "the log goes to standard error"),
    ("syslog", "the log goes to standard error"),
    ("lockfile", "the control socket is the lock"),
    ("unix", "the control socket is --socket"),
    ("netlinkbuffersize", "chosen by itself"),
    ("netlinkbuffersizemaxgrowth", "chosen by itself"),
    ("netlinkoverrunresync", "after lost news the kernel's table is read again at once"),
    ("netlinkeventsreliable", "news that was lost is found by reading the kernel's table"),
    ("eventiterationlimit", "chosen by itself"),
    ("nice", "real-time priority where it is granted"),
    ("scheduler", "real-time priority where it is granted"),
    ("socketbuffersize", "chosen by itself"),
    ("socketbuffersizemaxgrown", "chosen by itself"),
    ("systemd", "systemd is told where it listens"),
];

impl Import {
    pub(super) fn general(&mut self, statement: &Statement) {
        let name = statement.name();
        if name == "filter" {
            if statement.text().to_lowercase().contains("kernelspace") {
                self.changed(statement, "what is not wanted is sorted out by the daemon");
            } else {
                self.exactly(statement, "[replicate]");
            }
            return statement.inside.iter().for_each(|inner| self.filter(inner));
        }
        match OTHERWISE.iter().find(|(known, _)| *known == name) {
            Some((_, why)) => self.changed(statement, *why),
            None if name == "pollsecs" => {
                self.unsupported(statement, "connections are copied when they change");
            }
            None => self.unsupported(statement, "not known"),
        }
    }

    fn filter(&mut self, statement: &Statement) {
        let accepts = statement.value().eq_ignore_ascii_case("accept");
        match (statement.name().as_str(), accepts) {
            ("protocol", true) => {
                self.exactly(statement, "protocols");
                statement.inside.iter().for_each(|inner| self.protocol(inner));
            }
            ("protocol", false) => {
                self.unsupported(statement, "write those that are wanted as `protocols`");
            }
            ("address", false) => {
                self.exactly(statement, "ignore");
                statement.inside.iter().for_each(|inner| self.address(inner));
            }
            ("address", true) => {
                self.unsupported(statement, "write those that are not wanted as `ignore`");
            }
            ("state", _) => self.changed(
                statement,
                "connections of TCP are copied from established until closed on both sides",
            ),
            _ => self.unsupported(statement, "not known"),
        }
    }

    fn protocol(&mut self, statement: &Statement) {
        for word in &statement.words {
            let small = word.to_lowercase();
            let name = if small == "ipv6-icmp" { "icmpv6" } else { small.as_str() };
            let known =
                PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
            match known.or_else(|| word.parse().ok()) {
                Some(number) if self.protocols.contains(&number) => {}
                Some(number) => self.protocols.push(number),
                None => self.unsupported(statement, "write the number of this protocol instead"),
            }
        }
    }

    fn address(&mut self, statement: &Statement) {
        let (ip, prefix) = match statement.value().split_once('/') {
            Some((ip, prefix)) => (ip.parse::<IpAddr>(), prefix.parse::<u8>().ok()),
            None => (statement.value().parse::<IpAddr>(), None),
        };
        let Ok(ip) = ip else { return self.unsupported(statement, "no address") };
        if ip.is_loopback() {
            return self.exactly(statement, "connections of a box itself are never copied");
        }
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let network = Network::of(ip, prefix.unwrap_or(most)).to_string();
        self.exactly(statement, format!("ignore: {network}"));
        if !self.ignore.contains(&network) {
            self.ignore.push(network);
        }
    }
}
