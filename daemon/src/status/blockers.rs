//! What stands in the way of `ready`: one entry for each cause, with whose fault it is and what to
//! do.

use std::time::Duration;

use evergate_api::status::Blocker;
use evergate_core::Instant;
use evergate_core::detector::Peer;
use evergate_core::effect::{Alarm, View};
use evergate_core::group::{Group, Scene, State};
use evergate_core::heartbeat::Role;
use evergate_core::ident::{GroupId, NodeId, PathId, Priority, RouterId};
use evergate_core::node::DIFFERS_FOR;

use super::verdict::{Service, Standby};
use super::{Truth, paths};
use crate::words;

/// How long an advert that was refused, or could not be sent, is told after it; two intervals of
/// slow adverts.
const TOLD_FOR: Duration = Duration::from_secs(10);

/// Collects blockers for one node.
struct Collector<'a> {
    truth: &'a Truth<'a>,
    found: Vec<Blocker>,
}

/// Every blocker, the gravest first: service, then faults, then peers and paths.
pub(super) fn all(truth: &Truth, services: &[Service]) -> Vec<Blocker> {
    let mut collector = Collector { truth, found: Vec::new() };
    for service in services {
        collector.service(service);
    }
    for id in truth.groups() {
        truth.node.with_scene(truth.now, id, |scene, group| {
            collector.own(scene, group);
            collector.addresses(scene, group);
            collector.ways(group);
            collector.others(scene, group);
        });
        collector.wire(id);
    }
    for peer in truth.node.peers() {
        collector.peer(peer);
    }
    for alarm in truth.node.alarms() {
        if let Alarm::AdvertsMissing { group, router } = *alarm {
            collector.adverts_missing(group, router);
        }
    }
    collector.found
}

/// What to do where adverts are refused for a cause.
fn against(why: &str) -> &'static str {
    match why {
        "refused_auth_stale" => "set the clocks of both right",
        "refused_auth_replay" => {
            "somebody sends old adverts again, or its clock was set back; if it lasts, restart it"
        }
        "refused_our_own_address" => "look for a loop, or for another machine with our address",
        _ => "make version, interval and authentication the same",
    }
}

