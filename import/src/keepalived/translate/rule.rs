//! `virtual_rules`.

use super::super::tree::Statement;
use super::route::{number, once, prefix};
use super::{Fate, Translator};
use crate::toml::Value;

/// Names of routing tables.
const TABLES: [(&str, i64); 3] = [("default", 253), ("main", 254), ("local", 255)];

/// A rule that is read word by word.
#[derive(Default)]
struct Rule {
    keys: Vec<(String, Value)>,
    has_number: bool,
    is_ipv6: bool,
}

impl Translator<'_, '_, '_> {
    pub(super) fn rule(&mut self, line: &Statement) -> Option<Value> {
        let mut rule = Rule::default();
        let mut at = 0;
        while at < line.words.len() {
            match rule.word(&line.words, at) {
                Ok(used) => at += used,
                Err(why) => {
                    self.note(line, Fate::Unsupported, format!("the rule is left out: {why}"));
                    return None;
                }
            }
        }
        if !rule.has_number {
            let next = &mut self.rule_numbers[usize::from(rule.is_ipv6)];
            rule.keys.push(("priority".to_owned(), (*next).into()));
            *next -= 1;
            self.note(line, Fate::Exactly, "rules, with the number that keepalived gives it");
        }
        self.note(line, Fate::Exactly, "rules");
        Some(Value::Inline(rule.keys))
    }
}

impl Rule {
    /// Reads the word at a position, and those that belong to it. How many they are.
    fn word(&mut self, words: &[String], at: usize) -> Result<usize, String> {
        let word = words[at].as_str();
        let value =
            || words.get(at + 1).cloned().ok_or_else(|| format!("nothing follows `{word}`"));
        let (key, found): (&str, Value) = match word {
            "from" => ("from", self.network(&value()?)?),
            "to" => ("to", self.network(&value()?)?),
            "iif" | "dev" => ("in", value()?.into()),
            "oif" => ("out", value()?.into()),
            "table" | "lookup" => ("table", number(&value()?, &TABLES)?),
            "preference" | "priority" | "pref" | "order" => {
                self.has_number = true;
                ("priority", number(&value()?, &[])?)
            }
            "fwmark" => ("mark", value()?.into()),
            "tos" | "dsfield" => ("tos", tos(&value()?)?),
            "suppress_prefixlength" | "suppress_prefixlen" | "sup_pl" => {
                ("suppress_prefix", number(&value()?, &[])?)
            }
            other => return self.alone(other),
        };
        once(&mut self.keys, key.to_owned(), found)?;
        Ok(2)
    }

    /// A word without a value. What is not known may choose other packets.
    fn alone(&mut self, word: &str) -> Result<usize, String> {
        let (key, found): (&str, Value) = match word {
            "not" => ("not", true.into()),
            "no_track" => ("keep", false.into()),
            "nop" | "blackhole" | "unreachable" | "prohibit" => ("type", word.into()),
            other => return Err(format!("`{other}` cannot be said here")),
        };
        once(&mut self.keys, key.to_owned(), found)?;
        Ok(1)
    }

    fn network(&mut self, word: &str) -> Result<Value, String> {
        let network =
            if word == "all" || word == "any" { "0.0.0.0/0".to_owned() } else { prefix(word)? };
        self.is_ipv6 |= network.contains(':');
        Ok(network.into())
    }
}

/// A number, often hexadecimal.
fn tos(word: &str) -> Result<Value, String> {
    let hex = word.strip_prefix("0x").unwrap_or(word);
    let value = u8::from_str_radix(hex, 16).map_err(|_| format!("`{word}` is no number"))?;
    Ok(i64::from(value).into())
}
