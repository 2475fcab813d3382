//! Every decision of Evergate, and nothing else.
//!
//! This crate has no socket, no clock, no thread, no log and no `unsafe`. A machine here has one
//! door for facts ([`Machine::handle`]), one for time ([`Machine::tick`]), and says when it next
//! cares ([`Machine::deadline`]). Its answers are values, pushed in order into the caller's buffer.
//!
//! ```text
//!   facts ──► node::Node ──► effects          (node: the composition root)
//!              │   │   └── segment::Tester    is my own cable alive?       one per group interface
//!              │   └────── detector::Peer     is that node alive?          one per peer
//!              └────────── group::Group       who holds the addresses?     one per group
//! ```
//!
//! Connections have machines of their own, in a thread of their own: [`replicate::Replicator`] between
//! nodes of ours, [`conntrackd::Conntrackd`] towards a box that runs Debian's conntrackd.
//!
//! Which programs are run when a group changes its role is decided by [`procedure::Procedures`], beside all
//! of this: nothing waits for it.
//!
//! Four drivers run the very same machines: the daemon, the random simulator, the exhaustive
//! checker and the replay of recorded traces. So nothing in here may depend on who drives it.
#![forbid(unsafe_code)]

pub mod announce;
pub mod check;
pub mod config;
pub mod conntrackd;
pub mod detector;
pub mod effect;
pub mod fault;
pub mod flow;
pub mod group;
pub mod heartbeat;
pub mod ident;
pub mod input;
pub mod node;
pub mod procedure;
pub mod put_back;
pub mod replicate;
pub mod segment;
pub mod time;
pub mod vrrp;
pub mod wire;

pub use effect::Effect;
pub use input::Input;
pub use node::Node;
pub use time::Instant;

/// A state machine that is driven from outside: facts in, decisions out, time as an argument.
pub trait Machine {
    /// A fact about the world: an owned, comparable value.
    type Input;
    /// A decision for somebody else to carry out: likewise.
    type Effect;
    /// Takes one fact. `now` never goes back.
    fn handle(&mut self, now: Instant, input: Self::Input, out: &mut Vec<Self::Effect>);
    /// Lets time pass. A call before [`Machine::deadline`] changes nothing.
    fn tick(&mut self, now: Instant, out: &mut Vec<Self::Effect>);
    /// When the machine wants its next [`Machine::tick`]; computed from the state, never stored.
    fn deadline(&self) -> Option<Instant>;
}
