//! `[vrrp]`: versions, intervals, checksums and what else goes over the wire.

use std::net::IpAddr;

use super::super::model::{Instance, SECOND};
use super::super::tree::Statement;
use super::auth::Auth;
use super::{Choice, Fate, Translator, duration};
use crate::ledger::Id;
use crate::toml::Value;

/// The longest interval of version 3, in microseconds (RFC 9568 section 5.2.7).
const ADVERT_V3_MAX: u64 = 40_950_000;
/// What strict mode sets.
pub const STRICT_DOWN_TIMER: u8 = 3;
pub const STRICT_LOWER_NO_ADVERT: bool = true;
pub const STRICT_HIGHER_SEND_ADVERT: bool = false;
/// What became of other values.
pub const NOT_IN_STRICT: &str = "strict mode does not allow it, and so it is left out";
/// The unit of intervals in version 3, in microseconds.
const ADVERT_V3_UNIT: u64 = 10_000;

/// What a router says of VRRP. Empty: it has no say in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vrrp {
    pub version: Choice<Option<i64>>,
    pub advert: Choice<u64>,
    pub checksum: Choice<Option<&'static str>>,
    pub down_after: Choice<u8>,
    pub answer_lower: Choice<bool>,
    pub advert_before_yield: Choice<bool>,
    /// None where adverts are multicast.
    pub hop_limit: Choice<Option<u8>>,
    pub min_hop_limit: Choice<Option<u8>>,
    pub multicast: Choice<Option<IpAddr>>,
    pub auth: Choice<Auth>,
}

/// The router's instance, and what it says of VRRP.
pub type Said<'r, 't> = (&'r Instance<'t>, &'r Vrrp);

/// A key that all groups may have in common: its value here, and our default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: &'static str,
    /// None: the group has no say in it.
    pub value: Option<Value>,
    pub default: Value,
}

/// `[group.NAME.vrrp]`, as far as it may go to `[vrrp]`, and what may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupVrrp {
    pub common: Vec<Setting>,
    pub own: Vec<(&'static str, Value)>,
}

impl<'t> Translator<'_, 't, '_> {
    /// What an instance says.
    pub fn vrrp(&mut self, instance: &Instance<'t>, is_ipv6: bool, is_strict: bool) -> Vrrp {
        let globals = &self.found.globals;
        let (common, all) = (&instance.common, &globals.common);
        let version = Choice::of(&instance.version, &globals.version, 2);
        let plain = Choice::of(&common.plain_checksum, &all.plain_checksum, false);
        let mut down_after = Choice::of(&common.down_timer, &all.down_timer, 3);
        let mut lower = Choice::of(&common.lower_no_advert, &all.lower_no_advert, false);
        let mut higher = Choice::of(&common.higher_send_advert, &all.higher_send_advert, false);
        if is_strict {
            self.strictly(&mut down_after, STRICT_DOWN_TIMER);
            self.strictly(&mut lower, STRICT_LOWER_NO_ADVERT);
            self.strictly(&mut higher, STRICT_HIGHER_SEND_ADVERT);
        }
        let number = if is_ipv6 { 3 } else { version.value };
        if let Some(set) = instance.version.filter(|set| set.value != number) {
            self.told(&set, Fate::Exactly, "IPv6 is version 3 always, there too");
        }
        let advert = self.advert(instance, number);
        let checksum =
            (!is_ipv6 && number == 3).then_some(if plain.value { "plain" } else { "pseudo" });
        let idle_version = is_ipv6 && advert.value.is_multiple_of(SECOND);
        if checksum.is_none() {
            self.exactly(&common.plain_checksum, "it speaks of version 3 over IPv4 alone");
        }
        let auth = self.auth(instance, number, is_strict);
        Vrrp {
            version: Choice { value: (!idle_version).then_some(i64::from(number)), by: version.by },
            advert,
            checksum: Choice { value: checksum, by: plain.by },
            down_after,
            answer_lower: Choice { value: !lower.value, by: lower.by },
            advert_before_yield: higher,
            hop_limit: self.hop_limit(instance, is_strict),
            min_hop_limit: self.min_hop_limit(instance),
            multicast: self.group_address(instance, is_ipv6),
            auth,
        }
    }

