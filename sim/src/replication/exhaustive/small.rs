//! A small world: two flows, a wire on which nothing happens by chance, and a list of what may
//! happen next.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use evergate_core::Instant;
use evergate_core::wire::replica;

use super::super::Law;
use super::super::planted::Defect;
use super::super::wire::Packet;
use super::super::world::{Mischief, World};

/// How long all nodes have been in step before the walk begins.
const CALM: Duration = Duration::from_millis(2_500);
/// Until now something that was lost may count as lost.
const SETTLED: Duration = Duration::from_secs(2);
/// How soon what the wire has lost once is told again: some more than the time after which a packet
/// without an answer counts as lost.
const SOON: Duration = Duration::from_millis(300);
/// How long a rest is at most, in seconds, before the copies must be whole.
const REST_MAX: u32 = 25;

/// How much may happen in a world; each counts down.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budgets {
    /// Time in which things may happen, in milliseconds.
    pub span_ms: u64,
    /// How many flows there are.
    pub flows: u32,
    /// Packets that open or change a flow.
    pub packets: u32,
    /// Flows that the server's kernel forgets.
    pub ends: u32,
    /// Changes and ends without an event.
    pub silent: u32,
    /// Packets of the wire that are lost.
    pub losses: u32,
    /// Packets of the wire that come later than others, whenever that is.
    pub late: u32,
    /// Packets of the wire that come twice, the second time whenever that is.
    pub twice: u32,
    /// Packets from readings that wait at the receiver while changes are taken.
    pub waits: u32,
    /// Flows that the kernel of a standby does not take.
    pub refusals: u32,
    /// Copies that somebody deletes or changes on a standby.
    pub meddles: u32,
    /// Processes that end and start again; their kernels go on.
    pub restarts: u32,
    /// Handovers to the other node.
    pub handovers: u32,
    /// Servers that die; another one takes over.
    pub deaths: u32,
}

impl Budgets {
    /// Whether nothing but what a wire does can happen.
    fn is_weather(&self) -> bool {
        self.silent + self.refusals + self.meddles + self.restarts + self.handovers + self.deaths
            == 0
    }
}

/// What may happen next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Choice {
    /// The first packet of the wire arrives.
    Deliver,
    /// It is lost.
    Lose,
    /// It is late.
    Hold,
    /// It arrives, and will come again.
    Double,
    /// It arrives, and the kernel refuses what it says.
    Refuse,
    /// It arrives, comes of a reading, and waits to be taken.
    Wait,
    /// A node takes such a packet.
    Take(usize),
    /// A packet that was late arrives.
    Release(usize),
    /// Time passes until some machine has to do something.
    Advance,
    /// A packet opens or changes a flow on the server.
    Packet(u32),
    /// The same, and the kernel does not say so.
    SilentPacket(u32),
    /// The server's kernel forgets a flow.
    End(u32),
    /// The same, and the kernel does not say so.
    SilentEnd(u32),
    /// Somebody deletes (`true`) or changes a copy of the first flow.
    Meddle(usize, bool),
    /// The process of a node ends and starts again.
    Restart(usize),
    /// The server lets go; nobody serves until another one takes over.
    StepDown,
    /// Another node takes over; the server may not know yet.
    TakeOver(usize),
    /// The former server notices.
    LetGo,
    /// The server dies with its table, another node takes over, and the former one is back.
    Die(usize),
}

/// A world, what may still happen, and what is late.
#[derive(Clone, Debug)]
pub struct Small {
    /// The world.
    pub world: World,
    budgets: Budgets,
    weather_only: bool,
    losses: u32,
    until: Instant,
    held: Vec<Packet>,
    /// The server that has not noticed that another one took over.
    former: Option<usize>,
    /// Nobody serves.
    vacant: bool,
}

impl Small {
    /// A world in which the first node serves and the others have whole copies.
    pub fn new(nodes: usize, budgets: Budgets, defect: Option<Defect>, laws: &[Law]) -> Small {
        let mut world = World::new(nodes, 0, defect, laws);
        (0..budgets.flows).for_each(|number| world.packet(0, number));
        world.run(CALM);
        world.wire.by_hand = true;
        let until = world.now + Duration::from_millis(budgets.span_ms);
        let (weather_only, losses) = (budgets.is_weather(), budgets.losses);
        let (held, former, vacant) = (Vec::new(), None, false);
        Small { world, budgets, weather_only, losses, until, held, former, vacant }
    }

