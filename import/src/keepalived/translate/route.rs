//! `virtual_routes`.

use std::net::IpAddr;

use evergate_api::config::model::{Group, Network, ROUTES_MAX};

use super::super::model::Instance;
use super::super::tree::Statement;
use super::router::Router;
use super::{Fate, Translator, probe};
use crate::toml::Value;

/// Words that tune a route and do not say where it leads; the number is how many follow.
const TUNING: [(&str, usize); 20] = [
    // Routes carry our own tag, by which we know them.
    ("proto", 1),
    ("protocol", 1),
    ("rtt", 1),
    ("rttvar", 1),
    ("reordering", 1),
    ("window", 1),
    ("cwnd", 1),
    ("ssthresh", 1),
    ("rto_min", 1),
    ("initcwnd", 1),
    ("initrwnd", 1),
    ("quickack", 1),
    ("congctl", 1),
    ("features", 1),
    ("realms", 1),
    ("pref", 1),
    ("fastopen_no_cookie", 1),
    ("add", 0),
    ("append", 0),
    ("prepend", 0),
];

/// Names of routing tables.
const TABLES: [(&str, i64); 3] = [("default", 253), ("main", 254), ("local", 255)];

/// Adds a key that may be there once.
pub fn once<K: PartialEq + AsRef<str>>(
    keys: &mut Vec<(K, Value)>,
    key: K,
    value: Value,
) -> Result<(), String> {
    if keys.iter().any(|(other, _)| *other == key) {
        return Err(format!("`{}` is said twice", key.as_ref()));
    }
    keys.push((key, value));
    Ok(())
}

/// Sets what may be said once.
fn fill<T>(place: &mut Option<T>, value: T, key: &str) -> Result<(), String> {
    if place.replace(value).is_some() {
        return Err(format!("`{key}` is said twice"));
    }
    Ok(())
}

/// A route that is read word by word.
#[derive(Default)]
struct Route {
    keys: Vec<(&'static str, Value)>,
    to: Option<String>,
    kind: Option<String>,
    hops: Vec<Vec<(String, Value)>>,
    /// Two ways of equal weight by `or`.
    or: Option<String>,
    is_ipv6: bool,
    /// Were bits behind the prefix set?
    cut: bool,
    /// Words that cannot be said here, each with its value.
    dropped: Vec<std::ops::Range<usize>>,
}

impl<'m, 't> Translator<'m, 't, '_> {
    /// `routes` and `rules` of a group.
    pub fn routes(&mut self, routers: &[Router<'m, 't>]) -> Vec<(&'static str, Value)> {
        let instances: Vec<&Instance<'t>> = routers.iter().map(|router| router.instance).collect();
        let (mut routes, mut rules): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        for line in instances.iter().flat_map(|instance| &instance.routes) {
            match self.route(line, routes.len()) {
                Ok(route) => routes.push(route),
                Err(why) => {
                    self.note(line, Fate::Unsupported, format!("the route is left out: {why}"));
                }
            }
        }
        for line in instances.iter().flat_map(|instance| &instance.rules) {
            match self.rule(line, rules.len()) {
                Ok(rule) => rules.push(rule),
                Err(why) => {
                    self.note(line, Fate::Unsupported, format!("the rule is left out: {why}"));
                }
            }
        }
        let mut keys = Vec::new();
        keys.extend((!routes.is_empty()).then_some(("routes", Value::Array(routes))));
        keys.extend((!rules.is_empty()).then_some(("rules", Value::Array(rules))));
        keys
    }

    /// `count`: how many the group has.
    fn route(&mut self, line: &Statement, count: usize) -> Result<Value, String> {
        if count >= ROUTES_MAX {
            return Err(format!("a group has {ROUTES_MAX} at most"));
        }
        let mut route = Route::default();
        let mut at = 0;
        while at < line.words.len() {
            at += route.word(&line.words, at)?;
        }
        if route.to.is_none() {
            return Err("it leads nowhere: keepalived passes over the line".to_owned());
        }
        if route.or.is_some() && !route.keys.iter().any(|(key, _)| *key == "via") {
            return Err("`or` without `via`".to_owned());
        }
        let (dropped, is_or) = (std::mem::take(&mut route.dropped), route.or.is_some());
        let cut = route.cut;
        let value = route.value();
        let group = probe::group("routes", Value::Array(vec![value.clone()]))?;
        self.route_is_new(&group, line)?;
        for words in dropped {
            let words: Vec<usize> = words.collect();
            let why = "this of a route cannot be said here";
            self.ledger.note_words(line.id, &words, Fate::Unsupported, why);
        }
        if is_or {
            self.note(line, Fate::Changed, "routes, with two nexthops of equal weight");
        }
        if cut {
            self.note(line, Fate::Changed, format!("routes; {CUT}"));
        }
        self.note(line, Fate::Exactly, "routes");
        Ok(value)
    }

