//! What became of each statement, for people and for programs.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The most characters of a statement that the report repeats.
const SHOWN_MAX: usize = 100;

/// The head of a report if there is no configuration.
const NOTHING: &str = "nothing of it can be translated, and nothing is written: no router is left, and \
                       a configuration needs one";

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

/// A statement, or some words of it, with what became of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The included file that it stands in; none for the file that was named.
    pub file: Option<String>,
    /// Its line, from 1.
    pub line: usize,
    /// Where the variable is used whose lines these are: the same pair.
    pub used_at: Option<(Option<String>, usize)>,
    /// The statement as it was written, without what is secret.
    pub text: String,
    /// What became of it.
    pub fate: Fate,
    /// Where it is now, or what is different.
    pub why: String,
}

/// A key file to be written, for its owner alone.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Its name, without a directory.
    pub name: String,
    /// What belongs into it.
    pub content: Zeroizing<Vec<u8>>,
}

/// A file as ours, and what became of each of its statements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The configuration; empty if nothing of the file can be translated.
    pub toml: String,
    /// In the order of the lines.
    pub findings: Vec<Finding>,
    /// The key files that the configuration names.
    pub keys: Vec<KeyFile>,
}

/// A file that cannot be read as what it is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The included file; none for the file that was named.
    pub file: Option<String>,
    /// The line, from 1; none for the whole file.
    pub line: Option<usize>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Debug for KeyFile {
    /// The content stays a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Imported {
    /// Is there nothing but what does exactly the same?
    pub fn is_exact(&self) -> bool {
        self.findings.iter().all(|finding| finding.fate == Fate::Exactly)
    }

    /// The findings of one fate, in the order of the lines.
    pub fn of(&self, fate: Fate) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.fate == fate)
    }

    /// The report for people: three parts, each line with its place. `file` is what was named.
    pub fn report(&self, file: &str) -> String {
        let mut text = format!("{file}: what became of it\n");
        if self.toml.is_empty() {
            let _ = writeln!(text, "\n{NOTHING}");
        }
        for (fate, title) in [
            (Fate::Exactly, "exactly"),
            (Fate::Changed, "with a changed meaning"),
            (Fate::Unsupported, "not supported"),
        ] {
            let found: Vec<&Finding> = self.of(fate).collect();
            let _ = writeln!(text, "\n{title}: {}", found.len());
            for finding in found {
                let place = finding.place(file);
                let _ = writeln!(text, "  {place}  {}: {}", shown(&finding.text), finding.why);
            }
        }
        text
    }

    /// The same for programs.
    pub fn to_json(&self, file: &str) -> Value {
        let part =
            |fate: Fate| -> Vec<Value> { self.of(fate).map(|one| one.to_json(file)).collect() };
        json!({
            "toml": self.toml,
            "exactly": part(Fate::Exactly),
            "changed": part(Fate::Changed),
            "unsupported": part(Fate::Unsupported),
        })
    }
}

impl Finding {
    fn place(&self, file: &str) -> String {
        let mut place = at(self.file.as_deref().unwrap_or(file), self.line);
        if let Some((other, line)) = &self.used_at {
            let other = other.as_deref().unwrap_or(file);
            let _ = write!(place, " (used at {})", at(other, *line));
        }
        place
    }

    fn to_json(&self, file: &str) -> Value {
        let mut value = json!({
            "file": self.file.as_deref().unwrap_or(file),
            "line": self.line,
            "text": self.text,
            "why": self.why,
        });
        if let Some((other, line)) = &self.used_at {
            value["used_at"] = json!({ "file": other.as_deref().unwrap_or(file), "line": line });
        }
        value
    }
}

impl Unreadable {
    /// A file that is wrong as a whole.
    pub(crate) fn whole(text: impl Into<String>) -> Self {
        Self { file: None, line: None, text: text.into() }
    }

    /// Where it is and what is wrong. `file` is what was named.
    pub fn told(&self, file: &str) -> String {
        let file = self.file.as_deref().unwrap_or(file);
        let place = self.line.map_or_else(|| file.to_owned(), |line| at(file, line));
        format!("{place}: {}", self.text)
    }
}

fn at(file: &str, line: usize) -> String {
    format!("{file}:{line}")
}

/// A statement as it may go to a terminal: no control characters, not too long.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    let mut characters = text.chars().map(plain);
    let mut shown: String = characters.by_ref().take(SHOWN_MAX).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(fate: Fate, text: &str) -> Finding {
        let (text, why) = (text.to_owned(), "because".to_owned());
        Finding { file: None, line: 7, used_at: None, text, fate, why }
    }

    #[test]
    fn the_report_has_three_parts_and_each_line_its_place() {
        let mut other = finding(Fate::Unsupported, "two");
        other.file = Some("/etc/b".into());
        other.used_at = Some((None, 9));
        let all = vec![finding(Fate::Exactly, "one"), other];
        let imported = Imported { findings: all, toml: "x".into(), ..Imported::default() };
        let expected = "a: what became of it\n\nexactly: 1\n  a:7  one: because\n\n\
                        with a changed meaning: 0\n\nnot supported: 1\n  \
                        /etc/b:7 (used at a:9)  two: because\n";
        assert_eq!(imported.report("a"), expected);
        assert!(!imported.is_exact());
        let none = Imported { toml: String::new(), ..imported.clone() }.report("a");
        assert!(none.contains(NOTHING), "{none}");
        let json = imported.to_json("a");
        assert_eq!(json["exactly"][0]["file"], "a");
        assert_eq!(json["unsupported"][0]["used_at"]["line"], 9);
    }

    #[test]
    fn what_is_written_in_a_file_does_not_steer_a_terminal() {
        let all =
            vec![finding(Fate::Exactly, "\u{1b}[2J"), finding(Fate::Exactly, &"x".repeat(200))];
        let report = Imported { findings: all, ..Imported::default() }.report("a");
        assert!(report.contains("a:7  ?[2J: because"), "{report}");
        assert!(report.contains(&format!("{}…: because", "x".repeat(SHOWN_MAX))), "{report}");
    }

    #[test]
    fn a_key_is_not_in_a_debug_print() {
        let content = Zeroizing::new(b"secret12".to_vec());
        let key = KeyFile { name: "vrrp-g.key".into(), content };
        assert_eq!(format!("{key:?}"), "KeyFile { name: \"vrrp-g.key\", .. }");
    }
}
