//! How long a standby waits (RFC 3768 §6.1, RFC 9568 §6.1).

use std::time::Duration;

use crate::config::Version;
use crate::ident::Priority;

/// How many adverts must be missing before the active router is down, unless told otherwise.
pub const ADVERTS_MISSED: u32 = 3;

/// The skew time: the higher the priority, the shorter. Version 2 counts it in parts of a second
/// (RFC 3768 §6.1), version 3 in parts of the active router's interval (RFC 9568 §6.1).
pub fn skew(version: Version, priority: Priority, interval: Duration) -> Duration {
    let parts = 256 - u32::from(priority.get());
    match version {
        Version::V2 => Duration::from_secs(1) * parts / 256,
        Version::V3 => interval * parts / 256,
    }
}

/// The master (active router) down interval: `missed` adverts, and the skew.
pub fn master_down(
    version: Version,
    priority: Priority,
    interval: Duration,
    missed: u32,
) -> Duration {
    interval * missed + skew(version, priority, interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(number: u8) -> Priority {
        Priority::new(number).expect("not zero")
    }

    #[test]
    fn version_2_waits_3_61_seconds_at_priority_100_and_one_second_adverts() {
        let wait = master_down(Version::V2, priority(100), Duration::from_secs(1), ADVERTS_MISSED);
        assert_eq!(wait, Duration::from_nanos(3_609_375_000));
    }

    #[test]
    fn the_skew_of_version_3_shrinks_with_the_interval_and_that_of_version_2_does_not() {
        let interval = Duration::from_millis(100);
        assert_eq!(skew(Version::V3, priority(100), interval), Duration::from_nanos(60_937_500));
        assert_eq!(skew(Version::V2, priority(100), interval), Duration::from_nanos(609_375_000));
    }

    #[test]
    fn no_priority_has_no_skew() {
        for number in 1..=255 {
            assert!(
                skew(Version::V3, priority(number), Duration::from_millis(10)) > Duration::ZERO
            );
        }
    }

    #[test]
    fn a_router_waits_for_three_intervals_and_its_skew() {
        // In nanoseconds, by hand: 3 × interval + (256 − priority) / 256 × interval or × 1 s.
        let cases = [
            (Version::V3, 1, 1_000, 3_996_093_750),
            (Version::V3, 200, 1_000, 3_218_750_000),
            (Version::V3, 255, 1_000, 3_003_906_250),
            (Version::V3, 100, 10, 36_093_750),
            (Version::V3, 100, 40_950, 147_803_906_250),
            (Version::V2, 1, 1_000, 3_996_093_750),
            (Version::V2, 200, 1_000, 3_218_750_000),
            (Version::V2, 255, 1_000, 3_003_906_250),
            (Version::V2, 100, 255_000, 765_609_375_000),
        ];
        for (version, number, interval_ms, wait) in cases {
            let interval = Duration::from_millis(interval_ms);
            let down = master_down(version, priority(number), interval, ADVERTS_MISSED);
            assert_eq!(down, Duration::from_nanos(wait), "{version:?} {number} {interval_ms}");
        }
    }

    #[test]
    fn another_number_of_adverts_changes_the_intervals_and_not_the_skew() {
        let second = Duration::from_secs(1);
        for (missed, wait) in [(1, 1_609_375_000), (2, 2_609_375_000), (100, 100_609_375_000)] {
            for version in [Version::V2, Version::V3] {
                let down = master_down(version, priority(100), second, missed);
                assert_eq!(down, Duration::from_nanos(wait), "{version:?} {missed}");
            }
        }
    }

    #[test]
    fn who_has_a_higher_priority_waits_for_less_time() {
        for version in [Version::V2, Version::V3] {
            let waits = (1..=255).map(|p| skew(version, priority(p), Duration::from_millis(10)));
            assert!(waits.is_sorted_by(|lower, higher| lower > higher), "{version:?}");
        }
    }
}
