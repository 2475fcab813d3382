//! The kernel's news as facts. Where news was lost, or a configuration names what nobody looked at,
//! the cold thread takes a picture of everything; what happens meanwhile comes on top of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use evergate_core::ident::{GroupId, InterfaceId};
use evergate_core::{Input, Instant};

use super::Drive;
use crate::cold::ColdJob;
use crate::kernel::addresses::AddressSpec;
use crate::kernel::error::NetlinkError;
use crate::kernel::monitor::{Event, snapshot};
use crate::kernel::requests::Kernel;
use crate::kernel::rtnetlink::{AddressRecord, LinkRecord, OUR_PROTOCOL};

/// The most news that is kept while a picture is taken; after more, another one is asked for.
const MEANWHILE_MAX: usize = 4096;

/// The picture of the kernel that is being taken.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The cold thread is at it.
    pub(super) asked: bool,
    /// It has to be taken, or taken again.
    pub(super) wanted: bool,
    /// What has happened since it was asked for.
    meanwhile: Vec<Event>,
}

impl Drive {
    /// Takes everything that the kernel has as news, at the start. This waits for the kernel, as
    /// nothing later may.
    pub(super) fn look_at_kernel(&mut self, now: Instant) {
        let picture = Kernel::open().and_then(|mut kernel| snapshot(&mut kernel));
        self.take_picture(now, picture);
    }

    /// Asks for a picture of everything that the kernel has; one at a time.
    pub(super) fn ask_for_picture(&mut self) {
        self.look.wanted = self.look.asked || self.cold.try_send(ColdJob::Snapshot).is_err();
        if !self.look.wanted {
            self.look.asked = true;
            self.look.meanwhile.clear();
        }
    }

    /// The picture is there. What has been heard since it was asked for is newer, or part of it.
    pub(super) fn take_picture(&mut self, now: Instant, picture: Result<Vec<Event>, NetlinkError>) {
        self.look.asked = false;
        let meanwhile = std::mem::take(&mut self.look.meanwhile);
        let picture = match picture {
            Ok(picture) => picture,
            Err(error) => {
                self.look.wanted = true;
                return self.complain(&format!("cannot read links and addresses: {error}"));
            }
        };
        self.forget_missing(&picture);
        let links: BTreeSet<&str> = picture.iter().filter_map(link_name).collect();
        let mut unwanted = Vec::new();
        for port in &mut self.ports {
            port.addresses.clear();
            if !links.contains(port.name.as_str()) {
                unwanted.extend(port.set_link(None));
            }
        }
        self.close(unwanted);
        self.facts.present.clear();
        for event in picture.iter().chain(&meanwhile) {
            self.learn(event);
        }
        self.open_ports();
        self.tell_interfaces(now);
        self.publish_estate();
    }

    /// Addresses of ours that the picture does not show: their removal may be the news that was
    /// lost, and they are looked at before they are leased again.
    fn forget_missing(&self, picture: &[Event]) {
        let ours = |event: &Event| match event {
            Event::AddressAdded(record) if record.is_ours() => Some(record.spec()),
            _ => None,
        };
        let there: BTreeSet<AddressSpec> = picture.iter().filter_map(ours).collect();
        let held = self.held.iter().flat_map(|group| self.addresses_of(*group));
        for spec in held.map(|address| address.spec).filter(|spec| !there.contains(spec)) {
            self.kernel.forget(spec);
        }
    }

    pub(super) fn read_news(&mut self, now: Instant) {
        let mut events = Vec::new();
        if let Err(error) = self.monitor.read(&mut events) {
            self.complain(&format!("cannot read the kernel's news: {error}"));
            events.push(Event::Overflow);
        }
        self.take_news(now, &events);
    }

    /// Takes what was read in one go; if news was lost, what was read counts all the same.
    pub(super) fn take_news(&mut self, now: Instant, events: &[Event]) {
        let mut changed = false;
        for event in events {
            if let Some(id) = self.news(now, event) {
                self.open_ports();
                self.tell_interface(now, id);
                changed = true;
            }
        }
        if self.look.asked {
            let room = MEANWHILE_MAX.saturating_sub(self.look.meanwhile.len());
            self.look.wanted |= events.len() > room;
            self.look.meanwhile.extend(events.iter().take(room).cloned());
        }
        if changed {
            self.publish_estate();
        }
        if events.contains(&Event::Overflow) {
            self.count("netlink_overflows");
            self.ask_for_picture();
        }
    }

