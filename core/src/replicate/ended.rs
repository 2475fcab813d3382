//! What has ended of late, and who cannot know it.

use std::hash::{Hash, Hasher};

use hashbrown::HashTable;

use super::index::{STREAMS_MAX, Stream};
use crate::flow::FlowHash;

/// So many flows that have ended are remembered at least, and twice as many at most.
const REMEMBERED: usize = 16_384;

/// Flows that have ended of late. Nodes that have served before may tell them as if they lived: what they
/// have missed is the end.
///
/// Time is counted by changes of who serves.
#[derive(Clone, Hash, Debug, Default)]
pub(super) struct Ended {
    recent: Ends,
    /// What was recent until that was full.
    earlier: Ends,
    time: u32,
    /// When each node has ended to serve.
    stopped: [u32; STREAMS_MAX],
    /// When we have begun to, if we do.
    began: Option<u32>,
}

impl Ended {
    /// We begin or end to serve.
    pub fn serve(&mut self, serves: bool) {
        if serves != self.began.is_some() {
            self.time += 1;
            self.began = serves.then_some(self.time);
        }
    }

    /// Another node has ended to serve.
    pub fn stop(&mut self, node: Stream) {
        self.time += 1;
        self.stopped[usize::from(node) % STREAMS_MAX] = self.time;
    }

    /// A flow has ended in our kernel, or a node has told that.
    pub fn insert(&mut self, name: FlowHash, told_by: Option<Stream>) {
        if self.recent.0.len() == REMEMBERED {
            self.earlier = std::mem::take(&mut self.recent);
        }
        self.recent.put(End { name, time: self.time, told_by });
    }

    /// Whether a flow has ended here since we serve, or with others since this node does no more. What
    /// it has told itself is in the order of its packets.
    pub fn has(&self, name: FlowHash, node: Stream) -> bool {
        let stopped = self.stopped[usize::from(node) % STREAMS_MAX];
        let since_we_serve = self.began.map_or(stopped, |began| began.min(stopped));
        let Some(end) = self.recent.get(name).or_else(|| self.earlier.get(name)) else {
            return false;
        };
        match end.told_by {
            None => end.time >= since_we_serve,
            Some(teller) => teller != node && end.time >= stopped,
        }
    }

    /// Nodes have other numbers.
    pub fn renumber(&mut self, place: impl Fn(Stream) -> Option<Stream>) {
        let former = std::mem::take(&mut self.stopped);
        for (stream, stopped) in (0..).zip(former) {
            if let Some(new) = place(stream) {
                self.stopped[usize::from(new) % STREAMS_MAX] = stopped;
            }
        }
        for Ends(table) in [&mut self.recent, &mut self.earlier] {
            // What a node has told that is gone does not count any more.
            table.retain(|end| {
                let teller = end.told_by.map(&place);
                end.told_by = teller.flatten();
                teller != Some(None)
            });
        }
    }
}

/// The end of a flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct End {
    name: FlowHash,
    time: u32,
    /// `None`: our own kernel has seen it.
    told_by: Option<Stream>,
}

/// Ends by the name of the flow, which is a keyed hash already. A tree costs the standby 2 % more for each
/// connection.
#[derive(Clone, Debug, Default)]
struct Ends(HashTable<End>);

impl Ends {
    fn get(&self, name: FlowHash) -> Option<&End> {
        self.0.find(name.0, |end| end.name == name)
    }

    fn put(&mut self, end: End) {
        self.0.entry(end.name.0, |held| held.name == end.name, |held| held.name.0).insert(end);
    }
}

/// The same ends, wherever they stand.
impl Hash for Ends {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut ends: Vec<_> = self.0.iter().collect();
        ends.sort_unstable();
        ends.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Stream = 1;
    const OTHER: Stream = 2;
    const THIRD: Stream = 3;

    #[test]
    fn who_has_stopped_before_a_flow_ended_does_not_know_it() {
        let mut ended = Ended::default();
        assert!(!ended.has(FlowHash(7), ONE));
        ended.insert(FlowHash(7), Some(THIRD));
        ended.stop(ONE);
        assert!(!ended.has(FlowHash(7), ONE), "it may have begun again there");
        assert!(ended.has(FlowHash(7), OTHER), "that has not served since");
        ended.insert(FlowHash(7), Some(THIRD));
        assert!(ended.has(FlowHash(7), ONE));
        assert!(!ended.has(FlowHash(7), THIRD), "that has told it");
        assert!(!ended.has(FlowHash(8), ONE));
    }

    #[test]
    fn what_has_ended_since_we_serve_nobody_knows_better() {
        let mut ended = Ended::default();
        ended.insert(FlowHash(6), None);
        ended.stop(ONE);
        ended.serve(true);
        ended.insert(FlowHash(7), None);
        ended.insert(FlowHash(8), Some(THIRD));
        ended.stop(OTHER);
        assert!(!ended.has(FlowHash(8), OTHER), "it has not ended here");
        assert!(ended.has(FlowHash(7), OTHER) && ended.has(FlowHash(7), ONE));
        assert!(!ended.has(FlowHash(6), OTHER));
        ended.serve(false);
        assert!(!ended.has(FlowHash(7), OTHER) && ended.has(FlowHash(7), ONE));
    }

    #[test]
    fn it_is_bounded_and_keeps_the_latest() {
        let mut ended = Ended::default();
        // Each ends four times.
        let name = |n: usize| FlowHash(n as u64 / 4 * 64);
        for n in 0..8 * REMEMBERED {
            ended.insert(name(n), Some(THIRD));
            assert!(ended.recent.0.len() <= REMEMBERED && ended.earlier.0.len() <= REMEMBERED);
        }
        let kept = |n: &usize| ended.has(name(*n), ONE);
        assert!((7 * REMEMBERED..8 * REMEMBERED).all(|n| kept(&n)));
        assert!(!kept(&0));
    }

    #[test]
    fn it_moves_with_the_numbers_of_nodes() {
        let mut ended = Ended::default();
        ended.insert(FlowHash(7), None);
        ended.insert(FlowHash(8), Some(THIRD));
        ended.insert(FlowHash(9), Some(OTHER));
        ended.stop(ONE);
        let place = |stream| (stream != OTHER).then_some(if stream == ONE { OTHER } else { ONE });
        ended.renumber(place);
        assert!(ended.has(FlowHash(7), ONE) && !ended.has(FlowHash(7), OTHER));
        assert!(!ended.has(FlowHash(8), ONE) && ended.has(FlowHash(8), THIRD));
        assert!(!ended.has(FlowHash(9), THIRD), "who has told it is gone");
    }
}
