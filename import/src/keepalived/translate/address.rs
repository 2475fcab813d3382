//! Virtual addresses.

use std::net::IpAddr;

use evergate_api::config::model::{self, ADDRESSES_IPV4_MAX, ADDRESSES_IPV6_MAX};

use super::super::model::Address;
use super::{Fate, Translator, probe};
use crate::toml::Value;

impl<'t> Translator<'_, 't, '_> {
    /// An address as `addresses` has it; none if it is told why not. `interface`: that of the
    /// router. `count`: how many of its family the router has.
    pub fn address(
        &mut self,
        address: &Address<'t>,
        interface: &str,
        is_advertised: bool,
        count: usize,
    ) -> Option<Value> {
        let ip = address.address;
        let most = if ip.is_ipv4() { ADDRESSES_IPV4_MAX } else { ADDRESSES_IPV6_MAX };
        if count >= most {
            let why = format!("a router has at most {most} addresses of a family");
            self.note(address.by, Fate::Unsupported, why);
            return None;
        }
        if let Some(why) = unusable(ip, address.length) {
            self.note(address.by, Fate::Unsupported, format!("{why}, not an address of a host"));
            return None;
        }
        let on = address.interface.as_deref().filter(|on| *on != interface);
        let (value, label) = match self.checked_address(address, on, is_advertised) {
            Ok(found) => found,
            Err(why) => {
                self.note(address.by, Fate::Unsupported, format!("the address is left out: {why}"));
                return None;
            }
        };
        let home = if is_link_local(ip) { on.unwrap_or(interface) } else { "" };
        let line = address.by.place.line;
        if let Some(first) = self.addresses.insert((ip, home.to_owned()), line) {
            let why = format!("an address belongs to one router, and is there once: line {first}");
            self.note(address.by, Fate::Unsupported, why);
            return None;
        }
        self.ledger.note_words(address.by.id, &label, Fate::Unsupported, "no label that we take");
        let why = if is_advertised { "addresses" } else { "addresses, advertise = false" };
        self.ledger.note_words(address.by.id, &address.understood, Fate::Exactly, why);
        Some(value)
    }

    /// The entry as `evergate check` takes it, and the words of a label that it does not take.
    fn checked_address(
        &mut self,
        address: &Address<'t>,
        on: Option<&str>,
        is_advertised: bool,
    ) -> Result<(Value, Vec<usize>), String> {
        let mut found = value(address, on, is_advertised);
        let mut read = read(&found, address);
        let mut label = Vec::new();
        if let (Err(_), true) = (&read, address.label.is_some()) {
            found = value(&Address { label: None, ..address.clone() }, on, is_advertised);
            read = self::read(&found, address);
            let at = address.by.words.iter().position(|word| word == "label");
            label.extend(at.into_iter().flat_map(|at| [at, at + 1]));
        }
        let read = read?;
        if let Some(other) = self.of_router.iter().find(|other| other.is_in_other_scope(&read)) {
            return Err(format!(
                "{other} is in its subnet with another scope, and the kernel refuses the second"
            ));
        }
        self.of_router.push(read);
        Ok((found, label))
    }
}

/// As the parser reads it. Where nothing but the address is said there is nothing to refuse.
fn read(value: &Value, address: &Address<'_>) -> Result<model::Address, String> {
    match value {
        Value::Inline(keys) => {
            // One that is alone and not advertised would be refused for that.
            let keys = keys.iter().filter(|(key, _)| key != "advertise");
            probe::address(Value::Inline(keys.cloned().collect()))
        }
        _ => Ok(model::Address::plain(address.address, address.length)),
    }
}

/// Why no host can have this address.
fn unusable(ip: IpAddr, prefix: u8) -> Option<&'static str> {
    match prefix {
        0 => Some("a prefix of no bits is everything"),
        _ => model::Address::plain(ip, prefix).unusable(),
    }
}

/// A text where nothing but the address is said.
fn value(address: &Address<'_>, interface: Option<&str>, is_advertised: bool) -> Value {
    let text = format!("{}/{}", address.address, address.length);
    let mut keys: Vec<(String, Value)> = Vec::new();
    let mut set = |key: &str, value: Option<Value>| {
        keys.extend(value.map(|value| (key.to_owned(), value)));
    };
    // The kernel heeds some of it for one family alone, and there is nothing to write for the other.
    let is_ipv4 = address.address.is_ipv4();
    let word = |word: &Option<String>| word.clone().map(Value::Text);
    set("interface", interface.map(Value::from));
    set("label", word(&address.label).filter(|_| is_ipv4));
    let scope = address.scope.clone().filter(|scope| scope != "global" && is_ipv4);
    set("scope", scope.map(Value::Text));
    set("peer", word(&address.peer));
    set("broadcast", word(&address.broadcast));
    set("advertise", (!is_advertised).then_some(false.into()));
    set("deprecated", deprecated(address).map(Value::from));
    let is_checked = address.detect_duplicates && !is_ipv4;
    set("detect_duplicates", is_checked.then_some(true.into()));
    set("prefix_route", address.no_prefix_route.then_some(false.into()));
    set("keep", address.no_track.then_some(false.into()));
    if keys.is_empty() {
        return Value::Text(text);
    }
    keys.insert(0, ("address".to_owned(), Value::Text(text)));
    Value::Inline(keys)
}

/// Where it is not as ours would do it: there, an IPv6 address is deprecated if its prefix has 128
/// bits; here, always.
fn deprecated(address: &Address<'_>) -> Option<bool> {
    if address.address.is_ipv4() {
        return address.deprecated.filter(|is_deprecated| *is_deprecated);
    }
    let is_deprecated = address.deprecated.unwrap_or(address.length == 128);
    (!is_deprecated).then_some(false)
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}
