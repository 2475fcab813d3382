//! Why a node may not hold a group: a set of named reasons. The group is in fault while the set is
//! not empty; no reason can clear another one.

use serde::{Deserialize, Serialize};

use crate::ident::{CheckId, RouterId};

/// One reason. Those that concern one router name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Fault {
    /// The interface does not exist in the kernel.
    InterfaceMissing(RouterId),
    /// The interface is down or has no carrier.
    LinkDown(RouterId),
    /// Nobody is heard on the segment, while a peer hears somebody there.
    SegmentSilent(RouterId),
    /// The kernel refused to install the addresses; tried again later.
    KernelRefused,
    /// The kernel has not answered for longer than the lease.
    KernelStuck,
    /// Others remove our addresses faster than we are willing to put them back.
    AddressContested,
    /// A check fails that the group tracks as a fault.
    Check(CheckId),
}

/// A set of reasons, in their order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds or removes a reason; says whether that changed anything.
    pub fn set(&mut self, fault: Fault, present: bool) -> bool {
        match (self.0.binary_search(&fault), present) {
            (Err(position), true) => self.0.insert(position, fault),
            (Ok(position), false) => {
                self.0.remove(position);
            }
            (Ok(_), true) | (Err(_), false) => return false,
        }
        true
    }

    /// Whether there is no reason.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a reason is in the set.
    pub fn contains(&self, fault: Fault) -> bool {
        self.0.binary_search(&fault).is_ok()
    }

    /// The reasons, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Fault> + '_ {
        self.0.iter().copied()
    }

    /// Gives every reason that names a check the number that it has now; one without is dropped.
    pub fn renumber_checks(&mut self, place: impl Fn(CheckId) -> Option<CheckId>) {
        let renumbered = self.0.iter().filter_map(|fault| match *fault {
            Fault::Check(check) => place(check).map(Fault::Check),
            other => Some(other),
        });
        self.0 = renumbered.collect();
        self.0.sort_unstable();
    }

    /// Removes every reason that `gone` picks.
    pub fn clear(&mut self, gone: impl Fn(Fault) -> bool) {
        self.0.retain(|fault| !gone(*fault));
    }
}
