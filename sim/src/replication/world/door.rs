//! What has come to a node and is not taken yet: the inbox of the product, taken from as the daemon does.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use evergate_core::ident::NodeId;
use evergate_core::replicate::Input;
use evergate_core::replicate::inbox::{BULK_PER_TURN, CHANGES_PER_TURN, Inbox};
use evergate_core::wire::replica;
use evergate_core::{Instant, Machine};

use super::World;
use crate::replication::wire::{Packet, Weather};

/// How long a turn takes.
const TURN: Duration = Duration::from_micros(100);

/// Packets that wait to be taken.
#[derive(Clone, Debug, Default)]
pub(in crate::replication) struct Door {
    inbox: Inbox,
    /// In which time of service the sender of each packet served last: of changes, and of bulk.
    tenures: [VecDeque<u64>; 2],
    /// Until then packets of readings wait.
    busy_until: Option<Instant>,
}

impl Door {
    /// Takes in a packet; `false` if there is no room.
    fn put(&mut self, packet: Packet) -> bool {
        let bulk = replica::is_bulk(&packet.body);
        let room = self.inbox.put(NodeId::at(packet.from), packet.incarnation, packet.body);
        if room {
            self.tenures[usize::from(bulk)].push_back(packet.tenure);
        }
        room
    }

    /// The next packet with changes, and when its sender served last.
    fn next_change(&mut self) -> Option<(Input, u64)> {
        self.inbox.next_change().zip(self.tenures[0].pop_front())
    }

    /// The next packet from a reading, likewise.
    fn next_bulk(&mut self) -> Option<(Input, u64)> {
        self.inbox.next_bulk().zip(self.tenures[1].pop_front())
    }

    /// What is taken in one turn. Who is `busy` takes one packet of a reading, and the next one so much later.
    fn turn(&mut self, now: Instant, busy: Option<Duration>) -> Vec<(Input, u64)> {
        let mut taken: Vec<_> =
            std::iter::from_fn(|| self.next_change()).take(CHANGES_PER_TURN).collect();
        if self.busy_until.is_none_or(|until| until <= now) {
            let most = if busy.is_some() { 1 } else { BULK_PER_TURN };
            let before = taken.len();
            taken.extend(std::iter::from_fn(|| self.next_bulk()).take(most));
            self.busy_until = busy.filter(|_| taken.len() > before).map(|busy| now + busy);
        }
        taken
    }

    /// Nothing is slow any more.
    fn hurry(&mut self) {
        self.busy_until = None;
    }

    /// When something is to be taken.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let [changes, bulk] = &self.tenures;
        if changes.is_empty() && bulk.is_empty() {
            return None;
        }
        let busy_until = self.busy_until.filter(|_| changes.is_empty());
        Some(busy_until.map_or(now, |until| until.max(now)) + TURN)
    }

    /// Whether packets of readings wait.
    pub fn has_bulk(&self) -> bool {
        !self.tenures[1].is_empty()
    }

    /// Hashes what waits.
    pub fn hash_state(&self, state: &mut impl Hasher) {
        (&self.inbox, &self.tenures).hash(state);
    }
}

impl World {
    /// Changes the weather. In good weather nobody is busy.
    pub fn set_weather(&mut self, weather: Weather) {
        self.write(|| format!("{weather:?}"));
        self.wire.weather = weather;
        if weather.busy_us == 0 {
            self.hosts.iter_mut().for_each(|host| host.door.hurry());
        }
    }

    /// A packet has come to a node and waits to be taken.
    pub fn arrive(&mut self, packet: Packet) {
        let host = &mut self.hosts[packet.to];
        if host.actor.is_some() && !host.door.put(packet) {
            self.tally.lost += 1;
        }
    }

    /// The same, and it is taken unless packets of readings wait and it is one.
    pub fn deliver(&mut self, packet: Packet) {
        let at = packet.to;
        let waits = self.hosts[at].door.has_bulk();
        self.arrive(packet);
        while let Some(change) = self.hosts[at].door.next_change() {
            self.take(at, change);
        }
        if !waits {
            self.take_bulk(at);
        }
    }

    /// A node takes the next packet that comes of a reading.
    pub fn take_bulk(&mut self, at: usize) {
        if let Some(packet) = self.hosts[at].door.next_bulk() {
            self.take(at, packet);
        }
    }

    /// All that has come to a node is taken: nothing may wait when it takes an address.
    pub fn take_all(&mut self, at: usize) {
        let door = &mut self.hosts[at].door;
        let changes: Vec<_> = std::iter::from_fn(|| door.next_change()).collect();
        let bulk: Vec<_> = std::iter::from_fn(|| door.next_bulk()).collect();
        changes.into_iter().chain(bulk).for_each(|packet| self.take(at, packet));
    }

    /// A node takes what has its turn.
    pub(super) fn take_turn(&mut self, at: usize) {
        let most = self.wire.weather.busy_us;
        let door = &mut self.hosts[at].door;
        let busy =
            (most > 0 && door.has_bulk()).then(|| Duration::from_micros(self.dice.below(most + 1)));
        let taken = door.turn(self.now, busy);
        taken.into_iter().for_each(|packet| self.take(at, packet));
    }

    fn take(&mut self, at: usize, (input, tenure): (Input, u64)) {
        let mut out = Vec::new();
        let Some(actor) = &mut self.hosts[at].actor else { return };
        actor.handle(self.now, input, &mut out);
        self.carry_out(at, tenure, out);
    }
}
