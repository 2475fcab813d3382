//! Changes to the table of connections, many at a time.
//!
//! A batch is one call. The kernel has done all of it when the call returns, and has told what failed;
//! success needs no words. What failed for a reason that can be mended is tried again, in the
//! way that `repair` says; that is rare, so the usual path stays short.

use std::net::{IpAddr, Ipv4Addr};

use evergate_core::flow::{Flow, FlowKey, Part, Tuple, Zones, protocol};
use nix::errno::Errno;

use super::decode::{Message, messages};
use super::encode::{self, Omit};
use crate::kernel::error::NetlinkError;
use crate::kernel::netlink_socket::{DATAGRAM_MAX, NetlinkSocket};
use crate::kernel::requests::receive_if_any;
use crate::kernel::rtnetlink::encode::Requests;
use crate::kernel::rtnetlink::parse::{Message as Answer, Messages};
use crate::sys::option::bound_address;

mod expect;
mod repair;

pub use expect::{GRACE_S, LISTED_MAX};
use repair::{Attempt, Held, Way};

/// The most messages in one call: more gain nothing and hold the kernel's lock for longer.
pub const BATCH_MAX: usize = 128;
/// The most messages that one attempt needs: two are removed and one is made.
const ATTEMPT_MESSAGES_MAX: usize = 3;
/// How often an operation is tried. Each part of a flow that the kernel may refuse costs one.
const ROUNDS_MAX: usize = 6;

/// A key that no connection has.
const NOWHERE: FlowKey = FlowKey {
    original: Tuple {
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        target: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        protocol: protocol::UDP,
        part: Part::Ports { source: 0, target: 0 },
    },
    zones: Zones { original: 0, reply: 0 },
};

/// A change to the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// The table is to have this flow, for so many seconds from now.
    Put(Flow, u32),
    /// The flow is to be gone.
    Delete(FlowKey),
    /// The flow, which must be there, is to be forgotten after so many seconds from now.
    SetTimeout(FlowKey, u32),
    /// The windows of the TCP flow, which must be there, are to be checked, or not.
    CheckWindows(FlowKey, bool),
}

/// What has become of some operations.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// How many were done.
    pub done: usize,
    /// Those that were not, in their order.
    pub failures: Vec<Failure>,
}

/// An operation that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Its place among the operations.
    pub index: usize,
    /// The kernel's reason. `ENOBUFS`, `EBADMSG`: its answers were lost or made no sense, and it may or may
    /// not have done it.
    pub errno: Errno,
}

/// A door to the table for changes. Every call waits for the kernel, which may hold a lock of its
/// own for long: never call from a thread that must not be late.
#[derive(Debug)]
pub struct Injector {
    socket: NetlinkSocket,
    port: u32,
    buffer: Box<[u8]>,
    requests: Requests,
    sequence: u32,
    /// What is never sent.
    omit: Omit,
}

