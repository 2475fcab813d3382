//! Where the addresses of a router are at home: on the router's own interface, or on a link that stands on
//! it and has the virtual MAC address. Everything else of a router (adverts, heartbeats, probes, carrier)
//! is on its own interface in either case.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use evergate_core::ident::{GroupId, InterfaceId, Mac, RouterId};
use evergate_core::wire::frame;

use super::Drive;
use crate::kernel::accept_mode::Unaccepted;
use crate::kernel::addresses::{AddressSpec, VirtualAddress};
use crate::kernel::rtnetlink::LinkRecord;
use crate::kernel::virtual_links::{OUR_GROUP, VirtualLink};
use crate::kernel_thread::OnLink;

impl Drive {
    /// The link with the virtual MAC address of a router, if it has one.
    fn link_of(&self, group: GroupId, router: RouterId) -> Option<&Arc<VirtualLink>> {
        self.layout.groups[group.index()].routers[router.index()].link.as_ref()
    }

    /// The kernel's number of the interface that has, or is to have, the addresses of a router; `None`
    /// while it does not exist.
    pub(super) fn home_of(&self, group: GroupId, router: RouterId) -> Option<u32> {
        let config = &self.layout.core.groups[group.index()].routers[router.index()];
        match self.link_of(group, router) {
            Some(link) => self.links.get(&link.name).copied(),
            None => self.ports[config.interface.index()].ifindex(),
        }
    }

    /// The MAC address that the addresses of a router have.
    pub(super) fn mac_of(&self, group: GroupId, router: RouterId) -> Option<Mac> {
        let config = &self.layout.core.groups[group.index()].routers[router.index()];
        match self.link_of(group, router) {
            Some(link) => Some(Mac(link.mac)),
            None => self.ports[config.interface.index()].mac(),
        }
    }

    /// The virtual MAC address, where adverts of a router come from it. During a planned handover they do
    /// not: switches must learn it from the successor alone.
    pub(super) fn adverts_from(&self, group: GroupId, router: RouterId) -> Option<Mac> {
        let layout = &self.layout.groups[group.index()].routers[router.index()];
        let hands_over = self.node.groups().get(group.index())?.successor().is_some();
        let link = layout.link.as_ref().filter(|_| layout.adverts_from_link && !hands_over)?;
        Some(Mac(link.mac))
    }

    /// Sends an advert to the multicast group as a frame from the virtual MAC address.
    pub(super) fn send_framed(
        &self,
        interface: InterfaceId,
        (group, router): (GroupId, RouterId),
        mac: Mac,
        packet: &[u8],
        ends: (IpAddr, IpAddr),
    ) -> bool {
        let sockets = self.ports[interface.index()].sockets.as_ref();
        let Some(frames) = sockets.and_then(|sockets| sockets.frames.as_ref()) else {
            return false;
        };
        let mut bytes = Vec::with_capacity(packet.len() + FRAME_HEADERS_LEN);
        let is_framed = if self.is_header(group, router) {
            frame::multicast_whole(mac, packet, &mut bytes)
        } else {
            frame::multicast(mac, ends, packet, &mut bytes)
        };
        is_framed && frames.send(&bytes).is_ok()
    }

    /// The addresses of a group, each on its home, as far as that exists now.
    pub(super) fn addresses_of(&self, group: GroupId) -> Vec<VirtualAddress> {
        let routers = 0..self.layout.core.groups[group.index()].routers.len();
        let mut specs = Vec::new();
        for router in routers.map(RouterId::at) {
            let Some(ifindex) = self.home_of(group, router) else { continue };
            specs.extend(self.specs(group, router, ifindex));
        }
        specs
    }

    /// What the kernel thread is asked for: the addresses on interfaces that exist now, and those on links
    /// that it makes itself.
    pub(super) fn wished(&self, group: GroupId) -> (Vec<VirtualAddress>, Vec<OnLink>) {
        let (mut specs, mut on_links) = (Vec::new(), Vec::new());
        let routers = 0..self.layout.core.groups[group.index()].routers.len();
        for router in routers.map(RouterId::at) {
            match self.link_of(group, router) {
                Some(link) => on_links.push(OnLink {
                    link: Arc::clone(link),
                    addresses: self.specs(group, router, 0).collect(),
                }),
                None => {
                    let Some(ifindex) = self.home_of(group, router) else { continue };
                    specs.extend(self.specs(group, router, ifindex));
                }
            }
        }
        (specs, on_links)
    }

