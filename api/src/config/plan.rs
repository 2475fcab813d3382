//! What a reload would change, by name, in sentences.

mod routers;

use std::collections::BTreeMap;
use std::fmt::Display;

use super::duration::shown;
use super::model::{
    Address, AdvertsFrom, Announce, Check, Config, Failback, Group, Link, Node, PerNode, Replicate,
    Router, Vrrp, protocol_name,
};

/// The difference between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What changes, one sentence a line; empty if nothing does.
    pub changes: Vec<String>,
    /// What stays as it is, one sentence a line.
    pub untouched: Vec<String>,
    /// Names of groups that appear, disappear or change in any way.
    pub groups: Vec<String>,
}

impl Plan {
    /// Does nothing change?
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes, then what stays.
    pub fn lines(&self) -> Vec<String> {
        if self.is_empty() {
            return vec!["nothing changes".to_owned()];
        }
        self.changes.iter().chain(&self.untouched).cloned().collect()
    }
}

/// What applying `new` over `old` would change.
pub fn diff(old: &Config, new: &Config) -> Plan {
    let mut plan = Plan::default();
    plan.cluster(old, new);
    let nodes = plan.named("node", &old.nodes, &new.nodes, |plan, name, old, new| {
        plan.node(name, old, new);
    });
    let links = plan.named("link", &old.links, &new.links, |plan, name, old, new| {
        plan.link(name, old, new);
    });
    let checks = plan.named("check", &old.checks, &new.checks, |plan, name, old, new| {
        plan.check(name, old, new);
    });
    let groups = plan.named("group", &old.groups, &new.groups, |plan, name, old, new| {
        plan.group(name, old, new);
    });
    for (name, group) in &new.groups {
        if old.groups.get(name) != Some(group) {
            plan.groups.push(name.clone());
        }
    }
    plan.groups.extend(old.groups.keys().filter(|name| !new.groups.contains_key(*name)).cloned());
    for (kind, names) in
        [("nodes", nodes), ("links", links), ("checks", checks), ("groups", groups)]
    {
        if !names.is_empty() {
            plan.untouched.push(format!("untouched {kind}: {}", names.join(", ")));
        }
    }
    plan
}

impl Plan {
    fn say(&mut self, text: impl Into<String>) {
        self.changes.push(text.into());
    }

    fn value<T: PartialEq + Display>(&mut self, what: &str, old: T, new: T) {
        if old != new {
            self.say(format!("{what}: {old} becomes {new}"));
        }
    }

