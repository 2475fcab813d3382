//! Keys that a table does not have, and what was likely meant.

use super::Walker;
use crate::config::report::Problem;
use crate::config::tree::{Entry, Table, Value};
use crate::config::words::{Place, foreign_word, nearest, shown};

impl Walker<'_> {
    /// Notes every key that this kind of table does not have; `names` are the names in its header.
    pub(super) fn unknown(&mut self, table: &Table, place: Place, names: &[&str]) {
        for (key, entry) in &table.entries {
            if place.keys().contains(&key.as_str()) {
                continue;
            }
            let header = header(place, names);
            let text = match place {
                Place::Root => format!("nothing called `{}` at the top of a file", shown(key)),
                _ => format!("no key `{}` in {header}", shown(key)),
            };
            let problem = Problem::error("unknown-key", text).at(entry.key);
            let help = help(key, entry, place, names);
            self.push(problem.help(help));
        }
    }
}

/// The header of a table with its real names.
pub(super) fn header(place: Place, names: &[&str]) -> String {
    let mut header = place.header().to_owned();
    for name in names {
        header = header.replacen("NAME", name, 1);
    }
    header
}

/// Does an unknown key of the table explain why a key is missing: a typo, another tool's word, or a
/// name whose dot lacks quotes?
pub(super) fn explains(table: &Table, place: Place, missing: &str) -> bool {
    let unknown = table.entries.iter().filter(|(key, _)| !place.keys().contains(&key.as_str()));
    let mut unknown = unknown.map(|(key, entry)| {
        let typo = nearest(key, [missing]).is_some();
        let word = foreign_word(key).is_some_and(|word| word.contains(&format!("`{missing}`")));
        typo || word || matches!(&entry.node.value, Value::Table(inner) if !inner.inline)
    });
    unknown.any(|explained| explained)
}

fn help(key: &str, entry: &Entry, place: Place, names: &[&str]) -> String {
    let near = nearest(key, place.keys().iter().copied());
    if let (None, Some(whole)) = (near, dotted_name(key, entry, names)) {
        let short = names.last().map_or("", |name| *name);
        let header = header(place, names);
        let quoted = match header.rfind(short) {
            Some(start) => format!("{}\"{whole}\"]", &header[..start]),
            None => format!("\"{whole}\""),
        };
        return format!("a name with a dot needs quotes: {quoted}");
    }
    if let Some(word) = foreign_word(key) {
        return word.to_owned();
    }
    match (near, Place::home_of(key)) {
        (_, Some(home)) if home != place && Place::is_built(key) => {
            format!("`{key}` belongs under {}", home.header())
        }
        (_, Some(home)) if home != place => {
            format!("`{key}` belongs under {} and is not built yet: leave it out", home.header())
        }
        (Some(near), _) if Place::is_built(near) => format!("did you mean `{near}`?"),
        (Some(near), _) => format!("`{near}` is not built yet: leave it out"),
        (None, _) => {
            let built = place.keys().iter().copied().filter(|key| Place::is_built(key));
            format!("the keys here are: {}", built.collect::<Vec<_>>().join(", "))
        }
    }
}

/// `gw1.example.com = …` was read as tables inside tables: the name that was meant.
pub(super) fn dotted_key(name: &str, table: &Table) -> String {
    let mut whole = name.to_owned();
    let mut table = table;
    while let Some((key, entry)) = table.entries.iter().next() {
        whole = format!("{whole}.{key}");
        let Value::Table(inner) = &entry.node.value else { break };
        table = inner;
    }
    shown(&whole)
}

/// `[node.gw1.example.com]` was read as tables inside tables: the name that was meant.
fn dotted_name(key: &str, entry: &Entry, names: &[&str]) -> Option<String> {
    let mut whole = format!("{}.{}", names.last()?, key);
    let Value::Table(table) = &entry.node.value else { return None };
    let mut table = table;
    if table.inline {
        return None;
    }
    loop {
        let mut entries = table.entries.iter();
        match (entries.next(), entries.next()) {
            (Some((key, Entry { node, .. })), None) => match &node.value {
                Value::Table(inner) if !inner.inline && Place::home_of(key).is_none() => {
                    whole = format!("{whole}.{key}");
                    table = inner;
                }
                _ => return Some(shown(&whole)),
            },
            _ => return Some(shown(&whole)),
        }
    }
}
