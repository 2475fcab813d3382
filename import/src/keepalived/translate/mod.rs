//! From the model to our tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use evergate_api::config::model::{Address, Network, Rule};

use super::Options;
use super::model::{Keepalived, Kind, Maybe, Set, Tracker};
use super::read::{is_interface, whole};
use super::tree::Statement;
use crate::ledger::{Id, Ledger};
use crate::names::{self, Names};
use crate::report::{Fate, KeyFile};
use crate::toml::{Table, Value};

mod address;
mod auth;
mod check;
mod document;
mod election;
mod group;
mod notify;
mod probe;
mod route;
mod router;
mod rule;
mod vrrp;

/// The text of the configuration, and the key files that it names. No text if no group is left:
/// there is no configuration without one.
pub fn translate(
    found: &Keepalived<'_>,
    options: &Options,
    ledger: &mut Ledger,
) -> (String, Vec<KeyFile>) {
    let mut translator = Translator::new(found, options, ledger);
    translator.globals();
    let groups = translator.groups();
    translator.common();
    translator.unused();
    let mut text = document::text(&mut translator, options, &groups);
    if groups.is_empty() {
        text.clear();
    }
    (text, translator.keys)
}

/// What is gathered on the way.
struct Translator<'m, 't, 'l> {
    found: &'m Keepalived<'t>,
    ledger: &'l mut Ledger,
    /// The name of the node.
    node: String,
    /// Where the key files will be, with its slash; empty beside the configuration.
    key_directory: String,
    group_names: Names,
    check_names: Names,
    /// The checks so far, by what is looked at and whether they are turned round.
    checks: BTreeMap<(Kind, String, bool), (String, Table)>,
    /// The order of the checks.
    check_order: Vec<(Kind, String, bool)>,
    keys: Vec<KeyFile>,
    /// Where an address is; link-local ones by their interface.
    addresses: BTreeMap<(IpAddr, String), usize>,
    /// Those of the router that is made.
    of_router: Vec<Address>,
    /// Where a route is, and where a rule, by its number.
    routes: BTreeMap<(Network, u32, u32), usize>,
    rules: BTreeMap<u32, Vec<(Rule, usize)>>,
    /// Where a number is, by interface and family.
    numbers: BTreeMap<(String, bool, u8), usize>,
    /// The names of interfaces: those of the instances, and those of virtual ones so far.
    links: BTreeSet<String>,
    /// How many routers are not in strict mode, and how many are.
    routers: [usize; 2],
    /// What is defined, by its name.
    trackers: BTreeMap<(Kind, String), &'m Tracker<'t>>,
    /// Why something that is tracked cannot be had.
    gaps: BTreeMap<Id, String>,
    /// The number of the next rule without one, by family.
    rule_numbers: [i64; 2],
}

/// The number that keepalived gives the first rule that has none; it counts down.
const RULE_NUMBER_FIRST: i64 = 16_384;

impl<'m, 't, 'l> Translator<'m, 't, 'l> {
    fn new(found: &'m Keepalived<'t>, options: &Options, ledger: &'l mut Ledger) -> Self {
        let router_id = found.globals.router_id.as_ref().map(|set| set.value.as_str());
        let wanted = options.node.as_deref().or(router_id).unwrap_or(&options.host);
        let key_directory = options.key_directory.as_ref();
        Self {
            found,
            ledger,
            node: names::fitting(wanted),
            key_directory: key_directory.map_or_else(String::new, |directory| {
                format!("{}/", directory.trim_end_matches('/'))
            }),
            group_names: Names::default(),
            check_names: Names::default(),
            checks: BTreeMap::new(),
            check_order: Vec::new(),
            keys: Vec::new(),
            addresses: BTreeMap::new(),
            of_router: Vec::new(),
            routes: BTreeMap::new(),
            rules: BTreeMap::new(),
            numbers: BTreeMap::new(),
            links: real_interfaces(found),
            routers: [0; 2],
            trackers: found
                .trackers
                .iter()
                .map(|one| ((one.kind, one.name.clone()), one))
                .collect(),
            gaps: BTreeMap::new(),
            rule_numbers: [RULE_NUMBER_FIRST; 2],
        }
    }

    /// Tells of what holds for all.
    fn globals(&mut self) {
        let globals = &self.found.globals;
        if let Some(id) = &globals.router_id {
            let node = self.node.clone();
            let why = format!(
                "[node.{node}]; start evergated with --node {node} unless it is the host's name"
            );
            let fate = if id.value == node { Fate::Exactly } else { Fate::Changed };
            self.told(id, fate, why);
        }
        self.exactly(&globals.version, "[vrrp] version");
        self.multicast(&globals.multicast4, true);
        self.multicast(&globals.multicast6, false);
        self.exactly(&globals.startup_delay, "[vrrp] start_delay");
        self.vmac_prefix(&globals.vmac_prefix);
        self.exactly(&globals.script_user, "user of checks and notify");
        let announce = "announce";
        self.garp_told(&globals.garp);
        self.exactly(&globals.min_garp, announce);
        self.exactly(&globals.garp_interval, "interval of announce");
        self.exactly(&globals.gna_interval, "interval of announce");
        let common = &globals.common;
        self.exactly(&common.plain_checksum, "[vrrp] checksum");
        self.check_unicast(&common.check_unicast);
        self.strict(&common.strict);
    }

    fn vmac_prefix(&mut self, prefix: &Maybe<'t, String>) {
        let Some(set) = prefix else { return };
        if is_interface(&format!("{}.1", set.value)) {
            self.told(set, Fate::Exactly, "in the names of virtual_mac");
        } else {
            self.told(set, Fate::Unsupported, "no interface can have such a name");
        }
    }

