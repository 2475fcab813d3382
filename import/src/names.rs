//! Names that our rules allow, each given once.

use std::collections::BTreeSet;

use evergate_api::config::NAME_MAX;

/// The names of one kind that are taken.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// The name, changed as little as our rules and the names that are taken ask for.
    pub fn take(&mut self, wanted: &str) -> String {
        let plain = fitting(wanted);
        let mut name = plain.clone();
        let mut number = 1_usize;
        while self.0.contains(&name) {
            number += 1;
            let end = format!("-{number}");
            name = format!("{}{end}", &plain[..plain.len().min(NAME_MAX - end.len())]);
        }
        self.0.insert(name.clone());
        name
    }
}

/// Letters, digits, `-`, `_`, `.`, at most [`NAME_MAX`] bytes; anything else becomes `-`.
pub fn fitting(wanted: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let plain = |c: char| if allowed(c) { c } else { '-' };
    let name: String = wanted.chars().map(plain).take(NAME_MAX).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_changed_only_where_it_must_be() {
        let mut names = Names::default();
        assert_eq!(names.take("VI_1.a-b"), "VI_1.a-b");
        assert_eq!(names.take("VI_1.a-b"), "VI_1.a-b-2");
        assert_eq!(names.take("VI 1/ä"), "VI-1--");
        assert_eq!(names.take(""), "unnamed");
        assert_eq!(names.take(&"x".repeat(80)).len(), NAME_MAX);
        let second = names.take(&"x".repeat(80));
        assert_eq!((second.len(), second.ends_with("x-2")), (NAME_MAX, true));
    }
}
