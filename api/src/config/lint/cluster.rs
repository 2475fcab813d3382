//! Nodes, the key, paths and names.

use std::collections::BTreeMap;

use super::Lint;
use crate::config::check::CHECKS_MAX;
use crate::config::digest::name_hash;
use crate::config::model::{GROUPS_MAX, LINKS_MAX, NODES_MAX, PATHS_MAX, ROUTERS_MAX};
use crate::config::report::Problem;
use crate::config::tree::Value;

impl Lint<'_> {
    pub(super) fn cluster(&mut self) {
        self.nodes();
        self.key();
        self.paths();
        self.collisions();
        self.shared_links();
        self.replicate();
    }

    fn nodes(&mut self) {
        let own = self.own();
        if own.is_empty() && self.tree.get(&["node"]).is_none() {
            let problem = Problem::error("missing", "the file names no node");
            self.push(problem.help("name each box: [node.NAME] with priority = 1 … 254"));
        } else if own.is_empty() && !self.config.nodes.is_empty() {
            let at = self.place(&["node"]);
            let text = "every node is foreign: no node of ours is left to run";
            self.push(Problem::error("missing", text).at(at));
        }
        if self.tree.get(&["group"]).is_none() {
            let problem = Problem::error("missing", "the file has no group");
            self.push(
                problem.help("add: [group.NAME.router.NAME] with interface, vrid, addresses"),
            );
        }
        for (name, group) in &self.config.groups {
            if !group.priorities.is_empty()
                && !own.iter().any(|n| group.priorities.contains_key(*n))
            {
                let at = self.place(&["group", name, "nodes"]);
                let text = format!("group `{name}` runs on no node of ours");
                self.push(Problem::error("missing-node", text).at(at));
            }
        }
    }

    fn key(&mut self) {
        let own = self.own();
        if own.len() >= 2 && self.tree.get(&["cluster", "key_file"]).is_none() {
            let at = self.place(&["cluster"]);
            let text = format!("{} nodes of ours need a `key_file` in [cluster]", own.len());
            let help = "run: evergate key > cluster.key; chmod 600 cluster.key; \
                        copy it to each node and add: key_file = \"cluster.key\"";
            self.push(Problem::error("no-key", text).at(at).help(help));
        }
    }

    /// Notes a limit that is passed.
    pub(super) fn too_many(&mut self) -> bool {
        let counts = [
            (self.config.nodes.len(), NODES_MAX, "node", "nodes"),
            (self.config.links.len(), LINKS_MAX, "link", "links"),
            (self.config.groups.len(), GROUPS_MAX, "group", "groups"),
            (self.routers().len(), ROUTERS_MAX, "group", "routers"),
            (self.config.checks.len(), CHECKS_MAX, "check", "checks"),
        ];
        let mut passed = false;
        for (count, most, table, what) in counts {
            if count > most {
                let at = self.place(&[table]);
                let text = format!("{count} {what}; the most are {most}");
                self.push(Problem::error("too-many", text).at(at));
                passed = true;
            }
        }
        passed
    }

    fn paths(&mut self) {
        if self.own().len() < 2 {
            return;
        }
        let paths = self.config.all_paths();
        if paths.is_empty() && !self.routers().is_empty() {
            let at = self.place(&["node"]);
            let text = "no path between the nodes of ours: a takeover waits for VRRP alone";
            let help = "add a [link.NAME], or let heartbeats run on the interface of a router";
            self.push(Problem::warning("no-path", text).at(at).help(help));
        }
        if let Some(path) = paths.get(PATHS_MAX) {
            let at = self.place(&["group"]);
            let text = format!(
                "{} paths; heartbeats run on the first {PATHS_MAX} only, not on `{}`",
                paths.len(),
                path.name
            );
            let help = "set heartbeat = false on the routers that need none";
            self.push(Problem::warning("too-many-paths", text).at(at).help(help));
        }
    }

    /// Replication needs somebody to replicate to, and a way there.
    fn replicate(&mut self) {
        let Some(replicate) = &self.config.replicate else { return };
        let conntrackd = self.tree.get(&["replicate", "conntrackd"]).map(|node| &node.value);
        if matches!(conntrackd, Some(Value::Table(_))) {
            let port = replicate.conntrackd.as_ref().map(|conntrackd| conntrackd.port);
            return self.conntrackd(port);
        }
        let at = self.place(&["replicate"]);
        // Without any node of ours, that is the error.
        if self.own().len() == 1 {
            let text = "only one node is ours: connections are replicated to nobody";
            let help = "name the other one, [node.NAME], or leave [replicate] out";
            self.push(Problem::warning("no-replica", text).at(at).help(help));
        } else if self.own().len() >= 2 && self.config.links.is_empty() && !self.names_link() {
            let text = "replication runs over links; there is none, so nothing is replicated";
            let help = "add a [link.NAME]; it may be on the interface of a router";
            self.push(Problem::warning("no-link", text).at(at).help(help));
        }
    }

    /// conntrackd's protocol joins two boxes, and has a port of its own.
    fn conntrackd(&mut self, port: Option<u16>) {
        let own = self.own();
        if own.len() >= 2 {
            let at = self.place(&["replicate", "conntrackd"]);
            let text = format!(
                "conntrackd's protocol joins two boxes: one of ours and one of its own; \
                 the file names {} of ours",
                own.len()
            );
            let help = "nodes of ours replicate to each other without it: leave it out";
            self.push(Problem::error("contradiction", text).at(at).help(help));
        }
        if port == Some(self.config.cluster.port) {
            let at = self.place(&["replicate", "conntrackd", "port"]);
            let text = "conntrackd and our own protocol cannot share a port";
            let help = "leave `port` in [cluster] at its default, 8747";
            self.push(Problem::error("contradiction", text).at(at).help(help));
        }
    }

    /// Is there anything under `[link]`, if only by a name that cannot be one?
    fn names_link(&self) -> bool {
        let link = self.tree.get(&["link"]).map(|node| &node.value);
        matches!(link, Some(Value::Table(table)) if !table.entries.is_empty())
    }

    /// Names travel as 32-bit hashes; two that share one could not be told apart.
    fn collisions(&mut self) {
        let nodes = self.config.nodes.keys().map(|name| (name.clone(), vec!["node", name]));
        self.distinct(nodes.collect());
        let groups = self.config.groups.keys().map(|name| (name.clone(), vec!["group", name]));
        self.distinct(groups.collect());
        let links =
            self.config.links.keys().map(|name| (format!("link:{name}"), vec!["link", name]));
        let mut paths: Vec<(String, Vec<&str>)> = links.collect();
        for found in self.routers() {
            let name = format!("router:{}/{}", found.group_name, found.name);
            paths.push((name, vec!["group", found.group_name, "router", found.name]));
        }
        self.distinct(paths);
    }

    fn distinct(&mut self, names: Vec<(String, Vec<&str>)>) {
        let mut seen: BTreeMap<u32, (String, Vec<&str>)> = BTreeMap::new();
        for (name, path) in names {
            let hash = name_hash(&name);
            let Some((first, first_path)) = seen.get(&hash) else {
                seen.insert(hash, (name, path));
                continue;
            };
            let text = format!("`{name}` and `{first}` have the same number on the wire");
            let problem = Problem::error("name-collision", text).at(self.place(&path));
            let problem = problem.also(self.place(first_path), "the other name");
            self.problems.push(problem.help("rename one of them"));
        }
    }

    fn shared_links(&mut self) {
        let links: Vec<_> = self.config.links.iter().collect();
        for (position, (name, link)) in links.iter().enumerate() {
            for (first, other) in &links[..position] {
                let same = |node: &&str| {
                    let mine = link.interface.get(node);
                    mine.is_some_and(|mine| !mine.is_empty()) && mine == other.interface.get(node)
                };
                if self.own().iter().any(same) {
                    let at = self.place(&["link", name, "interface"]);
                    let text = format!("links `{first}` and `{name}` use the same interface");
                    let problem = Problem::warning("one-cable", text)
                        .at(at)
                        .also(self.place(&["link", first, "interface"]), "the other")
                        .help("they fail together, so the second adds nothing");
                    self.push(problem);
                }
            }
        }
    }
}
