//! `$NAME`: what stands for a name is looked up where the name is used, again and again.

use std::collections::BTreeMap;
use std::ops::Range;

use super::limits::VARIABLES_MAX;
use super::source::Line;

/// The variables that are defined so far.
#[derive(Debug, Default)]
pub struct Variables(BTreeMap<String, Vec<Line>>);

/// The beginning of a definition: `$NAME=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition<'t> {
    /// The name.
    pub name: &'t str,
    /// What follows the `=`.
    pub value: &'t str,
}

/// A name in a line, and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use<'v> {
    /// The bytes of the line that are replaced.
    pub range: Range<usize>,
    /// What takes their place.
    pub by: Replacement<'v>,
}

/// What takes the place of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement<'v> {
    /// The lines of a variable; one for most.
    Lines(&'v [Line]),
    /// The directory of the file.
    Directory,
    /// The config-id.
    Instance,
    /// A random number; its smallest value.
    Random(String),
    /// A character that would begin a comment.
    Character(char),
}

/// Does a line define a variable? There is no blank before the `=`.
pub fn definition(line: &str) -> Option<Definition<'_>> {
    let (name, value) = line.strip_prefix('$')?.split_once('=')?;
    is_name(name).then(|| Definition { name, value: value.trim() })
}

/// Letters, digits and `_`, no digit first.
pub fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Variables {
    /// Defines a variable, anew if it is there. False if there are too many.
    pub fn set(&mut self, name: &str, lines: Vec<Line>) -> bool {
        self.0.insert(name.to_owned(), lines);
        self.0.len() <= VARIABLES_MAX
    }

    /// The first name in a line that something takes the place of.
    pub fn find(&self, line: &str) -> Option<Use<'_>> {
        line.match_indices('$').find_map(|(start, _)| self.at(line, start))
    }

    fn at(&self, line: &str, start: usize) -> Option<Use<'_>> {
        let rest = &line[start + 1..];
        if let Some(inside) = rest.strip_prefix('{') {
            let inside = &inside[..inside.find('}')?];
            let by = self.replacement(inside)?;
            return Some(Use { range: start..start + inside.len() + 3, by });
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let by = self.replacement(&rest[..end]).filter(|_| is_name(&rest[..end]))?;
        Some(Use { range: start..start + 1 + end, by })
    }

    fn replacement(&self, name: &str) -> Option<Replacement<'_>> {
        let mut words = name.split_whitespace();
        Some(match (words.next()?, words.next()) {
            ("_PWD", None) => Replacement::Directory,
            ("_INSTANCE", None) => Replacement::Instance,
            ("_HASH", None) => Replacement::Character('#'),
            ("_BANG", None) => Replacement::Character('!'),
            ("_RANDOM", least) => {
                // What is no number is not repeated: it may be anything.
                let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
                Replacement::Random(least.filter(is_number).unwrap_or("0").to_owned())
            }
            _ => Replacement::Lines(self.0.get(name)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(all: &[(&str, &str)]) -> Variables {
        let mut variables = Variables::default();
        for (name, value) in all {
            let line = Line { text: (*value).to_owned(), place: Default::default() };
            assert!(variables.set(name, vec![line]));
        }
        variables
    }

    #[test]
    fn a_definition_has_no_blank_before_its_sign() {
        let found = definition("$A_1= b c ").expect("it is one");
        assert_eq!((found.name, found.value), ("A_1", "b c"));
        assert_eq!(definition("$A=").map(|found| found.value), Some(""));
        for none in ["$A =b", "$1=b", "A=b", "$=b", "$A", "${A}=b"] {
            assert_eq!(definition(none), None, "{none}");
        }
    }

    #[test]
    fn a_name_ends_at_a_blank_or_stands_in_braces() {
        let variables = variables(&[("A", "1"), ("AB", "2")]);
        let range = |line: &str| variables.find(line).map(|found| found.range);
        assert_eq!(range("x $A y"), Some(2..4));
        assert_eq!(range("$A"), Some(0..2));
        assert_eq!(range("$A.b ${AB}c"), Some(5..10));
        assert_eq!(range("$C ${D} ${A $ ${"), None);
        assert_eq!(range("$$A"), Some(1..3));
    }

    #[test]
    fn some_names_are_always_there() {
        let variables = variables(&[]);
        let by = |line: &'static str| variables.find(line).map(|found| found.by);
        assert_eq!(by("${_PWD}/x"), Some(Replacement::Directory));
        assert_eq!(by("${_INSTANCE}"), Some(Replacement::Instance));
        assert_eq!(by("${_HASH}"), Some(Replacement::Character('#')));
        assert_eq!(by("a${_BANG}b"), Some(Replacement::Character('!')));
        assert_eq!(by("${_RANDOM}"), Some(Replacement::Random("0".into())));
        assert_eq!(by("${_RANDOM 3 9}"), Some(Replacement::Random("3".into())));
        assert_eq!(by("${_OTHER}"), None);
    }
}
