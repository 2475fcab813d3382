//! What follows from a crash: keep or release, and when to try again.

use std::time::Duration;

use crate::sys::clock::NS_PER_S;

/// Crashes are counted over this time.
pub const CRASH_SPAN_NS: u64 = 60 * NS_PER_S;
/// From this crash on within [`CRASH_SPAN_NS`] nothing is kept any more.
pub const CRASHES_MAX: usize = 3;
/// How long addresses are kept for the next core.
pub const KEEP_NS: u64 = 2 * NS_PER_S;

/// Waiting times before the next start, by the number of crashes within the last minute; the last
/// is the longest there is.
const BACK_OFF: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// What to do about the addresses of a core that died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aftermath {
    /// Somebody else can serve, or this core cannot: resign and release.
    Resign,
    /// Nobody else would serve: keep them for the next core.
    Keep,
}

/// Decides it. `crashes` counts those within the last minute, this one included.
pub fn aftermath(peers_alive: bool, stopping: bool, crashes: usize) -> Aftermath {
    if peers_alive || stopping || crashes >= CRASHES_MAX {
        Aftermath::Resign
    } else {
        Aftermath::Keep
    }
}

/// How long to wait before the next start after so many crashes within the last minute.
pub fn back_off_ns(crashes: usize) -> u64 {
    let step = crashes.saturating_sub(1).min(BACK_OFF.len() - 1);
    u64::try_from(BACK_OFF[step].as_nanos()).expect("seconds fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_only_where_nobody_else_serves_and_twice_a_minute() {
        assert_eq!(aftermath(false, false, 1), Aftermath::Keep);
        assert_eq!(aftermath(false, false, 2), Aftermath::Keep);
        assert_eq!(aftermath(false, false, 3), Aftermath::Resign);
        assert_eq!(aftermath(true, false, 1), Aftermath::Resign);
        assert_eq!(aftermath(false, true, 1), Aftermath::Resign);
    }

    #[test]
    fn the_first_restart_is_at_once_and_the_wait_is_bounded() {
        assert_eq!(back_off_ns(1), 0);
        assert!(back_off_ns(2) < KEEP_NS / 2, "the kept addresses must outlast the start");
        assert!((1..20).all(|crashes| back_off_ns(crashes) <= back_off_ns(crashes + 1)));
        assert_eq!(back_off_ns(usize::MAX), 10 * NS_PER_S);
    }
}
