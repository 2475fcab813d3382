//! Is my own cable alive? The test of one segment that clients share, without any word of a peer.
//!
//! While a peer is silent there, the neighbours that are known to answer are asked. Who hears nobody
//! while its peer hears somebody there has the broken cable; if both hear, or neither does, the
//! cause lies elsewhere and nothing moves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::heartbeat::Hearing;
use crate::ident::InterfaceId;
use crate::time::Instant;

/// How often the neighbours are asked while a test runs.
pub const ASK_EVERY: Duration = Duration::from_millis(100);
/// How long nobody must have answered before a segment is silent, where a neighbour is known.
pub const SILENT_AFTER: Duration = Duration::from_millis(300);
/// The same where no neighbour is known and only passing frames count.
pub const QUIET_AFTER: Duration = Duration::from_secs(1);

/// The test of one interface.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Tester {
    /// The interface.
    pub interface: InterfaceId,
    /// Whether the driver knows a neighbour there that has answered before.
    pub neighbours: bool,
    running: Option<Running>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Running {
    since: Instant,
    ask_at: Instant,
    answered_at: Option<Instant>,
    heard_at: Option<Instant>,
}

impl Tester {
    /// A test that does not run.
    pub fn new(interface: InterfaceId) -> Self {
        Tester { interface, neighbours: false, running: None }
    }

    /// Starts the test, or stops it and forgets what it found.
    pub fn want(&mut self, now: Instant, wanted: bool) {
        match (wanted, &self.running) {
            (true, None) => {
                let fresh = Running { since: now, ask_at: now, answered_at: None, heard_at: None };
                self.running = Some(fresh);
            }
            (false, Some(_)) => self.running = None,
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Somebody was heard.
    pub fn heard(&mut self, now: Instant, answered: bool) {
        if let Some(running) = &mut self.running {
            running.heard_at = Some(now);
            if answered {
                running.answered_at = Some(now);
            }
        }
    }

    /// Whether it is time to ask the neighbours again; notes that it was done.
    pub fn ask(&mut self, now: Instant) -> bool {
        match &mut self.running {
            Some(running) if running.ask_at <= now => {
                running.ask_at = now + ASK_EVERY;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The verdict. Only an answer to our own question proves that both directions work, and only
    /// proof accuses a peer. Where no neighbour is known there is nobody to ask: frames that pass
    /// then save us from being accused, and no more.
    pub fn verdict(&self, now: Instant) -> Hearing {
        let Some(running) = &self.running else { return Hearing::Unknown };
        let within = |at: Option<Instant>, span| at.is_some_and(|at| now.since(at) < span);
        let patience = if self.neighbours { SILENT_AFTER } else { QUIET_AFTER };
        if within(running.answered_at, patience) {
            Hearing::Somebody
        } else if now.since(running.since) < patience
            || !self.neighbours && within(running.heard_at, patience)
        {
            Hearing::Unknown
        } else {
            Hearing::Nobody
        }
    }

    /// When it next wants to ask.
    pub fn deadline(&self) -> Option<Instant> {
        self.running.as_ref().map(|running| running.ask_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn running(neighbours: bool) -> Tester {
        let mut tester = Tester::new(InterfaceId(0));
        tester.neighbours = neighbours;
        tester.want(Instant::ZERO, true);
        tester
    }

    #[test]
    fn nobody_is_the_verdict_only_after_the_whole_patience() {
        let tester = running(true);
        assert_eq!(tester.verdict(Instant::ZERO + SILENT_AFTER - MS), Hearing::Unknown);
        assert_eq!(tester.verdict(Instant::ZERO + SILENT_AFTER), Hearing::Nobody);
    }

    #[test]
    fn where_a_neighbour_is_known_a_passing_frame_proves_nothing() {
        let mut tester = running(true);
        tester.heard(Instant::ZERO + 250 * MS, false);
        assert_eq!(tester.verdict(Instant::ZERO + SILENT_AFTER), Hearing::Nobody);
        tester.heard(Instant::ZERO + SILENT_AFTER, true);
        assert_eq!(tester.verdict(Instant::ZERO + SILENT_AFTER), Hearing::Somebody);
    }

    #[test]
    fn where_no_neighbour_is_known_a_passing_frame_saves_from_accusation_and_accuses_nobody() {
        let mut tester = running(false);
        assert_eq!(tester.verdict(Instant::ZERO + QUIET_AFTER), Hearing::Nobody);
        tester.heard(Instant::ZERO + QUIET_AFTER, false);
        assert_eq!(tester.verdict(Instant::ZERO + QUIET_AFTER), Hearing::Unknown);
    }

    #[test]
    fn the_neighbours_are_asked_at_once_and_then_at_intervals() {
        let mut tester = running(true);
        assert!(tester.ask(Instant::ZERO));
        assert!(!tester.ask(Instant::ZERO + ASK_EVERY - MS));
        assert!(tester.ask(Instant::ZERO + ASK_EVERY));
        tester.want(Instant::ZERO, false);
        assert!(!tester.ask(Instant::ZERO + ASK_EVERY * 9));
    }
}
