//! A world: nodes, their kernels' tables, the wire between them, and what must be true of them.

mod door;
mod host;

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use evergate_core::flow::{Flow, FlowKey, tcp};
use evergate_core::ident::{Incarnation, NodeId};
use evergate_core::replicate::{Effect, Input, Sight, is_open};
use evergate_core::time::earliest;
use evergate_core::wire::replica::{Body, FLOW, GONE};
use evergate_core::wire::tlv;
use evergate_core::{Instant, Machine};

use super::planted::Defect;
use super::wire::{Packet, Wire};
use super::{Law, Tally, Violation};
use crate::dice::Dice;
use door::Door;
pub use host::Host;
use host::{LEASE_S, OWN_S, key_of, opened};

/// How many flows there can be at once.
pub const FLOWS: u32 = 96;
/// When worlds begin.
const EPOCH: Duration = Duration::from_secs(1_000);
/// The pause between two pieces of the kernel's table.
const READ_EVERY: Duration = Duration::from_millis(1);

/// What kernels do wrong now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mischief {
    /// Of a hundred changes, how many come without an event.
    pub silent: u64,
    /// Of a hundred flows, how many a kernel does not take.
    pub refused: u64,
}

/// A world.
#[derive(Clone, Debug)]
pub struct World {
    /// The time.
    pub now: Instant,
    /// The nodes.
    pub hosts: Vec<Host>,
    /// The wire.
    pub wire: Wire,
    /// Chance.
    pub dice: Dice,
    /// What kernels do wrong.
    pub mischief: Mischief,
    /// Whose kernel sees the packets.
    pub server: usize,
    /// Two nodes serve, or did since the last rest: each has its own truth.
    pub split: bool,
    /// What has happened.
    pub tally: Tally,
    /// The laws that count.
    pub laws: Vec<Law>,
    /// The law that was broken first.
    pub broken: Option<Violation>,
    /// What happens, for people.
    pub journal: Option<Vec<String>>,
    tenure: u64,
    serial: u32,
    births: u8,
    /// When flows were gone, by serial.
    gone: BTreeMap<FlowKey, Vec<u32>>,
    /// The newest state that a copy has had: the time of service and the serial.
    applied: BTreeMap<(usize, FlowKey), (u64, u32)>,
    defect: Option<Defect>,
}

impl World {
    /// A world in which the first node serves.
    pub fn new(nodes: usize, seed: u64, defect: Option<Defect>, laws: &[Law]) -> World {
        let now = Instant::ZERO + EPOCH;
        let mut world = World {
            now,
            hosts: (0..nodes).map(|_| Host::new()).collect(),
            wire: Wire::default(),
            dice: Dice::new(seed),
            mischief: Mischief::default(),
            server: 0,
            split: false,
            tally: Tally::default(),
            laws: laws.to_vec(),
            broken: None,
            journal: None,
            tenure: 1,
            serial: 0,
            births: 0,
            gone: BTreeMap::new(),
            applied: BTreeMap::new(),
            defect,
        };
        (0..nodes).for_each(|at| world.boot(at));
        world.hosts[0].tenure = world.tenure;
        world.serve(0, true);
        world
    }

    /// How long the world has lasted.
    pub fn lasted(&self) -> Duration {
        self.now.since(Instant::ZERO + EPOCH)
    }

    /// Writes a line into the journal.
    pub fn write(&mut self, line: impl FnOnce() -> String) {
        let at = self.lasted().as_secs_f64();
        if let Some(journal) = &mut self.journal {
            journal.push(format!("{at:.6} {}", line()));
        }
    }

    /// Notes that a law was broken; the first one counts.
    pub fn break_law(&mut self, law: Law, what: String) {
        if self.broken.is_none() && self.laws.contains(&law) {
            self.write(|| format!("BROKEN {law:?}: {what}"));
            self.broken = Some(Violation { law, at: self.lasted(), what });
        }
    }

    /// Starts the process of a node, with whatever its kernel has.
    pub fn boot(&mut self, at: usize) {
        self.births += 1;
        self.write(|| format!("node {at} starts"));
        let incarnation = Incarnation([self.births; 16]);
        let nodes = self.hosts.len();
        self.hosts[at].boot(at, nodes, incarnation, self.now, self.defect);
        self.tell_sights();
    }

    /// Ends the process of a node, and forgets its table unless it is kept.
    pub fn crash(&mut self, at: usize, keep_table: bool) {
        self.tally.faults += 1;
        self.write(|| format!("node {at} ends, table kept: {keep_table}"));
        let host = &mut self.hosts[at];
        (host.actor, host.dump, host.door) = (None, None, Door::default());
        if !keep_table {
            host.table.clear();
            host.live.clear();
        }
        self.applied.retain(|(node, _), _| *node != at);
        self.tell_sights();
    }

