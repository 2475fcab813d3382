//! What a reader has missed: its flows are told anew, as they are now.

use std::collections::BTreeSet;

use super::index::Entry;
use super::send::{ACK_WITHIN, ACK_WITHIN_MAX, BEHIND_MAX, Change, OVERTAKEN_BY, RETOLD_AT, low};
use super::{Effect, Replicator, stream_of};
use crate::ident::NodeId;
use crate::time::Instant;
use crate::wire::flow as flow_bytes;
use crate::wire::replica::{self, Ack, DISOWNED, FLOW, GONE};
use crate::wire::tlv;

impl Replicator {
    /// A reader says what it has.
    pub(super) fn take_ack(
        &mut self,
        now: Instant,
        from: NodeId,
        ack: &Ack,
        out: &mut Vec<Effect>,
    ) {
        let Some(reader) = self.readers.get_mut(&from) else { return };
        if ack.node != self.settings.me || ack.incarnation != self.settings.incarnation {
            return;
        }
        reader.synced = ack.synced;
        reader.missed = (0, None);
        let has = |number: u64| {
            let ahead = number.checked_sub(ack.base);
            ahead.is_none_or(|bit| {
                let word = usize::try_from(bit / 64).ok().and_then(|at| ack.bits.get(at));
                word.is_some_and(|word| word & 1 << (bit % 64) != 0)
            })
        };
        let highest = ack.bits.iter().rposition(|word| *word != 0).map_or(ack.base, |at| {
            let ahead = 64 * at as u64 + u64::from(63 - ack.bits[at].leading_zeros());
            ack.base.saturating_add(ahead)
        });
        let had_sweep = self.outbox.has_sweep();
        let mut newest = [None; 2];
        let mut lost = Vec::new();
        let (mut bulk_has_come, mut later_bulk) = (false, 0);
        for sent in self.outbox.sent.iter_mut().rev() {
            let come = has(sent.number);
            let overtaken = if sent.bulk {
                bulk_has_come |= come;
                later_bulk += u64::from(bulk_has_come);
                later_bulk > OVERTAKEN_BY || sent.number + BEHIND_MAX <= highest
            } else {
                sent.number + OVERTAKEN_BY <= highest
            };
            if come {
                if sent.waits.contains(&from) {
                    newest[usize::from(sent.bulk)].get_or_insert((sent.number, sent.at));
                }
                sent.waits.retain(|node| *node != from);
            } else if overtaken && sent.waits.contains(&from) {
                sent.waits.clear();
                lost.push((sent.number, std::mem::take(&mut sent.values)));
            }
        }
        lost.reverse();
        for (pace, newest) in reader.paces.iter_mut().zip(newest) {
            // Not of the oldest: its acknowledgement may have been lost.
            let Some((number, at)) = newest else { continue };
            pace.patience = (now.since(at) * 2).clamp(ACK_WITHIN, ACK_WITHIN_MAX);
            pace.newest = pace.newest.max(number);
        }
        self.outbox.settle();
        if had_sweep && !self.outbox.has_sweep() {
            // Who has got everything needs the sums to know that it has.
            self.outbox.say_sums();
        }
        self.tell_again(lost);
        self.flush(now, out);
    }

    /// Packets of which nothing was heard for too long.
    pub(super) fn find_lost(&mut self, now: Instant) {
        let (mut lost, mut silent) = (Vec::new(), BTreeSet::new());
        for sent in self.outbox.sent.iter_mut().take_while(|sent| sent.at + ACK_WITHIN <= now) {
            let mut is_lost = false;
            for node in &sent.waits {
                let Some(reader) = self.readers.get_mut(node) else { continue };
                let pace = reader.paces[usize::from(sent.bulk)];
                if sent.at + pace.patience <= now {
                    is_lost = true;
                    reader.miss(now);
                    if pace.newest < sent.number {
                        silent.insert((*node, sent.bulk));
                    }
                }
            }
            if is_lost {
                sent.waits.clear();
                lost.push((sent.number, std::mem::take(&mut sent.values)));
            }
        }
        self.outbox.settle();
        // Who has acknowledged later ones has lost it. Others are perhaps late, and come to be waited for: their
        // answer to what is told again shows which.
        if self.tell_again(lost) {
            for (node, bulk) in silent {
                let Some(reader) = self.readers.get_mut(&node) else { continue };
                let pace = &mut reader.paces[usize::from(bulk)];
                pace.patience = (pace.patience * 2).min(ACK_WITHIN_MAX);
            }
        }
    }

    /// Tells the flows of lost packets as they were told last, if they were not told since; whether there was
    /// anything to tell.
    fn tell_again(&mut self, lost: Vec<(u64, Vec<u8>)>) -> bool {
        let mut told = false;
        for (number, values) in lost {
            self.counters.lost += 1;
            for value in tlv::Reader::new(&values).map_while(Result::ok) {
                told |= self.tell_value_again(number, value);
            }
        }
        told
    }

    fn tell_value_again(&mut self, number: u64, value: tlv::Tlv<'_>) -> bool {
        let key = match value.kind {
            FLOW => flow_bytes::decode(value.value).map(|flow| flow.key),
            GONE | DISOWNED => flow_bytes::decode_key(value.value),
            // Sums and details are asked for anew; what is said once is said again.
            replica::SWEPT => {
                let mut word = Vec::with_capacity(value.value.len() + tlv::HEAD_LEN);
                tlv::write(&mut word, value.kind, |out| out.extend_from_slice(value.value));
                self.outbox.say(word);
                return true;
            }
            replica::ADOPTED => return self.say_adopted_again(value),
            replica::OFFER => return self.offer_again(value),
            _ => return false,
        };
        let Ok(key) = key else { return false };
        let name = self.settings.key.name(&key);
        if self.outbox.has(name) {
            return false;
        }
        let known = self.index.get(name);
        let ours = |entry: &Entry| entry.stream == self.stream() && entry.number == low(number);
        let bytes = value.value.to_vec();
        let change = match (value.kind, known) {
            (FLOW, Some(entry)) if ours(&entry) => Change::Flow { bytes, digest: entry.digest },
            (GONE | DISOWNED, None) => Change::Gone { bytes, loose: value.kind == DISOWNED },
            _ => return false,
        };
        self.counters.retold += 1;
        self.outbox.change(RETOLD_AT, name, change);
        true
    }

    /// Says again whose flows are ours, unless that has changed meanwhile.
    fn say_adopted_again(&mut self, value: tlv::Tlv<'_>) -> bool {
        let node = value.value.first_chunk().map(|hash| u32::from_be_bytes(*hash));
        let Some(node) = node.and_then(|hash| self.settings.names.node(hash)) else { return false };
        let ours = self.serving && !self.serves(stream_of(node));
        if ours {
            self.outbox.say_adopted(node);
        }
        ours
    }
}
