//! What a run of probes says: how many were lost and how long nothing came through.

use std::time::Duration;

/// One probe, in time since the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was sent.
    pub sent: Duration,
    /// When its answer came, if it came.
    pub answered: Option<Duration>,
}

/// A stretch in which probes were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When the last answered probe before it was sent.
    pub from: Duration,
    /// When the first answered probe after it was sent; the end of the run if none was.
    pub to: Duration,
    /// How many were lost in between.
    pub lost: usize,
}

impl Gap {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// A finished run of probes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Every probe in the order of sending.
    pub samples: Vec<Sample>,
}

impl Record {
    /// How many were never answered.
    pub fn lost(&self) -> usize {
        self.samples.iter().filter(|sample| sample.answered.is_none()).count()
    }

    /// How many of those sent from `since` on were never answered.
    pub fn lost_since(&self, since: Duration) -> usize {
        let late = self.samples.iter().filter(|sample| sample.sent >= since);
        late.filter(|sample| sample.answered.is_none()).count()
    }

    /// All stretches of loss in order.
    ///
    /// A sender that was late makes no gap: only a probe that was sent and lost does.
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut last_good = Duration::ZERO;
        let mut lost = 0;
        for sample in &self.samples {
            if sample.answered.is_none() {
                lost += 1;
                continue;
            }
            if lost > 0 {
                gaps.push(Gap { from: last_good, to: sample.sent, lost });
                lost = 0;
            }
            last_good = sample.sent;
        }
        if lost > 0 {
            let end = self.samples.last().map_or(last_good, |sample| sample.sent);
            gaps.push(Gap { from: last_good, to: end, lost });
        }
        gaps
    }

    /// The longest stretch of loss, if any probe was lost.
    pub fn longest(&self) -> Option<Gap> {
        self.gaps().into_iter().max_by_key(Gap::length)
    }

    /// How long the longest stretch of loss was; zero without loss.
    pub fn outage(&self) -> Duration {
        self.longest().map_or(Duration::ZERO, |gap| gap.length())
    }

    /// Did the last probes come back?
    pub fn recovered(&self) -> bool {
        self.samples.last().is_some_and(|sample| sample.answered.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(pattern: &str) -> Record {
        let sample = |(index, letter): (usize, char)| {
            let sent = Duration::from_millis(u64::try_from(index).expect("short"));
            Sample { sent, answered: (letter == '!').then_some(sent + Duration::from_micros(90)) }
        };
        Record { samples: pattern.chars().enumerate().map(sample).collect() }
    }

    #[test]
    fn no_loss_is_no_outage() {
        assert_eq!(record("!!!!!").outage(), Duration::ZERO);
    }

    #[test]
    fn an_outage_lasts_from_the_last_good_probe_to_the_next() {
        let run = record("!!!...!!.!");
        assert_eq!(run.outage(), Duration::from_millis(4));
        assert_eq!(run.lost(), 4);
        assert_eq!(run.gaps().len(), 2);
        assert_eq!(run.lost_since(Duration::from_millis(7)), 1);
    }

    #[test]
    fn a_run_that_ends_in_silence_has_not_recovered() {
        let run = record("!!..");
        assert!(!run.recovered());
        assert_eq!(run.outage(), Duration::from_millis(2));
    }

    #[test]
    fn a_late_sender_is_no_outage() {
        let mut run = record("!!");
        run.samples[1].sent = Duration::from_secs(1);
        assert_eq!(run.outage(), Duration::ZERO);
    }
}
