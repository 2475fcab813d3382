//! A router of the file as the core has it: one for each family, and one more for each other interface
//! that some of its addresses are on. Those send no adverts and follow their group.

use std::collections::BTreeMap;
use std::sync::Arc;

use evergate_api::config::model as file;
use evergate_core::announce::Schedule;
use evergate_core::config as core;
use evergate_core::ident::{Family, InterfaceId, Mac, PathId, Vrid};
use evergate_core::wire::frame::virtual_mac;
use evergate_core::wire::vrrp;

use super::{AddressLayout, Build, RouterLayout};
use crate::kernel::addresses::Attributes;
use crate::kernel::virtual_links::VirtualLink;

/// A router of the file, with the names that lead to it.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    /// The name of its group.
    pub group: &'a str,
    /// Its own.
    pub name: &'a str,
    /// What its group says on the wire.
    pub vrrp: &'a file::Vrrp,
    /// Whether this node owns the addresses: then it accepts always (RFC 9568 §6.1).
    pub owns: bool,
    /// The router.
    pub router: &'a file::Router,
}

/// Both views of a router.
type Views = (core::RouterConfig, RouterLayout);

impl Build<'_> {
    /// The routers of the core for one of the file.
    pub(super) fn router(&mut self, named: Named<'_>, paths: &[core::PathConfig]) -> Vec<Views> {
        let router = named.router;
        let Some(interface) = router.interface.get(self.me) else { return Vec::new() };
        let interface = self.interface(interface);
        let on_it = |path: &core::PathConfig| {
            path.kind == core::PathKind::Router && path.interface == interface
        };
        let path = paths.iter().position(on_it).map(PathId::at);
        let mut views = Vec::new();
        for family in [Family::V4, Family::V6] {
            let of_family = |address: &&file::Address| Family::of(address.ip) == family;
            let addresses: Vec<_> = router.addresses.iter().filter(of_family).collect();
            if addresses.is_empty() && (family == Family::V6 || !router.addresses.is_empty()) {
                continue;
            }
            let mut places: BTreeMap<InterfaceId, Vec<&file::Address>> = BTreeMap::new();
            for address in &addresses {
                let name = router.interface_of(address, self.me);
                let at = name.map_or(interface, |name| self.interface(name));
                places.entry(at).or_default().push(address);
            }
            let here = places.remove(&interface).unwrap_or_default();
            let mut main = views_of(named, family, (interface, &here));
            main.0.path = path;
            main.0.vrid = router.vrid.and_then(Vrid::new);
            let speakers = router.unicast_peers.iter().filter(|ip| Family::of(**ip) == family);
            main.0.unicast_peers = speakers.copied().collect();
            let least = named.vrrp.min_hop_limit.unwrap_or(0);
            main.1.hop_limit_min =
                if main.0.unicast_peers.is_empty() { vrrp::HOP_LIMIT } else { least };
            let source = router.source.as_ref().and_then(|source| source.get(self.me));
            main.1.source = source.copied().filter(|source| Family::of(*source) == family);
            let advertised = addresses.iter().filter(|address| address.advertise);
            main.1.advertised = advertised.map(|address| address.ip).collect();
            main.1.link = self.link(router, family);
            main.1.adverts_from_link =
                main.1.link.is_some() && router.adverts_from == file::AdvertsFrom::VirtualMac;
            views.push(main);
            for (interface, there) in places {
                let mut beside = views_of(named, family, (interface, &there));
                beside.0.id = format!("{}/{}", beside.0.id, self.interfaces[interface.index()]);
                views.push(beside);
            }
        }
        views
    }

    /// The link that has the addresses of a router of one family, if they have a virtual MAC address.
    fn link(&self, router: &file::Router, family: Family) -> Option<Arc<VirtualLink>> {
        let is_ipv6 = family == Family::V6;
        let name = router.virtual_interface(is_ipv6)?;
        let parent = router.interface.get(self.me)?.clone();
        let Mac(mac) = virtual_mac(family, router.vrid.and_then(Vrid::new)?);
        Some(Arc::new(VirtualLink { name, parent, mac, is_ipv6 }))
    }
}

/// A router that sends no adverts, with these addresses on this interface.
fn views_of(
    named: Named<'_>,
    family: Family,
    (interface, addresses): (InterfaceId, &[&file::Address]),
) -> Views {
    let (version, word) = match (family, named.vrrp.version) {
        (Family::V4, file::VrrpVersion::V2) => (core::Version::V2, "ipv4"),
        (Family::V4, file::VrrpVersion::V3) => (core::Version::V3, "ipv4"),
        (Family::V6, _) => (core::Version::V3, "ipv6"),
    };
    let core = core::RouterConfig {
        id: format!("{}/{}/{word}", named.group, named.name),
        interface,
        path: None,
        family,
        vrid: None,
        version,
        addresses: addresses.iter().map(|address| (address.ip, address.prefix)).collect(),
        unicast_peers: Vec::new(),
    };
    let layout = RouterLayout {
        name: named.name.to_owned(),
        source: None,
        announce: named.router.announce.map(schedule),
        addresses: addresses.iter().map(|address| address_layout(address)).collect(),
        advertised: Vec::new(),
        link: None,
        adverts_from_link: false,
        accept: named.router.accept || named.owns,
        multicast: match family {
            Family::V4 => named.vrrp.multicast_v4.unwrap_or(vrrp::GROUP_V4).into(),
            Family::V6 => named.vrrp.multicast_v6.unwrap_or(vrrp::GROUP_V6).into(),
        },
        hop_limit: named.vrrp.hop_limit,
        hop_limit_min: vrrp::HOP_LIMIT,
    };
    (core, layout)
}

fn address_layout(address: &file::Address) -> AddressLayout {
    let attributes = Attributes {
        label: address.label.as_deref().map(Into::into),
        scope: address.scope.map(file::Scope::number),
        peer: address.peer,
        broadcast: address.broadcast,
        deprecated: address.deprecated,
        detect_duplicates: address.detect_duplicates,
        no_prefix_route: !address.prefix_route,
    };
    AddressLayout { attributes, keep: address.keep }
}

fn schedule(announce: file::Announce) -> Schedule {
    let file::Announce { repeat, again_after, refresh, refresh_repeat, .. } = announce;
    let file::Announce { lower_repeat, lower_after, interval, .. } = announce;
    Schedule { repeat, again_after, refresh, refresh_repeat, lower_repeat, lower_after, interval }
}
