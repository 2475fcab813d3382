//! How long to wait before silence is death: three heartbeats on quiet machines, more where either
//! side has been late.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::HEARTBEAT_MIN;
use crate::time::{Instant, nanos};

/// How many heartbeats must be missing on a quiet machine.
pub const HEARTBEATS_MISSED: u32 = 3;
/// The dead time is never shorter than this, whatever anybody says.
pub const DEAD_MIN: Duration = HEARTBEAT_MIN.saturating_mul(HEARTBEATS_MISSED);
/// The dead time never rises above this.
pub const DEAD_MAX: Duration = Duration::from_secs(1);
/// How long a late wake-up is remembered; at most twice as long.
pub const LATENESS_WINDOW: Duration = Duration::from_secs(30);

/// The dead time for a heartbeat interval and the worst lateness that either side has seen: the
/// first of the steps 1, 2, 4, 8 ... times three heartbeats that leaves room for three such
/// latenesses. Steps, so that it does not follow every twitch; at most [`DEAD_MAX`].
pub fn dead_time(interval: Duration, lateness: Duration) -> Duration {
    // In nanoseconds: this is asked for each fact and each peer, and sums of `Duration` divide.
    let missed = |span: Duration| nanos(span).saturating_mul(u64::from(HEARTBEATS_MISSED));
    let (base, wanted, max) =
        (missed(interval).max(nanos(DEAD_MIN)), missed(lateness), nanos(DEAD_MAX));
    let mut step = base;
    while step < wanted && step < max {
        step *= 2;
    }
    Duration::from_nanos(step.min(max.max(base)))
}

/// The worst lateness of the last one to two [`LATENESS_WINDOW`]s.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Lateness {
    began: Instant,
    current: Duration,
    former: Duration,
}

impl Lateness {
    /// Nothing seen yet.
    pub fn new(now: Instant) -> Self {
        Lateness { began: now, current: Duration::ZERO, former: Duration::ZERO }
    }

    /// Takes one observation.
    pub fn observe(&mut self, now: Instant, late: Duration) {
        let age = now.since(self.began);
        if age >= LATENESS_WINDOW {
            self.former = if age < 2 * LATENESS_WINDOW { self.current } else { Duration::ZERO };
            self.current = Duration::ZERO;
            self.began = now;
        }
        self.current = self.current.max(late);
    }

    /// The worst that is remembered.
    pub fn worst(&self) -> Duration {
        self.current.max(self.former)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_quiet_machine_waits_for_three_heartbeats() {
        assert_eq!(dead_time(10 * MS, Duration::ZERO), 30 * MS);
        assert_eq!(dead_time(10 * MS, 10 * MS), 30 * MS);
        assert_eq!(dead_time(2 * MS, MS), 6 * MS);
    }

    #[test]
    fn lateness_raises_the_dead_time_in_steps_up_to_one_second() {
        assert_eq!(dead_time(10 * MS, 11 * MS), 60 * MS);
        assert_eq!(dead_time(10 * MS, 40 * MS), 120 * MS);
        assert_eq!(dead_time(10 * MS, 5000 * MS), DEAD_MAX);
    }

    #[test]
    fn a_slow_heartbeat_is_never_cut_short_by_the_upper_bound() {
        assert_eq!(dead_time(1000 * MS, Duration::ZERO), 3000 * MS);
    }

    #[test]
    fn there_is_a_dead_time_for_whatever_a_peer_says() {
        assert_eq!(dead_time(Duration::ZERO, Duration::ZERO), DEAD_MIN);
        assert_eq!(dead_time(Duration::ZERO, MS), DEAD_MIN);
        assert_eq!(dead_time(Duration::ZERO, Duration::MAX), DEAD_MAX);
        // As long as a clock of nanoseconds can tell.
        let longest = Duration::from_nanos(u64::MAX);
        assert_eq!(dead_time(Duration::MAX, Duration::MAX), longest);
    }

    #[test]
    fn lateness_is_forgotten_after_two_windows_and_not_before_one() {
        let start = Instant::from_nanos(1);
        let mut lateness = Lateness::new(start);
        lateness.observe(start, 7 * MS);
        lateness.observe(start + LATENESS_WINDOW, MS);
        assert_eq!(lateness.worst(), 7 * MS);
        lateness.observe(start + LATENESS_WINDOW * 2, Duration::ZERO);
        assert_eq!(lateness.worst(), MS);
        lateness.observe(start + LATENESS_WINDOW * 4, Duration::ZERO);
        assert_eq!(lateness.worst(), Duration::ZERO);
    }
}
