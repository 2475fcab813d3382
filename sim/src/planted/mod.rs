//! Defects planted on purpose, so that every law is known to bite. A defect is a wrapper around the
//! machine of the product: it changes what goes in or what comes out, never the machine.
mod actor;
mod scene;

use serde::{Deserialize, Serialize};

pub use actor::Actor;

use crate::laws::Law;

/// What is wrong with every node of a world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Defect {
    /// When it should let go of addresses it renews them.
    KeepsAddresses,
    /// While it holds a group it does not notice that another holds it too.
    IgnoresRivals,
    /// It takes a group without asking the kernel for the addresses.
    ForgetsKernel,
    /// It never learns that an interface has lost its carrier.
    HidesFault,
    /// It gives a group up for a fault and then hides the fault of that member from the group, as
    /// if each member stood alone: the circuit of requirements 4.1 without rule G4.
    ForgetsFault,
    /// It gives a group up and takes it again when a peer dies.
    LeavesWithPeer,
    /// It believes one path only: silence there is death, though others live.
    ClaimsInDoubt,
    /// It takes every heartbeat for a fresh one.
    AcceptsReplay,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 8] = [
        Defect::KeepsAddresses,
        Defect::IgnoresRivals,
        Defect::ForgetsKernel,
        Defect::HidesFault,
        Defect::ForgetsFault,
        Defect::LeavesWithPeer,
        Defect::ClaimsInDoubt,
        Defect::AcceptsReplay,
    ];

    /// The law that must catch it, alone.
    pub fn law(self) -> Law {
        match self {
            Defect::KeepsAddresses => Law::KernelMatchesClaim,
            Defect::IgnoresRivals => Law::OneHolder,
            Defect::ForgetsKernel => Law::SomeoneHolds,
            Defect::HidesFault => Law::NoHolderWithFault,
            Defect::ForgetsFault => Law::NoEndlessHandover,
            Defect::LeavesWithPeer | Defect::ClaimsInDoubt => Law::StandbyFaultsMoveNothing,
            Defect::AcceptsReplay => Law::ReplayChangesNothing,
        }
    }
}
