//! Is the core silent, or were we not there to hear it?
//!
//! A beat that is older than the limit proves nothing by itself: a paused machine pauses the
//! guardian too, and the first thing it sees afterwards is an old beat. So the guardian looks
//! several times within the limit and adds up only the time during which it was awake itself.
//!
//! ```text
//! beat ──look──look──look──▶ limit: silent      on time: every look counts
//! beat ──look══════ pause ══════look──▶ ?        a pause counts for nothing; look on
//! ```

use crate::sys::clock::NS_PER_S;

const NS_PER_MS: u64 = 1_000_000;

/// What is added to the dead time of the peers: the core may beat just after a look.
pub const MARGIN_NS: u64 = 3 * NS_PER_MS;
/// The limit while nobody could take over.
pub const ALONE_NS: u64 = 2 * NS_PER_S;
/// Dead times are taken to be at least this.
pub const DEAD_NS_MIN: u64 = 3 * NS_PER_MS;
/// Dead times are taken to be at most this (design: one second is the last step).
pub const DEAD_NS_MAX: u64 = NS_PER_S;
/// A core that was just started may take this long until its first beat.
pub const START_NS_MAX: u64 = 10 * NS_PER_S;
/// A look that comes later than this after its time was a late one.
const LATE_NS: u64 = 2 * NS_PER_MS;
/// Looks within one limit.
const LOOKS: u64 = 3;
/// Time between looks at most: the limit may change at any time.
const LOOK_NS_MAX: u64 = 100 * NS_PER_MS;

/// What a look has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// No reason to act.
    Alive,
    /// The core had its time and said nothing.
    Silent,
}

/// The memory of what was seen of one core.
#[derive(Clone, Debug)]
pub struct Judge {
    started_at: u64,
    beat: u64,
    looked_at: u64,
    witnessed: u64,
}

/// How long a core may be silent, in nanoseconds.
pub fn limit_ns(peers_alive: bool, dead_ns: u64) -> u64 {
    if peers_alive { dead_ns.clamp(DEAD_NS_MIN, DEAD_NS_MAX) + MARGIN_NS } else { ALONE_NS }
}

impl Judge {
    /// Nothing seen yet of a core that was started, or adopted, at `now`.
    pub fn new(now: u64) -> Self {
        Judge { started_at: now, beat: 0, looked_at: now, witnessed: 0 }
    }

    /// Takes a look: `beat` is the core's last one, 0 if it has given none.
    pub fn look(&mut self, now: u64, beat: u64, limit: u64) -> Verdict {
        let limit = if beat == 0 { START_NS_MAX } else { limit };
        let gap = now.saturating_sub(self.looked_at);
        self.looked_at = now;
        if beat != self.beat {
            self.beat = beat;
            self.witnessed = 0;
            return Verdict::Alive;
        }
        let period = period(limit);
        self.witnessed = if gap <= period + LATE_NS {
            self.witnessed + gap
        } else if gap <= limit {
            // Late, as on a busy machine, where the core is late as well: this counts for half a
            // look, so that a dead core is found all the same.
            self.witnessed + period / 2
        } else {
            0
        };
        let silent = now.saturating_sub(self.since()) >= limit;
        let enough = self.witnessed + period + period / 2 >= limit;
        if silent && enough { Verdict::Silent } else { Verdict::Alive }
    }

    /// When to look again.
    pub fn next_look(&self, limit: u64) -> u64 {
        let limit = if self.beat == 0 { START_NS_MAX } else { limit };
        let verdict_at = (self.since() + limit).max(self.looked_at + NS_PER_MS);
        verdict_at.min(self.looked_at + period(limit))
    }

    /// Since when there was nothing to hear.
    fn since(&self) -> u64 {
        if self.beat == 0 { self.started_at } else { self.beat }
    }
}

