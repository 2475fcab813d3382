//! `global_defs`.

use super::super::model::{Common, Garp, Globals, Owner, SECOND, Set};
use super::super::tree::Statement;
use super::values::boolean;
use super::{Fate, Reader, fates};

/// The longest time that a key of seconds takes, in seconds: a day.
const SECONDS_MAX: i64 = 86_400;
/// The longest `vrrp_startup_delay`, in microseconds.
const STARTUP_MAX: u64 = 86_400 * SECOND;

impl Reader<'_> {
    pub(super) fn globals<'t>(&mut self, block: &'t Statement, globals: &mut Globals<'t>) {
        for statement in &block.inside {
            self.global(statement, globals);
        }
    }

    fn global<'t>(&mut self, by: &'t Statement, globals: &mut Globals<'t>) {
        let default = "its default stays";
        match by.name() {
            "router_id" => {
                let new = self.word(by);
                self.put(&mut globals.router_id, new);
            }
            "vrrp_version" => {
                let new = self.number(by, &(2..=3), "2 stays");
                self.put(&mut globals.version, new);
            }
            "vrrp_mcast_group4" => {
                let new = self.address(by);
                self.put(&mut globals.multicast4, new);
            }
            "vrrp_mcast_group6" => {
                let new = self.address(by);
                self.put(&mut globals.multicast6, new);
            }
            "vrrp_min_garp" => {
                let new = self.flag(by);
                self.put(&mut globals.min_garp, new);
            }
            "vrrp_garp_interval" => {
                let new = self.seconds(by, 0..=SECOND, default);
                self.put(&mut globals.garp_interval, new);
            }
            "vrrp_gna_interval" => {
                let new = self.seconds(by, 0..=SECOND, default);
                self.put(&mut globals.gna_interval, new);
            }
            "vrrp_startup_delay" => {
                let new = self.seconds(by, 0..=STARTUP_MAX, default);
                self.put(&mut globals.startup_delay, new);
            }
            "vmac_prefix" => {
                let new = self.word(by);
                self.put(&mut globals.vmac_prefix, new);
            }
            "script_user" => {
                let new = self.owner(by);
                self.put(&mut globals.script_user, new);
            }
            "notify_fifo"
            | "vrrp_notify_fifo"
            | "notify_fifo_script"
            | "vrrp_notify_fifo_script" => self.fifo(by, globals),
            "vrrp_skip_check_adv_addr" if boolean(by.value()) == Some(false) => {
                self.note(by, Fate::Changed, "no advert is refused for its addresses, ever");
            }
            name => {
                let plain = name.strip_prefix("vrrp_").unwrap_or(name);
                let is_garp =
                    name.starts_with("vrrp_garp_") && self.garp(by, plain, &mut globals.garp);
                if !is_garp && !self.common(by, plain, &mut globals.common) {
                    self.idle(by, fates::GLOBAL, name);
                }
            }
        }
    }

    fn fifo<'t>(&mut self, by: &'t Statement, globals: &mut Globals<'t>) {
        if by.name().ends_with("_script") {
            let Some(new) = self.script(by) else { return };
            match &globals.fifo_script {
                None => globals.fifo_script = Some(new),
                Some(_) => self.unsupported(by, "one FIFO is written, the first"),
            }
            return;
        }
        let Some(path) = self.word(by) else { return };
        let owner = Owner {
            user: by.words.get(2).cloned().unwrap_or_default(),
            group: by.words.get(3).cloned().unwrap_or_default(),
        };
        match &globals.fifo {
            None => {
                let words = by.words.len().min(3);
                let value = (path.value, owner);
                globals.fifo = Some(Set { value, by, words });
            }
            Some(_) => self.unsupported(by, "one FIFO is written, the first"),
        }
    }

    /// Reads a key of announcements, without `vrrp_`. False if it is none.
    pub(super) fn garp<'t>(&mut self, by: &'t Statement, name: &str, garp: &mut Garp<'t>) -> bool {
        let (slot, least) = match name {
            "garp_master_delay" => (&mut garp.delay, 0),
            "garp_master_repeat" => (&mut garp.repeat, 1),
            "garp_master_refresh" => (&mut garp.refresh, 0),
            "garp_master_refresh_repeat" => (&mut garp.refresh_repeat, 1),
            "garp_lower_prio_delay" => (&mut garp.lower_delay, 0),
            "garp_lower_prio_repeat" => (&mut garp.lower_repeat, 0),
            _ => return false,
        };
        let new = self.number(by, &(least..=SECONDS_MAX), "its default stays");
        self.put(slot, new);
        true
    }

    /// Reads a key that an instance may have too, without `vrrp_`. False if it is none.
    pub(super) fn common<'t>(
        &mut self,
        by: &'t Statement,
        name: &str,
        common: &mut Common<'t>,
    ) -> bool {
        let slot = match name {
            "down_timer_adverts" => {
                let new = self.number(by, &(1..=100), "3 stays");
                self.put(&mut common.down_timer, new);
                return true;
            }
            "lower_prio_no_advert" => &mut common.lower_no_advert,
            "higher_prio_send_advert" => &mut common.higher_send_advert,
            "check_unicast_src" => &mut common.check_unicast,
            "strict" | "strict_mode" => &mut common.strict,
            "v3_checksum_as_v2" => &mut common.plain_checksum,
            _ => return false,
        };
        let new = self.flag(by);
        self.put(slot, new);
        true
    }
}
