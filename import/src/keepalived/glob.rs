//! The file names that an `include` stands for: braces as csh has them, then `*`, `?` and `[…]`.

use super::files::Files;
use super::limits::{BRACES_MAX, DIRECTORY_MAX, FILES_MAX};

/// The paths that braces stand for, in their order; none if they are more than [`BRACES_MAX`].
pub fn braces(pattern: &str) -> Option<Vec<String>> {
    let mut paths = Vec::new();
    let few = pattern.matches('{').count() <= BRACES_MAX;
    (few && unfold(pattern, &mut paths)).then_some(paths)
}

/// False if there are too many.
fn unfold(pattern: &str, paths: &mut Vec<String>) -> bool {
    let Some((start, parts, end)) = first_braces(pattern) else {
        paths.push(pattern.to_owned());
        return paths.len() <= BRACES_MAX;
    };
    let (before, after) = (&pattern[..start], &pattern[end..]);
    parts.iter().all(|part| unfold(&format!("{before}{part}{after}"), paths))
}

/// The first braces that are closed: where they begin, what they hold, where they end.
fn first_braces(pattern: &str) -> Option<(usize, Vec<&str>, usize)> {
    for (start, _) in pattern.match_indices('{') {
        let (mut depth, mut parts, mut from) = (0_usize, Vec::new(), start + 1);
        for (at, character) in pattern[start..].char_indices().map(|(at, c)| (start + at, c)) {
            match character {
                '{' => depth += 1,
                ',' if depth == 1 => {
                    parts.push(&pattern[from..at]);
                    from = at + 1;
                }
                '}' if depth == 1 => {
                    parts.push(&pattern[from..at]);
                    // `{}` is no choice: csh leaves it as it is.
                    if at > start + 1 {
                        return Some((start, parts, at + 1));
                    }
                    break;
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    None
}

/// Has a path a wildcard?
pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The paths that match, in lexical order; the path itself if it has no wildcard. At most
/// [`FILES_MAX`] + 1.
pub fn matching(pattern: &str, files: &mut dyn Files) -> Vec<String> {
    if !is_pattern(pattern) {
        return vec![pattern.to_owned()];
    }
    let mut found = vec![String::new()];
    let mut parts = pattern.split('/').peekable();
    if pattern.starts_with('/') {
        parts.next();
        found = vec!["/".to_owned()];
    }
    let mut is_sure = true;
    for part in parts {
        is_sure &= !is_pattern(part);
        let mut next = Vec::new();
        for before in &found {
            let join = |name: &str| match before.as_str() {
                "" | "/" => format!("{before}{name}"),
                _ => format!("{before}/{name}"),
            };
            if is_sure {
                next.push(join(part));
                continue;
            }
            let directory = if before.is_empty() { "." } else { before };
            let mut names = files.list(directory);
            names.truncate(DIRECTORY_MAX);
            names.sort();
            next.extend(names.iter().filter(|name| is_match(part, name)).map(|name| join(name)));
            next.truncate(FILES_MAX + 1);
        }
        found = next;
        found.truncate(FILES_MAX + 1);
    }
    found
}

/// Does a name match? A leading dot is matched by a dot alone.
fn is_match(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    if name.first() == Some(&'.') && pattern.first() != Some(&'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    // Where to go on if what follows the last `*` does not match here.
    let mut star = None;
    while n < name.len() {
        match one(&pattern, p, name[n]) {
            One::Star => {
                star = Some((p + 1, n));
                p += 1;
            }
            One::Taken(after) => (p, n) = (after, n + 1),
            One::No => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (p, n) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

enum One {
    Star,
    /// It fits; the pattern goes on here.
    Taken(usize),
    No,
}

fn one(pattern: &[char], at: usize, name: char) -> One {
    let taken = |fits: bool, after: usize| if fits { One::Taken(after) } else { One::No };
    match pattern.get(at) {
        None => One::No,
        Some('*') => One::Star,
        Some('?') => One::Taken(at + 1),
        Some('\\') if at + 1 < pattern.len() => taken(pattern[at + 1] == name, at + 2),
        Some('[') => match class(pattern, at + 1, name) {
            Some((fits, after)) => taken(fits, after),
            None => taken(name == '[', at + 1),
        },
        Some(plain) => taken(*plain == name, at + 1),
    }
}

/// `[…]` behind its bracket: does it hold the character, and where does it end? None if it does not.
fn class(pattern: &[char], start: usize, name: char) -> Option<(bool, usize)> {
    let is_not = matches!(pattern.get(start), Some('!' | '^'));
    let first = start + usize::from(is_not);
    let (mut at, mut fits) = (first, false);
    loop {
        let from = *pattern.get(at)?;
        if from == ']' && at > first {
            return Some((fits != is_not, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some('-'), Some(to)) if *to != ']' => {
                fits |= (from..=*to).contains(&name);
                at += 3;
            }
            _ => {
                fits |= from == name;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directories with their names.
    struct Tree(&'static [(&'static str, &'static [&'static str])]);

    impl Files for Tree {
        fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
            Err("nothing is read here".to_owned())
        }

        fn list(&mut self, directory: &str) -> Vec<String> {
            let found = self.0.iter().find(|(name, _)| *name == directory);
            found.map_or_else(Vec::new, |(_, names)| names.iter().map(|&n| n.to_owned()).collect())
        }
    }

    #[test]
    fn braces_are_unfolded_in_their_order() {
        let all = |pattern: &str| braces(pattern).expect("few").join(" ");
        assert_eq!(all("a/{foo/{,cat,dog},bar}.c"), "a/foo/.c a/foo/cat.c a/foo/dog.c a/bar.c");
        assert_eq!(all("{a,b}{1,2}"), "a1 a2 b1 b2");
        for plain in ["a", "{", "a{}b", "{a", "}a{"] {
            assert_eq!(all(plain), plain);
        }
        assert_eq!(all("{}{a,b}"), "{}a {}b");
        assert_eq!(braces(&"{a,b}".repeat(9)), None);
        assert_eq!(braces(&"{".repeat(BRACES_MAX + 1)), None);
    }

    #[test]
    fn wildcards_match_as_a_shell_has_them() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", false),
            (".*", ".conf", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "é", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("**", "", true),
            ("", "a", false),
        ] {
            assert_eq!(is_match(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_matches_is_in_lexical_order() {
        let mut files = Tree(&[
            ("/etc/k", &["b.conf", "a.conf", "x", ".h.conf", "d", "e"]),
            ("/etc/k/d", &["c.conf"]),
            ("/etc/k/e", &["other"]),
            (".", &["z1"]),
        ]);
        let mut all = |pattern: &str| matching(pattern, &mut files).join(" ");
        assert_eq!(all("/etc/k/*.conf"), "/etc/k/a.conf /etc/k/b.conf");
        assert_eq!(all("/etc/k/?/c.conf"), "/etc/k/d/c.conf");
        assert_eq!(all("/etc/none/*"), "");
        assert_eq!(all("z*"), "z1");
        assert_eq!(all("plain"), "plain");
    }
}