    /// Compares two maps by name; returns the names that are equal in both.
    fn named<T: PartialEq>(
        &mut self,
        kind: &str,
        old: &BTreeMap<String, T>,
        new: &BTreeMap<String, T>,
        mut changed: impl FnMut(&mut Self, &str, &T, &T),
    ) -> Vec<String> {
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            self.say(format!("remove {kind} {name}"));
        }
        let mut same = Vec::new();
        for (name, value) in new {
            match old.get(name) {
                None => self.say(format!("add {kind} {name}")),
                Some(before) if before == value => same.push(name.clone()),
                Some(before) => changed(self, name, before, value),
            }
        }
        same
    }

    fn cluster(&mut self, old: &Config, new: &Config) {
        let (before, after) = (&old.cluster, &new.cluster);
        self.value("cluster name", &before.name, &after.name);
        if before.key_file != after.key_file {
            self.say("cluster: another key file");
        }
        self.value("heartbeat", shown(before.heartbeat), shown(after.heartbeat));
        self.value("port", before.port, after.port);
        if old.fifo != new.fifo {
            self.say("[notify]: another FIFO");
        }
        match (&old.replicate, &new.replicate) {
            (None, None) => {}
            (None, Some(_)) => self.say("connections are replicated from now on"),
            (Some(_), None) => self.say("connections are no longer replicated"),
            (Some(old), Some(new)) => self.replicate(old, new),
        }
    }

    fn replicate(&mut self, old: &Replicate, new: &Replicate) {
        let or = |list: String, word: &str| if list.is_empty() { word.to_owned() } else { list };
        let links = |of: &Replicate| or(of.links.join(", "), "none");
        self.value("replicate: links", links(old), links(new));
        let protocols =
            |of: &Replicate| or(join(of.protocols.iter().copied().map(protocol_name)), "all");
        self.value("replicate: protocols", protocols(old), protocols(new));
        let ignore = |of: &Replicate| or(join(&of.ignore), "none");
        self.value("replicate: ignore", ignore(old), ignore(new));
        let zones = |of: &Replicate| or(join(&of.zones), "all");
        self.value("replicate: zones", zones(old), zones(new));
        let marks = |of: &Replicate| or(join(&of.marks), "all");
        self.value("replicate: marks", marks(old), marks(new));
        self.value("replicate: coalesce", shown(old.coalesce), shown(new.coalesce));
        let protect_after = (shown(old.protect_after), shown(new.protect_after));
        self.value("replicate: protect_after", protect_after.0, protect_after.1);
        self.value("replicate: recovery", old.recovery, new.recovery);
        match (&old.conntrackd, &new.conntrackd) {
            (None, Some(new)) => self.say(format!("replicate: conntrackd on {}", new.peer)),
            (Some(old), None) => self.say(format!("replicate: no conntrackd on {}", old.peer)),
            (Some(old), Some(new)) if old != new => {
                self.say(format!("replicate: another way to conntrackd on {}", new.peer));
            }
            _ => {}
        }
    }

    fn node(&mut self, name: &str, old: &Node, new: &Node) {
        self.value(&format!("node {name}: priority"), old.priority, new.priority);
        self.value(&format!("node {name}: foreign"), old.foreign, new.foreign);
    }

    fn link(&mut self, name: &str, old: &Link, new: &Link) {
        let what = format!("link {name}");
        self.value(
            &format!("{what}: interface"),
            per_node(Some(&old.interface)),
            per_node(Some(&new.interface)),
        );
        let each = |link: &Link| per_node(link.address.clone().map(PerNode::Each).as_ref());
        self.value(&format!("{what}: address"), each(old), each(new));
    }

    /// One that changes in any way begins anew; the others go on.
    fn check(&mut self, name: &str, old: &Check, new: &Check) {
        let what = format!("check {name}");
        self.value(&format!("{what}: test"), &old.test, &new.test);
        self.value(&format!("{what}: interval"), shown(old.interval), shown(new.interval));
        self.value(&format!("{what}: timeout"), shown(old.timeout), shown(new.timeout));
        self.value(&format!("{what}: rise"), old.rise, new.rise);
        self.value(&format!("{what}: fall"), old.fall, new.fall);
        let first = |check: &Check| if check.fails_first { "fail" } else { "result" };
        self.value(&format!("{what}: first"), first(old), first(new));
        self.value(&format!("{what}: invert"), old.invert, new.invert);
        if old.user != new.user {
            self.say(format!("{what}: runs as another user"));
        }
    }

    fn track(&mut self, what: &str, old: &Group, new: &Group) {
        for check in old.track.keys().filter(|check| !new.track.contains_key(*check)) {
            self.say(format!("{what}: no longer tracks {check}"));
        }
        for (check, track) in &new.track {
            match old.track.get(check) {
                None => self.say(format!("{what}: tracks {check}, {track}")),
                Some(before) => self.value(&format!("{what}: {check}"), before, track),
            }
        }
    }

    fn group(&mut self, name: &str, old: &Group, new: &Group) {
        let what = format!("group {name}");
        for node in old.priorities.keys().filter(|node| !new.priorities.contains_key(*node)) {
            self.say(format!("{what}: no longer runs on {node}"));
        }
        for (node, priority) in &new.priorities {
            match old.priorities.get(node) {
                None => self.say(format!("{what}: runs on {node} with priority {priority}")),
                Some(before) => {
                    self.value(&format!("{what}: priority of {node}"), before, priority);
                }
            }
        }
        self.value(&format!("{what}: failback"), failback(old.failback), failback(new.failback));
        self.track(&what, old, new);
        self.procedures(&what, old, new);
        self.vrrp(&what, &old.vrrp, &new.vrrp);
        self.listed(&what, &old.routes, &new.routes);
        self.listed(&what, &old.rules, &new.rules);
        self.routers(name, old, new);
    }

    /// Compares routes or rules, which have no names: what they say stands for them.
    fn listed<T: PartialEq + Display>(&mut self, what: &str, old: &[T], new: &[T]) {
        for one in old.iter().filter(|one| !new.contains(one)) {
            self.say(format!("{what}: remove {one}"));
        }
        for one in new.iter().filter(|one| !old.contains(one)) {
            self.say(format!("{what}: add {one}"));
        }
        let order = |all: &[T], others: &[T]| {
            all.iter().filter(|one| others.contains(one)).map(T::to_string).collect::<Vec<_>>()
        };
        if order(old, new) != order(new, old) {
            self.say(format!("{what}: another order of routes or rules"));
        }
    }

    /// They are run at the next change of role.
    fn procedures(&mut self, what: &str, old: &Group, new: &Group) {
        let (old, new) = (&old.procedures, &new.procedures);
        let changes = [
            ("activate", old.activate != new.activate),
            ("deactivate", old.deactivate != new.deactivate),
            ("procedures", old.run != new.run),
            ("notify", old.notify != new.notify),
        ];
        for (key, _) in changes.iter().filter(|(_, changed)| *changed) {
            self.say(format!("{what}: another `{key}`"));
        }
    }

    fn vrrp(&mut self, what: &str, old: &Vrrp, new: &Vrrp) {
        self.value(&format!("{what}: version"), old.version, new.version);
        self.value(&format!("{what}: advert"), shown(old.advert), shown(new.advert));
        if old.checksum != new.checksum {
            self.say(format!("{what}: another checksum"));
        }
        let (before, after) = (old.auth.word(), new.auth.word());
        if before == after && old.auth != new.auth {
            self.say(format!("{what}: other keys or rules of authentication"));
        }
        self.value(&format!("{what}: authentication"), before, after);
        self.value(&format!("{what}: down_after"), old.down_after, new.down_after);
        self.value(&format!("{what}: answer_lower"), old.answer_lower, new.answer_lower);
        let before = (old.advert_before_yield, new.advert_before_yield);
        self.value(&format!("{what}: advert_before_yield"), before.0, before.1);
        self.value(&format!("{what}: hop_limit"), old.hop_limit, new.hop_limit);
        let least = |vrrp: &Vrrp| vrrp.min_hop_limit.map_or("none".to_owned(), |n| n.to_string());
        self.value(&format!("{what}: min_hop_limit"), least(old), least(new));
        if (old.multicast_v4, old.multicast_v6) != (new.multicast_v4, new.multicast_v6) {
            self.say(format!("{what}: other multicast groups"));
        }
        let delay = (shown(old.start_delay), shown(new.start_delay));
        self.value(&format!("{what}: start_delay"), delay.0, delay.1);
    }

    fn router(&mut self, what: &str, old: &Router, new: &Router) {
        let vrid = |router: &Router| router.vrid.map_or("none".to_owned(), |vrid| vrid.to_string());
        self.value(&format!("{what}: vrid"), vrid(old), vrid(new));
        self.value(
            &format!("{what}: interface"),
            per_node(Some(&old.interface)),
            per_node(Some(&new.interface)),
        );
        self.addresses(what, &old.addresses, &new.addresses);
        let source = |router: &Router| per_node(router.source.as_ref());
        self.value(&format!("{what}: source"), source(old), source(new));
        self.value(&format!("{what}: heartbeat"), old.heartbeat, new.heartbeat);
        self.value(&format!("{what}: announce"), announce(old.announce), announce(new.announce));
        if old.unicast_peers != new.unicast_peers {
            self.say(format!("{what}: other unicast peers"));
        }
        self.value(&format!("{what}: accept"), old.accept, new.accept);
        self.virtual_mac(what, old, new);
    }

    fn virtual_mac(&mut self, what: &str, old: &Router, new: &Router) {
        let families = [
            (false, old.ipv4().next().is_some() && new.ipv4().next().is_some()),
            (true, old.ipv6().next().is_some() && new.ipv6().next().is_some()),
        ];
        for (is_ipv6, _) in families.into_iter().filter(|(_, both)| *both) {
            let home = |router: &Router| {
                router.virtual_interface(is_ipv6).unwrap_or_else(|| "its own interface".to_owned())
            };
            let (before, after) = (home(old), home(new));
            if before != after {
                self.say(format!("{what}: addresses move from {before} to {after}"));
            }
        }
        if old.adverts_from != new.adverts_from {
            let mac = match new.adverts_from {
                AdvertsFrom::VirtualMac => "the virtual MAC address",
                AdvertsFrom::Interface => "the interface's own MAC address",
            };
            self.say(format!("{what}: adverts come from {mac}"));
        }
    }
}

