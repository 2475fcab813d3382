//! Events for people, a line each; the phases of a handover in a second one.

use evergate_api::control::{Event, EventsEnd};

use super::age::clock;
use super::group::phases;
use super::page::{Page, Span, Style, dim, plain};

/// One event.
pub fn event(event: &Event, color: bool) -> String {
    let mut page = Page::new(color);
    let style = match event.event.as_str() {
        "alarm" => Style::Warn,
        "handover" => Style::Strong,
        _ => Style::Plain,
    };
    let group = event.group.as_ref().map(|group| format!("{group}: ")).unwrap_or_default();
    page.line([
        dim(clock(&event.time)),
        dim(format!("  #{:<4}  ", event.seq)),
        plain(format!("{}  ", event.node)),
        plain(group),
        Span::new(style, &event.text),
    ]);
    if let Some(phases) = event.phases_ms.as_ref().and_then(phases) {
        page.line([dim(format!("{:25}{phases}", ""))]);
    }
    page.finish()
}

/// The end of the list.
pub fn end(end: &EventsEnd, shown: u64, color: bool) -> String {
    let mut page = Page::new(color);
    if end.lost > 0 {
        let lost = end.lost;
        page.line([Span::new(Style::Warn, format!("{lost} older events are no longer kept"))]);
    }
    if shown == 0 {
        page.line([plain(format!("no events after #{}", end.seq))]);
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use evergate_api::status::PhasesMs;

    use super::*;

    #[test]
    fn an_event_is_one_line_and_its_phases_another() {
        let handover = Event {
            seq: 40,
            time: "2026-01-02T03:04:05.678Z".into(),
            node: "gw1".into(),
            group: Some("gateway".into()),
            event: "handover".into(),
            from: Some("standby".into()),
            to: Some("active".into()),
            reason: Some("peer-dead".into()),
            phases_ms: Some(PhasesMs {
                detect: Some(30.5),
                total: Some(33.0),
                ..PhasesMs::default()
            }),
            text: "gw2 is dead; took over".into(),
        };
        assert_eq!(
            event(&handover, false),
            "2026-01-02 03:04:05.678  #40    gw1  gateway: gw2 is dead; took over\n\
             \x20                        33 ms: detect 30.5\n"
        );
    }

    #[test]
    fn a_gap_in_the_list_is_told() {
        let text = end(&EventsEnd { seq: 900, lost: 7 }, 100, false);
        assert_eq!(text, "7 older events are no longer kept\n");
        assert_eq!(end(&EventsEnd { seq: 9, lost: 0 }, 0, false), "no events after #9\n");
        assert_eq!(end(&EventsEnd { seq: 9, lost: 0 }, 1, false), "");
    }
}
