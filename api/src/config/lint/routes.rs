//! Routes and rules that are there twice.

use super::Lint;
use crate::config::model::{Route, Rule};
use crate::config::report::{Problem, Span};

impl Lint<'_> {
    /// The kernel has a route or a rule once, and one group would take that of the other away.
    pub(super) fn routes(&mut self) {
        let config = self.config;
        let mut routes: Vec<(&Route, Span)> = Vec::new();
        let mut rules: Vec<(&Rule, Span)> = Vec::new();
        for (name, group) in &config.groups {
            let at = self.place(&["group", name, "routes"]);
            for route in &group.routes {
                let first = routes.iter().find(|(other, _)| other.is_same(route));
                if let Some((_, place)) = first.copied() {
                    let text =
                        format!("{route} has the destination, table and metric of another one");
                    let help = "a route belongs to one group; give it another `metric`";
                    self.twice_listed("same-route", text, (at, place), help);
                }
                routes.push((route, at));
            }
            let at = self.place(&["group", name, "rules"]);
            for rule in &group.rules {
                let first = rules.iter().find(|(other, _)| other.is_same(rule));
                if let Some((_, place)) = first.copied() {
                    let text = format!("{rule} is there twice");
                    self.twice_listed(
                        "same-rule",
                        text,
                        (at, place),
                        "a rule belongs to one group",
                    );
                }
                rules.push((rule, at));
            }
        }
    }

    fn twice_listed(&mut self, code: &'static str, text: String, places: (Span, Span), help: &str) {
        let (at, first) = places;
        let problem = Problem::error(code, text).at(at).help(help);
        self.push(if at == first { problem } else { problem.also(first, "the other") });
    }
}
