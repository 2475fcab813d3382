//! `activate`, `deactivate` and `notify` of a group, and `[notify]`.

use super::Walker;
use crate::config::check::{Test, WORDS_MAX};
use crate::config::model::{
    Fifo, HowRun, Notify, NotifyKind, NotifyOf, PROCEDURE_TIMEOUT_DEFAULT, PROCEDURE_TIMEOUT_MAX,
    PROCEDURE_TIMEOUT_MIN, PROCEDURES_MAX, Procedures,
};
use crate::config::report::Problem;
use crate::config::tree::{Node, Table, Value};
use crate::config::words::{Place, shown};

/// How a program is written.
const EXAMPLE: &str = "\"exec:/path argument\", or [\"exec:/path\", \"one argument\"]";

impl Walker<'_> {
    pub(super) fn procedures(&mut self, group: &str, table: &Table) -> Procedures {
        let run = match self.table(table, "procedures") {
            Some(inner) => {
                self.unknown(inner, Place::Procedures, &[group]);
                self.how_run(inner)
            }
            None => HowRun::default(),
        };
        let activate = self.steps(table, "activate");
        let deactivate = self.steps(table, "deactivate");
        if let Some(entry) = table.entries.get("procedures")
            && !table.entries.contains_key("activate")
            && !table.entries.contains_key("deactivate")
        {
            let text = "`procedures` says how nothing is run";
            let help =
                "add `activate` or `deactivate`; the programs of `notify` have keys of their own";
            self.push(Problem::warning("no-effect", text).at(entry.key).help(help));
        }
        Procedures { activate, deactivate, run, notify: self.notify(group, table) }
    }

    fn steps(&mut self, table: &Table, key: &str) -> Vec<Vec<String>> {
        let Some(entry) = table.entries.get(key) else { return Vec::new() };
        if let Value::Text(text) = &entry.node.value {
            let problem = format!("`{key}` must be an array: its programs are run in order");
            let help = format!("write {key} = [\"{}\"]", shown(text));
            self.push(Problem::error("bad-value", problem).at(entry.node.at).help(help));
            return Vec::new();
        }
        let items = self.array(&entry.node, key, PROCEDURES_MAX);
        items.iter().filter_map(|item| self.procedure(item, key)).collect()
    }

    /// A program with its arguments, in the grammar of checks.
    fn procedure(&mut self, node: &Node, key: &str) -> Option<Vec<String>> {
        let words: Vec<&str> = match &node.value {
            Value::Text(text) => vec![text],
            Value::Array(items) if !items.is_empty() => {
                self.array(node, key, WORDS_MAX);
                let words: Option<Vec<&str>> =
                    items.iter().map(|item| self.string(item, key)).collect();
                words?
            }
            _ => {
                self.wrong_type(node, key, &format!("a program: {EXAMPLE}"));
                return None;
            }
        };
        let Some(first) = words[0].strip_prefix("exec:") else {
            let text = format!("\"{}\" is no program", shown(words[0]));
            let help = if words[0].starts_with('/') {
                format!("write \"exec:{}\"", shown(words[0]))
            } else {
                format!("write {EXAMPLE}")
            };
            self.push(Problem::error("bad-value", text).at(node.at).help(help));
            return None;
        };
        match self.program(first, &words[1..], node)? {
            Test::Exec(words) => Some(words),
            _ => None,
        }
    }

    fn how_run(&mut self, table: &Table) -> HowRun {
        let limits = (PROCEDURE_TIMEOUT_MIN, PROCEDURE_TIMEOUT_MAX);
        let entry = table.entries.get("timeout");
        let timeout = entry.and_then(|entry| self.duration(&entry.node, "timeout", limits));
        let timeout = timeout.unwrap_or(PROCEDURE_TIMEOUT_DEFAULT);
        HowRun { user: self.run_as(table), timeout }
    }

    fn notify(&mut self, group: &str, table: &Table) -> Notify {
        let kind = table.entries.get("notify_kind");
        let kind = kind.and_then(|e| self.word(&e.node, "notify_kind", &NotifyKind::WORDS));
        let mut notify = Notify { kind: kind.unwrap_or_default(), ..Notify::default() };
        let Some(inner) = self.table(table, "notify") else { return notify };
        self.unknown(inner, Place::GroupNotify, &[group]);
        notify.run = self.how_run(inner);
        for (word, of) in NotifyOf::WORDS {
            let entry = inner.entries.get(word);
            if let Some(words) = entry.and_then(|entry| self.procedure(&entry.node, word)) {
                notify.programs.insert(of, words);
            }
        }
        notify
    }

    /// `[notify]`
    pub(super) fn fifo(&mut self, tree: &Table) -> Option<Fifo> {
        let entry = tree.entries.get("notify")?;
        let table = self.table(tree, "notify")?;
        self.unknown(table, Place::Notify, &[]);
        let user = self.run_as(table);
        let script = table.entries.get("fifo_script");
        let program = script.and_then(|entry| self.procedure(&entry.node, "fifo_script"));
        let Some(path) = table.entries.get("fifo") else {
            let text = "[notify] has no `fifo`";
            let help = "add fifo = \"/run/evergate/notify\"; programs of a group go to \
                        [group.NAME.notify]";
            self.push(Problem::error("missing", text).at(entry.key).help(help));
            return None;
        };
        let name = self.string(&path.node, "fifo")?;
        let path = self.absolute(name, "fifo", path.node.at)?;
        Some(Fifo { path, user, program })
    }
}
