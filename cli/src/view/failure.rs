//! A failure for people: the cause, then the next command.

use super::page::{Page, Span, Style, plain};
use crate::failure::{Failure, exit};

/// The text for standard error.
pub fn render(failure: &Failure, color: bool) -> String {
    let mut page = Page::new(color);
    let style = if failure.exit == exit::REFUSED { Style::Warn } else { Style::Bad };
    let mut lines = failure.error.text.lines();
    let first = lines.next().unwrap_or_default();
    page.line([Span::new(style, "evergate: "), plain(first)]);
    for line in lines {
        page.line([plain(line)]);
    }
    if let Some(next) = &failure.next {
        page.next(0, next);
    }
    page.finish()
}
