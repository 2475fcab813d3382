//! How much may go wrong in an exhaustive walk. Budgets are what makes a world finite.

use serde::Serialize;

use crate::choice::{Choice, Fault, Frozen};
use crate::world::World;

/// What may still happen.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
pub struct Budgets {
    /// What is due at the same moment at several nodes happens node by node. What two nodes do at
    /// one moment hardly ever depends on who is first, and there are far fewer states.
    pub in_turn: bool,
    /// Packets lost.
    pub losses: u8,
    /// Packets doubled.
    pub duplicates: u8,
    /// Packets that overtake.
    pub overtakes: u8,
    /// Packets that are late, each by a heartbeat and a half.
    pub delays: u8,
    /// Cables cut without a sign; mending is free.
    pub cables: u8,
    /// Interfaces that lose their carrier; mending is free.
    pub carriers: u8,
    /// One-way cuts between two nodes on one segment; mending is free.
    pub blocks: u8,
    /// Cores killed.
    pub kills: u8,
    /// Guardians and cores killed together.
    pub kills_of_both: u8,
    /// Power cuts; power comes back free of charge.
    pub power_cuts: u8,
    /// Pauses of all our processes, each of four heartbeats and a half.
    pub pauses: u8,
    /// Calls of the kernel that fail.
    pub refusals: u8,
    /// Addresses deleted by others.
    pub deletions: u8,
    /// Packets of the past that are replayed.
    pub replays: u8,
    /// Switchovers that an operator wants.
    pub switchovers: u8,
    /// Orderly ends.
    pub shutdowns: u8,
}

impl Budgets {
    /// Adds every fault that the budgets leave.
    pub fn offer(&self, world: &World, choices: &mut Vec<Choice>) {
        let mut add = |fault: Fault| choices.push(Choice::Fault(fault));
        let late = world.setup.heartbeat_us * 3 / 2;
        for flow in (0..world.wire.count()).filter(|flow| world.wire.due(*flow) <= world.now) {
            offer(self.losses, Fault::Lose { flow }, &mut add);
            offer(self.duplicates, Fault::Duplicate { flow }, &mut add);
            offer(self.delays, Fault::Delay { flow, micros: late }, &mut add);
            if world.wire.len(flow) > 1 {
                offer(self.overtakes, Fault::Overtake { flow }, &mut add);
            }
        }
        for node in 0..world.hosts.len() {
            self.offer_host(world, node, &mut add);
            for segment in 0..world.setup.segments.len() {
                self.offer_segment(world, node, segment, &mut add);
            }
        }
    }

    fn offer_host(&self, world: &World, node: usize, add: &mut impl FnMut(Fault)) {
        let host = &world.hosts[node];
        if !host.power {
            return add(Fault::PowerOn { node });
        }
        offer(self.power_cuts, Fault::PowerCut { node }, add);
        if !host.runs() {
            return;
        }
        let micros = world.setup.heartbeat_us * 9 / 2;
        offer(self.kills, Fault::KillCore { node }, add);
        offer(self.kills_of_both, Fault::KillBoth { node }, add);
        offer(self.pauses, Fault::Pause { node, frozen: Frozen::Processes, micros }, add);
        offer(self.shutdowns, Fault::Shutdown { node }, add);
        if host.kernel.failing == 0 {
            offer(self.refusals, Fault::FailKernel { node, calls: 1 }, add);
        }
        if host.holds(0) {
            offer(self.deletions, Fault::DeleteAddress { node, group: 0 }, add);
        }
        for record in 0..world.records.len() {
            if world.records[record].from != node {
                offer(self.replays, Fault::Replay { node, record }, add);
            }
        }
        for to in 0..world.hosts.len() {
            offer(self.switchovers, Fault::Switchover { node, group: 0, to }, add);
        }
    }

    fn offer_segment(
        &self,
        world: &World,
        node: usize,
        segment: usize,
        add: &mut impl FnMut(Fault),
    ) {
        let host = &world.hosts[node];
        if host.sends[segment] {
            offer(self.cables, Fault::Cable { node, segment, sends: false, hears: false }, add);
        } else {
            add(Fault::Cable { node, segment, sends: true, hears: true });
        }
        if host.carrier[segment] {
            offer(self.carriers, Fault::Carrier { node, segment, up: false }, add);
        } else {
            add(Fault::Carrier { node, segment, up: true });
        }
        for to in (0..world.hosts.len()).filter(|to| *to != node) {
            let blocked = world.blocked[segment][node] >> to & 1 == 1;
            let turn = Fault::Block { segment, from: node, to, blocked: !blocked };
            offer(if blocked { 1 } else { self.blocks }, turn, add);
        }
    }

    /// Pays for a fault.
    pub fn spend(&mut self, fault: Fault) {
        let purse = match fault {
            Fault::Lose { .. } => &mut self.losses,
            Fault::Duplicate { .. } => &mut self.duplicates,
            Fault::Overtake { .. } => &mut self.overtakes,
            Fault::Delay { .. } => &mut self.delays,
            Fault::Cable { sends: false, .. } => &mut self.cables,
            Fault::Carrier { up: false, .. } => &mut self.carriers,
            Fault::Block { blocked: true, .. } => &mut self.blocks,
            Fault::KillCore { .. } => &mut self.kills,
            Fault::KillBoth { .. } => &mut self.kills_of_both,
            Fault::PowerCut { .. } => &mut self.power_cuts,
            Fault::Pause { .. } => &mut self.pauses,
            Fault::FailKernel { .. } => &mut self.refusals,
            Fault::DeleteAddress { .. } => &mut self.deletions,
            Fault::Replay { .. } => &mut self.replays,
            Fault::Switchover { .. } => &mut self.switchovers,
            Fault::Shutdown { .. } => &mut self.shutdowns,
            Fault::Cable { .. }
            | Fault::Carrier { .. }
            | Fault::Check { .. }
            | Fault::Block { .. }
            | Fault::PowerOn { .. }
            | Fault::Lossy { .. }
            | Fault::FilterAdverts { .. }
            | Fault::Neighbour { .. }
            | Fault::KillGuardian { .. }
            | Fault::SlowKernel { .. }
            | Fault::Failback { .. }
            | Fault::Lock { .. }
            | Fault::Heal => return,
        };
        *purse = purse.saturating_sub(1);
    }
}

fn offer(left: u8, fault: Fault, add: &mut impl FnMut(Fault)) {
    if left > 0 {
        add(fault);
    }
}
