//! The authentication of adverts: a guard for each virtual router, kept over a reload by its name, and over
//! a crash by the wills that the former process has left.

use std::collections::BTreeMap;
use std::net::IpAddr;

use evergate_core::config::{RouterConfig, Version};
use evergate_core::ident::{Family, GroupId, RouterId};
use evergate_core::vrrp::guard::{Guard, Method, Unsendable};
use evergate_core::wire::trailer::Stamp;
use evergate_core::wire::vrrp;

use super::Drive;
use super::reload::places;
use crate::estate::{Transport, Will};
use crate::kernel::vrrp_socket::HOP_LIMIT;
use crate::layout::Layout;
use crate::sys::clock::realtime_now;

/// The guards, by the identity of their router, such as `gateway/lan/ipv4`.
pub type Guards = BTreeMap<String, Guard>;

/// The time of day as adverts carry it.
pub fn stamp_now() -> Stamp {
    Stamp::at(realtime_now())
}

/// How the adverts of a router are authenticated: version 3 knows the trailer only.
fn method_of(router: &RouterConfig, of_group: Option<&Method>) -> Method {
    match (of_group, router.version) {
        (Some(method @ Method::Trailer(_)), _) => method.clone(),
        (Some(method), Version::V2) => method.clone(),
        (Some(_) | None, _) => Method::None,
    }
}

impl Drive {
    /// Gives each router of the configuration the method and the secrets that it has now.
    pub(super) fn arm_guards(&mut self) {
        let mut former = std::mem::take(&mut self.guards);
        for (group, layout) in self.layout.core.groups.iter().zip(&self.layout.groups) {
            let of_group = self.secrets.adverts.get(&group.name);
            let routers = group.routers.iter().zip(&layout.routers);
            for (router, layout) in routers.filter(|(router, _)| router.vrid.is_some()) {
                let method = method_of(router, of_group);
                let mut guard = match former.remove(&router.id) {
                    Some(mut guard) => {
                        guard.set_method(method);
                        guard
                    }
                    None => Guard::new(method, stamp_now()),
                };
                guard.set_hop_limit(layout.hop_limit);
                self.guards.insert(router.id.clone(), guard);
            }
        }
        self.has_numbered = self.guards.values().any(Guard::is_numbered);
    }

    /// A router with another number, or on another interface, is another one: what was heard of the former
    /// one says nothing.
    pub(super) fn forget_guards(&mut self, former: &Layout) {
        let (before, after) = (places(former), places(&self.layout));
        let place = |places: &BTreeMap<&str, _>, id: &str| places.get(id).map(|(place, _)| *place);
        self.guards.retain(|id, _| place(&before, id) == place(&after, id));
    }

    /// Goes on behind the numbers that a former process has used.
    pub(super) fn inherit_guards(&mut self) {
        if self.estate.core_starts() > 1 {
            // The will of the former process may have been sent, and is gone then.
            let now = stamp_now();
            self.guards.values_mut().for_each(|guard| guard.outlive_will(now));
        }
        let Ok((_, estate)) = self.estate.read(&mut Vec::new()) else { return };
        for will in &estate.wills {
            let router = self.port_of(will.ifindex).zip(will.router());
            let router =
                router.and_then(|(port, (family, vrid))| self.router_at(port, family, vrid));
            let Some((group, router)) = router else { continue };
            let id = &self.layout.core.groups[group.index()].routers[router.index()].id;
            if let Some(guard) = self.guards.get_mut(id) {
                guard.inherit(&will.bytes);
            }
        }
    }

    /// Whether adverts of a router are whole packets with a header of their own.
    pub(super) fn is_header(&self, group: GroupId, router: RouterId) -> bool {
        let id = &self.layout.core.groups[group.index()].routers[router.index()].id;
        self.guards.get(id).is_some_and(Guard::is_header)
    }

    /// Appends an advert to `out`, as the guard of its router wants it.
    pub(super) fn seal_advert(
        &mut self,
        (group, router): (GroupId, RouterId),
        advert: &vrrp::Advert,
        addresses: (IpAddr, IpAddr),
        is_will: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsendable> {
        let dialect = self.dialect(group, router);
        let id = &self.layout.core.groups[group.index()].routers[router.index()].id;
        let Some(guard) = self.guards.get_mut(id) else {
            return Err(Unsendable::Advert(vrrp::Unsendable::Auth));
        };
        let now = stamp_now();
        if is_will {
            return guard.seal_will(advert, addresses, dialect, now, out);
        }
        let sealed = guard.seal(advert, addresses, dialect, now, out);
        self.wills_are_old |= guard.wants_will(now) && self.held.contains(&group);
        sealed
    }

    /// Looks whether a will has become too old by itself: a trailer is good for a while only.
    pub(super) fn look_after_wills(&mut self) {
        if !self.has_numbered || self.wills_are_old {
            return;
        }
        let now = stamp_now();
        let groups = self.held.iter().map(|group| &self.layout.core.groups[group.index()]);
        let mut guards =
            groups.flat_map(|group| &group.routers).filter_map(|r| self.guards.get(&r.id));
        self.wills_are_old = guards.any(|guard| guard.wants_will(now));
    }

    /// Leaves wills anew where those that the guardian has were overtaken by what was sent since.
    pub(super) fn renew_wills(&mut self) {
        if std::mem::take(&mut self.wills_are_old) {
            self.publish_estate();
        }
    }

    /// The wills of all routers of a group.
    pub(super) fn vrrp_wills(&mut self, group: GroupId, index: Option<u16>, wills: &mut Vec<Will>) {
        for position in 0..self.layout.core.groups[group.index()].routers.len() {
            let router = RouterId::at(position);
            let config = &self.layout.core.groups[group.index()].routers[position];
            let Some(advert) = self.advert(group, router, 0) else { continue };
            let Some(source) = self.source_of(group, router) else { continue };
            let Some(ifindex) = self.ports[config.interface.index()].ifindex() else { continue };
            let transport = match config.family {
                Family::V4 if self.is_header(group, router) => Transport::VrrpHeader,
                Family::V4 => Transport::VrrpV4,
                Family::V6 => Transport::VrrpV6,
            };
            let hop_limit = self.layout.groups[group.index()].routers[position].hop_limit;
            for destination in self.destinations(group, router) {
                let hops = if destination.is_multicast() { HOP_LIMIT } else { hop_limit };
                let mut bytes = Vec::new();
                let ends = (source, destination);
                let sealed = self.seal_advert((group, router), &advert, ends, true, &mut bytes);
                if sealed.is_ok() {
                    let (port, group) = (0, index);
                    wills.push(Will {
                        transport,
                        group,
                        ifindex,
                        source,
                        destination,
                        hops,
                        port,
                        bytes,
                    });
                }
            }
        }
    }
}
