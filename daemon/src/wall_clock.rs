//! Wall time for people: instants of the machines, as RFC 3339 in UTC with milliseconds.

use evergate_core::Instant;

use crate::sys::clock::{NS_PER_S, boottime_now, realtime_now};

/// Seconds in a day; RFC 3339 in UTC knows no others here, as the kernel's clock has none.
const SECONDS_PER_DAY: u64 = 86_400;
/// Nanoseconds in a millisecond.
const NS_PER_MS: u64 = 1_000_000;
/// Days from 0000-03-01, where the calendar below begins, to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_468;
/// Days in 400 years, after which the calendar repeats itself.
const DAYS_PER_ERA: u64 = 146_097;

/// One moment on both clocks. Read anew for every use: the wall clock may be set in between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WallClock {
    boot: Instant,
    wall_ns: u64,
}

impl WallClock {
    /// The clock for which the instant `boot` is `wall_ns` nanoseconds after 1970 began.
    pub const fn new(boot: Instant, wall_ns: u64) -> Self {
        Self { boot, wall_ns }
    }

    /// Both clocks as they are now.
    pub fn now() -> Self {
        Self::new(Instant::from_nanos(boottime_now()), realtime_now())
    }

    /// An instant as RFC 3339 in UTC with milliseconds, such as `2026-02-03T04:05:06.789Z`.
    pub fn rfc3339(&self, at: Instant) -> String {
        let (boot, at) = (self.boot.as_nanos(), at.as_nanos());
        let wall = if at >= boot {
            self.wall_ns.saturating_add(at - boot)
        } else {
            self.wall_ns.saturating_sub(boot - at)
        };
        format(wall)
    }
}

fn format(wall_ns: u64) -> String {
    let seconds = wall_ns / NS_PER_S;
    let millis = wall_ns % NS_PER_S / NS_PER_MS;
    let (year, month, day) = date(seconds / SECONDS_PER_DAY);
    let second = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The Gregorian date of a day counted from 1970-01-01. Years are taken to begin in March, so that
/// the leap day is the last day of a year.
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + DAYS_BEFORE_1970;
    let (era, in_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let leap_days = in_era / 1460 + in_era / (DAYS_PER_ERA - 1) - in_era / 36_524;
    let year_of_era = (in_era - leap_days) / 365;
    let day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, months have 31, 30, 31, 30, 31 days, over and over: 153 in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn known_moments_have_their_dates() {
        let known = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_000_000_000_123, "2001-09-09T01:46:40.123Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (millis, text) in known {
            assert_eq!(format(millis * NS_PER_MS), text);
        }
    }

    #[test]
    fn no_day_of_five_centuries_is_skipped_or_told_twice() {
        let mut former = date(0);
        for day in 1..=SECONDS_PER_DAY / 86_400 * 182_622 {
            let today = date(day);
            let (year, month, number) = former;
            let follows = today == (year, month, number + 1)
                || today == (year, month + 1, 1)
                || today == (year + 1, 1, 1) && (month, number) == (12, 31);
            assert!(follows && today.2 <= 31, "{former:?} then {today:?}");
            former = today;
        }
        assert_eq!(former, (2470, 1, 1));
    }

    #[test]
    fn instants_before_and_after_the_reading_are_told_by_their_distance() {
        let boot = Instant::from_nanos(50 * NS_PER_S);
        let clock = WallClock::new(boot, 100 * NS_PER_S);
        let second = Duration::from_secs(1);
        assert_eq!(clock.rfc3339(boot - second), "1970-01-01T00:01:39.000Z");
        assert_eq!(clock.rfc3339(boot + second), "1970-01-01T00:01:41.000Z");
    }
}
