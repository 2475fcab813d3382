//! The machine of the product as the worlds drive it, with or without a defect around it.

use std::sync::Arc;

use evergate_core::config::{Config, LONELY_LEASE};
use evergate_core::effect::{Effect, Note, View};
use evergate_core::group::{Group, State};
use evergate_core::heartbeat::Role;
use evergate_core::ident::{Incarnation, InterfaceId, PathId};
use evergate_core::input::{Command, Input, Interface};
use evergate_core::{Instant, Machine, Node};
use serde::Serialize;

use super::Defect;

/// A node, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Actor {
    node: Node,
    defect: Option<Defect>,
    /// [`Defect::AcceptsReplay`]: how many heartbeats it has taken.
    taken: u64,
    /// [`Defect::ForgetsFault`]: an interface whose lost carrier is hidden now.
    hidden: Option<(InterfaceId, Interface)>,
}

impl Actor {
    /// A node that has not started.
    pub fn new(
        config: Config,
        incarnation: Incarnation,
        now: Instant,
        defect: Option<Defect>,
    ) -> Self {
        Actor { node: Node::new(config, incarnation, now), defect, taken: 0, hidden: None }
    }

    /// The machine itself.
    pub fn node(&self) -> &Node {
        &self.node
    }

    fn holds(&self) -> bool {
        self.node.groups().iter().any(Group::holds)
    }

    /// Changes what goes in. `None`: the fact is hidden.
    fn spoil_input(&mut self, defect: Defect, input: Input) -> Option<Input> {
        match (defect, input) {
            (Defect::HidesFault, Input::Interface(id, state)) => {
                Some(Input::Interface(id, Interface { running: true, ..state }))
            }
            (Defect::ForgetsFault, Input::Interface(id, state)) => {
                self.hidden = (!state.running).then_some((id, state));
                Some(Input::Interface(id, state))
            }
            (Defect::IgnoresRivals, Input::Advert { .. }) if self.holds() => None,
            (Defect::IgnoresRivals, Input::Heartbeat(mut received)) if self.holds() => {
                let body = Arc::make_mut(&mut received.body);
                for report in body.groups.iter_mut().filter(|r| r.role == Role::Active) {
                    report.role = Role::Standby;
                }
                Some(Input::Heartbeat(received))
            }
            (Defect::ClaimsInDoubt, Input::Heartbeat(received)) => {
                (received.path == PathId(0)).then_some(Input::Heartbeat(received))
            }
            (Defect::AcceptsReplay, Input::Heartbeat(mut received)) => {
                self.taken += 1;
                received.sequence = self.taken;
                Some(Input::Heartbeat(received))
            }
            (_, input) => Some(input),
        }
    }

    /// Changes what comes out.
    fn spoil_effects(&mut self, defect: Defect, now: Instant, out: &mut Vec<Effect>) {
        match defect {
            Defect::KeepsAddresses => {
                for effect in out.iter_mut() {
                    if let Effect::Own { lease: lease @ None, .. } = effect {
                        *lease = Some(LONELY_LEASE);
                    }
                }
            }
            Defect::ForgetsKernel => {
                out.retain(|effect| !matches!(effect, Effect::Own { lease: Some(_), .. }));
            }
            Defect::LeavesWithPeer => {
                let dead = Note::Peer { node: self.node.config().me, view: View::Dead };
                let died = |effect: &Effect| {
                    let Effect::Note(note) = effect else { return false };
                    std::mem::discriminant(note) == std::mem::discriminant(&dead)
                        && matches!(note, Note::Peer { view: View::Dead, .. })
                };
                if self.holds() && out.iter().any(died) {
                    let group = self.node.groups()[0].id;
                    self.node.handle(now, Input::Command(Command::Lock { group }), out);
                    self.node.handle(now, Input::Command(Command::Unlock { group }), out);
                }
            }
            Defect::ForgetsFault => self.turn_fault(now, out),
            Defect::IgnoresRivals
            | Defect::HidesFault
            | Defect::ClaimsInDoubt
            | Defect::AcceptsReplay => {}
        }
    }

    /// The fault is there while the group is active, and hidden while it is not.
    fn turn_fault(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some((id, state)) = self.hidden else { return };
        let active = |group: &Group| matches!(group.state, State::Active { .. });
        let shown = Interface { running: !self.node.groups().iter().any(active), ..state };
        // The segment's own test would find it out: what it asks is answered.
        if out.contains(&Effect::Probe(id)) {
            self.node.handle(now, Input::Heard { interface: id, answered: true }, out);
        }
        self.node.handle(now, Input::Interface(id, shown), out);
    }
}

impl Machine for Actor {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Effect>) {
        let Some(defect) = self.defect else { return self.node.handle(now, input, out) };
        if let Some(input) = self.spoil_input(defect, input) {
            self.node.handle(now, input, out);
        }
        self.spoil_effects(defect, now, out);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.node.tick(now, out);
        if let Some(defect) = self.defect {
            self.spoil_effects(defect, now, out);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.node.deadline()
    }
}
