//! The status document: what is true at this moment, and what stands in the way of `ready`.
//!
//! Nothing here changes anything. What the machine believes comes from [`Node`], what the kernel has
//! from [`Facts`]; where the two differ, that is a blocker.
mod blockers;
mod foreign;
mod group;
mod paths;
mod peers;
mod replication;
mod router;
#[cfg(test)]
mod tests;
mod verdict;

use evergate_api::status::{ConfigStatus, SCHEMA, Status};
use evergate_core::config::Config;
use evergate_core::fault::Fault;
use evergate_core::ident::GroupId;
use evergate_core::{Instant, Node};

pub(crate) use paths::{hearing_of, own_hearing};
pub(crate) use router::router;

use crate::facts::Facts;
use crate::wall_clock::WallClock;
use crate::words;

/// All that a status is made of, at one moment.
#[derive(Clone, Copy)]
struct Truth<'a> {
    node: &'a Node,
    config: &'a Config,
    facts: &'a Facts,
    now: Instant,
    clock: &'a WallClock,
}

/// The status of a node as `evergate status --json` prints it (design: contracts, programs).
pub fn status(node: &Node, facts: &Facts, now: Instant, clock: &WallClock) -> Status {
    let truth = Truth::new(node, facts, now, clock);
    let services = verdict::services(&truth);
    let blockers = blockers::all(&truth, &services);
    let verdict = verdict::of(&services, &blockers);
    Status {
        schema: SCHEMA,
        time: clock.rfc3339(now),
        boot_id: facts.boot_id.clone(),
        seq: facts.seq,
        node: words::node(truth.config, truth.config.me).to_owned(),
        cluster: facts.cluster.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: ConfigStatus { hash: facts.config_hash.clone(), generation: facts.generation },
        ready: verdict::ready(&verdict),
        verdict,
        blockers,
        groups: truth.groups().map(|id| group::of(&truth, id)).collect(),
        peers: peers::all(&truth),
        replication: replication::of(&truth),
        counters: facts.counters.iter().map(|(name, count)| ((*name).into(), *count)).collect(),
    }
}

impl<'a> Truth<'a> {
    fn new(node: &'a Node, facts: &'a Facts, now: Instant, clock: &'a WallClock) -> Truth<'a> {
        Truth { node, config: node.config(), facts, now, clock }
    }

    /// Every group of the configuration, in the order of their names.
    fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..self.config.groups.len()).map(GroupId::at)
    }

    /// Since when a reason for fault has been there.
    fn fault_since(&self, group: GroupId, fault: Fault) -> Option<Instant> {
        let known = self.facts.faults.get(&(group, fault)).copied();
        let check = match fault {
            Fault::Check(check) => self.node.checks().get(check.index()).map(|check| check.since),
            _ => None,
        };
        known.or(check)
    }

    /// An instant as people and programs read it.
    fn time(&self, at: Instant) -> String {
        self.clock.rfc3339(at)
    }
}
