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
pub(super) struct Sequence(u32);

impl Sequence {
    /// Where a process begins that knows no number: behind whatever a former one has sent, if it sent no
    /// more than one advert a second.
    pub fn of_day(now: Stamp) -> Sequence {
        let seconds = (now.0 >> 32).saturating_sub(BEGIN_S);
        Sequence(u32::try_from(seconds).unwrap_or(0))
    }

    /// The number of the next packet; `None` at the end, unless it resigns. Numbers begin again behind
    /// that resignation.
    pub fn next(&mut self, resigns: bool) -> Option<u32> {
        let next = self.0 + 1;
        if next == LAST {
            self.0 = if resigns { 0 } else { return None };
        } else {
            self.0 = next;
        }
        Some(next)
    }

    /// Takes a number that was heard, if it is higher than all before.
    pub fn accept(&mut self, heard: u32) -> Result<(), Reject> {
        if heard <= self.0 {
            return Err(Reject::Replay);
        }
        self.0 = if heard == LAST { 0 } else { heard };
        Ok(())
    }

    /// A number that none of the next `count` packets will have reached.
    pub fn ahead(self, count: u32) -> u32 {
        self.0.saturating_add(count)
    }

    /// Goes on behind a number that a former process may have sent.
    pub fn skip_to(&mut self, sent: u32) {
        self.0 = self.0.max(sent.min(LAST - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_counts_once_whoever_has_sent_it() {
        let mut ours = Sequence(0);
        assert_eq!((ours.next(false), ours.next(false)), (Some(1), Some(2)));
        assert_eq!(ours.accept(2), Err(Reject::Replay));
        assert_eq!(ours.accept(500), Ok(()));
        assert_eq!(ours.next(false), Some(501), "taken over");
        assert_eq!(ours.accept(501), Err(Reject::Replay));
    }

    #[test]
    fn at_the_end_only_a_resignation_goes_out_and_all_begin_again() {
        let (mut ours, mut theirs) = (Sequence(LAST - 2), Sequence(LAST - 2));
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
        let at = |seconds: u64| Sequence::of_day(Stamp(seconds << 32));
        assert_eq!(at(BEGIN_S + 1000), Sequence(1000));
        assert_eq!(at(0), Sequence(0), "a clock that was not set");
        let mut sequence = at(BEGIN_S + 1000);
        sequence.skip_to(900);
        assert_eq!(sequence, Sequence(1000));
        sequence.skip_to(LAST);
        assert_eq!(sequence.next(false), None);
    }
}
