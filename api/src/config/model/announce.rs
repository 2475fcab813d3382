//! When the addresses of a router are announced.

use std::fmt;
use std::time::Duration;

use crate::config::duration::shown;

/// How often an active router may be told to refresh its announcements.
pub const ANNOUNCE_MIN: Duration = Duration::from_secs(1);
/// How seldom, and the longest time after which announcements may be repeated.
pub const ANNOUNCE_MAX: Duration = Duration::from_secs(24 * 3600);
/// The most announcements of an address in a row.
pub const ANNOUNCE_REPEAT_MAX: u16 = 1000;
/// The longest time that announcements on an interface may be kept apart.
pub const ANNOUNCE_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// How the addresses of a router are announced by gratuitous ARP and unsolicited NA. A round is one
/// announcement of each address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// Rounds after a takeover, 1 to [`ANNOUNCE_REPEAT_MAX`].
    pub repeat: u16,
    /// As many once more, this long after it, up to [`ANNOUNCE_MAX`]; zero for none.
    pub again_after: Duration,
    /// Rounds at regular times while active, [`ANNOUNCE_MIN`] to [`ANNOUNCE_MAX`].
    pub refresh: Option<Duration>,
    /// How many rounds each of those times, 1 to [`ANNOUNCE_REPEAT_MAX`].
    pub refresh_repeat: u16,
    /// Rounds when an active router of lower priority is heard, 0 to [`ANNOUNCE_REPEAT_MAX`].
    pub lower_repeat: u16,
    /// As many once more, this long after it, up to [`ANNOUNCE_MAX`]; zero for none.
    pub lower_after: Duration,
    /// The shortest time between two announcements on an interface, up to [`ANNOUNCE_INTERVAL_MAX`].
    pub interval: Duration,
}

impl Default for Announce {
    fn default() -> Self {
        Self {
            repeat: 1,
            again_after: Duration::ZERO,
            refresh: None,
            refresh_repeat: 1,
            lower_repeat: 1,
            lower_after: Duration::ZERO,
            interval: Duration::ZERO,
        }
    }
}

impl Announce {
    /// How long the announcements of so many addresses take at the longest, in one go.
    pub fn longest_burst(&self, addresses: u32) -> Duration {
        let rounds = self.repeat.max(self.lower_repeat).max(self.refresh_repeat);
        self.interval.saturating_mul(addresses.saturating_mul(u32::from(rounds)))
    }
}

impl fmt::Display for Announce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let burst = |repeat: u16, after: Duration| match after {
            Duration::ZERO => format!("{repeat}"),
            after => format!("{repeat}, again after {}", shown(after)),
        };
        f.write_str(&burst(self.repeat, self.again_after))?;
        if let Some(refresh) = self.refresh {
            write!(f, "; {} every {}", self.refresh_repeat, shown(refresh))?;
        }
        if (self.lower_repeat, self.lower_after) != (self.repeat, self.again_after) {
            write!(f, "; towards lower {}", burst(self.lower_repeat, self.lower_after))?;
        }
        if !self.interval.is_zero() {
            write!(f, "; {} apart", shown(self.interval))?;
        }
        Ok(())
    }
}
