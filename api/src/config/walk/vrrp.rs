//! `[vrrp]` and `[group.NAME.vrrp]`.

use std::time::Duration;

use super::Walker;
use crate::config::model::{Checksum, DOWN_AFTER_MAX, START_DELAY_MAX, Vrrp, VrrpVersion};
use crate::config::tree::Table;
use crate::config::words::Place;

impl Walker<'_> {
    pub(super) fn vrrp(
        &mut self,
        table: &Table,
        place: Place,
        names: &[&str],
        defaults: &Vrrp,
    ) -> Vrrp {
        self.unknown(table, place, names);
        let mut vrrp = defaults.clone();
        if let Some(entry) = table.entries.get("version")
            && let Some(number) = self.octet(&entry.node, "version", 2, 3)
        {
            vrrp.version = if number == 2 { VrrpVersion::V2 } else { VrrpVersion::V3 };
        }
        if let Some(entry) = table.entries.get("advert") {
            let limits = (Duration::from_millis(10), Duration::from_secs(255));
            vrrp.advert = self.duration(&entry.node, "advert", limits).unwrap_or(vrrp.advert);
        }
        if let Some(entry) = table.entries.get("checksum") {
            let words = [
                ("auto", Checksum::Auto),
                ("pseudo", Checksum::Pseudo),
                ("plain", Checksum::Plain),
            ];
            vrrp.checksum = self.word(&entry.node, "checksum", &words).unwrap_or(vrrp.checksum);
        }
        let auth = table.entries.get("auth");
        if let Some(auth) = auth.and_then(|entry| self.auth(&entry.node)) {
            vrrp.auth = auth;
        }
        self.conduct(table, &mut vrrp);
        vrrp
    }

    /// What it does towards other routers.
    fn conduct(&mut self, table: &Table, vrrp: &mut Vrrp) {
        let get = |key: &str| table.entries.get(key).map(|entry| &entry.node);
        let down_after = get("down_after");
        if let Some(n) = down_after.and_then(|n| self.octet(n, "down_after", 1, DOWN_AFTER_MAX)) {
            vrrp.down_after = n;
        }
        if let Some(answer) = get("answer_lower").and_then(|n| self.boolean(n, "answer_lower")) {
            vrrp.answer_lower = answer;
        }
        let before = get("advert_before_yield");
        if let Some(before) = before.and_then(|n| self.boolean(n, "advert_before_yield")) {
            vrrp.advert_before_yield = before;
        }
        let limits = (Duration::ZERO, START_DELAY_MAX);
        let delay = get("start_delay");
        if let Some(delay) = delay.and_then(|n| self.duration(n, "start_delay", limits)) {
            vrrp.start_delay = delay;
        }
    }
}
