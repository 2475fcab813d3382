//! The layout of ports, the neighbours on them, and what is left to the guardian.

use std::collections::BTreeMap;
use std::net::IpAddr;

use evergate_api::config::model::Digest;
use evergate_core::config as core;
use evergate_core::ident::{Family, GroupId, InterfaceId, PathId, RouterId};
use evergate_core::procedure::Fact;
use evergate_core::{Input, Instant};
use nix::sys::signal::Signal;

use super::ports::{Port, Sockets, Wanted};
use super::{Drive, instant_now};
use crate::cold::ColdJob;
use crate::estate::{Estate, HeldAddress, Holding, Transport, Will};
use crate::kernel::Interface;
use crate::kernel::udp_socket::Hears;
use crate::kernel::vrrp_socket::HOP_LIMIT;
use crate::kernel_thread::Holder;

impl Drive {
    /// Makes ports and look-up tables for the configuration; what is open and still wanted stays.
    pub(super) fn lay_out(&mut self) {
        self.number_holders();
        self.arm_guards();
        let groups = &self.layout.core.groups;
        self.foreign_wait = groups.iter().map(core::GroupConfig::foreign_patience).min();
        let former = std::mem::take(&mut self.ports).into_iter();
        let mut former: BTreeMap<String, Port> = former.map(|p| (p.name.clone(), p)).collect();
        let mut unwanted = Vec::new();
        for (position, name) in self.layout.core.interfaces.iter().enumerate() {
            let id = InterfaceId::at(position);
            let wanted = self.wanted(id);
            let mut port = former.remove(name).unwrap_or_else(|| {
                self.next_key += 1;
                Port::new(id, self.next_key, name, wanted.clone())
            });
            port.id = id;
            unwanted.extend(port.want(wanted));
            port.named = self.named_sources(id);
            self.ports.push(port);
        }
        unwanted.extend(former.into_values().filter_map(|port| port.sockets));
        self.close(unwanted);
        self.routers.clear();
        self.virtuals.clear();
        for (at, group) in self.layout.core.groups.iter().enumerate() {
            for (position, router) in group.routers.iter().enumerate() {
                let place = (GroupId::at(at), RouterId::at(position));
                if let Some(vrid) = router.vrid {
                    self.routers.insert((router.interface, router.family, vrid.get()), place);
                }
                for (address, _) in &router.addresses {
                    self.virtuals.entry(*address).or_default().push(place);
                }
            }
        }
        for port in &mut self.ports {
            let mut own = std::mem::take(&mut port.addresses);
            own.retain(|address| {
                let is_virtual = self.virtuals.contains_key(address);
                if is_virtual {
                    self.facts.present.insert((port.id, *address));
                }
                !is_virtual
            });
            port.addresses = own;
        }
        self.facts.present.retain(|(_, address)| self.virtuals.contains_key(address));
        self.lay_out_links();
        self.lay_out_accept();
        self.facts.config_hash = Digest(self.layout.core.digest).to_string();
    }

    /// Groups keep the number under which the kernel thread knows them; those that are gone give
    /// up what they still have.
    fn number_holders(&mut self) {
        let mut former: BTreeMap<String, Holder> =
            std::mem::take(&mut self.holders).into_iter().collect();
        for group in &self.layout.core.groups {
            let holder = former.remove(&group.name).unwrap_or_else(|| {
                self.next_holder += 1;
                Holder(self.next_holder)
            });
            self.holders.push((group.name.clone(), holder));
        }
        let holders = self.holders.iter().enumerate();
        self.groups_of = holders.map(|(at, (_, holder))| (*holder, GroupId::at(at))).collect();
        for holder in former.into_values() {
            self.kernel.retire(holder);
        }
    }

    /// The sources that the file names for routers on an interface.
    fn named_sources(&self, id: InterfaceId) -> Vec<IpAddr> {
        let groups = self.layout.core.groups.iter().zip(&self.layout.groups);
        let routers = groups.flat_map(|(core, layout)| core.routers.iter().zip(&layout.routers));
        let here = routers.filter(|(core, _)| core.interface == id);
        here.filter_map(|(_, layout)| layout.source).collect()
    }

    pub(super) fn wanted(&self, id: InterfaceId) -> Wanted {
        let mut wanted = Wanted::default();
        let groups = self.layout.core.groups.iter().zip(&self.layout.groups);
        let routers = groups.flat_map(|(core, layout)| core.routers.iter().zip(&layout.routers));
        for (router, layout) in routers.filter(|(router, _)| router.interface == id) {
            wanted.frames = true;
            match router.family {
                _ if router.vrid.is_none() => continue,
                Family::V4 => wanted.vrrp_v4.insert(layout.multicast),
                Family::V6 => wanted.vrrp_v6.insert(layout.multicast),
            };
        }
        let peers = self.layout.core.peers().next().is_some();
        if peers && self.layout.core.paths.iter().any(|path| path.interface == id) {
            wanted.udp = Some(self.layout.port);
        }
        if self.replication.is_some() && self.replicates_on(id) {
            wanted.hears = Hears::NoReplication;
        }
        wanted
    }

    /// Has sockets closed. The kernel takes up to 10 ms for one that reads frames, and peers do not wait for
    /// more than a few heartbeats.
    pub(super) fn close(&self, sockets: impl IntoIterator<Item = Sockets>) {
        let sockets: Vec<Sockets> = sockets.into_iter().collect();
        sockets.iter().for_each(|sockets| sockets.unwatch(&self.poller));
        if !sockets.is_empty() {
            // What finds no room is closed here.
            let _ = self.cold.try_send(ColdJob::Close(sockets));
        }
    }

