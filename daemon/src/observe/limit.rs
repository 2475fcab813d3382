//! The bound on how often one thing is told: a flood costs a counter, not a log.

use std::collections::BTreeMap;
use std::time::Duration;

use evergate_core::Instant;

use super::draft::EventDraft;

/// The span in which a topic may be told only so often.
pub const WINDOW: Duration = Duration::from_secs(10);
/// The most topics that are told apart; beyond, all others count as one.
pub const TOPICS_MAX: usize = 1024;
/// How often room is made when there is none, at most: a flood must not pay for it each time.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What an event is about, for the purpose of its rate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Topic {
    /// A kind of event about up to two numbered things.
    Of(&'static str, u16, u16),
    /// A sentence that somebody said.
    Said(String),
    /// Everything beyond [`TOPICS_MAX`].
    Other,
}

/// How often each topic was told and held back.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    windows: BTreeMap<Topic, Window>,
    /// When the windows that are over were last thrown away for want of room.
    swept_at: Option<Instant>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    told: u32,
    held_back: u64,
    /// The newest event that was held back: told with the count when the window ends.
    last: Option<Box<EventDraft>>,
}

impl Limiter {
    /// Lets at most `burst` events of a topic pass in a [`WINDOW`]. The first one after a window
    /// carries the count of those that were held back.
    pub(super) fn pass(
        &mut self,
        now: Instant,
        topic: Topic,
        burst: u32,
        make: impl FnOnce() -> EventDraft,
    ) -> Option<EventDraft> {
        let topic = self.admit(now, topic);
        let fresh = Window { began: now, told: 0, held_back: 0, last: None };
        let window = self.windows.entry(topic).or_insert(fresh);
        if now.since(window.began) >= WINDOW {
            let held_back = window.held_back;
            *window = Window { began: now, told: 1, held_back: 0, last: None };
            return Some(counted(make(), held_back));
        }
        if window.told < burst {
            window.told += 1;
            return Some(make());
        }
        window.held_back += 1;
        // What is told once in a window looks the same every time: it is not made again.
        if burst > 1 || window.last.is_none() {
            window.last = Some(Box::new(make()));
        }
        None
    }

    /// One event that was held back in a window that is over; call until there is none.
    pub(super) fn flush(&mut self, now: Instant) -> Option<EventDraft> {
        let over = |window: &Window| now.since(window.began) >= WINDOW;
        self.windows.retain(|_, window| window.held_back > 0 || !over(window));
        let topic =
            self.windows.iter().find(|(_, window)| over(window)).map(|(topic, _)| topic.clone());
        let window = self.windows.remove(&topic?)?;
        window.last.map(|last| counted(*last, window.held_back - 1))
    }

    fn admit(&mut self, now: Instant, topic: Topic) -> Topic {
        if self.windows.len() < TOPICS_MAX || self.windows.contains_key(&topic) {
            return topic;
        }
        if self.swept_at.is_none_or(|at| now.since(at) >= SWEEP_EVERY) {
            self.swept_at = Some(now);
            self.windows
                .retain(|_, window| window.held_back > 0 || now.since(window.began) < WINDOW);
        }
        if self.windows.len() < TOPICS_MAX { topic } else { Topic::Other }
    }

    #[cfg(test)]
    pub(super) fn topics(&self) -> usize {
        self.windows.len()
    }
}

fn counted(mut draft: EventDraft, more: u64) -> EventDraft {
    if more > 0 {
        draft.text = format!("{} ({more} more like it since it was last told)", draft.text);
    }
    draft
}
