//! Lines of `virtual_ipaddress` and `virtual_ipaddress_excluded`.

use std::net::{IpAddr, Ipv4Addr};

use evergate_api::config::model::LABEL_MAX;

use super::super::model::Address;
use super::super::tree::Statement;
use super::instance::is_interface;
use super::values::integer;
use super::{Fate, Reader};

impl Reader<'_> {
    /// `ADDRESS[/LENGTH] [dev IF] [scope S] [label L] …`
    pub(super) fn virtual_address<'t>(&mut self, by: &'t Statement) -> Option<Address<'t>> {
        let (text, length) = by.name().split_once('/').unwrap_or((by.name(), ""));
        let Ok(ip) = text.parse::<IpAddr>() else {
            self.unsupported(by, "no IP address: keepalived passes over the line");
            return None;
        };
        let most: u8 = if ip.is_ipv4() { 32 } else { 128 };
        let given = integer(length).and_then(|length| u8::try_from(length).ok());
        let given = given.filter(|length| *length <= most);
        if given.is_none() && by.name().contains('/') {
            let why = format!("no length of a prefix: keepalived takes /{most}, and so does this");
            self.ledger.note_words(by.id, &[0], Fate::Changed, why);
        }
        let mut address = plain(by, ip, given.unwrap_or(most));
        let mut at = 1;
        while at < by.words.len() {
            at += self.option(&mut address, at);
        }
        Some(address)
    }

    /// Reads the option at a position. How many words it has.
    fn option(&mut self, address: &mut Address<'_>, at: usize) -> usize {
        let by = address.by;
        let value = by.words.get(at + 1).cloned();
        let unsupported = |reader: &mut Self, words: usize, why: &str| {
            reader.some_words(by, at..at + words, why);
            words
        };
        match (by.words[at].as_str(), value) {
            ("dev", Some(value)) if is_interface(&value) => address.interface = Some(value),
            ("scope", Some(value)) => match scope(&value) {
                Some(scope) => address.scope = Some(scope.to_owned()),
                None => return unsupported(self, 2, "no scope that can be named here"),
            },
            ("label", Some(value)) if value.len() > LABEL_MAX => {
                return unsupported(self, 2, "too long for the kernel");
            }
            ("label", Some(value)) => address.label = Some(value),
            ("peer", Some(value)) if is_peer(&value, address.address) => address.peer = Some(value),
            ("peer", Some(_)) => return unsupported(self, 2, "no address of its family"),
            ("brd" | "broadcast", Some(value)) => {
                let Some(broadcast) = broadcast(&value, address.address, address.length) else {
                    return unsupported(self, 2, "no broadcast address");
                };
                address.broadcast = Some(broadcast);
            }
            ("preferred_lft", Some(value)) => match value.as_str() {
                "0" => address.deprecated = Some(true),
                "forever" => address.deprecated = Some(false),
                _ => return unsupported(self, 2, "it is for ever or 0 here"),
            },
            ("-nodad", _) => {
                address.detect_duplicates = true;
                return understood(address, at, 1);
            }
            ("noprefixroute", _) => {
                address.no_prefix_route = true;
                return understood(address, at, 1);
            }
            ("no_track", _) => {
                address.no_track = true;
                return understood(address, at, 1);
            }
            ("home" | "mngtmpaddr" | "autojoin", _) => {
                return unsupported(self, 1, "this flag of the kernel is not set");
            }
            ("use_vmac" | "no-vmac", _) => {
                return unsupported(self, 1, "it goes with the router's interface");
            }
            ("dev", _) => return unsupported(self, 2, "no interface can have this name"),
            ("track_group", _) => return unsupported(self, 2, "it counts for the group it is in"),
            _ => return 1,
        }
        understood(address, at, 2)
    }
}

fn understood(address: &mut Address<'_>, at: usize, words: usize) -> usize {
    address.understood.extend(at..at + words);
    words
}

fn plain(by: &Statement, address: IpAddr, length: u8) -> Address<'_> {
    Address {
        by,
        address,
        length,
        interface: None,
        scope: None,
        label: None,
        peer: None,
        broadcast: None,
        detect_duplicates: false,
        no_prefix_route: false,
        no_track: false,
        deprecated: None,
        understood: vec![0],
    }
}

/// An address of the same family, with or without the length of a prefix.
fn is_peer(value: &str, address: IpAddr) -> bool {
    let (text, length) = value.split_once('/').unwrap_or((value, "1"));
    let most: u8 = if address.is_ipv4() { 32 } else { 128 };
    let is_length = length.parse().is_ok_and(|length| (1..=most).contains(&length));
    is_length && text.parse().is_ok_and(|peer: IpAddr| peer.is_ipv4() == address.is_ipv4())
}

/// The scopes of addresses that have a name here.
fn scope(value: &str) -> Option<&'static str> {
    match value {
        "global" | "0" => Some("global"),
        "site" | "200" => Some("site"),
        "link" | "253" => Some("link"),
        "host" | "254" => Some("host"),
        _ => None,
    }
}

/// `+` sets the bits of the host, `-` clears them.
fn broadcast(value: &str, address: IpAddr, length: u8) -> Option<String> {
    let IpAddr::V4(address) = address else { return None };
    let network = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    match value {
        "+" => Some("auto".to_owned()),
        "-" => Some(Ipv4Addr::from(u32::from(address) & network).to_string()),
        other => other.parse::<Ipv4Addr>().ok().map(|address| address.to_string()),
    }
}
