//! The node thread's side of replication: letters to its thread, and how things stand.

use std::collections::BTreeSet;
use std::sync::mpsc::SyncSender;

use evergate_api::config::model::{self as file, Recovery};
use evergate_api::control::{ActionReply, ErrorCode, ErrorReply, Reply, VerifyPeer, VerifyReply};
use evergate_core::heartbeat::Role;
use evergate_core::ident::{Incarnation, InterfaceId, NodeId, PathId};
use evergate_core::replicate::Sight;
use evergate_core::wire::header::Header;
use evergate_core::{Input, Instant};

use super::Drive;
use super::renumber::Moves;
use crate::kernel::Interface;
use crate::layout::Layout;
use crate::replicate::{
    Configured, ConntrackdPeer, Doors, Identity, Listing, Mail, Policy, Replication, View, Way,
};
use crate::seal::ClusterKey;
use crate::wall_clock::WallClock;
use crate::words;

/// Starts the thread where the configuration wants it: with a peer of ours and a key, or with a peer
/// that runs conntrackd.
pub fn start(
    layout: &Layout,
    incarnation: Incarnation,
    keys: &[ClusterKey],
    doors: Option<Doors>,
) -> Result<Option<Replication>, String> {
    let Some(doors) = doors.filter(|_| wants(layout, keys)) else { return Ok(None) };
    let identity = identity(layout, incarnation);
    let conntrackd = conntrackd(layout).and_then(|plan| {
        let nodes = &layout.core.nodes;
        let node = NodeId::at(nodes.iter().position(|node| node.name == plan.peer)?);
        Some(ConntrackdPeer { node, plan: plan.clone() })
    });
    let started = Replication::start(doors, identity, policy(layout), keys, conntrackd);
    started.map(Some).map_err(|error| format!("replication cannot start: {error}"))
}

fn identity(layout: &Layout, incarnation: Incarnation) -> Identity {
    Identity {
        me: layout.core.me,
        node: layout.names.node_hash(layout.core.me).unwrap_or(0),
        cluster: layout.cluster,
        incarnation,
        names: layout.names.clone(),
        port: layout.port,
    }
}

/// What makes this process known to the others; another one needs another process.
fn fame(layout: &Layout) -> (u32, Option<u32>, u16) {
    (layout.cluster, layout.names.node_hash(layout.core.me), layout.port)
}

/// Whether connections are to be replicated at all.
pub fn wants(layout: &Layout, keys: &[ClusterKey]) -> bool {
    let ours = layout.core.nodes.iter().filter(|node| !node.foreign).count();
    let linked = layout.replicate.as_ref().is_some_and(|file| !file.links.is_empty());
    linked && ours > 1 && !keys.is_empty() || conntrackd(layout).is_some()
}

/// The peer that runs conntrackd, if the configuration names one.
pub fn conntrackd(layout: &Layout) -> Option<&file::Conntrackd> {
    layout.replicate.as_ref()?.conntrackd.as_ref()
}

fn policy(layout: &Layout) -> Policy {
    let Some(file) = &layout.replicate else { return Policy::default() };
    Policy {
        protocols: file.protocols.clone(),
        ignore: file.ignore.iter().map(|network| (network.ip, network.prefix)).collect(),
        zones: file.zones.clone(),
        marks: file.marks.iter().map(|mark| (mark.value, mark.mask)).collect(),
        strict: file.recovery == Recovery::Strict,
        coalesce: file.coalesce,
        protect_after: file.protect_after,
    }
}

fn nothing_replicated() -> Reply {
    let text = "connections are not replicated: the configuration has no [replicate], no second node \
                of ours or no key, or the kernel has refused; the log says which";
    Reply::Error(ErrorReply::new(ErrorCode::Refused, text))
}

impl Drive {
    /// Passes a datagram on, unopened.
    pub(super) fn pass_on(&mut self, from: NodeId, header: Header, datagram: &[u8]) {
        let Some(replication) = &mut self.replication else {
            return self.count("replica_unwanted");
        };
        let letter = Mail::Datagram { from, header, bytes: datagram.to_vec() };
        if !replication.post(letter) {
            self.count("replica_no_room");
        }
    }

    /// Tells the other thread what has changed.
    pub(super) fn show_replication(&mut self) {
        if self.replication.is_none() {
            return;
        }
        let view = self.view();
        if let Some(replication) = &mut self.replication {
            replication.show(view);
            if let Some(standing) = replication.standing() {
                self.facts.replication = Some(standing);
            }
        }
    }

