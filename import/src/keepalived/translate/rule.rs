//! `virtual_rules`.

use evergate_api::config::model::{Group, RULES_MAX};

use super::super::tree::Statement;
use super::route::{CUT, number, once, prefix};
use super::{Fate, Translator, probe};
use crate::toml::Value;

/// Names of routing tables.
const TABLES: [(&str, i64); 3] = [("default", 253), ("main", 254), ("local", 255)];

/// A rule that is read word by word.
#[derive(Default)]
struct Rule {
    keys: Vec<(String, Value)>,
    has_number: bool,
    is_ipv6: bool,
    /// Were bits behind a prefix set?
    cut: bool,
}

impl Translator<'_, '_, '_> {
    /// `count`: how many the group has.
    pub(super) fn rule(&mut self, line: &Statement, count: usize) -> Result<Value, String> {
        if count >= RULES_MAX {
            return Err(format!("a group has {RULES_MAX} at most"));
        }
        let mut rule = Rule::default();
        let mut at = 0;
        while at < line.words.len() {
            at += rule.word(&line.words, at)?;
        }
        let next = self.rule_numbers[usize::from(rule.is_ipv6)];
        if !rule.has_number {
            rule.keys.push(("priority".to_owned(), next.into()));
        }
        let value = Value::Inline(rule.keys);
        let group = probe::group("rules", Value::Array(vec![value.clone()]))?;
        self.rule_is_new(group, line)?;
        if rule.cut {
            self.note(line, Fate::Changed, format!("rules; {CUT}"));
        }
        if !rule.has_number {
            self.rule_numbers[usize::from(rule.is_ipv6)] = next - 1;
            self.note(line, Fate::Exactly, "rules, with the number that keepalived gives it");
        }
        self.note(line, Fate::Exactly, "rules");
        Ok(value)
    }

    fn rule_is_new(&mut self, group: Group, line: &Statement) -> Result<(), String> {
        for rule in group.rules {
            let others = self.rules.entry(rule.priority).or_default();
            if let Some((_, first)) = others.iter().find(|(other, _)| other.is_same(&rule)) {
                return Err(format!("it is there already, on line {first}"));
            }
            others.push((rule, line.place.line));
        }
        Ok(())
    }
}

impl Rule {
    /// Reads the word at a position, and those that belong to it. How many they are.
    fn word(&mut self, words: &[String], at: usize) -> Result<usize, String> {
        let word = words[at].as_str();
        let value =
            || words.get(at + 1).cloned().ok_or_else(|| format!("nothing follows `{word}`"));
        if ["from", "to"].contains(&word) && ["all", "any"].contains(&value()?.as_str()) {
            return Ok(2);
        }
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
        let (network, cut) = prefix(word)?;
        self.is_ipv6 |= network.ip.is_ipv6();
        self.cut |= cut;
        Ok(network.to_string().into())
    }
}

/// A number, often hexadecimal.
fn tos(word: &str) -> Result<Value, String> {
    let hex = word.strip_prefix("0x").unwrap_or(word);
    let value = u8::from_str_radix(hex, 16).map_err(|_| format!("`{word}` is no number"))?;
    Ok(i64::from(value).into())
}