impl Collector<'_> {
    fn add(
        &mut self,
        code: &str,
        group: Option<GroupId>,
        node: Option<NodeId>,
        since: Option<Instant>,
        text: String,
    ) {
        let config = self.truth.config;
        self.found.push(Blocker {
            code: code.to_owned(),
            group: group.map(|group| words::group(config, group).to_owned()),
            node: node.map(|node| words::node(config, node).to_owned()),
            text,
            since: since.map(|at| self.truth.time(at)),
        });
    }

    /// Who serves, and who could take over.
    fn service(&mut self, service: &Service) {
        let name = words::group(self.truth.config, service.group).to_owned();
        if service.split {
            let text = format!(
                "{} hold {name} at the same time: they do not hear each other well enough to agree; \
                 look at the paths between them",
                service.holders.join(" and ")
            );
            self.add("split", Some(service.group), None, None, text);
        } else if service.holders.is_empty() {
            let text = format!(
                "nobody serves {name} as far as this node knows: the other blockers and `evergate why \
                 {name}` say why"
            );
            self.add("no-active", Some(service.group), None, None, text);
        } else if service.standby == Standby::Nobody {
            let text = format!(
                "nobody could take {name} over from {} now: start or repair another node of the group",
                service.holders.join(" and ")
            );
            self.add("no-standby", Some(service.group), None, None, text);
        }
    }

    /// What keeps this node from holding a group.
    fn own(&mut self, scene: &Scene, group: &Group) {
        let (config, me) = (self.truth.config, Some(scene.me));
        for fault in group.faults.iter() {
            let text = words::fault(config, scene.config, fault);
            let since = self.truth.fault_since(group.id, fault);
            self.add(words::fault_code(fault), Some(group.id), me, since, text);
        }
        let name = &scene.config.name;
        if group.locked {
            let since = (group.role() == Role::Locked).then_some(group.last_change.0);
            let text =
                format!("an operator locked this node out of {name}: `evergate unlock {name}`");
            self.add("locked", Some(group.id), me, since, text);
        }
        if scene.isolated && !group.holds() {
            let text = format!(
                "nobody answers on this node's segments of {name}, so it would not claim: cable or switch"
            );
            self.add("isolated", Some(group.id), me, None, text);
        }
        if scene.partial && !group.holds() {
            let text = format!(
                "this node does not have all connections of {name} yet: wait, or `evergate verify`"
            );
            self.add("not-in-sync", Some(group.id), me, None, text);
        }
        if group.weight.waits && !group.holds() {
            let text = format!(
                "checks of {name} have no result yet: wait, or `evergate why {name}` says which"
            );
            self.add("unchecked", Some(group.id), me, None, text);
        }
        let facts = self.truth.facts;
        let unaccepted = facts.unaccepted.iter().any(|(of, _)| *of == group.id);
        if let Some(why) = facts.accept_failure.as_ref().filter(|_| unaccepted) {
            let text = format!(
                "packets to the addresses of {name} are taken although accept = false, because nftables \
                 rules cannot be made: {why}"
            );
            self.add("accept-on", Some(group.id), me, None, text);
        }
        if let Some(end) = group.delayed_until() {
            let left = words::span(end.since(self.truth.now));
            let text = format!(
                "this node has only just begun, and takes {name} in {left} at the earliest (start_delay)"
            );
            self.add("start-delay", Some(group.id), me, Some(scene.began), text);
        }
        if scene.stopping {
            let text = "this daemon is ending: start it again".to_owned();
            self.add("stopping", Some(group.id), me, None, text);
        }
    }

    /// Routes and rules that are not there although this node is active.
    fn ways(&mut self, group: &Group) {
        let State::Active { .. } = group.state else { return };
        let Some(ways) = self.truth.facts.ways.get(&group.id) else { return };
        let me = Some(self.truth.config.me);
        for (way, why) in &ways.missing {
            let text =
                format!("{way} cannot be installed and is asked for again each second: {why}");
            self.add("route-missing", Some(group.id), me, None, text);
        }
        if let Some(span) = ways.put_backs.rests_for(self.truth.now) {
            let text = format!(
                "somebody removes routes or rules as fast as they are put back: left alone for another {}",
                words::span(span)
            );
            self.add("routes-contested", Some(group.id), me, None, text);
        }
    }

    /// Where the kernel and the machine differ. The owner of an address has it in any state.
    fn addresses(&mut self, scene: &Scene, group: &Group) {
        let truth = self.truth;
        let wanted = match group.state {
            State::Active { .. } => true,
            State::Standby => false,
            State::Init | State::Claiming { .. } | State::Releasing { .. } => return,
        };
        if scene.config.priority(scene.me) == Some(Priority::OWNER) && !wanted {
            return;
        }
        for router in &scene.config.routers {
            for (address, length) in &router.addresses {
                let place = (router.interface, *address);
                let present = truth.facts.present.contains(&place);
                let interface = &truth.config.interfaces[router.interface.index()];
                if wanted && !present && !truth.facts.left_alone.contains(&place) {
                    let text = format!(
                        "{address}/{length} is not on {interface} although this node is active: it is \
                         put back within a second, unless somebody keeps deleting it"
                    );
                    self.add("address-missing", Some(group.id), Some(scene.me), None, text);
                } else if present && !wanted {
                    let text = format!(
                        "{address}/{length} is on {interface} although this node is not active: left \
                         over, or set by somebody else; `ip addr` shows its origin"
                    );
                    self.add("address-left", Some(group.id), Some(scene.me), None, text);
                }
            }
        }
    }

    /// What keeps the routers of a group from understanding each other.
    fn wire(&mut self, id: GroupId) {
        let truth = self.truth;
        let config = &truth.config.groups[id.index()];
        for router in (0..config.routers.len()).map(RouterId::at) {
            let interface = words::router_interface(truth.config, config, router);
            let fresh = |at: Instant| truth.now.since(at) < TOLD_FOR.max(config.advert * 2);
            if truth.facts.mute.get(&(id, router)).is_some_and(|at| fresh(*at)) {
                let text = format!(
                    "{interface} has no address of its own to send adverts from: give it one beside the \
                     virtual addresses"
                );
                self.add("no-source-address", Some(id), Some(truth.config.me), None, text);
            }
            if let Some((source, why, at)) = truth.facts.refused.get(&(id, router))
                && fresh(*at)
            {
                let text = format!(
                    "adverts of {source} on {interface} are refused ({}), so both may be active: {}",
                    why.trim_start_matches("refused_").replace('_', " "),
                    against(why)
                );
                self.add("adverts-refused", Some(id), Some(truth.config.me), None, text);
            }
        }
    }

    /// What living peers say of themselves in a group.
    fn others(&mut self, scene: &Scene, group: &Group) {
        for (node, report) in group.living(scene) {
            let who = words::node(self.truth.config, node).to_owned();
            let name = &scene.config.name;
            let (code, text) = match report.role {
                Role::Fault => (
                    "peer-fault",
                    format!("{who} has a fault in {name}: `evergate status` there names it"),
                ),
                Role::Locked => (
                    "peer-locked",
                    format!("{who} is locked out of {name}: `evergate unlock {name}` there"),
                ),
                Role::Standby if !report.ready => (
                    "peer-not-ready",
                    format!("{who} is not ready to take {name}: `evergate status` there says why"),
                ),
                _ => continue,
            };
            self.add(code, Some(group.id), Some(node), None, text);
        }
    }

    fn peer(&mut self, peer: &Peer) {
        let truth = self.truth;
        let (name, node) = (words::node(truth.config, peer.node), Some(peer.node));
        match peer.view {
            View::Unknown => {
                let text = format!(
                    "{name} was not heard since this daemon started: start evergated there; if it runs, \
                     compare the key files and let heartbeats pass (`evergate firewall`)"
                );
                return self.add("peer-unknown", None, node, None, text);
            }
            View::Dead => {
                return self.add("peer-dead", None, node, peer.heard_at, self.death(peer));
            }
            View::Doubt
                if !peer.paths.iter().any(|path| path.alive)
                    && truth.node.is_vouched_for(peer.node, truth.now) =>
            {
                let text =
                    format!("{name} is heard by a third node only: look at its links to this node");
                self.add("peer-doubt", None, node, peer.heard_at, text);
            }
            View::Alive | View::Doubt => {}
        }
        for position in 0..peer.paths.len() {
            let path = PathId::at(position);
            if !peer.paths[position].alive {
                let id = words::path(truth.config, path);
                let silence = paths::silence(truth.node, peer, path, truth.now);
                let since = paths::silent_since(peer, path);
                self.add("path-silent", None, node, since, format!("{id}: {silence}"));
            }
        }
        if let Some(since) = peer.differs_since.filter(|at| truth.now.since(*at) >= DIFFERS_FOR) {
            let text = format!(
                "{name} runs another configuration: copy the file to all nodes, then `evergate reload`"
            );
            self.add("config-differs", None, node, Some(since), text);
        }
    }

    fn death(&self, peer: &Peer) -> String {
        let truth = self.truth;
        let name = words::node(truth.config, peer.node);
        if peer.last.as_ref().is_some_and(|last| last.leaving) {
            return format!("{name} has ended in order: start evergated there again");
        }
        let silence = peer.heard_at.map_or_else(
            || "ever".to_owned(),
            |at| format!("for {}", words::span(truth.now.since(at))),
        );
        let dead = words::span(truth.node.dead(peer));
        format!(
            "{name} is dead: nothing was heard from it on any path {silence} (it is given {dead}): look \
             at its power, its evergated and its cables"
        )
    }

    fn adverts_missing(&mut self, group: GroupId, router: RouterId) {
        let truth = self.truth;
        let config = &truth.config.groups[group.index()];
        let state = &truth.node.groups()[group.index()];
        let holder = state.holder.map(|(node, _)| node);
        let from = holder.map_or("the active node", |node| words::node(truth.config, node));
        let interface = words::router_interface(truth.config, config, router);
        let since = state.peer_advert_at.get(router.index()).copied().flatten();
        let text = format!(
            "adverts of {from} do not arrive on {interface} although its heartbeats do: a firewall \
             drops IP protocol 112?"
        );
        self.add("adverts-missing", Some(group), holder, since, text);
    }
}
