//! What has come of peers and is not taken yet: changes go first.
//!
//! To put a packet from a reading of the table into the kernel takes a third of a millisecond, and many of
//! them are under way at once. A change that has come behind them does not wait for them; which of two
//! states of a flow is newer shows in their numbers.

use std::collections::VecDeque;

use super::Input;
use crate::ident::{Incarnation, NodeId};
use crate::wire::replica;

/// Packets that wait at most; one that finds no room is lost, and its flows are told again.
pub const INBOX_MAX: usize = 1_024;
/// Packets with changes that are taken in a turn, about 35 connections each: few, so that what they say is in
/// the kernel's table before more is taken.
pub const CHANGES_PER_TURN: usize = 16;
/// Packets from readings that are taken in a turn, behind them.
pub const BULK_PER_TURN: usize = 4;

/// Packets that wait to be taken.
#[derive(Clone, Hash, Debug, Default)]
pub struct Inbox {
    changes: VecDeque<Packet>,
    bulk: VecDeque<Packet>,
}

/// A packet that waits.
#[derive(Clone, Hash, Debug)]
struct Packet {
    from: NodeId,
    incarnation: Incarnation,
    body: Vec<u8>,
}

impl From<Packet> for Input {
    fn from(packet: Packet) -> Input {
        let Packet { from, incarnation, body } = packet;
        Input::Packet { from, incarnation, body }
    }
}

impl Inbox {
    /// Puts in a body whose seal was right; `false` if there is no room.
    pub fn put(&mut self, from: NodeId, incarnation: Incarnation, body: Vec<u8>) -> bool {
        let queue = if replica::is_bulk(&body) { &mut self.bulk } else { &mut self.changes };
        let room = queue.len() < INBOX_MAX;
        if room {
            queue.push_back(Packet { from, incarnation, body });
        }
        room
    }

    /// The next packet with changes, acknowledgements, or the like.
    pub fn next_change(&mut self) -> Option<Input> {
        self.changes.pop_front().map(Input::from)
    }

    /// The next packet from a reading of the table.
    pub fn next_bulk(&mut self) -> Option<Input> {
        self.bulk.pop_front().map(Input::from)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.bulk.is_empty()
    }
}
