//! What the node thread knows beside the machine's own state: read from the kernel, counted at the
//! door, or measured while effects were carried out. Status and `why` are made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use evergate_api::status::LastHandover;
use evergate_core::Instant;
use evergate_core::effect::Note;
use evergate_core::fault::Fault;
use evergate_core::ident::{GroupId, InterfaceId, RouterId};

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
    /// Since when each reason for fault has been there.
    pub faults: BTreeMap<(GroupId, Fault), Instant>,
    /// The last takeover or handover of each group.
    pub handovers: BTreeMap<GroupId, LastHandover>,
    /// Counters of each router, by stable name: `adverts_sent`, `adverts_received`, and one for each
    /// cause for which an advert was refused.
    pub routers: BTreeMap<(GroupId, RouterId), BTreeMap<&'static str, u64>>,
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
    /// How replication stands, where there is any.
    pub replication: Option<Standing>,
}

impl Facts {
    /// Takes what the machine says on the way.
    pub fn note(&mut self, now: Instant, note: &Note) {
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