    pub(super) fn open_ports(&mut self) {
        for at in 0..self.ports.len() {
            for wrong in self.ports[at].open(&self.poller) {
                self.complain(&wrong);
            }
        }
    }

    pub(super) fn read_signals(&mut self, now: Instant) -> std::io::Result<()> {
        while let Some(signal) = self.signals.read()? {
            match signal {
                Signal::SIGHUP => self.reload_by_signal(),
                Signal::SIGTERM | Signal::SIGINT => {
                    self.tell_procedures(now, Fact::Stopping);
                    self.feed(now, Input::Shutdown);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn reload_by_signal(&mut self) {
        if self.cold.try_send(ColdJob::Reload { plan: false, reply: None }).is_err() {
            self.complain("a reload is under way already");
        }
    }

    /// Leaves to the guardian what it has to do if we die: which addresses are up, and the last
    /// words for each of their routers and for the peers.
    pub(super) fn publish_estate(&mut self) {
        let mut estate = Estate::default();
        for group in self.held.clone() {
            let index = u16::try_from(estate.groups.len()).ok();
            let addresses = self.addresses_of(group).into_iter().map(|held| HeldAddress {
                ifindex: held.spec.ifindex,
                address: held.spec.address,
                prefix_length: held.spec.prefix_length,
            });
            let name = self.layout.core.groups[group.index()].name.clone();
            let ways = self.ways_of(group).into_iter().map(|wanted| wanted.way).collect();
            let addresses = addresses.collect();
            estate.groups.push(Holding { group: name, addresses, ways });
            self.vrrp_wills(group, index, &mut estate.wills);
        }
        self.own_wills(&mut estate.wills);
        if let Err(error) = self.estate.publish(&estate) {
            self.complain(&format!("the guardian cannot be told what is up: {error}"));
        }
    }

    fn own_wills(&self, wills: &mut Vec<Will>) {
        if self.will.is_empty() {
            return;
        }
        for position in 0..self.layout.paths.len() {
            let (source, destinations) = self.path_addresses(PathId::at(position));
            let interface = self.layout.core.paths[position].interface;
            let Some(ifindex) = self.ports[interface.index()].ifindex() else { continue };
            let Some(source) = source else { continue };
            for destination in destinations {
                wills.push(Will {
                    transport: Transport::Udp,
                    group: None,
                    ifindex,
                    source,
                    destination,
                    hops: HOP_LIMIT,
                    port: self.layout.port,
                    bytes: self.will.clone(),
                });
            }
        }
    }

    /// Asks everybody who may be there, so that we know whom to ask when it matters.
    pub(super) fn ask_idly(&mut self, now: Instant) {
        let shared = self.segments().into_iter().map(|(_, ifindex)| ifindex);
        if self.cold.try_send(ColdJob::Neighbours(shared.collect())).is_err() {
            self.count("cold_jobs_lost");
        }
        let ours: Vec<IpAddr> = {
            let peers = self.node.peers().iter().filter_map(|peer| peer.last.as_ref());
            let sources = peers.flat_map(|body| body.sources.iter().copied());
            sources.chain(self.virtuals.keys().copied()).collect()
        };
        self.neighbours.tidy(now, |address| ours.contains(&address));
        for (id, _) in self.segments() {
            if self.neighbours.lacks_witness(now, id) {
                self.seek(id);
            }
            self.probe(id);
        }
    }

    /// Whether there is a segment on which nobody is known who answers.
    pub(super) fn lacks_witness(&self, now: Instant) -> bool {
        self.segments().iter().any(|(id, _)| self.neighbours.lacks_witness(now, *id))
    }

    /// The interfaces that clients share.
    fn segments(&self) -> Vec<(InterfaceId, u32)> {
        let ports = self.ports.iter();
        let shared = ports.filter(|port| port.sockets.as_ref().is_some_and(|s| s.frames.is_some()));
        shared.filter_map(|port| Some((port.id, port.ifindex()?))).collect()
    }

    pub(super) fn tell_neighbours(&mut self, now: Instant) {
        let testers = self.node.segments().iter().map(|segment| &segment.tester);
        let tested: Vec<_> = testers.filter(|t| t.is_running()).map(|t| t.interface).collect();
        self.neighbours.under_test(now, &tested);
        for (interface, _) in self.segments() {
            let known = self.neighbours.has_witness(now, interface);
            self.feed(now, Input::Neighbours { interface, known });
        }
    }

    /// Where no neighbour is known, any frame that has come since the last look proves that the
    /// segment is not silent.
    pub(super) fn watch_frames(&mut self, id: InterfaceId) {
        let port = &self.ports[id.index()];
        let (Some(index), Some(frames)) = (port.ifindex(), self.frames.as_mut()) else { return };
        let Ok(count) = frames.received(&Interface { index, name: port.name.clone() }) else {
            return;
        };
        let former = self.frames_seen.insert(id, count);
        if former.is_some_and(|former| count > former) {
            self.heard_frames.push(id);
        }
    }

    /// Tells the machine of frames that were seen while its effects were carried out.
    pub(super) fn tell_frames(&mut self) {
        for interface in std::mem::take(&mut self.heard_frames) {
            self.feed(instant_now(), Input::Heard { interface, answered: false });
        }
    }
}
