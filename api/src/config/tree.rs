//! The parsed text as one tree with the place of everything; several files become one tree.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::report::{Problem, Span};
use super::words::shown;

/// A table: its entries by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub entries: BTreeMap<String, Entry>,
    /// Written as `{ … }`; such a table is one value and is never continued elsewhere.
    pub inline: bool,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: Span,
    pub node: Node,
}

/// A value and its place; for a table written under a header, the header.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub at: Span,
    pub value: Value,
}

/// What was written.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    /// None when it does not fit 64 bits.
    Integer(Option<i64>),
    Float(String),
    Boolean(bool),
    Date(String),
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "true or false",
            Self::Date(_) => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

impl Table {
    /// The tree of one parsed file.
    pub fn from_toml(file: usize, text: &str, table: &DeTable<'_>) -> Self {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let entry = Entry {
                key: span(file, text, key.span()),
                node: Node::from_toml(file, text, value.span(), value.get_ref()),
            };
            entries.insert(key.get_ref().to_string(), entry);
        }
        Self { entries, inline: false }
    }

    /// Adds another file's tree; what both set is a problem that names both places.
    pub fn merge(&mut self, other: Self, path: &str, problems: &mut Vec<Problem>) {
        for (key, entry) in other.entries {
            let path =
                if path.is_empty() { shown(&key) } else { format!("{path}.{}", shown(&key)) };
            let Some(mine) = self.entries.get_mut(&key) else {
                self.entries.insert(key, entry);
                continue;
            };
            match (&mut mine.node.value, entry.node.value) {
                (Value::Table(mine), Value::Table(theirs)) if !mine.inline && !theirs.inline => {
                    mine.merge(theirs, &path, problems);
                }
                _ => problems.push(
                    Problem::error("set-twice", format!("`{path}` is set in two files"))
                        .at(entry.key)
                        .also(mine.key, "first set here")
                        .help("keep one of them; the files of a directory are one configuration"),
                ),
            }
        }
    }

    /// The value at a path of keys (numbers count array elements).
    pub fn get(&self, path: &[&str]) -> Option<&Node> {
        let (first, rest) = path.split_first()?;
        let mut node = &self.entries.get(*first)?.node;
        for step in rest {
            node = match &node.value {
                Value::Table(table) => &table.entries.get(*step)?.node,
                Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The place of a path, or of the longest part of it that exists.
    pub fn place(&self, path: &[&str]) -> Option<Span> {
        let known = (1..=path.len()).rev().find_map(|length| self.get(&path[..length]));
        known.map(|node| node.at)
    }
}

impl Node {
    fn from_toml(file: usize, text: &str, range: Range<usize>, value: &DeValue<'_>) -> Self {
        let at = span(file, text, range);
        let value = match value {
            DeValue::String(string) => Value::Text(string.to_string()),
            DeValue::Integer(number) => {
                Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Float(number) => Value::Float(number.to_string()),
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|item| Self::from_toml(file, text, item.span(), item.get_ref()))
                    .collect(),
            ),
            DeValue::Table(table) => {
                let mut table = Table::from_toml(file, text, table);
                table.inline = text[at.start..].starts_with('{');
                Value::Table(table)
            }
        };
        Self { at, value }
    }
}

/// A place that is surely inside the text and on character boundaries, whatever the parser said.
pub(crate) fn span(file: usize, text: &str, range: Range<usize>) -> Span {
    let floor = |mut index: usize| {
        index = index.min(text.len());
        while !text.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let start = floor(range.start);
    Span { file, start, end: floor(range.end).max(start) }
}
