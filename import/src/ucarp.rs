//! The command line of ucarp. It speaks CARP and ours speaks VRRP: both boxes have to change
//! together.

use std::net::Ipv4Addr;

use crate::command::Command;
use crate::ledger::{Id, Ledger, Place};
use crate::names;
use crate::report::{Fate, Imported, Unreadable};
use crate::toml::{Document, Table, Value};

mod options;
#[cfg(test)]
mod tests;

use options::Given;

/// The most arguments that are read.
const ARGUMENTS_MAX: usize = 256;
/// The priority of advskew 0; each step of skew takes one away.
const PRIORITY_MAX: i64 = 254;
/// The priority unless something is said.
const PRIORITY_DEFAULT: i64 = 100;
/// Adverts that may be missed unless something is said, there and here.
const MISSED_DEFAULT: i64 = 3;

/// What the command line does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The name of the cluster.
    pub cluster: String,
    /// The name of this node.
    pub node: String,
}

/// What is gathered.
#[derive(Debug, Default)]
struct Import {
    ledger: Ledger,
    interface: Option<String>,
    source: Option<Ipv4Addr>,
    vrid: Option<i64>,
    address: Option<Ipv4Addr>,
    interval: Option<i64>,
    skew: i64,
    missed: Option<i64>,
    group: Option<Ipv4Addr>,
    parameter: Option<String>,
    up: Option<(Id, String)>,
    down: Option<(Id, String)>,
    preempts: Option<Id>,
    is_down_at_end: bool,
}

/// Reads a command line, with or without `ucarp` in front.
///
/// # Errors
///
/// An argument that ucarp does not have, or no interface, vhid or address.
pub fn import(arguments: &[String], options: &Options) -> Result<Imported, Unreadable> {
    if arguments.len() > ARGUMENTS_MAX {
        return Err(Unreadable::whole(format!("more than {ARGUMENTS_MAX} arguments")));
    }
    let mut import = Import::default();
    let why = "VRRP in place of CARP: the two do not understand each other, so change both boxes \
               together";
    let is_program = |word: &String| word == "ucarp" || word.ends_with("/ucarp");
    let skipped = usize::from(arguments.first().is_some_and(is_program));
    let place = Place { line: 1, ..Place::default() };
    import.ledger.tell(place, "ucarp".into(), Fate::Changed, why);
    let all = options::read(&arguments[skipped..], skipped)?;
    for (at, given) in all.iter().enumerate() {
        let is_last = !all[at + 1..].iter().any(|later| later.name == given.name);
        import.take(given, is_last);
    }
    import.finish(options)
}

impl Import {
    fn take(&mut self, given: &Given, is_last: bool) {
        let place = Place { line: given.position, ..Place::default() };
        let id = self.ledger.open(place, given.shown());
        if !is_last {
            return self.exactly(id, "given twice: the last one counts, there too");
        }
        let value = given.value.as_str();
        match given.name {
            "interface" => {
                self.interface = Some(value.to_owned());
                self.exactly(id, "interface");
            }
            "srcip" => self.source = self.address(id, value, "source"),
            "addr" => {
                self.address = self.address(id, value, "");
                let why = "addresses, as /32: write the prefix of its network";
                self.ledger.note(id, Fate::Changed, why);
            }
            "mcast" => self.group = self.address(id, value, "[vrrp] multicast"),
            "vhid" => self.vrid = self.number(id, value, 1..=255, "vrid"),
            "advbase" => self.interval = self.number(id, value, 1..=255, "advert"),
            "advskew" => {
                let why = "priority: 254 less the skew";
                self.skew = self.number(id, value, 0..=255, "").unwrap_or(0);
                self.ledger.note(id, Fate::Changed, why);
            }
            "deadratio" => {
                self.missed = self.number(id, value, 1..=100, "");
                self.ledger.note(id, Fate::Changed, "down_after");
            }
            "preempt" => {
                self.preempts = Some(id);
                self.ledger.note(id, Fate::Changed, "failback = \"auto\": once ready for a second");
            }
            "neutral" => {
                let why = "deactivate is run at the start too: it may have been left active";
                self.ledger.note(id, Fate::Changed, why);
            }
            "shutdown" => {
                self.is_down_at_end = true;
                self.exactly(id, "deactivate is run at the end too");
            }
            "xparam" => {
                self.parameter = Some(value.to_owned());
                self.exactly(id, "the last argument of activate and deactivate");
            }
            "upscript" => self.up = Some((id, value.to_owned())),
            "downscript" => self.down = Some((id, value.to_owned())),
            name => {
                let (fate, why) = idle(name);
                self.ledger.note(id, fate, why);
            }
        }
    }

    fn exactly(&mut self, id: Id, why: &str) {
        self.ledger.note(id, Fate::Exactly, why);
    }

    /// An address. `key`: empty, if the caller tells of it.
    fn address(&mut self, id: Id, value: &str, key: &str) -> Option<Ipv4Addr> {
        let address = value.parse().ok();
        self.told(id, address.is_some(), key, "no IPv4 address");
        address
    }

