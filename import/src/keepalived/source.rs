//! What a file says once its includes are read, its conditions decided and its variables replaced.

use super::files::{Bounded, Files};
use super::generators;
use super::lexer;
use super::limits::{
    BYTES_MAX, FILE_MAX, FILES_MAX, INCLUDE_DEPTH_MAX, LINE_MAX, LINES_MAX, REPLACED_MAX, TEXT_MAX,
};
use super::secrets;
use super::tree::Broken;
use super::variables::{self, Replacement, Variables};
use crate::ledger::{Ledger, Place};
use crate::report::Fate;

mod include;
#[cfg(test)]
mod tests;

/// A line and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its text, without comments.
    pub text: String,
    /// Its place.
    pub place: Place,
}

/// Everything that a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The lines that count, in order.
    pub lines: Vec<Line>,
    /// The names of all files, by number.
    pub files: Vec<String>,
}

/// Reads a file and what it includes. What steers the reading is told to the ledger.
pub fn read(
    path: &str,
    config_id: &str,
    files: &mut dyn Files,
    ledger: &mut Ledger,
) -> (Source, Option<Broken>) {
    let mut bounded = Bounded::new(files);
    let mut reader = Reader {
        files: &mut bounded,
        ledger,
        config_id,
        variables: Variables::default(),
        source: Source::default(),
        depth: 0,
        bytes_read: 0,
        bytes_made: 0,
        steps: 0,
    };
    let content = reader.files.read(path);
    reader.source.files.push(path.to_owned());
    let ended = match content {
        Ok(content) => reader.file(0, path, &content),
        Err(why) => Err(Broken { place: None, text: format!("it cannot be read: {why}") }),
    };
    (reader.source, ended.err())
}

struct Reader<'r> {
    files: &'r mut dyn Files,
    ledger: &'r mut Ledger,
    config_id: &'r str,
    variables: Variables,
    source: Source,
    depth: usize,
    bytes_read: usize,
    bytes_made: usize,
    /// Lines that were looked at.
    steps: usize,
}

/// What is still to be done for a line.
enum Step {
    Line(Line),
    Define(String, String),
}

