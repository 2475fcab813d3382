//! A new configuration while the node runs. What did not change is not touched: groups, routers and
//! nodes are matched by name, so a renumbered list moves nothing.

use std::sync::Arc;

use super::{Node, segments};
use crate::config::{Config, GroupConfig, Places};
use crate::detector::Peer;
use crate::effect::{Cause, Effect, Note};
use crate::fault::Fault;
use crate::group::Group;
use crate::ident::{GroupId, RouterId};
use crate::input::Interface;
use crate::time::Instant;

impl Node {
    /// Takes a configuration that was checked. Effects before [`Effect::Configured`] speak of the
    /// former configuration, those after it of the new one.
    pub(super) fn configure(&mut self, now: Instant, new: Config, out: &mut Vec<Effect>) {
        let gone = |config: &GroupConfig| !new.groups.iter().any(|group| group.name == config.name);
        self.each_group(now, out, |group, scene, out| {
            if gone(scene.config) {
                group.withdraw(scene, out);
            }
        });
        self.settled.forget();
        let old = std::mem::replace(&mut self.config, Arc::new(new));
        let places = Places::new(&old, &self.config);
        out.push(Effect::Configured);
        // The peers hear of a shorter interval at once, and wait for no longer than that.
        self.beat_at = self.beat_at.min(now + self.config.heartbeat);
        self.carry_interfaces(&old);
        self.carry_peers(&old, &places);
        self.carry_checks(now, &old, &places);
        self.segments = segments::of(&self.config);
        let added = self.carry_groups(now, &old, &places, out);
        self.look_around(now);
        self.weigh_groups(now, |_| true, out);
        self.each_group(now, out, |group, scene, out| {
            if added.contains(&group.id) {
                group.start(scene, false, false, out);
            } else {
                group.reconfigured(scene, out);
            }
        });
        self.interface_faults(now, out);
        self.urgent = true;
    }

    fn carry_interfaces(&mut self, old: &Config) {
        let known = |name: &String| {
            let position = old.interfaces.iter().position(|former| former == name);
            position.map_or(Interface::default(), |at| self.interfaces[at])
        };
        self.interfaces = self.config.interfaces.iter().map(known).collect();
    }

    fn carry_peers(&mut self, old: &Config, places: &Places) {
        let former = std::mem::take(&mut self.peers);
        for node in self.config.peers() {
            let name = self.config.name(node);
            let mut peer = match former.iter().find(|peer| old.name(peer.node) == name) {
                Some(known) => known.clone(),
                None => Peer::new(node, 0),
            };
            let views = self.config.paths.iter().map(|path| {
                let position = old.paths.iter().position(|known| known.name == path.name);
                position.and_then(|at| peer.paths.get(at).cloned()).unwrap_or_default()
            });
            peer.paths = views.collect();
            peer.node = node;
            peer.last = peer.last.map(|last| Arc::new(last.renumbered(places)));
            self.peers.push(peer);
        }
    }

    /// Matches the groups by name; returns those that are new.
    fn carry_groups(
        &mut self,
        now: Instant,
        old: &Config,
        places: &Places,
        out: &mut Vec<Effect>,
    ) -> Vec<GroupId> {
        let former = std::mem::take(&mut self.groups);
        // What the kernel still answers carries former numbers: no request of any group has that
        // serial again.
        let asked = former.iter().map(Group::kernel_serial).max().unwrap_or(0);
        let nodes = self.config.nodes.len();
        let mut added = Vec::new();
        for (position, config) in self.config.groups.iter().enumerate() {
            let id = GroupId::at(position);
            let known = old.groups.iter().position(|group| group.name == config.name);
            let Some(at) = known else {
                added.push(id);
                let mut group = Group::new(id, nodes);
                group.skip_serials(asked);
                self.groups.push(group);
                continue;
            };
            let mut group = former[at].clone();
            group.renumber(now, id, &old.groups[at], config);
            let begun = group.successor().is_some();
            group.renumber_nodes(nodes, places, out);
            if begun && group.successor().is_none() {
                // The peer that was to take it is gone: what was run for that is taken back.
                out.push(Effect::Note(Note::Yields { group: id, to: None }));
            }
            group.skip_serials(asked);
            self.groups.push(group);
        }
        added
    }
}

impl Group {
    /// The group is not in the new configuration.
    fn withdraw(&mut self, scene: &crate::group::Scene, out: &mut Vec<Effect>) {
        if self.holds() {
            self.leave(scene, Cause::Configured, out);
        }
        self.complete_handover(out);
        self.drop_request(out);
    }

    /// Carries the routers that are still there to their new numbers.
    fn renumber(&mut self, now: Instant, id: GroupId, old: &GroupConfig, new: &GroupConfig) {
        self.id = id;
        let former = |router: &crate::config::RouterConfig| {
            let same = |known: &crate::config::RouterConfig| {
                known.id == router.id && known.version == router.version
            };
            old.routers.iter().position(same).filter(|_| old.advert == new.advert)
        };
        let speakers = new.routers.iter().filter_map(former);
        let carried: Vec<_> = speakers.filter_map(|at| self.speakers.get(at).cloned()).collect();
        let complete = carried.len() == new.routers.len();
        self.speakers = if complete { carried } else { Vec::new() };
        self.speakers.iter_mut().for_each(|one| one.set_missed(new.conduct.down_after));
        // Whether adverts arrive is told anew, by those that come from now on.
        self.peer_advert_at = vec![Some(now); new.routers.len()];
        // What concerns an interface or a segment is found out anew at once.
        self.faults.clear(|fault| {
            matches!(
                fault,
                Fault::InterfaceMissing(RouterId(_)) | Fault::LinkDown(_) | Fault::SegmentSilent(_)
            )
        });
    }

    /// Goes on under the new configuration; what is held is told to the kernel again, so that added
    /// addresses come and removed ones go, and so is what is let go of.
    fn reconfigured(&mut self, scene: &crate::group::Scene, out: &mut Vec<Effect>) {
        if self.speakers.len() != scene.config.routers.len() {
            self.listen(scene);
        }
        if self.holds() && scene.config.priority(scene.me).is_some() {
            self.hold_again(scene, out);
        } else {
            self.let_go_again(scene, out);
        }
    }
}