impl Plan {
    fn addresses(&mut self, what: &str, old: &[Address], new: &[Address]) {
        let is_in = |all: &[Address], one: &Address| all.iter().any(|other| other.is_same(one));
        for address in old.iter().filter(|address| !is_in(new, address)) {
            self.say(format!("{what}: remove {address}"));
        }
        for address in new {
            match old.iter().find(|before| before.is_same(address)) {
                None => self.say(format!("{what}: add {address}")),
                Some(before) if before == address => {}
                Some(before) if before.installs_as(address) => {
                    self.say(format!("{what}: {address} with other rules"));
                }
                Some(_) => self.say(format!("{what}: remove {address} and add it in another way")),
            }
        }
        let order = |all: &[Address], others: &[Address]| {
            let kept = all.iter().filter(|address| is_in(others, address));
            kept.map(|address| (address.ip, address.prefix)).collect::<Vec<_>>()
        };
        if order(old, new) != order(new, old) {
            self.say(format!("{what}: another order of addresses"));
        }
    }
}

fn join<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn per_node<T: Display>(value: Option<&PerNode<T>>) -> String {
    match value {
        None => "none".to_owned(),
        Some(PerNode::Same(value)) => value.to_string(),
        Some(PerNode::Each(values)) => {
            let values: Vec<String> =
                values.iter().map(|(node, value)| format!("{node} {value}")).collect();
            values.join(", ")
        }
    }
}

fn failback(failback: Failback) -> String {
    match failback {
        Failback::Auto => "auto".to_owned(),
        Failback::Manual => "manual".to_owned(),
        Failback::After(delay) => shown(delay),
    }
}

fn announce(announce: Option<Announce>) -> String {
    announce.map_or("never".to_owned(), |announce| announce.to_string())
}
