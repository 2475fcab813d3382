//! Virtual addresses, sources and unicast peers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use super::{Found, Lint};
use crate::config::duration::shown;
use crate::config::report::{Problem, Span};

impl Lint<'_> {
    pub(super) fn addresses(&mut self) {
        self.twice();
        for found in self.routers() {
            self.link_local_first(found);
            self.families(found);
            self.slow_announcements(found);
        }
    }

    /// An address has one home. Link-local addresses belong to their segment and may repeat.
    fn twice(&mut self) {
        let own = self.own();
        let mut seen: BTreeMap<IpAddr, Vec<(Found<'_>, Span)>> = BTreeMap::new();
        for found in self.routers() {
            for (position, address) in found.router.addresses.iter().enumerate() {
                let at = self.address_place(found, address.ip, position);
                let homes = seen.entry(address.ip).or_default();
                let clash = homes
                    .iter()
                    .find(|(home, _)| !is_link_local(address.ip) || home.meets(found, &own));
                if let Some((home, place)) = clash {
                    let text = if std::ptr::eq(home.router, found.router) {
                        format!("{} is listed twice", address.ip)
                    } else {
                        format!(
                            "{} is in `{}/{}` and in `{}/{}`",
                            address.ip, home.group_name, home.name, found.group_name, found.name
                        )
                    };
                    let problem = Problem::error("same-address", text).at(at);
                    let problem = problem.also(*place, "first here");
                    self.problems.push(problem.help("an address belongs to one router"));
                }
                homes.push((found, at));
            }
        }
    }

    /// The place of an address; when some could not be read, positions in the file differ.
    fn address_place(&self, found: Found<'_>, ip: IpAddr, position: usize) -> Span {
        let path = found.path("addresses");
        let digits = position.to_string();
        let mut whole: Vec<&str> = path.to_vec();
        whole.push(&digits);
        let exact = self.tree.get(&whole).filter(|node| match &node.value {
            super::super::tree::Value::Text(text) => {
                text.split('/').next().and_then(|text| text.parse().ok()) == Some(ip)
            }
            _ => false,
        });
        exact.map_or_else(|| self.place(&path), |node| node.at)
    }

    /// RFC 9568 section 5.2.9: the first IPv6 address of an advert is link-local.
    fn link_local_first(&mut self, found: Found<'_>) {
        let (Some(first), Some(vrid)) = (found.router.ipv6().next(), found.router.vrid) else {
            return;
        };
        if is_link_local(first.ip) {
            return;
        }
        let mut addresses: Vec<String> =
            found.router.ipv4().map(|address| format!("\"{address}\"")).collect();
        let local = found.router.ipv6().find(|address| is_link_local(address.ip));
        let local =
            local.map_or_else(|| format!("{}/64", from_virtual_mac(vrid)), |a| a.to_string());
        addresses.push(format!("\"{local}\""));
        let others = found.router.ipv6().map(|address| address.to_string());
        let others = others.filter(|address| *address != local);
        addresses.extend(others.map(|address| format!("\"{address}\"")));
        let text = format!(
            "the first IPv6 address of `{}/{}` is not link-local; other makes may refuse its adverts",
            found.group_name, found.name
        );
        let problem = Problem::warning("no-link-local", text);
        let at = self.place(&found.path("addresses"));
        self.push(problem.at(at).help(format!("addresses = [{}]", addresses.join(", "))));
    }

    /// Announcements that are kept so far apart that the next ones are due before they are out.
    fn slow_announcements(&mut self, found: Found<'_>) {
        let Some(announce) = found.router.announce else { return };
        let addresses = u32::try_from(found.router.addresses.len()).unwrap_or(u32::MAX);
        let takes = announce.longest_burst(addresses);
        let Some(refresh) = announce.refresh.filter(|refresh| *refresh < takes) else { return };
        let text = format!(
            "announcements of `{}/{}` take {} and are refreshed every {}",
            found.group_name,
            found.name,
            shown(takes),
            shown(refresh)
        );
        let own = found.path("announce");
        let at = match self.tree.get(&own) {
            Some(_) => self.place(&own),
            None => self.place(&["group", found.group_name, "announce"]),
        };
        let help = "shorten `interval`, or refresh less often";
        self.push(Problem::warning("announce-too-slow", text).at(at).help(help));
    }

    /// A source or a peer of a family that the router does not have is a mistake.
    fn families(&mut self, found: Found<'_>) {
        let router = found.router;
        let has = |ip: IpAddr| router.addresses.iter().any(|a| a.ip.is_ipv4() == ip.is_ipv4());
        let peers = router.unicast_peers.iter().copied().find(|ip| !has(*ip));
        let sources = router.source.iter().flat_map(|source| source.values()).copied();
        let mut sources = sources.collect::<Vec<_>>().into_iter();
        // Peers of the group's defaults may serve routers of both families.
        let own_peers = self.tree.get(&found.path("unicast_peers")).is_some();
        let wrong = peers.filter(|_| own_peers).map(|ip| ("unicast_peers", ip));
        let wrong = wrong.or_else(|| sources.clone().find(|ip| !has(*ip)).map(|ip| ("source", ip)));
        if let Some((key, ip)) = wrong.filter(|_| !router.addresses.is_empty()) {
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            let text = format!("`{key}` names {ip}, but the router has no {family} address");
            let at = self.place(&found.path(key));
            self.push(Problem::error("wrong-family", text).at(at));
        }
        if let Some(ip) = sources.find(|ip| router.addresses.iter().any(|a| a.ip == *ip)) {
            let at = self.place(&found.path("source"));
            let text = format!("`source` is the virtual address {ip}");
            let help = "adverts come from an address of the node itself";
            self.push(Problem::error("virtual-source", text).at(at).help(help));
        }
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The link-local address of the virtual MAC address 00-00-5E-00-02-{VRID} (RFC 9568 section 7.3).
fn from_virtual_mac(vrid: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0200, 0x5eff, 0xfe00, 0x0200 | u16::from(vrid))
}
