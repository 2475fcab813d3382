//! The routers of a group, those that have another name now included.

use std::collections::BTreeMap;

use super::Plan;
use crate::config::model::{Group, Router};

impl Plan {
    pub(super) fn routers(&mut self, group: &str, old: &Group, new: &Group) {
        let renamed = renamed(&old.routers, &new.routers);
        for (before, after) in &renamed {
            self.say(format!("group {group}: router {before} is named {after} from now on"));
            let what = format!("router {group}/{after}");
            self.router(&what, &old.routers[*before], &new.routers[*after]);
        }
        let rest = |all: &BTreeMap<String, Box<Router>>, names: Vec<&str>| {
            let others = all.iter().filter(|(name, _)| !names.contains(&name.as_str()));
            others.map(|(name, router)| (name.clone(), router.clone())).collect()
        };
        let gone = rest(&old.routers, renamed.iter().map(|(before, _)| *before).collect());
        let come = rest(&new.routers, renamed.iter().map(|(_, after)| *after).collect());
        let kind = format!("group {group}: router");
        self.named(&kind, &gone, &come, |plan, name, old, new| {
            plan.router(&format!("router {group}/{name}"), old, new);
        });
    }
}

/// Routers that are there under another name: on the same interface, with an address in common. The kernel knows no names
/// of routers, so what they have in common stays, and the plan has to say what does not.
fn renamed<'r>(
    old: &'r BTreeMap<String, Box<Router>>,
    new: &'r BTreeMap<String, Box<Router>>,
) -> Vec<(&'r str, &'r str)> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for (before, gone) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
        let is_it = |come: &Router| {
            let shares = |one| come.addresses.iter().any(|other| other.is_same(one));
            come.interface == gone.interface && gone.addresses.iter().any(shares)
        };
        let is_free =
            |name: &str| !old.contains_key(name) && pairs.iter().all(|(_, taken)| *taken != name);
        let found = new.iter().filter(|(name, _)| is_free(name)).find(|(_, come)| is_it(come));
        pairs.extend(found.map(|(after, _)| (before.as_str(), after.as_str())));
    }
    pairs
}
