//! Values of statements: numbers, times, addresses, words.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::super::lexer;
use super::super::model::{Maybe, Micros, Owner, SECOND, Script, Set};
use super::super::tree::Statement;
use super::{Fate, Reader};

/// A decimal number, with or without a sign.
pub fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Seconds with up to six places behind the point; what is finer is cut off.
pub fn micros(text: &str) -> Option<Micros> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !is_digits(whole) || !is_digits(part) {
        return None;
    }
    let whole: Micros = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: String = part.chars().chain("000000".chars()).take(6).collect();
    whole.checked_mul(SECOND)?.checked_add(part.parse().ok()?)
}

/// `on`, `true`, `yes` or the contrary.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

impl Reader<'_> {
    /// A number within a range. `otherwise`: what keepalived does without it.
    pub(super) fn number<'t, T: TryFrom<i64>>(
        &mut self,
        by: &'t Statement,
        range: &RangeInclusive<i64>,
        otherwise: &str,
    ) -> Maybe<'t, T> {
        let value = integer(by.value()).filter(|number| range.contains(number));
        let Some(value) = value.and_then(|number| T::try_from(number).ok()) else {
            let (least, most) = (range.start(), range.end());
            let why = format!("no number from {least} to {most}: {otherwise}");
            self.unsupported(by, why);
            return None;
        };
        Some(Set { value, by, words: 2 })
    }

    /// A time within a range of microseconds.
    pub(super) fn seconds<'t>(
        &mut self,
        by: &'t Statement,
        range: RangeInclusive<Micros>,
        otherwise: &str,
    ) -> Maybe<'t, Micros> {
        let value = micros(by.value()).filter(|value| range.contains(value));
        let Some(value) = value else {
            self.unsupported(by, format!("no time that keepalived takes: {otherwise}"));
            return None;
        };
        Some(Set { value, by, words: 2 })
    }

    /// `KEYWORD [BOOL]`, alone means yes. A word that is none leaves it yes and is told of.
    pub(super) fn flag<'t>(&mut self, by: &'t Statement) -> Maybe<'t, bool> {
        let value = boolean(by.value());
        let words = if value.is_some() { 2 } else { 1 };
        Some(Set { value: value.unwrap_or(true), by, words })
    }

    /// A keyword that needs a word.
    pub(super) fn word<'t>(&mut self, by: &'t Statement) -> Maybe<'t, String> {
        if by.value().is_empty() {
            self.unsupported(by, "it says nothing");
            return None;
        }
        Some(Set { value: by.value().to_owned(), by, words: 2 })
    }

    pub(super) fn address<'t>(&mut self, by: &'t Statement) -> Maybe<'t, IpAddr> {
        let Ok(value) = by.value().parse() else {
            self.unsupported(by, "no IP address");
            return None;
        };
        Some(Set { value, by, words: 2 })
    }

    /// `KEYWORD USER [GROUP]`
    pub(super) fn owner<'t>(&mut self, by: &'t Statement) -> Maybe<'t, Owner> {
        if by.value().is_empty() {
            self.unsupported(by, "it names no user");
            return None;
        }
        let value = owner(&by.words[1..]);
        if !is_account(&value.user) || !is_account(&value.group) {
            self.unsupported(by, NO_ACCOUNT);
            return None;
        }
        Some(Set { value, by, words: by.words.len().min(3) })
    }

    /// `KEYWORD COMMAND [USER [GROUP]]`; the command is one word, often in quotes.
    pub(super) fn script<'t>(&mut self, by: &'t Statement) -> Maybe<'t, Script> {
        let line = by.value().to_owned();
        let words = lexer::command_words(&line).filter(|words| !words.is_empty());
        let Some(words) = words else {
            let why = if line.is_empty() { "it names no program" } else { "a quote is not closed" };
            self.unsupported(by, why);
            return None;
        };
        let owner = owner(by.words.get(2..).unwrap_or_default());
        if !is_account(&owner.user) || !is_account(&owner.group) {
            self.unsupported(by, NO_ACCOUNT);
            return None;
        }
        Some(Set { value: Script { line, words, owner }, by, words: by.words.len().min(4) })
    }

    /// Notes a keyword of no consequence: exactly, where it says no to what is not here.
    pub(super) fn idle(&mut self, statement: &Statement, table: fates::Table, name: &str) {
        let (fate, why) = fates::find(table, name);
        if fate == Fate::Unsupported && boolean(statement.value()) == Some(false) {
            return self.whole(statement, Fate::Exactly, "it is off here too");
        }
        self.whole(statement, fate, why);
    }
}

use super::fates;

/// Why a script is not run as somebody.
const NO_ACCOUNT: &str = "no user or group has such a name";
/// The longest name of a user, as `evergate check` takes it.
const ACCOUNT_BYTES_MAX: usize = 32;

/// Whether it can be a user or a group, or none is named.
fn is_account(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.$".contains(c);
    name.len() <= ACCOUNT_BYTES_MAX && name.chars().all(allowed)
}

fn owner(words: &[String]) -> Owner {
    let word = |at: usize| words.get(at).cloned().unwrap_or_default();
    Owner { user: word(0), group: word(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for (text, expected) in [
            ("100", Some(100)),
            ("+101", Some(101)),
            ("0100", Some(100)),
            ("-5", Some(-5)),
            ("0x10", None),
            ("100abc", None),
            ("+-1", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn seconds_have_six_places() {
        for (text, expected) in [
            ("1", Some(SECOND)),
            ("0.4", Some(400_000)),
            (".5", Some(500_000)),
            ("2.", Some(2_000_000)),
            ("0.0000019", Some(1)),
            ("1.5s", None),
            ("-1", None),
            (".", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
    }
}
