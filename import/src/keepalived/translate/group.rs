//! Groups: what a `vrrp_sync_group` names, and each instance that none names.

use std::collections::BTreeMap;

use super::super::model::{Instance, SyncGroup};
use super::election::OWNER;
use super::router::Router;
use super::vrrp::{GroupVrrp, Said};
use super::{Fate, Translator, whole};
use crate::ledger::Id;
use crate::names::Names;
use crate::toml::Value;

/// A group of ours.
pub struct Group {
    pub name: String,
    /// The keys of its table.
    pub keys: Vec<(&'static str, Value)>,
    /// Its priority; none if this node owns its addresses.
    pub priority: Option<u8>,
    pub vrrp: GroupVrrp,
    /// The routers with the keys of their tables.
    pub routers: Vec<(String, Vec<(&'static str, Value)>)>,
}

/// The members of a group that is to be made.
struct Members<'m, 't> {
    group: Option<&'m SyncGroup<'t>>,
    routers: Vec<Router<'m, 't>>,
    /// Where it begins in the file.
    at: Id,
}

impl<'m, 't> Translator<'m, 't, '_> {
    /// All groups, in the order of the file.
    pub fn groups(&mut self) -> Vec<Group> {
        let mut routers: BTreeMap<&str, Option<Router<'m, 't>>> = BTreeMap::new();
        for instance in &self.found.instances {
            let router = self.router(instance);
            routers.insert(&instance.name, router);
        }
        let mut all = Vec::new();
        for group in &self.found.groups {
            all.extend(self.members(group, &mut routers));
        }
        for instance in &self.found.instances {
            if let Some(router) = routers.get_mut(instance.name.as_str()).and_then(Option::take) {
                all.push(Members { group: None, routers: vec![router], at: instance.by.id });
            }
        }
        all.sort_by_key(|members| members.at);
        all.into_iter().map(|members| self.group(members)).collect()
    }

    /// The routers that a group names and that are there.
    fn members(
        &mut self,
        group: &'m SyncGroup<'t>,
        routers: &mut BTreeMap<&str, Option<Router<'m, 't>>>,
    ) -> Option<Members<'m, 't>> {
        let mut found = Vec::new();
        for (by, at) in &group.members {
            let name = by.words.get(*at).map_or("", String::as_str);
            let (fate, why) = match routers.get_mut(name).map(Option::take) {
                Some(Some(router)) => {
                    found.push(router);
                    (Fate::Exactly, "a router of the group")
                }
                Some(None) => (Fate::Unsupported, "it is left out, or in a group already"),
                None => (Fate::Unsupported, "there is no such instance"),
            };
            self.ledger.note_words(by.id, &[*at], fate, why);
        }
        if found.is_empty() {
            let why = if group.members.is_empty() {
                "it names no instance: that takes `group { … }` in it"
            } else {
                "none of its instances is left"
            };
            whole(self.ledger, group.by, Fate::Unsupported, why);
            return None;
        }
        Some(Members { group: Some(group), routers: found, at: group.by.id })
    }

    fn group(&mut self, members: Members<'m, 't>) -> Group {
        let Members { group, routers, .. } = members;
        let first = routers.first().map(|router| router.instance.name.as_str());
        let wanted = group.map(|group| group.name.as_str()).or(first).unwrap_or_default();
        let name = self.group_names.take(wanted);
        if let Some(group) = group {
            self.header(group.by.id, wanted, &name, &format!("[group.{name}]"));
            self.exactly(&group.weights, "the weights count, each on the group's one priority");
        }
        let mut keys = Vec::new();
        let priority = self.group_priority(&routers, &mut keys);
        let failback: Vec<_> = routers.iter().map(|router| &router.failback).collect();
        let failback = self.agreed_failback(&failback);
        keys.extend(
            failback.filter(|value| *value != "auto".into()).map(|value| ("failback", value)),
        );
        let own = common(&routers);
        keys.extend(own.iter().cloned());
        keys.extend(self.track(group, &routers));
        keys.extend(self.notify(group, &routers));
        keys.extend(self.routes(&routers));
        let said: Vec<Said<'_, 't>> =
            routers.iter().map(|router| (router.instance, &router.vrrp)).collect();
        let vrrp = self.group_vrrp(&name, &said);
        let routers = self.tables(&name, group.is_some(), routers, &own);
        Group { name, keys, priority, vrrp, routers }
    }

    /// Tells a block of its name here.
    fn header(&mut self, id: Id, wanted: &str, name: &str, table: &str) {
        if wanted == name {
            self.words(id, 2, Fate::Exactly, table);
        } else {
            let why = format!(
                "{table}: a name has letters, digits, `-`, `_`, `.`, 63 at most, and is there once; \
                 `notify` and the FIFO say it"
            );
            self.words(id, 2, Fate::Changed, why);
        }
    }

    /// One priority for the group: the lowest, because the group serves where all members would.
    fn group_priority(
        &mut self,
        routers: &[Router<'m, 't>],
        keys: &mut Vec<(&'static str, Value)>,
    ) -> Option<u8> {
        let lowest = routers.iter().map(|router| router.priority.value).min()?;
        for router in routers {
            for (id, words) in &router.priority.by {
                if router.priority.value == lowest {
                    let key = if lowest == OWNER { "owner" } else { "priority" };
                    self.words(*id, *words, Fate::Exactly, key);
                } else {
                    let why = format!("one priority for the whole group, the lowest: {lowest}");
                    self.words(*id, *words, Fate::Changed, why);
                }
            }
        }
        if lowest == OWNER {
            keys.push(("owner", self.node.clone().into()));
            return None;
        }
        Some(lowest)
    }

    fn tables(
        &mut self,
        group: &str,
        is_group: bool,
        routers: Vec<Router<'m, 't>>,
        common: &[(&'static str, Value)],
    ) -> Vec<(String, Vec<(&'static str, Value)>)> {
        let mut names = Names::default();
        let mut tables = Vec::new();
        for router in routers {
            let wanted = &router.instance.name;
            let name = names.take(wanted);
            let table = format!("[group.{group}.router.{name}]");
            // A single instance gives its name to the group, which is what scripts are told.
            let wanted = if is_group { &name } else { wanted };
            self.header(
                router.instance.by.id,
                wanted,
                if is_group { &name } else { group },
                &table,
            );
            let differs = own(&router).into_iter().filter(|pair| !common.contains(pair));
            let differs: Vec<_> = differs.collect();
            let beside = router.beside.clone().map(|(end, mut keys)| {
                keys.extend(differs.iter().cloned());
                (names.take(&format!("{name}{end}")), keys)
            });
            let mut keys = router.keys.clone();
            keys.extend(differs);
            tables.push((name, keys));
            tables.extend(beside);
        }
        tables
    }
}

/// What the routers say that the group may say for them.
fn own(router: &Router<'_, '_>) -> Vec<(&'static str, Value)> {
    let mut keys = vec![("announce", router.announce.clone())];
    if !router.accept {
        keys.push(("accept", false.into()));
    }
    keys
}

/// What all routers say.
fn common(routers: &[Router<'_, '_>]) -> Vec<(&'static str, Value)> {
    let mut all = routers.iter().map(own);
    let first = all.next().unwrap_or_default();
    let rest: Vec<Vec<_>> = all.collect();
    first.into_iter().filter(|pair| rest.iter().all(|keys| keys.contains(pair))).collect()
}

impl Group {
    /// The keys of a table that may be the node's: its priority.
    pub fn priority_at(&self, node: &str, of_node: u8) -> Option<Value> {
        let priority = self.priority.filter(|priority| *priority != of_node)?;
        Some(Value::Inline(vec![(node.to_owned(), i64::from(priority).into())]))
    }
}

/// The instances of routers.
pub fn instances<'m, 't>(routers: &[Router<'m, 't>]) -> Vec<&'m Instance<'t>> {
    routers.iter().map(|router| router.instance).collect()
}
