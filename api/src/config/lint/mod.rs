//! What a configuration says as a whole: contradictions are errors, likely mistakes are warnings.

mod addresses;
mod checks;
mod cluster;
mod routes;
mod virtual_mac;
mod vrrp;

use super::model::{Config, Group, Router};
use super::report::{Problem, Span};
use super::tree::Table;

/// Checks a configuration that was read, perhaps with errors.
pub(crate) fn lint(tree: &Table, config: &Config, problems: &mut Vec<Problem>) {
    let mut lint = Lint { tree, config, problems };
    if lint.too_many() {
        // What follows compares each with each.
        return;
    }
    lint.cluster();
    lint.vrrp();
    lint.addresses();
    lint.checks();
    lint.routes();
    lint.virtual_mac();
}

struct Lint<'a> {
    tree: &'a Table,
    config: &'a Config,
    problems: &'a mut Vec<Problem>,
}

/// A router with the names that lead to it.
#[derive(Clone, Copy)]
struct Found<'a> {
    group_name: &'a str,
    group: &'a Group,
    name: &'a str,
    router: &'a Router,
}

impl<'a> Lint<'a> {
    fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn place(&self, path: &[&str]) -> Span {
        let top = Span { file: 0, start: 0, end: 0 };
        self.tree.place(path).unwrap_or(top)
    }

    fn routers(&self) -> Vec<Found<'a>> {
        let config = self.config;
        let all = config.groups.iter().flat_map(|(group_name, group)| {
            group.routers.iter().map(move |(name, router)| Found {
                group_name,
                group,
                name,
                router,
            })
        });
        all.collect()
    }

    /// The nodes of ours, by name.
    fn own(&self) -> Vec<&'a str> {
        let nodes = self.config.nodes.iter().filter(|(_, node)| !node.foreign);
        nodes.map(|(name, _)| name.as_str()).collect()
    }
}

impl Found<'_> {
    /// Do both run on one node of ours, on the same interface?
    fn meets(self, other: Self, own: &[&str]) -> bool {
        own.iter().any(|node| {
            let here = self.group.priorities.contains_key(*node)
                && other.group.priorities.contains_key(*node);
            let interface = self.router.interface.get(node);
            here && interface.is_some() && interface == other.router.interface.get(node)
        })
    }

    /// Its path in the file, with a key.
    fn path<'s>(&'s self, key: &'s str) -> [&'s str; 5] {
        ["group", self.group_name, "router", self.name, key]
    }
}
