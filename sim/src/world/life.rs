//! The life of the processes of a host: start, death, the guardian's work, pauses, and what its
//! kernel does by itself (design sections 2 and 3, point 1).

use evergate_core::Instant;
use evergate_core::config::PathKind;
use evergate_core::group::State;
use evergate_core::ident::{GroupId, InterfaceId};
use evergate_core::input::Input;

use super::host::{
    CORE_STARTS, CRASH_WINDOW, CRASHES_MAX, DAEMON_STARTS, GUARDIAN_STARTS, KEEP_FOR, LONELY_WAIT,
    Orphan, SWEEP_AFTER,
};
use super::wire::{NEVER, Packet};
use super::{BUSY, World, incarnation};
use crate::choice::Frozen;
use crate::planted::Actor;
use crate::setup::{GROUPS_MAX, source};

impl World {
    /// A core begins. What it does not go on with is swept away first.
    pub(crate) fn start(&mut self, node: usize, adopt: [bool; GROUPS_MAX]) {
        let config = self.setup.config(node);
        let host = &mut self.hosts[node];
        host.births += 1;
        host.incarnation = incarnation(node, host.births);
        host.sequences.push(0);
        host.inbox.clear();
        host.orphan = None;
        let mut adopted = Vec::new();
        for (group, wanted) in adopt.into_iter().enumerate() {
            if wanted && host.kernel.held[group].is_some() {
                adopted.push(GroupId::at(group));
            } else {
                host.kernel.held[group] = None;
            }
        }
        host.core = Some(Actor::new(config, host.incarnation, self.now, self.setup.defect));
        for segment in 0..self.setup.segments.len() {
            let state = self.setup.interface(node, segment, self.hosts[node].carrier[segment]);
            let interface = InterfaceId::at(segment);
            self.feed(node, Input::Interface(interface, state));
            let known = self.setup.neighbours && self.setup.segments[segment] == PathKind::Router;
            self.feed(node, Input::Neighbours { interface, known });
        }
        self.feed(node, Input::Start { adopted, locked: Vec::new() });
        for check in 0..self.setup.checks() {
            self.tell_check(node, check);
        }
        self.disturb(node);
    }

    /// Something has happened to a node that it needs time to get over.
    pub(crate) fn disturb(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        host.disturbed = host.disturbed.max(self.now);
        self.disturbed = self.disturbed.max(self.now);
        self.entries = Default::default();
    }

    /// Something goes on for a while that everybody needs time to get over afterwards.
    pub(super) fn disturb_until(&mut self, until: Instant) {
        self.disturbed = self.disturbed.max(until);
        for host in &mut self.hosts {
            host.disturbed = host.disturbed.max(until);
        }
    }

    /// The core is dead. Its guardian, if it lives, resigns for it or keeps the addresses for the
    /// next one; otherwise they stay until the lease ends.
    pub(super) fn core_dies(&mut self, node: usize) {
        let now = self.now;
        let host = &mut self.hosts[node];
        let Some(core) = host.core.take() else { return };
        let stopped = matches!(host.frozen, Some((Frozen::Processes | Frozen::Machine, _)));
        let guarded = host.guardian && !stopped;
        host.frozen = host.frozen.filter(|(frozen, _)| *frozen == Frozen::Machine);
        host.kernel.orphan(now);
        host.inbox.clear();
        host.kill_at = NEVER;
        let mut active = [false; GROUPS_MAX];
        for group in core.node().groups() {
            // As the guardian is told: from the first request until the kernel has let go.
            let lets_go = matches!(group.state, State::Releasing { .. });
            active[group.id.index()] = group.holds() || lets_go;
        }
        let alone = !core.node().has_living_peer();
        if !guarded {
            host.guardian = false;
            host.guardian_at = NEVER;
            let restart_at = now + DAEMON_STARTS;
            host.orphan = Some(Orphan { sweep_at: NEVER, restart_at, adopt: Default::default() });
        } else {
            host.crashes.retain(|at| now.since(*at) < CRASH_WINDOW);
            let keep = alone && host.crashes.len() < CRASHES_MAX;
            if host.crashes.len() == CRASHES_MAX {
                host.crashes.pop_front();
            }
            host.crashes.push_back(now);
            let (sweep, adopt) =
                if keep { (KEEP_FOR, active) } else { (SWEEP_AFTER, Default::default()) };
            let restart_at = now + CORE_STARTS;
            host.orphan = Some(Orphan { sweep_at: now + sweep, restart_at, adopt });
            if !keep {
                self.resign(node, active);
            }
        }
        self.disturb(node);
        self.hosts[node].refresh();
    }

    /// The guardian speaks for a dead core: its will, and priority 0.
    fn resign(&mut self, node: usize, active: [bool; GROUPS_MAX]) {
        let incarnation = self.hosts[node].incarnation;
        for segment in 0..self.setup.segments.len() {
            self.broadcast(node, segment, Packet::Will { incarnation });
        }
        let plan = std::sync::Arc::clone(&self.setup);
        for (group, plan) in plan.groups.iter().enumerate().filter(|(group, _)| active[*group]) {
            for (router, segment) in plan.routers.iter().enumerate() {
                if self.filtered[*segment] {
                    continue;
                }
                let group = GroupId::at(group).0;
                let router = GroupId::at(router).0;
                let source = source(node, *segment);
                let advert = Packet::Advert { group, router, source, priority: 0 };
                self.broadcast(node, *segment, advert);
            }
        }
    }

