//! Who is told what became of which word. Every word of a statement is in the report once: the
//! first note counts, and a word without a note is told as not supported at the end.

use std::collections::BTreeMap;

use crate::report::{Fate, Finding};

/// Where a line stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, by the order of reading.
    pub file: usize,
    /// The line, from 1.
    pub line: usize,
    /// File and line of the use, for the lines of a variable.
    pub used_at: Option<(usize, usize)>,
}

/// A statement in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(usize);

/// What became of which word.
#[derive(Debug, Default)]
pub struct Ledger {
    statements: Vec<Statement>,
    notes: Vec<(Fate, String)>,
}

#[derive(Debug)]
struct Statement {
    place: Place,
    /// As the report may show them.
    words: Vec<String>,
    /// Words that the report may not show.
    hidden: Vec<String>,
    /// The statement that says what became of the first word, if nobody tells of it.
    like: Option<Id>,
    /// For each word its note.
    told: Vec<Option<usize>>,
}

impl Ledger {
    /// A statement that nothing is told of yet. `words` are as the report may show them.
    pub fn open(&mut self, place: Place, words: Vec<String>) -> Id {
        let told = vec![None; words.len()];
        self.statements.push(Statement { place, words, hidden: Vec::new(), like: None, told });
        Id(self.statements.len() - 1)
    }

    /// Names the words of a statement that no note of it may repeat.
    pub fn hide(&mut self, id: Id, words: Vec<String>) {
        if let Some(statement) = self.statements.get_mut(id.0) {
            statement.hidden = words;
        }
    }

    /// Says that what becomes of the first word of one statement becomes of the other's.
    pub fn follow(&mut self, id: Id, other: Id) {
        if let Some(statement) = self.statements.get_mut(id.0) {
            statement.like = Some(other);
        }
    }

    /// Something that is told of at once.
    pub fn tell(&mut self, place: Place, text: String, fate: Fate, why: impl Into<String>) {
        let id = self.open(place, vec![text]);
        self.note(id, fate, why);
    }

    /// Notes all words of a statement that nothing is told of yet.
    pub fn note(&mut self, id: Id, fate: Fate, why: impl Into<String>) {
        let count = self.statements.get(id.0).map_or(0, |statement| statement.words.len());
        self.note_words(id, &(0..count).collect::<Vec<_>>(), fate, why);
    }

    /// Notes some words of a statement, by position; what is told of already stays as it is.
    pub fn note_words(&mut self, id: Id, words: &[usize], fate: Fate, why: impl Into<String>) {
        let Some(statement) = self.statements.get_mut(id.0) else { return };
        let mut is_new = false;
        for word in words {
            if let Some(told) = statement.told.get_mut(*word).filter(|told| told.is_none()) {
                *told = Some(self.notes.len());
                is_new = true;
            }
        }
        if is_new {
            self.notes.push((fate, statement.without_hidden(why.into())));
        }
    }

    /// Is nothing told of a statement yet?
    pub fn is_silent(&self, id: Id) -> bool {
        let statement = self.statements.get(id.0);
        statement.is_some_and(|statement| statement.told.iter().all(Option::is_none))
    }

    /// All findings, in the order of places. `files`: the names by number; the first was named by
    /// the user.
    pub fn finish(self, files: &[String]) -> Vec<Finding> {
        let mut statements: Vec<&Statement> = self.statements.iter().collect();
        statements.sort_by_key(|statement| statement.place);
        let mut findings = Vec::new();
        for statement in statements {
            let mut notes: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
            for (word, note) in statement.told.iter().enumerate() {
                let like = statement.like.filter(|_| word == 0);
                let note = note.or_else(|| self.first_note(like?));
                notes.entry(note).or_default().push(word);
            }
            let mut notes: Vec<(Option<usize>, Vec<usize>)> = notes.into_iter().collect();
            notes.sort_by_key(|(_, words)| words.first().copied());
            for (note, words) in notes {
                findings.push(self.finding(statement, note, &words, files));
            }
        }
        findings
    }

    /// The note of the first word of a statement.
    fn first_note(&self, id: Id) -> Option<usize> {
        *self.statements.get(id.0)?.told.first()?
    }

