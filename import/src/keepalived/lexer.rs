//! The letters of the language: comments, quotes, braces, words, and the words of commands.

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// What stands between braces.
    Text(String),
    /// `{`
    Open,
    /// `}`
    Close,
}

/// A line without its comment and the blanks around it. `#` and `!` begin one outside of `"…"`;
/// behind a backslash they are plain.
pub fn without_comment(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next_if(|next| matches!(next, '#' | '!')) {
                Some(plain) if !is_quoted => text.push(plain),
                other => {
                    text.push('\\');
                    text.extend(other);
                    // A quote behind a backslash quotes nothing.
                    text.extend(characters.next_if(|next| *next == '"' && other.is_none()));
                }
            },
            '#' | '!' if !is_quoted => break,
            '"' => {
                is_quoted = !is_quoted;
                text.push(character);
            }
            other => text.push(other),
        }
    }
    text.trim().to_owned()
}

/// The first piece of a line, and what is left of it. Nothing is left of nothing.
pub fn cut(line: &str) -> Option<(Piece, &str)> {
    let line = line.trim();
    Some(match brace(line) {
        _ if line.is_empty() => return None,
        None => (Piece::Text(line.to_owned()), ""),
        Some(0) if line.starts_with('{') => (Piece::Open, &line[1..]),
        Some(0) => (Piece::Close, &line[1..]),
        Some(at) => (Piece::Text(line[..at].trim().to_owned()), &line[at..]),
    })
}

/// Where the first brace is. It counts outside of `"…"`; those of `${NAME}` are a part of a word.
fn brace(line: &str) -> Option<usize> {
    let (mut is_quoted, mut is_name, mut before) = (false, false, ' ');
    for (at, character) in line.char_indices() {
        match character {
            '"' if before != '\\' => is_quoted = !is_quoted,
            '{' if !is_quoted && before == '$' => is_name = true,
            '}' if is_name => is_name = false,
            '{' | '}' if !is_quoted => return Some(at),
            _ => {}
        }
        before = character;
    }
    None
}

/// The words of a line: between blanks, or in `"…"`. None: a quote is not closed.
pub fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut is_quoted, mut is_open) = (String::new(), false, false);
    for character in text.chars() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                is_open = true;
            }
            blank if blank.is_whitespace() && !is_quoted => {
                if is_open {
                    words.push(std::mem::take(&mut word));
                }
                is_open = false;
            }
            other => {
                word.push(other);
                is_open = true;
            }
        }
    }
    if is_open {
        words.push(word);
    }
    (!is_quoted).then_some(words)
}

/// The words of a command: between blanks, in `"…"` or `'…'`, with escapes as C has them. None: a
/// quote is not closed.
pub fn command_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut is_open) = (String::new(), None, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => {
                word.extend(escaped(&mut characters));
                is_open = true;
            }
            (end, Some(open)) if end == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                is_open = true;
            }
            (blank, None) if blank.is_whitespace() => {
                if is_open {
                    words.push(std::mem::take(&mut word));
                }
                is_open = false;
            }
            (other, _) => {
                word.push(other);
                is_open = true;
            }
        }
    }
    if is_open {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

/// What stands for the characters behind a backslash.
fn escaped(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let character = characters.next()?;
    Some(match character {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'e' | 'E' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' => number(characters, 0, 16, 2),
        'c' => control(characters.next()?),
        '0'..='7' => number(characters, character.to_digit(8).unwrap_or_default(), 8, 2),
        other => other,
    })
}

/// The character of a number that has at most `digits` digits more.
fn number(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    mut value: u32,
    base: u32,
    digits: usize,
) -> char {
    for _ in 0..digits {
        let Some(digit) = characters.peek().and_then(|next| next.to_digit(base)) else { break };
        characters.next();
        value = value * base + digit;
    }
    char::from_u32(value & 0xff).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The control character of a letter: `\cA` is 1.
fn control(letter: char) -> char {
    u8::try_from(letter).map_or(char::REPLACEMENT_CHARACTER, |byte| char::from(byte & 0x1f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_begins_anywhere_but_in_quotes() {
        for (line, expected) in [
            ("  a b  # c", "a b"),
            ("a!b", "a"),
            ("a \"# ! x\" y ! z", "a \"# ! x\" y"),
            ("b\\#c\\!d#e", "b#c!d"),
            ("\"b\\#c\"", "\"b\\#c\""),
            ("\"a \\\" # b\" # c", "\"a \\\" # b\""),
            ("// no comment", "// no comment"),
            ("$M= \\ # c", "$M= \\"),
            ("!", ""),
        ] {
            assert_eq!(without_comment(line), expected, "{line}");
        }
    }

    #[test]
    fn braces_cut_a_line_except_in_quotes() {
        let shown = |line: &str| {
            let (mut all, mut rest) = (Vec::new(), line);
            while let Some((piece, left)) = cut(rest) {
                rest = left;
                all.push(match piece {
                    Piece::Text(text) => text,
                    Piece::Open => "<".to_owned(),
                    Piece::Close => ">".to_owned(),
                });
            }
            all.join("|")
        };
        assert_eq!(shown("group { a b } notify x"), "group|<|a b|>|notify x");
        assert_eq!(shown("vrrp_instance V1{"), "vrrp_instance V1|<");
        assert_eq!(shown("script \"/bin/x {a}\" }"), "script \"/bin/x {a}\"|>");
        assert_eq!(shown("a ${B} { c"), "a ${B}|<|c");
        assert_eq!(shown("script '{'"), "script '|<|'");
    }

    #[test]
    fn words_stand_between_blanks_or_in_quotes() {
        let all = |text: &str| words(text).map(|words| words.join("|"));
        assert_eq!(all("a  \"b c\"\td"), Some("a|b c|d".into()));
        assert_eq!(all("ab\"c d\"ef \"\""), Some("abc def|".into()));
        assert_eq!(all("a 'b c'"), Some("a|'b|c'".into()));
        assert_eq!(all("a \"b"), None);
    }

    #[test]
    fn words_of_commands_have_both_quotes_and_escapes() {
        let all = |text: &str| command_words(text).map(|words| words.join("|"));
        assert_eq!(all("abcd\" efg h jkl \"mnop"), Some("abcd efg h jkl mnop".into()));
        assert_eq!(all("'a b' \"c 'd'\""), Some("a b|c 'd'".into()));
        assert_eq!(all(r"e\ f \x41\103\n\cA\q\e"), Some("e f|AC\n\u{1}q\u{1b}".into()));
        assert_eq!(all(r"\400\x\"), Some("\0\0".into()));
        assert_eq!(all("'a"), None);
    }
}
