//! Virtual addresses in the kernel: held by a lease, released, listed and swept.
//!
//! Every address of ours carries our tag (`IFA_PROTO`) and a finite lifetime, so that the kernel
//! removes it by itself when nobody renews it. An address without the tag is the host's own: it is
//! never changed and never removed, whatever the configuration says.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::error::NetlinkError;
use super::requests::{Kernel, Verdict};
use super::rtnetlink::encode::{AddressLease, family_of};
use super::rtnetlink::{AddressRecord, Record};

pub use super::rtnetlink::encode::{AddressSpec, Attributes, VirtualAddress};

/// The longest lease, in seconds: an address of ours is never without an end.
pub const LEASE_MAX_S: u32 = 3600;

/// What [`Kernel::hold`] did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HoldReport {
    /// Addresses that were not there before.
    pub created: Vec<AddressSpec>,
    /// How many addresses of ours were there and had their lease renewed.
    pub renewed: usize,
    /// Addresses that the host has of its own accord: left as they are.
    pub foreign: Vec<AddressSpec>,
}

/// Why [`Kernel::hold`] failed. What the call had created is removed again; what it had renewed
/// keeps the lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldError {
    /// The addresses that failed, each with the reason; at least one.
    pub failures: Vec<(AddressSpec, NetlinkError)>,
    /// Created addresses that could not be removed again: their lease will end them.
    pub left_over: Vec<AddressSpec>,
}

impl fmt::Display for HoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((spec, cause)) = self.failures.first() else { return f.write_str("no failure") };
        let (address, length) = (spec.address, spec.prefix_length);
        write!(f, "cannot hold {address}/{length} on interface {}: {cause}", spec.ifindex)?;
        match self.failures.len() - 1 {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

impl std::error::Error for HoldError {}

/// What [`Kernel::release`] and [`Kernel::sweep`] did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReleaseReport {
    /// Addresses that were there, ours, and are gone.
    pub removed: Vec<AddressSpec>,
    /// Addresses that the kernel would not remove, each with the reason: their lease will end them.
    pub failures: Vec<(AddressSpec, NetlinkError)>,
}

impl AddressRecord {
    /// The address as it is named in requests.
    pub fn spec(&self) -> AddressSpec {
        AddressSpec {
            ifindex: self.ifindex,
            address: self.address,
            prefix_length: self.prefix_length,
        }
    }
}

