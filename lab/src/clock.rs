//! The only place of the lab that reads a clock or sleeps: the lab is the world, so it may.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{LabError, Result};

/// The monotonic time now.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    Instant::now()
}

/// Microseconds since 1970 in UTC, to compare with the time stamps of other programs.
#[allow(clippy::disallowed_methods)]
pub fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Waits for a while.
#[allow(clippy::disallowed_methods)]
pub fn sleep(span: Duration) {
    std::thread::sleep(span);
}

/// Asks again and again until there is an answer, for at most `limit`.
///
/// `what` completes the sentence "waited in vain for ...".
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    every: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if start.elapsed() > limit {
            return Err(LabError::Timeout { what: what.to_owned(), after: limit });
        }
        sleep(every);
    }
}

/// A span in milliseconds with its fraction.
pub fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
