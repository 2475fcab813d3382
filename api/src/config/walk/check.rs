//! `[check.NAME]`, and `track` of a group.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Walker;
use super::unknown::explains;
use crate::config::check::{
    COUNT_MAX, Check, GroupIs, Host, INTERVAL_DEFAULT, INTERVAL_MAX, INTERVAL_MIN, RunAs,
    TIMEOUT_DEFAULT, Test, Track, USER_DEFAULT, WEIGHT_MAX, WORDS_MAX,
};
use crate::config::model::Network;
use crate::config::report::{Problem, Span};
use crate::config::tree::{Node, Table, Value};
use crate::config::words::{Place, nearest, shown};

/// The kinds of tests.
const KINDS: [&str; 11] = [
    "carrier",
    "interface",
    "group",
    "route",
    "process",
    "file",
    "value",
    "exec",
    "arp",
    "ping",
    "tcp",
];
/// Kinds that a later version will know.
const LATER: [&str; 5] = ["http", "tls", "dns", "unit", "nft"];
/// The shortest time that a check may be given.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// The longest name of a user, in bytes (useradd(8)).
const USER_NAME_MAX: usize = 32;

impl Walker<'_> {
    pub(super) fn checks(&mut self, tree: &Table) -> BTreeMap<String, Check> {
        if let Some(Value::Table(table)) = tree.entries.get("check").map(|entry| &entry.node.value)
        {
            self.checks = table.entries.keys().cloned().collect();
        }
        let mut checks = BTreeMap::new();
        for (name, node, table) in self.named(tree, "check") {
            if let Some(check) = self.check(name, node, table) {
                checks.insert(name.to_owned(), check);
            }
        }
        checks
    }

    fn check(&mut self, name: &str, node: &Node, table: &Table) -> Option<Check> {
        self.unknown(table, Place::Check, &[name]);
        let user = self.run_as(table);
        let mut time = |key: &str, min: Duration, default: Duration| {
            let entry = table.entries.get(key);
            let read = entry.and_then(|e| self.duration(&e.node, key, (min, INTERVAL_MAX)));
            read.unwrap_or(default)
        };
        let interval = time("interval", INTERVAL_MIN, INTERVAL_DEFAULT);
        let timeout = time("timeout", TIMEOUT_MIN, TIMEOUT_DEFAULT);
        let mut count = |key: &str| {
            let entry = table.entries.get(key);
            entry.and_then(|entry| self.integer(&entry.node, key, 1, COUNT_MAX)).unwrap_or(1)
        };
        let (rise, fall) = (count("rise"), count("fall"));
        let first = table.entries.get("first").and_then(|entry| {
            self.word(&entry.node, "first", &[("result", false), ("fail", true)])
        });
        let invert = table.entries.get("invert");
        let invert = invert.and_then(|entry| self.boolean(&entry.node, "invert"));
        let Some(entry) = table.entries.get("test") else {
            if !explains(table, Place::Check, "test") {
                let text = format!("[check.{name}] has no `test`");
                let help = "say what is looked at: test = \"interface:eth0\"";
                self.push(Problem::error("missing", text).at(node.at).help(help));
            }
            return None;
        };
        let test = self.test(&entry.node)?;
        self.meaningless(table, &test);
        Some(Check {
            test,
            interval,
            timeout,
            rise,
            fall,
            fails_first: first == Some(true),
            invert: invert == Some(true),
            user,
        })
    }

    /// Keys that say nothing for this kind of test.
    fn meaningless(&mut self, table: &Table, test: &Test) {
        let kind = kind_of(test);
        let mut refuse = |keys: &[&str], why: &str| {
            for key in keys {
                if let Some(entry) = table.entries.get(*key) {
                    let text = format!("`{key}` means nothing for `{kind}:`");
                    self.push(Problem::error("bad-value", text).at(entry.key).help(why));
                }
            }
        };
        if test.is_told() {
            let keys = ["interval", "timeout", "rise", "fall", "first"];
            refuse(&keys, "leave it out: a change is told at once, by the kernel or the group");
        }
        if let Test::Value(_) = test {
            let why = "leave it out: the number in the file counts as it is";
            refuse(&["rise", "fall", "invert", "first"], why);
        }
        if !matches!(test, Test::Exec(_)) {
            refuse(&["user", "user_group"], "leave it out: only `exec:` runs a program");
        }
    }

    pub(super) fn run_as(&mut self, table: &Table) -> RunAs {
        let mut name = |key: &str| {
            let entry = table.entries.get(key)?;
            let name = self.string(&entry.node, key)?;
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.$".contains(c);
            if name.is_empty() || name.len() > USER_NAME_MAX || !name.chars().all(allowed) {
                self.wrong(entry.node.at, format!("`{}` is no name for `{key}`", shown(name)));
                return None;
            }
            Some(name.to_owned())
        };
        RunAs {
            user: name("user").unwrap_or_else(|| USER_DEFAULT.to_owned()),
            group: name("user_group"),
        }
    }

    /// `"kind:argument"`, or an array whose first element is that.
    fn test(&mut self, node: &Node) -> Option<Test> {
        let words: Vec<&str> = match &node.value {
            Value::Text(text) => vec![text],
            Value::Array(items) if !items.is_empty() => {
                self.array(node, "test", WORDS_MAX);
                let words: Option<Vec<&str>> =
                    items.iter().map(|item| self.string(item, "test")).collect();
                words?
            }
            _ => {
                let expected = "\"kind:argument\", or an array that begins with it";
                self.wrong_type(node, "test", expected);
                return None;
            }
        };
        let (kind, argument) = words[0].split_once(':').unwrap_or((words[0], ""));
        let known = KINDS.contains(&kind);
        if !known {
            self.unknown_kind(node, kind, words[0]);
            return None;
        }
        if argument.is_empty() {
            let text = format!("`{kind}` needs an argument");
            let help = format!("write it behind a colon: {}", example(kind));
            self.push(Problem::error("bad-value", text).at(node.at).help(help));
            return None;
        }
        if !matches!(kind, "exec" | "group") && words.len() > 1 {
            self.wrong(node.at, format!("`{kind}:` takes one argument"));
            return None;
        }
        self.kind(node, kind, argument, &words[1..])
    }

    fn kind(&mut self, node: &Node, kind: &str, argument: &str, more: &[&str]) -> Option<Test> {
        let at = node.at;
        match kind {
            "carrier" => self.interface_named(argument, at).map(Test::Carrier),
            "interface" => self.interface_named(argument, at).map(Test::Interface),
            "group" => self.group_test(argument, more, at),
            "route" => self.route_test(argument, at).map(Test::Route),
            "process" => self.process(argument, at).map(Test::Process),
            "file" => self.absolute(argument, kind, at).map(Test::File),
            "value" => self.absolute(argument, kind, at).map(Test::Value),
            "exec" => self.program(argument, more, node),
            "arp" => self.host(argument, kind, at).map(Test::Arp),
            "ping" => self.host(argument, kind, at).map(Test::Ping),
            _ => self.tcp(argument, at),
        }
    }

    fn unknown_kind(&mut self, node: &Node, kind: &str, word: &str) {
        if LATER.contains(&kind) {
            let text = format!("a check of kind `{kind}` is not built yet");
            let help = "until it is, write a program that does it: test = \"exec:/path argument\"";
            self.push(Problem::error("not-yet", text).at(node.at).help(help));
            return;
        }
        let (text, help) = if word.starts_with('/') {
            let help = format!("a program is an `exec`: test = \"exec:{}\"", shown(word));
            (format!("\"{}\" names no kind of test", shown(word)), help)
        } else {
            let help = match nearest(kind, KINDS) {
                Some(near) => format!("did you mean {}?", example(near)),
                None => format!("the kinds are: {}", KINDS.join(", ")),
            };
            (format!("no kind of test is called `{}`", shown(kind)), help)
        };
        self.push(Problem::error("bad-value", text).at(node.at).help(help));
    }

    fn group_test(&mut self, argument: &str, more: &[&str], at: Span) -> Option<Test> {
        let mut words = argument.split_whitespace().chain(more.iter().copied());
        let name = words.next().unwrap_or_default().to_owned();
        let is = match (words.next(), words.next()) {
            (None | Some("active"), None) => GroupIs::Active,
            (Some("fit"), None) => GroupIs::Fit,
            _ => {
                let text = "what is asked of a group is `active` or `fit`";
                let help = "write \"group:NAME\" for active here, or \"group:NAME fit\"";
                self.push(Problem::error("bad-value", text).at(at).help(help));
                return None;
            }
        };
        Some(Test::Group { name, is })
    }

    fn route_test(&mut self, argument: &str, at: Span) -> Option<Network> {
        if argument == "default" {
            return Some(Network { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 });
        }
        self.network_of(argument, at)
    }

    fn process(&mut self, argument: &str, at: Span) -> Option<String> {
        if argument.contains(|c: char| c == '/' || c.is_control()) {
            let text = format!("`{}` is no name of a process", shown(argument));
            let help = "write it as `ps -C NAME` takes it, without its directory";
            self.push(Problem::error("bad-value", text).at(at).help(help));
            return None;
        }
        Some(argument.to_owned())
    }

    pub(super) fn absolute(&mut self, argument: &str, kind: &str, at: Span) -> Option<PathBuf> {
        if !argument.starts_with('/') || argument.contains('\0') {
            let text = format!("the path of `{kind}` must be absolute");
            let help = format!("write {}", example(kind));
            self.push(Problem::error("bad-value", text).at(at).help(help));
            return None;
        }
        Some(argument.into())
    }

    /// A program: its arguments stand behind it, or are the other elements of an array.
    pub(super) fn program(&mut self, argument: &str, more: &[&str], node: &Node) -> Option<Test> {
        let words: Vec<String> = if let Value::Array(_) = node.value {
            [argument].iter().chain(more).map(|word| (*word).to_owned()).collect()
        } else {
            argument.split_whitespace().map(str::to_owned).collect()
        };
        self.absolute(words.first().map_or("", String::as_str), "exec", node.at)?;
        if words.iter().any(|word| word.contains('\0')) {
            self.wrong(node.at, "no argument of a program has a zero byte".to_owned());
            return None;
        }
        Some(Test::Exec(words))
    }

    fn host(&mut self, argument: &str, kind: &str, at: Span) -> Option<Host> {
        let (address, interface) = match argument.split_once('%') {
            Some((address, interface)) => (address, Some(self.interface_named(interface, at)?)),
            None => (argument, None),
        };
        let Ok(ip) = address.parse::<IpAddr>() else {
            let text = format!("`{}` is no IP address", shown(address));
            let help = "write the address itself: the name server may be what fails";
            self.push(Problem::error("bad-value", text).at(at).help(help));
            return None;
        };
        let is_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        if is_local && interface.is_none() {
            let text = format!("`{ip}` is link-local and needs its interface");
            let help = format!("write \"{kind}:{ip}%eth0\"");
            self.push(Problem::error("bad-value", text).at(at).help(help));
            return None;
        }
        Some(Host { address: ip, interface })
    }

    fn tcp(&mut self, argument: &str, at: Span) -> Option<Test> {
        let address = argument.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
        if address.is_none() {
            let text = format!("`{}` is no IP address with a port", shown(argument));
            let help = "write \"tcp:192.0.2.1:80\" or \"tcp:[2001:db8::1]:80\"; names are not looked \
                        up, because the name server may be what fails";
            self.push(Problem::error("bad-value", text).at(at).help(help));
        }
        address.map(Test::Tcp)
    }

    /// `track` of a group.
    pub(super) fn track(&mut self, group: &Table) -> BTreeMap<String, Track> {
        let mut track = BTreeMap::new();
        let Some(entry) = group.entries.get("track") else { return track };
        let Value::Table(table) = &entry.node.value else {
            let expected = "a table by check name, as in { uplink = -60, web = \"fault\" }";
            self.wrong_type(&entry.node, "track", expected);
            return track;
        };
        for (name, entry) in &table.entries {
            self.known_check(name, entry.key);
            if let Some(what) = self.tracked(name, &entry.node) {
                track.insert(name.clone(), what);
            }
        }
        track
    }

    fn tracked(&mut self, name: &str, node: &Node) -> Option<Track> {
        match &node.value {
            Value::Integer(number) => {
                let weight = number.and_then(|number| i16::try_from(number).ok());
                let weight = weight.filter(|weight| (-WEIGHT_MAX..=WEIGHT_MAX).contains(weight));
                if weight.is_none() {
                    let text = format!(
                        "the weight of `{name}` must be from -{WEIGHT_MAX} to {WEIGHT_MAX}"
                    );
                    self.wrong(node.at, text);
                }
                weight.map(Track::Weight)
            }
            Value::Text(_) => self.word(node, name, &[("fault", Track::Fault)]),
            _ => {
                self.wrong_type(node, name, "\"fault\" or a weight such as -60");
                None
            }
        }
    }
}

fn kind_of(test: &Test) -> &'static str {
    match test {
        Test::Carrier(_) => "carrier",
        Test::Interface(_) => "interface",
        Test::Group { .. } => "group",
        Test::Route(_) => "route",
        Test::Process(_) => "process",
        Test::File(_) => "file",
        Test::Value(_) => "value",
        Test::Exec(_) => "exec",
        Test::Arp(_) => "arp",
        Test::Ping(_) => "ping",
        Test::Tcp(_) => "tcp",
    }
}

/// A test of this kind as it may be written.
fn example(kind: &str) -> &'static str {
    match kind {
        "carrier" => "\"carrier:eth0\"",
        "interface" => "\"interface:eth0\"",
        "group" => "\"group:NAME\"",
        "route" => "\"route:0.0.0.0/0\"",
        "process" => "\"process:haproxy\"",
        "file" => "\"file:/run/maintenance\"",
        "value" => "\"value:/run/weight\"",
        "exec" => "\"exec:/usr/local/bin/check argument\"",
        "fifo" => "fifo = \"/run/evergate/notify\"",
        "arp" => "\"arp:192.0.2.1\"",
        "ping" => "\"ping:192.0.2.1\"",
        _ => "\"tcp:192.0.2.1:80\"",
    }
}