/// The address that our own packets on an interface should come from: never a virtual one, which
/// a peer could hold at the same time. IPv4: a primary address before a secondary. IPv6: the
/// link-local address. `None` if the host has no such address, or it is not usable yet.
pub fn own_source(addresses: &[AddressRecord], ifindex: u32, is_v4: bool) -> Option<IpAddr> {
    let fits = |record: &&AddressRecord| {
        let link_local = matches!(record.address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        record.ifindex == ifindex
            && record.address.is_ipv4() == is_v4
            && (is_v4 || link_local)
            && !record.is_ours()
            && record.is_usable()
    };
    let own = addresses.iter().filter(fits);
    own.min_by_key(|record| (record.is_secondary(), record.address)).map(|record| record.address)
}

impl Kernel {
    /// Puts addresses into the kernel for `lease_s` seconds (1 to [`LEASE_MAX_S`]), or renews them.
    ///
    /// All of them or none: if one fails, those that this call created are removed again. An
    /// address that the host has itself is no failure; it is reported and left alone. What is there
    /// with other attributes, which no renewal changes, is removed and made anew.
    pub fn hold<A: Clone + Into<VirtualAddress>>(
        &mut self,
        addresses: &[A],
        lease_s: u32,
    ) -> Result<HoldReport, HoldError> {
        let addresses: Vec<VirtualAddress> = addresses.iter().cloned().map(Into::into).collect();
        let specs: Vec<AddressSpec> = addresses.iter().map(|address| address.spec).collect();
        let failures = self.protect_links_of(&specs);
        if !failures.is_empty() {
            return Err(HoldError { failures, left_over: Vec::new() });
        }
        self.clear_others(&addresses)?;
        let mut report = HoldReport::default();
        let is_leased = |spec: &AddressSpec| self.leased.contains_key(spec);
        let wanted: Vec<(&VirtualAddress, bool)> =
            addresses.iter().map(|address| (address, is_leased(&address.spec))).collect();
        let verdicts = self.add(&wanted, lease_s);
        let (mut failures, mut unclear) = (Vec::new(), Vec::new());
        for ((address, is_renewal), verdict) in wanted.into_iter().zip(verdicts) {
            match verdict {
                Ok(()) if is_renewal => report.renewed += 1,
                Ok(()) => report.created.push(address.spec),
                Err(NetlinkError::Exists) => unclear.push(address),
                Err(error) => failures.push((address.spec, error)),
            }
        }
        if !unclear.is_empty() && failures.is_empty() {
            self.take_over(&unclear, lease_s, &mut report, &mut failures);
        }
        if failures.is_empty() {
            let foreign = &report.foreign;
            let ours = addresses.into_iter().filter(|address| !foreign.contains(&address.spec));
            self.leased.extend(ours.map(|address| (address.spec, address.attributes)));
            return Ok(report);
        }
        // Without an answer it is unknown whether the address is there: undo that too.
        let unknown = |error: &NetlinkError| {
            matches!(error, NetlinkError::Silent | NetlinkError::Overflow | NetlinkError::Malformed)
        };
        let doubtful = failures.iter().filter(|(_, error)| unknown(error)).map(|(spec, _)| *spec);
        let doomed = report.created.iter().copied().chain(doubtful);
        let doomed: Vec<AddressSpec> =
            doomed.filter(|spec| !self.leased.contains_key(spec)).collect();
        let left_over = self.undo(&doomed);
        Err(HoldError { failures, left_over })
    }

    /// Those that this process holds with other attributes, which no renewal changes:
    /// [`Kernel::hold`] removes them and makes them anew.
    pub fn to_be_remade(&self, addresses: &[VirtualAddress]) -> Vec<AddressSpec> {
        let differs = |address: &&VirtualAddress| {
            let held = self.leased.get(&address.spec);
            held.is_some_and(|held| !held.renews_as(&address.attributes))
        };
        addresses.iter().filter(differs).map(|address| address.spec).collect()
    }

    /// Removes what this process holds with other attributes than are wanted now.
    fn clear_others(&mut self, addresses: &[VirtualAddress]) -> Result<(), HoldError> {
        let others = self.to_be_remade(addresses);
        if others.is_empty() {
            return Ok(());
        }
        let failures = match self.release(&others) {
            Ok(report) => report.failures,
            Err(error) => others.into_iter().map(|spec| (spec, error.clone())).collect(),
        };
        if failures.is_empty() {
            return Ok(());
        }
        Err(HoldError { failures, left_over: Vec::new() })
    }

    /// Protects the host's own addresses from the end of ours, before ours exist.
    fn protect_links_of(&mut self, specs: &[AddressSpec]) -> Vec<(AddressSpec, NetlinkError)> {
        let mut failures = Vec::new();
        for spec in specs.iter().filter(|spec| spec.address.is_ipv4()) {
            if let Err(error) = self.protect_secondaries(spec.ifindex) {
                failures.push((*spec, error));
            }
        }
        failures
    }

    /// Renews those addresses that exist and are ours (a restarted process finds its own), and
    /// reports the others as the host's.
    fn take_over(
        &mut self,
        addresses: &[&VirtualAddress],
        lease_s: u32,
        report: &mut HoldReport,
        failures: &mut Vec<(AddressSpec, NetlinkError)>,
    ) {
        let present = match self.addresses() {
            Ok(present) => present,
            Err(error) => {
                failures.extend(addresses.iter().map(|one| (one.spec, error.clone())));
                return;
            }
        };
        let same = |record: &AddressRecord, spec: &AddressSpec| {
            // IPv6 knows an address once per interface, whatever the length of its prefix.
            let prefix = spec.address.is_ipv6() || record.prefix_length == spec.prefix_length;
            record.ifindex == spec.ifindex && record.address == spec.address && prefix
        };
        let is_foreign = |spec: &AddressSpec| {
            present.iter().any(|record| same(record, spec) && !record.is_ours())
        };
        let (foreign, ours): (Vec<_>, Vec<_>) =
            addresses.iter().copied().partition(|address| is_foreign(&address.spec));
        report.foreign.extend(foreign.iter().map(|address| address.spec));
        let ours: Vec<(&VirtualAddress, bool)> = ours.into_iter().map(|one| (one, true)).collect();
        let verdicts = self.add(&ours, lease_s);
        for ((address, _), verdict) in ours.into_iter().zip(verdicts) {
            match verdict {
                Ok(()) => report.renewed += 1,
                Err(error) => failures.push((address.spec, error)),
            }
        }
    }

    /// Adds addresses; those marked true replace what is there.
    fn add(&mut self, wanted: &[(&VirtualAddress, bool)], lease_s: u32) -> Vec<Verdict> {
        let valid_s = lease_s.clamp(1, LEASE_MAX_S);
        let metrics: Vec<_> =
            wanted.iter().map(|(address, _)| self.metric_on(address.spec.ifindex)).collect();
        let wanted: Vec<_> = wanted.iter().zip(metrics).collect();
        self.change(&wanted, |requests, sequence, ((address, replace), metric)| {
            let lease = AddressLease { valid_s, replace: *replace, metric: *metric };
            requests.add_address(sequence, address, lease);
        })
    }

    /// Removes what was just created; returns what may still be there.
    fn undo(&mut self, created: &[AddressSpec]) -> Vec<AddressSpec> {
        if created.is_empty() {
            return Vec::new();
        }
        match self.release(created) {
            Ok(report) => report.failures.into_iter().map(|(spec, _)| spec).collect(),
            Err(_) => created.to_vec(),
        }
    }

    /// Removes those of the addresses that are there and ours.
    pub fn release(&mut self, specs: &[AddressSpec]) -> Result<ReleaseReport, NetlinkError> {
        for spec in specs {
            self.leased.remove(spec);
        }
        let wanted: BTreeSet<AddressSpec> = specs.iter().copied().collect();
        let present = self.addresses()?;
        let ours = present.iter().filter(|record| record.is_ours());
        let ours = ours.map(|record| (record.spec(), record.peer));
        let doomed: Vec<_> = ours.filter(|(spec, _)| wanted.contains(spec)).collect();
        Ok(self.remove(doomed))
    }

    /// Removes addresses, each with its other end.
    fn remove(&mut self, doomed: Vec<(AddressSpec, Option<IpAddr>)>) -> ReleaseReport {
        let before: BTreeSet<u32> = self.protected.keys().copied().collect();
        let specs: Vec<AddressSpec> = doomed.iter().map(|(spec, _)| *spec).collect();
        let unprotected = self.protect_links_of(&specs);
        let safe: Vec<_> = doomed
            .into_iter()
            .filter(|(spec, _)| unprotected.iter().all(|(other, _)| other != spec))
            .collect();
        let verdicts = self.change(&safe, |requests, sequence, (spec, peer)| {
            requests.remove_address(sequence, spec, *peer);
        });
        let mut report = ReleaseReport::default();
        for ((spec, _), verdict) in safe.into_iter().zip(verdicts) {
            match verdict {
                Ok(()) => report.removed.push(spec),
                // Its lease ended, or its interface went, between the list and the request.
                Err(NetlinkError::Absent | NetlinkError::NoInterface) => {}
                Err(error) => report.failures.push((spec, error)),
            }
        }
        // An interface that is gone took its addresses along.
        let lasting =
            |(_, error): &(AddressSpec, NetlinkError)| *error != NetlinkError::NoInterface;
        report.failures.extend(unprotected.into_iter().filter(lasting));
        for ifindex in self.protected.keys().copied().collect::<BTreeSet<u32>>().difference(&before)
        {
            // Left on at worst: that harms nobody.
            let _ = self.unprotect_secondaries(*ifindex);
        }
        report
    }

    /// Removes left-over addresses of an earlier life: those that carry our tag and are in the
    /// configuration. What another daemon of ours holds in this namespace stays.
    pub fn sweep(&mut self, configured: &[AddressSpec]) -> Result<ReleaseReport, NetlinkError> {
        self.release(configured)
    }

    /// Takes note that an address of ours is no longer in the kernel, or no longer ours. The next
    /// [`Kernel::hold`] looks before it takes the address, as if it had never been held.
    pub fn forget(&mut self, spec: &AddressSpec) {
        self.leased.remove(spec);
    }

    /// All addresses of all interfaces.
    pub fn addresses(&mut self) -> Result<Vec<AddressRecord>, NetlinkError> {
        self.addresses_of(0)
    }

    /// The addresses of one interface; 0 is all interfaces.
    pub fn addresses_of(&mut self, ifindex: u32) -> Result<Vec<AddressRecord>, NetlinkError> {
        let mut addresses = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = u8::try_from(family).unwrap_or(0);
            addresses.extend(self.list(
                |requests, sequence| requests.list_addresses(sequence, family, ifindex),
                |record| match record {
                    // A kernel without the family lists all of them: keep what was asked for.
                    Record::Address(address)
                        if family_of(address.address) == family
                            && (ifindex == 0 || address.ifindex == ifindex) =>
                    {
                        Some(address)
                    }
                    _ => None,
                },
            )?);
        }
        Ok(addresses)
    }
}
