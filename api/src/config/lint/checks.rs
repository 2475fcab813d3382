//! Checks that nobody tracks, weights that never matter, and groups that wait for each other.

use std::collections::BTreeSet;

use super::Lint;
use crate::config::check::{Test, Track};
use crate::config::model::{Group, PRIORITY_OWNER};
use crate::config::report::Problem;
use crate::config::tree::Value;

impl Lint<'_> {
    pub(super) fn checks(&mut self) {
        self.untracked();
        self.unknown_groups();
        self.circles();
        for (name, group) in &self.config.groups {
            self.weights(name, group);
            self.values(name, group);
        }
    }

    fn untracked(&mut self) {
        let tracked: BTreeSet<&String> =
            self.config.groups.values().flat_map(|group| group.track.keys()).collect();
        for name in self.config.checks.keys().filter(|name| !tracked.contains(name)) {
            let at = self.place(&["check", name]);
            let text = format!("no group tracks the check `{name}`, so it is never made");
            let help = format!("write in a group: track = {{ {name} = \"fault\" }}, or a weight");
            self.push(Problem::warning("untracked", text).at(at).help(help));
        }
    }

    /// The group that a check asks of, and its name.
    fn asked(&self, check: &str) -> Option<&str> {
        match &self.config.checks.get(check)?.test {
            Test::Group { name, .. } => Some(name),
            _ => None,
        }
    }

    fn unknown_groups(&mut self) {
        let groups = &self.config.groups;
        for (name, check) in &self.config.checks {
            let Test::Group { name: group, .. } = &check.test else { continue };
            if !groups.contains_key(group) {
                let at = self.place(&["check", name, "test"]);
                let problem = Problem::error("unknown-group", format!("no group `{group}`"));
                let known: Vec<&str> = groups.keys().map(String::as_str).collect();
                self.push(problem.at(at).help(format!("the groups are: {}", known.join(", "))));
            }
        }
    }

    /// A group that depends on itself, by way of others or not, would never come to rest.
    fn circles(&mut self) {
        for (name, group) in &self.config.groups {
            for check in group.track.keys() {
                let Some(first) = self.asked(check) else { continue };
                let Some(way) = self.way(first, name) else { continue };
                let at = self.place(&["group", name, "track", check]);
                let text = if first == name {
                    format!("group `{name}` tracks itself")
                } else {
                    format!("group `{name}` tracks itself, by way of {}", way.join(", "))
                };
                let help = "take the check out of one of them: each would wait for the other";
                self.push(Problem::error("contradiction", text).at(at).help(help));
            }
        }
    }

    /// The groups on the way from one to another along what they track, the last left out.
    fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut ways = vec![vec![from.to_owned()]];
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop() {
            let last = way.last()?.clone();
            if last == to {
                return Some(way[..way.len() - 1].to_vec());
            }
            let Some(group) = self.config.groups.get(&last).filter(|_| seen.insert(last)) else {
                continue;
            };
            let next = group.track.keys().filter_map(|check| self.asked(check));
            ways.extend(next.map(|next| [&way[..], &[next.to_owned()]].concat()));
        }
        None
    }

    fn weights(&mut self, name: &str, group: &Group) {
        let of = |track: &Track| match track {
            Track::Weight(weight) => Some(*weight),
            Track::Fault => None,
        };
        for (check, _) in group.track.iter().filter(|(_, track)| of(track) == Some(0)) {
            let at = self.place(&["group", name, "track", check]);
            let text = format!("a weight of 0 never matters: `{check}` changes nothing");
            let help = "write a weight, or \"fault\"";
            self.push(Problem::warning("no-effect", text).at(at).help(help));
        }
        let weights: Vec<i16> =
            group.track.values().filter_map(of).filter(|weight| *weight != 0).collect();
        let is_number = |check: &String| {
            let check = self.config.checks.get(check);
            check.is_some_and(|check| matches!(check.test, Test::Value(_)))
        };
        let unbounded = group.track.keys().any(is_number);
        let guessed = group.priorities.keys().any(|node| self.is_guessed(name, node));
        if weights.is_empty() || unbounded || guessed || group.priorities.len() < 2 {
            return;
        }
        if self.may_change(group) {
            return;
        }
        let at = self.place(&["group", name, "track"]);
        let text = format!(
            "the weights of group `{name}` never matter: whatever checks say, the order of its nodes \
             stays the same"
        );
        let help =
            "make a weight larger than the distance between the priorities, or write \"fault\"";
        self.push(Problem::warning("no-effect", text).at(at).help(help));
    }

    /// Nobody has written the priority of a node of another make: it has one of its own, whatever ours is
    /// taken to be.
    fn is_guessed(&self, group: &str, node: &str) -> bool {
        let foreign = self.config.nodes.get(node).is_some_and(|node| node.foreign);
        let for_all = self.tree.get(&["group", group, "priority"]);
        let for_all = for_all.is_some_and(|node| !matches!(node.value, Value::Table(_)));
        let here = self.tree.get(&["group", group, "priority", node]).is_some();
        foreign && !for_all && !here && self.tree.get(&["node", node, "priority"]).is_none()
    }

    /// Can the weights change the order of two nodes, of which one is ours?
    fn may_change(&self, group: &Group) -> bool {
        let sum = |sign: i32| {
            let weights = group.track.values().map(|track| match track {
                Track::Weight(weight) => i32::from(*weight),
                Track::Fault => 0,
            });
            weights.filter(|weight| weight.signum() == sign).sum::<i32>()
        };
        let (less, more) = (sum(-1), sum(1));
        let span = |(node, priority): (&String, &u8)| {
            let foreign = self.config.nodes.get(node).is_some_and(|node| node.foreign);
            let base = i32::from(*priority);
            let fixed = foreign || *priority == PRIORITY_OWNER;
            let reach = |by: i32| if fixed { base } else { (base + by).clamp(1, 254) };
            (base, reach(less), reach(more))
        };
        let spans: Vec<(i32, i32, i32)> = group.priorities.iter().map(span).collect();
        spans.iter().enumerate().any(|(at, one)| {
            spans[..at].iter().any(|other| {
                let (high, low) = if one.0 >= other.0 { (one, other) } else { (other, one) };
                high.1 <= low.2
            })
        })
    }

    /// A number in a file is a factor: there is nothing that could be a fault without a weight.
    fn values(&mut self, name: &str, group: &Group) {
        for (check, track) in &group.track {
            let value = self.config.checks.get(check);
            let is_value = value.is_some_and(|check| matches!(check.test, Test::Value(_)));
            if is_value && *track == Track::Fault {
                let at = self.place(&["group", name, "track", check]);
                let text = format!("`{check}` is a number in a file and needs a weight");
                let help = "write its factor, such as 1; for a fault let the file come and go: \
                            test = \"file:PATH\"";
                self.push(Problem::error("bad-value", text).at(at).help(help));
            }
        }
    }
}
