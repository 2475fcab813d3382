//! How the connections of all nodes stand.

use std::collections::BTreeMap;

use evergate_api::status::{ReplicationPeer, ReplicationStatus};

use super::Truth;
use crate::replicate::Standing;
use crate::words;

/// Nothing is said where nothing is replicated.
pub(super) fn of(truth: &Truth) -> ReplicationStatus {
    let Some(standing) = &truth.facts.replication else { return ReplicationStatus::default() };
    let count = |flows: usize| u64::try_from(flows).unwrap_or(u64::MAX);
    let peers = standing.peers.iter().map(|(node, peer)| ReplicationPeer {
        node: words::node(truth.config, *node).to_owned(),
        in_sync: Some(peer.whole && peer.ours.is_some_and(|ours| ours.whole)),
        lag_ms: peer.ours.map(|ours| words::whole_millis(ours.lag)),
        backlog_flows: peer.ours.map(|ours| count(ours.backlog)),
        divergent_flows: Some(count(standing.divergent)),
        verified_at: peer.verified_at.map(|at| truth.time(at)),
    });
    ReplicationStatus {
        flows_local: Some(count(standing.flows_local)),
        flows_replica: Some(count(standing.flows_replica)),
        peers: peers.collect(),
        counters: counters(standing),
    }
}

fn counters(standing: &Standing) -> BTreeMap<String, u64> {
    let counted = standing.counters;
    let named = [
        ("told", counted.told),
        ("deferred", counted.deferred),
        ("skipped", counted.skipped),
        ("retold", counted.retold),
        ("packets_lost", counted.lost),
        ("stale", counted.stale),
        ("collided", counted.collided),
        ("refused", counted.refused),
        ("duplicates", counted.duplicates),
        ("not_taken", counted.not_taken),
        ("divergent", counted.divergent),
        ("missed", counted.missed),
        ("news_lost", u64::from(standing.news_lost)),
    ];
    let dropped = standing.dropped.iter().map(|(name, count)| ((*name).to_owned(), *count));
    named.map(|(name, count)| (name.to_owned(), count)).into_iter().chain(dropped).collect()
}
