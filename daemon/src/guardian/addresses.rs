//! The guardian's door to the addresses in the kernel: it removes, it never adds.

use std::fmt;

use crate::estate::HeldAddress;
use crate::kernel::addresses::AddressSpec;
use crate::kernel::error::NetlinkError;
use crate::kernel::requests::Kernel;

/// Addresses of ours that would not go: their lease will end them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotReleased {
    /// How many are still there; 0 if the list itself could not be had.
    pub left: usize,
    /// The first reason.
    pub cause: NetlinkError,
}

impl fmt::Display for NotReleased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} addresses left to their lease: {}", self.left, self.cause)
    }
}

impl std::error::Error for NotReleased {}

/// What the guardian asks of the kernel.
pub trait Addresses {
    /// Removes those of the addresses that are there and carry our tag; returns how many.
    /// Asking again is harmless.
    fn release(&mut self, held: &[HeldAddress]) -> Result<usize, NotReleased>;
}

impl Addresses for Kernel {
    fn release(&mut self, held: &[HeldAddress]) -> Result<usize, NotReleased> {
        let specs: Vec<AddressSpec> = held
            .iter()
            .map(|held| AddressSpec {
                ifindex: held.ifindex,
                address: held.address,
                prefix_length: held.prefix_length,
            })
            .collect();
        let report = self.sweep(&specs).map_err(|cause| NotReleased { left: 0, cause })?;
        match report.failures.first() {
            None => Ok(report.removed.len()),
            Some((_, cause)) => {
                Err(NotReleased { left: report.failures.len(), cause: cause.clone() })
            }
        }
    }
}
