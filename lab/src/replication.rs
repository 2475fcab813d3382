//! What a stateful pair knows of the connections through it: how many on each gateway, and are the copies whole?

use std::collections::BTreeMap;
use std::time::Duration;

use evergate_api::status::ReplicationStatus;
use serde_json::{Map, Value, json};

use crate::clock;
use crate::conntrack::{Difference, Table};
use crate::error::{LabError, Result};
use crate::firewall::Facts;
use crate::lab::Lab;
use crate::topology::Gateway;
use crate::wire::Sightings;

/// Time between two comparisons of tables.
const LOOK: Duration = Duration::from_millis(100);

/// The connections that one daemon tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Those that it owns; none while it replicates nothing.
    pub local: Option<u64>,
    /// Copies that it holds for others.
    pub replica: Option<u64>,
    /// Are the copies on all its peers, and its own of theirs, whole? None without a peer.
    pub in_sync: Option<bool>,
}

impl From<&ReplicationStatus> for Known {
    fn from(status: &ReplicationStatus) -> Self {
        let peers = || status.peers.iter().map(|peer| peer.in_sync);
        let in_sync = if peers().any(|one| one == Some(false)) {
            Some(false)
        } else {
            (!status.peers.is_empty() && peers().all(|one| one == Some(true))).then_some(true)
        };
        Self { local: status.flows_local, replica: status.flows_replica, in_sync }
    }
}

/// One look at a stateful pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What each daemon tells; none of one that does not answer.
    pub known: BTreeMap<Gateway, Option<Known>>,
    /// What the kernels tell.
    pub facts: Facts,
}

impl Snapshot {
    /// Does every daemon say that the copies are whole?
    pub fn is_whole(&self) -> bool {
        let whole = |known: &Option<Known>| {
            known.as_ref().is_some_and(|one| one.local.is_some() && one.in_sync == Some(true))
        };
        !self.known.is_empty() && self.known.values().all(whole)
    }

    fn to_json(&self) -> Value {
        let of = |(gateway, known): (&Gateway, &Option<Known>)| {
            let value = known.as_ref().map(|one| {
                json!({
                    "flows_local": one.local, "flows_replica": one.replica, "in_sync": one.in_sync,
                    "kernel_flows": self.facts.states.get(gateway),
                })
            });
            (gateway.to_string(), Value::from(value))
        };
        Value::Object(self.known.iter().map(of).collect::<Map<_, _>>())
    }
}

/// What a stateful pair knew around a disturbance, and what its ends saw.
#[derive(Clone, Debug)]
pub struct Story {
    /// Just before the disturbance.
    pub before: Snapshot,
    /// After the recovery, with all connections still open.
    pub after: Snapshot,
    /// Resets on both ends until then.
    pub sightings: Sightings,
}

impl Story {
    /// Invalid packets on all gateways between the two looks.
    pub fn invalid(&self) -> u64 {
        self.after.facts.invalid_since(&self.before.facts)
    }

    /// The same for each of so many connections; none of none.
    pub fn invalid_per_connection(&self, connections: usize) -> Option<f64> {
        (connections > 0).then(|| self.invalid() as f64 / connections as f64)
    }

    /// The story for machines.
    pub fn to_json(&self, connections: usize) -> Value {
        json!({
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "whole_before": self.before.is_whole(),
            "resets": {
                "client": self.sightings.client_resets, "server": self.sightings.server_resets,
            },
            "invalid_packets": self.invalid(),
            "invalid_packets_per_connection": self.invalid_per_connection(connections),
        })
    }
}

impl Lab {
    /// What a daemon has counted of replication under this name; 0 of what never occurred.
    pub fn counted(&self, gateway: Gateway, name: &str) -> Result<u64> {
        let status = self.control(gateway)?.status()?;
        let counters = status.map(|status| status.replication.counters).unwrap_or_default();
        Ok(counters.get(name).copied().unwrap_or(0))
    }

    /// What the tables of all other gateways differ in from the owner's.
    pub fn differences(&self, owner: Gateway) -> Result<BTreeMap<Gateway, Difference>> {
        let own = Table::read(self.topology.gateway(owner))?;
        let others = self.gateways().into_iter().filter(|one| *one != owner);
        let differ = |one: Gateway| {
            let copy = Table::read(self.topology.gateway(one))?;
            Ok((one, own.against(&copy)))
        };
        others.map(differ).collect()
    }

    /// Waits until the tables of all other gateways are equal to the owner's; gives how long it took.
    pub fn wait_equal(&self, owner: Gateway, limit: Duration) -> Result<Duration> {
        let start = clock::now();
        loop {
            let differences = self.differences(owner)?;
            if differences.values().all(Difference::is_none) {
                return Ok(start.elapsed());
            }
            if start.elapsed() > limit {
                let text = format!("after {limit:?} tables differ from {owner}: {differences:?}");
                return Err(LabError::Claim(text));
            }
            clock::sleep(LOOK);
        }
    }

    /// Looks at all gateways; the lab must be stateful.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let known = |gateway: Gateway| {
            let control = self.is_ours(gateway).then(|| self.control(gateway).ok())??;
            // Who was hurt may answer nothing, or nothing that can be understood.
            Some(Known::from(&control.status().ok()??.replication))
        };
        let all = self.gateways().into_iter();
        let known = all.map(|gateway| (gateway, known(gateway))).collect();
        Ok(Snapshot { known, facts: self.facts()? })
    }
}

#[cfg(test)]
mod tests {
    use evergate_api::status::ReplicationPeer;

    use super::*;

    fn status(in_sync: &[Option<bool>]) -> ReplicationStatus {
        let peer = |in_sync: &Option<bool>| ReplicationPeer {
            node: "gw2".to_owned(),
            in_sync: *in_sync,
            lag_ms: None,
            backlog_flows: None,
            divergent_flows: None,
            verified_at: None,
        };
        let peers = in_sync.iter().map(peer).collect();
        ReplicationStatus { flows_local: Some(7), peers, ..ReplicationStatus::default() }
    }

    #[test]
    fn copies_are_whole_only_where_every_daemon_says_so() {
        let known = |in_sync: &[Option<bool>]| Some(Known::from(&status(in_sync)));
        let snapshot = |known: [Option<Known>; 2]| {
            let gateways = [crate::topology::GW1, crate::topology::GW2];
            let known = gateways.into_iter().zip(known).collect();
            Snapshot { known, facts: Facts::default() }
        };
        let whole = || known(&[Some(true)]);
        assert!(snapshot([whole(), whole()]).is_whole());
        assert!(!snapshot([whole(), None]).is_whole());
        assert!(!snapshot([whole(), known(&[])]).is_whole());
        assert!(!snapshot([whole(), known(&[None])]).is_whole());
        assert!(!snapshot([whole(), known(&[Some(true), Some(false)])]).is_whole());
        assert!(!snapshot([whole(), Some(Known { local: None, ..Known::default() })]).is_whole());
    }
}
