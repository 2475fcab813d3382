//! Worlds for the machine that replicates connections ([`evergate_core::replicate`]): nodes with fake
//! kernel tables, a wire that loses, doubles, delays and cuts, and laws about every copy.
//!
//! A state of a flow has its serial in its mark, so that everybody can see which one is older.

pub mod exhaustive;
pub mod planted;
pub mod report;
pub mod walk;
mod wire;
pub mod world;

use std::fmt;
use std::time::Duration;

/// What must hold in every world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Law {
    /// At rest the copies are what the owner has, and say so. What a lossy wire alone has lost is
    /// told again before any comparison of tables.
    CopiesEqual,
    /// A copy never goes back: to an older state, to the word of a former owner, to before an end.
    /// And who serves takes nothing older over what its own kernel has told.
    NeverBack,
    /// The machine deletes no flow whose packets pass this node.
    LivesStay,
    /// No more is told again than was lost, and nothing while nothing is lost.
    LittleAgain,
}

impl Law {
    /// All of them.
    pub const ALL: [Law; 4] = [Law::CopiesEqual, Law::NeverBack, Law::LivesStay, Law::LittleAgain];
}

/// How a law was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The law.
    pub law: Law,
    /// When, since the world began.
    pub at: Duration,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} after {:.3} s: {}", self.law, self.at.as_secs_f64(), self.what)
    }
}

/// What has happened in worlds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Facts and deadlines that machines have worked on.
    pub steps: u64,
    /// States of flows that packets have made.
    pub states: u64,
    /// Flows that were opened.
    pub flows: u64,
    /// Packets that were sent, once for each receiver.
    pub sent: u64,
    /// Of these, how many did not arrive.
    pub lost: u64,
    /// Faults other than packets lost, doubled or late.
    pub faults: u64,
    /// How often another node began to serve.
    pub takeovers: u64,
    /// How often all copies were compared with their owner at rest.
    pub rests: u64,
}

impl Tally {
    /// Adds what has happened in another world.
    pub fn add(&mut self, other: Tally) {
        self.steps += other.steps;
        self.states += other.states;
        self.flows += other.flows;
        self.sent += other.sent;
        self.lost += other.lost;
        self.faults += other.faults;
        self.takeovers += other.takeovers;
        self.rests += other.rests;
    }
}
