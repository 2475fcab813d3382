//! One group of the status document.

use evergate_api::status::{
    AddressStatus, ElectionKind, Family, GroupNode, GroupStatus, Held, PriorityTerm,
    ProcedureStatus, ProceduresStatus, Reason, RouterStatus,
};
use evergate_core::Instant;
use evergate_core::check::Tracked;
use evergate_core::config::RouterConfig;
use evergate_core::group::{Group, Scene};
use evergate_core::heartbeat::{Hold, Role};
use evergate_core::ident::{self, GroupId, NodeId, RouterId};

use super::{Truth, foreign};
use crate::words;

/// Who is named for a hold: heartbeats do not carry the user's name.
const HELD_BY: &str = "operator";

/// The status of one group.
pub(super) fn of(truth: &Truth, id: GroupId) -> GroupStatus {
    truth.node.with_scene(truth.now, id, |scene, group| {
        let base = scene.config.priority(scene.me).map_or(0, |priority| priority.get());
        let routers = 0..scene.config.routers.len();
        GroupStatus {
            name: scene.config.name.clone(),
            election: ElectionKind::Vrrp,
            state: words::state(group.role()),
            since: Some(truth.time(group.last_change.0)),
            priority: group.priority(scene).map_or(0, |priority| priority.get()),
            priority_base: base,
            priority_terms: terms(truth, scene),
            active_node: active_node(truth, scene, group),
            held: held(truth, scene, group),
            reasons: reasons(truth, scene, group),
            last_handover: truth.facts.handovers.get(&id).cloned(),
            procedures: procedures(truth, &scene.config.name),
            nodes: nodes(truth, scene, group),
            routers: routers.map(|at| router(truth, group, RouterId::at(at))).collect(),
        }
    })
}

/// What is run for the group, or was run last.
fn procedures(truth: &Truth, group: &str) -> Option<ProceduresStatus> {
    let facts = truth.facts.procedures.get(group)?;
    let ended = facts.ended.iter().map(|last| ProcedureStatus {
        procedure: last.name.clone(),
        ok: last.outcome.well,
        exit_status: last.outcome.status,
        text: last.outcome.text.clone(),
        at: truth.time(last.at),
        took_ms: words::millis(last.outcome.took),
    });
    Some(ProceduresStatus {
        sequence: facts.sequence,
        to: facts.to.to_owned(),
        running: facts.running.clone(),
        waiting: facts.waiting as u64,
        skipped: facts.skipped,
        ended: ended.collect(),
    })
}

/// What each check with a weight adds now.
fn terms(truth: &Truth, scene: &Scene) -> Vec<PriorityTerm> {
    let term = |tracked: &Tracked| {
        tracked.weight?;
        let standing = truth.node.checks().get(tracked.check.index())?.standing;
        let check = words::check(truth.config, tracked.check).0.to_owned();
        Some(PriorityTerm { check, weight: tracked.term(standing) })
    };
    scene.config.track.iter().filter_map(term).collect()
}

fn active_node(truth: &Truth, scene: &Scene, group: &Group) -> Option<String> {
    let ours = group.active_node(scene).map(|node| words::node(truth.config, node).to_owned());
    let foreign = || foreign::holder(truth, group.id);
    ours.or_else(|| foreign().map(|seen| foreign::name(truth, seen.address)))
}

/// The operator's word that keeps the group where it is, here or on a living peer.
fn held(truth: &Truth, scene: &Scene, group: &Group) -> Option<Held> {
    let mut peers = group.living(scene).filter(|(_, report)| report.role == Role::Active);
    let hold = if group.holds() {
        group.held
    } else {
        peers.find_map(|(_, report)| report.held).map(|hold| hold.map(|left| truth.now + left))
    };
    let until = |hold: Hold<Instant>| hold.end().map(|end| truth.time(end));
    hold.map(|hold| Held { by: HELD_BY.to_owned(), until: until(hold) })
}

fn reasons(truth: &Truth, scene: &Scene, group: &Group) -> Vec<Reason> {
    let reason = |code: &str, text: String| Reason { code: code.to_owned(), text, since: None };
    let mut reasons: Vec<Reason> = group
        .faults
        .iter()
        .map(|fault| {
            let text = words::fault(truth.config, scene.config, fault);
            let since = truth.fault_since(group.id, fault).map(|at| truth.time(at));
            Reason { since, ..reason(words::fault_code(fault), text) }
        })
        .collect();
    if group.locked {
        let text =
            format!("an operator locked this node out: `evergate unlock {}`", scene.config.name);
        let since = (group.role() == Role::Locked).then(|| truth.time(group.last_change.0));
        reasons.push(Reason { code: "operator".to_owned(), text, since });
    }
    if scene.differs {
        let text =
            "a living peer runs another configuration: copy the file, then `evergate reload`";
        reasons.push(reason("config-differs", text.to_owned()));
    }
    if scene.partial && !group.holds() {
        let text =
            "the copies of the peers' connections are not whole yet: `evergate verify` says more";
        reasons.push(reason("not-in-sync", text.to_owned()));
    }
    if group.weight.waits {
        let text =
            format!("checks have no result yet: `evergate why {}` says which", scene.config.name);
        reasons.push(reason("unchecked", text));
    }
    if scene.stopping {
        reasons.push(reason("stopping", "this daemon is ending".to_owned()));
    }
    if scene.isolated && !group.holds() {
        let text = "nobody answers on this node's own segments: it would not claim the group";
        reasons.push(reason("isolated", text.to_owned()));
    }
    reasons
}

