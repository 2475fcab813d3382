//! Links with a virtual MAC address: a macvlan on the interface of a router, one for each virtual router.
//!
//! ```text
//!   standby   the link is there, and down: no frame leaves it, nothing that comes is taken
//!   active    the link is up, and has the virtual addresses: the kernel answers ARP and ND from it
//! ```
//!
//! A link of ours is known by its group and by the text on it, which names the daemon that it belongs
//! to and the settings of the interface below from before. So the record lives as long as what it is a
//! record of, whichever of our processes dies.

mod mark;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use super::error::NetlinkError;
use super::requests::{Kernel, Verdict};
use super::rtnetlink::LinkRecord;
use super::settings::{self, Of};
use mark::{Former, Mark};

/// The group that marks a link as made by us: `ip link show group 230`.
pub const OUR_GROUP: u32 = 0xe6;
/// The metric of routes to the subnet of an address on a link of ours: what the interface below has by
/// itself comes first, so that only what must leaves from a virtual MAC address.
const METRIC: u32 = 30_000;

/// A link that is wanted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct VirtualLink {
    /// Its name, 1 to 15 bytes.
    pub name: String,
    /// The name of the interface that it stands on.
    pub parent: String,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Whether its addresses are of IPv6.
    pub is_ipv6: bool,
}

/// Why a link is not there, or not as it has to be.
#[derive(Debug)]
pub enum LinkError {
    /// The interface that it stands on does not exist.
    NoParent(String),
    /// Somebody else has made an interface of this name.
    Taken(String),
    /// The kernel refused.
    Kernel(String, NetlinkError),
    /// A setting could not be written.
    Setting(String, io::Error),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::NoParent(parent) => write!(f, "there is no interface {parent}"),
            LinkError::Taken(name) => write!(
                f,
                "there is an interface {name} that is not ours: remove it, or name another in \
                 virtual_mac = \"…\""
            ),
            LinkError::Kernel(name, error) => write!(f, "cannot make interface {name}: {error}"),
            LinkError::Setting(name, error) => {
                write!(f, "cannot set up interface {name}: {error}")
            }
        }
    }
}

impl std::error::Error for LinkError {}

/// The links of this process, by name and by the kernel's index.
#[derive(Debug, Default)]
pub struct Known {
    owner: String,
    by_name: BTreeMap<String, u32>,
    indices: BTreeSet<u32>,
}

impl Known {
    fn insert(&mut self, name: &str, ifindex: u32) {
        self.remove(name);
        self.by_name.insert(name.to_owned(), ifindex);
        self.indices.insert(ifindex);
    }

    fn remove(&mut self, name: &str) {
        if let Some(former) = self.by_name.remove(name) {
            self.indices.remove(&former);
        }
    }
}

impl Kernel {
    /// Says to which daemon the links belong that are made from here on, and which it may remove.
    pub fn own_links_as(&mut self, owner: &str) {
        self.virtual_links.owner = owner.to_owned();
    }

    /// Makes the links that are wanted and not there, and removes those of ours that are not wanted.
    /// Where the interface below is missing there is none to make. Returns what went wrong.
    pub fn settle_links(&mut self, wanted: &[VirtualLink]) -> Vec<LinkError> {
        let links = match self.links() {
            Ok(links) => links,
            Err(error) => return vec![LinkError::Kernel("of any name".to_owned(), error)],
        };
        let mut wrong = Vec::new();
        for link in &links {
            let is_wanted = wanted.iter().any(|wanted| wanted.name == link.name);
            if self.is_our_link(link) && !is_wanted {
                wrong.extend(self.remove_our_link(link).err());
            }
        }
        for link in wanted {
            match self.make_link(link, &links) {
                Ok(_) | Err(LinkError::NoParent(_)) => {}
                Err(error) => wrong.push(error),
            }
        }
        wrong
    }