    /// The kernel has one route of a destination, table and metric.
    fn route_is_new(&mut self, group: &Group, line: &Statement) -> Result<(), String> {
        for route in &group.routes {
            if let Some(first) = self.routes.get(&route.key()) {
                return Err(format!("that of line {first} has its destination, table and metric"));
            }
            self.routes.insert(route.key(), line.place.line);
        }
        Ok(())
    }
}

impl Route {
    /// Reads the word at a position, and those that belong to it. How many they are.
    fn word(&mut self, words: &[String], at: usize) -> Result<usize, String> {
        let word = words[at].as_str();
        let value =
            || words.get(at + 1).cloned().ok_or_else(|| format!("nothing follows `{word}`"));
        let used = match word {
            "to" => {
                self.lead(&value()?)?;
                2
            }
            "blackhole" | "unreachable" | "prohibit" | "throw" => {
                fill(&mut self.kind, word.to_owned(), "the type")?;
                1
            }
            "unicast" => 1,
            "via" | "gw" => self.via(words, at)?,
            "or" => {
                fill(&mut self.or, address(&value()?)?, "or")?;
                2
            }
            "nexthop" => return self.nexthop(words, at),
            "inet6" => {
                self.is_ipv6 = true;
                1
            }
            "no_track" => {
                once(&mut self.keys, "keep", false.into())?;
                1
            }
            "onlink" => {
                once(&mut self.keys, "onlink", true.into())?;
                1
            }
            _ => match self.pair(word, &value)? {
                Some(used) => used,
                None => return self.other(words, at),
            },
        };
        Ok(used)
    }

    /// A word with a value that has a key of its own.
    fn pair(
        &mut self,
        word: &str,
        value: &dyn Fn() -> Result<String, String>,
    ) -> Result<Option<usize>, String> {
        let (key, found) = match word {
            "src" => ("source", address(&value()?)?.into()),
            "dev" | "oif" => ("interface", value()?.into()),
            "metric" | "priority" | "preference" => ("metric", number(&value()?, &[])?),
            "table" => ("table", number(&value()?, &TABLES)?),
            "scope" => ("scope", scope(&value()?)?.into()),
            "mtu" if value().is_ok_and(|value| value == "lock") => return Ok(None),
            "mtu" => ("mtu", number(&value()?, &[])?),
            "advmss" => ("advmss", number(&value()?, &[])?),
            "hoplimit" => ("hoplimit", number(&value()?, &[])?),
            _ => return Ok(None),
        };
        once(&mut self.keys, key, found)?;
        Ok(Some(2))
    }

    /// A destination, or a word that only tunes the route. Anything else may change where it leads.
    fn other(&mut self, words: &[String], at: usize) -> Result<usize, String> {
        let word = words[at].as_str();
        if word == "mtu" {
            // `mtu lock N`: the number counts, the lock cannot be said.
            let mtu = words.get(at + 2).map(|word| number(word, &[]));
            once(&mut self.keys, "mtu", mtu.ok_or("nothing follows `mtu lock`")??)?;
            self.dropped.push(at + 1..at + 2);
            return Ok(3);
        }
        if let Some((_, more)) = TUNING.iter().find(|(name, _)| *name == word) {
            self.dropped.push(at..at + 1 + more);
            return Ok(1 + more);
        }
        if self.to.is_some() {
            return Err(format!("`{word}` may change where it leads"));
        }
        self.lead(word)?;
        Ok(1)
    }

    /// The destination.
    fn lead(&mut self, word: &str) -> Result<(), String> {
        let to = if word == "default" {
            if self.is_ipv6 { "::/0" } else { "default" }.to_owned()
        } else {
            let (network, cut) = prefix(word)?;
            self.cut = cut;
            network.to_string()
        };
        fill(&mut self.to, to, "to")
    }

