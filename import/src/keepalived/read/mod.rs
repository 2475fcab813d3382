//! From statements to the model. A value that keepalived would not take is told of here and left
//! out; so is every keyword that nothing follows from.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub use self::instance::is_interface;

use super::model::{self, Keepalived, Maybe, Set};
use super::tree::Statement;
use crate::ledger::{Ledger, Place};
use crate::report::Fate;

mod address;
mod auth;
mod fates;
mod global;
mod group;
mod instance;
mod notify;
mod tracker;
mod values;

/// Reads the statements of a whole configuration. `files`: the names of its files, by number.
pub fn read<'t>(
    statements: &'t [Statement],
    files: &[String],
    ledger: &mut Ledger,
) -> Keepalived<'t> {
    let mut reader = Reader { ledger, files, names: BTreeMap::new() };
    let mut found = Keepalived::default();
    for statement in statements {
        reader.root(statement, &mut found);
    }
    found
}

/// Reads statements and tells what is wrong with them.
struct Reader<'l> {
    ledger: &'l mut Ledger,
    /// The names of the files, by number.
    files: &'l [String],
    /// The names of blocks by their kind, with their places.
    names: BTreeMap<(Kind, String), Place>,
}

/// Blocks that have names of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Group,
    Instance,
    Tracker(model::Kind),
}

impl Reader<'_> {
    fn root<'t>(&mut self, statement: &'t Statement, found: &mut Keepalived<'t>) {
        match statement.name() {
            "global_defs" => {
                self.note(statement, Fate::Exactly, "what holds for all");
                self.globals(statement, &mut found.globals);
            }
            "vrrp_sync_group" if self.is_new(statement, Kind::Group) => {
                found.groups.push(self.sync_group(statement));
            }
            "vrrp_instance" if self.is_new(statement, Kind::Instance) => {
                found.instances.push(self.instance(statement));
            }
            "vrrp_sync_group" | "vrrp_instance" => {}
            "vrrp_script" => self.tracker(statement, model::Kind::Script, found),
            "track_file" | "vrrp_track_file" => self.tracker(statement, model::Kind::File, found),
            "vrrp_track_process" => self.tracker(statement, model::Kind::Process, found),
            name => {
                let (fate, why) = fates::find(fates::ROOT, name);
                self.whole(statement, fate, why);
            }
        }
    }

    fn tracker<'t>(
        &mut self,
        statement: &'t Statement,
        kind: model::Kind,
        found: &mut Keepalived<'t>,
    ) {
        if self.is_new(statement, Kind::Tracker(kind)) {
            found.trackers.push(self.read_tracker(statement, kind));
        }
    }

    /// Has a block a name that no block before it has? keepalived passes over a second one.
    fn is_new(&mut self, statement: &Statement, kind: Kind) -> bool {
        let name = statement.value();
        if name.is_empty() {
            self.whole(statement, Fate::Unsupported, "it has no name");
            return false;
        }
        let first = match self.names.entry((kind, name.to_owned())) {
            Entry::Occupied(first) => *first.get(),
            Entry::Vacant(free) => {
                free.insert(statement.place);
                return true;
            }
        };
        let first = self.on(first, statement.place);
        let why = format!("passed over, as there: the name is taken {first}");
        self.whole(statement, Fate::Exactly, &why);
        false
    }

    /// How a note at `from` names another place: with its file, where that is another one.
    fn at(&self, place: Place, from: Place) -> String {
        let line = |(file, line): (usize, usize)| match self.files.get(file) {
            Some(name) if file != from.file => format!("{name}:{line}"),
            _ => format!("line {line}"),
        };
        let text = line((place.file, place.line));
        match place.used_at {
            Some(used_at) if place.used_at != from.used_at => {
                format!("{text} (used at {})", line(used_at))
            }
            _ => text,
        }
    }

    /// The same behind a verb.
    fn on(&self, place: Place, from: Place) -> String {
        let preposition = if place.file == from.file { "on" } else { "at" };
        format!("{preposition} {}", self.at(place, from))
    }

    /// Notes what is left of a statement.
    fn note(&mut self, statement: &Statement, fate: Fate, why: impl Into<String>) {
        self.ledger.note(statement.id, fate, why);
    }

    fn unsupported(&mut self, statement: &Statement, why: impl Into<String>) {
        self.note(statement, Fate::Unsupported, why);
    }

    /// Notes a statement and all that stands in its braces.
    fn whole(&mut self, statement: &Statement, fate: Fate, why: &str) {
        whole(self.ledger, statement, fate, why);
    }

    /// Takes a value. The one before it does not count any more.
    fn put<'t, T>(&mut self, slot: &mut Maybe<'t, T>, new: Maybe<'t, T>) {
        let Some(new) = new else { return };
        let place = new.by.place;
        if let Some(old) = slot.replace(new) {
            self.superseded(&old, place);
        }
    }

    fn superseded<T>(&mut self, old: &Set<'_, T>, place: Place) {
        let words: Vec<usize> = (0..old.words).collect();
        let why = format!("as there, {} counts in its place", self.at(place, old.by.place));
        self.ledger.note_words(old.by.id, &words, Fate::Exactly, why);
    }
}

/// Notes a statement and all that stands in its braces.
pub fn whole(ledger: &mut Ledger, statement: &Statement, fate: Fate, why: &str) {
    ledger.note(statement.id, fate, why);
    for inside in &statement.inside {
        whole(ledger, inside, fate, why);
    }
}
