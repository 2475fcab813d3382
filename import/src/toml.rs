//! Our configuration as text: tables in order, keys in order, comments between them.

use std::fmt::Write as _;

/// The longest line before an array is written over several, in characters.
const LINE_MAX: usize = 100;

/// A value of TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A number.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// An array.
    Array(Vec<Value>),
    /// A table in one line, its keys in this order.
    Inline(Vec<(String, Value)>),
}

/// A table with a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    path: Vec<String>,
    keys: Vec<(String, Value)>,
}

/// A configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Comment(Vec<String>),
    Table(Table),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl Value {
    /// A table in one line.
    pub fn inline<const N: usize>(keys: [(&str, Value); N]) -> Self {
        Self::Inline(keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// An array of texts.
    pub fn texts<I: IntoIterator<Item = String>>(texts: I) -> Self {
        Self::Array(texts.into_iter().map(Self::Text).collect())
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Text(value) => text.push_str(&quoted(value)),
            Self::Integer(value) => {
                let _ = write!(text, "{value}");
            }
            Self::Boolean(value) => {
                let _ = write!(text, "{value}");
            }
            Self::Array(values) => {
                text.push('[');
                for (at, value) in values.iter().enumerate() {
                    text.push_str(if at == 0 { "" } else { ", " });
                    value.write(text);
                }
                text.push(']');
            }
            Self::Inline(keys) if keys.is_empty() => text.push_str("{}"),
            Self::Inline(keys) => {
                for (at, (key, value)) in keys.iter().enumerate() {
                    text.push_str(if at == 0 { "{ " } else { ", " });
                    text.push_str(&quoted_key(key));
                    text.push_str(" = ");
                    value.write(text);
                }
                text.push_str(" }");
            }
        }
    }
}

impl Table {
    /// A table with a header of these names.
    pub fn new(path: &[&str]) -> Self {
        let path = path.iter().map(|&name| name.to_owned()).collect();
        Self { path, keys: Vec::new() }
    }

    /// Adds a key.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.keys.push((key.to_owned(), value.into()));
    }

    /// Adds a key if there is a value.
    pub fn set_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Has it no key?
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn write(&self, text: &mut String) {
        let path: Vec<String> = self.path.iter().map(|name| quoted_key(name)).collect();
        let path = path.join(".");
        let _ = writeln!(text, "[{path}]");
        let mut long = Vec::new();
        for (key, value) in &self.keys {
            let key = quoted_key(key);
            let line = line(&key, value);
            match value {
                Value::Array(values) if line.len() > LINE_MAX => {
                    let _ = writeln!(text, "{key} = [");
                    for value in values {
                        text.push_str("  ");
                        value.write(text);
                        text.push_str(",\n");
                    }
                    text.push_str("]\n");
                }
                Value::Inline(keys) if line.len() > LINE_MAX => long.push((key, keys)),
                _ => text.push_str(&line),
            }
        }
        // A table in one line may not be broken; with a header of its own it has as many as it
        // wants.
        for (key, keys) in long {
            let _ = writeln!(text, "\n[{path}.{key}]");
            for (key, value) in keys {
                text.push_str(&line(&quoted_key(key), value));
            }
        }
    }
}

fn line(key: &str, value: &Value) -> String {
    let mut line = format!("{key} = ");
    value.write(&mut line);
    line.push('\n');
    line
}

impl Document {
    /// Adds lines behind `# `.
    pub fn comment(&mut self, lines: Vec<String>) {
        self.parts.push(Part::Comment(lines));
    }

    /// Adds a table.
    pub fn table(&mut self, table: Table) {
        self.parts.push(Part::Table(table));
    }

    /// Adds a table if there is one.
    pub fn tables(&mut self, table: Option<Table>) {
        self.parts.extend(table.map(Part::Table));
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (at, part) in self.parts.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "\n" });
            match part {
                Part::Table(table) => table.write(&mut text),
                Part::Comment(lines) => {
                    for line in lines.iter().flat_map(|line| line.split('\n')) {
                        let line: String = line.chars().filter(|c| !c.is_control()).collect();
                        text.push_str(format!("# {line}").trim_end());
                        text.push('\n');
                    }
                }
            }
        }
        text
    }
}

fn quoted_key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(is_bare) {
        return key.to_owned();
    }
    quoted(key)
}

/// A basic string of TOML 1.0.
pub fn quoted(value: &str) -> String {
    let mut text = String::from('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_toml_has_them() {
        let mut table = Table::new(&["group", "a.b", "router", "lan"]);
        table.set("text", "a \"b\" \\ \u{1b}\n");
        table.set("number", -5);
        table.set("by", Value::inline([("gw1", true.into()), ("x y", Value::Array(Vec::new()))]));
        table.set_some("none", None::<&str>);
        let mut document = Document::default();
        document.comment(vec!["one".into(), String::new(), "two\nthree\r".into()]);
        document.table(table);
        let expected = "# one\n#\n# two\n# three\n\n[group.\"a.b\".router.lan]\n\
                        text = \"a \\\"b\\\" \\\\ \\u001b\\n\"\nnumber = -5\n\
                        by = { gw1 = true, \"x y\" = [] }\n";
        assert_eq!(document.text(), expected);
    }

    #[test]
    fn a_long_table_has_a_header_of_its_own() {
        let mut table = Table::new(&["group", "a.b"]);
        let keys = (0..3).map(|n| (format!("k {n}"), "y".repeat(40).into())).collect();
        table.set("long", Value::Inline(keys));
        table.set("short", 1);
        let mut document = Document::default();
        document.table(table);
        let text = document.text();
        let expected = "[group.\"a.b\"]\nshort = 1\n\n[group.\"a.b\".long]\n\"k 0\" = \"yyy";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_long_array_has_a_line_for_each_value() {
        let mut table = Table::new(&["a"]);
        table.set("short", Value::texts(["x".to_owned()]));
        table.set("long", Value::texts((0..3).map(|_| "y".repeat(40))));
        let mut document = Document::default();
        document.table(table);
        let line = format!("  \"{}\",\n", "y".repeat(40));
        let expected = format!("[a]\nshort = [\"x\"]\nlong = [\n{}]\n", line.repeat(3));
        assert_eq!(document.text(), expected);
    }
}