    /// Sets a link up, and makes it first if somebody has removed it. Returns its index.
    pub fn raise_link(&mut self, wanted: &VirtualLink) -> Result<u32, LinkError> {
        let refused = |error| LinkError::Kernel(wanted.name.clone(), error);
        if let Some(ifindex) = self.virtual_links.by_name.get(&wanted.name).copied() {
            match self.set_up(ifindex, true) {
                Err(NetlinkError::NoInterface) => self.virtual_links.remove(&wanted.name),
                verdict => return verdict.map(|()| ifindex).map_err(refused),
            }
        }
        let links = self.links().map_err(refused)?;
        let ifindex = self.make_link(wanted, &links)?;
        self.set_up(ifindex, true).map(|()| ifindex).map_err(refused)
    }

    /// The index of a link that [`Kernel::raise_link`] or [`Kernel::settle_links`] has made or found.
    pub fn virtual_link(&self, name: &str) -> Option<u32> {
        self.virtual_links.by_name.get(name).copied()
    }

    /// Sets those of these links down that are ours, whoever of us has made them. From here on no frame
    /// leaves them, and their IPv6 addresses are gone.
    pub fn lower_links(&mut self, ifindices: &BTreeSet<u32>) -> Verdict {
        if ifindices.is_empty() {
            return Ok(());
        }
        let links = self.links()?;
        let up = links.iter().filter(|link| ifindices.contains(&link.ifindex) && link.up);
        let ours: Vec<u32> =
            up.filter(|link| is_made_by_us(link)).map(|link| link.ifindex).collect();
        ours.into_iter().try_for_each(|ifindex| match self.set_up(ifindex, false) {
            Err(NetlinkError::NoInterface) => Ok(()),
            verdict => verdict,
        })
    }

    /// The metric of routes to the subnet of an address on an interface; `None`: as the kernel does it.
    pub(super) fn metric_on(&self, ifindex: u32) -> Option<u32> {
        self.virtual_links.indices.contains(&ifindex).then_some(METRIC)
    }

    /// Makes a link, or adopts the one that is there; its index.
    fn make_link(&mut self, wanted: &VirtualLink, links: &[LinkRecord]) -> Result<u32, LinkError> {
        let refused = |error| LinkError::Kernel(wanted.name.clone(), error);
        let Some(parent) = links.iter().find(|link| link.name == wanted.parent) else {
            return Err(LinkError::NoParent(wanted.parent.clone()));
        };
        if let Some(there) = links.iter().find(|link| link.name == wanted.name) {
            let stands_on = there.stacked.as_ref().map(|stacked| stacked.parent);
            let is_right = there.mac == Some(wanted.mac) && stands_on == Some(parent.ifindex);
            if self.is_our_link(there) && is_right {
                self.set_up_link(wanted, there.ifindex)?;
                return Ok(there.ifindex);
            }
            if !self.is_our_link(there) && !is_half_made(there, wanted) {
                return Err(LinkError::Taken(wanted.name.clone()));
            }
            self.remove_our_link(there)?;
        }
        let (name, on, mac) = (&wanted.name, parent.ifindex, wanted.mac);
        self.one_change(|requests, sequence| {
            requests.add_macvlan(sequence, name, on, mac, OUR_GROUP);
        })
        .map_err(refused)?;
        let links = self.links().map_err(refused)?;
        let made = links.iter().find(|link| link.name == wanted.name);
        let ifindex = made.map(|link| link.ifindex).ok_or(NetlinkError::NoInterface);
        let ifindex = ifindex.map_err(refused)?;
        let former = (!wanted.is_ipv6).then(|| former_of(&links, parent));
        let mark = Mark { owner: self.virtual_links.owner.clone(), former };
        let text = mark.to_string();
        self.one_change(|requests, sequence| requests.set_alias(sequence, ifindex, &text))
            .map_err(refused)?;
        self.set_up_link(wanted, ifindex)?;
        Ok(ifindex)
    }

    /// The settings of a link and of the interface below. Those of the latter are on record by now.
    fn set_up_link(&mut self, wanted: &VirtualLink, ifindex: u32) -> Result<(), LinkError> {
        let (name, parent) = (&wanted.name, &wanted.parent);
        let here = |error| LinkError::Setting(name.clone(), error);
        for (of, setting, value) in link_settings(wanted) {
            settings::write(of, name, setting, value).map_err(here)?;
        }
        if !wanted.is_ipv6 {
            let below = |error| LinkError::Setting(parent.clone(), error);
            let needed = Former::of(parent).needed();
            needed.write(parent).map_err(below)?;
        }
        self.virtual_links.insert(name, ifindex);
        Ok(())
    }

