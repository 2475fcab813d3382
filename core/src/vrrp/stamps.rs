//! The stamps of the authentication trailer: ours rise, and those of each sender have to.

use std::net::IpAddr;

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
    /// The stamp of the next advert: the time of day, or one more than the last where the clock was set
    /// back or has not moved.
    pub fn next(&mut self, now: Stamp) -> Stamp {
        let next = match self.sent {
            Some(sent) if !now.is_after(sent) => sent.next(),
            Some(_) | None => now,
        };
        self.sent = Some(next);
        next
    }

    /// Goes on behind a stamp that a former process may have sent.
    pub fn skip_to(&mut self, sent: Stamp) {
        if self.sent.is_none_or(|known| sent.is_after(known)) {
            self.sent = Some(sent);
        }
    }

    /// Takes a stamp of a sender, if it is behind all before.
    pub fn accept(&mut self, source: IpAddr, stamp: Stamp) -> Result<(), Reject> {
        match self.heard.iter().position(|(known, _)| *known == source) {
            Some(at) if !stamp.is_after(self.heard[at].1) => return Err(Reject::Replay),
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn our_stamps_rise_also_when_the_clock_is_set_back() {
        let mut stamps = Stamps::default();
        let first = stamps.next(Stamp::at(10_000_000_000));
        let second = stamps.next(Stamp::at(9_000_000_000));
        assert!(second.is_after(first));
        stamps.skip_to(Stamp::at(12_000_000_000));
        assert!(stamps.next(Stamp::at(11_000_000_000)).is_after(Stamp::at(12_000_000_000)));
    }

    #[test]
    fn each_sender_has_its_own_order_and_the_most_silent_one_is_forgotten() {
        let mut stamps = Stamps::default();
        let sender = |number: u8| IpAddr::from(Ipv4Addr::new(192, 0, 2, number));
        assert_eq!(stamps.accept(sender(1), Stamp(10)), Ok(()));
        assert_eq!(stamps.accept(sender(2), Stamp(5)), Ok(()));
        assert_eq!(stamps.accept(sender(1), Stamp(10)), Err(Reject::Replay));
        assert_eq!(stamps.accept(sender(1), Stamp(9)), Err(Reject::Replay));
        for number in 3..=33 {
            assert_eq!(stamps.accept(sender(number), Stamp(1)), Ok(()));
            assert_eq!(stamps.accept(sender(1), Stamp(10 + u64::from(number))), Ok(()));
        }
        assert_eq!(stamps.heard.len(), SENDERS_MAX);
        assert_eq!(stamps.accept(sender(1), Stamp(11)), Err(Reject::Replay), "it was heard");
        assert_eq!(stamps.accept(sender(2), Stamp(5)), Ok(()), "forgotten");
    }
}
