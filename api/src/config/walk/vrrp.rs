//! `[vrrp]` and `[group.NAME.vrrp]`.

use std::net::IpAddr;
use std::time::Duration;

use super::Walker;
use crate::config::model::{Checksum, DOWN_AFTER_MAX, START_DELAY_MAX, Vrrp, VrrpVersion};
use crate::config::tree::{Node, Table, Value};
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
        self.hop_limits(table, &mut vrrp);
        if let Some(entry) = table.entries.get("multicast") {
            self.multicast(&entry.node, &mut vrrp);
        }
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

    fn hop_limits(&mut self, table: &Table, vrrp: &mut Vrrp) {
        let mut octet = |key: &str| {
            let entry = table.entries.get(key)?;
            self.octet(&entry.node, key, 1, u8::MAX)
        };
        vrrp.hop_limit = octet("hop_limit").unwrap_or(vrrp.hop_limit);
        vrrp.min_hop_limit = octet("min_hop_limit").or(vrrp.min_hop_limit);
    }

    /// The multicast groups, by family.
    fn multicast(&mut self, node: &Node, vrrp: &mut Vrrp) {
        let Value::Table(table) = &node.value else {
            return self.wrong_type(node, "multicast", "a table, as in { ipv4 = \"224.0.0.18\" }");
        };
        self.unknown(table, Place::Multicast, &[]);
        for (key, example) in [("ipv4", "224.0.0.18"), ("ipv6", "ff02::12")] {
            let Some(entry) = table.entries.get(key) else { continue };
            let Some(group) = self.ip(&entry.node, key) else { continue };
            match group {
                IpAddr::V4(group) if key == "ipv4" && group.is_multicast() => {
                    vrrp.multicast_v4 = Some(group);
                }
                IpAddr::V6(group) if key == "ipv6" && group.is_multicast() => {
                    vrrp.multicast_v6 = Some(group);
                }
                _ => {
                    let text = format!("{group} is no multicast group of {key}, such as {example}");
                    self.wrong(entry.node.at, text);
                }
            }
        }
    }
}