    /// In strict mode a key has one value.
    fn strictly<T: PartialEq>(&mut self, choice: &mut Choice<T>, value: T) {
        if choice.value == value {
            return;
        }
        choice.value = value;
        for (id, words) in std::mem::take(&mut choice.by) {
            self.words(id, words, Fate::Exactly, NOT_IN_STRICT);
        }
    }

    fn advert(&mut self, instance: &Instance<'t>, version: u8) -> Choice<u64> {
        let mut advert = Choice::of(&instance.advert, &None, SECOND);
        let said = advert.value;
        let (rounded, shown) = if version == 2 {
            (((said + SECOND / 2) / SECOND).max(1) * SECOND, "whole seconds")
        } else if said > ADVERT_V3_MAX {
            (ADVERT_V3_MAX, "40.95 seconds at most")
        } else {
            let units = ((said + ADVERT_V3_UNIT / 2) / ADVERT_V3_UNIT).max(1);
            (units * ADVERT_V3_UNIT, "steps of 10 ms")
        };
        if rounded != said {
            advert.value = rounded;
            let why = format!("rounded, as there: version {version} carries {shown}");
            for (id, words) in std::mem::take(&mut advert.by) {
                self.words(id, words, Fate::Changed, why.clone());
            }
        }
        advert
    }

    /// The hop limit of what goes to peers; there are none in strict mode.
    fn hop_limit(&mut self, instance: &Instance<'t>, is_strict: bool) -> Choice<Option<u8>> {
        let is_unicast = instance.peers.as_ref().is_some_and(|peers| !peers.value.is_empty());
        if !is_unicast || is_strict {
            self.exactly(&instance.unicast_ttl, "without peers it does nothing, there too");
            return Choice::silent(None);
        }
        let Choice { value, by } = Choice::of(&instance.unicast_ttl, &None, 255);
        Choice { value: Some(value), by }
    }

    /// The smallest hop count that any peer may have.
    fn min_hop_limit(&mut self, instance: &Instance<'t>) -> Choice<Option<u8>> {
        let peers = instance.peers.as_ref().map_or(&[][..], |peers| &peers.value);
        let said: Vec<(u8, &Statement, usize)> = peers
            .iter()
            .filter_map(|peer| peer.min_ttl.map(|(ttl, at)| (ttl, peer.by, at)))
            .collect();
        let least = said.iter().map(|(ttl, ..)| *ttl).min().filter(|_| said.len() == peers.len());
        for (ttl, by, at) in said {
            let (fate, why) = match least {
                Some(least) if least == ttl => (Fate::Exactly, "min_hop_limit"),
                Some(_) => (Fate::Changed, "min_hop_limit is one for all peers, the smallest"),
                None => {
                    (Fate::Unsupported, "min_hop_limit is one for all peers, and not each has one")
                }
            };
            self.ledger.note_words(by.id, &[at, at + 1], fate, why);
        }
        Choice::silent(least.filter(|least| *least > 0))
    }

    fn group_address(&mut self, instance: &Instance<'t>, is_ipv6: bool) -> Choice<Option<IpAddr>> {
        let Some(set) = instance.multicast else { return Choice::silent(None) };
        if set.value.is_ipv6() == is_ipv6 && set.value.is_multicast() {
            return Choice { value: Some(set.value), by: vec![(set.by.id, set.words)] };
        }
        self.told(&set, Fate::Unsupported, "no multicast group of the instance's family");
        Choice::silent(None)
    }

