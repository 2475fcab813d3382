//! The wire between the nodes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use evergate_core::Instant;
use evergate_core::ident::Incarnation;

use crate::dice::Dice;

/// How long a packet takes at least.
const LATENCY: Duration = Duration::from_micros(200);

/// How bad the wire is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Lost of a hundred packets.
    pub loss: u64,
    /// Doubled of a hundred packets.
    pub twice: u64,
    /// How much later than others a packet may come, in microseconds.
    pub late_us: u64,
    /// How long a receiver is busy with a packet that comes of a reading at most, in microseconds.
    pub busy_us: u64,
}

/// A packet under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Packet {
    /// Who has sent it.
    pub from: usize,
    /// Who will hear it.
    pub to: usize,
    /// Of which process it is.
    pub incarnation: Incarnation,
    /// In which time of service its sender served last.
    pub tenure: u64,
    /// Its body.
    pub body: Vec<u8>,
}

/// All packets under way.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    /// How bad it is now.
    pub weather: Weather,
    /// Directions that are cut.
    pub cut: Vec<(usize, usize)>,
    /// Packets wait in [`Wire::queue`] until somebody takes them.
    pub by_hand: bool,
    /// Packets that wait to be taken.
    pub queue: VecDeque<Packet>,
    under_way: BTreeMap<(Instant, u64), Packet>,
    count: u64,
}

impl Wire {
    /// Takes a packet; `false` if it is lost.
    pub fn send(&mut self, now: Instant, dice: &mut Dice, packet: Packet) -> bool {
        if self.cut.contains(&(packet.from, packet.to)) || dice.chance(self.weather.loss) {
            return false;
        }
        if self.by_hand {
            self.queue.push_back(packet);
            return true;
        }
        if dice.chance(self.weather.twice) {
            self.add(now, dice, packet.clone());
        }
        self.add(now, dice, packet);
        true
    }

    fn add(&mut self, now: Instant, dice: &mut Dice, packet: Packet) {
        let late = Duration::from_micros(dice.below(self.weather.late_us + 1));
        self.count += 1;
        self.under_way.insert((now + LATENCY + late, self.count), packet);
    }

    /// When the next packet arrives.
    pub fn deadline(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// A packet that has arrived.
    pub fn arrived(&mut self, now: Instant) -> Option<Packet> {
        let first = self.under_way.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}