    fn number(
        &mut self,
        id: Id,
        value: &str,
        range: std::ops::RangeInclusive<i64>,
        key: &str,
    ) -> Option<i64> {
        let number = value.parse().ok().filter(|number| range.contains(number));
        let wrong = format!("no number from {} to {}", range.start(), range.end());
        self.told(id, number.is_some(), key, &wrong);
        number
    }

    fn told(&mut self, id: Id, is_good: bool, key: &str, wrong: &str) {
        if !is_good {
            self.ledger.note(id, Fate::Unsupported, wrong);
        } else if !key.is_empty() {
            self.exactly(id, key);
        }
    }

    fn finish(mut self, options: &Options) -> Result<Imported, Unreadable> {
        let missing = |what: &str| Unreadable::whole(format!("{what} is missing, or is none"));
        let interface = self.interface.clone().ok_or_else(|| missing("--interface"))?;
        let vrid = self.vrid.ok_or_else(|| missing("--vhid"))?;
        let address = self.address.ok_or_else(|| missing("--addr"))?;
        let mut arguments = vec![interface.clone(), address.to_string()];
        arguments.extend(self.parameter.clone());
        let up = self.up.take();
        let down = self.down.take();
        let activate = self.script(up, &arguments, "activate");
        let deactivate = self.script(down, &arguments, "deactivate");
        let node = names::fitting(&options.node);

        let mut document = Document::default();
        document.comment(vec![heading(&node)]);
        let mut table = Table::new(&["cluster"]);
        table.set("name", options.cluster.as_str());
        document.table(table);
        let mut table = Table::new(&["node", &node]);
        let priority = (PRIORITY_MAX - self.skew).max(1);
        table.set_some("priority", (priority != PRIORITY_DEFAULT).then_some(priority));
        document.table(table);
        document.tables(self.vrrp());
        let group = format!("carp-{vrid}");
        let mut table = Table::new(&["group", &group]);
        table.set_some("failback", self.preempts.is_none().then_some("manual"));
        // It runs them as itself, which needs to be root.
        let root = Value::inline([("user", "root".into())]);
        let runs = activate.is_some() || deactivate.is_some();
        table.set_some("activate", activate);
        table.set_some("deactivate", deactivate);
        table.set_some("procedures", runs.then_some(root));
        document.tables(Some(table).filter(|table| !table.is_empty()));
        let mut table = Table::new(&["group", &group, "router", "carp"]);
        table.set("interface", interface);
        table.set("vrid", vrid);
        table.set("addresses", Value::texts([format!("{address}/32")]));
        let source =
            self.source.map(|source| Value::Inline(vec![(node, source.to_string().into())]));
        table.set_some("source", source);
        document.table(table);
        let findings = self.ledger.finish(&["argument".to_owned()]);
        Ok(Imported { toml: document.text(), findings, keys: Vec::new() })
    }

    fn vrrp(&self) -> Option<Table> {
        let mut table = Table::new(&["vrrp"]);
        let interval = self.interval.filter(|interval| *interval != 1);
        table.set_some("advert", interval.map(|interval| format!("{interval}s")));
        table.set_some("down_after", self.missed.filter(|missed| *missed != MISSED_DEFAULT));
        let group = self.group.map(|group| Value::inline([("ipv4", group.to_string().into())]));
        table.set_some("multicast", group);
        (!table.is_empty()).then_some(table)
    }

    /// A script with the arguments that ucarp gives it, as a list of one.
    fn script(
        &mut self,
        script: Option<(Id, String)>,
        more: &[String],
        key: &str,
    ) -> Option<Value> {
        let (id, path) = script?;
        let mut command = Command::new(vec![path.clone()], &path);
        for argument in more {
            command = command.map(|command| command.with(argument));
        }
        let Some((program, added)) = command.map(|one| (one.program(), one.added)) else {
            self.ledger.note(id, Fate::Unsupported, "it names no program");
            return None;
        };
        let mut why = format!("{key}; the address is set and removed here: take that out of it");
        if key == "deactivate" && !self.is_down_at_end {
            why.push_str("; it is run at the end too");
        }
        if let Some(added) = added {
            why = format!("{why}; {added}");
        }
        self.ledger.note(id, Fate::Changed, why);
        Some(Value::Array(vec![program]))
    }
}

fn heading(node: &str) -> String {
    format!(
        "Made from the command line of ucarp on `{node}`. It speaks CARP, this speaks VRRP: change \
         both\nboxes together. One file serves both: add [node.NAME] for the other, its priority, \
         its source,\nand key_file in [cluster]. Write the prefix of the network in place of /32."
    )
}

/// Arguments that nothing follows from.
fn idle(name: &str) -> (Fate, &'static str) {
    match name {
        "pass" | "passfile" => (
            Fate::Changed,
            "version 3 has no password; nodes of ours seal what they say with key_file of [cluster]",
        ),
        "ignoreifstate" => (Fate::Unsupported, "the interface is always looked at"),
        "nomcast" => (Fate::Unsupported, "no broadcasts: adverts are multicast, or unicast_peers"),
        "debug" | "facility" => (Fate::Changed, "the log goes to standard error"),
        "daemonize" => (Fate::Changed, "systemd keeps evergated in the background"),
        _ => (Fate::Unsupported, "not known"),
    }
}
