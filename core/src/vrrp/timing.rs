//! How long a standby waits (RFC 3768 §6.1, RFC 9568 §6.1).

use std::time::Duration;

use crate::config::Version;
use crate::ident::Priority;

/// How many adverts must be missing before the active router is down.
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

/// The master (active router) down interval.
pub fn master_down(version: Version, priority: Priority, interval: Duration) -> Duration {
    interval * ADVERTS_MISSED + skew(version, priority, interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(number: u8) -> Priority {
        Priority::new(number).expect("not zero")
    }

    #[test]
    fn version_2_waits_3_61_seconds_at_priority_100_and_one_second_adverts() {
        let wait = master_down(Version::V2, priority(100), Duration::from_secs(1));
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
}
