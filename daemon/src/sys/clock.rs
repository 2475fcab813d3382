//! The clocks: one that never steps and counts suspended time, and wall time for stamps.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;

/// Nanoseconds since the machine was booted, suspended time included (`CLOCK_BOOTTIME`).
pub fn boottime_now() -> u64 {
    read(ClockId::CLOCK_BOOTTIME)
}

/// Nanoseconds since 1970 by the wall clock. It may step: for display and for reading packet stamps.
pub fn realtime_now() -> u64 {
    read(ClockId::CLOCK_REALTIME)
}

/// Turns a wall-clock stamp that the kernel gave a packet into boot time, never later than now.
///
/// A wall clock that was set in between would lead far astray, so a packet is never taken to be
/// older than `age_max_ns`.
pub fn boottime_of_stamp(stamp_ns: u64, age_max_ns: u64) -> u64 {
    let age = realtime_now().saturating_sub(stamp_ns).min(age_max_ns);
    boottime_now().saturating_sub(age)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("Linux 2.6.39 and later have this clock");
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec()).unwrap_or(0);
    seconds.saturating_mul(NS_PER_S).saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_does_not_go_back() {
        let before = boottime_now();
        assert!(before > 0 && boottime_now() >= before);
    }

    #[test]
    fn a_stamp_from_the_future_or_the_far_past_is_bounded() {
        let now = boottime_now();
        assert!(boottime_of_stamp(u64::MAX, NS_PER_S) >= now);
        assert!(boottime_of_stamp(0, NS_PER_S) >= now.saturating_sub(NS_PER_S));
    }
}