    /// The guardian is dead. A living core starts another one.
    pub(super) fn guardian_dies(&mut self, node: usize) {
        let now = self.now;
        let host = &mut self.hosts[node];
        if !host.guardian || !host.power {
            return;
        }
        host.guardian = false;
        host.kill_at = NEVER;
        match (&host.core, &mut host.orphan) {
            (Some(_), _) => host.guardian_at = now + GUARDIAN_STARTS,
            (None, Some(orphan)) => {
                // Nobody is left who would sweep or start a core before the init system does.
                orphan.sweep_at = NEVER;
                orphan.restart_at = now + DAEMON_STARTS;
                orphan.adopt = Default::default();
            }
            (None, None) => {}
        }
        self.disturb(node);
        self.hosts[node].refresh();
    }

    /// The machine loses its power, and all it knew.
    pub(super) fn power_cut(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        if !host.power {
            return;
        }
        let fresh = super::Host::new();
        *host = super::Host {
            power: false,
            guardian: false,
            carrier: host.carrier,
            sends: host.sends,
            hears: host.hears,
            checks: host.checks,
            births: host.births,
            sequences: std::mem::take(&mut host.sequences),
            ..fresh
        };
        self.disturb(node);
    }

    /// The machine has power again and starts its daemon.
    pub(super) fn power_on(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        if host.power {
            return;
        }
        host.power = true;
        host.guardian = true;
        self.start(node, Default::default());
    }

    /// The daemon has given everything up and ends; it is started again.
    pub(super) fn ended(&mut self, node: usize) {
        let now = self.now;
        let host = &mut self.hosts[node];
        host.core = None;
        host.guardian = false;
        host.guardian_at = NEVER;
        host.kill_at = NEVER;
        host.kernel.orphan(now);
        host.kernel.held = Default::default();
        host.inbox.clear();
        let restart_at = now + DAEMON_STARTS;
        host.orphan = Some(Orphan { sweep_at: NEVER, restart_at, adopt: Default::default() });
        self.disturb(node);
        self.hosts[node].refresh();
    }

    /// Something stops running for a while.
    pub(super) fn freeze(&mut self, node: usize, frozen: Frozen, until: Instant) {
        let now = self.now;
        let host = &mut self.hosts[node];
        if host.frozen.is_some() || !host.power {
            return;
        }
        let Some(core) = &host.core else { return };
        if frozen == Frozen::Core && host.guardian {
            host.kill_at = now + core.node().shortest_wait().unwrap_or(LONELY_WAIT);
        }
        host.frozen = Some((frozen, until));
        host.frozen_at = now;
        self.disturb(node);
        self.hosts[node].refresh();
    }

    /// What was stopped runs again: first everything is read that has come meanwhile.
    fn thaw(&mut self, node: usize) {
        let now = self.now;
        let host = &mut self.hosts[node];
        let Some((frozen, _)) = host.frozen.take() else { return };
        host.kill_at = NEVER;
        if frozen == Frozen::Machine {
            // A kernel that stands still does not count down its leases either.
            let slept = now.since(host.frozen_at);
            host.kernel.held.iter_mut().flatten().for_each(|held| *held += slept);
            host.kernel.calls.iter_mut().for_each(|call| call.at += slept);
        }
        for input in std::mem::take(&mut host.inbox) {
            self.feed(node, input);
        }
        self.disturb(node);
        self.hosts[node].refresh();
    }

    /// Something other than the core's deadline is due in a host.
    pub(super) fn host_due(&mut self, node: usize) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(node) else { return };
        if host.due > now {
            return;
        }
        if host.frozen.is_some_and(|(_, until)| until <= now) {
            self.thaw(node);
        } else if host.frozen.is_some_and(|(frozen, _)| frozen == Frozen::Machine) {
            // Nothing moves in a machine that stands still.
        } else if let Some((call, done)) = host.kernel.finish(now) {
            let (group, serial) = (GroupId::at(call.group), call.serial);
            let result = if done { Ok(()) } else { Err(BUSY) };
            self.tally.steps += 1;
            if call.slow || !done {
                self.touched |= 1 << node;
                self.disturb(node);
            }
            self.feed(node, Input::Owned { group, serial, result });
        } else if let Some(group) = host.kernel.lapse(now) {
            self.feed(node, Input::AddressLost(GroupId::at(group)));
        } else if host.kill_at <= now {
            self.core_dies(node);
        } else if host.guardian_at <= now {
            host.guardian = true;
            host.guardian_at = NEVER;
        } else if let Some(orphan) = host.orphan.clone() {
            self.care_for(node, orphan);
        }
        self.hosts[node].refresh();
    }

    fn care_for(&mut self, node: usize, orphan: Orphan) {
        let host = &mut self.hosts[node];
        if orphan.sweep_at <= self.now {
            host.kernel.held = Default::default();
            host.orphan = Some(Orphan { sweep_at: NEVER, adopt: Default::default(), ..orphan });
        } else if orphan.restart_at <= self.now {
            host.guardian = true;
            self.start(node, orphan.adopt);
        }
    }
}