impl Reader<'_> {
    fn file(&mut self, number: usize, path: &str, content: &[u8]) -> Result<(), Broken> {
        let whole = Place { file: number, line: 1, used_at: None };
        self.bytes_read += content.len();
        if content.len() > FILE_MAX || self.bytes_read > BYTES_MAX {
            let text =
                format!("a file has more than {FILE_MAX} bytes, or all more than {BYTES_MAX}");
            return Err(Broken::at(whole, text));
        }
        let content = String::from_utf8_lossy(content);
        let directory = directory(path);
        let mut lines = content.lines().enumerate();
        while let Some((index, raw)) = lines.next() {
            let place = Place { line: index + 1, ..whole };
            let text = plain(raw, place)?;
            let Some(text) = self.wanted(&text, place) else { continue };
            let is_long = text.ends_with('\\') && variables::definition(&text).is_some();
            if !is_long {
                self.line(Line { text, place }, directory)?;
                continue;
            }
            let mut value = vec![Line { text, place }];
            while value.last().is_some_and(|line| line.text.ends_with('\\')) {
                let Some((index, raw)) = lines.next() else { break };
                let place = Place { line: index + 1, ..whole };
                let text = plain(raw, place)?;
                if !text.is_empty() {
                    value.push(Line { text, place });
                } else if raw.trim().is_empty() {
                    // A line with nothing but a comment is passed over, an empty one ends it.
                    break;
                }
            }
            self.define_lines(value)?;
        }
        Ok(())
    }

    /// The line without its conditions, if they hold.
    fn wanted(&mut self, text: &str, place: Place) -> Option<String> {
        let mut text = text;
        while let Some(rest) = text.strip_prefix('@') {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (condition, line) = (&rest[..end], rest[end..].trim_start());
            let holds = match condition.strip_prefix('^') {
                Some(other) => other != self.config_id,
                None => condition == self.config_id,
            };
            let id = self.config_id;
            if !holds {
                let condition = secrets::line(condition);
                let shown = format!("@{condition} {}", secrets::keyword(line));
                let why = format!("left out: the config-id is `{id}`");
                self.ledger.tell(place, shown, Fate::Exactly, why);
                return None;
            }
            let why = format!("the config-id is `{id}`");
            let shown = format!("@{}", secrets::line(condition));
            self.ledger.tell(place, shown, Fate::Exactly, why);
            text = line;
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Does all that a line asks for, and keeps what is left of it.
    fn line(&mut self, line: Line, directory: &str) -> Result<(), Broken> {
        let mut steps = vec![Step::Line(line)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Line(line) => self.step(line, directory, &mut steps)?,
                Step::Define(name, value) => {
                    let line = Line { text: value, place: Place::default() };
                    self.define(&name, vec![line], Place::default())?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, line: Line, directory: &str, steps: &mut Vec<Step>) -> Result<(), Broken> {
        let place = line.place;
        self.steps += 1;
        if self.steps > LINES_MAX {
            let text = format!("more than {LINES_MAX} lines: does a variable name itself?");
            return Err(Broken::at(place, text));
        }
        let Some(text) = self.wanted(&line.text, place) else { return Ok(()) };
        if let Some(definition) = variables::definition(&text) {
            self.ledger.tell(place, format!("${}=…", definition.name), Fate::Exactly, "a variable");
            let value = Line { text: definition.value.to_owned(), place };
            return self.define(definition.name, vec![value], place);
        }
        if let Some(generator) = generators::generator(&text) {
            self.generate(generator, &text, place, steps);
            return Ok(());
        }
        if let Some(path) = include::path(&text) {
            return self.include(&text, path, directory, place);
        }
        if text.split_whitespace().next() == Some("include_check") {
            let why = "a file that is missing is always told, here";
            self.ledger.tell(place, secrets::line(&text), Fate::Changed, why);
            return Ok(());
        }
        let lines = self.replaced(text, place, directory)?;
        match <[Line; 1]>::try_from(lines) {
            Ok([line]) if line.text.starts_with(['@', '~', '$']) && self.has_more(&line.text) => {
                steps.push(Step::Line(line));
            }
            Ok([line]) if include::path(&line.text).is_some() => steps.push(Step::Line(line)),
            Ok([line]) => self.keep(&line, steps)?,
            Err(lines) => steps.extend(lines.into_iter().rev().map(Step::Line)),
        }
        Ok(())
    }

    /// Is there something to do before a line is plain text?
    fn has_more(&self, text: &str) -> bool {
        text.starts_with('@')
            || variables::definition(text).is_some()
            || generators::generator(text).is_some()
    }

    /// Keeps what stands before the next brace, or the brace. What is left is looked at anew: it
    /// may have conditions and generators of its own.
    fn keep(&mut self, line: &Line, steps: &mut Vec<Step>) -> Result<(), Broken> {
        let place = line.place;
        let Some((piece, rest)) = lexer::cut(&line.text) else { return Ok(()) };
        let text = match piece {
            lexer::Piece::Text(text) => text,
            lexer::Piece::Open => "{".to_owned(),
            lexer::Piece::Close => "}".to_owned(),
        };
        self.bytes_made += text.len();
        if self.bytes_made > TEXT_MAX {
            let text = format!("more than {TEXT_MAX} bytes once variables are replaced");
            return Err(Broken::at(place, text));
        }
        if !rest.is_empty() {
            steps.push(Step::Line(Line { text: rest.to_owned(), place }));
        }
        self.source.lines.push(Line { text, place });
        Ok(())
    }

    fn generate(
        &mut self,
        generator: Result<generators::Generator, &'static str>,
        text: &str,
        place: Place,
        steps: &mut Vec<Step>,
    ) {
        let generator = match generator {
            Ok(generator) => generator,
            Err(why) => {
                let shown = text.split('(').next().unwrap_or_default();
                // Behind what may be a secret no keyword is looked for.
                let behind = text.split_once(')').filter(|(own, _)| secrets::line(own) == *own);
                let line = behind.map_or("", |(_, line)| line);
                return self.left_out(place, &format!("{shown}(…)"), line, why);
            }
        };
        if generator.rounds.is_empty() {
            let why = "its numbers lead from the start to no end: the line is left out";
            return self.left_out(place, &generator.text, &generator.line, why);
        }
        let why = format!("{} lines", generator.rounds.len());
        self.ledger.tell(place, generator.text, Fate::Exactly, why);
        for round in generator.rounds.into_iter().rev() {
            steps.push(Step::Line(Line { text: generator.line.clone(), place }));
            steps.extend(round.into_iter().map(|(name, value)| Step::Define(name, value)));
        }
    }

    /// A generator that makes nothing of its line.
    fn left_out(&mut self, place: Place, generator: &str, line: &str, why: &str) {
        let shown = format!("{generator} {}", secrets::keyword(line.trim()));
        self.ledger.tell(place, shown.trim().to_owned(), Fate::Unsupported, why);
    }

    /// A definition over several lines, the first of which is `$NAME=`.
    fn define_lines(&mut self, lines: Vec<Line>) -> Result<(), Broken> {
        let mut lines = lines.into_iter();
        let Some(first) = lines.next() else { return Ok(()) };
        let Some(definition) = variables::definition(&first.text) else { return Ok(()) };
        let place = first.place;
        self.ledger.tell(place, format!("${}=…", definition.name), Fate::Exactly, "a variable");
        let cut = |line: Line| {
            let text = line.text.strip_suffix('\\').unwrap_or(&line.text).trim().to_owned();
            Line { text, ..line }
        };
        let head = Line { text: definition.value.to_owned(), place };
        let all = std::iter::once(head).chain(lines).map(cut);
        let value: Vec<Line> = all.filter(|line| !line.text.is_empty()).collect();
        self.define(definition.name, value, place)
    }

    fn define(&mut self, name: &str, value: Vec<Line>, place: Place) -> Result<(), Broken> {
        if self.variables.set(name, value) {
            return Ok(());
        }
        Err(Broken::at(place, "too many variables"))
    }

    /// The line with everything that stands for something else replaced. More than one line: a
    /// variable of several lines, whose lines are looked at anew.
    fn replaced(
        &mut self,
        mut text: String,
        place: Place,
        directory: &str,
    ) -> Result<Vec<Line>, Broken> {
        for _ in 0..REPLACED_MAX {
            let Some(found) = self.variables.find(&text) else {
                return Ok(vec![Line { text: text.trim().to_owned(), place }]);
            };
            let by = match found.by {
                Replacement::Lines([]) => String::new(),
                Replacement::Lines([line]) => line.text.clone(),
                Replacement::Lines(lines) => {
                    let name = text[found.range.clone()].to_owned();
                    let why = format!("its {} lines, in its place", lines.len());
                    let all = split(&text, &found.range, lines, place);
                    self.ledger.tell(place, name, Fate::Exactly, why);
                    return Ok(all);
                }
                Replacement::Directory => directory.to_owned(),
                Replacement::Instance => self.config_id.to_owned(),
                Replacement::Character(character) => character.to_string(),
                Replacement::Random(least) => {
                    let why = format!("a random number there, always {least} here");
                    self.ledger.tell(place, "${_RANDOM}".into(), Fate::Changed, why);
                    least
                }
            };
            text.replace_range(found.range, &by);
            if text.len() > LINE_MAX {
                let text =
                    format!("a line has more than {LINE_MAX} bytes: does a variable name itself?");
                return Err(Broken::at(place, text));
            }
        }
        let text = format!("more than {REPLACED_MAX} variables in a line: does one name itself?");
        Err(Broken::at(place, text))
    }
}

/// The lines of a variable, with what stands before and behind its name.
fn split(text: &str, range: &std::ops::Range<usize>, lines: &[Line], place: Place) -> Vec<Line> {
    let used_at = place.used_at.or(Some((place.file, place.line)));
    let mut all: Vec<Line> = Vec::with_capacity(lines.len() + 2);
    let before = text[..range.start].trim();
    if !before.is_empty() {
        all.push(Line { text: before.to_owned(), place });
    }
    let own = |line: &Line| Line { place: Place { used_at, ..line.place }, ..line.clone() };
    all.extend(lines.iter().map(own));
    let after = text[range.end..].trim();
    if !after.is_empty() {
        all.push(Line { text: after.to_owned(), place });
    }
    all
}

/// The line without its comment. Text that is none is an error.
fn plain(raw: &str, place: Place) -> Result<String, Broken> {
    if raw.len() > LINE_MAX {
        return Err(Broken::at(place, format!("this line has more than {LINE_MAX} bytes")));
    }
    let text = lexer::without_comment(raw);
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Broken::at(place, "this line is not UTF-8"));
    }
    Ok(text)
}

/// The directory of a path, without its last slash.
fn directory(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) => "/",
        Some(at) => &path[..at],
        None => ".",
    }
}