    fn multicast(&mut self, group: &Maybe<'t, IpAddr>, is_ipv4: bool) {
        let Some(set) = group else { return };
        if set.value.is_ipv4() == is_ipv4 && set.value.is_multicast() {
            self.told(set, Fate::Exactly, "[vrrp] multicast");
        } else {
            self.told(set, Fate::Unsupported, "no multicast group of its family");
        }
    }

    /// `check_unicast_src`: ours always looks at it.
    fn check_unicast(&mut self, check: &Maybe<'t, bool>) {
        let Some(set) = check else { return };
        if set.value {
            self.told(set, Fate::Exactly, "adverts from others than the peers are refused, always");
        } else {
            self.told(set, Fate::Changed, "adverts from others than the peers are refused, always");
        }
    }

    fn strict(&mut self, strict: &Maybe<'t, bool>) {
        let Some(set) = strict else { return };
        if set.value {
            let why = "written as what it sets: accept, answer_lower and others; an owner still hears adverts";
            self.told(set, Fate::Changed, why);
        } else {
            self.told(set, Fate::Exactly, "it is off here too");
        }
    }

    /// Tells of what holds for all routers but those in strict mode, once these are known.
    fn common(&mut self) {
        let common = &self.found.globals.common;
        self.unless_strict(&common.down_timer, vrrp::STRICT_DOWN_TIMER, "[vrrp] down_after");
        self.unless_strict(
            &common.lower_no_advert,
            vrrp::STRICT_LOWER_NO_ADVERT,
            "[vrrp] answer_lower",
        );
        self.unless_strict(
            &common.higher_send_advert,
            vrrp::STRICT_HIGHER_SEND_ADVERT,
            "[vrrp] advert_before_yield",
        );
    }

    /// `strict`: the value that strict mode sets.
    fn unless_strict<T: PartialEq>(&mut self, set: &Maybe<'t, T>, strict: T, key: &str) {
        let Some(set) = set else { return };
        let [others, stricts] = self.routers;
        let why = match (stricts > 0 && set.value != strict, others > 0) {
            (false, _) => key.to_owned(),
            (true, false) => vrrp::NOT_IN_STRICT.to_owned(),
            (true, true) => format!("{key}; not in strict mode, as there"),
        };
        self.told(set, Fate::Exactly, why);
    }

    /// Tells of scripts and files that nobody tracks.
    fn unused(&mut self) {
        for tracker in &self.found.trackers {
            if !self.ledger.is_silent(tracker.by.id) {
                continue;
            }
            let idle = "nobody tracks it: keepalived does not look at it either";
            match self.gaps.get(&tracker.by.id) {
                Some(why) => whole(self.ledger, tracker.by, Fate::Unsupported, why),
                None => whole(self.ledger, tracker.by, Fate::Exactly, idle),
            }
        }
    }

    fn told<T>(&mut self, set: &Set<'_, T>, fate: Fate, why: impl Into<String>) {
        self.words(set.by.id, set.words, fate, why);
    }

    fn exactly<T>(&mut self, set: &Maybe<'_, T>, why: &str) {
        if let Some(set) = set {
            self.told(set, Fate::Exactly, why);
        }
    }

    fn words(&mut self, id: Id, words: usize, fate: Fate, why: impl Into<String>) {
        self.ledger.note_words(id, &(0..words).collect::<Vec<_>>(), fate, why);
    }

    fn note(&mut self, statement: &Statement, fate: Fate, why: impl Into<String>) {
        self.ledger.note(statement.id, fate, why);
    }
}

/// The interfaces that instances are on.
fn real_interfaces(found: &Keepalived<'_>) -> BTreeSet<String> {
    let interfaces = found.instances.iter().filter_map(|instance| instance.interface.as_ref());
    interfaces.map(|set| set.value.clone()).collect()
}

/// A value with the statements that ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice<T> {
    value: T,
    by: Vec<(Id, usize)>,
}

impl<T> Choice<T> {
    /// What is so unless something is said.
    fn silent(value: T) -> Self {
        Self { value, by: Vec::new() }
    }

    /// What an instance says, else what holds for all, else the default.
    fn of(own: &Maybe<'_, T>, all: &Maybe<'_, T>, default: T) -> Self
    where
        T: Copy,
    {
        match (own, all) {
            (Some(own), _) => Self { value: own.value, by: vec![(own.by.id, own.words)] },
            (None, Some(all)) => Self::silent(all.value),
            (None, None) => Self::silent(default),
        }
    }
}

impl Translator<'_, '_, '_> {
    /// The value of a whole group: that of its first router. Tells each router's statements
    /// whether it is theirs.
    fn agreed<T: Clone + PartialEq>(&mut self, choices: &[&Choice<T>], key: &str) -> Option<T> {
        let first = choices.first()?;
        let is_one = choices.iter().all(|choice| choice.value == first.value);
        for (id, words) in choices.iter().flat_map(|choice| &choice.by) {
            if is_one {
                self.words(*id, *words, Fate::Exactly, key);
            } else {
                let why = format!("{key}: one for the whole group, that of its first instance");
                self.words(*id, *words, Fate::Changed, why);
            }
        }
        Some(first.value.clone())
    }
}

/// A time as our keys have it.
fn duration(micros: u64) -> Value {
    let text = if micros.is_multiple_of(1_000_000) {
        format!("{}s", micros / 1_000_000)
    } else if micros.is_multiple_of(1_000) {
        format!("{}ms", micros / 1_000)
    } else {
        format!("{micros}us")
    };
    Value::Text(text)
}