    /// Tells the machine whether this node has what a takeover needs.
    pub(super) fn tell_copies(&mut self, now: Instant) {
        let Some(standing) = &self.facts.replication else {
            // Nothing can be lacked where nothing is replicated.
            if self.replication.is_none() && self.copies_whole == Some(false) {
                self.copies_whole = Some(true);
                self.feed(now, Input::Copies { whole: true });
            }
            return;
        };
        // Who says that it replicates nothing has nothing that we could lack.
        let replicates = |peer: &&evergate_core::detector::Peer| {
            peer.lives() && self.facts.replicates.get(&peer.node.0) != Some(&false)
        };
        let whole = self
            .node
            .peers()
            .iter()
            .filter(replicates)
            .all(|peer| standing.peers.get(&peer.node).is_some_and(|peer| peer.whole));
        if self.copies_whole != Some(whole) {
            self.copies_whole = Some(whole);
            self.feed(now, Input::Copies { whole });
        }
    }

    /// A new configuration: the thread goes on under its numbers, or ends.
    pub(super) fn configure_replication(&mut self, former: &Layout) {
        let Some(replication) = &mut self.replication else { return };
        if conntrackd(former).is_some()
            && former.replicate == self.layout.replicate
            && former.core.nodes == self.layout.core.nodes
        {
            return;
        }
        let (old, new) = (&former.core.nodes, &self.layout.core.nodes);
        let moves = Moves::of(old.iter().map(|n| &n.name), new.iter().map(|n| &n.name));
        let places = (0..old.len()).map(NodeId::at);
        let moved = places.filter_map(|node| Some((node, moves.node(node)?))).collect();
        let known = fame(former) == fame(&self.layout)
            && conntrackd(former).is_none()
            && conntrackd(&self.layout).is_none();
        let configured = Configured {
            identity: identity(&self.layout, self.node.incarnation()),
            policy: policy(&self.layout),
            moved,
        };
        let wanted = wants(&self.layout, &self.secrets.cluster);
        if wanted && known && replication.configure(configured) {
            return;
        }
        self.replication = None;
        self.facts.replication = None;
        self.complain(match wanted {
            true => "this node is known by another name, or its peer runs conntrackd: connections are not replicated until this daemon is restarted",
            false => "connections are not replicated any more",
        });
    }

    /// Whether a group is being handed over as planned, from this node or to it.
    pub(super) fn handing_over(&self) -> bool {
        self.node.groups().iter().any(evergate_core::group::Group::is_busy)
    }

    fn view(&self) -> View {
        // A group that we hold, or have begun to, is not served by a peer any more: what it says of
        // its connections while it lets go does not count.
        let serves = |node: NodeId| {
            self.node.groups().iter().filter(|group| !group.holds()).any(|group| {
                let report = group.reports.get(node.index()).and_then(Option::as_ref);
                report.is_some_and(|report| matches!(report.role, Role::Active | Role::Claiming))
            })
        };
        let sight = |peer: &evergate_core::detector::Peer| {
            let incarnation = peer.session.incarnation().filter(|_| peer.lives())?;
            Some(Sight { node: peer.node, incarnation, serves: serves(peer.node) })
        };
        let own: BTreeSet<_> =
            self.ports.iter().flat_map(|port| port.addresses.iter().copied()).collect();
        View {
            sights: self.node.peers().iter().filter_map(sight).collect(),
            handing_over: self.handing_over(),
            serving: self.node.groups().iter().filter(|group| group.holds()).count(),
            ways: self.ways(),
            own,
        }
    }

    /// The paths over which connections are replicated.
    fn links(&self) -> impl Iterator<Item = PathId> {
        let paths = &self.layout.core.paths;
        let only = conntrackd(&self.layout).map(|plan| std::slice::from_ref(&plan.link));
        let all = self.layout.replicate.as_ref().map(|file| file.links.as_slice());
        let wanted = only.or(all).unwrap_or_default();
        let position = |link: &String| {
            let name = format!("link:{link}");
            paths.iter().position(|path| path.name == name)
        };
        wanted.iter().filter_map(position).map(PathId::at)
    }

    /// Whether the other thread hears the group on an interface.
    pub(super) fn replicates_on(&self, interface: InterfaceId) -> bool {
        conntrackd(&self.layout).is_none()
            && self.links().any(|id| self.layout.core.paths[id.index()].interface == interface)
    }

