//! Statements and blocks: a line is a statement, braces behind it hold those of its block.

use super::lexer::{self, Piece};
use super::limits::{NESTING_MAX, WORDS_MAX};
use super::secrets;
use super::source::Line;
use crate::ledger::{Id, Ledger, Place};
use crate::report::Fate;

/// A statement, with what stands in its braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Where to tell of it.
    pub id: Id,
    /// Where it stands.
    pub place: Place,
    /// Its words, quotes removed.
    pub words: Vec<String>,
    /// The statements in its braces.
    pub inside: Vec<Statement>,
    /// Whether it has braces.
    pub is_block: bool,
}

/// What cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The place; none for everything together.
    pub place: Option<Place>,
    /// What is wrong.
    pub text: String,
}

impl Broken {
    /// At a place.
    pub fn at(place: Place, text: impl Into<String>) -> Self {
        Self { place: Some(place), text: text.into() }
    }
}

impl Statement {
    /// Its first word; keywords are in small letters, as they are there.
    pub fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Its second word; empty if there is none.
    pub fn value(&self) -> &str {
        self.words.get(1).map_or("", String::as_str)
    }
}

/// Is what stands behind a keyword read as a command, with escapes and two kinds of quotes?
fn is_command(keyword: &str) -> bool {
    let others =
        ["script", "startup_script", "shutdown_script", "quorum_up", "quorum_down", "misc_path"];
    keyword.starts_with("notify") || keyword.ends_with("_fifo_script") || others.contains(&keyword)
}

/// Makes statements of lines. Each is opened in the ledger.
pub fn build(lines: Vec<Line>, ledger: &mut Ledger) -> Result<Vec<Statement>, Broken> {
    let (open, done) = (Vec::new(), Vec::new());
    let mut builder = Builder { open, done, secret: Secret::default(), ledger };
    for line in lines {
        let mut rest = line.text.as_str();
        while let Some((piece, left)) = lexer::cut(rest) {
            rest = left;
            match piece {
                Piece::Text(text) => builder.put(&text, line.place),
                Piece::Open => builder.open(line.place)?,
                Piece::Close => builder.close(line.place),
            }
        }
    }
    match builder.open.pop() {
        None => Ok(builder.done),
        Some(block) => {
            let name = secrets::shown(&block.words, builder.is_secret()).into_iter().next();
            let text = format!("the braces of `{}` are not closed", name.unwrap_or_default());
            Err(Broken::at(block.place, text))
        }
    }
}

struct Builder<'l> {
    /// The blocks whose braces are open, the outermost first.
    open: Vec<Statement>,
    done: Vec<Statement>,
    secret: Secret,
    ledger: &'l mut Ledger,
}

/// Where a secret may be whose keyword stood before it, without a value.
#[derive(Default)]
struct Secret {
    /// Is it the next statement?
    is_next: bool,
    /// The line that the keyword is used on: a variable of several lines may follow there.
    line: Option<(usize, usize)>,
}

impl Secret {
    fn is_at(&self, place: Place) -> bool {
        self.is_next || self.line == Some(used_at(place))
    }

    fn note(&mut self, words: &[String], place: Place) {
        self.is_next = secrets::ends_open(words);
        if self.is_next {
            self.line = Some(used_at(place));
        }
    }
}

fn used_at(place: Place) -> (usize, usize) {
    place.used_at.unwrap_or((place.file, place.line))
}

