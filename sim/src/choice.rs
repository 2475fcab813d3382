//! What can happen next in a world: natural things, and faults.

use serde::{Deserialize, Serialize};

/// One thing that happens. A trace is a list of these.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Choice {
    /// The oldest packet of a flow arrives.
    Deliver {
        /// The flow, as numbered by [`crate::world::Wire`].
        flow: usize,
    },
    /// A node's own deadline has come.
    Tick {
        /// The node.
        node: usize,
    },
    /// Something in a host is due: its kernel answers, its guardian acts, a pause ends.
    Host {
        /// The node.
        node: usize,
    },
    /// Nothing is due: time goes on to the next moment at which something is.
    Advance,
    /// Everything that is due happens in the order of time, for this many microseconds.
    Run {
        /// How long.
        micros: u64,
    },
    /// Something goes wrong, or is mended, or an operator wants something.
    Fault(Fault),
}

/// Which part of a host stops running for a while.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Frozen {
    /// The core alone: its guardian sees that.
    Core,
    /// All our processes; the kernel goes on.
    Processes,
    /// The whole machine.
    Machine,
}

/// One fault, or the end of one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Fault {
    /// The oldest packet of a flow is lost.
    Lose {
        /// The flow.
        flow: usize,
    },
    /// The oldest packet of a flow arrives twice.
    Duplicate {
        /// The flow.
        flow: usize,
    },
    /// The newest packet of a flow overtakes all others.
    Overtake {
        /// The flow.
        flow: usize,
    },
    /// The oldest packet of a flow, and so all behind it, are late.
    Delay {
        /// The flow.
        flow: usize,
        /// By how much, in microseconds.
        micros: u64,
    },
    /// A segment loses packets by chance for a while.
    Lossy {
        /// The segment.
        segment: usize,
        /// How many of a hundred.
        percent: u64,
        /// For how long, in microseconds.
        micros: u64,
    },
    /// The two directions of a cable work or do not; its carrier stays.
    Cable {
        /// The node.
        node: usize,
        /// The segment.
        segment: usize,
        /// What the node sends gets through.
        sends: bool,
        /// What others send reaches the node.
        hears: bool,
    },
    /// An interface gains or loses its carrier.
    Carrier {
        /// The node.
        node: usize,
        /// The segment.
        segment: usize,
        /// It has carrier now.
        up: bool,
    },
    /// A segment carries nothing from one node to another, or does so again.
    Block {
        /// The segment.
        segment: usize,
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
        /// It carries nothing now.
        blocked: bool,
    },
    /// Something on a segment filters VRRP, and nothing else.
    FilterAdverts {
        /// The segment.
        segment: usize,
        /// It does so now.
        filtered: bool,
    },
    /// The host on a segment that answers probes is there or not.
    Neighbour {
        /// The segment.
        segment: usize,
        /// It is there now.
        present: bool,
    },
    /// What a check looks at on a node is well, or is not.
    Check {
        /// The node.
        node: usize,
        /// The check.
        check: usize,
        /// It is well now.
        passes: bool,
    },
    /// The core is killed.
    KillCore {
        /// The node.
        node: usize,
    },
    /// The guardian is killed.
    KillGuardian {
        /// The node.
        node: usize,
    },
    /// Both are killed.
    KillBoth {
        /// The node.
        node: usize,
    },
    /// The machine loses its power.
    PowerCut {
        /// The node.
        node: usize,
    },
    /// It has power again and starts.
    PowerOn {
        /// The node.
        node: usize,
    },
    /// Something does not run for a while.
    Pause {
        /// The node.
        node: usize,
        /// What.
        frozen: Frozen,
        /// For how long, in microseconds.
        micros: u64,
    },
    /// The next call of the kernel takes longer.
    SlowKernel {
        /// The node.
        node: usize,
        /// By how much, in microseconds.
        micros: u64,
    },
    /// The next calls of the kernel fail.
    FailKernel {
        /// The node.
        node: usize,
        /// How many.
        calls: u8,
    },
    /// Somebody else deletes the addresses of a group.
    DeleteAddress {
        /// The node.
        node: usize,
        /// The group.
        group: usize,
    },
    /// A heartbeat or will that was recorded earlier is played to a node.
    Replay {
        /// The node.
        node: usize,
        /// Which of the recorded packets.
        record: usize,
    },
    /// An operator on a node wants a group moved.
    Switchover {
        /// The node that is asked.
        node: usize,
        /// The group.
        group: usize,
        /// Where to.
        to: usize,
    },
    /// An operator on a node ends a hold.
    Failback {
        /// The node that is asked.
        node: usize,
        /// The group.
        group: usize,
    },
    /// An operator locks a node out of a group, or lets it take part again.
    Lock {
        /// The node.
        node: usize,
        /// The group.
        group: usize,
        /// It is locked now.
        locked: bool,
    },
    /// The daemon ends in order and starts again a second later.
    Shutdown {
        /// The node.
        node: usize,
    },
    /// Every cable, block, filter and neighbour is as it should be, and all machines have power.
    Heal,
}
