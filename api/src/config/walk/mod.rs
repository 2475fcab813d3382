//! From the tree to the model: every value is read with its type, range and meaning, and every
//! problem is noted with its place. Nothing stops at the first error.

mod address;
mod announce;
mod auth;
mod check;
mod cluster;
mod conntrackd;
mod group;
mod procedure;
mod replicate;
mod route;
mod router;
mod unknown;
mod vrrp;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::duration::{self, DurationError};
use super::model::{Config, PerNode};
use super::report::{Problem, Span};
use super::tree::{Node, Table, Value};
use super::words::{is_name, nearest, shown};
use super::{digest, source::Sources};

/// The most names that a hint repeats.
const SUGGESTED_MAX: usize = 8;

/// Reads the whole tree. The result is of use only if no problem is an error.
pub(crate) fn walk(tree: &Table, sources: &Sources, problems: &mut Vec<Problem>) -> Config {
    let directory = &sources.directory;
    let (nodes, checks) = (BTreeSet::new(), BTreeSet::new());
    let mut walker = Walker { problems, nodes, checks, directory };
    walker.unknown(tree, super::words::Place::Root, &[]);
    let cluster = walker.cluster(tree);
    let nodes = walker.nodes(tree);
    let links = walker.links(tree, &nodes);
    let checks = walker.checks(tree);
    let groups = walker.groups(tree, &nodes);
    let fifo = walker.fifo(tree);
    let replicate = walker.replicate(tree, &nodes, &links);
    let digest = digest::digest(tree);
    Config { cluster, nodes, links, groups, checks, fifo, replicate, digest }
}

/// The state of the walk.
struct Walker<'p> {
    problems: &'p mut Vec<Problem>,
    /// The names under `[node]`, well-formed or not, so that a reference to them is not a second
    /// error.
    nodes: BTreeSet<String>,
    /// The same for those under `[check]`.
    checks: BTreeSet<String>,
    /// Where paths in the file begin.
    directory: &'p Path,
}