    fn finding(
        &self,
        statement: &Statement,
        note: Option<usize>,
        words: &[usize],
        files: &[String],
    ) -> Finding {
        let known = note.and_then(|note| self.notes.get(note));
        let (fate, why) = known.map_or((Fate::Unsupported, "not known"), |(f, why)| (*f, why));
        let name = |file: usize| (file > 0).then(|| files.get(file).cloned()).flatten();
        Finding {
            file: name(statement.place.file),
            line: statement.place.line,
            used_at: statement.place.used_at.map(|(file, line)| (name(file), line)),
            text: statement.text(words),
            fate,
            why: why.to_owned(),
        }
    }
}

impl Statement {
    /// A note without the words that may not be shown; it repeats words as `word`.
    fn without_hidden(&self, mut why: String) -> String {
        for word in self.hidden.iter().filter(|word| !word.is_empty()) {
            if why.contains('`') {
                why = why.replace(&format!("`{word}`"), "`(hidden)`");
            }
        }
        why
    }

    /// Some words, by position; behind the first word of the statement and `…` where it is not among
    /// them.
    fn text(&self, words: &[usize]) -> String {
        let mut text = String::new();
        let mut last = None;
        if words.first().is_some_and(|first| *first > 0) {
            text.extend(self.words.first().map(|word| format!("{word} … ")));
        }
        for (at, word) in words.iter().filter_map(|at| Some((*at, self.words.get(*at)?))) {
            match last {
                None => {}
                Some(last) if last + 1 == at => text.push(' '),
                Some(_) => text.push_str(" … "),
            }
            text.push_str(word);
            last = Some(at);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn told(ledger: Ledger) -> Vec<(String, Fate, String)> {
        let findings = ledger.finish(&["main".to_owned()]).into_iter();
        findings.map(|found| (found.text, found.fate, found.why)).collect()
    }

    #[test]
    fn a_word_without_a_note_is_not_supported() {
        let mut ledger = Ledger::default();
        let id = ledger.open(Place::default(), words("10.0.0.1/24 dev lan home"));
        ledger.note_words(id, &[0, 1, 2], Fate::Exactly, "address");
        assert_eq!(
            told(ledger),
            [
                ("10.0.0.1/24 dev lan".into(), Fate::Exactly, "address".into()),
                ("10.0.0.1/24 … home".into(), Fate::Unsupported, "not known".into()),
            ]
        );
    }

    #[test]
    fn the_first_note_of_a_word_counts() {
        let mut ledger = Ledger::default();
        let id = ledger.open(Place::default(), words("a b"));
        ledger.note_words(id, &[1], Fate::Changed, "first");
        ledger.note(id, Fate::Exactly, "second");
        ledger.note(id, Fate::Unsupported, "third");
        let all = told(ledger);
        assert_eq!(all[0], ("a".into(), Fate::Exactly, "second".into()));
        assert_eq!(all[1], ("a … b".into(), Fate::Changed, "first".into()));
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn a_note_does_not_repeat_what_is_hidden() {
        let mut ledger = Ledger::default();
        let id = ledger.open(Place::default(), words("a (hidden)"));
        ledger.hide(id, vec!["secret".into()]);
        ledger.note(id, Fate::Unsupported, "because of `secret`");
        assert_eq!(told(ledger)[0].2, "because of `(hidden)`");
    }

    #[test]
    fn a_statement_that_follows_another_is_told_as_that_one() {
        let mut ledger = Ledger::default();
        let first = ledger.open(Place::default(), words("a"));
        let second = ledger.open(Place::default(), words("a b"));
        ledger.follow(second, first);
        ledger.note(first, Fate::Changed, "why");
        let all = told(ledger);
        assert_eq!(all[1], ("a".into(), Fate::Changed, "why".into()));
        assert_eq!(all[2], ("a … b".into(), Fate::Unsupported, "not known".into()));
    }

    #[test]
    fn findings_are_in_the_order_of_files_and_lines() {
        let mut ledger = Ledger::default();
        let at = |file, line| Place { file, line, used_at: None };
        for place in [at(1, 1), at(0, 9), at(0, 2)] {
            ledger.tell(place, format!("{}:{}", place.file, place.line), Fate::Exactly, "");
        }
        let all = ledger.finish(&["main".into(), "part".into()]);
        let places: Vec<(Option<&str>, usize)> =
            all.iter().map(|found| (found.file.as_deref(), found.line)).collect();
        assert_eq!(places, [(None, 2), (None, 9), (Some("part"), 1)]);
    }
}
