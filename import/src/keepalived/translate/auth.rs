//! `auth`: passwords go into key files, never into the text.

use std::fmt;

use evergate_api::config::advert_key::PASSWORD_BYTES_MAX;
use zeroize::Zeroizing;

use super::super::model::{Hmac, Instance, SECOND, Set};
use super::{Choice, Fate, Translator, duration};
use crate::ledger::Id;
use crate::report::KeyFile;
use crate::toml::Value;

/// How adverts are authenticated.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// By a password of version 2.
    Password {
        /// AH, or the plain password?
        is_ah: bool,
        /// The password.
        password: Zeroizing<Vec<u8>>,
    },
    /// By HMAC.
    Hmac(HmacKeys),
}

/// `auth_hmac`
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HmacKeys {
    keys: Vec<(u8, HmacKey)>,
    options: Vec<(String, Value)>,
}

#[derive(Clone, PartialEq, Eq)]
enum HmacKey {
    /// The bytes.
    Here(Zeroizing<Vec<u8>>),
    /// A file that has them.
    File(String),
}

impl fmt::Debug for Auth {
    /// The password stays a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password { .. } => "Password",
            Self::Hmac(_) => "Hmac",
        })
    }
}

impl<'t> Translator<'_, 't, '_> {
    /// What an instance asks for and keepalived does.
    pub fn auth(&mut self, instance: &Instance<'t>, version: u8, is_strict: bool) -> Choice<Auth> {
        let mut choice = Choice::silent(Auth::None);
        if let Some(set) = &instance.hmac {
            choice = self.hmac(set);
        }
        let Some(set) = &instance.auth else { return choice };
        let (kind, password) = (set.value.is_ah.as_ref(), set.value.password.as_ref());
        let mut by: Vec<(Id, usize)> = vec![(set.by.id, set.words)];
        by.extend(kind.map(|kind| (kind.by.id, kind.words)));
        by.extend(password.map(|password| (password.by.id, password.words)));
        let ignored = match (version, kind, password) {
            (3, ..) => "version 3 has no passwords: keepalived does without, and so does this",
            _ if is_strict => {
                "strict mode has no passwords: keepalived does without, and so does this"
            }
            (_, None, _) => "no auth_type: keepalived does without, and so does this",
            (_, _, None) => "no auth_pass: keepalived does without, and so does this",
            (_, Some(kind), Some(password)) => {
                let bytes = password.value.bytes().take(PASSWORD_BYTES_MAX).collect();
                let (is_ah, password) = (kind.value, Zeroizing::new(bytes));
                return Choice { value: Auth::Password { is_ah, password }, by };
            }
        };
        for (id, words) in by {
            self.words(id, words, Fate::Exactly, ignored);
        }
        choice
    }

    fn hmac(&mut self, set: &Set<'t, Hmac<'t>>) -> Choice<Auth> {
        let hmac = &set.value;
        let mut by = vec![(set.by.id, set.words)];
        let mut found = HmacKeys::default();
        for key in &hmac.keys {
            if let Some(value) = self.hmac_key(key) {
                found.keys.push((key.value.0, value));
                by.push((key.by.id, key.words));
            }
        }
        if found.keys.is_empty() {
            self.words(set.by.id, 1, Fate::Unsupported, "it has no key that can be read");
            return Choice::silent(Auth::None);
        }
        let mut option = |key: &str, value: Value| found.options.push((key.to_owned(), value));
        if let Some(active) = &hmac.active {
            option("active", i64::from(active.value).into());
            by.push((active.by.id, active.words));
        }
        if let Some(mode) = &hmac.mode {
            option("mode", mode.value.clone().into());
            by.push((mode.by.id, mode.words));
        }
        if let Some(window) = &hmac.window {
            option("window", duration(u64::from(window.value) * SECOND));
            by.push((window.by.id, window.words));
        }
        if let Some(replay) = &hmac.replay {
            option("replay", replay.value.clone().into());
            by.push((replay.by.id, replay.words));
        }
        Choice { value: Auth::Hmac(found), by }
    }

    fn hmac_key(&mut self, key: &Set<'t, (u8, String)>) -> Option<HmacKey> {
        let text = &key.value.1;
        let found = match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => {
                self.told(
                    key,
                    Fate::Changed,
                    "that file is named: see that it holds the key alone",
                );
                Some(HmacKey::File(path.to_owned()))
            }
            Some(("ascii", text)) if !text.is_empty() => {
                Some(HmacKey::Here(Zeroizing::new(text.as_bytes().to_vec())))
            }
            Some(("hex", digits)) => bytes(digits).map(HmacKey::Here),
            _ => None,
        };
        if found.is_none() {
            self.told(key, Fate::Unsupported, "no hex:, ascii: or file: with a key");
        }
        found
    }

    /// Tells of the statements that hold secrets where to put them. `name`: that of the group.
    pub fn secrets(&mut self, name: &str, instance: &Instance<'t>, auth: &Auth) {
        let directory = self.key_directory.clone();
        let (fate, what) = if directory.is_empty() {
            (Fate::Changed, "put it into the key file")
        } else {
            (Fate::Exactly, "it is in the key file")
        };
        let password = instance.auth.as_ref().and_then(|auth| auth.value.password.as_ref());
        if let (Auth::Password { .. }, Some(password)) = (auth, password) {
            let why = format!("{what} {directory}vrrp-{name}.key, mode 600, on every node");
            self.told(password, fate, why);
        }
        let keys = instance.hmac.as_ref().map_or(&[][..], |hmac| &hmac.value.keys);
        for key in keys.iter().filter(|_| matches!(auth, Auth::Hmac(_))) {
            let why = format!(
                "{what} {directory}vrrp-{name}-{}.key, mode 600, on every node",
                key.value.0
            );
            self.told(key, fate, why);
        }
    }

    /// The value of `auth`; the keys go to files named after the group.
    pub fn auth_value(&mut self, group: &str, auth: &Auth) -> Option<Value> {
        match auth {
            Auth::None => None,
            Auth::Password { is_ah, password, .. } => {
                let path = self.key_file(format!("vrrp-{group}.key"), password);
                let kind = if *is_ah { "ah" } else { "pass" };
                Some(Value::inline([("type", kind.into()), ("key_file", path.into())]))
            }
            Auth::Hmac(hmac) => {
                let mut files = Vec::new();
                for (id, key) in &hmac.keys {
                    let path = match key {
                        HmacKey::File(path) => path.clone(),
                        HmacKey::Here(key) => self.key_file(format!("vrrp-{group}-{id}.key"), key),
                    };
                    files.push((id.to_string(), path.into()));
                }
                let mut keys = vec![("type".to_owned(), "hmac".into())];
                keys.push(("key_files".to_owned(), Value::Inline(files)));
                keys.extend(hmac.options.iter().cloned());
                Some(Value::Inline(keys))
            }
        }
    }

    fn key_file(&mut self, name: String, content: &Zeroizing<Vec<u8>>) -> String {
        let path = format!("{}{name}", self.key_directory);
        self.keys.push(KeyFile { name, content: content.clone() });
        path
    }
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Option<Vec<u8>> =
        digits.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = Zeroizing::new(digits?);
    let is_whole = !digits.is_empty() && digits.len().is_multiple_of(2);
    is_whole.then(|| Zeroizing::new(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()))
}
