//! Calm output: colours only on a terminal and only if wanted, a live line only where it can be redrawn.

use std::io::{IsTerminal, Write};

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Beside the point.
    Quiet,
    /// A heading or a name.
    Strong,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Not as it should be.
    Bad,
}

/// Where people look.
#[derive(Debug)]
pub struct Screen {
    colour: bool,
    live: bool,
    silent: bool,
    dirty: bool,
}

impl Screen {
    /// Standard output; `silent` for machines, who read something else.
    pub fn new(silent: bool) -> Self {
        let tty = std::io::stdout().is_terminal();
        // https://no-color.org: any value that is not empty means no colour.
        #[allow(clippy::disallowed_methods)]
        let wanted = std::env::var("NO_COLOR").map_or(true, |value| value.is_empty());
        Self { colour: tty && wanted, live: tty, silent, dirty: false }
    }

    /// A piece of text in its tone.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Quiet => "2",
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Prints a line that stays.
    pub fn line(&mut self, text: &str) {
        if self.silent {
            return;
        }
        let clear = if self.dirty { "\r\x1b[K" } else { "" };
        self.dirty = false;
        println!("{clear}{text}");
    }

    /// Shows a line that the next one replaces; nothing where lines cannot be replaced.
    pub fn live(&mut self, text: &str) {
        if self.silent || !self.live {
            return;
        }
        self.dirty = true;
        print!("\r\x1b[K{text}");
        // Somebody who closed the terminal does not miss this.
        let _ = std::io::stdout().flush();
    }
}