    /// `via [inet|inet6] ADDRESS`
    fn via(&mut self, words: &[String], at: usize) -> Result<usize, String> {
        let skip = usize::from(words.get(at + 1).is_some_and(|word| word.starts_with("inet")));
        let word = words.get(at + 1 + skip).ok_or("nothing follows `via`")?;
        once(&mut self.keys, "via", address(word)?.into())?;
        Ok(2 + skip)
    }

    /// `nexthop [via ADDRESS] [dev IF] [weight N] [onlink] …`
    fn nexthop(&mut self, words: &[String], start: usize) -> Result<usize, String> {
        let mut hop: Vec<(String, Value)> = Vec::new();
        let mut at = start + 1;
        while let Some(word) = words.get(at) {
            let value =
                || words.get(at + 1).cloned().ok_or_else(|| format!("nothing follows `{word}`"));
            let (key, found, used): (&str, Value, usize) = match word.as_str() {
                "via" => {
                    let skip = usize::from(value()?.starts_with("inet"));
                    let word = words.get(at + 1 + skip).ok_or("nothing follows `via`")?;
                    ("via", address(word)?.into(), 2 + skip)
                }
                "dev" => ("interface", value()?.into(), 2),
                "weight" => ("weight", number(&value()?, &[])?, 2),
                "onlink" => ("onlink", true.into(), 1),
                _ => break,
            };
            once(&mut hop, key.to_owned(), found)?;
            at += used;
        }
        self.hops.push(hop);
        Ok(at - start)
    }

    fn value(self) -> Value {
        let mut keys: Vec<(String, Value)> = Vec::new();
        keys.extend(self.to.map(|to| ("to".to_owned(), to.into())));
        keys.extend(self.kind.map(|kind| ("type".to_owned(), kind.into())));
        let mut hops = self.hops;
        let is_hop = |key: &str| key == "via";
        if let Some(second) = self.or {
            for (_, first) in self.keys.iter().filter(|(key, _)| is_hop(key)) {
                hops.push(vec![("via".to_owned(), first.clone())]);
            }
            hops.push(vec![("via".to_owned(), second.into())]);
        }
        let is_multipath = !hops.is_empty();
        // With several ways, what is said of the interface holds for each that says nothing of it.
        let of_ways = |key: &str| is_multipath && ["via", "interface", "onlink"].contains(&key);
        for hop in &mut hops {
            let more = self.keys.iter().filter(|(key, _)| of_ways(key) && !is_hop(key));
            for (key, value) in more {
                if !hop.iter().any(|(other, _)| other == key) {
                    hop.push(((*key).to_owned(), value.clone()));
                }
            }
        }
        let own = self.keys.into_iter().filter(|(key, _)| !of_ways(key));
        keys.extend(own.map(|(key, value)| (key.to_owned(), value)));
        if is_multipath {
            let hops = hops.into_iter().map(Value::Inline).collect();
            keys.push(("nexthops".to_owned(), Value::Array(hops)));
        }
        Value::Inline(keys)
    }
}

/// An address of either family.
pub fn address(word: &str) -> Result<String, String> {
    let address: Result<IpAddr, _> = word.parse();
    address.map(|address| address.to_string()).map_err(|_| format!("`{word}` is no address"))
}

/// What is different about a network with bits behind its prefix.
pub const CUT: &str = "the bits behind its prefix are cut off, because no network has them";

/// A network: without a length, a host. Whether bits behind its prefix were set.
pub fn prefix(word: &str) -> Result<(Network, bool), String> {
    let wrong = || format!("`{word}` is no network");
    let (text, length) = word.split_once('/').unwrap_or((word, ""));
    let ip: IpAddr = text.parse().map_err(|_| wrong())?;
    let most: u8 = if ip.is_ipv4() { 32 } else { 128 };
    let length = if word.contains('/') { length.parse().map_err(|_| wrong())? } else { most };
    let network = Network::of(ip, length);
    if length > most { Err(wrong()) } else { Ok((network, network.ip != ip)) }
}

/// A number, or one of some names.
pub fn number(word: &str, names: &[(&str, i64)]) -> Result<Value, String> {
    let named = names.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    let number = named.or_else(|| word.parse::<u32>().ok().map(i64::from));
    number.map(Value::from).ok_or_else(|| format!("`{word}` is no number"))
}

fn scope(word: &str) -> Result<&'static str, String> {
    match word {
        "global" | "universe" | "0" => Ok("global"),
        "site" | "200" => Ok("site"),
        "link" | "253" => Ok("link"),
        "host" | "254" => Ok("host"),
        _ => Err(format!("`{word}` is no scope that can be named here")),
    }
}
