//! `vrrp_instance`.

use evergate_api::config::model::INTERFACE_NAME_MAX;

use super::super::model::{Common, Garp, Instance, Notify, Peer, SECOND, Set};
use super::super::tree::Statement;
use super::values::integer;
use super::{Fate, Reader, fates};

impl Reader<'_> {
    pub(super) fn instance<'t>(&mut self, by: &'t Statement) -> Instance<'t> {
        let mut instance = empty(by);
        for statement in &by.inside {
            if !self.election(statement, &mut instance)
                && !self.wire(statement, &mut instance)
                && !self.lists(statement, &mut instance)
                && !self.garp(statement, statement.name(), &mut instance.garp)
                && !self.script_of(statement, &mut instance.notify)
            {
                self.rest(statement, &mut instance);
            }
        }
        instance
    }

    /// Who becomes master, and when.
    fn election<'t>(&mut self, by: &'t Statement, instance: &mut Instance<'t>) -> bool {
        match by.name() {
            "state" => self.state(by, instance),
            "priority" => {
                let new = self.number(by, &(1..=255), "100 stays");
                self.put(&mut instance.priority, new);
            }
            "preempt" | "nopreempt" => {
                let value = by.name() == "preempt";
                self.put(&mut instance.preempt, Some(Set { value, by, words: 1 }));
            }
            "preempt_delay" => {
                let new = self.seconds(by, 0..=1_000 * SECOND, "0 stays");
                self.put(&mut instance.preempt_delay, new);
            }
            "dont_track_primary" => {
                let new = self.flag(by);
                self.put(&mut instance.dont_track_primary, new);
            }
            _ => return false,
        }
        true
    }

    /// `MASTER` in other letters is unknown, and means BACKUP; BACKUP behind MASTER counts nothing.
    fn state<'t>(&mut self, by: &'t Statement, instance: &mut Instance<'t>) {
        match (by.value(), &instance.master) {
            ("MASTER", _) => {
                self.put(&mut instance.master, Some(Set { value: true, by, words: 2 }));
            }
            ("BACKUP", Some(before)) if before.value => {
                let first = self.on(before.by.place, by.place);
                let why = format!("passed over, as there: MASTER {first}");
                self.note(by, Fate::Exactly, why);
            }
            ("BACKUP", _) => {
                self.put(&mut instance.master, Some(Set { value: false, by, words: 2 }));
            }
            _ => self.unsupported(by, "no MASTER and no BACKUP: keepalived takes it for BACKUP"),
        }
    }

    /// What goes over the wire.
    fn wire<'t>(&mut self, by: &'t Statement, instance: &mut Instance<'t>) -> bool {
        match by.name() {
            "interface" => {
                let new = self.interface(by);
                self.put(&mut instance.interface, new);
            }
            "virtual_router_id" => {
                let new = self.number(by, &(1..=255), "keepalived does not start");
                self.put(&mut instance.vrid, new);
            }
            "version" => {
                let new = self.number(by, &(2..=3), "that of global_defs stays");
                self.put(&mut instance.version, new);
            }
            "advert_int" => {
                let new = self.seconds(by, 10_000..=255 * SECOND, "1 stays");
                self.put(&mut instance.advert, new);
            }
            "native_ipv6" => {
                let new = self.flag(by);
                self.put(&mut instance.native_ipv6, new);
            }
            "unicast_src_ip" | "mcast_src_ip" => {
                let new = self.address(by);
                self.put(&mut instance.source, new);
            }
            "mcast_dst_ip" => {
                let new = self.address(by);
                self.put(&mut instance.multicast, new);
            }
            "unicast_ttl" => {
                let new = self.number(by, &(1..=255), "255 stays");
                self.put(&mut instance.unicast_ttl, new);
            }
            "unicast_fault_no_peer" => {
                let new = self.flag(by);
                self.put(&mut instance.fault_no_peer, new);
            }
            "use_vmac" => self.vmac(by, instance),
            "vmac_xmit_base" => {
                let new = self.flag(by);
                self.put(&mut instance.xmit_base, new);
            }
            "accept" | "no_accept" => {
                let value = by.name() == "accept";
                self.put(&mut instance.accept, Some(Set { value, by, words: 1 }));
            }
            name => return self.common(by, name, &mut instance.common),
        }
        true
    }

    fn interface<'t>(&mut self, by: &'t Statement) -> Option<Set<'t, String>> {
        let new = self.word(by)?;
        if !is_interface(&new.value) {
            self.unsupported(by, "no interface can have this name");
            return None;
        }
        Some(new)
    }

    /// `use_vmac [[name] NAME] [MAC] [netlink_notify_msg] [group GROUP]`
    fn vmac<'t>(&mut self, by: &'t Statement, instance: &mut Instance<'t>) {
        let (mut name, mut words) = (None, 1);
        let mut at = 1;
        while let Some(word) = by.words.get(at) {
            match word.as_str() {
                "name" if at + 1 < by.words.len() => {
                    at += 1;
                    name = by.words.get(at).cloned();
                    words = at + 1;
                }
                "netlink_notify_msg" => self.some_words(by, at..at + 1, "the kernel's own news do"),
                "group" => {
                    self.some_words(by, at..at + 2, "the link is in no group");
                    at += 1;
                }
                mac if mac.contains(':') => {
                    self.some_words(by, at..at + 1, "the address is always that of the standard");
                }
                _ if name.is_none() => {
                    name = Some(word.clone());
                    words = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        if name.take_if(|name| !is_interface(name)).is_some() {
            self.some_words(by, words - 1..words, "no interface can have this name");
        }
        self.put(&mut instance.vmac, Some(Set { value: name, by, words }));
    }

    pub(super) fn some_words(&mut self, by: &Statement, words: std::ops::Range<usize>, why: &str) {
        self.ledger.note_words(by.id, &words.collect::<Vec<_>>(), Fate::Unsupported, why);
    }

    /// What stands in blocks of its own.
    fn lists<'t>(&mut self, by: &'t Statement, instance: &mut Instance<'t>) -> bool {
        match by.name() {
            "virtual_ipaddress" => {
                let new = by.inside.iter().filter_map(|line| self.virtual_address(line));
                instance.addresses.extend(new.collect::<Vec<_>>());
            }
            "virtual_ipaddress_excluded" => {
                let new = by.inside.iter().filter_map(|line| self.virtual_address(line));
                instance.excluded.extend(new.collect::<Vec<_>>());
            }
            "virtual_routes" => instance.routes.extend(&by.inside),
            "virtual_rules" => instance.rules.extend(&by.inside),
            "unicast_peer" => {
                let peers = by.inside.iter().filter_map(|line| self.peer(line)).collect();
                self.put(&mut instance.peers, Some(Set { value: peers, by, words: 1 }));
                return true;
            }
            "authentication" => {
                let auth = self.authentication(by);
                self.put(&mut instance.auth, Some(auth));
                return true;
            }
            "auth_hmac" => {
                let hmac = self.auth_hmac(by);
                self.put(&mut instance.hmac, Some(hmac));
                return true;
            }
            name if self.tracks(by, name, &mut instance.tracks) => {}
            _ => return false,
        }
        instance.blocks.push(by);
        true
    }

    /// `ADDRESS [min_ttl N] [max_ttl N]`
    fn peer<'t>(&mut self, by: &'t Statement) -> Option<Peer<'t>> {
        let Ok(address) = by.name().parse() else {
            self.unsupported(by, "no IP address");
            return None;
        };
        let at = by.words.iter().position(|word| word == "min_ttl");
        let min_ttl = at.and_then(|at| Some((integer(by.words.get(at + 1)?)?, at)));
        let min_ttl = min_ttl.and_then(|(value, at)| Some((u8::try_from(value).ok()?, at)));
        if let Some(at) = by.words.iter().position(|word| word == "max_ttl") {
            self.some_words(by, at..at + 2, "there is no upper bound");
        }
        Some(Peer { by, address, min_ttl })
    }

    fn rest<'t>(&mut self, by: &'t Statement, instance: &mut Instance<'t>) {
        if by.name() == "no_virtual_ipaddress" {
            let new = self.flag(by);
            return self.put(&mut instance.no_addresses, new);
        }
        self.idle(by, fates::INSTANCE, by.name());
    }
}

/// Can an interface have this name? A label such as `eth0:1` is none.
pub fn is_interface(name: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
    let is_path = name.is_empty() || name == "." || name == "..";
    !is_path && name.len() <= INTERFACE_NAME_MAX && !name.contains(bad)
}

fn empty(by: &Statement) -> Instance<'_> {
    Instance {
        by,
        name: by.value().to_owned(),
        version: None,
        native_ipv6: None,
        master: None,
        interface: None,
        vrid: None,
        priority: None,
        advert: None,
        source: None,
        peers: None,
        fault_no_peer: None,
        unicast_ttl: None,
        multicast: None,
        vmac: None,
        xmit_base: None,
        accept: None,
        preempt: None,
        preempt_delay: None,
        garp: Garp::default(),
        common: Common::default(),
        auth: None,
        hmac: None,
        addresses: Vec::new(),
        excluded: Vec::new(),
        no_addresses: None,
        routes: Vec::new(),
        rules: Vec::new(),
        tracks: Vec::new(),
        dont_track_primary: None,
        notify: Notify::default(),
        blocks: Vec::new(),
    }
}
