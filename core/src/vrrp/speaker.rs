//! What one virtual router remembers of the adverts on its segment.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::timing::{master_down, skew};
use crate::config::Version;
use crate::ident::Priority;
use crate::time::Instant;

/// The standby side of one virtual router (RFC 9568 §6.4.2).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Speaker {
    version: Version,
    /// How many adverts must be missing before the active router is down.
    missed: u32,
    /// The interval of the active router: its own in version 3, ours in version 2.
    pub interval: Duration,
    /// When we conclude that no active router is left.
    pub down_at: Instant,
    /// The last advert from somebody else, until a resignation.
    pub heard: Option<Heard>,
}

/// An advert of somebody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Heard {
    /// When it came.
    pub at: Instant,
    /// Where from.
    pub source: IpAddr,
    /// Its priority.
    pub priority: u8,
}

impl Speaker {
    /// A router that has heard nothing and begins to wait at `now`.
    pub fn new(
        (version, missed): (Version, u32),
        interval: Duration,
        priority: Priority,
        now: Instant,
    ) -> Self {
        let down_at = now + master_down(version, priority, interval, missed);
        Speaker { version, missed, interval, down_at, heard: None }
    }

    /// So many adverts must be missing from the next one on.
    pub fn set_missed(&mut self, missed: u32) {
        self.missed = missed;
    }

    /// Waits for the whole down interval from `now`.
    pub fn wait(&mut self, now: Instant, priority: Priority) {
        self.down_at = now + master_down(self.version, priority, self.interval, self.missed);
    }

    /// Follows an advert: learns the interval (version 3; RFC 9568 §6.4.2 (430)) and waits anew.
    pub fn follow(&mut self, heard: Heard, interval: Duration, priority: Priority) {
        if self.version == Version::V3 {
            self.interval = interval;
        }
        self.heard = Some(heard);
        self.wait(heard.at, priority);
    }

    /// The active router has resigned: one skew time is left (RFC 9568 §6.4.2 (415)).
    pub fn resigned(&mut self, now: Instant, priority: Priority) {
        self.heard = None;
        self.down_at = now + skew(self.version, priority, self.interval);
    }
}
