//! Errors of the TOML parser in our words.

use super::report::{Problem, Span};
use super::tree::{Table, Value, span};
use super::words::shown;

/// Errors of one file; of several on a line only the first is kept, the others follow from it.
pub(crate) fn problems(
    file: usize,
    text: &str,
    errors: &[toml::de::Error],
    tree: &Table,
) -> Vec<Problem> {
    let mut lines: Vec<usize> = Vec::new();
    let mut problems = Vec::new();
    let mut spanned: Vec<(Span, &str)> = errors
        .iter()
        .map(|error| (span(file, text, error.span().unwrap_or(0..0)), error.message()))
        .collect();
    spanned.sort();
    for (at, message) in spanned {
        let line = line_of(text, at.start);
        if lines.last() != Some(&line) {
            lines.push(line);
            problems.push(problem(text, at, message, tree));
        }
    }
    problems
}

/// The number of newlines before a byte.
pub(crate) fn line_of(text: &str, index: usize) -> usize {
    text.as_bytes()[..index.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

fn problem(text: &str, at: Span, message: &str, tree: &Table) -> Problem {
    let line_start = text[..at.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[at.start..].find('\n').map_or(text.len(), |offset| at.start + offset);
    let line = Span { file: at.file, start: line_start, end: line_end };
    if message.starts_with("duplicate key") {
        let key = text[at.start..at.end].trim();
        let problem = Problem::error("set-twice", format!("`{}` is set twice", shown(key)));
        let problem = problem.at(at).help("keep one of them");
        let is_header = text[line.start..line.end].trim_start().starts_with('[');
        let first = if is_header { None } else { last_before(tree, key, at.start) };
        return match first {
            Some(first) => problem.also(first, "first set here"),
            None => problem,
        };
    }
    if let Some(problem) = unquoted(text, line) {
        return problem;
    }
    Problem::error("syntax", format!("not TOML: {message}")).at(at)
}

/// The last key of that name before a byte: where a key that is set twice was set first.
fn last_before(tree: &Table, key: &str, end: usize) -> Option<Span> {
    let mut last = None;
    for (name, entry) in &tree.entries {
        let here = (name == key && entry.key.end <= end).then_some(entry.key);
        let inside = match &entry.node.value {
            Value::Table(table) => last_before(table, key, end),
            _ => None,
        };
        last = last.max(here).max(inside);
    }
    last
}

/// `interface = eth0.100` and its like: a value that lacks its quotes.
fn unquoted(text: &str, line: Span) -> Option<Problem> {
    let (key, rest) = text[line.start..line.end].split_once('=')?;
    let start = line.start + key.len() + 1 + (rest.len() - rest.trim_start().len());
    let (key, value) = (key.trim(), rest.split('#').next()?.trim());
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    let number = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if value.is_empty() || number || !value.chars().all(bare) || key.contains(['"', '{', '[']) {
        return None;
    }
    let at = span(line.file, text, start..start + value.len());
    if matches!(value, "True" | "False" | "TRUE" | "FALSE" | "yes" | "no" | "on" | "off") {
        let word = matches!(value, "True" | "TRUE" | "yes" | "on");
        return Some(
            Problem::error("syntax", format!("`{value}` is no value in TOML"))
                .at(at)
                .help(format!("write {key} = {word}")),
        );
    }
    let text = format!("the value of `{}` needs quotes", shown(key));
    let help = format!("write {} = \"{}\"", shown(key), shown(value));
    Some(Problem::error("no-quotes", text).at(at).help(help))
}
