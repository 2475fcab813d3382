//! What a fault does to the world.

use std::time::Duration;

use evergate_core::Machine;
use evergate_core::check::Reading;
use evergate_core::effect::{Effect, Note};
use evergate_core::heartbeat::Hold;
use evergate_core::ident::{CheckId, GroupId, InterfaceId, NodeId};
use evergate_core::input::{Command, Input};

use super::{Lossy, World};
use crate::choice::Fault;
use crate::setup::SEGMENTS_MAX;

/// How long an operator waits for a handover.
pub const OPERATOR_WAITS: Duration = Duration::from_secs(2);
/// How long a switchover holds: short enough that walks see its end.
pub const OPERATOR_HOLDS: Hold<Duration> = Hold::Until(Duration::from_secs(20));

impl World {
    /// Lets a fault happen.
    pub(super) fn suffer(&mut self, fault: Fault) {
        if !self.makes_sense(fault) {
            return;
        }
        self.tally.faults += 1;
        if let Some(budgets) = &mut self.budgets {
            budgets.spend(fault);
        }
        self.mark(fault);
        let now = self.now;
        match fault {
            Fault::Lose { flow } => drop(self.wire.take(flow)),
            Fault::Duplicate { flow } => drop(self.wire.duplicate(flow)),
            Fault::Overtake { flow } => drop(self.wire.overtake(flow)),
            Fault::Delay { flow, micros } => {
                let until = now + Duration::from_micros(micros);
                self.wire.delay(flow, until);
                self.disturb_until(until);
            }
            Fault::Lossy { segment, percent, micros } => {
                let until = now + Duration::from_micros(micros);
                self.lossy[segment] = Lossy { percent, until };
                self.disturb_until(until);
            }
            Fault::Cable { node, segment, sends, hears } => {
                self.hosts[node].sends[segment] = sends;
                self.hosts[node].hears[segment] = hears;
            }
            Fault::Carrier { node, segment, up } => self.carrier(node, segment, up),
            Fault::Check { node, check, passes } => self.check(node, check, passes),
            Fault::Block { segment, from, to, blocked } => {
                let row = &mut self.blocked[segment][from];
                *row = *row & !(1 << to) | u8::from(blocked) << to;
            }
            Fault::FilterAdverts { segment, filtered } => self.filtered[segment] = filtered,
            Fault::Neighbour { segment, present } => self.neighbour[segment] = present,
            Fault::KillCore { node } => self.core_dies(node),
            Fault::KillGuardian { node } => self.guardian_dies(node),
            Fault::KillBoth { node } => {
                self.hosts[node].guardian = false;
                self.core_dies(node);
            }
            Fault::PowerCut { node } => self.power_cut(node),
            Fault::PowerOn { node } => self.power_on(node),
            Fault::Pause { node, frozen, micros } => {
                self.freeze(node, frozen, now + Duration::from_micros(micros));
            }
            Fault::SlowKernel { node, micros } => {
                self.hosts[node].kernel.extra = Duration::from_micros(micros);
            }
            Fault::FailKernel { node, calls } => self.hosts[node].kernel.failing = calls,
            Fault::DeleteAddress { node, group } => {
                self.hosts[node].kernel.held[group] = None;
                self.feed(node, Input::AddressLost(GroupId::at(group)));
                self.hosts[node].refresh();
            }
            Fault::Replay { node, record } => self.replay(node, record),
            Fault::Switchover { .. }
            | Fault::Failback { .. }
            | Fault::Lock { .. }
            | Fault::Shutdown { .. } => self.operator(fault),
            Fault::Heal => self.heal(),
        }
    }

    /// Notes whom a fault touches. A replay touches nobody: it must not change anything.
    fn mark(&mut self, fault: Fault) {
        let everybody = (0..self.hosts.len()).fold(0, |all, node| all | 1 << node);
        let touched = match fault {
            Fault::Cable { node, .. }
            | Fault::Carrier { node, .. }
            | Fault::Check { node, .. }
            | Fault::KillCore { node }
            | Fault::KillGuardian { node }
            | Fault::KillBoth { node }
            | Fault::PowerCut { node }
            | Fault::PowerOn { node }
            | Fault::Pause { node, .. }
            | Fault::SlowKernel { node, .. }
            | Fault::FailKernel { node, .. }
            | Fault::DeleteAddress { node, .. }
            | Fault::Shutdown { node } => 1 << node,
            Fault::Block { from, to, .. } => 1 << from | 1 << to,
            Fault::Replay { .. } => return,
            Fault::Lose { .. }
            | Fault::Duplicate { .. }
            | Fault::Overtake { .. }
            | Fault::Delay { .. }
            | Fault::Lossy { .. }
            | Fault::FilterAdverts { .. }
            | Fault::Neighbour { .. }
            | Fault::Switchover { .. }
            | Fault::Failback { .. }
            | Fault::Lock { .. }
            | Fault::Heal => everybody,
        };
        self.touched |= touched;
        for node in (0..self.hosts.len()).filter(|node| touched >> node & 1 == 1) {
            self.disturb(node);
        }
    }

