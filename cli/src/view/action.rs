//! The ends of actions for people.

use evergate_api::control::{
    ActionReply, ReloadReply, ReloadResult, SwitchoverReply, SwitchoverResult,
};

use super::age;
use super::group::phases;
use super::page::{Page, Span, Style, dim, plain};

/// The end of a planned handover.
pub fn switchover(end: &SwitchoverReply, color: bool) -> String {
    let mut page = Page::new(color);
    let (style, word) = match &end.result {
        SwitchoverResult::Done => (Style::Good, "done"),
        SwitchoverResult::Refused => (Style::Warn, "refused, nothing was changed"),
        SwitchoverResult::Failed => (Style::Bad, "begun and not completed"),
        SwitchoverResult::Other(word) => (Style::Warn, word.as_str()),
    };
    page.line([
        plain(format!("switchover of {}: ", end.group)),
        Span::new(style, word),
        plain(format!(": {}", end.text)),
    ]);
    if end.result != SwitchoverResult::Done {
        page.next(2, &format!("evergate why {}", end.group));
        return page.finish();
    }
    let node = |node: &Option<String>| node.clone().unwrap_or_else(|| "nobody".to_owned());
    let gap = match end.gap_ms {
        Some(gap) => format!("nobody served for {}", age::span(gap)),
        None => "the gap was not measured".to_owned(),
    };
    page.line([plain(format!("  from {} to {}; {gap}", node(&end.from), node(&end.to)))]);
    if let Some(phases) = end.phases_ms.as_ref().and_then(phases) {
        page.line([dim(format!("  {phases}"))]);
    }
    page.line([plain("  back: "), plain(format!("evergate failback {}", end.group))]);
    page.finish()
}

/// The end of a lock, an unlock or a failback.
pub fn done(done: &ActionReply, color: bool) -> String {
    let mut page = Page::new(color);
    let style = if done.changed { Style::Good } else { Style::Dim };
    let word = if done.changed { "done" } else { "so already" };
    page.line([Span::new(style, word), plain(format!(": {}", done.text))]);
    page.finish()
}

/// The end of a reload.
pub fn reload(end: &ReloadReply, color: bool) -> String {
    let mut page = Page::new(color);
    let (style, text) = match &end.result {
        ReloadResult::Applied => (Style::Good, "applied: the new configuration is in force"),
        ReloadResult::Unchanged => (Style::Good, "unchanged: this configuration runs already"),
        ReloadResult::Planned => (Style::Plain, "planned: a reload would do this"),
        ReloadResult::Refused => (Style::Bad, "refused: nothing was changed"),
        ReloadResult::Other(word) => (Style::Warn, word.as_str()),
    };
    page.line([Span::new(style, text)]);
    for line in &end.plan {
        page.block(2, line);
    }
    for problem in end.warnings.iter().chain(&end.errors) {
        page.blank();
        page.block(0, problem);
    }
    if !end.errors.is_empty() {
        page.blank();
        page.next(0, "correct the file, evergate check it, evergate reload");
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(result: SwitchoverResult, text: &str) -> SwitchoverReply {
        SwitchoverReply {
            group: "gateway".into(),
            result,
            from: Some("gw1".into()),
            to: Some("gw2".into()),
            gap_ms: Some(0.0),
            phases_ms: None,
            text: text.into(),
        }
    }

    #[test]
    fn a_switchover_that_is_done_prints_the_gap_and_the_way_back() {
        assert_eq!(
            switchover(&reply(SwitchoverResult::Done, "gw2 is active"), false),
            "switchover of gateway: done: gw2 is active\n  \
             from gw1 to gw2; nobody served for 0 ms\n  back: evergate failback gateway\n"
        );
    }

    #[test]
    fn a_refusal_says_why_and_that_nothing_changed() {
        assert_eq!(
            switchover(&reply(SwitchoverResult::Refused, "gw2 is in fault: no carrier"), false),
            "switchover of gateway: refused, nothing was changed: gw2 is in fault: no carrier\n  \
             next: evergate why gateway\n"
        );
    }

    #[test]
    fn a_refused_reload_shows_every_error_and_that_nothing_changed() {
        let end = ReloadReply {
            result: ReloadResult::Refused,
            plan: vec![],
            warnings: vec!["warning: w\n --> f:1:1".into()],
            errors: vec!["error: e\n --> f:2:1".into()],
        };
        assert_eq!(
            reload(&end, false),
            "refused: nothing was changed\n\nwarning: w\n --> f:1:1\n\nerror: e\n --> f:2:1\n\n\
             next: correct the file, evergate check it, evergate reload\n"
        );
    }

    #[test]
    fn a_lock_that_was_there_is_no_change() {
        let lock = |changed| ActionReply { groups: vec![], changed, text: "gw1 is locked".into() };
        assert_eq!(done(&lock(false), false), "so already: gw1 is locked\n");
        assert_eq!(done(&lock(true), false), "done: gw1 is locked\n");
    }
}
