//! The part of the chain that speaks of procedures.

use evergate_core::group::Scene;

use super::{Figures, Lines, Sources};
use crate::facts::LastProcedure;
use crate::words;

/// What was run for the last transition of the group, and how it ended.
pub(super) fn procedures(sources: &Sources, scene: &Scene, lines: &mut Lines) {
    let Some(facts) = sources.facts.procedures.get(&scene.config.name) else { return };
    let figures = |count: usize| {
        #[allow(clippy::cast_precision_loss, reason = "it is shown, not counted with")]
        let sequence = facts.sequence as f64;
        let waiting = u32::try_from(count).unwrap_or(u32::MAX);
        Figures::default().number("sequence", sequence).number("waiting", f64::from(waiting))
    };
    for last in &facts.ended {
        lines.add(ended(sources, facts.to, last), outcome(figures(facts.waiting), last));
    }
    if let Some(running) = &facts.running {
        let text = format!(
            "procedure {running} ({}) runs; {} transitions wait behind it",
            facts.to, facts.waiting
        );
        lines.add(text, figures(facts.waiting));
        if !sources.facts.runner {
            let text = "the process that runs procedures is not there: the next one begins with it";
            lines.add(text.to_owned(), Figures::default().is("runner", false));
        }
    }
}

fn ended(sources: &Sources, to: &str, last: &LastProcedure) -> String {
    format!(
        "procedure {} ({to}) ended {} ago, in {}: {}",
        last.name,
        words::span(sources.now.since(last.at)),
        words::span(last.outcome.took),
        last.outcome.text
    )
}

fn outcome(figures: Figures, last: &LastProcedure) -> Figures {
    let figures = figures.ms("took_ms", last.outcome.took).is("ok", last.outcome.well);
    match last.outcome.status {
        Some(status) => figures.number("exit_status", f64::from(status)),
        None => figures,
    }
}
