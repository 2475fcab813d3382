//! An instance as a router of ours, with what it says of its group.

use std::collections::BTreeSet;
use std::net::IpAddr;

use evergate_api::config::model::{INTERFACE_NAME_MAX, UNICAST_PEERS_MAX};

use super::super::limits::INSTANCES_MAX;
use super::super::model::{Address, Garp, Instance, Maybe, Set};
use super::super::read::is_interface;
use super::vrrp::{NOT_IN_STRICT, Vrrp};
use super::{Choice, Fate, Translator, duration, whole};
use crate::toml::Value;

/// The most announcements in a row.
const ANNOUNCE_REPEAT_MAX: u32 = evergate_api::config::model::ANNOUNCE_REPEAT_MAX as u32;

const NO_ADDRESSES: &str = "it has no addresses, and a router needs one";
const NO_PEER: &str = "no peer: keepalived goes to FAULT, here adverts are multicast";
const NONE_ADVERTISED: &str = "it advertises no address, and an advert lists one at least";

/// An instance, translated.
pub struct Router<'m, 't> {
    pub instance: &'m Instance<'t>,
    /// The keys of its table, but for those that the group may say.
    pub keys: Vec<(&'static str, Value)>,
    /// A router beside it, for excluded addresses of the other family: the end of its name, its
    /// keys.
    pub beside: Option<(&'static str, Vec<(&'static str, Value)>)>,
    pub interface: String,
    pub announce: Value,
    pub accept: bool,
    pub priority: Choice<u8>,
    pub failback: Choice<Value>,
    pub vrrp: Vrrp,
}

