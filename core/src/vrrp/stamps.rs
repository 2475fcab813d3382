//! The stamps of the authentication trailer: ours rise, and those of each sender have to.

use std::net::IpAddr;
use std::time::Duration;

use super::guard::Reject;
use crate::wire::trailer::Stamp;

/// How many senders are remembered; the one that has been silent longest is forgotten first.
pub(super) const SENDERS_MAX: usize = 32;

/// The last stamp that we sent, and of each sender the last that was accepted.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamps {
    sent: Option<Stamp>,
    /// Who was heard last stands last.
    heard: Vec<(IpAddr, Stamp)>,
}

impl Stamps {
    /// The stamp of the next advert: the time of day, or one more than the last where the clock has not
    /// moved or was set back a little. Nobody would take one that is ahead by more than the window.
    pub fn next(&mut self, now: Stamp, window: Option<Duration>) -> Stamp {
        let next = match self.sent {
            Some(sent) if !now.is_after(sent) && !is_beyond(sent, now, window) => sent.next(),
            Some(_) | None => now,
        };
        self.sent = Some(next);
        next
    }

    /// The last stamp that was sent.
    pub fn sent(&self) -> Option<Stamp> {
        self.sent
    }

    /// Goes on behind a stamp that a former process may have sent.
    pub fn skip_to(&mut self, sent: Stamp) {
        if self.sent.is_none_or(|known| sent.is_after(known)) {
            self.sent = Some(sent);
        }
    }

    /// Takes a stamp of a sender, if it is behind all before. One that has come to lie ahead of the window,
    /// because our clock was set back, counts no more.
    pub fn accept(
        &mut self,
        source: IpAddr,
        stamp: Stamp,
        (now, window): (Stamp, Option<Duration>),
    ) -> Result<(), Reject> {
        let old = |known: Stamp| !stamp.is_after(known) && !is_beyond(known, now, window);
        match self.heard.iter().position(|(known, _)| *known == source) {
            Some(at) if old(self.heard[at].1) => return Err(Reject::Replay),
            Some(at) => {
                self.heard.remove(at);
            }
            None if self.heard.len() == SENDERS_MAX => {
                self.heard.remove(0);
            }
            None => {}
        }
        self.heard.push((source, stamp));
        Ok(())
    }
}

/// Whether a stamp lies further ahead than the window.
fn is_beyond(stamp: Stamp, now: Stamp, window: Option<Duration>) -> bool {
    window.is_some_and(|window| stamp.is_after(now) && is_far(stamp, now, window))
}

/// Whether a stamp is further from now than the window, in either direction. Whole seconds count, for what is taken
/// and for what is remembered alike: or what is taken at the edge could be replayed.
pub(super) fn is_far(stamp: Stamp, now: Stamp, window: Duration) -> bool {
    u64::from(stamp.seconds_to(now)) > window.as_secs()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const WINDOW: Option<Duration> = Some(Duration::from_secs(5));

    fn at(seconds: u64) -> Stamp {
        Stamp::at(seconds * 1_000_000_000)
    }

    #[test]
    fn our_stamps_rise_also_when_the_clock_is_set_back_a_little() {
        for window in [WINDOW, None] {
            let mut stamps = Stamps::default();
            let first = stamps.next(at(10), window);
            let second = stamps.next(at(9), window);
            assert!(second.is_after(first));
            stamps.skip_to(at(12));
            assert!(stamps.next(at(11), window).is_after(at(12)));
        }
    }

    /// A clock that was an hour ahead at boot must not silence the router for an hour.
    #[test]
    fn a_clock_that_is_set_back_by_more_than_the_window_begins_anew_on_both_sides() {
        let source = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
        let (mut ours, mut theirs) = (Stamps::default(), Stamps::default());
        let ahead = ours.next(at(3700), WINDOW);
        assert_eq!(theirs.accept(source, ahead, (at(3700), WINDOW)), Ok(()));
        assert_eq!(ours.next(at(100), WINDOW), at(100));
        assert_eq!(theirs.accept(source, at(100), (at(100), WINDOW)), Ok(()));
        assert_eq!(theirs.accept(source, at(100), (at(100), WINDOW)), Err(Reject::Replay));
        let mut rising = Stamps::default();
        assert_eq!(rising.accept(source, at(3700), (at(3700), None)), Ok(()));
        assert_eq!(rising.accept(source, at(100), (at(100), None)), Err(Reject::Replay));
    }

    #[test]
    fn what_is_taken_at_the_edge_of_the_window_is_taken_once() {
        let source = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
        let edge = Stamp(at(105).0 + (1 << 31));
        assert!(!is_far(edge, at(100), Duration::from_secs(5)));
        let mut stamps = Stamps::default();
        assert_eq!(stamps.accept(source, edge, (at(100), WINDOW)), Ok(()));
        assert_eq!(stamps.accept(source, edge, (at(100), WINDOW)), Err(Reject::Replay));
    }

    #[test]
    fn each_sender_has_its_own_order_and_the_most_silent_one_is_forgotten() {
        let mut stamps = Stamps::default();
        let sender = |number: u8| IpAddr::from(Ipv4Addr::new(192, 0, 2, number));
        let mut accept =
            |number: u8, stamp| stamps.accept(sender(number), Stamp(stamp), (at(1), None));
        assert_eq!((accept(1, 10), accept(2, 5)), (Ok(()), Ok(())));
        assert_eq!((accept(1, 10), accept(1, 9)), (Err(Reject::Replay), Err(Reject::Replay)));
        for number in 3..=33 {
            assert_eq!(accept(number, 1), Ok(()));
            assert_eq!(accept(1, 10 + u64::from(number)), Ok(()));
        }
        assert_eq!(accept(1, 11), Err(Reject::Replay), "it was heard");
        assert_eq!(accept(2, 5), Ok(()), "forgotten");
        assert_eq!(stamps.heard.len(), SENDERS_MAX);
    }
}
