//! Interfaces that have a virtual MAC address: their names, and keys that do nothing.

use std::collections::BTreeMap;

use super::{Found, Lint};
use crate::config::model::{AdvertsFrom, VirtualMac};
use crate::config::report::{Problem, Span};

impl Lint<'_> {
    pub(super) fn virtual_mac(&mut self) {
        for found in self.routers() {
            self.one_name(found);
            self.idle(found);
        }
        self.names();
    }

    /// Each family has a virtual MAC address of its own, and so an interface of its own.
    fn one_name(&mut self, found: Found<'_>) {
        let router = found.router;
        let both = router.ipv4().next().is_some() && router.ipv6().next().is_some();
        if let (VirtualMac::Named(name), true) = (&router.virtual_mac, both) {
            let text = format!(
                "`{}/{}` has two families, and so two virtual MAC addresses: \"{name}\" can be one",
                found.group_name, found.name
            );
            let at = self.shared_place(found, "virtual_mac");
            let help = "write virtual_mac = true, or give each family a router of its own";
            self.push(Problem::error("virtual-mac-families", text).at(at).help(help));
        }
    }

    fn idle(&mut self, found: Found<'_>) {
        let is_off = found.router.virtual_mac == VirtualMac::Off;
        let written = |lint: &Self, key: &str| lint.tree.get(&found.path(key)).map(|node| node.at);
        let idle = if !is_off && found.router.vrid.is_none() {
            written(self, "virtual_mac").map(|at| ("virtual_mac", "a `vrid`", at))
        } else if is_off && found.router.adverts_from != AdvertsFrom::VirtualMac {
            written(self, "adverts_from").map(|at| ("adverts_from", "`virtual_mac`", at))
        } else {
            None
        };
        if let Some((key, missing, at)) = idle {
            let text = format!("`{key}` does nothing without {missing}");
            self.push(Problem::warning("idle-key", text).at(at));
        }
    }

    /// An interface has one name on a node, and no other interface has it.
    fn names(&mut self) {
        for node in self.own() {
            let mut seen: BTreeMap<String, (Found<'_>, Span)> = BTreeMap::new();
            let routers = self.routers().into_iter();
            let here = routers.filter(|found| found.group.priorities.contains_key(node));
            let here: Vec<Found<'_>> = here.collect();
            for found in &here {
                let at = self.shared_place(*found, "virtual_mac");
                let families =
                    [found.router.ipv4().next().is_some(), found.router.ipv6().next().is_some()];
                let virtuals = [false, true].into_iter().filter(|v6| families[usize::from(*v6)]);
                for name in virtuals.filter_map(|v6| found.router.virtual_interface(v6)) {
                    let real =
                        here.iter().any(|other| other.router.interface.get(node) == Some(&name));
                    let clash = seen.get(&name).copied().filter(|(other, _)| {
                        // Two routers with one number on one interface are told of already, and so is
                        // one router with a name for two families.
                        !other.meets(*found, &[node])
                    });
                    let problem = match clash {
                        _ if real => {
                            let text = format!(
                                "`{name}` is the interface of a router, and cannot be made"
                            );
                            Problem::error("same-virtual-interface", text).at(at)
                        }
                        Some((other, place)) => {
                            let text = format!(
                                "`{}/{}` and `{}/{}` both need an interface `{name}`",
                                other.group_name, other.name, found.group_name, found.name
                            );
                            let problem = Problem::error("same-virtual-interface", text).at(at);
                            if place == at { problem } else { problem.also(place, "the other") }
                        }
                        None => {
                            seen.insert(name, (*found, at));
                            continue;
                        }
                    };
                    let help =
                        "name the interface of one of them, as in virtual_mac = \"vrrp.lan\"";
                    let problem = problem.help(help);
                    // The other nodes would say the same.
                    if !self.problems.contains(&problem) {
                        self.push(problem);
                    }
                }
            }
        }
    }

    /// Where a key of a router is set: in its table or in that of its group.
    fn shared_place(&self, found: Found<'_>, key: &str) -> Span {
        let own = self.tree.get(&found.path(key));
        let of_group = || self.tree.get(&["group", found.group_name, key]);
        own.or_else(of_group).map_or_else(|| self.place(&found.path(key)), |node| node.at)
    }
}
