//! From decisions to packets and system calls. What cannot be sent is counted; the next one comes
//! soon, and the peers draw their own conclusions from silence.

use std::net::IpAddr;

use evergate_api::config::model::Checksum;
use evergate_core::config::Version;
use evergate_core::effect::{Note, Occasion};
use evergate_core::heartbeat::{Heartbeat, Role};
use evergate_core::ident::{Family, GroupId, InterfaceId, Mac, PathId, PathSet, RouterId};
use evergate_core::procedure::Fact;
use evergate_core::vrrp::guard::Unsendable;
use evergate_core::wire::heartbeat::{About, Neighbour};
use evergate_core::wire::{arp, header, heartbeat, ndp, vrrp};
use evergate_core::{Effect, Input, Instant};

use super::Drive;
use crate::kernel::udp_socket;
use crate::kernel_thread::Wish;
use crate::replicate::Replication;
use crate::sys::clock::boottime_now;

impl Drive {
    /// Carries out decisions in their order.
    pub(super) fn carry_out(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Advertise { group, router, priority } => {
                    self.advertise(now, group, router, priority)
                }
                Effect::Heartbeat { paths, body } => self.send_heartbeat(now, paths, &body),
                Effect::Own { group, lease, serial } => self.own(now, group, lease, serial),
                Effect::Announce { group, occasion } => {
                    if occasion == Occasion::LowerHeard {
                        self.lower_heard(now, group);
                    }
                    self.announce(now, group, occasion);
                }
                Effect::Probe(interface) => self.probe(interface),
                Effect::Answer { token, outcome } => self.answer_call(token, outcome),
                Effect::Note(note) => self.note(now, &note),
                Effect::Configured => self.configured(),
                Effect::Stopped => {
                    self.stopped = true;
                    self.tell_procedures(now, Fact::Stopped);
                }
            }
        }
        if self.replication.is_some() && self.handing_over() != self.handed_over {
            self.handed_over = !self.handed_over;
            // What changes from here on must be told at once.
            self.show_replication();
        }
        if !self.wishes.is_empty() {
            self.kernel.wish(self.wishes.drain(..));
        }
        self.renew_wills();
        for group in std::mem::take(&mut self.exhausted) {
            self.feed(now, Input::Exhausted { group });
        }
    }

    fn advertise(&mut self, now: Instant, group: GroupId, router: RouterId, priority: u8) {
        let Some(source) = self.source_of(group, router) else {
            self.facts.mute.insert((group, router), now);
            return self.count_router(group, router, "no_source_address");
        };
        let Some(advert) = self.advert(group, router, priority) else { return };
        let config = &self.layout.core.groups[group.index()].routers[router.index()];
        let interface = config.interface;
        let destinations = self.destinations(group, router);
        for destination in destinations {
            let mut packet = std::mem::take(&mut self.packet);
            packet.clear();
            let ends = (source, destination);
            let sealed = self.seal_advert((group, router), &advert, ends, false, &mut packet);
            let sent = match sealed {
                Ok(()) => self.send_vrrp(interface, (group, router), &packet, ends),
                Err(why) => {
                    if why == Unsendable::Exhausted {
                        self.exhausted.insert(group);
                    }
                    false
                }
            };
            self.packet = packet;
            let name = if sent { "adverts_sent" } else { "adverts_not_sent" };
            self.count_router(group, router, name);
            if sent && priority == 0 {
                self.count_router(group, router, "resignations_sent");
            }
        }
    }

    /// What an advert of a router says; `None` for a router that sends none.
    pub(super) fn advert(
        &self,
        group: GroupId,
        router: RouterId,
        priority: u8,
    ) -> Option<vrrp::Advert> {
        let group_config = &self.layout.core.groups[group.index()];
        let config = &group_config.routers[router.index()];
        let layout = &self.layout.groups[group.index()].routers[router.index()];
        let vrid = config.vrid?;
        let interval = group_config.advert;
        let addresses = layout.advertised.clone();
        let (version, auth) = (config.version, vrrp::Auth::None);
        Some(vrrp::Advert { version, vrid, priority, interval, addresses, auth })
    }

    /// The dialect that the segment of a router speaks.
    pub(super) fn dialect(&self, group: GroupId, router: RouterId) -> vrrp::Dialect {
        let version = self.layout.core.groups[group.index()].routers[router.index()].version;
        match (self.layout.groups[group.index()].checksum, version) {
            (_, Version::V2) | (Checksum::Plain, _) => vrrp::Dialect::Plain,
            (Checksum::Pseudo, _) => vrrp::Dialect::Pseudo,
            (Checksum::Auto, _) => {
                self.dialects.get(&(group, router)).copied().unwrap_or(vrrp::Dialect::Pseudo)
            }
        }
    }

    /// Where adverts of a router go.
    pub(super) fn destinations(&self, group: GroupId, router: RouterId) -> Vec<IpAddr> {
        let config = &self.layout.core.groups[group.index()].routers[router.index()];
        if config.unicast_peers.is_empty() {
            let layout = &self.layout.groups[group.index()].routers[router.index()];
            return vec![layout.multicast];
        }
        let own = &self.ports[config.interface.index()].addresses;
        config.unicast_peers.iter().filter(|peer| !own.contains(peer)).copied().collect()
    }

    /// The address that adverts of a router come from.
    pub(super) fn source_of(&self, group: GroupId, router: RouterId) -> Option<IpAddr> {
        let layout = &self.layout.groups[group.index()].routers[router.index()];
        let config = &self.layout.core.groups[group.index()].routers[router.index()];
        let port = &self.ports[config.interface.index()];
        layout.source.or_else(|| match config.family {
            Family::V4 => port.source_v4().map(IpAddr::V4),
            Family::V6 => port.source_v6().map(IpAddr::V6),
        })
    }

    fn send_vrrp(
        &self,
        id: InterfaceId,
        (group, router): (GroupId, RouterId),
        packet: &[u8],
        (source, destination): (IpAddr, IpAddr),
    ) -> bool {
        if destination.is_multicast()
            && let Some(mac) = self.adverts_from(group, router)
        {
            return self.send_framed(id, (group, router), mac, packet, (source, destination));
        }
        let sockets = self.ports[id.index()].sockets.as_ref();
        let socket = sockets.and_then(|sockets| match Family::of(source) {
            Family::V4 if self.is_header(group, router) => sockets.vrrp_header.as_ref(),
            Family::V4 => sockets.vrrp_v4.as_ref(),
            Family::V6 => sockets.vrrp_v6.as_ref(),
        });
        let hops = self.layout.groups[group.index()].routers[router.index()].hop_limit;
        let sent = socket.map(|socket| match destination.is_multicast() {
            true => socket.send(packet, source, destination),
            false => socket.send_within(packet, (source, destination), hops),
        });
        matches!(sent, Some(Ok(())))
    }

    fn send_heartbeat(&mut self, now: Instant, paths: PathSet, body: &Heartbeat) {
        self.plain.clear();
        let mut plain = std::mem::take(&mut self.plain);
        heartbeat::encode(body, &self.layout.names, &mut plain);
        if self.tell_more(now) {
            let version = env!("CARGO_PKG_VERSION").into();
            let capabilities = if self.replication.is_some() { heartbeat::REPLICATES } else { 0 };
            About { capabilities, version }.encode(&mut plain);
            Neighbour::encode(&self.neighbours_told(now), &self.layout.names, &mut plain);
        }
        for path in paths.iter() {
            if path.index() < self.layout.paths.len() {
                self.send_on(path, header::Kind::Heartbeat, &plain);
            }
        }
        self.plain = plain;
    }

    fn neighbours_told(&self, now: Instant) -> Vec<Neighbour> {
        let mut told = Vec::new();
        for (position, path) in self.layout.core.paths.iter().enumerate() {
            self.neighbours.told(now, path.interface, PathId::at(position), &mut told);
        }
        told
    }

    fn send_on(&mut self, path: PathId, kind: header::Kind, plain: &[u8]) {
        self.sequence += 1;
        let sequence = self.sequence;
        let head = self.header(kind, self.layout.names.path_hash(path).unwrap_or(0), sequence);
        let mut packet = std::mem::take(&mut self.packet);
        let sealed = match &mut self.sealer {
            Some(sealer) => sealer.seal(&head, sequence, plain, &mut packet).is_ok(),
            None => false,
        };
        if !sealed || !self.send_datagram(path, &packet) {
            self.count("heartbeats_not_sent");
        }
        self.packet = packet;
    }

    pub(super) fn header(&self, kind: header::Kind, path: u32, sequence: u64) -> [u8; header::LEN] {
        #[allow(clippy::cast_possible_truncation, reason = "the stamp wraps by design")]
        let stamp = (boottime_now() / 1000) as u32;
        let node = self.layout.names.node_hash(self.layout.core.me).unwrap_or(0);
        let process = header::PROCESS_CORE;
        let incarnation = self.node.incarnation();
        let cluster = self.layout.cluster;
        header::Header { kind, cluster, node, path, process, stamp, sequence, incarnation }.encode()
    }

    fn send_datagram(&self, path: PathId, packet: &[u8]) -> bool {
        let (source, destinations) = self.path_addresses(path);
        let port = &self.ports[self.layout.core.paths[path.index()].interface.index()];
        let Some(sockets) = port.sockets.as_ref() else { return false };
        let mut sent = false;
        for destination in destinations {
            let socket = match Family::of(destination) {
                Family::V4 => sockets.udp_v4.as_ref(),
                Family::V6 => sockets.udp_v6.as_ref(),
            };
            let result = socket.map(|socket| socket.send(packet, source, destination));
            sent |= matches!(result, Some(Ok(())));
        }
        sent
    }

    /// Where heartbeats of a path come from and go to: the named peers, or the group, over IPv4
    /// where the interface has an address of its own and over link-local IPv6 elsewhere.
    pub(super) fn path_addresses(&self, path: PathId) -> (Option<IpAddr>, Vec<IpAddr>) {
        let layout = &self.layout.paths[path.index()];
        if !layout.peers.is_empty() {
            return (layout.source, layout.peers.clone());
        }
        let port = &self.ports[self.layout.core.paths[path.index()].interface.index()];
        match (port.source_v4(), port.source_v6()) {
            (Some(source), _) => (Some(source.into()), vec![udp_socket::GROUP_V4.into()]),
            (None, source) => (source.map(IpAddr::V6), vec![udp_socket::GROUP_V6.into()]),
        }
    }

    fn own(
        &mut self,
        now: Instant,
        group: GroupId,
        lease: Option<std::time::Duration>,
        serial: u32,
    ) {
        let claims = lease.is_some() && self.held.insert(group);
        if claims {
            // Whoever has removed an address meant the former takeover.
            let routers = &self.layout.core.groups[group.index()].routers;
            let here = |id| routers.iter().any(|router| router.interface == id);
            self.facts.left_alone.retain(|(interface, _)| !here(*interface));
            self.facts.ways.remove(&group);
            self.publish_estate();
        }
        let (addresses, on_links) = self.wished(group);
        let lease_s = lease.map(|lease| u32::try_from(lease.as_secs()).unwrap_or(u32::MAX).max(1));
        let (_, holder) = self.holders[group.index()];
        let replication = self.replication.as_mut().filter(|_| claims);
        let after = replication.and_then(Replication::ticket);
        let (ways, restore) = (self.ways_of(group), self.restores(now, group));
        let wish = Wish { serial, addresses, on_links, ways, restore, lease_s, after };
        self.wishes.push((holder, wish));
    }
    pub(super) fn announce_address(
        &self,
        group: GroupId,
        router: RouterId,
        address: IpAddr,
    ) -> bool {
        let interface = self.layout.core.groups[group.index()].routers[router.index()].interface;
        let frames = self.ports[interface.index()].sockets.as_ref().and_then(|s| s.frames.as_ref());
        let mac = self.mac_of(group, router);
        let (Some(Mac(mac)), Some(frames)) = (mac, frames) else { return false };
        let sent = match address {
            IpAddr::V4(address) => {
                frames.send(&arp::Arp::announcement(Mac(mac), address).broadcast())
            }
            IpAddr::V6(address) => {
                let message = ndp::announcement(address, Mac(mac), ndp::Sender::Router);
                frames.send_icmpv6(mac, address, ndp::ALL_NODES, &message)
            }
        };
        sent.is_ok()
    }

    /// Asks whoever is there to make himself known.
    pub(super) fn seek(&self, interface: InterfaceId) {
        let port = &self.ports[interface.index()];
        let frames = port.sockets.as_ref().and_then(|sockets| sockets.frames.as_ref());
        let (Some(Mac(mac)), Some(frames)) = (port.mac(), frames) else { return };
        let Some(source) = port.source_v6() else { return };
        // Nobody has to answer, and we ask again soon.
        let _ = frames.send_icmpv6(mac, source, ndp::ALL_NODES, &ndp::who_is_there(source));
    }

    /// Asks the neighbours on an interface; where none is known, passing frames have to do.
    pub(super) fn probe(&mut self, interface: InterfaceId) {
        let asked: Vec<IpAddr> = self.neighbours.to_ask(interface).collect();
        for address in &asked {
            self.probe_address(interface, *address);
        }
        self.watch_frames(interface);
    }

    fn probe_address(&self, interface: InterfaceId, address: IpAddr) {
        let port = &self.ports[interface.index()];
        let frames = port.sockets.as_ref().and_then(|sockets| sockets.frames.as_ref());
        let (Some(mac), Some(frames)) = (port.mac(), frames) else { return };
        // A probe that is lost is sent again soon; the test judges by answers alone.
        let _ = frames.probe(mac, address);
    }

    /// Keeps the phases of a takeover until its last one, the announcement, is done.
    pub(super) fn note(&mut self, now: Instant, note: &Note) {
        self.facts.note(now, note, &self.layout.core);
        if matches!(note, Note::Role { .. } | Note::Peer { .. }) {
            // Whose flows are whose follows from it, and must not wait for the housekeeping.
            self.show_replication();
        }
        if let Note::Role { group, to, .. } = note
            && *to != Role::Active
        {
            self.announcer.stop(*group);
        }
        if let Note::TookOver { group, cause, detect, addresses } = note {
            let states = self.states.remove(group).unwrap_or_default();
            let addresses = addresses.saturating_sub(states);
            let (cause, detect, since_ns) = (*cause, *detect, boottime_now());
            let phases = super::Phases { cause, detect, states, addresses, since_ns };
            self.phases.insert(*group, phases);
        }
        self.note_for_procedures(now, note);
        if let Note::Discarded { why, .. } = note {
            self.count(super::discard_name(*why));
        }
        if let Note::Paused { .. } = note {
            self.count("pauses");
        }
        if let Some(draft) = self.observer.note(now, note, &self.layout.core) {
            self.tell(draft);
        }
    }
}