    /// Removes a link that is ours. With the last one the interface below gets its settings back, and that
    /// first: with the link the record of them is gone.
    fn remove_our_link(&mut self, link: &LinkRecord) -> Result<(), LinkError> {
        let refused = |error| LinkError::Kernel(link.name.clone(), error);
        let links = self.links().map_err(refused)?;
        if let Some((below, former)) = to_restore(&links, link) {
            let wrong = |error| LinkError::Setting(below.to_owned(), error);
            former.restored(Former::of(below)).write(below).map_err(wrong)?;
        }
        self.virtual_links.remove(&link.name);
        match self.one_change(|requests, sequence| requests.remove_link(sequence, link.ifindex)) {
            Ok(()) | Err(NetlinkError::NoInterface) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }

    /// Whether a link was made by this daemon, in this process or another.
    fn is_our_link(&self, link: &LinkRecord) -> bool {
        Mark::on(link).is_some_and(|mark| mark.owner == self.virtual_links.owner)
    }

    fn set_up(&mut self, ifindex: u32, up: bool) -> Verdict {
        self.one_change(|requests, sequence| requests.set_up(sequence, ifindex, up))
    }
}

/// Whether any daemon of ours has made a link.
fn is_made_by_us(link: &LinkRecord) -> bool {
    link.stacked.as_ref().is_some_and(|stacked| stacked.is_macvlan && stacked.group == OUR_GROUP)
}

/// Whether a process of ours has died between making the link and leaving its mark on it.
fn is_half_made(link: &LinkRecord, wanted: &VirtualLink) -> bool {
    let has_text = link.stacked.as_ref().is_some_and(|stacked| stacked.alias.is_some());
    is_made_by_us(link) && !has_text && link.mac == Some(wanted.mac)
}

/// The settings of an interface before the first link of ours stood on it.
fn former_of(links: &[LinkRecord], parent: &LinkRecord) -> Former {
    let above = links.iter().filter(|link| {
        link.stacked.as_ref().is_some_and(|stacked| stacked.parent == parent.ifindex)
    });
    let on_record = above.filter_map(Mark::on).find_map(|mark| mark.former);
    on_record.unwrap_or_else(|| Former::of(&parent.name))
}

/// The interface below a link that goes, with its settings from before, if no other link needs other ones.
fn to_restore<'a>(links: &'a [LinkRecord], gone: &LinkRecord) -> Option<(&'a str, Former)> {
    let former = Mark::on(gone)?.former?;
    let parent = gone.stacked.as_ref()?.parent;
    let needs_it = |other: &LinkRecord| {
        other.ifindex != gone.ifindex
            && other.stacked.as_ref().is_some_and(|stacked| stacked.parent == parent)
            && Mark::on(other).is_some_and(|mark| mark.former.is_some())
    };
    let below = links.iter().find(|link| link.ifindex == parent)?;
    (!links.iter().any(needs_it)).then_some((below.name.as_str(), former))
}

/// The longest wait before a report of a joined group is repeated, in milliseconds: the kernel's least.
const MLD_INTERVAL_MS: u32 = 1;

/// What a link has to be set to before it is up.
fn link_settings(link: &VirtualLink) -> Vec<(Of, &'static str, u32)> {
    let below = |of, setting| settings::read(of, &link.parent, setting).unwrap_or(0);
    let all = |setting| settings::read(Of::V4, "all", setting).unwrap_or(0);
    let reverse_path = reverse_path(all("rp_filter").max(below(Of::V4, "rp_filter")));
    let mut wanted = vec![
        // It answers for its own addresses, and asks from them.
        (Of::V4, "arp_ignore", 1),
        (Of::V4, "arp_announce", 2),
        (Of::V4, "rp_filter", reverse_path),
        (Of::V4, "forwarding", below(Of::V4, "forwarding")),
    ];
    if link.is_ipv6 {
        wanted.extend([
            // No address that nobody asked for, and no route: nothing is to be said from here.
            (Of::V6, "addr_gen_mode", 1),
            (Of::V6, "accept_ra", 0),
            (Of::V6, "router_solicitations", 0),
            // What is joined is told again after milliseconds, not after a second: by then the address may
            // be with the successor, and with it the MAC address.
            (Of::V6, "mldv1_unsolicited_report_interval", MLD_INTERVAL_MS),
            (Of::V6, "mldv2_unsolicited_report_interval", MLD_INTERVAL_MS),
            (Of::V6, "forwarding", below(Of::V6, "forwarding")),
        ]);
    } else {
        wanted.push((Of::V6, "disable_ipv6", 1));
    }
    wanted
}

