//! The result of `check` for people: every problem with its place, then one line that sums up.

use std::path::Path;

use evergate_api::config::{Config, Level, Outcome};

use super::page::{Page, Span, Style, plain};
use crate::verbs::KeyFile;

/// The problems and the sum.
pub fn render(path: &Path, outcome: &Outcome, key_files: &[KeyFile], color: bool) -> String {
    let mut text = outcome.report.render(color);
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    let mut page = Page::new(color);
    let of =
        |level| outcome.report.problems().iter().filter(|problem| problem.level == level).count();
    let (mut errors, warnings) = (of(Level::Error), of(Level::Warning));
    for found in key_files {
        match found {
            KeyFile::Unseen(text) => page.line([plain(format!("note: {text}"))]),
            KeyFile::Bad(text) => {
                errors += 1;
                page.line([Span::new(Style::Bad, "error"), plain(format!(": {text}"))]);
            }
        }
    }
    let (style, word) = match (errors, warnings) {
        (0, 0) => (Style::Good, "good".to_owned()),
        (0, _) => (Style::Warn, count(warnings, "warning")),
        (_, 0) => (Style::Bad, count(errors, "error")),
        _ => (Style::Bad, format!("{}, {}", count(errors, "error"), count(warnings, "warning"))),
    };
    let about = outcome.config.as_ref().map(about).unwrap_or_default();
    page.line([plain(format!("{}: ", path.display())), Span::new(style, word), plain(about)]);
    text + &page.finish()
}

fn about(config: &Config) -> String {
    let routers = config.groups.values().flat_map(|group| group.routers.values());
    let addresses: usize = routers.map(|router| router.addresses.len()).sum();
    format!(
        "; cluster {}: {}, {}, {}, {}; hash {}",
        config.cluster.name,
        count(config.nodes.len(), "node"),
        count(config.links.len(), "link"),
        count(config.groups.len(), "group"),
        if addresses == 1 { "1 address".to_owned() } else { format!("{addresses} addresses") },
        config.digest
    )
}

fn count(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
