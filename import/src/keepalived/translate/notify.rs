//! `notify`: the scripts of transitions, and the FIFO.

use super::super::model::{Script, Set, SyncGroup};
use super::group::instances;
use super::router::Router;
use super::{Fate, Translator, probe, whole};
use crate::command::Command;
use crate::toml::{Table, Value};

const EMPTY: &str = "it names no program";
const SELDOM: &str = "run for the first such advert and again after a silence, not for each";

impl<'m, 't> Translator<'m, 't, '_> {
    /// `notify` and `notify_kind` of a group.
    pub fn notify(
        &mut self,
        group: Option<&SyncGroup<'t>>,
        routers: &[Router<'m, 't>],
    ) -> Vec<(&'static str, Value)> {
        let instances = instances(routers);
        let mut notify = Gathered::default();
        let own = group
            .map_or_else(|| instances.first().map(|one| &one.notify), |group| Some(&group.notify));
        for (key, set) in own.into_iter().flat_map(|notify| &notify.scripts) {
            self.one_script(key, set, None, &mut notify);
        }
        let members = instances.iter().filter(|_| group.is_some());
        for (key, set) in members.flat_map(|one| &one.notify.scripts) {
            let why = if *key == "any" {
                "it is run for the whole group, as GROUP with the group's name"
            } else {
                "it is run for the whole group"
            };
            self.one_script(key, set, Some(why), &mut notify);
        }
        let mut keys = Vec::new();
        let says_kind = notify.has("any") || self.found.globals.fifo.is_some();
        if group.is_none() && says_kind {
            keys.push(("notify_kind", "instance".into()));
        }
        if !notify.scripts.is_empty() {
            let mut table = notify.scripts;
            table.extend(notify.user.into_iter().map(|(key, value)| (key.to_owned(), value)));
            keys.push(("notify", Value::Inline(table)));
        }
        keys
    }

    /// `changed`: what is different about it.
    fn one_script(
        &mut self,
        key: &str,
        set: &Set<'t, Script>,
        changed: Option<&str>,
        notify: &mut Gathered,
    ) {
        if notify.has(key) {
            return self.told(set, Fate::Unsupported, "one script of a kind for the group");
        }
        let Some(command) = Command::new(set.value.words.clone(), &set.value.line) else {
            return self.told(set, Fate::Unsupported, EMPTY);
        };
        let program = command.program();
        let table = Value::Inline(vec![(key.to_owned(), program.clone())]);
        if let Err(why) = probe::group("notify", table) {
            return self.told(set, Fate::Unsupported, why);
        }
        let user = self.who(Some(&set.value.owner));
        if !notify.scripts.is_empty() && notify.user != user {
            let why = "the scripts of a group have one user, that of the first";
            return self.told(set, Fate::Unsupported, why);
        }
        let seldom = (key == "lower_priority").then_some(SELDOM);
        let differs = [changed, self.user_differs(Some(&set.value.owner)), command.added, seldom];
        self.script_told(set, &format!("notify.{key}"), &differs);
        notify.user = user;
        notify.scripts.push((key.to_owned(), program));
    }

    /// `[notify]`
    pub fn fifo(&mut self) -> Option<Table> {
        let globals = &self.found.globals;
        let Some(fifo) = &globals.fifo else {
            if let Some(script) = &globals.fifo_script {
                self.told(script, Fate::Exactly, "without a FIFO it is not run, there too");
            }
            return None;
        };
        let (path, owner) = &fifo.value;
        let mut table = Table::new(&["notify"]);
        table.set("fifo", path.as_str());
        for (key, value) in self.who(Some(owner)) {
            table.set(key, value);
        }
        if let Err(why) = probe::table(table.clone()) {
            whole(self.ledger, fifo.by, Fate::Unsupported, &why);
            if let Some(script) = &globals.fifo_script {
                self.told(script, Fate::Unsupported, format!("without a FIFO: {why}"));
            }
            return None;
        }
        if !owner.group.is_empty() {
            self.ledger.note_words(fifo.by.id, &[3], Fate::Exactly, "[notify] user_group");
        }
        if self.found.groups.is_empty() {
            self.told(fifo, Fate::Exactly, "[notify] fifo");
        } else {
            let why = "[notify] fifo: lines of groups alone, none of the instances in a group";
            self.told(fifo, Fate::Changed, why);
        }
        if let Some(script) = &globals.fifo_script {
            let command = Command::new(script.value.words.clone(), &script.value.line);
            match command.map(|command| (command.program(), command.added)) {
                None => self.told(script, Fate::Unsupported, EMPTY),
                Some((program, added)) => {
                    let mut probed = table.clone();
                    probed.set("fifo_script", program);
                    if let Err(why) = probe::table(probed.clone()) {
                        self.told(script, Fate::Unsupported, why);
                        return Some(table);
                    }
                    table = probed;
                    if !script.value.owner.user.is_empty() {
                        let why = "it runs as the user of the FIFO";
                        self.ledger.note_words(script.by.id, &[2, 3], Fate::Unsupported, why);
                    }
                    self.script_told(script, "[notify] fifo_script", &[added]);
                }
            }
        }
        Some(table)
    }
}

/// The scripts so far.
#[derive(Debug, Default)]
struct Gathered {
    scripts: Vec<(String, Value)>,
    user: Vec<(&'static str, Value)>,
}

impl Gathered {
    fn has(&self, key: &str) -> bool {
        self.scripts.iter().any(|(other, _)| other == key)
    }
}
