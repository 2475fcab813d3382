//! What the peer says.

use super::{
    Body, Change, Conntrackd, Control, Effect, Messages, OURS, THEIRS, What, is_open, wire,
};
use crate::flow::{Flow, FlowHash, FlowKey, ValueDigest};
use crate::replicate::index::{Entry, mark};
use crate::time::Instant;

impl Conntrackd {
    /// Takes a datagram; nothing in it is proven.
    pub(super) fn take_datagram(&mut self, now: Instant, bytes: &[u8], out: &mut Vec<Effect>) {
        for message in Messages::new(bytes) {
            let Ok(message) = message else {
                self.counters.refused += 1;
                return;
            };
            if !self.session.take(now, &message) {
                continue;
            }
            match message.body {
                Ok(Body::Flow(Change::Gone, attributes)) => self.take_gone(attributes, out),
                Ok(Body::Flow(_, attributes)) => self.take_flow(attributes, out),
                Ok(Body::Control(control)) => self.take_control(now, control, out),
                Ok(Body::Expectation) => self.counters.expectations += 1,
                Err(_) => self.counters.refused += 1,
            }
        }
    }

    fn take_control(&mut self, now: Instant, control: Control, out: &mut Vec<Effect>) {
        match control {
            Control::Alive => {}
            Control::Ack(from, to) => self.session.take_ack(from, to),
            Control::Nack(from, to) => {
                for what in self.session.take_nack(from, to) {
                    match what {
                        What::Control(Control::Alive) => {}
                        What::Control(_) => self.session.say(now, what, out),
                        What::Flow { .. } => self.tell_again(now, what),
                    }
                }
            }
            Control::Resync => self.bulk_wanted |= self.serving || self.own_flows() > 0,
        }
    }

    fn take_flow(&mut self, attributes: &[u8], out: &mut Vec<Effect>) {
        let Ok(flow) = wire::decode(attributes) else {
            self.counters.refused += 1;
            return;
        };
        self.rounds.note_answer();
        let name = self.settings.key.name(&flow.key);
        let known = self.index.get(name);
        if known.is_some_and(|entry| entry.stream == OURS) && self.serving {
            self.counters.collided += 1;
            return;
        }
        if !is_open(&flow) {
            // What is not established is not worth a copy; what is closed is none any more.
            if known.is_some_and(|entry| entry.stream == THEIRS) {
                self.forget(name, flow.key, out);
            }
            return;
        }
        self.copy(name, known, flow, out);
    }

    fn copy(&mut self, name: FlowHash, known: Option<Entry>, flow: Flow, out: &mut Vec<Effect>) {
        let digest = self.settings.key.value(&flow);
        let known = known.filter(|entry| entry.stream == THEIRS);
        let marks = self.pass.seen;
        let number = self.rounds.number();
        self.index.put(name, Entry { digest, number, stream: THEIRS, marks });
        match known {
            Some(entry) if entry.marks & mark::AGED != 0 => out.push(Effect::Replace(flow)),
            Some(entry) if entry.digest == digest => {}
            Some(_) | None => out.push(Effect::Put(flow)),
        }
    }

    fn take_gone(&mut self, attributes: &[u8], out: &mut Vec<Effect>) {
        let Ok(key) = wire::decode_key(attributes) else {
            self.counters.refused += 1;
            return;
        };
        let name = self.settings.key.name(&key);
        match self.index.get(name) {
            Some(entry) if entry.stream == OURS => {
                self.counters.collided += 1;
                if self.serving {
                    // The end of its copy, or the flush of its table. It lacks what we have.
                    self.index.put(name, Entry { digest: ValueDigest(0), number: 0, ..entry });
                    out.push(Effect::Look(key));
                }
            }
            Some(_) => self.forget(name, key, out),
            // What a former process of ours has left.
            None if !self.serving => out.push(Effect::Delete(key)),
            None => {}
        }
    }

    fn forget(&mut self, name: FlowHash, key: FlowKey, out: &mut Vec<Effect>) {
        self.index.remove(name);
        out.push(Effect::Delete(key));
    }
}