impl Injector {
    /// Opens the door in the calling thread's network namespace. Needs `CAP_NET_ADMIN`.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = NetlinkSocket::for_changes(libc::NETLINK_NETFILTER)
            .map_err(|error| NetlinkError::from_call(&error))?;
        let address = bound_address(&socket).map_err(|error| NetlinkError::from_call(&error))?;
        let port = address.as_netlink_port().ok_or(NetlinkError::Malformed)?;
        let buffer = vec![0; DATAGRAM_MAX].into_boxed_slice();
        let (requests, omit) = (Requests::default(), Omit::default());
        let mut door = Self { socket, port, buffer, requests, sequence: 0, omit };
        // Of a batch that is not permitted only the first message is answered: ask now.
        door.look_up(std::iter::once(&NOWHERE))?;
        Ok(door)
    }

    /// Whether windows of TCP are checked from the first packet on in flows that are put from now on.
    pub fn set_strict(&mut self, strict: bool) {
        self.omit = if strict { Omit::LIBERAL } else { Omit::default() };
    }

    /// The netlink port of this door: news of the table that carry it tell of our own changes.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Carries out operations in their order, but for those that had to be mended: they are late by
    /// up to [`BATCH_MAX`] operations. One that fails does not stop the rest; answers that are lost do.
    pub fn apply(&mut self, operations: &[Operation]) -> Report {
        let mut failures = Vec::new();
        let mut trouble = None;
        for (number, batch) in operations.chunks(BATCH_MAX).enumerate() {
            let first = number * BATCH_MAX;
            let mut fail = |index: usize, errno| {
                failures.push(Failure { index: first + index, errno });
            };
            let result = match trouble {
                Some(errno) => Err(errno),
                None => self.batch(batch, &mut fail),
            };
            if let Err(errno) = result {
                trouble = Some(errno);
                (0..batch.len()).for_each(|index| fail(index, errno));
            }
        }
        failures.sort_by_key(|failure| failure.index);
        // An operation of a batch that ran into trouble may have failed by itself before.
        failures.dedup_by_key(|failure| failure.index);
        Report { done: operations.len() - failures.len(), failures }
    }

    /// What the table has under a key; `None` if nothing.
    pub fn look(&mut self, key: &FlowKey) -> Result<Option<Message>, NetlinkError> {
        let found = self.look_up(std::iter::once(key))?;
        Ok(found.into_iter().next().flatten())
    }

    /// What it has under each of these keys, in their order.
    pub fn look_all<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a FlowKey>,
    ) -> Result<Vec<Option<Message>>, NetlinkError> {
        let mut keys = keys.peekable();
        let mut found = Vec::new();
        while keys.peek().is_some() {
            found.extend(self.look_up(keys.by_ref().take(BATCH_MAX))?);
        }
        Ok(found)
    }

    /// Carries out a batch, and mends what can be.
    fn batch(
        &mut self,
        operations: &[Operation],
        fail: &mut impl FnMut(usize, Errno),
    ) -> Result<(), Errno> {
        let first = |index| Attempt { omit: self.omit, ..Attempt::first(index) };
        let mut attempts: Vec<Attempt> = (0..operations.len()).map(first).collect();
        for round in 1..=ROUNDS_MAX {
            let failed = self.round(operations, &attempts)?;
            let held = self.held(operations, &failed)?;
            attempts.clear();
            for ((attempt, errno), held) in failed.into_iter().zip(held) {
                let next = match &operations[attempt.index] {
                    Operation::Put(flow, _) => repair::next(flow, attempt, errno, held),
                    _ => None,
                };
                match next {
                    Some(next) if round < ROUNDS_MAX => attempts.push(next),
                    _ => fail(attempt.index, errno),
                }
            }
            if attempts.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Makes one attempt each and returns those that failed.
    fn round(
        &mut self,
        operations: &[Operation],
        attempts: &[Attempt],
    ) -> Result<Vec<(Attempt, Errno)>, Errno> {
        let is_plain = attempts.iter().all(|attempt| attempt.way != Way::Replace);
        let share = if is_plain { BATCH_MAX } else { BATCH_MAX / ATTEMPT_MESSAGES_MAX };
        let mut failed = Vec::new();
        for attempts in attempts.chunks(share) {
            let first = self.sequence.wrapping_add(1);
            self.requests.clear();
            // Which attempt a message belongs to; what only clears the way for one does not count.
            let mut owners = Vec::with_capacity(BATCH_MAX);
            for attempt in attempts {
                let operation = &operations[attempt.index];
                if let (Operation::Put(flow, _), Way::Replace) = (operation, attempt.way) {
                    let sequence = self.next_sequence();
                    encode::delete(&mut self.requests, sequence, &flow.key);
                    let sequence = self.next_sequence();
                    encode::delete_by_reply(&mut self.requests, sequence, flow);
                    owners.extend([None, None]);
                }
                let sequence = self.next_sequence();
                repair::write(&mut self.requests, sequence, operation, attempt);
                owners.push(Some(*attempt));
            }
            self.carry_out(first, |position, errno| {
                let Some(Some(attempt)) = owners.get(position) else { return };
                let was_gone = errno == Errno::ENOENT
                    && matches!(operations[attempt.index], Operation::Delete(_));
                if !was_gone {
                    failed.push((*attempt, errno));
                }
            })?;
        }
        Ok(failed)
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends what was written, the first with the number `first`, and tells the place of what failed.
    fn carry_out(&mut self, first: u32, mut failed: impl FnMut(usize, Errno)) -> Result<(), Errno> {
        let exchanged = self.exchange(first, |position, answer, _| {
            if i32::from(answer.kind) == libc::NLMSG_ERROR {
                let (errno, _) = answer.verdict().map_err(|_| NetlinkError::Malformed)?;
                failed(position, Errno::from_raw(errno));
            }
            Ok(())
        });
        exchanged.map_err(|error| cause(&error))
    }

    /// Sends what was written, the first with the number `first`, and reads what the kernel has to say: each
    /// answer with the place of its request, and with the datagram that it came in.
    fn exchange(
        &mut self,
        first: u32,
        mut read: impl FnMut(usize, &Answer<'_>, &[u8]) -> Result<(), NetlinkError>,
    ) -> Result<(), NetlinkError> {
        self.socket.send(self.requests.bytes()).map_err(|error| NetlinkError::from_call(&error))?;
        while let Some(datagram) = receive_if_any(&self.socket, &mut self.buffer)? {
            for answer in Messages::new(datagram) {
                let answer = answer.map_err(|_| NetlinkError::Malformed)?;
                read(answer.sequence.wrapping_sub(first) as usize, &answer, datagram)?;
            }
        }
        Ok(())
    }

    /// What the table has where a failure may come from that.
    fn held(
        &mut self,
        operations: &[Operation],
        failed: &[(Attempt, Errno)],
    ) -> Result<Vec<Option<Held>>, Errno> {
        let asked = |(attempt, errno): &(Attempt, Errno)| match &operations[attempt.index] {
            Operation::Put(flow, _) if repair::must_look(*errno) => Some(flow),
            _ => None,
        };
        let keys = failed.iter().filter_map(asked).map(|flow| &flow.key);
        let found = self.look_up(keys).map_err(|error| cause(&error))?;
        let mut found = found.into_iter();
        let mut answer = |flow: &Flow| Held::of(flow, found.next().flatten().as_ref());
        Ok(failed.iter().map(|failure| asked(failure).map(&mut answer)).collect())
    }

    /// Asks for flows in one call, [`BATCH_MAX`] at most; the answers are in the order of the keys.
    fn look_up<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a FlowKey>,
    ) -> Result<Vec<Option<Message>>, NetlinkError> {
        self.requests.clear();
        let first = self.sequence.wrapping_add(1);
        let mut found = Vec::new();
        for key in keys {
            let sequence = self.next_sequence();
            encode::get(&mut self.requests, sequence, key);
            found.push(None);
        }
        if found.is_empty() {
            return Ok(found);
        }
        self.exchange(first, |position, answer, datagram| {
            let Some(place) = found.get_mut(position) else { return Ok(()) };
            if i32::from(answer.kind) != libc::NLMSG_ERROR {
                // Every answer comes in a datagram of its own.
                *place = messages(datagram).flatten().next();
            } else if answer.verdict().is_ok_and(|(errno, _)| errno == libc::EPERM) {
                return Err(NetlinkError::NotPermitted);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

fn cause(error: &NetlinkError) -> Errno {
    match error {
        NetlinkError::Silent => Errno::ETIMEDOUT,
        NetlinkError::Overflow => Errno::ENOBUFS,
        NetlinkError::NotPermitted => Errno::EPERM,
        NetlinkError::Socket(errno) => *errno,
        _ => Errno::EBADMSG,
    }
}