/// What `rp_filter` has to be on a link of ours where it is `below` on the interface that it stands on:
/// answers leave there and not here, which the strict check (1) would call a forgery.
fn reverse_path(below: u32) -> u32 {
    if below == 0 { 0 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::rtnetlink::Stacked;

    fn link(name: &str, group: u32, alias: Option<&str>) -> LinkRecord {
        let alias = alias.map(str::to_owned);
        LinkRecord {
            ifindex: 7,
            name: name.to_owned(),
            up: false,
            running: false,
            carrier: false,
            mac: Some([0, 0, 0x5e, 0, 1, 51]),
            mtu: 1500,
            promote_secondaries: None,
            stacked: Some(Stacked { parent: 3, is_macvlan: true, group, alias }),
        }
    }

    fn wanted() -> VirtualLink {
        let mac = [0, 0, 0x5e, 0, 1, 51];
        VirtualLink { name: "vrrp.51".into(), parent: "lan".into(), mac, is_ipv6: false }
    }

    #[test]
    fn only_a_link_with_our_group_and_a_mark_is_ours_and_one_without_mark_is_half_made() {
        let mark = Mark { owner: "/run/a.sock".into(), former: None }.to_string();
        let whole = link("vrrp.51", OUR_GROUP, Some(&mark));
        assert_eq!(Mark::on(&whole).map(|mark| mark.owner), Some("/run/a.sock".into()));
        assert!(!is_half_made(&whole, &wanted()));
        assert!(
            Mark::on(&link("vrrp.51", 0, Some(&mark))).is_none(),
            "somebody's copy of the text"
        );
        assert!(Mark::on(&link("vrrp.51", OUR_GROUP, Some("mine"))).is_none());
        assert!(is_half_made(&link("vrrp.51", OUR_GROUP, None), &wanted()));
        assert!(!is_half_made(&link("vrrp.51", 0, None), &wanted()));
    }

    #[test]
    fn what_the_interface_was_before_is_what_the_first_link_on_it_says() {
        let former = Former { arp_ignore: 0, arp_announce: 1 };
        let mark = Mark { owner: "/run/a.sock".into(), former: Some(former) }.to_string();
        let parent = LinkRecord { ifindex: 3, stacked: None, ..link("lan", 0, None) };
        assert_eq!(former_of(&[link("vrrp.51", OUR_GROUP, Some(&mark))], &parent), former);
    }

    #[test]
    fn the_settings_come_back_with_the_last_link_that_needs_others() {
        let former = Former { arp_ignore: 0, arp_announce: 1 };
        let text = |former| Mark { owner: "/run/a.sock".into(), former }.to_string();
        let parent = LinkRecord { ifindex: 3, stacked: None, ..link("lan", 0, None) };
        let first = link("vrrp.51", OUR_GROUP, Some(&text(Some(former))));
        let second = LinkRecord { ifindex: 8, name: "vrrp.52".into(), ..first.clone() };
        let ipv6 = LinkRecord { ifindex: 9, ..link("vrrp6.51", OUR_GROUP, Some(&text(None))) };
        let all = [parent.clone(), first.clone(), second, ipv6.clone()];
        assert_eq!(to_restore(&all, &first), None, "another one needs them");
        assert_eq!(to_restore(&all, &ipv6), None, "it has changed nothing");
        let rest = [parent, first.clone(), ipv6];
        assert_eq!(to_restore(&rest, &first), Some(("lan", former)));
        assert_eq!(to_restore(&rest[1..], &first), None, "there is nobody to give them back to");
    }

    #[test]
    fn the_reverse_path_is_never_checked_strictly_and_never_more_than_below() {
        assert_eq!((reverse_path(0), reverse_path(1), reverse_path(2)), (0, 2, 2));
    }
}