/// Time between two looks.
fn period(limit: u64) -> u64 {
    (limit / LOOKS).clamp(NS_PER_MS, LOOK_NS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = NS_PER_MS;

    /// Looks on time from `from` on while the beat stays the same; when silence is found.
    fn silent_at(judge: &mut Judge, from: u64, beat: u64, limit: u64) -> u64 {
        let mut now = from;
        for _ in 0..10_000 {
            if judge.look(now, beat, limit) == Verdict::Silent {
                return now;
            }
            now = judge.next_look(limit);
        }
        panic!("silence was never found");
    }

    #[test]
    fn a_silent_core_is_found_exactly_at_the_limit() {
        for dead in [6 * MS, 30 * MS, 250 * MS, 1000 * MS] {
            let limit = limit_ns(true, dead);
            for phase in [0, period(limit) / 7, period(limit) / 2, period(limit)] {
                let mut judge = Judge::new(1000 * MS);
                judge.look(1000 * MS, 999 * MS, limit);
                let beat = 1100 * MS;
                let found = silent_at(&mut judge, beat + phase, beat, limit);
                assert!(found >= beat + limit, "too early");
                assert!(found <= beat + limit + 2 * MS, "dead {dead} phase {phase}: late");
            }
        }
    }

    #[test]
    fn a_core_that_beats_is_never_silent() {
        let (mut judge, limit) = (Judge::new(0), limit_ns(true, 30 * MS));
        for now in 1..10_000 {
            let beat = (now / 10 * 10) * MS + 1;
            assert_eq!(judge.look(now * MS, beat, limit), Verdict::Alive);
        }
    }

    #[test]
    fn after_our_own_pause_the_core_gets_its_time() {
        let limit = limit_ns(true, 30 * MS);
        for pause_from in 0..40 {
            let mut judge = Judge::new(0);
            let (beat, mut now) = (1000 * MS, 1000 * MS);
            judge.look(now, beat, limit);
            while judge.next_look(limit) < beat + pause_from * MS && now < beat + limit {
                now = judge.next_look(limit);
                judge.look(now, beat, limit);
            }
            // Ten seconds' pause of everybody. The core needs ten milliseconds for its next beat.
            let awake = now + 10_000 * MS;
            if now >= beat + limit {
                continue;
            }
            let mut at = awake;
            while at < awake + 10 * MS {
                assert_eq!(judge.look(at, beat, limit), Verdict::Alive, "paused at {pause_from}");
                at = judge.next_look(limit);
            }
            assert_eq!(judge.look(awake + 11 * MS, awake + 10 * MS, limit), Verdict::Alive);
        }
    }

    #[test]
    fn a_dead_core_is_found_after_a_pause_and_on_a_busy_machine() {
        let limit = limit_ns(true, 30 * MS);
        let mut judge = Judge::new(0);
        judge.look(0, 1, limit);
        let found = silent_at(&mut judge, 10_000 * MS, 1, limit);
        assert!(found <= 10_000 * MS + limit, "one more limit at most");
        // Every look is 10 ms late.
        let (mut judge, mut now, mut looks) = (Judge::new(0), 0, 0);
        while judge.look(now, 1, limit) == Verdict::Alive {
            now = judge.next_look(limit) + 10 * MS;
            looks += 1;
            assert!(looks < 10);
        }
        assert!(now <= 5 * limit);
    }

    #[test]
    fn alone_the_core_has_two_seconds_and_at_its_start_ten() {
        assert_eq!(limit_ns(false, 30 * MS), ALONE_NS);
        assert_eq!(limit_ns(true, 0), DEAD_NS_MIN + MARGIN_NS);
        assert_eq!(limit_ns(true, u64::MAX), DEAD_NS_MAX + MARGIN_NS);
        let mut judge = Judge::new(5 * MS);
        let found = silent_at(&mut judge, 5 * MS, 0, limit_ns(true, 30 * MS));
        assert_eq!(found, 5 * MS + START_NS_MAX);
    }
}
