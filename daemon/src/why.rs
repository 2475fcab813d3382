//! `why GROUP`: the chain of reasons behind the state of a group, from the conclusion to the facts,
//! with every figure that was used.
mod checks;
mod group;
mod peers;
mod procedures;
#[cfg(test)]
mod tests;

use std::time::Duration;

use evergate_api::control::{WhyLine, WhyReply};
use evergate_core::config::Config;
use evergate_core::ident::GroupId;
use evergate_core::{Instant, Node};

use crate::facts::Facts;
use crate::wall_clock::WallClock;
use crate::words;

/// All that the chain is made of.
#[derive(Clone, Copy)]
struct Sources<'a> {
    node: &'a Node,
    config: &'a Config,
    facts: &'a Facts,
    now: Instant,
    clock: &'a WallClock,
}

/// Why a group is where it is, as this node sees it. The group must be one of the configuration.
pub fn why(
    node: &Node,
    facts: &Facts,
    group: GroupId,
    now: Instant,
    clock: &WallClock,
) -> WhyReply {
    let sources = Sources { node, config: node.config(), facts, now, clock };
    let mut lines = Lines::default();
    node.with_scene(now, group, |scene, state| {
        group::conclusion(&sources, scene, state, &mut lines);
        group::obstacles(&sources, scene, state, &mut lines);
        group::ranks(&sources, scene, state, &mut lines);
        checks::checks(&sources, scene, &mut lines);
        group::timers(&sources, scene, state, &mut lines);
        procedures::procedures(&sources, scene, &mut lines);
        group::operator(&sources, scene, state, &mut lines);
        group::kernel(&sources, scene, state, &mut lines);
    });
    for peer in node.peers() {
        peers::peer(&sources, peer, &mut lines);
    }
    peers::segments(&sources, &mut lines);
    WhyReply {
        group: words::group(node.config(), group).to_owned(),
        state: words::state(node.groups()[group.index()].role()),
        lines: lines.0,
    }
}

impl Sources<'_> {
    fn name(&self, node: evergate_core::ident::NodeId) -> &str {
        words::node(self.config, node)
    }

    /// How long ago something was, if it was.
    fn since(&self, at: Option<Instant>) -> Option<Duration> {
        at.map(|at| self.now.since(at))
    }
}

/// The chain as it grows.
#[derive(Default)]
struct Lines(Vec<WhyLine>);

impl Lines {
    fn add(&mut self, text: String, figures: Figures) {
        self.0.push(WhyLine { text, figures: figures.0 });
    }
}

/// The figures of one line, by name with their unit.
#[derive(Default)]
struct Figures(std::collections::BTreeMap<String, f64>);

impl Figures {
    fn number(mut self, name: &str, value: f64) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    fn ms(self, name: &str, span: Duration) -> Self {
        self.number(name, words::millis(span))
    }

    fn ms_if(self, name: &str, span: Option<Duration>) -> Self {
        match span {
            Some(span) => self.ms(name, span),
            None => self,
        }
    }

    fn is(self, name: &str, value: bool) -> Self {
        self.number(name, if value { 1.0 } else { 0.0 })
    }
}

/// A span, or that there is none.
fn or_never(span: Option<Duration>) -> String {
    span.map_or_else(|| "never".to_owned(), |span| format!("{} ago", words::span(span)))
}
