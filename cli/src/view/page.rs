//! A page of text: lines of styled words, and tables whose columns are aligned.
//!
//! All text passes [`Span`], which takes out control characters: nothing that a daemon or a
//! neighbour says can steer the terminal.

/// The space between the columns of a table.
const GAP: usize = 2;

/// How a word is meant; colour is only one way to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// A title.
    Strong,
    /// Less important.
    Dim,
    /// As it should be.
    Good,
    /// Look at it.
    Warn,
    /// Act on it.
    Bad,
}

impl Style {
    /// The ECMA-48 code that begins the style.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("\x1b[1m"),
            Self::Dim => Some("\x1b[2m"),
            Self::Good => Some("\x1b[32m"),
            Self::Warn => Some("\x1b[33m"),
            Self::Bad => Some("\x1b[1;31m"),
        }
    }
}

/// Words of one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    text: String,
    style: Style,
}

impl Span {
    /// Words of this style, without control characters.
    pub fn new(style: Style, text: impl AsRef<str>) -> Self {
        let text = text.as_ref().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        Self { text, style }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn write(&self, color: bool, out: &mut String) {
        match self.style.code().filter(|_| color && !self.text.is_empty()) {
            None => out.push_str(&self.text),
            Some(code) => out.extend([code, &self.text, "\x1b[0m"]),
        }
    }
}

/// Plain words.
pub fn plain(text: impl AsRef<str>) -> Span {
    Span::new(Style::Plain, text)
}

/// Less important words.
pub fn dim(text: impl AsRef<str>) -> Span {
    Span::new(Style::Dim, text)
}

/// A title.
pub fn strong(text: impl AsRef<str>) -> Span {
    Span::new(Style::Strong, text)
}

/// A page that grows line by line.
#[derive(Debug)]
pub struct Page {
    color: bool,
    text: String,
}

impl Page {
    /// An empty page.
    pub fn new(color: bool) -> Self {
        Self { color, text: String::new() }
    }

    /// A line.
    pub fn line(&mut self, spans: impl IntoIterator<Item = Span>) {
        for span in spans {
            span.write(self.color, &mut self.text);
        }
        self.end_line();
    }

    /// A plain text of several lines, each indented.
    pub fn block(&mut self, indent: usize, text: &str) {
        for line in text.lines() {
            self.line([plain(" ".repeat(indent)), plain(line)]);
        }
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.end_line();
    }

    /// The next command to type.
    pub fn next(&mut self, indent: usize, command: &str) {
        self.line([plain(" ".repeat(indent)), dim("next: "), plain(command)]);
    }

    /// A table with aligned columns.
    pub fn table(&mut self, indent: usize, rows: &[Vec<Span>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| rows.iter().filter_map(|row| row.get(column)).map(Span::width).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in rows {
            self.text.push_str(&" ".repeat(indent));
            for (column, cell) in row.iter().enumerate() {
                cell.write(self.color, &mut self.text);
                if column + 1 < row.len() {
                    self.text.push_str(&" ".repeat(widths[column] - cell.width() + GAP));
                }
            }
            self.end_line();
        }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }

    fn end_line(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_with_and_without_colour() {
        let rows = [
            vec![strong("node"), plain("state"), plain("")],
            vec![plain("gateway-1"), Span::new(Style::Good, "active"), plain("x")],
        ];
        let mut page = Page::new(false);
        page.table(2, &rows);
        assert_eq!(page.finish(), "  node       state\n  gateway-1  active  x\n");
        let mut page = Page::new(true);
        page.table(0, &rows[1..]);
        assert_eq!(page.finish(), "gateway-1  \x1b[32mactive\x1b[0m  x\n");
    }

    #[test]
    fn nothing_that_is_said_can_steer_the_terminal() {
        let mut page = Page::new(true);
        page.line([plain("gw2\x1b[2J\r\u{9b}1m")]);
        page.block(1, "a\x07\nb");
        assert_eq!(page.finish(), "gw2?[2J??1m\n a?\n b\n");
    }
}