impl<'m, 't> Translator<'m, 't, '_> {
    /// Translates an instance; none if it is told why not.
    pub fn router(&mut self, instance: &'m Instance<'t>) -> Option<Router<'m, 't>> {
        let is_ipv6 = is_ipv6(instance);
        let (interface, vrid) = match self.place(instance, is_ipv6) {
            Ok(place) => place,
            Err(why) => return self.left_out(instance, &why),
        };
        self.of_router.clear();
        let addresses = self.own_addresses(instance, is_ipv6, &interface);
        if addresses.is_empty() {
            let none = instance.excluded.is_empty();
            return self.left_out(instance, if none { NO_ADDRESSES } else { NONE_ADVERTISED });
        }
        self.exactly(&instance.interface, "interface");
        self.exactly(&instance.vrid, "vrid");
        let is_strict = instance.common.strict.or(self.found.globals.common.strict);
        let is_strict = is_strict.is_some_and(|strict| strict.value);
        self.strict(&instance.common.strict);
        self.routers[usize::from(is_strict)] += 1;
        let priority = self.priority(instance, is_strict);
        let failback = self.failback(instance, priority.value, is_strict);
        let vrrp = self.vrrp(instance, is_ipv6, is_strict);
        let mut keys =
            vec![("interface", interface.clone().into()), ("vrid", i64::from(vrid).into())];
        let beside = self.beside(instance, is_ipv6, &interface);
        keys.push(("addresses", Value::Array(addresses)));
        keys.extend(self.source(instance, is_ipv6));
        let peers = self.peers(instance, is_ipv6, is_strict);
        let is_unicast = peers.is_some();
        self.fault_no_peer(instance, is_unicast);
        keys.extend(peers);
        keys.extend(self.virtual_mac(instance, is_ipv6, vrid, is_unicast, is_strict));
        let accept = self.accept(instance, priority.value, is_strict);
        let announce = self.announce(instance, is_ipv6, is_strict);
        self.idle(instance);
        Some(Router {
            instance,
            keys,
            beside,
            interface,
            announce,
            accept,
            priority,
            failback,
            vrrp,
        })
    }

    fn left_out<T>(&mut self, instance: &Instance<'t>, why: &str) -> Option<T> {
        let why = format!("the instance is left out: {why}");
        whole(self.ledger, instance.by, Fate::Unsupported, &why);
        None
    }

    /// The interface and the number, if there are both.
    fn place(&mut self, instance: &Instance<'t>, is_ipv6: bool) -> Result<(String, u8), String> {
        let Some(interface) = &instance.interface else {
            return Err("it has no interface, and a router needs one".into());
        };
        let Some(vrid) = instance.vrid else {
            return Err("it has no virtual_router_id".into());
        };
        if self.numbers.len() >= INSTANCES_MAX {
            return Err(format!("more than {INSTANCES_MAX} are not taken"));
        }
        let key = (interface.value.clone(), is_ipv6, vrid.value);
        let line = instance.by.place.line;
        if let Some(first) = self.numbers.insert(key, line) {
            return Err(format!(
                "that of line {first} has its virtual_router_id on the same interface"
            ));
        }
        Ok((interface.value.clone(), vrid.value))
    }

    fn own_addresses(
        &mut self,
        instance: &Instance<'t>,
        is_ipv6: bool,
        interface: &str,
    ) -> Vec<Value> {
        let mut values = Vec::new();
        for address in &instance.addresses {
            if address.address.is_ipv6() == is_ipv6 {
                values.extend(self.address(address, interface, true, values.len()));
            } else {
                let why = "not of the instance's family: keepalived passes over the line";
                self.note(address.by, Fate::Unsupported, why);
            }
        }
        if values.is_empty() {
            // Adverts list one address at least, and the excluded ones are not listed.
            return values;
        }
        for address in instance.excluded.iter().filter(|one| one.address.is_ipv6() == is_ipv6) {
            values.extend(self.address(address, interface, false, values.len()));
        }
        values
    }

    /// Excluded addresses of the other family: a router without a number, so that no advert has
    /// them.
    fn beside(
        &mut self,
        instance: &Instance<'t>,
        is_ipv6: bool,
        interface: &str,
    ) -> Option<(&'static str, Vec<(&'static str, Value)>)> {
        let is_other = |one: &&Address<'_>| one.address.is_ipv6() != is_ipv6;
        let others: Vec<&Address<'_>> = instance.excluded.iter().filter(is_other).collect();
        let mut values = Vec::new();
        for address in others {
            values.extend(self.address(address, interface, true, values.len()));
        }
        let keys =
            vec![("interface", interface.into()), ("addresses", Value::Array(values.clone()))];
        let end = if is_ipv6 { "-ipv4" } else { "-ipv6" };
        (!values.is_empty()).then_some((end, keys))
    }

    fn source(&mut self, instance: &Instance<'t>, is_ipv6: bool) -> Option<(&'static str, Value)> {
        let set = instance.source.as_ref()?;
        if set.value.is_ipv6() != is_ipv6 {
            self.told(set, Fate::Unsupported, "not of the instance's family");
            return None;
        }
        let mut addresses = instance.addresses.iter().chain(&instance.excluded);
        if addresses.any(|address| address.address == set.value) {
            self.told(
                set,
                Fate::Unsupported,
                "it is a virtual address: adverts come from a node's own",
            );
            return None;
        }
        self.told(set, Fate::Exactly, "source");
        let value = Value::Inline(vec![(self.node.clone(), set.value.to_string().into())]);
        Some(("source", value))
    }

    /// The peers and ourselves: a node of ours passes over itself, so the list is good for all.
    fn peers(
        &mut self,
        instance: &Instance<'t>,
        is_ipv6: bool,
        is_strict: bool,
    ) -> Option<(&'static str, Value)> {
        self.check_unicast(&instance.common.check_unicast);
        let set = instance.peers.as_ref()?;
        if is_strict {
            let why = "strict mode has no unicast, and so it is left out";
            whole(self.ledger, set.by, Fate::Exactly, why);
            return None;
        }
        let mut peers: Vec<IpAddr> = Vec::new();
        peers.extend(
            instance.source.filter(|source| source.value.is_ipv6() == is_ipv6).map(|s| s.value),
        );
        let own = peers.len();
        for peer in &set.value {
            let why = if peer.address.is_ipv6() != is_ipv6 {
                "not of the instance's family"
            } else if peers.len() >= UNICAST_PEERS_MAX {
                "a router has at most 32 peers, itself included"
            } else {
                if !peers.contains(&peer.address) {
                    peers.push(peer.address);
                }
                self.ledger.note_words(peer.by.id, &[0], Fate::Exactly, "unicast_peers");
                continue;
            };
            self.note(peer.by, Fate::Unsupported, why);
        }
        if peers.len() == own {
            let (fate, why) = match instance.fault_no_peer {
                Some(set) if set.value => (Fate::Unsupported, NO_PEER),
                _ => (Fate::Exactly, "no peer: keepalived sends multicast, and so does this"),
            };
            self.told(set, fate, why);
            return None;
        }
        let is_checked = instance.common.check_unicast.or(self.found.globals.common.check_unicast);
        let is_checked = is_checked.is_some_and(|set| set.value)
            || set.value.iter().any(|peer| peer.min_ttl.is_some());
        let (fate, why) = if is_checked {
            (Fate::Exactly, "unicast_peers")
        } else {
            (Fate::Changed, "unicast_peers; adverts from other addresses are refused here")
        };
        self.told(set, fate, why);
        Some(("unicast_peers", Value::texts(peers.iter().map(ToString::to_string))))
    }

    /// keepalived heeds it where a keyword of unicast is there, and no peer.
    fn fault_no_peer(&mut self, instance: &Instance<'t>, is_unicast: bool) {
        let Some(set) = &instance.fault_no_peer else { return };
        let wants_unicast = instance.peers.is_some() || instance.source.is_some();
        if set.value && wants_unicast && !is_unicast {
            return self.told(set, Fate::Unsupported, NO_PEER);
        }
        let why = match (set.value, is_unicast) {
            (false, _) => "it is off here too",
            (true, true) => "there are peers",
            (true, false) => "without `unicast_peer` it does nothing, there too",
        };
        self.told(set, Fate::Exactly, why);
    }

    fn virtual_mac(
        &mut self,
        instance: &Instance<'t>,
        is_ipv6: bool,
        vrid: u8,
        is_unicast: bool,
        is_strict: bool,
    ) -> Vec<(&'static str, Value)> {
        let Some(vmac) = &instance.vmac else {
            self.exactly(&instance.xmit_base, "without use_vmac it does nothing, there too");
            return Vec::new();
        };
        let name = self.link_name(vmac, is_ipv6, vrid);
        let mut keys = vec![("virtual_mac", name.into())];
        let wants_base = instance.xmit_base.is_some_and(|set| set.value);
        if is_strict && wants_base && !is_unicast {
            self.exactly(&instance.xmit_base, NOT_IN_STRICT);
        } else if wants_base || is_unicast {
            keys.push(("adverts_from", "interface".into()));
        }
        self.exactly(&instance.xmit_base, "adverts_from");
        keys
    }

    /// The name that keepalived gives the interface; another, if that cannot be or is taken.
    fn link_name(&mut self, vmac: &Set<'t, Option<String>>, is_ipv6: bool, vrid: u8) -> String {
        let family = if is_ipv6 { "6" } else { "" };
        let standard = format!("vrrp{family}.{vrid}");
        let prefix = self.found.globals.vmac_prefix.as_ref();
        let prefixed = prefix.map(|set| format!("{}{family}.{vrid}", set.value));
        let theirs = vmac.value.clone().or(prefixed).unwrap_or_else(|| standard.clone());
        let wanted = if is_interface(&theirs) { &theirs } else { &standard };
        let name = free_name(wanted, &self.links);
        self.links.insert(name.clone());
        if name == theirs {
            self.told(vmac, Fate::Exactly, "virtual_mac");
        } else {
            let why = format!("virtual_mac, named {name}: `{theirs}` is taken, or cannot be");
            self.told(vmac, Fate::Changed, why);
        }
        name
    }

    fn accept(&mut self, instance: &Instance<'t>, priority: u8, is_strict: bool) -> bool {
        let is_owner = priority == super::election::OWNER;
        let accept = instance.accept.map_or(!is_strict, |set| set.value);
        if let Some(set) = &instance.accept {
            let why = if is_owner && !set.value {
                "an owner accepts always, there too"
            } else {
                "accept"
            };
            self.told(set, Fate::Exactly, why);
        }
        accept || is_owner
    }

    /// When addresses are announced; always written, because ours does otherwise.
    fn announce(&mut self, instance: &Instance<'t>, is_ipv6: bool, is_strict: bool) -> Value {
        let globals = &self.found.globals;
        let (own, all) = (&instance.garp, &globals.garp);
        let is_min = globals.min_garp.is_some_and(|set| set.value);
        let pick = |own: &Maybe<'_, u32>, all: &Maybe<'_, u32>, default: u32| {
            own.or(*all).map_or(default, |set| set.value)
        };
        let (few, later) = if is_min { (1, 0) } else { (5, 5) };
        let repeat = pick(&own.repeat, &all.repeat, few).min(ANNOUNCE_REPEAT_MAX);
        let delay = pick(&own.delay, &all.delay, later);
        let seconds = |seconds: u32| duration(u64::from(seconds) * 1_000_000);
        let mut keys: Vec<(String, Value)> = Vec::new();
        let mut set = |key: &str, value: Value| keys.push((key.to_owned(), value));
        set("repeat", i64::from(repeat).into());
        set("again_after", seconds(delay));
        let refresh = pick(&own.refresh, &all.refresh, 0);
        if refresh > 0 {
            set("refresh", seconds(refresh));
            let times = pick(&own.refresh_repeat, &all.refresh_repeat, 1).min(ANNOUNCE_REPEAT_MAX);
            set("refresh_repeat", i64::from(times).into());
        }
        // What an instance says of `repeat` does not change what all say of `lower_repeat`.
        let all_repeat = all.repeat.map_or(few, |set| set.value);
        let all_delay = all.delay.map_or(later, |set| set.value);
        let lower =
            if is_strict { 0 } else { pick(&own.lower_repeat, &all.lower_repeat, all_repeat) };
        let lower_delay = pick(&own.lower_delay, &all.lower_delay, all_delay);
        let lower = lower.min(ANNOUNCE_REPEAT_MAX);
        if lower != repeat || lower_delay != delay {
            set("lower_repeat", i64::from(lower).into());
            set("lower_after", seconds(lower_delay));
        }
        let interval = if is_ipv6 { globals.gna_interval } else { globals.garp_interval };
        if let Some(interval) = interval.filter(|interval| interval.value > 0) {
            set("interval", duration(interval.value));
        }
        self.garp_told(own);
        Value::Inline(keys)
    }

    pub(super) fn garp_told(&mut self, garp: &Garp<'t>) {
        for span in [&garp.delay, &garp.refresh, &garp.lower_delay] {
            self.exactly(span, "announce");
        }
        for times in [&garp.repeat, &garp.refresh_repeat, &garp.lower_repeat] {
            match times {
                Some(set) if set.value > ANNOUNCE_REPEAT_MAX => {
                    let why = format!("announce, {ANNOUNCE_REPEAT_MAX} times at most");
                    self.told(set, Fate::Changed, why);
                }
                _ => self.exactly(times, "announce"),
            }
        }
    }

    /// Keywords that nothing follows from once all is known.
    fn idle(&mut self, instance: &Instance<'t>) {
        self.exactly(&instance.native_ipv6, "the addresses say the family");
        self.exactly(&instance.no_addresses, "there are addresses");
        let is_off = |set: &Set<'_, bool>| !set.value;
        match &instance.dont_track_primary {
            Some(set) if is_off(set) => self.told(set, Fate::Exactly, "it is off here too"),
            Some(set) => {
                self.told(set, Fate::Unsupported, "the router's interface is always looked at")
            }
            None => {}
        }
        for block in &instance.blocks {
            let why = match block.name() {
                "virtual_ipaddress" | "virtual_ipaddress_excluded" => "addresses",
                "virtual_routes" => "routes",
                "virtual_rules" => "rules",
                _ => "track",
            };
            self.note(block, Fate::Exactly, why);
        }
    }
}

/// The family of the first address, else of the source, else as it is said.
fn is_ipv6(instance: &Instance<'_>) -> bool {
    let first = instance.addresses.first().map(|address| address.address.is_ipv6());
    let source = instance.source.map(|source| source.value.is_ipv6());
    let said = instance.native_ipv6.map(|native| native.value);
    first.or(source).or(said).unwrap_or(false)
}

/// A name of an interface that is not among those: the one that is wanted, or with a number behind.
fn free_name(wanted: &str, taken: &BTreeSet<String>) -> String {
    let mut name = wanted.to_owned();
    let mut number = 0_usize;
    while taken.contains(&name) {
        number += 1;
        let end = format!(".{number}");
        let mut room = wanted.len().min(INTERFACE_NAME_MAX - end.len());
        while !wanted.is_char_boundary(room) {
            room -= 1;
        }
        name = format!("{}{end}", &wanted[..room]);
    }
    name
}