    /// What a node says of itself to others.
    pub fn say_serves(&mut self, at: usize, serves: bool) {
        self.hosts[at].serves = serves;
        self.tell_sights();
    }

    /// A node begins or ends to serve, and says so. Before it begins, it takes what has come.
    pub fn serve(&mut self, at: usize, serves: bool) {
        if serves {
            self.take_all(at);
        }
        self.write(|| format!("node {at} serves: {serves}"));
        self.say_serves(at, serves);
        self.feed(at, Input::Serving(serves));
    }

    /// From now on the packets pass another node, which has taken all that had come.
    pub fn move_traffic(&mut self, to: usize) {
        self.take_all(to);
        self.tally.takeovers += 1;
        self.write(|| format!("packets pass node {to}"));
        let live = std::mem::take(&mut self.hosts[self.server].live);
        let heir = &mut self.hosts[to];
        heir.forget_heard();
        heir.live = live.into_iter().filter(|key| heir.table.contains_key(key)).collect();
        self.server = to;
        self.tenure += 1;
        self.hosts[to].tenure = self.tenure;
        // What the former server's kernel alone has seen end goes on here until it expires.
        self.gone.clear();
    }

    /// Whatever copies have had before does not count any more.
    pub fn forget_history(&mut self) {
        self.applied.clear();
        self.split = false;
    }

