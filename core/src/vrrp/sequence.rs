//! The sequence of the authentication header (RFC 2402 §2.5): each number once, and no way around the end.

use super::guard::Reject;
use crate::wire::trailer::Stamp;

/// The last number: only a resignation may use it, and whoever hears it counts from the start.
const LAST: u32 = u32::MAX;
/// Where the time of day begins for a sequence: 2024-01-01T00:00:00Z, in seconds since 1970. An advert a
/// second then leaves more than a hundred years.
const BEGIN_S: u64 = 1_704_067_200;

/// The highest number of a virtual router that was sent or heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sequence {
    /// None yet: the first number that is heard is taken, whatever it is. Others begin with 1.
    highest: Option<u32>,
    /// Where our own numbers begin if none is heard before.
    begin: u32,
}

impl Sequence {
    /// A process that knows no number begins behind whatever a former one has sent, if it sent no more
    /// than one advert a second.
    pub fn of_day(now: Stamp) -> Sequence {
        let seconds = (now.0 >> 32).saturating_sub(BEGIN_S);
        Sequence { highest: None, begin: u32::try_from(seconds).unwrap_or(0) }
    }

    fn known(self) -> u32 {
        self.highest.unwrap_or(self.begin)
    }

    /// The number of the next packet; `None` at the end, unless it resigns. Numbers begin again behind
    /// that resignation.
    pub fn next(&mut self, resigns: bool) -> Option<u32> {
        let next = self.known().saturating_add(1);
        match (next == LAST, resigns) {
            (true, false) => return None,
            (true, true) => self.highest = Some(0),
            (false, _) => self.highest = Some(next),
        }
        Some(next)
    }

    /// Takes a number that was heard, if it is higher than all before.
    pub fn accept(&mut self, heard: u32) -> Result<(), Reject> {
        if self.highest.is_some_and(|highest| heard <= highest) {
            return Err(Reject::Replay);
        }
        self.highest = Some(if heard == LAST { 0 } else { heard });
        Ok(())
    }

    /// A number that none of the next `count` packets will have reached.
    pub fn ahead(self, count: u32) -> u32 {
        self.known().saturating_add(count)
    }

    /// If no number is heard before, ours begin so many later.
    pub fn begin_later(&mut self, count: u32) {
        self.begin = self.begin.saturating_add(count).min(LAST - 1);
    }

    /// Goes on behind a number that a former process may have sent.
    pub fn skip_to(&mut self, sent: u32) {
        self.highest = Some(self.known().max(sent.min(LAST - 1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(highest: u32) -> Sequence {
        Sequence { highest: Some(highest), begin: 0 }
    }

    #[test]
    fn each_number_counts_once_whoever_has_sent_it() {
        let mut ours = at(0);
        assert_eq!((ours.next(false), ours.next(false)), (Some(1), Some(2)));
        assert_eq!(ours.accept(2), Err(Reject::Replay));
        assert_eq!(ours.accept(500), Ok(()));
        assert_eq!(ours.next(false), Some(501), "taken over");
        assert_eq!(ours.accept(501), Err(Reject::Replay));
    }

    #[test]
    fn at_the_end_only_a_resignation_goes_out_and_all_begin_again() {
        let (mut ours, mut theirs) = (at(LAST - 2), at(LAST - 2));
        let last_but_one = ours.next(false).unwrap();
        assert_eq!(theirs.accept(last_but_one), Ok(()));
        assert_eq!((ours.next(false), ours.next(false)), (None, None));
        assert_eq!(ours.next(true), Some(LAST));
        assert_eq!(theirs.accept(LAST), Ok(()));
        assert_eq!(theirs.next(false), Some(1));
        assert_eq!(ours.accept(1), Ok(()));
    }

    #[test]
    fn a_process_without_memory_begins_with_the_time_of_day_or_behind_its_former_one() {
        let day = |seconds: u64| Sequence::of_day(Stamp(seconds << 32));
        assert_eq!(day(BEGIN_S + 1000).next(false), Some(1001));
        assert_eq!(day(0).next(false), Some(1), "a clock that was not set");
        let mut sequence = day(BEGIN_S + 1000);
        sequence.skip_to(900);
        assert_eq!(sequence.next(false), Some(1001));
        sequence.skip_to(LAST);
        assert_eq!(sequence.next(false), None);
    }

    /// keepalived begins with 1. Refused as old, it would be taken for dead, and both would be active.
    #[test]
    fn a_process_that_has_said_nothing_yet_follows_whoever_it_hears_first() {
        let mut ours = Sequence::of_day(Stamp((BEGIN_S + 1000) << 32));
        assert_eq!(ours.accept(5), Ok(()));
        assert_eq!(ours.accept(5), Err(Reject::Replay));
        assert_eq!(ours.next(false), Some(6));
    }
}
