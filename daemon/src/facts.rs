//! What the node thread knows beside the machine's own state: read from the kernel, counted at the
//! door, or measured while effects were carried out. Status and `why` are made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use evergate_api::router::ActiveReason;
use evergate_api::status::LastHandover;
use evergate_core::Instant;
use evergate_core::config::Config;
use evergate_core::effect::{Cause, Note};
use evergate_core::fault::Fault;
use evergate_core::heartbeat::Role;
use evergate_core::ident::{GroupId, InterfaceId, RouterId};
use evergate_core::procedure::{Outcome, Transition};

use crate::drive::WaysState;
use crate::kernel::virtual_links::VirtualLink;
use crate::replicate::Standing;

/// The facts around a running node.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The name of the cluster.
    pub cluster: String,
    /// The kernel's boot identifier.
    pub boot_id: String,
    /// How often a configuration was applied since the process began, from 1.
    pub generation: u64,
    /// The digest of the configuration, as people see it.
    pub config_hash: String,
    /// The number of the newest event.
    pub seq: u64,
    /// Addresses that the kernel has, by interface: read from it, never believed. IPv6 addresses
    /// that are still tentative are not in it.
    pub present: BTreeSet<(InterfaceId, IpAddr)>,
    /// Addresses that somebody has removed and that are not put back: the file says so.
    pub left_alone: BTreeSet<(InterfaceId, IpAddr)>,
    /// How routes and rules of groups fare where there is something to tell.
    pub ways: BTreeMap<GroupId, WaysState>,
    /// The routers whose node does not take packets to their addresses for itself.
    pub unaccepted: BTreeSet<(GroupId, RouterId)>,
    /// Why such packets are taken all the same, if they are.
    pub accept_failure: Option<String>,
    /// The links with virtual MAC addresses that the configuration asks for.
    pub links: BTreeMap<(GroupId, RouterId), Arc<VirtualLink>>,
    /// Since when each reason for fault has been there.
    pub faults: BTreeMap<(GroupId, Fault), Instant>,
    /// The last takeover or handover of each group.
    pub handovers: BTreeMap<GroupId, LastHandover>,
    /// What was counted and heard on each router.
    pub routers: BTreeMap<(GroupId, RouterId), RouterFacts>,
    /// When the process began.
    pub started: Option<Instant>,
    /// Since when each group takes part: it is neither starting nor kept from its role.
    pub taking_part: BTreeMap<GroupId, Instant>,
    /// Counters of the node: packets refused by cause, events lost, pauses.
    pub counters: BTreeMap<&'static str, u64>,
    /// The scheduling that was granted, in words.
    pub scheduling: String,
    /// The newest version that each peer has named, by node number.
    pub versions: BTreeMap<u16, String>,
    /// Routers of another make that were heard on a router: address, priority, when.
    pub foreign: BTreeMap<(GroupId, RouterId), (IpAddr, u8, Instant)>,
    /// Adverts of routers of another make that were refused: from whom, by which counter's name, when.
    pub refused: BTreeMap<(GroupId, RouterId), (IpAddr, &'static str, Instant)>,
    /// When a router last had no source address to send an advert from.
    pub mute: BTreeMap<(GroupId, RouterId), Instant>,
    /// Whether each peer replicates connections, by node number, as it says.
    pub replicates: BTreeMap<u16, bool>,
    /// The last look of each check that the runner makes, by the check's name.
    pub looks: BTreeMap<String, LastLook>,
    /// Whether the runner is there.
    pub runner: bool,
    /// What was run for each group last, by the group's name.
    pub procedures: BTreeMap<String, ProcedureFacts>,
    /// How replication stands, where there is any.
    pub replication: Option<Standing>,
}

/// What was counted and heard on a virtual router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterFacts {
    /// By stable name: `adverts_sent`, `adverts_received`, and one for each cause for which an advert was
    /// refused.
    pub counters: BTreeMap<&'static str, u64>,
    /// Since when, if the router came by a reload.
    pub since: Option<Instant>,
    /// Why it became active last.
    pub active_reason: Option<ActiveReason>,
    /// The last advert that was taken.
    pub heard: Option<HeardAdvert>,
    /// The counter of the last packet that was refused.
    pub refused: Option<&'static str>,
}

/// An advert as it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardAdvert {
    /// Where it came from.
    pub source: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// The interval that it announces.
    pub interval: Duration,
    /// When it came.
    pub at: Instant,
}

impl HeardAdvert {
    /// Whether its sender was active until now, as far as adverts can tell: it is down after `missed`.
    fn is_of_living(&self, now: Instant, missed: u32) -> bool {
        self.priority > 0 && now.since(self.at) <= self.interval * missed
    }
}

impl RouterFacts {
    /// Takes note that the router has become active.
    fn became_active(&mut self, now: Instant, cause: Cause, missed: u32) {
        *self.counters.entry("active_transitions").or_default() += 1;
        let overtaken = self.heard.is_some_and(|heard| heard.is_of_living(now, missed));
        self.active_reason = Some(match cause {
            Cause::Died(_) => ActiveReason::NoResponse,
            Cause::DownTimer if overtaken => ActiveReason::Preempted,
            Cause::DownTimer => ActiveReason::NoResponse,
            Cause::HandedOver(_) => ActiveReason::Preempted,
            _ => ActiveReason::Priority,
        });
    }
}

/// The last look of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastLook {
    /// When its result came.
    pub at: Instant,
    /// What was found, in words.
    pub text: String,
    /// The exit status of a program that has ended by itself.
    pub status: Option<i32>,
    /// How long it took.
    pub took: Duration,
}

/// What was run for a group last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProcedureFacts {
    /// The number of the transition.
    pub sequence: u64,
    /// Where it led, in one word.
    pub to: &'static str,
    /// What runs now.
    pub running: Option<String>,
    /// What has ended of it, in order.
    pub ended: Vec<LastProcedure>,
    /// How many transitions wait behind it.
    pub waiting: usize,
    /// How many transitions were skipped since this process began.
    pub skipped: u64,
}

/// A procedure that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastProcedure {
    /// Its name.
    pub name: String,
    /// When.
    pub at: Instant,
    /// How.
    pub outcome: Outcome,
}

impl ProcedureFacts {
    /// From here on they are those of this transition.
    pub fn begin(&mut self, transition: &Transition) {
        if self.sequence != transition.sequence {
            self.sequence = transition.sequence;
            self.to = crate::words::phase(transition.to);
            self.ended.clear();
        }
    }
}

impl Facts {
    /// Takes what the machine says on the way.
    pub fn note(&mut self, now: Instant, note: &Note, config: &Config) {
        if let Note::Role { group, to, cause, .. } = note {
            match to {
                Role::Init | Role::Fault | Role::Locked => drop(self.taking_part.remove(group)),
                Role::Standby | Role::Claiming | Role::Active | Role::Releasing => {
                    self.taking_part.entry(*group).or_insert(now);
                }
            }
            if *to == Role::Active {
                for router in 0..config.groups[group.index()].routers.len() {
                    let facts = self.routers.entry((*group, RouterId::at(router))).or_default();
                    let missed = config.groups[group.index()].conduct.down_after;
                    facts.became_active(now, *cause, missed);
                }
            }
        }
        if let Note::Fault { group, fault, present } = note {
            let key = (*group, *fault);
            if *present {
                self.faults.insert(key, now);
            } else {
                self.faults.remove(&key);
            }
        }
    }
}
