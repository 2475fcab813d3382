//! From packets to facts: everything that arrives is decoded here, before the machine's door. What
//! cannot be understood is counted by cause and dropped.

use std::net::IpAddr;

use evergate_core::Instant;
use evergate_core::config::Version;
use evergate_core::ident::{Family, GroupId, InterfaceId, NodeId, RouterId};
use evergate_core::input::{Input, Received};
use evergate_core::vrrp::guard::{Refused, Reject};
use evergate_core::wire::heartbeat::{self, About, Neighbour};
use evergate_core::wire::{ah, arp, header, ndp, vrrp};

use super::Drive;
use super::guards::stamp_now;
use super::ports::{Form, Source};
use crate::facts::HeardAdvert;
use crate::kernel::internet_socket;
use crate::seal::SealIds;

/// How many packets are read from one socket in one go; the rest waits for the next wake-up, so that
/// a flood on one interface does not silence the others.
pub const PACKETS_PER_WAKE_MAX: usize = 256;
/// Longer than any packet that we accept.
pub const PACKET_BYTES_MAX: usize = 32 * 1024;

impl Drive {
    /// Reads a socket dry, within bounds.
    pub(super) fn read_port(&mut self, now: Instant, interface: InterfaceId, source: Source) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..PACKETS_PER_WAKE_MAX {
            let more = match source {
                Source::Vrrp(form) => self.read_vrrp(now, interface, form, &mut buffer),
                Source::Udp(family) => self.read_udp(now, interface, family, &mut buffer),
                Source::Arp => self.read_arp(now, interface, &mut buffer),
                Source::Ndp => self.read_ndp(now, interface, &mut buffer),
            };
            if !more {
                break;
            }
        }
        self.buffer = buffer;
    }

    fn read_vrrp(&mut self, now: Instant, id: InterfaceId, form: Form, buffer: &mut [u8]) -> bool {
        let Some(sockets) = self.ports[id.index()].sockets.as_ref() else { return false };
        let received = match sockets.vrrp(form).map(|socket| socket.receive(buffer)) {
            Some(Ok(Some(received))) => received,
            Some(Err(error)) => return self.read_failed(&error.to_string()),
            Some(Ok(None)) | None => return false,
        };
        if received.truncated {
            self.count("vrrp_truncated");
        } else {
            self.vrrp_packet(now, id, form, &received, &buffer[..received.length]);
        }
        true
    }

    /// Judges a packet of VRRP by its router's configuration (RFC 9568 §7.1, RFC 3768 §7.1).
    pub(super) fn vrrp_packet(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        form: Form,
        received: &internet_socket::Received,
        packet: &[u8],
    ) {
        // The number of the virtual router tells whose configuration judges the rest.
        let (family, vrid) = match form {
            Form::Bare(family) => (family, packet.get(1).copied()),
            Form::Header => (Family::V4, ah::vrid(packet)),
        };
        let Some(vrid) = vrid else { return self.count("vrrp_length") };
        let Some((group, router)) = self.router_at(interface, family, vrid) else {
            return self.count("vrrp_unknown_vrid");
        };
        if !self.comes_right(now, interface, (group, router), received) {
            return;
        }
        let config = &self.layout.core.groups[group.index()].routers[router.index()];
        let layout = &self.layout.groups[group.index()].routers[router.index()];
        let hop_limit_min = layout.hop_limit_min;
        let Some(guard) = self.guards.get_mut(&config.id) else { return };
        let source = received.source;
        let opened = match form {
            Form::Bare(_) => {
                let (destination, hop_limit) = (received.destination, received.hop_limit);
                let context =
                    vrrp::Context { family, source, destination, hop_limit, hop_limit_min };
                guard.open(packet, &context, stamp_now())
            }
            Form::Header => guard.open_header(packet, hop_limit_min),
        };
        match opened {
            Ok((advert, dialect)) => {
                self.take_advert(now, (group, router), source, &advert, dialect);
            }
            Err(why) => self.refuse_advert(now, group, router, source, refused(why)),
        }
    }

    /// Whether adverts for a router may come this way. Those of our own address have gone in a circle, or
    /// somebody else has it: answered, they would go round for ever.
    fn comes_right(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        (group, router): (GroupId, RouterId),
        received: &internet_socket::Received,
    ) -> bool {
        let source = received.source;
        let config = &self.layout.core.groups[group.index()].routers[router.index()];
        let peers = &config.unicast_peers;
        let multicast = self.layout.groups[group.index()].routers[router.index()].multicast;
        let is_meant = if peers.is_empty() {
            received.destination == multicast
        } else {
            !received.destination.is_multicast() && peers.contains(&source)
        };
        if !is_meant {
            self.count_router(group, router, "refused_destination");
            return false;
        }
        if self.ports[interface.index()].addresses.contains(&source) {
            self.refuse_advert(now, group, router, source, "refused_our_own_address");
            return false;
        }
        true
    }

    /// An advert that its guard has let in.
    fn take_advert(
        &mut self,
        now: Instant,
        (group, router): (GroupId, RouterId),
        source: IpAddr,
        advert: &vrrp::Advert,
        dialect: vrrp::Dialect,
    ) {
        let ours = &self.layout.core.groups[group.index()];
        let (version, interval) = (ours.routers[router.index()].version, ours.advert);
        if advert.version != version {
            return self.refuse_advert(now, group, router, source, "refused_version_differs");
        }
        if version == Version::V2 && advert.interval != interval {
            return self.refuse_advert(now, group, router, source, "refused_interval_differs");
        }
        self.count_router(group, router, "adverts_received");
        if advert.interval != interval {
            // Version 3 takes the interval of the active router over (RFC 9568 §6.4.2).
            self.count_router(group, router, "interval_differs");
        }
        if !self.lists_our_addresses((group, router), advert) {
            self.count_router(group, router, "address_list_differs");
        }
        let (priority, interval) = (advert.priority, advert.interval);
        let heard = HeardAdvert { source, priority, interval, at: now };
        self.router_facts(group, router).heard = Some(heard);
        if advert.priority == 0 {
            self.count_router(group, router, "resignations_received");
        }
        self.heard_speaker(now, group, router, source, advert.priority, dialect);
        self.feed(now, Input::Advert { group, router, source, priority, interval });
    }

    /// Whether an advert names the addresses that ours would, in whatever order. One that does not is taken
    /// all the same: files are changed on one node after the other.
    fn lists_our_addresses(
        &self,
        (group, router): (GroupId, RouterId),
        advert: &vrrp::Advert,
    ) -> bool {
        let ours = &self.layout.groups[group.index()].routers[router.index()].advertised;
        let named = |address: &IpAddr| advert.addresses.contains(address);
        advert.addresses.len() == ours.len() && ours.iter().all(named)
    }

    /// Counts an advert that was refused, and remembers the router of another make that has sent it:
    /// if nobody understands the other, both are active.
    fn refuse_advert(
        &mut self,
        now: Instant,
        group: GroupId,
        router: RouterId,
        source: IpAddr,
        why: &'static str,
    ) {
        self.count_router(group, router, why);
        self.router_facts(group, router).refused = Some(why);
        if !self.is_of_a_peer(source) {
            self.facts.refused.insert((group, router), (source, why, now));
        }
    }

    /// Whether adverts of one of our peers come from this address.
    fn is_of_a_peer(&self, source: IpAddr) -> bool {
        let mut bodies = self.node.peers().iter().filter_map(|peer| peer.last.as_ref());
        bodies.any(|body| body.sources.contains(&source))
    }

    /// Remembers the dialect of a router of another make, to answer in it, and that it is there.
    fn heard_speaker(
        &mut self,
        now: Instant,
        group: GroupId,
        router: RouterId,
        source: IpAddr,
        priority: u8,
        dialect: vrrp::Dialect,
    ) {
        if !self.is_of_a_peer(source) {
            self.dialects.insert((group, router), dialect);
            self.facts.foreign.insert((group, router), (source, priority, now));
        }
    }

    pub(super) fn router_at(
        &self,
        interface: InterfaceId,
        family: Family,
        vrid: u8,
    ) -> Option<(GroupId, RouterId)> {
        self.routers.get(&(interface, family, vrid)).copied()
    }

    fn read_udp(
        &mut self,
        now: Instant,
        id: InterfaceId,
        family: Family,
        buffer: &mut [u8],
    ) -> bool {
        let Some(sockets) = self.ports[id.index()].sockets.as_ref() else { return false };
        let socket = match family {
            Family::V4 => sockets.udp_v4.as_ref(),
            Family::V6 => sockets.udp_v6.as_ref(),
        };
        let received = match socket.map(|socket| socket.receive(buffer)) {
            Some(Ok(Some(received))) => received,
            Some(Err(error)) => return self.read_failed(&error.to_string()),
            Some(Ok(None)) | None => return false,
        };
        // A unicast link may cross routers; the seal is what counts there.
        if received.destination.is_multicast() && received.hop_limit != header::HOP_LIMIT {
            self.count("heartbeat_hop_limit");
        } else if received.truncated {
            self.count("heartbeat_truncated");
        } else {
            self.datagram(now, id, &buffer[..received.length]);
        }
        true
    }

    /// Opens a datagram of our own protocol.
    fn datagram(&mut self, now: Instant, interface: InterfaceId, datagram: &[u8]) {
        let Ok((head, sealed)) = header::Header::decode(datagram) else {
            return self.count("heartbeat_header");
        };
        if head.cluster != self.layout.cluster {
            return self.count("heartbeat_other_cluster");
        }
        let Some(from) = self.layout.names.node(head.node) else {
            return self.count("heartbeat_unknown_node");
        };
        if from == self.layout.core.me {
            return self.count("heartbeat_ourselves");
        }
        if head.kind == header::Kind::Replica {
            return self.pass_on(from, head, datagram);
        }
        let ids = SealIds {
            cluster: head.cluster,
            node: head.node,
            process: head.process,
            incarnation: head.incarnation.0,
        };
        let mut body = std::mem::take(&mut self.plain);
        let clear = &datagram[..header::LEN];
        match self.opener.open(&ids, clear, head.sequence, sealed, &mut body) {
            Err(_) => self.count("heartbeat_bad_seal"),
            Ok(()) => self.opened(now, interface, from, &head, &body),
        }
        self.plain = body;
    }

    fn opened(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        from: NodeId,
        head: &header::Header,
        body: &[u8],
    ) {
        let incarnation = head.incarnation;
        if head.kind == header::Kind::Will {
            return self.feed(now, Input::Will { from, incarnation });
        }
        let on_it = |path: &evergate_core::ident::PathId| {
            self.layout.core.paths[path.index()].interface == interface
        };
        let Some(path) = self.layout.names.path(head.path).filter(on_it) else {
            return self.count("heartbeat_unknown_path");
        };
        let Ok(heartbeat) = heartbeat::decode(body, &self.layout.names) else {
            return self.count("heartbeat_body");
        };
        let received = Received {
            path,
            from,
            incarnation,
            sequence: head.sequence,
            stamp: head.stamp,
            body: std::sync::Arc::new(heartbeat),
        };
        self.feed(now, Input::Heartbeat(received));
        // Only the word of a process that counts is used for anything else.
        let peer = self.node.peers().iter().find(|peer| peer.node == from);
        if peer.is_some_and(|peer| peer.session.incarnation() == Some(incarnation)) {
            for neighbour in Neighbour::decode(body, &self.layout.names) {
                let interface = self.layout.core.paths[neighbour.path.index()].interface;
                self.neighbours.named(now, interface, neighbour.address);
            }
            if let Some(about) = About::decode(body) {
                let replicates = about.capabilities & heartbeat::REPLICATES != 0;
                self.facts.replicates.insert(from.0, replicates);
                let known = self.facts.versions.get(&from.0);
                if known.is_none_or(|known| *known != about.version) {
                    self.facts.versions.insert(from.0, about.version);
                }
            }
        }
    }

    fn read_arp(&mut self, now: Instant, id: InterfaceId, buffer: &mut [u8]) -> bool {
        let Some(sockets) = self.ports[id.index()].sockets.as_ref() else { return false };
        let length = match sockets.arp.as_ref().map(|socket| socket.receive(buffer)) {
            Some(Ok(Some(length))) => length,
            Some(Err(error)) => return self.read_failed(&error.to_string()),
            Some(Ok(None)) | None => return false,
        };
        let frame = &buffer[..length];
        if let Ok(answer) = arp::Arp::decode(frame).or_else(|_| arp::Arp::decode_packet(frame)) {
            self.answer(now, id, answer.sender.into());
        }
        true
    }

    fn read_ndp(&mut self, now: Instant, id: InterfaceId, buffer: &mut [u8]) -> bool {
        let Some(sockets) = self.ports[id.index()].sockets.as_ref() else { return false };
        let heard = match sockets.ndp.as_ref().map(|socket| socket.receive(buffer)) {
            Some(Ok(Some(heard))) => heard,
            Some(Err(error)) => return self.read_failed(&error.to_string()),
            Some(Ok(None)) | None => return false,
        };
        let message = &buffer[..heard.length];
        if ndp::decode(message, heard.source, heard.destination, heard.hop_limit).is_ok() {
            self.answer(now, id, heard.source.into());
        }
        true
    }

    /// Somebody has answered a probe; our own nodes are no witnesses for each other.
    fn answer(&mut self, now: Instant, interface: InterfaceId, address: IpAddr) {
        if self.is_ours(address) {
            return;
        }
        if self.neighbours.answered(now, interface, address) {
            self.feed(now, Input::Heard { interface, answered: true });
        }
    }

    /// Whether an address belongs to a node of ours, or is virtual.
    pub(super) fn is_ours(&self, address: IpAddr) -> bool {
        let virtual_one = self.virtuals.contains_key(&address);
        let mut peers = self.node.peers().iter().filter_map(|peer| peer.last.as_ref());
        virtual_one || peers.any(|body| body.sources.contains(&address))
    }

    fn read_failed(&mut self, text: &str) -> bool {
        self.count("receive_errors");
        self.complain(text);
        false
    }
}

/// The name of the counter for a refused advert.
fn refused(why: Refused) -> &'static str {
    let why = match why {
        Refused::Advert(why) => why,
        Refused::Auth(why) => {
            return match why {
                Reject::Type => "refused_auth_type",
                Reject::Failed => "refused_auth_failed",
                Reject::Replay => "refused_auth_replay",
                Reject::Stale => "refused_auth_stale",
                Reject::Key => "refused_auth_key",
                Reject::Form => "refused_auth_form",
            };
        }
    };
    match why {
        vrrp::Reject::Length => "refused_length",
        vrrp::Reject::Version => "refused_version",
        vrrp::Reject::Type => "refused_type",
        vrrp::Reject::HopLimit => "refused_hop_limit",
        vrrp::Reject::Checksum => "refused_checksum",
        vrrp::Reject::Vrid => "refused_vrid",
        vrrp::Reject::AddressCount => "refused_address_count",
        vrrp::Reject::Interval => "refused_interval",
        vrrp::Reject::AuthType => "refused_auth_unknown",
        vrrp::Reject::Family => "refused_family",
    }
}