    fn makes_sense(&self, fault: Fault) -> bool {
        let (nodes, segments) = (self.hosts.len(), self.setup.segments.len());
        let groups = self.setup.groups.len();
        match fault {
            Fault::Lose { flow } | Fault::Duplicate { flow } | Fault::Delay { flow, .. } => {
                self.wire.len(flow) > 0
            }
            Fault::Overtake { flow } => self.wire.len(flow) > 1,
            Fault::Lossy { segment, .. }
            | Fault::FilterAdverts { segment, .. }
            | Fault::Neighbour { segment, .. } => segment < segments,
            Fault::Cable { node, segment, .. } | Fault::Carrier { node, segment, .. } => {
                node < nodes && segment < segments
            }
            Fault::Check { node, check, .. } => node < nodes && check < self.setup.checks(),
            Fault::Block { segment, from, to, .. } => {
                segment < segments && from < nodes && to < nodes
            }
            Fault::KillCore { node }
            | Fault::KillGuardian { node }
            | Fault::KillBoth { node }
            | Fault::PowerCut { node }
            | Fault::PowerOn { node }
            | Fault::Pause { node, .. }
            | Fault::SlowKernel { node, .. }
            | Fault::FailKernel { node, .. }
            | Fault::Shutdown { node } => node < nodes,
            Fault::DeleteAddress { node, group } => {
                node < nodes && group < groups && self.hosts[node].holds(group)
            }
            Fault::Replay { node, record } => {
                node < nodes
                    && self.hosts[node].frozen.is_none()
                    && self.records.get(record).is_some_and(|old| old.heard_by >> node & 1 == 1)
            }
            Fault::Switchover { node, group, to } => {
                node < nodes && group < groups && to < nodes && self.hosts[node].runs()
            }
            Fault::Failback { node, group } | Fault::Lock { node, group, .. } => {
                node < nodes && group < groups && self.hosts[node].runs()
            }
            Fault::Heal => true,
        }
    }

    fn carrier(&mut self, node: usize, segment: usize, up: bool) {
        if self.hosts[node].carrier[segment] == up {
            return;
        }
        self.hosts[node].carrier[segment] = up;
        let state = self.setup.interface(node, segment, up);
        self.feed(node, Input::Interface(InterfaceId::at(segment), state));
        self.hosts[node].refresh();
    }

    fn check(&mut self, node: usize, check: usize, passes: bool) {
        if self.hosts[node].checks[check] != passes {
            self.hosts[node].checks[check] = passes;
            self.tell_check(node, check);
            self.hosts[node].refresh();
        }
    }

    /// Tells a node the result of a check.
    pub(super) fn tell_check(&mut self, node: usize, check: usize) {
        let reading = if self.hosts[node].checks[check] { Reading::Pass } else { Reading::Fail };
        self.feed(node, Input::Checked { check: CheckId::at(check), reading });
    }

    fn operator(&mut self, fault: Fault) {
        let (token, within) = (self.tally.faults, OPERATOR_WAITS);
        let (node, input) = match fault {
            Fault::Switchover { node, group, to } => {
                let (group, to) = (GroupId::at(group), Some(NodeId::at(to)));
                let hold = OPERATOR_HOLDS;
                (node, Input::Command(Command::Switchover { token, group, to, within, hold }))
            }
            Fault::Failback { node, group } => {
                let group = GroupId::at(group);
                (node, Input::Command(Command::Failback { token, group, within }))
            }
            Fault::Lock { node, group, locked } => {
                let group = GroupId::at(group);
                let lock = Command::Lock { group };
                (node, Input::Command(if locked { lock } else { Command::Unlock { group } }))
            }
            Fault::Shutdown { node } => (node, Input::Shutdown),
            _ => return,
        };
        self.feed(node, input);
    }

    /// Plays an old packet to a node, and looks whether that has changed anything.
    fn replay(&mut self, node: usize, record: usize) {
        let Some(old) = self.records.get(record).cloned() else { return };
        let host = &self.hosts[node];
        let Some(actor) = host.core.as_ref().filter(|_| host.frozen.is_none()) else { return };
        // What would have happened without it: the same moment, and a fact that says nothing.
        let mut without = actor.clone();
        let mut expected = Vec::new();
        let nowhere = InterfaceId::at(usize::from(u16::MAX));
        without.handle(
            self.now,
            Input::Heard { interface: nowhere, answered: false },
            &mut expected,
        );
        let mut with = actor.clone();
        let mut seen = Vec::new();
        let input = self.opened(old.from, old.segment, old.packet);
        with.handle(self.now, input, &mut seen);
        seen.retain(|effect| !matches!(effect, Effect::Note(Note::Discarded { .. })));
        let same = seen == expected
            && with.node().groups() == without.node().groups()
            && with.node().peers().iter().zip(without.node().peers()).all(|(with, without)| {
                (with.view, with.heard_at, &with.last, &with.paths)
                    == (without.view, without.heard_at, &without.last, &without.paths)
            });
        self.replay_changed |= !same;
        self.hosts[node].core = Some(with);
        self.carry_out(node, &mut seen);
    }

    fn heal(&mut self) {
        self.blocked = Default::default();
        self.filtered = Default::default();
        self.lossy = Default::default();
        self.neighbour = [self.setup.neighbours; SEGMENTS_MAX];
        for node in 0..self.hosts.len() {
            self.hosts[node].sends = [true; SEGMENTS_MAX];
            self.hosts[node].hears = [true; SEGMENTS_MAX];
            self.hosts[node].kernel.failing = 0;
            for segment in 0..self.setup.segments.len() {
                self.carrier(node, segment, true);
            }
            for check in 0..self.setup.checks() {
                self.check(node, check, true);
            }
            for group in 0..self.setup.groups.len() {
                self.feed(node, Input::Command(Command::Unlock { group: GroupId::at(group) }));
            }
            self.power_on(node);
        }
    }
}
