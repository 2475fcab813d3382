//! Virtual addresses, sources and unicast peers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use super::super::tree::Value;
use super::{Found, Lint};
use crate::config::duration::shown;
use crate::config::model::Address;
use crate::config::report::{Problem, Span};

impl Lint<'_> {
    pub(super) fn addresses(&mut self) {
        self.twice();
        for found in self.routers() {
            self.link_local_first(found);
            self.families(found);
            self.slow_announcements(found);
            self.nothing_to_advertise(found);
            self.scopes(found);
        }
    }

    /// An address has one home. Link-local addresses belong to their segment and may repeat.
    fn twice(&mut self) {
        let own = self.own();
        let mut seen: BTreeMap<IpAddr, Vec<(Home<'_>, Span)>> = BTreeMap::new();
        for found in self.routers() {
            for (position, address) in found.router.addresses.iter().enumerate() {
                let at = self.address_place(found, address.ip, position);
                let here = Home { found, address };
                let homes = seen.entry(address.ip).or_default();
                let clash = homes
                    .iter()
                    .find(|(home, _)| !is_link_local(address.ip) || home.meets(here, &own))
                    .map(|(home, place)| (home.found, *place));
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
                    let problem = problem.also(place, "first here");
                    self.problems.push(problem.help("an address belongs to one router"));
                }
                homes.push((here, at));
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
            Value::Text(text) => is_text_of(text, ip),
            Value::Table(table) => match table.entries.get("address").map(|e| &e.node.value) {
                Some(Value::Text(text)) => is_text_of(text, ip),
                _ => false,
            },
            _ => false,
        });
        exact.map_or_else(|| self.place(&path), |node| node.at)
    }

    /// RFC 9568 section 5.2.9: the first IPv6 address of an advert is link-local.
    fn link_local_first(&mut self, found: Found<'_>) {
        let mut advertised = found.router.ipv6().filter(|address| address.advertise);
        let (Some(first), Some(vrid)) = (advertised.next(), found.router.vrid) else { return };
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
        let is_plain = |one: &Address| *one == Address::plain(one.ip, one.prefix);
        // Only a whole line can be copied, and tables do not fit one.
        let help = if found.router.addresses.iter().all(is_plain) {
            format!("addresses = [{}]", addresses.join(", "))
        } else {
            format!("put a link-local one before the others of IPv6: \"{local}\"")
        };
        self.push(problem.at(at).help(help));
    }

    /// An advert lists one address at least (RFC 9568 section 5.2.5).
    fn nothing_to_advertise(&mut self, found: Found<'_>) {
        let silent = |all: &mut dyn Iterator<Item = &Address>| {
            let mut all = all.peekable();
            all.peek().is_some() && all.all(|address| !address.advertise)
        };
        let families = [
            ("IPv4", silent(&mut found.router.ipv4())),
            ("IPv6", silent(&mut found.router.ipv6())),
        ];
        if found.router.vrid.is_none() {
            return;
        }
        for (family, _) in families.into_iter().filter(|(_, silent)| *silent) {
            let text = format!(
                "`{}/{}` has {family} addresses and advertises none of them",
                found.group_name, found.name
            );
            let at = self.place(&found.path("addresses"));
            let help = "advertise one, or put them into a router without `vrid` in the same group";
            self.push(Problem::error("nothing-advertised", text).at(at).help(help));
        }
    }

    /// The kernel gives all addresses of a subnet on an interface one scope.
    fn scopes(&mut self, found: Found<'_>) {
        let all: Vec<&Address> = found.router.ipv4().collect();
        let clash = all.iter().enumerate().find_map(|(position, one)| {
            let mut others = all[..position].iter();
            let other = others.find(|other| other.is_in_other_scope(one));
            other.map(|other| (*one, *other))
        });
        if let Some((one, other)) = clash {
            let text = format!("{one} and {other} have different scopes in one subnet");
            let help = "the kernel refuses the second; that of the host's own address counts too";
            let at = self.place(&found.path("addresses"));
            self.push(Problem::error("mixed-scopes", text).at(at).help(help));
        }
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

/// Is it the text of this address, whatever its prefix?
fn is_text_of(text: &str, ip: IpAddr) -> bool {
    text.split('/').next().and_then(|text| text.parse().ok()) == Some(ip)
}

/// An address in its router.
#[derive(Clone, Copy)]
struct Home<'a> {
    found: Found<'a>,
    address: &'a Address,
}

impl Home<'_> {
    /// Are both on one interface of a node of ours?
    fn meets(self, other: Self, own: &[&str]) -> bool {
        own.iter().any(|node| {
            let both = [self, other];
            let here = both.iter().all(|home| home.found.group.priorities.contains_key(*node));
            let [one, another] =
                both.map(|home| home.found.router.interface_of(home.address, node));
            here && one.is_some() && one == another
        })
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
