//! The gap as a picture: every probe a mark, the takeover's moments below.

use std::fmt::Write;
use std::time::Duration;

use crate::clock::ms;
use crate::figures::millis;
use crate::run::Outcome;
use crate::topology::is_virtual;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 30.0;
const MARKS_TOP: f64 = 92.0;
const MARKS_BOTTOM: f64 = 162.0;
/// Where the moments are told, one below the other.
const MOMENTS_TOP: f64 = MARKS_BOTTOM + 64.0;
/// About how wide a letter is.
const LETTER: f64 = 7.0;
/// The most probes drawn; of more, only some are, evenly.
const MAX_MARKS: usize = 2000;
/// The shortest stretch that is drawn, in milliseconds.
const MIN_SPAN_MS: f64 = 60.0;

/// Milliseconds after the fault to pixels.
struct Scale {
    from: f64,
    to: f64,
}

impl Scale {
    fn x(&self, at: f64) -> f64 {
        LEFT + (at - self.from) / (self.to - self.from) * (WIDTH - LEFT - RIGHT)
    }
}

/// Draws an outcome as SVG; `name` is the program that was under test.
pub fn draw(outcome: &Outcome, name: &str) -> String {
    let scale = scale(outcome);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let what = outcome.act.describe(outcome.victim);
    let outage = millis(outcome.outage_ms());
    text(&mut svg, LEFT, 32.0, "start", "#222", &format!("{name}: {what}"));
    let lost = outcome.record.lost();
    let mut line =
        format!("outage {outage}, {lost} of {} probes lost", outcome.record.samples.len());
    if let Some(load) = &outcome.load {
        let _ = write!(line, ", {} of {} connections alive", load.alive, load.opened);
    }
    text(&mut svg, LEFT, 54.0, "start", "#666", &line);
    marks(&mut svg, outcome, &scale);
    moments(&mut svg, outcome, &scale);
    axis(&mut svg, &scale);
    svg.push_str("</svg>\n");
    svg
}

fn scale(outcome: &Outcome) -> Scale {
    let gap = outcome.record.longest();
    let end = gap.map_or(0.0, |gap| ms(gap.to) - ms(outcome.at));
    let start = gap.map_or(0.0, |gap| ms(gap.from) - ms(outcome.at)).min(0.0);
    let span = (end - start).max(MIN_SPAN_MS);
    Scale { from: start - span * 0.3, to: start + span * 1.5 }
}

fn marks(svg: &mut String, outcome: &Outcome, scale: &Scale) {
    let at = |sent: Duration| ms(sent) - ms(outcome.at);
    let shown: Vec<_> = outcome
        .record
        .samples
        .iter()
        .filter(|sample| (scale.from..=scale.to).contains(&at(sample.sent)))
        .collect();
    let step = shown.len().div_ceil(MAX_MARKS).max(1);
    if let Some(gap) = outcome.record.longest() {
        let (from, to) = (scale.x(at(gap.from)), scale.x(at(gap.to)));
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{MARKS_TOP}\" width=\"{:.1}\" height=\"{}\" fill=\"#fde8e8\"/>",
            to - from,
            MARKS_BOTTOM - MARKS_TOP
        );
        let (middle, y) = (f64::midpoint(from, to), MARKS_TOP - 10.0);
        text(
            svg,
            middle,
            y,
            "middle",
            "#d64545",
            &format!("no answer for {}", millis(ms(gap.length()))),
        );
    }
    for sample in shown.into_iter().step_by(step) {
        let x = scale.x(at(sample.sent));
        let (top, colour) = match sample.answered {
            Some(_) => (MARKS_TOP + 10.0, "#2e9e5b"),
            None => (MARKS_BOTTOM - 14.0, "#d64545"),
        };
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{MARKS_BOTTOM}\" stroke=\"{colour}\"/>"
        );
    }
    text(svg, LEFT - 10.0, MARKS_TOP + 24.0, "end", "#2e9e5b", "answered");
    text(svg, LEFT - 10.0, MARKS_BOTTOM - 2.0, "end", "#d64545", "lost");
}

fn axis(svg: &mut String, scale: &Scale) {
    let step = tick(scale.to - scale.from);
    // The figures stand on white, as the lines of the moments end below them.
    let _ = writeln!(
        svg,
        "<rect x=\"0\" y=\"{}\" width=\"{WIDTH}\" height=\"34\" fill=\"#ffffff\"/>",
        MARKS_BOTTOM + 6.0
    );
    let (right, y) = (WIDTH - RIGHT, MARKS_BOTTOM + 38.0);
    text(svg, right, y, "end", "#666", "time after the fault, for each probe when it was sent");
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{MARKS_BOTTOM}\" y2=\"{MARKS_BOTTOM}\" stroke=\"#999\"/>",
        WIDTH - RIGHT
    );
    let mut at = (scale.from / step).ceil() * step;
    while at <= scale.to {
        let x = scale.x(at);
        let y = MARKS_BOTTOM + 5.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{MARKS_BOTTOM}\" y2=\"{y}\" stroke=\"#999\"/>"
        );
        // Adding zero turns -0 into 0.
        text(svg, x, MARKS_BOTTOM + 20.0, "middle", "#666", &format!("{} ms", at + 0.0));
        at += step;
    }
}

/// A round distance between ticks for about eight of them.
fn tick(span: f64) -> f64 {
    let rough = span / 8.0;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|one| one * power)
        .find(|one| *one >= rough)
        .unwrap_or(rough)
}

fn moments(svg: &mut String, outcome: &Outcome, scale: &Scale) {
    let mut told = vec![(0.0, "the fault".to_owned())];
    for (at, node, address, present) in outcome.address_moves() {
        if present && is_virtual(&address) {
            told.push((at, format!("{node} has {address}")));
        }
    }
    told.retain(|(at, _)| (scale.from..=scale.to).contains(at));
    // The first stands lowest: so its line passes left of all that is told later.
    let rows = (0..told.len()).rev().map(|row| MOMENTS_TOP + 20.0 * row as f64);
    let placed: Vec<_> = told.into_iter().zip(rows).collect();
    for ((at, _), y) in &placed {
        let x = scale.x(*at);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{y}\" stroke=\"#3b6fb6\" stroke-dasharray=\"3 3\"/>",
            MARKS_TOP - 4.0
        );
    }
    for ((at, what), y) in placed {
        let what = format!("{what} ({at:+.1} ms)");
        let (x, width) = (scale.x(at), what.len() as f64 * LETTER);
        let (anchor, offset, left) = if x + width + 6.0 > WIDTH {
            ("end", -6.0, x - 6.0 - width)
        } else {
            ("start", 6.0, x + 4.0)
        };
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"17\" fill=\"#ffffff\"/>",
            y - 13.0
        );
        text(svg, x + offset, y, anchor, "#3b6fb6", &what);
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, what: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{what}</text>"
    );
}
