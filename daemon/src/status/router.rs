//! One virtual router as RFC 6527 wants it watched.

use std::net::IpAddr;
use std::time::Duration;

use evergate_api::router::{
    ActiveReason, NodeCounters, PacketError, RouterCounters, RouterReport, RouterState,
};
use evergate_api::status::SCHEMA;
use evergate_core::config::Failback;
use evergate_core::heartbeat::Role;
use evergate_core::ident::{GroupId, RouterId};
use evergate_core::{Instant, Node};

use super::{Truth, group};
use crate::facts::{Facts, RouterFacts};
use crate::wall_clock::WallClock;
use crate::words;

/// The report on one router. `source`: where its adverts come from while we are active.
pub(crate) fn router(
    node: &Node,
    facts: &Facts,
    now: Instant,
    clock: &WallClock,
    (group_id, id): (GroupId, RouterId),
    source: Option<IpAddr>,
) -> RouterReport {
    let truth = Truth::new(node, facts, now, clock);
    let config = &truth.config.groups[group_id.index()];
    let none = RouterFacts::default();
    let seen = facts.routers.get(&(group_id, id)).unwrap_or(&none);
    let group = &node.groups()[group_id.index()];
    let status = group::router(&truth, group, id);
    let heard = seen.heard.filter(|heard| heard.priority > 0);
    let address = match group.role() {
        Role::Active => source,
        _ => heard.map(|heard| heard.source),
    };
    let millis = |span: Duration| span.as_secs_f64() * 1000.0;
    RouterReport {
        schema: SCHEMA,
        time: truth.time(now),
        node: words::node(truth.config, truth.config.me).to_owned(),
        group: config.name.clone(),
        state: state(group.role()),
        group_state: status.state,
        active_address: address.map(|address| address.to_string()),
        primary_address: source.map(|address| address.to_string()),
        priority: node
            .with_scene(now, group_id, |scene, group| group.priority(scene))
            .map_or(0, |priority| priority.get()),
        advert_ms: millis(config.advert),
        active_advert_ms: heard.map(|heard| millis(heard.interval)),
        preempt: config.failback != Failback::Manual,
        accept: !facts.unaccepted.contains(&(group_id, id)),
        up_ms: facts.taking_part.get(&group_id).map(|at| words::whole_millis(now.since(*at))),
        active_reason: seen.active_reason.clone().unwrap_or(ActiveReason::NotActive),
        packet_error: seen.refused.map_or(PacketError::NoError, packet_error),
        counting_since: truth.time(seen.since.or(facts.started).unwrap_or(now)),
        counters: counters(seen),
        node_counters: node_counters(facts),
        id: status.id,
        interface: status.interface,
        family: status.family,
        vrid: status.vrid,
        version: status.version,
        addresses: status.addresses,
        all_counters: status.counters,
    }
}

fn state(role: Role) -> RouterState {
    match role {
        Role::Init | Role::Fault | Role::Locked => RouterState::Initialize,
        Role::Standby | Role::Claiming => RouterState::Backup,
        Role::Active | Role::Releasing => RouterState::Active,
    }
}

fn packet_error(counter: &str) -> PacketError {
    match counter {
        "refused_hop_limit" => PacketError::HopLimit,
        "refused_version" | "refused_version_differs" => PacketError::Version,
        "refused_checksum" => PacketError::Checksum,
        _ => PacketError::Else,
    }
}

fn counters(seen: &RouterFacts) -> RouterCounters {
    let count = |name: &str| seen.counters.get(name).copied().unwrap_or(0);
    RouterCounters {
        active_transitions: count("active_transitions"),
        adverts_received: count("adverts_received"),
        adverts_sent: count("adverts_sent"),
        interval_errors: count("interval_differs") + count("refused_interval_differs"),
        hop_limit_errors: count("refused_hop_limit"),
        resignations_received: count("resignations_received"),
        resignations_sent: count("resignations_sent"),
        type_errors: count("refused_type"),
        address_list_errors: count("address_list_differs"),
        length_errors: count("refused_length"),
    }
}

fn node_counters(facts: &Facts) -> NodeCounters {
    let routers = |name: &str| -> u64 {
        facts.routers.values().filter_map(|router| router.counters.get(name)).sum()
    };
    NodeCounters {
        checksum_errors: routers("refused_checksum"),
        version_errors: routers("refused_version") + routers("refused_version_differs"),
        vrid_errors: facts.counters.get("vrrp_unknown_vrid").copied().unwrap_or(0),
    }
}