    /// One table for all routers of a group. `name`: that of the group.
    pub fn group_vrrp(&mut self, name: &str, said: &[Said<'_, 't>]) -> GroupVrrp {
        let mut table = GroupVrrp::default();
        let routers: &[&Vrrp] = &said.iter().map(|(_, vrrp)| *vrrp).collect::<Vec<_>>();
        let ipv4: Vec<&Vrrp> =
            routers.iter().copied().filter(|one| one.version.value.is_some()).collect();
        let version = self.agreed(&each(&ipv4, |one| &one.version), "version");
        self.say(routers, |one| &one.version.by, "version");
        let advert = self.agreed(&each(routers, |one| &one.advert), "advert");
        let checksums: Vec<&Vrrp> =
            routers.iter().copied().filter(|one| one.checksum.value.is_some()).collect();
        let checksum = self.agreed(&each(&checksums, |one| &one.checksum), "checksum");
        let down_after = self.agreed(&each(routers, |one| &one.down_after), "down_after");
        let answer = self.agreed(&each(routers, |one| &one.answer_lower), "answer_lower");
        let before =
            self.agreed(&each(routers, |one| &one.advert_before_yield), "advert_before_yield");
        let mut set = |key, value: Option<Value>, default: Value| {
            table.common.push(Setting { key, value, default });
        };
        set("version", version.flatten().map(Value::from), 3.into());
        set("advert", advert.map(duration), "1s".into());
        set("checksum", checksum.flatten().map(Value::from), "auto".into());
        set("down_after", down_after.map(|n| i64::from(n).into()), 3.into());
        set("answer_lower", answer.map(Value::from), true.into());
        set("advert_before_yield", before.map(Value::from), false.into());
        self.own_vrrp(routers, &mut table);
        if let Some((_, first)) = said.first() {
            // The secrets of those who agree are told of first, with where to put them.
            for (instance, vrrp) in
                said.iter().filter(|(_, vrrp)| vrrp.auth.value == first.auth.value)
            {
                self.secrets(name, instance, &vrrp.auth.value);
            }
        }
        let auth = self.agreed(&each(routers, |one| &one.auth), "auth");
        if let Some(value) = auth.and_then(|auth| self.auth_value(name, &auth)) {
            table.own.push(("auth", value));
        }
        table
    }

    fn own_vrrp(&mut self, routers: &[&Vrrp], table: &mut GroupVrrp) {
        let unicast: Vec<&Vrrp> =
            routers.iter().copied().filter(|one| one.hop_limit.value.is_some()).collect();
        let hop = self.agreed(&each(&unicast, |one| &one.hop_limit), "hop_limit").flatten();
        let least = self.agreed(&each(&unicast, |one| &one.min_hop_limit), "min_hop_limit");
        if let Some(hop) = hop.filter(|hop| *hop != 255) {
            table.own.push(("hop_limit", i64::from(hop).into()));
        }
        if let Some(least) = least.flatten() {
            table.own.push(("min_hop_limit", i64::from(least).into()));
        }
        let groups: Vec<&Vrrp> =
            routers.iter().copied().filter(|one| one.multicast.value.is_some()).collect();
        if let Some(group) =
            self.agreed(&each(&groups, |one| &one.multicast), "multicast").flatten()
        {
            let key = if group.is_ipv4() { "ipv4" } else { "ipv6" };
            let value = Value::inline([(key, group.to_string().into())]);
            table.own.push(("multicast", value));
        }
    }

    /// Tells of what is left of some statements.
    fn say(&mut self, routers: &[&Vrrp], by: impl Fn(&Vrrp) -> &Vec<(Id, usize)>, why: &str) {
        for (id, words) in routers.iter().flat_map(|one| by(one)) {
            self.words(*id, *words, Fate::Exactly, why);
        }
    }
}

fn each<'v, T>(routers: &[&'v Vrrp], of: impl Fn(&'v Vrrp) -> &'v Choice<T>) -> Vec<&'v Choice<T>> {
    routers.iter().map(|one| of(one)).collect()
}
