//! How often something that others remove is put back.

use std::time::Duration;

use crate::group::{PUT_BACK_MAX, PUT_BACK_WINDOW};
use crate::time::Instant;

/// The times at which something was put back of late.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PutBacks {
    moments: Vec<Instant>,
}

impl PutBacks {
    /// Takes note that it was put back; false if that was the last time for a while.
    pub fn count(&mut self, now: Instant) -> bool {
        self.moments.push(now);
        self.is_allowed(now)
    }

    /// Whether it may be put back now: not after [`PUT_BACK_MAX`] times within [`PUT_BACK_WINDOW`].
    pub fn is_allowed(&mut self, now: Instant) -> bool {
        self.moments.retain(|at| now.since(*at) < PUT_BACK_WINDOW);
        self.moments.len() < PUT_BACK_MAX
    }

    /// For how long it is left alone, if it is.
    pub fn rests_for(&self, now: Instant) -> Option<Duration> {
        let within = |at: &&Instant| now.since(**at) < PUT_BACK_WINDOW;
        let late: Vec<&Instant> = self.moments.iter().filter(within).collect();
        let oldest = late.get(late.len().checked_sub(PUT_BACK_MAX)?)?;
        Some(PUT_BACK_WINDOW.saturating_sub(now.since(**oldest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_put_back_five_times_a_minute_and_then_left_alone() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut put_backs = PutBacks::default();
        for second in 0..4 {
            assert!(put_backs.is_allowed(at(second)) && put_backs.count(at(second)));
            assert_eq!(put_backs.rests_for(at(second)), None);
        }
        assert!(!put_backs.count(at(4)));
        assert!(!put_backs.is_allowed(at(59)));
        assert_eq!(put_backs.rests_for(at(40)), Some(Duration::from_secs(20)));
        assert!(put_backs.is_allowed(at(60)), "the first is a minute ago");
        assert_eq!(put_backs.rests_for(at(60)), None);
    }
}
