//! Whose word counts: the incarnations of a peer's process, and the numbers of its packets.
//!
//! Each process draws a random incarnation when it starts. A peer's incarnation counts only after it
//! has repeated *our* incarnation together with our challenge, which is the number of its
//! incarnations that we have accepted. Nobody can have recorded that before we started, and nobody
//! can have recorded it from a process that a later one has superseded. So nothing is drawn at
//! random here, and nothing has to be remembered of the past.

use serde::{Deserialize, Serialize};

use crate::effect::Discard;
use crate::heartbeat::{Echo, PeerReport};
use crate::ident::Incarnation;

/// How many numbers behind the newest one are still told apart from repetitions.
pub const REPLAY_WINDOW: u32 = 64;

/// The processes of one peer, as we know them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Session {
    current: Option<Current>,
    /// Heard, sealed well, but without proof that it is not a recording. What we echo next.
    candidate: Option<Echo>,
    /// How many incarnations have been accepted: our challenge.
    accepted: u32,
    /// Those that later ones have superseded, newest last. The challenge keeps recordings of them
    /// out; this keeps out a former process that still lives and could answer.
    superseded: Vec<Incarnation>,
}

/// How many superseded incarnations are remembered.
pub const SUPERSEDED_MAX: usize = 8;

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Current {
    incarnation: Incarnation,
    ended: bool,
    newest: u64,
    /// Bit `n`: the number `newest - n` was seen.
    seen: u64,
    /// What the peer wants repeated.
    challenge: u32,
}

/// A packet that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// It is the first of a process that was not known before.
    pub new_process: bool,
    /// Nothing newer was heard: what it says is the present state. An older one, overtaken on the
    /// way, still proves that its path works.
    pub newest: bool,
}

impl Session {
    /// Judges a packet from `incarnation` with number `sequence`; `report` is what it says about us.
    pub fn receive(
        &mut self,
        ours: Incarnation,
        incarnation: Incarnation,
        sequence: u64,
        report: Option<&PeerReport>,
    ) -> Result<Accepted, Discard> {
        if let Some(current) = self.current.as_mut().filter(|c| c.incarnation == incarnation) {
            if current.ended {
                return Err(Discard::Ended);
            }
            let newest = sequence > current.newest;
            current.take_number(sequence)?;
            if let Some(report) = report.filter(|_| newest) {
                current.challenge = report.challenge;
            }
            return Ok(Accepted { new_process: false, newest });
        }
        if self.superseded.contains(&incarnation) {
            return Err(Discard::Superseded);
        }
        let Some(report) = report else { return Err(Discard::Unproved) };
        let proof = Echo { incarnation: ours, answer: self.accepted };
        if report.echo != Some(proof) {
            self.candidate = Some(Echo { incarnation, answer: report.challenge });
            return Err(Discard::Unproved);
        }
        self.accepted = self.accepted.wrapping_add(1);
        self.candidate = None;
        let challenge = report.challenge;
        // Lower numbers never count: they were sent before this process had proved itself.
        let seen = u64::MAX;
        let current = Current { incarnation, ended: false, newest: sequence, seen, challenge };
        if let Some(former) = self.current.replace(current) {
            if self.superseded.len() == SUPERSEDED_MAX {
                self.superseded.remove(0);
            }
            self.superseded.push(former.incarnation);
        }
        Ok(Accepted { new_process: true, newest: true })
    }

    /// Reads the last will of an incarnation. True if it was the one that counts.
    pub fn end(&mut self, incarnation: Incarnation) -> bool {
        match self.current.as_mut().filter(|c| c.incarnation == incarnation && !c.ended) {
            Some(current) => {
                current.ended = true;
                true
            }
            None => false,
        }
    }

    /// What to tell the peer: our challenge, and the echo of its newest process.
    pub fn words(&self) -> (u32, Option<Echo>) {
        let current = self.current.as_ref().filter(|current| !current.ended);
        let known = current.map(|c| Echo { incarnation: c.incarnation, answer: c.challenge });
        (self.accepted, self.candidate.or(known))
    }

    /// Lets go of a candidate once it was echoed, so that a replayed recording cannot keep the
    /// process that counts from being echoed.
    pub fn echoed(&mut self) {
        if self.current.as_ref().is_some_and(|current| !current.ended) {
            self.candidate = None;
        }
    }

    /// The incarnation that counts now.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.current.as_ref().filter(|c| !c.ended).map(|c| c.incarnation)
    }
}

impl Current {
    fn take_number(&mut self, sequence: u64) -> Result<(), Discard> {
        if sequence > self.newest {
            let ahead = sequence - self.newest;
            self.seen = if ahead < u64::from(REPLAY_WINDOW) { self.seen << ahead | 1 } else { 1 };
            self.newest = sequence;
            return Ok(());
        }
        let behind = self.newest - sequence;
        if behind >= u64::from(REPLAY_WINDOW) || self.seen >> behind & 1 == 1 {
            return Err(Discard::Replayed);
        }
        self.seen |= 1 << behind;
        Ok(())
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