    /// Hashes what decides what happens from now on.
    pub fn hash_state(&self, state: &mut impl Hasher) {
        self.world.hash_state(state);
        (&self.budgets, &self.held, self.former, self.vacant).hash(state);
    }

    /// What may happen next; nothing when it is time to rest.
    pub fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        if !self.world.wire.queue.is_empty() {
            self.choices_of_wire(&mut choices);
        } else if self.world.now < self.until && (self.world.broken.is_none()) {
            self.choices_of_nodes(&mut choices);
            if !choices.is_empty() {
                choices.push(Choice::Advance);
            }
        }
        choices
    }

    fn choices_of_wire(&self, choices: &mut Vec<Choice>) {
        let budgets = &self.budgets;
        let all = [
            (Choice::Deliver, 1),
            (Choice::Lose, budgets.losses),
            (Choice::Hold, budgets.late),
            (Choice::Double, budgets.twice),
            (Choice::Refuse, budgets.refusals),
            (Choice::Wait, if self.is_bulk_next() { budgets.waits } else { 0 }),
        ];
        choices.extend(all.into_iter().filter(|(_, left)| *left > 0).map(|(choice, _)| choice));
    }

    fn is_bulk_next(&self) -> bool {
        let mut queue = self.world.wire.queue.iter();
        queue.next().is_some_and(|packet| replica::is_bulk(&packet.body))
    }

    fn choices_of_nodes(&self, choices: &mut Vec<Choice>) {
        let budgets = &self.budgets;
        choices.extend((0..self.held.len()).map(Choice::Release));
        let waits = |at: &usize| self.world.hosts[*at].door.has_bulk();
        choices.extend((0..self.world.hosts.len()).filter(waits).map(Choice::Take));
        for flow in (0..budgets.flows).filter(|_| !self.vacant) {
            let all = [
                (Choice::Packet(flow), budgets.packets),
                (Choice::End(flow), budgets.ends),
                (Choice::SilentPacket(flow), budgets.packets.min(budgets.silent)),
                (Choice::SilentEnd(flow), budgets.ends.min(budgets.silent)),
            ];
            choices.extend(all.into_iter().filter(|(_, left)| *left > 0).map(|(it, _)| it));
        }
        let nodes = self.world.hosts.len();
        let others = (0..nodes).filter(|at| *at != self.world.server);
        if budgets.meddles > 0 {
            for at in others.clone() {
                choices.extend([Choice::Meddle(at, true), Choice::Meddle(at, false)]);
            }
        }
        if budgets.restarts > 0 && !self.vacant && self.former.is_none() {
            choices.extend((0..nodes).map(Choice::Restart));
        }
        if self.former.is_some() {
            choices.push(Choice::LetGo);
        } else if self.vacant {
            choices.extend(others.map(Choice::TakeOver));
        } else {
            if budgets.handovers > 0 {
                choices.push(Choice::StepDown);
                choices.extend(others.clone().map(Choice::TakeOver));
            }
            if budgets.deaths > 0 {
                choices.extend(others.map(Choice::Die));
            }
        }
    }

    /// Does it; `false` if it makes no difference.
    pub fn apply(&mut self, choice: Choice) -> bool {
        match choice {
            Choice::Deliver
            | Choice::Lose
            | Choice::Hold
            | Choice::Double
            | Choice::Refuse
            | Choice::Wait => return self.apply_to_wire(choice),
            Choice::Take(at) => self.world.take_bulk(at),
            Choice::Release(at) => {
                let packet = self.held.remove(at);
                self.world.deliver(packet);
            }
            Choice::Advance => self.world.advance(),
            Choice::Packet(flow) | Choice::SilentPacket(flow) => {
                self.budgets.packets -= 1;
                self.say(matches!(choice, Choice::SilentPacket(_)), |world| {
                    world.packet(world.server, flow);
                });
            }
            Choice::End(flow) | Choice::SilentEnd(flow) => {
                self.budgets.ends -= 1;
                self.say(matches!(choice, Choice::SilentEnd(_)), |world| {
                    world.expire(world.server, flow);
                });
            }
            Choice::Meddle(at, delete) => {
                self.budgets.meddles -= 1;
                self.world.meddle(at, 0, delete);
            }
            Choice::Restart(at) => {
                self.budgets.restarts -= 1;
                self.world.crash(at, true);
                self.world.boot(at);
                if at == self.world.server {
                    self.world.serve(at, true);
                }
            }
            Choice::StepDown | Choice::TakeOver(_) | Choice::LetGo | Choice::Die(_) => {
                self.apply_to_service(choice);
            }
        }
        true
    }

    fn apply_to_wire(&mut self, choice: Choice) -> bool {
        let Some(packet) = self.world.wire.queue.pop_front() else { return false };
        match choice {
            Choice::Lose => {
                self.budgets.losses -= 1;
                self.world.tally.lost += 1;
            }
            Choice::Hold => {
                self.budgets.late -= 1;
                self.held.push(packet);
            }
            Choice::Double => {
                self.budgets.twice -= 1;
                self.held.push(packet.clone());
                self.world.deliver(packet);
            }
            Choice::Wait => {
                self.budgets.waits -= 1;
                self.world.arrive(packet);
            }
            Choice::Refuse => {
                self.budgets.refusals -= 1;
                let before = self.world.tally.faults;
                self.world.mischief.refused = 100;
                self.world.deliver(packet);
                self.world.mischief = Mischief::default();
                return self.world.tally.faults > before;
            }
            _ => self.world.deliver(packet),
        }
        true
    }

    /// Something happens in the server's kernel, which may forget to say so.
    fn say(&mut self, silent: bool, what: impl FnOnce(&mut World)) {
        if silent {
            self.budgets.silent -= 1;
            self.world.mischief.silent = 100;
        }
        what(&mut self.world);
        self.world.mischief = Mischief::default();
    }

    fn apply_to_service(&mut self, choice: Choice) {
        let server = self.world.server;
        match choice {
            Choice::StepDown => {
                self.budgets.handovers -= 1;
                self.world.serve(server, false);
                self.vacant = true;
            }
            Choice::TakeOver(heir) => {
                if !std::mem::take(&mut self.vacant) {
                    self.budgets.handovers -= 1;
                    self.world.say_serves(server, false);
                    self.former = Some(server);
                }
                self.world.move_traffic(heir);
                self.world.serve(heir, true);
            }
            Choice::Die(heir) => {
                self.budgets.deaths -= 1;
                self.world.crash(server, false);
                self.world.move_traffic(heir);
                self.world.serve(heir, true);
                self.world.boot(server);
            }
            _ => {
                if let Some(former) = self.former.take() {
                    self.world.serve(former, false);
                }
            }
        }
    }

    /// Whatever is still open ends; after a while copies must be whole, and nothing counts as lost.
    pub fn rest(&mut self) {
        for packet in std::mem::take(&mut self.held) {
            self.world.deliver(packet);
        }
        (0..self.world.hosts.len()).for_each(|at| self.world.take_all(at));
        if self.vacant {
            self.apply(Choice::TakeOver(1));
        }
        self.apply_to_service(Choice::LetGo);
        while let Some(packet) = self.world.wire.queue.pop_front() {
            self.world.deliver(packet);
        }
        self.world.wire.by_hand = false;
        if self.weather_only {
            self.soon();
        }
        self.world.run(SETTLED);
        let before = self.world.lost();
        self.world.packet(self.world.server, 0);
        let mut what = None;
        for _ in 0..REST_MAX {
            self.world.run(Duration::from_secs(1));
            what = self.world.difference().or_else(|| {
                let at = self.world.not_whole()?;
                Some(format!("node {at} does not say that it is whole"))
            });
            if what.is_none() {
                break;
            }
        }
        if self.world.lost() != before {
            self.world.break_law(Law::LittleAgain, "packets count as lost, none was".into());
        }
        if let Some(what) = what {
            self.world.break_law(Law::CopiesEqual, what);
        }
    }

    /// What the wire has lost was told again, each time that it was.
    fn soon(&mut self) {
        self.world.run(SOON * (self.losses + 1));
        if let Some(what) = self.world.difference() {
            self.world.break_law(Law::CopiesEqual, format!("soon: {what}"));
        }
    }
}
