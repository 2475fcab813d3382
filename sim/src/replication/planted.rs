//! Defects planted on purpose: wrappers around the machine that change what goes in or comes out.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use evergate_core::ident::NodeId;
use evergate_core::replicate::{Effect, Input, Replicator, Settings};
use evergate_core::wire::flow as flow_bytes;
use evergate_core::wire::names::Names;
use evergate_core::wire::replica::{self, Ack, Body, Item};
use evergate_core::{Instant, Machine};

use super::Law;

/// What is wrong with every node of a world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Defect {
    /// It takes every packet for the newest.
    IgnoresNumbers,
    /// It deletes a flow when a peer says that it is gone, whoever owns it.
    DeletesOnWord,
    /// It takes every packet for acknowledged and tells nothing again.
    ForgetsLost,
    /// It compares no sums.
    IgnoresSums,
    /// It hears no acknowledgement.
    IgnoresAcks,
    /// It takes what comes of a reading, though it may know better.
    BelievesReadings,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 6] = [
        Defect::IgnoresNumbers,
        Defect::DeletesOnWord,
        Defect::ForgetsLost,
        Defect::IgnoresSums,
        Defect::IgnoresAcks,
        Defect::BelievesReadings,
    ];

    /// The law that must catch it, alone.
    pub fn law(self) -> Law {
        match self {
            Defect::IgnoresNumbers | Defect::BelievesReadings => Law::NeverBack,
            Defect::DeletesOnWord => Law::LivesStay,
            Defect::ForgetsLost | Defect::IgnoresSums => Law::CopiesEqual,
            Defect::IgnoresAcks => Law::LittleAgain,
        }
    }
}

/// The machine of the product, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The machine itself.
    pub machine: Replicator,
    names: Names,
    defect: Option<Defect>,
    /// [`Defect::IgnoresNumbers`]: the number that the newest packet was given, by sender.
    given: BTreeMap<NodeId, u64>,
}

impl Actor {
    /// A machine that knows nothing yet.
    pub fn new(settings: Settings, now: Instant, defect: Option<Defect>) -> Actor {
        let names = settings.names.clone();
        Actor { machine: Replicator::new(settings, now), names, defect, given: BTreeMap::new() }
    }

    /// Hashes what decides what it does from now on.
    pub fn hash_state(&self, state: &mut impl Hasher) {
        self.machine.hash(state);
        self.given.hash(state);
    }

    /// Changes a packet that has come, and says what is done on its word.
    fn spoil(&mut self, defect: Defect, from: NodeId, bytes: &mut Vec<u8>) -> Vec<Effect> {
        let is_bulk = replica::is_bulk(bytes);
        let Ok(body) = Body::read(bytes) else { return Vec::new() };
        let (mut number, mut oldest) = (body.number, body.oldest);
        if defect == Defect::IgnoresNumbers && number > 0 {
            let given = self.given.entry(from).or_default();
            *given += 1;
            (number, oldest) = (*given, *given);
        }
        let mut done = Vec::new();
        let mut spoiled = Vec::new();
        replica::begin(number, oldest, &mut spoiled);
        for item in body.items(&self.names).map_while(Result::ok) {
            let kept = match (defect, item) {
                (Defect::IgnoresSums, Item::Sums(_)) | (Defect::IgnoresAcks, Item::Ack(_)) => None,
                (Defect::ForgetsLost, Item::Ack(ack)) => {
                    Some(Item::Ack(Ack { base: u64::MAX, bits: Vec::new(), ..ack }))
                }
                (Defect::DeletesOnWord, Item::Gone(bytes)) => {
                    done.extend(flow_bytes::decode_key(bytes).map(Effect::Delete));
                    Some(Item::Gone(bytes))
                }
                (Defect::BelievesReadings, Item::Flow(bytes)) if is_bulk => {
                    done.extend(flow_bytes::decode(bytes).map(Effect::Put));
                    Some(Item::Flow(bytes))
                }
                (_, item) => Some(item),
            };
            kept.iter().for_each(|item| replica::write(item, &self.names, &mut spoiled));
        }
        *bytes = spoiled;
        done
    }
}

impl Machine for Actor {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Instant, mut input: Input, out: &mut Vec<Effect>) {
        let mut done = Vec::new();
        if let (Some(defect), Input::Packet { from, body, .. }) = (self.defect, &mut input) {
            done = self.spoil(defect, *from, body);
        }
        self.machine.handle(now, input, out);
        out.extend(done);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.machine.tick(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }
}
