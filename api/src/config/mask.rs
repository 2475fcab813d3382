//! Hides what may be a password in the lines that an error shows. Passwords belong into files of
//! their own, but who comes from another program writes them here first, and the log must not keep
//! them.

/// Words in the name of a key whose value is never shown.
const SECRET_WORDS: [&str; 4] = ["pass", "secret", "token", "auth_data"];

/// The text with such values as asterisks; every byte stays in its place, so that columns fit.
pub(super) fn mask(text: &str) -> String {
    text.split_inclusive('\n').map(mask_line).collect()
}

fn mask_line(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(equals) = rest.find('=') {
        let (key, value) = rest.split_at(equals + 1);
        shown.push_str(key);
        let length = if is_secret(key) { value_length(value) } else { 0 };
        let (hidden, after) = value.split_at(length);
        for character in hidden.chars() {
            if character.is_whitespace() {
                shown.push(character);
            } else {
                shown.extend(std::iter::repeat_n('*', character.len_utf8()));
            }
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Whether the last word before the equals sign names a secret.
fn is_secret(key: &str) -> bool {
    let name = key.trim_end_matches(['=', ' ', '\t', '"', '\'']);
    let word = name.rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).next();
    let word = word.unwrap_or_default().to_lowercase();
    // A key that names a file shows a path, which helps.
    !word.ends_with("_file") && SECRET_WORDS.iter().any(|secret| word.contains(secret))
}

/// Bytes up to the end of the value: its closing quote, or the end of the entry.
fn value_length(value: &str) -> usize {
    let start = value.len() - value.trim_start().len();
    let body = &value[start..];
    let end = match body.chars().next() {
        Some(quote @ ('"' | '\'')) => body[1..].find(quote).map_or(body.len(), |at| at + 2),
        _ => body.find([',', '}', '#', '\n']).unwrap_or(body.len()),
    };
    start + end
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn passwords_are_hidden_and_nothing_moves() {
        let cases = [
            ("auth_pass = \"s3cret\"\n", "auth_pass = ********\n"),
            (
                "auth = { type = \"pass\", password = 'ab c', x = 1 }",
                "auth = { type = \"pass\", password = *** **, x = 1 }",
            ),
            ("pass = hunter2 # mine", "pass = ******* # mine"),
            ("secret = \"no end\n", "secret = *** ***\n"),
            ("password_file = \"vrrp.key\"", "password_file = \"vrrp.key\""),
            ("compass_x = 1\nname = \"pass = x\"", "compass_x = *\nname = \"pass = **"),
            ("token = \"ä\"", "token = ****"),
        ];
        for (text, shown) in cases {
            assert_eq!(mask(text), shown);
            assert_eq!(mask(text).len(), text.len());
        }
    }
}