    /// The addresses of a router that are to be held, on the interface with this number.
    fn specs(
        &self,
        group: GroupId,
        router: RouterId,
        ifindex: u32,
    ) -> impl Iterator<Item = VirtualAddress> + '_ {
        let config = &self.layout.core.groups[group.index()].routers[router.index()];
        let layout = &self.layout.groups[group.index()].routers[router.index()];
        let wanted = config.addresses.iter().zip(&layout.addresses).filter(|((address, _), _)| {
            !self.facts.left_alone.contains(&(config.interface, *address))
        });
        wanted.map(move |((address, prefix_length), how)| VirtualAddress {
            spec: AddressSpec { ifindex, address: *address, prefix_length: *prefix_length },
            attributes: how.attributes.clone(),
        })
    }

    /// The group and the interface of the router whose virtual address this is, if it is at home there.
    pub(super) fn at_home(&self, ifindex: u32, address: IpAddr) -> Option<(GroupId, InterfaceId)> {
        let owners = self.virtuals.get(&address)?;
        let is_home =
            |(group, router): &&(GroupId, RouterId)| self.home_of(*group, *router) == Some(ifindex);
        let (group, router) = *owners.iter().find(is_home)?;
        let config = &self.layout.core.groups[group.index()];
        Some((group, config.routers[router.index()].interface))
    }

    /// A link is there: if it is one of ours, its number is what counts from here on. Returns the interface
    /// that it stands on if that number is new.
    pub(super) fn link_there(&mut self, link: &LinkRecord) -> Option<InterfaceId> {
        let is_ours = link.stacked.as_ref().is_some_and(|stacked| stacked.group == OUR_GROUP);
        let wanted = self.layout.links().find(|wanted| is_ours && wanted.name == link.name)?;
        let parent = self.ports.iter().find(|port| port.name == wanted.parent)?.id;
        let is_new = self.links.get(&link.name) != Some(&link.ifindex);
        if is_new {
            self.links.insert(link.name.clone(), link.ifindex);
        }
        is_new.then_some(parent)
    }

    /// A link is gone: if it was ours, it is asked for again.
    pub(super) fn link_gone(&mut self, ifindex: u32) {
        let before = self.links.len();
        self.links.retain(|_, known| *known != ifindex);
        if self.links.len() != before {
            self.want_links();
        }
    }

    /// Asks for all links of the configuration.
    pub(super) fn want_links(&self) {
        self.kernel.want_links(self.layout.links().map(|link| VirtualLink::clone(link)).collect());
    }

    /// After a change of the configuration: what is not in it is forgotten, what is new asked for.
    pub(super) fn lay_out_links(&mut self) {
        let wanted: BTreeSet<&str> = self.layout.links().map(|link| link.name.as_str()).collect();
        self.links.retain(|name, _| wanted.contains(name.as_str()));
        self.facts.links.clear();
        for (at, group) in self.layout.groups.iter().enumerate() {
            for (position, router) in group.routers.iter().enumerate() {
                let place = (GroupId::at(at), RouterId::at(position));
                self.facts.links.extend(router.link.clone().map(|link| (place, link)));
            }
        }
        self.want_links();
    }

    /// After a change of the configuration: what is sent to addresses with `accept = false` is dropped.
    pub(super) fn lay_out_accept(&mut self) {
        self.facts.unaccepted.clear();
        let mut addresses = Vec::new();
        for (at, (group, layout)) in
            self.layout.core.groups.iter().zip(&self.layout.groups).enumerate()
        {
            let routers = group.routers.iter().zip(&layout.routers).enumerate();
            for (position, (router, layout)) in routers.filter(|(_, (_, it))| !it.accept) {
                self.facts.unaccepted.insert((GroupId::at(at), RouterId::at(position)));
                let home = match &layout.link {
                    Some(link) => &link.name,
                    None => self.layout.interface(router.interface),
                };
                addresses.extend(router.addresses.iter().map(|(address, _)| Unaccepted {
                    address: *address,
                    interface: home.to_owned(),
                }));
            }
        }
        self.kernel.drop_packets_to(addresses);
    }
}

/// Room for the headers of Ethernet and IPv6.
const FRAME_HEADERS_LEN: usize = 54;
