//! `authentication` and `auth_hmac`. What is secret goes into the model and nowhere else.

use super::super::model::{Auth, Hmac, Set};
use super::super::tree::Statement;
use super::Reader;
use super::values::integer;

impl Reader<'_> {
    pub(super) fn authentication<'t>(&mut self, by: &'t Statement) -> Set<'t, Auth<'t>> {
        let mut auth = Auth { is_ah: None, password: None };
        for statement in &by.inside {
            match (statement.name(), statement.value()) {
                ("auth_type", "PASS" | "AH") => {
                    let value = statement.value() == "AH";
                    self.put(&mut auth.is_ah, Some(Set { value, by: statement, words: 2 }));
                }
                ("auth_type", _) => self.unsupported(statement, "no PASS and no AH"),
                ("auth_pass", _) => {
                    let new = self.word(statement);
                    self.put(&mut auth.password, new);
                }
                _ => self.unsupported(statement, "not known"),
            }
        }
        Set { value: auth, by, words: 1 }
    }

    pub(super) fn auth_hmac<'t>(&mut self, by: &'t Statement) -> Set<'t, Hmac<'t>> {
        let mut hmac = Hmac::default();
        for statement in &by.inside {
            match statement.name() {
                "key" => self.hmac_key(statement, &mut hmac),
                "active_key" => {
                    let new = self.number(statement, &(1..=255), "it does not count");
                    self.put(&mut hmac.active, new);
                }
                "anti_replay" => {
                    let new = self.one_of(statement, &["time", "monotonic"]);
                    self.put(&mut hmac.replay, new);
                }
                "time_window" => {
                    let new = self.number(statement, &(1..=300), "its default stays");
                    self.put(&mut hmac.window, new);
                }
                "mode" => {
                    let new = self.one_of(statement, &["enforce", "permissive", "receive-only"]);
                    self.put(&mut hmac.mode, new);
                }
                _ => self.unsupported(statement, "not known"),
            }
        }
        Set { value: hmac, by, words: 1 }
    }

    /// `key ID hex:… | ascii:… | file:…`
    fn hmac_key<'t>(&mut self, by: &'t Statement, hmac: &mut Hmac<'t>) {
        let id = integer(by.value()).and_then(|id| u8::try_from(id).ok());
        let (Some(id), Some(key)) = (id, by.words.get(2)) else {
            return self.unsupported(by, "it takes a number and a key");
        };
        if hmac.keys.iter().any(|other| other.value.0 == id) {
            return self.unsupported(by, "there is a key with this number");
        }
        hmac.keys.push(Set { value: (id, key.clone()), by, words: 3 });
    }

    fn one_of<'t>(&mut self, by: &'t Statement, words: &[&str]) -> Option<Set<'t, String>> {
        let new = self.word(by)?;
        if words.contains(&new.value.as_str()) {
            return Some(new);
        }
        self.unsupported(by, format!("none of {}", words.join(", ")));
        None
    }
}