    /// Links, those on which a peer is heard first.
    fn ways(&self) -> Vec<Way> {
        let mut ways: Vec<(bool, Way)> = Vec::new();
        for id in self.links() {
            let position = id.index();
            let path = &self.layout.core.paths[position];
            let Some(port) = self.ports.get(path.interface.index()) else { continue };
            let Some(index) = port.ifindex() else { continue };
            let (source, destinations) = self.path_addresses(id);
            let interface = Interface { index, name: port.name.clone() };
            let hash = self.layout.names.path_hash(id).unwrap_or(0);
            let lives = |path: &evergate_core::detector::PathView| path.alive;
            let silent =
                !self.node.peers().iter().any(|peer| peer.paths.get(position).is_some_and(lives));
            ways.push((silent, Way { interface, path: hash, source, destinations }));
        }
        ways.sort_by_key(|(silent, _)| *silent);
        ways.into_iter().map(|(_, way)| way).collect()
    }

    /// Asks a peer, or all, for everything they have.
    pub(super) fn resync(&mut self, name: Option<&str>) -> Reply {
        let Some(replication) = &mut self.replication else { return nothing_replicated() };
        let ours = self.node.peers().iter().map(|peer| peer.node);
        let foreign = conntrackd(&self.layout).map(|plan| &plan.peer);
        let number =
            |name: &String| self.layout.core.nodes.iter().position(|node| node.name == *name);
        let all = ours.chain(foreign.and_then(number).map(NodeId::at));
        let named = |node: &NodeId| name.is_none_or(|name| self.layout.core.name(*node) == name);
        let nodes: Vec<NodeId> = all.filter(named).collect();
        if nodes.is_empty() {
            let text = format!("no peer that replicates is called {}", name.unwrap_or_default());
            return Reply::Error(ErrorReply::new(ErrorCode::UnknownNode, text));
        }
        let asked = nodes.iter().all(|node| replication.post(Mail::Resync(*node)));
        if !asked {
            let text = "replication has too much to do; try again";
            return Reply::Error(ErrorReply::new(ErrorCode::Busy, text));
        }
        let names: Vec<&str> = nodes.iter().map(|node| self.layout.core.name(*node)).collect();
        let text = format!("asked {} for all connections", names.join(", "));
        Reply::Resync(ActionReply { groups: Vec::new(), changed: true, text })
    }

    /// What the last comparison with each peer has shown.
    pub(super) fn verify(&self, now: Instant) -> Reply {
        let Some(standing) = &self.facts.replication else { return nothing_replicated() };
        let clock = WallClock::now();
        let peers = standing.peers.iter().map(|(node, peer)| VerifyPeer {
            node: self.layout.core.name(*node).to_owned(),
            equal: peer.verified_at.map(|_| peer.whole && peer.ours.is_some_and(|ours| ours.whole)),
            divergent: Some(standing.divergent as u64),
            verified_at: peer.verified_at.map(|at| clock.rfc3339(at)),
            age_ms: peer.verified_at.map(|at| words::whole_millis(now.since(at))),
        });
        let peers: Vec<VerifyPeer> = peers.collect();
        let equal = peers.iter().filter(|peer| peer.equal == Some(true)).count();
        let text =
            format!("{equal} of {} peers have the same connections as this node", peers.len());
        Reply::Verify(VerifyReply { peers, text })
    }

    /// Lists connections; the other thread answers.
    pub(super) fn list(
        &mut self,
        filter: Option<&str>,
        limit: u32,
        reply: &SyncSender<Reply>,
    ) -> Option<Reply> {
        let Some(replication) = &mut self.replication else { return Some(nothing_replicated()) };
        let nodes = self.layout.core.nodes.iter().map(|node| node.name.clone()).collect();
        let listing = Listing::new(filter, limit, reply.clone(), nodes);
        let busy = "replication has too much to do; try again";
        let posted = replication.post(Mail::List(listing));
        (!posted).then(|| Reply::Error(ErrorReply::new(ErrorCode::Busy, busy)))
    }

    /// Passes new keys on.
    pub(super) fn pass_keys_on(&mut self) {
        if let Some(replication) = &mut self.replication {
            replication.post(Mail::Keys(self.secrets.cluster.clone()));
        }
    }
}