    /// Tells everybody who lives and who serves, as far as anybody can know.
    pub fn tell_sights(&mut self) {
        let sight = |(at, host): (usize, &Host)| {
            let (node, incarnation, serves) = (NodeId::at(at), host.incarnation, host.serves);
            host.actor.as_ref().map(|_| Sight { node, incarnation, serves })
        };
        let sights: Vec<Sight> = self.hosts.iter().enumerate().filter_map(sight).collect();
        for at in 0..self.hosts.len() {
            let blind = &self.hosts[at].blind;
            let seen = |sight: &&Sight| {
                sight.node != NodeId::at(at) && !blind.contains(&sight.node.index())
            };
            let seen: Vec<Sight> = sights.iter().filter(seen).copied().collect();
            self.feed(at, Input::Peers(seen));
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.broken.is_none() {
            let next = self.hosts.iter().filter_map(|host| host.deadline(self.now));
            let taken = self.hosts.iter().filter_map(|host| host.door.deadline(self.now));
            let next = next.chain(taken);
            let next = next.fold(self.wire.deadline(), |one, other| earliest(one, Some(other)));
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(packet) = self.wire.arrived(self.now) {
                self.arrive(packet);
            }
            for at in 0..self.hosts.len() {
                self.take_turn(at);
                self.tick(at);
                self.read_on(at);
            }
        }
        self.now = end;
    }

    /// Lets time pass until a machine or a reading of a table goes on.
    pub fn advance(&mut self) {
        let next = self.hosts.iter().filter_map(|host| host.deadline(self.now)).min();
        self.now = next.map_or(self.now, |next| next.max(self.now));
        for at in 0..self.hosts.len() {
            self.tick(at);
            self.read_on(at);
        }
    }

    /// Hashes what decides what happens from now on, and what laws compare it with.
    pub fn hash_state(&self, state: &mut impl Hasher) {
        self.hosts.iter().for_each(|host| host.hash_state(state));
        (self.now, &self.wire.queue, self.server, self.split).hash(state);
        (self.tenure, self.serial, self.births, &self.gone, &self.applied).hash(state);
    }

    /// Hands a fact to the machine of a node.
    pub fn feed(&mut self, at: usize, input: Input) {
        let mut out = Vec::new();
        if let Input::Changed(flow) | Input::Dumped(flow) = &input {
            self.hosts[at].note_heard(flow);
        }
        let Some(actor) = &mut self.hosts[at].actor else { return };
        actor.handle(self.now, input, &mut out);
        self.carry_out(at, self.tenure, out);
    }

    fn tick(&mut self, at: usize) {
        let mut out = Vec::new();
        let Some(actor) = &mut self.hosts[at].actor else { return };
        if actor.deadline().is_some_and(|due| due <= self.now) {
            actor.tick(self.now, &mut out);
            self.carry_out(at, self.tenure, out);
        }
    }

    fn read_on(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        let Some(actor) = host.actor.as_ref().filter(|actor| actor.machine.wants_more()) else {
            return;
        };
        debug_assert!(actor.deadline().is_some());
        let piece = if self.wire.by_hand { 1 } else { 1 + self.dice.place(24) };
        for _ in 0..piece {
            let host = &mut self.hosts[at];
            let Some((read_at, read)) = host.dump.filter(|(read_at, _)| *read_at <= self.now)
            else {
                return;
            };
            let Some(flow) = host.after(read) else {
                host.dump = None;
                return self.feed(at, Input::DumpEnded(true));
            };
            host.dump = Some((read_at, Some(flow.key)));
            self.feed(at, Input::Dumped(flow));
        }
        if let Some((read_at, _)) = &mut self.hosts[at].dump {
            *read_at = self.now + READ_EVERY;
        }
    }

    fn carry_out(&mut self, at: usize, tenure: u64, effects: Vec<Effect>) {
        self.tally.steps += 1;
        for effect in effects {
            match effect {
                Effect::Send(body) => self.transmit(at, &body),
                Effect::Add(flow) => self.add(at, tenure, flow),
                Effect::Put(flow) => self.take_copy(at, tenure, flow),
                Effect::Replace(flow) => {
                    self.check_replaced(at, &flow);
                    self.put(at, flow);
                }
                Effect::Delete(key) => {
                    self.write(|| format!("node {at}: delete {}", host::name(&key)));
                    self.delete(at, key);
                }
                Effect::Renew(key) => self.hosts[at].set_timeout(&key, LEASE_S),
                Effect::Restore(flow) => self.hosts[at].set_timeout(&flow.key, OWN_S),
                Effect::Strict(_) | Effect::Lenient(_) => {}
                Effect::Dump => self.hosts[at].dump = Some((self.now + READ_EVERY, None)),
                Effect::Note(note) => self.write(|| format!("node {at}: {note:?}")),
            }
        }
        self.check_retold(at);
    }

    fn transmit(&mut self, from: usize, body: &[u8]) {
        let host = &mut self.hosts[from];
        host.note_sent(body_flows(body));
        // What a former server says is of the time when it served.
        let (incarnation, tenure) = (host.incarnation, host.tenure);
        for to in (0..self.hosts.len()).filter(|to| *to != from) {
            let packet = Packet { from, to, incarnation, tenure, body: body.to_vec() };
            self.tally.sent += 1;
            if !self.wire.send(self.now, &mut self.dice, packet) {
                self.tally.lost += 1;
            }
        }
    }

    fn add(&mut self, at: usize, tenure: u64, flow: Flow) {
        let key = flow.key;
        if !self.hosts[at].table.contains_key(&key) {
            self.take_copy(at, tenure, flow);
        }
        if let Some(held) = self.hosts[at].table.get(&key).cloned() {
            self.feed(at, Input::Changed(held));
        }
    }

    fn take_copy(&mut self, at: usize, tenure: u64, flow: Flow) {
        self.write(|| format!("node {at}: put {}", host::show(&flow)));
        self.check_put(at, tenure, &flow);
        self.put(at, flow);
    }

    fn put(&mut self, at: usize, flow: Flow) {
        if self.dice.chance(self.mischief.refused) {
            self.tally.faults += 1;
            self.write(|| format!("node {at}: its kernel refuses {}", host::show(&flow)));
            return self.feed(at, Input::Refused(flow.key));
        }
        self.hosts[at].table.insert(flow.key, Flow { timeout: LEASE_S, ..flow });
    }

    fn delete(&mut self, at: usize, key: FlowKey) {
        if self.hosts[at].serves && self.hosts[at].live.contains(&key) {
            let what = format!("node {at} deletes {}", host::name(&key));
            self.break_law(Law::LivesStay, what);
        }
        // An end that is told twice is still one.
        let had = self.hosts[at].table.remove(&key).is_some();
        // The flow was gone at least once since the state that this copy had.
        if had
            && let Some((_, applied)) = self.applied.get_mut(&(at, key))
            && let Some(gone) =
                self.gone.get(&key).and_then(|gone| gone.iter().find(|it| **it > *applied))
        {
            *applied = *gone;
        }
    }

    fn check_put(&mut self, at: usize, tenure: u64, flow: &Flow) {
        if self.split {
            return;
        }
        let host = &self.hosts[at];
        if let Some(own) = host.own_state(at, &flow.key).filter(|own| flow.mark < *own) {
            let what = format!("node {at} takes {} over its own {own}", flow.mark);
            return self.break_law(Law::NeverBack, what);
        }
        let new = (tenure, flow.mark);
        let known = self.applied.entry((at, flow.key)).or_insert(new);
        if new < *known {
            let what =
                format!("node {at} had {known:?} of {} and takes {new:?}", host::name(&flow.key));
            return self.break_law(Law::NeverBack, what);
        }
        *known = new;
    }

    /// What is made anew is what the table has.
    fn check_replaced(&mut self, at: usize, flow: &Flow) {
        let has = self.hosts[at].table.get(&flow.key).map_or(0, |flow| flow.mark);
        if flow.mark < has {
            let what = format!("node {at} makes {} anew over {has}", host::show(flow));
            self.break_law(Law::NeverBack, what);
        }
    }

    fn check_retold(&mut self, at: usize) {
        let host = &self.hosts[at];
        let Some(actor) = &host.actor else { return };
        let counters = actor.machine.counters;
        let most = host.most_in(counters.lost);
        if counters.retold > most {
            let what = format!("node {at} has told {} again, lost {most}", counters.retold);
            self.break_law(Law::LittleAgain, what);
        }
    }

    /// A packet opens or changes a flow; the kernel may forget to say so.
    pub fn packet(&mut self, at: usize, number: u32) {
        self.serial += 1;
        self.tally.states += 1;
        let flow = opened(number, self.serial);
        let host = &mut self.hosts[at];
        if host.live.insert(flow.key) {
            self.tally.flows += 1;
        }
        host.table.insert(flow.key, flow.clone());
        self.say(at, &flow, Input::Changed(flow.clone()));
    }

    /// Both sides close a flow.
    pub fn close(&mut self, at: usize, number: u32) {
        self.serial += 1;
        let flow = host::with_state(&opened(number, self.serial), tcp::TIME_WAIT);
        let host = &mut self.hosts[at];
        if host.live.remove(&flow.key) {
            host.note_end(&flow.key);
            host.table.insert(flow.key, flow.clone());
            self.gone.entry(flow.key).or_default().push(self.serial);
            self.say(at, &flow, Input::Changed(flow.clone()));
        }
    }

    /// The kernel forgets a flow.
    pub fn expire(&mut self, at: usize, number: u32) {
        self.serial += 1;
        let key = key_of(number);
        let host = &mut self.hosts[at];
        host.live.remove(&key);
        host.note_end(&key);
        if let Some(flow) = host.table.remove(&key) {
            self.gone.entry(key).or_default().push(self.serial);
            self.say(at, &flow, Input::Gone(key));
        }
    }

    /// A kernel whose node has let go of its addresses forgets a flow: that is not the end of it.
    pub fn forget_late(&mut self, at: usize, number: u32) {
        let key = key_of(number);
        if let Some(flow) = self.hosts[at].table.remove(&key) {
            self.say(at, &flow, Input::Gone(key));
        }
    }

    fn say(&mut self, at: usize, flow: &Flow, input: Input) {
        let silent = self.dice.chance(self.mischief.silent);
        self.write(|| {
            let what = if matches!(input, Input::Gone(_)) { "forgets" } else { "has" };
            let how = if silent { ", without an event" } else { "" };
            format!("node {at}: its kernel {what} {}{how}", host::show(flow))
        });
        if silent {
            self.tally.faults += 1;
        } else {
            let ends = !matches!(&input, Input::Changed(flow) if is_open(flow));
            if ends && at == self.server && self.hosts[at].actor.is_some() {
                self.applied.insert((at, flow.key), (self.tenure, self.serial));
            }
            self.feed(at, input);
        }
    }

    /// Somebody changes or deletes an entry of a table by hand.
    pub fn meddle(&mut self, at: usize, number: u32, delete: bool) {
        self.tally.faults += 1;
        self.write(|| format!("node {at}: flow {number} by hand, deleted: {delete}"));
        self.hosts[at].meddle(&key_of(number), delete);
    }

    /// How the copies differ from what the server has.
    pub fn difference(&self) -> Option<String> {
        let server = &self.hosts[self.server];
        let owned = server.open(None);
        for (at, host) in self.hosts.iter().enumerate() {
            let Some(actor) = host.actor.as_ref().filter(|_| at != self.server) else { continue };
            let copy = host.open(Some(actor));
            let more = copy.iter().find(|(key, mark)| owned.get(*key) != Some(*mark));
            let less = owned.iter().find(|(key, _)| !copy.contains_key(*key));
            if let Some((key, mark)) = more.or(less) {
                let (key, truth) = (host::name(key), owned.get(key));
                return Some(format!("node {at}, {key}: {mark:?}, owner {truth:?}"));
            }
        }
        None
    }

    /// How many packets machines have taken for lost.
    pub fn lost(&self) -> u64 {
        let actors = self.hosts.iter().filter_map(|host| host.actor.as_ref());
        actors.map(|actor| actor.machine.counters.lost).sum()
    }

    /// A copy that does not say that it is whole.
    pub fn not_whole(&self) -> Option<usize> {
        let server = NodeId::at(self.server);
        let whole = |host: &Host| {
            host.actor.as_ref().is_none_or(|actor| actor.machine.is_synced_with(server))
        };
        (0..self.hosts.len()).find(|at| *at != self.server && !whole(&self.hosts[*at]))
    }
}

/// How many flows a body tells; `None` where it has no number.
fn body_flows(body: &[u8]) -> Option<usize> {
    let body = Body::read(body).ok().filter(|body| body.number > 0)?;
    let values = tlv::Reader::new(body.values).map_while(Result::ok);
    Some(values.filter(|value| matches!(value.kind, FLOW | GONE)).count())
}