    /// Takes one piece of news; returns the interface whose state has changed.
    fn news(&mut self, now: Instant, event: &Event) -> Option<InterfaceId> {
        let changed = self.learn(event);
        if let Event::AddressRemoved { ifindex, address, prefix_length, protocol } = *event {
            let spec = AddressSpec { ifindex, address, prefix_length };
            if self.kernel.has_remade(&spec) {
                return changed;
            }
            self.kernel.forget(spec);
            if (protocol == OUR_PROTOCOL || self.virtuals.contains_key(&address))
                && let Some((group, interface)) = self.at_home(ifindex, address)
            {
                self.lost(now, group, interface, address);
            }
        }
        changed
    }

    /// Takes note of one piece of news, which may be an old one; returns the interface whose state
    /// has changed.
    fn learn(&mut self, event: &Event) -> Option<InterfaceId> {
        match event {
            Event::LinkState(link) => self.link_news(link),
            Event::LinkGone { ifindex } => {
                self.link_gone(*ifindex);
                let port = self.ports.iter_mut().find(|port| port.ifindex() == Some(*ifindex))?;
                let (id, unwanted) = (port.id, port.set_link(None));
                self.close(unwanted);
                self.facts.present.retain(|(interface, _)| *interface != id);
                Some(id)
            }
            Event::AddressAdded(record) => self.address_news(record),
            Event::AddressRemoved { ifindex, address, protocol, .. } => {
                if let Some((_, id)) = self.at_home(*ifindex, *address) {
                    self.facts.present.remove(&(id, *address));
                }
                let id = self.port_of(*ifindex)?;
                if *protocol == OUR_PROTOCOL || self.virtuals.contains_key(address) {
                    return None;
                }
                self.ports[id.index()].addresses.retain(|known| known != address);
                Some(id)
            }
            Event::Overflow => None,
        }
    }

    fn link_news(&mut self, link: &LinkRecord) -> Option<InterfaceId> {
        let Some(port) = self.ports.iter_mut().find(|port| port.name == link.name) else {
            return self.link_there(link);
        };
        let changed = port.link.as_ref() != Some(link);
        let is_new = port.ifindex() != Some(link.ifindex);
        let (id, unwanted) = (port.id, port.set_link(Some(link.clone())));
        self.close(unwanted);
        if is_new && self.layout.links().any(|above| above.parent == link.name) {
            self.want_links();
        }
        changed.then_some(id)
    }

    fn address_news(&mut self, record: &AddressRecord) -> Option<InterfaceId> {
        if self.virtuals.contains_key(&record.address) {
            let home = self.at_home(record.ifindex, record.address);
            if let Some((_, id)) = home.filter(|_| record.is_usable()) {
                self.facts.present.insert((id, record.address));
            }
            return None;
        }
        let id = self.port_of(record.ifindex)?;
        let port = &mut self.ports[id.index()];
        if record.is_ours() || !record.is_usable() || port.addresses.contains(&record.address) {
            return None;
        }
        port.addresses.push(record.address);
        Some(id)
    }

    /// A virtual address is gone: if its group is held, somebody else has removed it.
    fn lost(&mut self, now: Instant, group: GroupId, interface: InterfaceId, address: IpAddr) {
        let holds = self.node.groups()[group.index()].holds();
        if holds && self.layout.is_left_alone(group.index(), interface, address) {
            self.facts.left_alone.insert((interface, address));
            return self.publish_estate();
        }
        self.feed(now, Input::AddressLost(group));
    }

    pub(super) fn port_of(&self, ifindex: u32) -> Option<InterfaceId> {
        self.ports.iter().find(|port| port.ifindex() == Some(ifindex)).map(|port| port.id)
    }

    /// Tells the machine of every interface whose state it does not know yet.
    pub(super) fn tell_interfaces(&mut self, now: Instant) {
        for position in 0..self.ports.len() {
            self.tell_interface(now, InterfaceId::at(position));
        }
    }

    fn tell_interface(&mut self, now: Instant, id: InterfaceId) {
        let port = &mut self.ports[id.index()];
        let state = port.state();
        if port.told != Some(state) {
            port.told = Some(state);
            self.feed(now, Input::Interface(id, state));
        }
    }
}

fn link_name(event: &Event) -> Option<&str> {
    match event {
        Event::LinkState(link) => Some(&link.name),
        _ => None,
    }
}
