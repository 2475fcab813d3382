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
        lag_ms: peer.ours.and_then(|ours| ours.lag).map(words::whole_millis),
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
    let mut all = match &standing.conntrackd {
        Some(counted) => of_conntrackd(counted),
        None => ours(standing),
    };
    all.insert("news_lost".to_owned(), u64::from(standing.news_lost));
    all.extend(standing.dropped.iter().map(|(name, count)| ((*name).to_owned(), *count)));
    all
}

fn of_conntrackd(counted: &evergate_core::conntrackd::Counters) -> BTreeMap<String, u64> {
    let named = [
        ("told", counted.told),
        ("deferred", counted.deferred),
        ("skipped", counted.skipped),
        ("retold", counted.retold),
        ("untellable", counted.untellable),
        ("packets_lost", counted.lost),
        ("stale", counted.stale),
        ("refused", counted.refused),
        ("expectations", counted.expectations),
        ("collided", counted.collided),
        ("not_taken", counted.not_taken),
        ("divergent", counted.divergent),
        ("missed", counted.missed),
        ("bulks", counted.bulks),
        ("asked", counted.asked),
    ];
    named.map(|(name, count)| (name.to_owned(), count)).into()
}

fn ours(standing: &Standing) -> BTreeMap<String, u64> {
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
    ];
    named.map(|(name, count)| (name.to_owned(), count)).into()
}
