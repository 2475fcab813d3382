//! What is lost with a takeover by a node that had not everything: its former owner still has it.
//!
//! Who was ours until somebody adopted it, and is not told by its new owner in a whole reading, is offered
//! once: the new owner takes what it does not know and has not seen end. Otherwise a node that comes up
//! empty and takes over for a moment would end every connection of the cluster.

use super::index::{Entry, mark};
use super::send::Read;
use super::{Effect, Replicator, SPOILED, STRICT_AFTER, encode, stream_of};
use crate::flow::{Flow, FlowHash};
use crate::ident::NodeId;
use crate::time::Instant;
use crate::wire::flow as flow_bytes;
use crate::wire::tlv;

/// What becomes of a copy that its owner has not told in a whole reading: it is offered, or waits for that
/// already, or is gone.
pub(super) fn offered(entry: Entry) -> Option<Entry> {
    (entry.marks & (mark::FORMER | mark::OFFER) != 0)
        .then_some(Entry { marks: entry.marks & !mark::FORMER | mark::OFFER, ..entry })
}

impl Replicator {
    /// A pass has come to a copy that is to be offered.
    pub(super) fn offer(&mut self, name: FlowHash, flow: &Flow) {
        let mut bytes = Vec::with_capacity(64);
        if encode(flow, &mut bytes) {
            let (digest, known) = (self.settings.key.value(flow), self.index.get(name));
            self.outbox.tell_bulk(Read { name, digest, bytes, known, offer: true });
        }
    }

    /// A packet with an offer was lost; whether it is made again.
    pub(super) fn offer_again(&mut self, value: tlv::Tlv<'_>) -> bool {
        let Ok(flow) = flow_bytes::decode(value.value) else { return false };
        let name = self.settings.key.name(&flow.key);
        let theirs = self.index.get(name).is_some_and(|entry| entry.stream != self.stream());
        if theirs {
            self.counters.retold += 1;
            self.offer(name, &flow);
        }
        theirs
    }

    /// A former owner has a flow that we may not know.
    pub(super) fn take_offer(
        &mut self,
        now: Instant,
        from: NodeId,
        bytes: &[u8],
        out: &mut Vec<Effect>,
    ) {
        let Ok(flow) = flow_bytes::decode(bytes) else {
            self.counters.refused += 1;
            return;
        };
        if !self.serving {
            return;
        }
        let name = self.settings.key.name(&flow.key);
        let known = self.index.get(name).is_some() || self.outbox.has(name);
        if known || self.ended.has(name, stream_of(from)) {
            self.counters.collided += 1;
            return;
        }
        self.take_in(now, name, flow, out);
    }

    /// A flow that we did not have is ours from now on: it is told once we know what our kernel has.
    pub(super) fn take_in(
        &mut self,
        now: Instant,
        name: FlowHash,
        flow: Flow,
        out: &mut Vec<Effect>,
    ) {
        let marks = self.pass.seen_mark() | mark::LEASED | mark::LIBERAL;
        let entry = Entry { digest: SPOILED, number: 0, stream: self.stream(), marks };
        self.index.put(name, entry);
        // Packets of it may have passed here of which nothing was told.
        out.push(Effect::Add(flow));
        self.adopted_at = Some(now);
        // Not at once: there may be as many as the table has room for, and more will come while it is read.
        self.pass.want_soon(now + STRICT_AFTER);
    }
}
