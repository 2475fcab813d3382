//! The part of the chain that speaks of checks.

use evergate_core::check::{Check, CheckConfig, Source, Standing, Tracked};
use evergate_core::group::Scene;

use super::{Figures, Lines, Sources};
use crate::facts::LastLook;
use crate::words;

/// Each check that the group tracks: how it stands, since when, what the last look found, and what that
/// does.
pub(super) fn checks(sources: &Sources, scene: &Scene, lines: &mut Lines) {
    for tracked in &scene.config.track {
        let position = tracked.check.index();
        let checks = sources.node.checks().get(position).zip(sources.config.checks.get(position));
        if let Some((check, config)) = checks {
            one(sources, tracked, check, config, lines);
        }
    }
    if scene.config.track.iter().any(|tracked| is_told(sources, tracked)) && !sources.facts.runner {
        let text = "the process that makes checks is not there: what they said last counts";
        lines.add(text.to_owned(), Figures::default().is("runner", false));
    }
}

fn is_told(sources: &Sources, tracked: &Tracked) -> bool {
    let config = sources.config.checks.get(tracked.check.index());
    config.is_some_and(|config| config.source == Source::Told)
}

fn one(
    sources: &Sources,
    tracked: &Tracked,
    check: &Check,
    config: &CheckConfig,
    lines: &mut Lines,
) {
    let age = sources.now.since(check.since);
    let stands = match check.standing {
        Standing::Unknown => "has no result yet".to_owned(),
        Standing::Value(value) => format!("reads {value}"),
        Standing::Passes | Standing::Fails => words::standing(check.standing),
    };
    let invert = if config.invert { ", inverted" } else { "" };
    let look = sources.facts.looks.get(&config.name);
    let last = look.map_or_else(String::new, |look| last(sources, look));
    let text = format!(
        "check {} ({}{invert}) {stands} for {} (since {}): {}{last}{}",
        config.name,
        config.test,
        words::span(age),
        sources.clock.rfc3339(check.since),
        effect(tracked, check.standing),
        turn(check, config),
    );
    let mut figures = Figures::default().ms("stands_for_ms", age);
    if tracked.weight.is_some() {
        figures = figures.number("weight", f64::from(tracked.term(check.standing)));
    }
    if let Some(look) = look {
        figures = figures.ms("looked_ms_ago", sources.now.since(look.at)).ms("took_ms", look.took);
        if let Some(status) = look.status {
            figures = figures.number("exit_status", f64::from(status));
        }
    }
    lines.add(text, figures.is("fault", tracked.is_fault(check.standing)));
}

/// What the group makes of it.
fn effect(tracked: &Tracked, standing: Standing) -> String {
    match tracked.weight {
        _ if tracked.is_fault(standing) => "a reason for fault".to_owned(),
        None => "a failure would be a fault".to_owned(),
        Some(weight) => format!("{:+} of {weight:+}", tracked.term(standing)),
    }
}

fn last(sources: &Sources, look: &LastLook) -> String {
    let ago = words::span(sources.now.since(look.at));
    format!("; last look {ago} ago, in {}: {}", words::span(look.took), look.text)
}

/// How far it is from standing otherwise.
fn turn(check: &Check, config: &CheckConfig) -> String {
    let needed = if check.standing == Standing::Passes { config.fall } else { config.rise };
    match check.contrary {
        0 => String::new(),
        contrary => format!("; {contrary} of {needed} results in a row say otherwise"),
    }
}
