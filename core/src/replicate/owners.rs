//! Whose a flow is: what changes when peers come, go, serve or serve no more.

use super::compare::PASS_SOON;
use super::index::{Entry, Stream, mark};
use super::receive::Incoming;
use super::send::Reader;
use super::{Effect, Note, Replicator, STRICT_AFTER, SUMS_SOON, Sight, stream_of};
use crate::ident::{Incarnation, NodeId};
use crate::time::Instant;

impl Replicator {
    /// Takes what is known of the peers, and takes over the flows of those that serve no more.
    pub(super) fn take_sights(&mut self, now: Instant, sights: Vec<Sight>, out: &mut Vec<Effect>) {
        let former = std::mem::replace(&mut self.sights, sights);
        for sight in former.iter().filter(|sight| sight.serves) {
            if !self.serves(stream_of(sight.node)) {
                self.ended.stop(stream_of(sight.node));
            }
        }
        let known = |node: &NodeId, incarnation: Incarnation, sights: &[Sight]| {
            sights.iter().any(|s| s.node == *node && s.incarnation == incarnation)
        };
        let sights = &self.sights;
        let is_anew = |sight: &&Sight| {
            let incoming = self.incoming.get(&sight.node);
            incoming.is_some_and(|incoming| incoming.incarnation != sight.incarnation)
        };
        let anew: Vec<NodeId> = sights.iter().filter(is_anew).map(|sight| sight.node).collect();
        self.readers.retain(|node, reader| known(node, reader.incarnation, sights));
        for sight in sights {
            self.readers.entry(sight.node).or_insert_with(|| {
                // It may lack everything, and asks for it when it hears the sums.
                self.sums_at = self.sums_at.min(now + SUMS_SOON);
                Reader::new(sight.incarnation)
            });
            let incoming = self.incoming.entry(sight.node);
            let incoming = incoming.or_insert_with(|| Incoming::new(sight.incarnation));
            if incoming.incarnation != sight.incarnation {
                *incoming = Incoming::new(sight.incarnation);
            }
        }
        let readers = &self.readers;
        self.outbox.forget_readers(|node| readers.contains_key(&node));
        // A new process counts its packets from 1: whatever it says is newer than what is known.
        for node in anew {
            self.change_owner(stream_of(node), stream_of(node), 0, 0);
        }
        self.adopt(now, out);
    }

    /// Makes the flows of peers that serve nothing our own, while we serve.
    pub(super) fn adopt(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if !self.serving {
            return;
        }
        let me = self.stream();
        let nodes: Vec<NodeId> = self.incoming.keys().copied().collect();
        for node in nodes {
            let serves = self.sight(node).is_some_and(|sight| sight.serves);
            let flows = self.index.count(stream_of(node));
            if serves || flows == 0 {
                continue;
            }
            self.change_owner(stream_of(node), me, 0, mark::LEASED | mark::LIBERAL);
            self.outbox.say_adopted(node);
            self.adopted_at = Some(now);
            // Not at once: a reading takes milliseconds, and addresses wait for this thread.
            self.pass.want_soon(now + PASS_SOON);
            out.push(Effect::Note(Note::Adopted { from: node, flows }));
        }
    }

    /// The flows of a stream belong to another one from now on. What packets of that stream with
    /// numbers below `number` say of them is older.
    pub(super) fn change_owner(&mut self, from: Stream, to: Stream, number: u32, marks: u8) {
        // Only to the process that has adopted them: with another one they may have ended since.
        let cleared = mark::FORMER | mark::OFFER;
        self.index.walk(|_, entry| {
            let theirs = entry.stream == from;
            Some(match theirs {
                true => {
                    Entry { stream: to, number, marks: entry.marks & !cleared | marks, ..entry }
                }
                false => entry,
            })
        });
    }

    /// A group was let go while others are kept: its flows are among ours and cannot be told from the rest.
    ///
    /// Those that go with it would look wrong when they come back: our kernel does not see how far they get.
    pub(super) fn loosen(&mut self, now: Instant) {
        let me = self.stream();
        self.aged = Some(self.pass.next_round());
        self.pass.want_soon(now);
        self.index.walk(|_, entry| {
            let loose = if entry.stream == me { mark::LOOSE } else { 0 };
            Some(Entry { marks: entry.marks | loose, ..entry })
        });
    }

    /// A flow of a peer that serves has come to us with a group: its sequence numbers are checked again
    /// some time later.
    pub(super) fn move_here(&mut self, now: Instant) {
        if self.adopted_at.is_none() {
            self.adopted_at = Some(now);
            self.pass.want_soon(now + STRICT_AFTER);
        }
    }
}