impl Builder<'_> {
    /// Do the braces that are open hold secrets?
    fn is_secret(&self) -> bool {
        self.open.iter().any(|block| secrets::begins_block(&block.words))
    }

    fn put(&mut self, text: &str, place: Place) {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (keyword, rest) = (&text[..end], text[end..].trim());
        let words = if is_command(keyword) {
            let words = lexer::command_words(rest);
            words.map(|words| [vec![keyword.to_owned()], words].concat())
        } else {
            lexer::words(text)
        };
        let is_secret = self.is_secret();
        let is_hidden = is_secret || self.secret.is_at(place);
        let left_out = || secrets::shown(&[secrets::keyword(text)], is_hidden).concat();
        let Some(mut words) = words else {
            let shown = left_out();
            let why = "a quote is not closed: keepalived passes over the line";
            return self.ledger.tell(place, shown, Fate::Unsupported, why);
        };
        if words.len() > WORDS_MAX {
            let why = format!("more than {WORDS_MAX} words: it is passed over");
            return self.ledger.tell(place, left_out(), Fate::Unsupported, why);
        }
        self.secret.note(&words, place);
        let shown = secrets::shown(&words, is_hidden);
        let hidden = words.iter().zip(&shown).filter(|(word, shown)| word != shown);
        let hidden: Vec<String> = hidden.map(|(word, _)| word.clone()).collect();
        let id = self.ledger.open(place, shown);
        self.ledger.hide(id, hidden);
        if !is_secret {
            secrets::take_away(&mut words);
        }
        self.inside().push(Statement { id, place, words, inside: Vec::new(), is_block: false });
    }

    fn open(&mut self, place: Place) -> Result<(), Broken> {
        if self.open.len() >= NESTING_MAX {
            let text = format!("more than {NESTING_MAX} blocks within blocks");
            return Err(Broken::at(place, text));
        }
        let before = self.inside().pop_if(|before| !before.is_block);
        let block = before.unwrap_or_else(|| Statement {
            id: self.ledger.open(place, vec!["{".to_owned()]),
            place,
            words: Vec::new(),
            inside: Vec::new(),
            is_block: true,
        });
        self.secret = Secret::default();
        self.open.push(Statement { is_block: true, ..block });
        Ok(())
    }

    fn close(&mut self, place: Place) {
        self.secret.is_next = false;
        match self.open.pop() {
            Some(block) => self.inside().push(block),
            None => self.ledger.tell(place, "}".into(), Fate::Unsupported, "it closes nothing"),
        }
    }

    fn inside(&mut self) -> &mut Vec<Statement> {
        self.open.last_mut().map_or(&mut self.done, |block| &mut block.inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        let line = |(index, text): (usize, &str)| {
            let place = Place { line: index + 1, ..Place::default() };
            Line { text: text.to_owned(), place }
        };
        text.lines().enumerate().map(line).collect()
    }

    fn shown(statements: &[Statement]) -> String {
        let one = |one: &Statement| {
            let inside =
                if one.is_block { format!("{{{}}}", shown(&one.inside)) } else { String::new() };
            format!("{}@{}{inside}", one.words.join("_"), one.place.line)
        };
        statements.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn built(text: &str) -> String {
        let all = build(lines(text), &mut Ledger::default()).expect("it is closed");
        shown(&all)
    }

    #[test]
    fn braces_hold_the_statements_of_a_block() {
        assert_eq!(built("a b {\nc\nd { e }\n}\nf"), "a_b@1{c@2 d@3{e@3}} f@5");
        assert_eq!(built("a\n\n{ c }"), "a@1{c@3}");
        assert_eq!(built("a { } { b }"), "a@1{} @1{b@1}");
        assert_eq!(built("a\n}\nb"), "a@1 b@3");
        assert_eq!(built("notify \"a 'b c'\" d\nx 'y z'"), "notify_a 'b c'_d@1 x_'y_z'@2");
    }

    #[test]
    fn a_line_with_half_a_quote_is_passed_over() {
        let mut ledger = Ledger::default();
        let all = build(lines("a \"b\nc"), &mut ledger).expect("it is closed");
        assert_eq!(shown(&all), "c@2");
        let told = ledger.finish(&["f".to_owned()]);
        assert_eq!(told[0].text, "a …");
        assert_eq!(told[0].fate, Fate::Unsupported);
    }

    #[test]
    fn a_statement_with_too_many_words_is_passed_over() {
        let mut ledger = Ledger::default();
        let text = format!("{}\na", "x ".repeat(WORDS_MAX + 1));
        let all = build(lines(&text), &mut ledger).expect("it is closed");
        assert_eq!(shown(&all), "a@2");
        assert!(ledger.finish(&["f".to_owned()])[0].why.contains("1024 words"));
    }

    #[test]
    fn what_is_not_closed_or_too_deep_is_told_with_its_line() {
        let broken = |text: &str| {
            let broken = build(lines(text), &mut Ledger::default()).expect_err("it is broken");
            (broken.place.map(|place| place.line), broken.text)
        };
        let expected = (Some(2), "the braces of `b` are not closed".to_owned());
        assert_eq!(broken("a {\nb {\n}\nc {\n}").0, Some(1));
        assert_eq!(broken("a {\nb {"), expected);
        assert_eq!(broken(&"a {\n".repeat(NESTING_MAX + 1)).0, Some(NESTING_MAX + 1));
    }
}
