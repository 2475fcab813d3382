//! Links and neighbours: what there is, and the one setting of a link that a lease needs.

use std::net::IpAddr;

use super::error::NetlinkError;
use super::requests::Kernel;
use super::rtnetlink::encode::family_of;
use super::rtnetlink::{LinkRecord, NeighbourRecord, Record, RouteRecord};

impl Kernel {
    /// All links.
    pub fn links(&mut self) -> Result<Vec<LinkRecord>, NetlinkError> {
        self.list(super::rtnetlink::encode::Requests::list_links, |record| match record {
            Record::Link(link) => Some(link),
            _ => None,
        })
    }

    /// One link.
    pub fn link(&mut self, ifindex: u32) -> Result<LinkRecord, NetlinkError> {
        match self.get(|requests, sequence| requests.get_link(sequence, ifindex))? {
            Record::Link(link) => Ok(link),
            _ => Err(NetlinkError::Malformed),
        }
    }

    /// The neighbours on one interface that have answered before, of both families: those that a
    /// test of the segment may ask.
    pub fn known_neighbours(&mut self, ifindex: u32) -> Result<Vec<NeighbourRecord>, NetlinkError> {
        let mut neighbours = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = u8::try_from(family).unwrap_or(0);
            neighbours.extend(self.list(
                |requests, sequence| requests.list_neighbours(sequence, family),
                |record| match record {
                    Record::Neighbour(neighbour)
                        if neighbour.ifindex == ifindex
                            && family_of(neighbour.address) == family
                            && neighbour.is_known() =>
                    {
                        Some(neighbour)
                    }
                    _ => None,
                },
            )?);
        }
        Ok(neighbours)
    }

    /// The routes of the main table to exactly this network that lead somewhere. The kernel lists the
    /// whole table for it.
    pub fn routes_to(
        &mut self,
        network: IpAddr,
        prefix_length: u8,
    ) -> Result<Vec<RouteRecord>, NetlinkError> {
        let wanted = |route: &RouteRecord| {
            (route.network, route.prefix_length) == (network, prefix_length)
                && route.table == u32::from(libc::RT_TABLE_MAIN)
                && route.is_unicast
        };
        self.list(
            |requests, sequence| requests.list_routes(sequence, family_of(network)),
            |record| match record {
                Record::Route(route) => Some(route).filter(wanted),
                _ => None,
            },
        )
    }

    /// Lets the secondary IPv4 addresses of a link survive when their primary is removed, until
    /// [`Kernel::unprotect_secondaries`]. [`Kernel::hold`] does this by itself.
    ///
    /// Without it, the end of our lease would take with it every address of the host that was
    /// added after ours in the same subnet. Returns whether it was off before: keep that in mind
    /// for a successor, who would find it on and leave it so.
    pub fn protect_secondaries(&mut self, ifindex: u32) -> Result<bool, NetlinkError> {
        if let Some(was_off) = self.protected.get(&ifindex) {
            return Ok(*was_off);
        }
        let was_off = self.link(ifindex)?.promote_secondaries != Some(true);
        if was_off {
            self.set_promote_secondaries(ifindex, true)?;
        }
        self.protected.insert(ifindex, was_off);
        Ok(was_off)
    }

    /// The links that are protected, each with whether protection was off before.
    pub fn protected_links(&self) -> impl Iterator<Item = (u32, bool)> + '_ {
        self.protected.iter().map(|(ifindex, was_off)| (*ifindex, *was_off))
    }

    /// Takes over the duty to undo the protection of a link from a process that has ended.
    pub fn inherit_protection(&mut self, ifindex: u32, was_off: bool) {
        self.protected.insert(ifindex, was_off);
    }

    /// Ends the protection of a link: it is as it was before. A link that is gone needs no undoing.
    pub fn unprotect_secondaries(&mut self, ifindex: u32) -> Result<(), NetlinkError> {
        if self.protected.remove(&ifindex) != Some(true) {
            return Ok(());
        }
        match self.set_promote_secondaries(ifindex, false) {
            Err(NetlinkError::NoInterface) => Ok(()),
            result => result,
        }
    }

    fn set_promote_secondaries(&mut self, ifindex: u32, on: bool) -> Result<(), NetlinkError> {
        self.one_change(|requests, sequence| {
            requests.set_promote_secondaries(sequence, ifindex, on);
        })
    }
}
