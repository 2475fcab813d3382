//! The files in `spec/`, entry by entry.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// The list of what an RFC wants to be counted and shown.
pub const OBJECTS: &str = "6527";

/// One requirement of one RFC.
pub struct Requirement {
    pub id: String,
    pub section: String,
    pub level: String,
    pub text: String,
    pub status: Option<String>,
    pub reason: Option<String>,
    pub positive: Vec<String>,
    pub negative: Vec<String>,
}

/// Something that RFC 6527 wants to be shown.
pub struct Object {
    pub name: String,
    pub meaning: String,
    pub status: Option<String>,
    pub reason: Option<String>,
    /// A file and what stands in it.
    pub kept: Option<(String, String)>,
}

pub fn requirements(rfc: &str) -> Vec<Requirement> {
    let keys = ["id", "section", "level", "text", "status", "reason", "positive", "negative"];
    let requirement = |table: &DeTable| Requirement {
        id: needed(table, "id"),
        section: needed(table, "section"),
        level: needed(table, "level"),
        text: needed(table, "text"),
        status: word(table, "status"),
        reason: word(table, "reason"),
        positive: words(table, "positive"),
        negative: words(table, "negative"),
    };
    entries(rfc, "requirement", &keys, requirement)
}

pub fn objects() -> Vec<Object> {
    let keys = ["name", "meaning", "status", "reason", "file", "says"];
    let object = |table: &DeTable| Object {
        name: needed(table, "name"),
        meaning: needed(table, "meaning"),
        status: word(table, "status"),
        reason: word(table, "reason"),
        kept: word(table, "file").zip(word(table, "says")),
    };
    entries(OBJECTS, "object", &keys, object)
}

/// The entries of a file: an array of tables that has no other keys than these.
fn entries<T>(rfc: &str, kind: &str, keys: &[&str], entry: impl Fn(&DeTable) -> T) -> Vec<T> {
    let text = read(&format!("spec/rfc{rfc}.toml"));
    let file = DeTable::parse(&text).unwrap_or_else(|error| panic!("spec/rfc{rfc}.toml: {error}"));
    let list = file.get_ref().get(kind).and_then(|list| list.get_ref().as_array());
    let tables = list.into_iter().flatten().filter_map(|value| value.get_ref().as_table());
    let check = |table: &DeTable| {
        let unknown = table.keys().find(|key| !keys.contains(&key.get_ref().as_ref()));
        assert!(unknown.is_none(), "spec/rfc{rfc}.toml has a key {unknown:?}");
    };
    let entries: Vec<T> = tables.inspect(|table| check(table)).map(entry).collect();
    assert!(!entries.is_empty(), "spec/rfc{rfc}.toml lists no {kind}");
    entries
}

fn needed(table: &DeTable, key: &str) -> String {
    word(table, key).unwrap_or_else(|| panic!("an entry has no `{key}`: {table:?}"))
}

fn word(table: &DeTable, key: &str) -> Option<String> {
    let value = table.get(key)?.get_ref();
    Some(value.as_str().unwrap_or_else(|| panic!("`{key}` is not text: {value:?}")).to_owned())
}

fn words(table: &DeTable, key: &str) -> Vec<String> {
    let Some(value) = table.get(key) else { return Vec::new() };
    let Some(list) = value.get_ref().as_array() else { panic!("`{key}` is not a list: {value:?}") };
    let text = |value: &DeValue| value.as_str().expect("a list of names").to_owned();
    list.iter().map(|value| text(value.get_ref())).collect()
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
