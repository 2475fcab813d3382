//! Arguments as GNU programs take them.

use crate::report::Unreadable;

/// The options of ucarp: long, short, and whether a value follows.
const OPTIONS: [(&str, char, bool); 23] = [
    ("interface", 'i', true),
    ("srcip", 's', true),
    ("mcast", 'm', true),
    ("vhid", 'v', true),
    ("pass", 'p', true),
    ("passfile", 'o', true),
    ("preempt", 'P', false),
    ("neutral", 'n', false),
    ("addr", 'a', true),
    ("help", 'h', false),
    ("advbase", 'b', true),
    ("advskew", 'k', true),
    ("upscript", 'u', true),
    ("downscript", 'd', true),
    ("deadratio", 'r', true),
    ("debug", 'D', false),
    ("shutdown", 'z', false),
    ("daemonize", 'B', false),
    ("ignoreifstate", 'S', false),
    ("facility", 'f', true),
    ("xparam", 'x', true),
    ("nomcast", 'M', false),
    ("syslog", 'l', false),
];

/// An option that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its long name.
    pub name: &'static str,
    /// Its value; empty if it has none.
    pub value: String,
    /// Its argument, from 1.
    pub position: usize,
}

impl Given {
    /// As the report may show it.
    pub fn shown(&self) -> Vec<String> {
        let name = format!("--{}", self.name);
        match (self.name, self.value.is_empty()) {
            ("pass", _) => vec![format!("{name}=(hidden)")],
            (_, true) => vec![name],
            // `-Psecret` is -P and -s with a value: a password that has slipped.
            _ if self.is_numeric() && self.value.contains(|c: char| !is_figure(c)) => {
                vec![format!("{name}=(hidden)")]
            }
            _ => vec![format!("{name}={}", self.value)],
        }
    }

    /// Is the value a number or an address?
    fn is_numeric(&self) -> bool {
        let names = ["srcip", "mcast", "addr", "vhid", "advbase", "advskew", "deadratio"];
        names.contains(&self.name)
    }
}

/// What numbers and addresses consist of.
fn is_figure(character: char) -> bool {
    character.is_ascii_digit() || character == '.'
}

/// Reads arguments. `before`: how many stood before them.
pub fn read(arguments: &[String], before: usize) -> Result<Vec<Given>, Unreadable> {
    let mut all: Vec<Given> = Vec::new();
    let mut rest = arguments.iter().enumerate();
    while let Some((at, argument)) = rest.next() {
        let position = before + at + 1;
        let mut next = || rest.next().map(|(_, value)| value.clone());
        let found = if let Some(long) = argument.strip_prefix("--") {
            vec![self::long(long, position, &mut next)?]
        } else if let Some(letters) = argument.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            self::letters(letters, position, &mut next)?
        } else {
            // The word may be a password that has slipped, so it is not repeated.
            return Err(unreadable(position, "an option was expected here"));
        };
        all.extend(found);
    }
    Ok(all)
}

fn unreadable(position: usize, text: impl Into<String>) -> Unreadable {
    Unreadable { file: Some("argument".to_owned()), line: Some(position), text: text.into() }
}

/// `name`, `name=value`, or `name` with the value behind it. A beginning that only one has is
/// enough.
fn long(
    text: &str,
    position: usize,
    next: &mut dyn FnMut() -> Option<String>,
) -> Result<Given, Unreadable> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let exact = OPTIONS.iter().find(|(long, ..)| *long == name);
    let mut begun = OPTIONS.iter().filter(|(long, ..)| long.starts_with(name));
    let only = begun.next().filter(|_| begun.next().is_none());
    let Some((name, _, has_value)) = exact.or(only) else {
        return Err(unreadable(position, "ucarp has no such option"));
    };
    match (has_value, value) {
        (true, value) => with_value(name, position, value.or_else(next)),
        (false, None) => Ok(Given { name, value: String::new(), position }),
        (false, Some(_)) => Err(unreadable(position, format!("--{name} takes no value"))),
    }
}

/// `-i eth0`, `-ieth0`, `-PzB`
fn letters(
    text: &str,
    position: usize,
    next: &mut dyn FnMut() -> Option<String>,
) -> Result<Vec<Given>, Unreadable> {
    let mut found = Vec::new();
    for (at, letter) in text.char_indices() {
        let option = OPTIONS.iter().find(|(_, short, _)| *short == letter);
        let Some((name, _, has_value)) = option else {
            return Err(unreadable(position, "ucarp has no such option"));
        };
        if *has_value {
            let behind = &text[at + letter.len_utf8()..];
            let value = if behind.is_empty() { next() } else { Some(behind.to_owned()) };
            found.push(with_value(name, position, value)?);
            break;
        }
        found.push(Given { name, value: String::new(), position });
    }
    Ok(found)
}

fn with_value(
    name: &'static str,
    position: usize,
    value: Option<String>,
) -> Result<Given, Unreadable> {
    let value = value.ok_or_else(|| unreadable(position, format!("--{name} needs a value")))?;
    Ok(Given { name, value, position })
}
