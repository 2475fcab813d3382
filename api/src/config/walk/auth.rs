//! `auth` of `[vrrp]` and `[group.NAME.vrrp]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Walker;
use crate::config::model::{
    AUTH_KEYS_MAX, AUTH_WINDOW_MAX, AUTH_WINDOW_MIN, Auth, TrailerAuth, TrailerMode,
};
use crate::config::report::Problem;
use crate::config::tree::{Node, Table, Value};
use crate::config::words::shown;

/// What `type` may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Password,
    Header,
    Trailer,
}

const KINDS: [(&str, Kind); 4] =
    [("none", Kind::None), ("pass", Kind::Password), ("ah", Kind::Header), ("hmac", Kind::Trailer)];

/// What somebody writes who has the secret at hand.
const SECRET_WORDS: [&str; 5] = ["key", "pass", "password", "auth_pass", "secret"];

impl Kind {
    /// The keys that go with it.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::None => &["type"],
            Self::Password | Self::Header => &["type", "key_file"],
            Self::Trailer => &["type", "key_files", "active", "mode", "window", "replay"],
        }
    }
}

impl Walker<'_> {
    pub(super) fn auth(&mut self, node: &Node) -> Option<Auth> {
        let Value::Table(table) = &node.value else {
            let text = self.string(node, "auth")?;
            if text == "none" {
                return Some(Auth::None);
            }
            let text = format!("`auth` is \"none\" or a table, not \"{}\"", shown(text));
            let help = "write: auth = { type = \"pass\", key_file = \"vrrp.key\" }";
            self.push(Problem::error("bad-value", text).at(node.at).help(help));
            return None;
        };
        let Some(entry) = table.entries.get("type") else {
            let text = "`auth` needs `type`".to_owned();
            let help = "add: type = \"pass\", \"ah\" or \"hmac\"";
            self.push(Problem::error("missing", text).at(node.at).help(help));
            return None;
        };
        let kind = self.word(&entry.node, "type", &KINDS)?;
        self.auth_keys(table, kind);
        match kind {
            Kind::None => Some(Auth::None),
            Kind::Password => {
                self.auth_file(table, node).map(|key_file| Auth::Password { key_file })
            }
            Kind::Header => self.auth_file(table, node).map(|key_file| Auth::Header { key_file }),
            Kind::Trailer => self.trailer(table, node).map(Auth::Trailer),
        }
    }

    /// Notes each key that does not go with the type.
    fn auth_keys(&mut self, table: &Table, kind: Kind) {
        for (key, entry) in &table.entries {
            if kind.keys().contains(&key.as_str()) {
                continue;
            }
            let text = format!("`auth` of this type has no key `{}`", shown(key));
            let known = kind.keys().join("`, `");
            let help = match key.as_str() {
                "key_file" => {
                    "keys of this type have numbers: key_files = { 1 = \"vrrp.key\" }".to_owned()
                }
                _ if SECRET_WORDS.contains(&key.as_str()) => {
                    "a secret stands in a file of its own: key_file = \"vrrp.key\"".to_owned()
                }
                _ => format!("its keys are `{known}`"),
            };
            self.push(Problem::error("unknown-key", text).at(entry.key).help(help));
        }
    }

    fn auth_file(&mut self, table: &Table, node: &Node) -> Option<PathBuf> {
        let Some(entry) = table.entries.get("key_file") else {
            let text = "`auth` of this type needs `key_file`".to_owned();
            let help = "add: key_file = \"vrrp.key\", a file of mode 600 with the password in it";
            self.push(Problem::error("missing", text).at(node.at).help(help));
            return None;
        };
        self.path(&entry.node, "key_file")
    }

    fn trailer(&mut self, table: &Table, node: &Node) -> Option<TrailerAuth> {
        let key_files = self.key_files(table, node);
        let active = self.active_key(table, &key_files);
        let words = [
            ("enforce", TrailerMode::Enforce),
            ("permissive", TrailerMode::Permissive),
            ("receive-only", TrailerMode::ReceiveOnly),
        ];
        let mode = table.entries.get("mode");
        let mode = mode.and_then(|entry| self.word(&entry.node, "mode", &words));
        let window = table.entries.get("window").and_then(|entry| {
            let limits = (AUTH_WINDOW_MIN, AUTH_WINDOW_MAX);
            self.duration(&entry.node, "window", limits)
        });
        let rising = table.entries.get("replay");
        let rising = rising.and_then(|entry| {
            self.word(&entry.node, "replay", &[("time", false), ("monotonic", true)])
        });
        let mode = mode.unwrap_or(TrailerMode::Enforce);
        let rising_only = rising.unwrap_or(false);
        Some(TrailerAuth { key_files, active: active?, mode, window, rising_only })
    }

    fn key_files(&mut self, table: &Table, node: &Node) -> BTreeMap<u8, PathBuf> {
        let mut files = BTreeMap::new();
        let Some(entry) = table.entries.get("key_files") else {
            let text = "`auth` of this type needs `key_files`".to_owned();
            let help = "add: key_files = { 1 = \"vrrp.key\" }, each a file of mode 600";
            self.push(Problem::error("missing", text).at(node.at).help(help));
            return files;
        };
        let Value::Table(inner) = &entry.node.value else {
            self.wrong_type(
                &entry.node,
                "key_files",
                "a table by number, as in { 1 = \"vrrp.key\" }",
            );
            return files;
        };
        if inner.entries.is_empty() || inner.entries.len() > AUTH_KEYS_MAX {
            self.wrong(entry.node.at, format!("`key_files` names 1 to {AUTH_KEYS_MAX} files"));
        }
        for (name, file) in &inner.entries {
            match name.parse::<u8>() {
                // "01" and "1" would be one key.
                Ok(number) if number.to_string() == *name => {
                    if let Some(path) = self.path(&file.node, "key_files") {
                        files.insert(number, path);
                    }
                }
                _ => {
                    let text = format!("`{}` is no number of a key, 0 to 255", shown(name));
                    self.wrong(file.key, text);
                }
            }
        }
        files
    }

    /// The key to send with: the one that is named, or the only one.
    fn active_key(&mut self, table: &Table, files: &BTreeMap<u8, PathBuf>) -> Option<u8> {
        let Some(entry) = table.entries.get("active") else {
            let mut numbers = files.keys();
            let only = numbers.next().copied();
            if numbers.next().is_some() {
                let at = table.entries.get("key_files").map(|entry| entry.key)?;
                let text = "which of the `key_files` is sent with?".to_owned();
                self.push(Problem::error("missing", text).at(at).help("add: active = 1"));
                return None;
            }
            return only;
        };
        let number = self.octet(&entry.node, "active", 0, u8::MAX)?;
        if !files.contains_key(&number) {
            let text = format!("`key_files` has no key {number}");
            self.wrong(entry.node.at, text);
            return None;
        }
        Some(number)
    }
}
