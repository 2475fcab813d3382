//! Programs with their arguments, as our keys have them: `exec:/path argument`.

use crate::toml::Value;

/// What finds a program that is named without its directory.
const FINDER: &str = "/usr/bin/env";
/// What runs a command that needs a shell.
const SHELL: &str = "/bin/sh";

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program, with its directory, and its arguments.
    words: Vec<String>,
    /// What was added to what is written there, in a few words.
    pub added: Option<&'static str>,
}

impl Command {
    /// A program and its arguments. `line`: as it was written, for a shell.
    pub fn new(mut words: Vec<String>, line: &str) -> Option<Self> {
        let first = words.first().filter(|first| !first.is_empty())?;
        if needs_shell(line) {
            let words = vec![SHELL.to_owned(), "-c".to_owned(), line.to_owned()];
            return Some(Self { words, added: Some("it is run by a shell, /bin/sh -c") });
        }
        if first.starts_with('/') {
            return Some(Self { words, added: None });
        }
        words.insert(0, FINDER.to_owned());
        Some(Self { words, added: Some("it is found by /usr/bin/env, in the PATH of evergated") })
    }

    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, argument: &str) -> Self {
        self.words.push(argument.to_owned());
        self
    }

    /// As one text; none if an argument has blanks or quotes, or is empty.
    fn text(&self) -> Option<String> {
        let is_plain = |word: &String| {
            let bad = |c: char| c.is_whitespace() || c.is_control() || "\"'\\".contains(c);
            !word.is_empty() && !word.contains(bad)
        };
        self.words.iter().all(is_plain).then(|| format!("exec:{}", self.words.join(" ")))
    }

    /// As our keys have a program: an array, if an argument has blanks or quotes.
    pub fn program(&self) -> Value {
        self.text().map_or_else(
            || {
                let mut words = self.words.clone();
                words[0].insert_str(0, "exec:");
                Value::texts(words)
            },
            Value::Text,
        )
    }
}

/// Is it a redirection? keepalived gives such a command to a shell, and any other to the kernel as
/// it is, whatever characters it has.
fn needs_shell(line: &str) -> bool {
    line.starts_with(['<', '>'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Command {
        let words = line.split(' ').map(str::to_owned).collect();
        Command::new(words, line).expect("it has words")
    }

    #[test]
    fn a_program_is_named_with_its_directory() {
        assert_eq!(command("/bin/x a b").text().as_deref(), Some("exec:/bin/x a b"));
        let found = command("killall -0 sshd");
        assert_eq!(found.text().as_deref(), Some("exec:/usr/bin/env killall -0 sshd"));
        assert!(found.added.is_some());
        assert_eq!(Command::new(vec![String::new()], ""), None);
    }

    #[test]
    fn a_redirection_is_given_to_a_shell_and_nothing_else() {
        let shell = command("</dev/tcp/127.0.0.1/80");
        assert_eq!(shell.text().as_deref(), Some("exec:/bin/sh -c </dev/tcp/127.0.0.1/80"));
        assert!(shell.added.is_some());
        assert_eq!(command("/bin/x && $HOME").text().as_deref(), Some("exec:/bin/x && $HOME"));
    }

    #[test]
    fn an_argument_with_blanks_needs_an_array() {
        let words = vec!["/bin/x".to_owned(), "one two".to_owned()];
        let command = Command::new(words, "/bin/x 'one two'").expect("it has words");
        assert_eq!(command.text(), None);
        assert_eq!(command.program(), Value::texts(["exec:/bin/x".into(), "one two".into()]));
    }
}