fn nodes(truth: &Truth, scene: &Scene, group: &Group) -> Vec<GroupNode> {
    let mut nodes = Vec::new();
    for (position, node) in truth.config.nodes.iter().enumerate() {
        let id = NodeId::at(position);
        if node.foreign {
            nodes.push(foreign_node(
                truth,
                node.name.clone(),
                foreign::of_node(truth, id, Some(group.id)),
            ));
        } else if scene.config.priority(id).is_some() {
            nodes.push(own_node(truth, scene, group, id));
        }
    }
    for seen in foreign::heard(truth).into_iter().filter(|seen| seen.group == group.id) {
        let name = foreign::name(truth, seen.address);
        if !nodes.iter().any(|known| known.node == name) {
            nodes.push(foreign_node(truth, name, Some(seen)));
        }
    }
    nodes
}

/// A node of ours: we, or a peer by its last report. A dead peer's report says nothing any more.
fn own_node(truth: &Truth, scene: &Scene, group: &Group, id: NodeId) -> GroupNode {
    let name = words::node(truth.config, id).to_owned();
    if id == scene.me {
        return GroupNode {
            node: name,
            state: Some(words::state(group.role())),
            priority: group.priority(scene).map(|priority| priority.get()),
            ready: Some(group.is_ready(scene)),
            age_ms: Some(0),
        };
    }
    let sight = scene.sight(id);
    let report = group.reports.get(id.index()).and_then(Option::as_ref).filter(|_| sight.lives());
    GroupNode {
        node: name,
        state: report.map(|report| words::state(report.role)),
        priority: report.map(|report| report.priority.get()),
        ready: report.map(|report| report.ready),
        age_ms: sight.heard_at.map(|at| words::whole_millis(truth.now.since(at))),
    }
}

/// A router of another make shows itself only while it is active.
fn foreign_node(truth: &Truth, name: String, seen: Option<foreign::Foreign>) -> GroupNode {
    let active = seen.filter(|seen| seen.active);
    GroupNode {
        node: name,
        state: active.map(|_| words::state(Role::Active)),
        priority: active.map(|seen| seen.priority),
        ready: None,
        age_ms: seen.map(|seen| words::whole_millis(truth.now.since(seen.at))),
    }
}

pub(super) fn router(truth: &Truth, group: &Group, id: RouterId) -> RouterStatus {
    let config = &truth.config.groups[group.id.index()];
    let router = &config.routers[id.index()];
    let counters = truth.facts.routers.get(&(group.id, id)).map(|facts| &facts.counters);
    let counters = counters.into_iter().flatten();
    let interface = words::router_interface(truth.config, config, id).to_owned();
    let link = truth.facts.links.get(&(group.id, id));
    RouterStatus {
        id: router.id.clone(),
        name: name_of(&router.id).to_owned(),
        virtual_mac: link.map(|link| words::mac(link.mac)),
        address_interface: link.map_or_else(|| interface.clone(), |link| link.name.clone()),
        interface,
        family: match router.family {
            ident::Family::V4 => Family::Ipv4,
            ident::Family::V6 => Family::Ipv6,
        },
        vrid: router.vrid.map(|vrid| vrid.get()),
        version: router.vrid.map(|_| router.version.number()),
        state: words::state(group.role()),
        addresses: addresses(truth, router),
        counters: counters.map(|(name, count)| ((*name).to_owned(), *count)).collect(),
    }
}

fn addresses(truth: &Truth, router: &RouterConfig) -> Vec<AddressStatus> {
    let status = |(address, length): &(std::net::IpAddr, u8)| AddressStatus {
        address: format!("{address}/{length}"),
        present: Some(truth.facts.present.contains(&(router.interface, *address))),
    };
    router.addresses.iter().map(status).collect()
}

/// The router's own part of `GROUP/ROUTER/FAMILY`.
fn name_of(id: &str) -> &str {
    id.split('/').nth(1).unwrap_or(id)
}
