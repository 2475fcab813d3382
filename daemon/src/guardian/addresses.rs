//! The guardian's door to the addresses in the kernel: it removes, it never adds.

use std::fmt;

use crate::estate::HeldAddress;
use crate::kernel::addresses::AddressSpec;
use crate::kernel::error::NetlinkError;
use crate::kernel::requests::Kernel;
use crate::kernel::ways::Way;

/// What is ours and would not go: addresses end with their lease, routes and rules with the next start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotReleased {
    /// How many are still there; 0 if the list itself could not be had.
    pub left: usize,
    /// The first reason.
    pub cause: NetlinkError,
}

impl fmt::Display for NotReleased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} addresses or routes could not be removed: {}", self.left, self.cause)
    }
}

impl std::error::Error for NotReleased {}

/// What the guardian asks of the kernel.
pub trait Addresses {
    /// Removes those of the addresses that are there and carry our tag; returns how many.
    /// Asking again is harmless.
    fn release(&mut self, held: &[HeldAddress]) -> Result<usize, NotReleased>;
    /// Removes those of the routes and rules that are there and carry our tag. Asking again is harmless.
    fn remove_ways(&mut self, ways: &[Way]) -> Result<(), NotReleased>;
    /// Removes the links with virtual MAC addresses that this daemon has made, and gives the interfaces
    /// below their settings back. Returns what went wrong, in words for the log.
    fn remove_links(&mut self) -> Vec<String>;
}

impl Addresses for Kernel {
    fn release(&mut self, held: &[HeldAddress]) -> Result<usize, NotReleased> {
        let specs = held.iter().map(|held| AddressSpec {
            ifindex: held.ifindex,
            address: held.address,
            prefix_length: held.prefix_length,
        });
        let specs: Vec<AddressSpec> = specs.collect();
        let all_failed = |cause| NotReleased { left: 0, cause };
        let report = self.sweep(&specs).map_err(all_failed)?;
        // With their addresses gone nobody is answered; down, they take and send nothing at all.
        let lowered = self.lower_links(&held.iter().map(|held| held.ifindex).collect());
        match report.failures.first() {
            None => lowered.map(|()| report.removed.len()).map_err(all_failed),
            Some((_, cause)) => {
                Err(NotReleased { left: report.failures.len(), cause: cause.clone() })
            }
        }
    }

    fn remove_ways(&mut self, ways: &[Way]) -> Result<(), NotReleased> {
        let failures = Kernel::remove_ways(self, ways);
        match failures.first() {
            None => Ok(()),
            Some((_, cause)) => Err(NotReleased { left: failures.len(), cause: cause.clone() }),
        }
    }

    fn remove_links(&mut self) -> Vec<String> {
        self.settle_links(&[]).iter().map(ToString::to_string).collect()
    }
}