impl Walker<'_> {
    fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn wrong(&mut self, at: Span, text: String) -> Option<std::convert::Infallible> {
        self.push(Problem::error("bad-value", text).at(at));
        None
    }

    fn wrong_type(&mut self, node: &Node, what: &str, expected: &str) {
        let text = format!("`{what}` must be {expected}, not {}", node.value.kind());
        self.wrong(node.at, text);
    }

    /// The table under a key; none when it is absent or no table.
    fn table<'t>(&mut self, parent: &'t Table, key: &str) -> Option<&'t Table> {
        let entry = parent.entries.get(key)?;
        match &entry.node.value {
            Value::Table(table) => Some(table),
            _ => {
                self.wrong_type(&entry.node, key, &format!("a table, as in `[{key}]`"));
                None
            }
        }
    }

    /// The tables by name under a key such as `node`, with only well-formed names.
    fn named<'t>(&mut self, parent: &'t Table, key: &str) -> Vec<(&'t str, &'t Node, &'t Table)> {
        let Some(table) = self.table(parent, key) else { return Vec::new() };
        let mut found = Vec::new();
        for (name, entry) in &table.entries {
            if !is_name(name) {
                let text = format!("`{}` cannot be the name of a {key}", shown(name));
                let help = "use letters, digits, `-`, `_` and `.`, 63 at most";
                self.push(Problem::error("bad-name", text).at(entry.key).help(help));
            } else if let Value::Table(inner) = &entry.node.value {
                found.push((name.as_str(), &entry.node, inner));
            } else {
                let text =
                    format!("`{}` under [{key}] is {}, not a table", name, entry.node.value.kind());
                let help = format!("write a header with a name of yours: [{key}.NAME]");
                self.push(Problem::error("bad-value", text).at(entry.key).help(help));
            }
        }
        found
    }

    fn string<'t>(&mut self, node: &'t Node, what: &str) -> Option<&'t str> {
        match &node.value {
            Value::Text(text) => Some(text),
            _ => {
                self.wrong_type(node, what, "a string in quotes");
                None
            }
        }
    }

    /// A path, made relative to the working directory or absolute.
    fn path(&mut self, node: &Node, what: &str) -> Option<PathBuf> {
        let path = self.string(node, what)?;
        if path.is_empty() {
            self.wrong(node.at, format!("`{what}` is empty"));
            return None;
        }
        Some(self.directory.join(path))
    }

    fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.value {
            Value::Boolean(boolean) => Some(boolean),
            _ => {
                self.wrong_type(node, what, "true or false");
                None
            }
        }
    }

    fn integer(&mut self, node: &Node, what: &str, min: u16, max: u16) -> Option<u16> {
        let number = self.number(node, what, (min.into(), max.into()))?;
        u16::try_from(number).ok()
    }

    fn number(&mut self, node: &Node, what: &str, (min, max): (u32, u32)) -> Option<u32> {
        let expected = format!("a whole number from {min} to {max}");
        let Value::Integer(number) = node.value else {
            self.wrong_type(node, what, &expected);
            return None;
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        let fitting = number.filter(|number| (min..=max).contains(number));
        if fitting.is_none() {
            self.wrong(node.at, format!("`{what}` must be {expected}"));
        }
        fitting
    }

    fn octet(&mut self, node: &Node, what: &str, min: u8, max: u8) -> Option<u8> {
        let number = self.integer(node, what, u16::from(min), u16::from(max))?;
        u8::try_from(number).ok()
    }

    fn duration(
        &mut self,
        node: &Node,
        what: &str,
        (min, max): (Duration, Duration),
    ) -> Option<Duration> {
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Integer(Some(number)) => number.to_string(),
            Value::Float(number) => number.clone(),
            _ => {
                self.wrong_type(node, what, "a duration such as \"10ms\"");
                return None;
            }
        };
        let duration = match duration::parse(&text) {
            Ok(duration) => duration,
            Err(error) => {
                self.push(no_duration(error, what, &text).at(node.at));
                return None;
            }
        };
        if (min..=max).contains(&duration) {
            return Some(duration);
        }
        let (min, max) = (duration::shown(min), duration::shown(max));
        self.wrong(node.at, format!("`{what}` must be from \"{min}\" to \"{max}\""));
        None
    }

    fn ip(&mut self, node: &Node, what: &str) -> Option<IpAddr> {
        let text = self.string(node, what)?;
        if let Ok(ip) = text.parse() {
            return Some(ip);
        }
        let problem = Problem::error("bad-value", format!("`{}` is no IP address", shown(text)));
        let plain = text.split_once('/').filter(|(ip, _)| ip.parse::<IpAddr>().is_ok());
        self.push(match plain {
            Some((ip, _)) => problem
                .at(node.at)
                .help(format!("`{what}` is an address without prefix length: \"{ip}\"")),
            None => problem.at(node.at),
        });
        None
    }

    /// Each element of an array.
    fn array<'t>(&mut self, node: &'t Node, what: &str, max: usize) -> &'t [Node] {
        match &node.value {
            Value::Array(items) if items.len() <= max => items,
            Value::Array(items) => {
                let text = format!("`{what}` has {} elements; the most are {max}", items.len());
                self.wrong(node.at, text);
                &[]
            }
            _ => {
                self.wrong_type(node, what, "an array, as in [\"…\"]");
                &[]
            }
        }
    }

    /// One of the given words.
    fn word<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(node, what)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let list: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let problem = Problem::error(
            "bad-value",
            format!("`{what}` must be {}, not \"{}\"", list.join(" or "), shown(text)),
        );
        let problem = match nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(word) => problem.help(format!("did you mean \"{word}\"?")),
            None => problem,
        };
        self.push(problem.at(node.at));
        None
    }

    /// A value, or a table of values by node name.
    fn per_node<T>(
        &mut self,
        node: &Node,
        what: &str,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Option<PerNode<T>> {
        let Value::Table(table) = &node.value else {
            return read(self, node).map(PerNode::Same);
        };
        let mut values = BTreeMap::new();
        for (name, entry) in &table.entries {
            // A table here is no node but a name with a dot.
            if let Value::Table(inner) = &entry.node.value {
                let text = format!("`{what}` has a table under `{}`, not a value", shown(name));
                let name = unknown::dotted_key(name, inner);
                let help = format!("a name with a dot needs quotes: \"{name}\"");
                self.push(Problem::error("bad-value", text).at(entry.key).help(help));
                continue;
            }
            self.known_node(name, entry.key);
            if let Some(value) = read(self, &entry.node) {
                values.insert(name.clone(), value);
            }
        }
        Some(PerNode::Each(values))
    }

    /// Notes a problem if there is no such node.
    fn known_node(&mut self, name: &str, at: Span) {
        if self.nodes.contains(name) {
            return;
        }
        let problem = Problem::error("unknown-node", format!("no node `{}`", shown(name))).at(at);
        let known: Vec<&str> = self.nodes.iter().map(String::as_str).collect();
        let help = instead("node", name, &known);
        self.push(problem.help(help));
    }

    /// Notes a problem if there is no such check.
    fn known_check(&mut self, name: &str, at: Span) {
        if self.checks.contains(name) {
            return;
        }
        let problem = Problem::error("unknown-check", format!("no check `{}`", shown(name))).at(at);
        let known: Vec<&str> = self.checks.iter().map(String::as_str).collect();
        let help = instead("check", name, &known);
        self.push(problem.help(help));
    }

    /// Something that a later version will do.
    fn not_yet(&mut self, at: Span, what: &str) {
        let text = format!("{what} is not supported yet");
        let help = "leave it out; a later version will understand it";
        self.push(Problem::error("not-yet", text).at(at).help(help));
    }
}

/// What to write in place of a name that is not known.
fn instead(kind: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("name it: [{kind}.NAME]"),
        None => {
            let first = &known[..known.len().min(SUGGESTED_MAX)];
            format!("the {kind}s are: {}", first.join(", "))
        }
    }
}

fn no_duration(error: DurationError, what: &str, text: &str) -> Problem {
    let text = shown(text);
    match error {
        DurationError::NoUnit => {
            Problem::error("no-unit", format!("`{what}` is a duration and needs a unit"))
                .help(format!("write \"{text}ms\" or \"{text}s\""))
        }
        DurationError::UnknownUnit => {
            Problem::error("bad-value", format!("\"{text}\" has a unit that is unknown"))
                .help("the units are us, ms, s, min, h, d")
        }
        DurationError::NoNumber => {
            Problem::error("bad-value", format!("\"{text}\" is no duration"))
                .help("write a number and a unit, as in \"10ms\" or \"1.5s\"")
        }
        DurationError::TooLong => {
            Problem::error("bad-value", format!("\"{text}\" is longer than a year"))
        }
    }
}
