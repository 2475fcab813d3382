//! `announce` of a router or a group.

use std::time::Duration;

use super::Walker;
use crate::config::model::{
    ANNOUNCE_INTERVAL_MAX, ANNOUNCE_MAX, ANNOUNCE_MIN, ANNOUNCE_REPEAT_MAX, Announce,
};
use crate::config::report::Problem;
use crate::config::tree::{Node, Table, Value};
use crate::config::words::Place;

impl Walker<'_> {
    /// How addresses are announced; the inner value is none where they are not.
    pub(super) fn announce(&mut self, node: &Node) -> Option<Option<Announce>> {
        match &node.value {
            Value::Boolean(true) => Some(Some(Announce::default())),
            Value::Boolean(false) => Some(None),
            Value::Table(table) => Some(Some(self.schedule(table))),
            _ => {
                let refresh = self.duration(node, "announce", (ANNOUNCE_MIN, ANNOUNCE_MAX))?;
                Some(Some(Announce { refresh: Some(refresh), ..Announce::default() }))
            }
        }
    }

    fn schedule(&mut self, table: &Table) -> Announce {
        self.unknown(table, Place::Announce, &[]);
        let whole = (Duration::ZERO, ANNOUNCE_MAX);
        let repeat = self.times(table, "repeat", 1).unwrap_or(1);
        let again_after = self.span(table, "again_after", whole).unwrap_or_default();
        let refresh = self.span(table, "refresh", (ANNOUNCE_MIN, ANNOUNCE_MAX));
        let refresh_repeat = self.times(table, "refresh_repeat", 1);
        if let Some(entry) = table.entries.get("refresh_repeat")
            && !table.entries.contains_key("refresh")
        {
            let text = "`refresh_repeat` means nothing without `refresh`";
            let help = "say how often: refresh = \"60s\"";
            self.push(Problem::warning("no-effect", text).at(entry.key).help(help));
        }
        Announce {
            repeat,
            again_after,
            refresh,
            refresh_repeat: refresh_repeat.unwrap_or(1),
            lower_repeat: self.times(table, "lower_repeat", 0).unwrap_or(repeat),
            lower_after: self.span(table, "lower_after", whole).unwrap_or(again_after),
            interval: self
                .span(table, "interval", (Duration::ZERO, ANNOUNCE_INTERVAL_MAX))
                .unwrap_or_default(),
        }
    }

    fn times(&mut self, table: &Table, key: &str, least: u16) -> Option<u16> {
        let entry = table.entries.get(key)?;
        self.integer(&entry.node, key, least, ANNOUNCE_REPEAT_MAX)
    }

    fn span(&mut self, table: &Table, key: &str, limits: (Duration, Duration)) -> Option<Duration> {
        self.duration(&table.entries.get(key)?.node, key, limits)
    }
}
