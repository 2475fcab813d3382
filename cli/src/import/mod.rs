//! Files of other programs, read for what they say and written as ours.

pub mod conntrackd;

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What became of one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It does here what it did there.
    Exactly,
    /// What it was for is done, in another way.
    Changed,
    /// It has no counterpart.
    Unsupported,
}

/// A statement with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its line, from 1.
    pub line: usize,
    /// The statement as it was written.
    pub text: String,
    /// What became of it.
    pub fate: Fate,
    /// Where it is now, or what is different.
    pub why: String,
}

/// A file as ours, and what became of each of its statements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The configuration.
    pub toml: String,
    /// In the order of the lines.
    pub findings: Vec<Finding>,
}

/// A file that cannot be read as what it is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The line, from 1; none for the whole file.
    pub line: Option<usize>,
    /// What is wrong.
    pub text: String,
}

impl Imported {
    /// Is there nothing but what does exactly the same?
    pub fn is_exact(&self) -> bool {
        self.findings.iter().all(|finding| finding.fate == Fate::Exactly)
    }

    /// The report for people: three parts, each line with its number.
    pub fn report(&self, file: &str) -> String {
        let mut text = format!("{file}: what became of it\n");
        for (fate, title) in [
            (Fate::Exactly, "exactly"),
            (Fate::Changed, "with a changed meaning"),
            (Fate::Unsupported, "not supported"),
        ] {
            let found: Vec<&Finding> = self.of(fate).collect();
            let _ = writeln!(text, "\n{title}: {}", found.len());
            for Finding { line, text: statement, why, .. } in found {
                let _ = writeln!(text, "  {line:>4}  {statement}: {why}");
            }
        }
        text
    }

    /// The same for programs.
    pub fn to_json(&self) -> Value {
        let part = |fate: Fate| -> Vec<Value> {
            let one = |found: &Finding| json!({ "line": found.line, "text": found.text, "why": found.why });
            self.of(fate).map(one).collect()
        };
        json!({
            "toml": self.toml,
            "exactly": part(Fate::Exactly),
            "changed": part(Fate::Changed),
            "unsupported": part(Fate::Unsupported),
        })
    }

    fn of(&self, fate: Fate) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.fate == fate)
    }
}
