//! The chain of reasons for people: each sentence, then the figures it stands on.

use evergate_api::control::WhyReply;

use super::group::state;
use super::page::{Page, dim, plain, strong};

/// The chain.
pub fn render(why: &WhyReply, color: bool) -> String {
    let mut page = Page::new(color);
    page.line([
        strong(&why.group),
        plain(": "),
        state(&why.state),
        plain(" on this node, because:"),
    ]);
    let digits = why.lines.len().to_string().len();
    for (index, line) in why.lines.iter().enumerate() {
        page.line([plain(format!("  {:>digits$}. {}", index + 1, line.text))]);
        let figures: Vec<String> =
            line.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
        if !figures.is_empty() {
            page.line([dim(format!("  {:digits$}  {}", "", figures.join(", ")))]);
        }
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use evergate_api::control::WhyLine;
    use evergate_api::status::GroupState;

    use super::*;

    #[test]
    fn each_reason_stands_with_its_figures() {
        let line = |text: &str, figures: &[(&str, f64)]| WhyLine {
            text: text.into(),
            figures: figures.iter().map(|(name, value)| ((*name).into(), *value)).collect(),
        };
        let why = WhyReply {
            group: "gateway".into(),
            state: GroupState::Active,
            lines: vec![
                line("gw2 is dead", &[("silence_ms", 34.2), ("dead_ms", 30.0)]),
                line("no check fails here", &[]),
            ],
        };
        assert_eq!(
            render(&why, false),
            "gateway: active on this node, because:\n  1. gw2 is dead\n     dead_ms 30, silence_ms 34.2\n  \
             2. no check fails here\n"
        );
    }
}
