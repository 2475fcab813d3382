//! The form of conntrackd's file: words, blocks in braces, comments behind `#`.

use crate::report::Unreadable;

/// Blocks within blocks; conntrackd knows four.
const DEPTH_MAX: usize = 8;

/// A statement, with what stands in its braces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Its line, from 1.
    pub line: usize,
    /// Its words.
    pub words: Vec<String>,
    /// The statements in its braces.
    pub inside: Vec<Statement>,
    /// Whether it has braces.
    pub is_block: bool,
}

impl Statement {
    /// Its first word, in small letters: conntrackd does not tell them apart everywhere.
    pub fn name(&self) -> String {
        self.words.first().map(|word| word.to_lowercase()).unwrap_or_default()
    }

    /// Its second word; empty if there is none.
    pub fn value(&self) -> &str {
        self.words.get(1).map_or("", String::as_str)
    }

    /// Its words as they were written.
    pub fn text(&self) -> String {
        self.words.join(" ")
    }
}

/// Reads a file.
pub fn read(text: &str) -> Result<Vec<Statement>, Unreadable> {
    let mut open = vec![Statement::default()];
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        let plain = line.split('#').next().unwrap_or_default();
        let spaced = plain.replace('{', " { ").replace('}', " } ");
        let mut words = Vec::new();
        for word in spaced.split_whitespace() {
            match word {
                "{" => begin(&mut open, std::mem::take(&mut words), line_number)?,
                "}" => {
                    put(&mut open, std::mem::take(&mut words), line_number);
                    end(&mut open, line_number)?;
                }
                word => words.push(word.trim_matches('"').to_owned()),
            }
        }
        put(&mut open, words, line_number);
    }
    match (open.pop(), open.is_empty()) {
        (Some(whole), true) => Ok(whole.inside),
        (Some(left), false) => {
            let text = format!("the braces of `{}` are not closed", left.text());
            Err(Unreadable { file: None, line: Some(left.line), text })
        }
        (None, _) => Ok(Vec::new()),
    }
}

fn put(open: &mut [Statement], words: Vec<String>, line: usize) {
    if let Some(outer) = open.last_mut().filter(|_| !words.is_empty()) {
        outer.inside.push(Statement { line, words, ..Statement::default() });
    }
}

fn begin(open: &mut Vec<Statement>, words: Vec<String>, line: usize) -> Result<(), Unreadable> {
    let wrong = |text: &str| Unreadable { file: None, line: Some(line), text: text.to_owned() };
    if open.len() > DEPTH_MAX {
        return Err(wrong("too many blocks within blocks"));
    }
    let mut block = Statement { line, words, is_block: true, ..Statement::default() };
    if block.words.is_empty() {
        // The brace stands on a line of its own: it belongs to the statement before it.
        let before = open.last_mut().and_then(|outer| outer.inside.pop());
        let before = before.filter(|before| !before.is_block);
        block = before.ok_or_else(|| wrong("a brace that belongs to nothing"))?;
        block.is_block = true;
    }
    open.push(block);
    Ok(())
}

fn end(open: &mut Vec<Statement>, line: usize) -> Result<(), Unreadable> {
    let text = "a brace closes what is not open".to_owned();
    let wrong = || Unreadable { file: None, line: Some(line), text: text.clone() };
    let block = open.pop().ok_or_else(wrong)?;
    let outer = open.last_mut().ok_or_else(wrong)?;
    outer.inside.push(block);
    Ok(())
}
