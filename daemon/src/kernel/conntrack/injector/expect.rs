//! What connections expect: read, and made to be as it should.

use std::collections::BTreeSet;

use evergate_core::flow::{Expectation, Flow, FlowKey, Tuple};
use nix::errno::Errno;

use super::super::decode::{Expected, Frames, decode_expectation};
use super::super::encode;
use super::{Injector, cause};
use crate::kernel::error::NetlinkError;
use crate::kernel::requests::{read_verdict, receive};
use crate::kernel::rtnetlink::parse;

/// The most expectations that are read of one list: a kernel has few thousand.
pub const LISTED_MAX: usize = 65_536;
/// How much longer a copy of an expectation lives than the expectation itself, in seconds. Its owner
/// tells when it has gone; a copy that went first would have to be told again.
pub const GRACE_S: u32 = 30;

impl Injector {
    /// What a connection expects; nothing where it is not there.
    pub fn expectations(&mut self, master: &FlowKey) -> Result<Vec<Expectation>, NetlinkError> {
        let listed = match self.list_expectations(Some(master)) {
            Err(NetlinkError::Absent) => Vec::new(),
            other => other?,
        };
        Ok(listed.into_iter().map(|expected| expected.expectation).collect())
    }

    /// The original directions of all connections that expect something.
    pub fn expecting(&mut self) -> Result<BTreeSet<Tuple>, NetlinkError> {
        let listed = self.list_expectations(None)?;
        Ok(listed.into_iter().map(|expected| expected.master).collect())
    }

    /// Makes a connection, which must be there, expect what `flow` says and nothing else.
    pub fn set_expectations(&mut self, flow: &Flow) -> Result<(), Errno> {
        let Some(extra) = flow.extra.as_deref() else { return Ok(()) };
        let Some(helper) = &extra.helper else { return Ok(()) };
        let held = self.expectations(&flow.key).map_err(|error| cause(&error))?;
        if held.is_empty() && extra.expectations.is_empty() {
            return Ok(());
        }
        let first = self.sequence.wrapping_add(1);
        self.requests.clear();
        // What is no more wanted goes first: a helper may have room for one alone.
        for gone in held.iter().filter(|one| !has(&extra.expectations, one)) {
            let sequence = self.next_sequence();
            encode::unexpect(&mut self.requests, sequence, &flow.key, gone);
        }
        let mut made = BTreeSet::new();
        for wanted in &extra.expectations {
            if !has(&held, wanted) {
                let sequence = self.next_sequence();
                made.insert(sequence.wrapping_sub(first) as usize);
                encode::expect(&mut self.requests, sequence, &flow.key, wanted, helper);
            }
            let (sequence, timeout_s) = (self.next_sequence(), wanted.timeout + GRACE_S);
            let requests = &mut self.requests;
            encode::set_expectation_timeout(requests, sequence, &flow.key, wanted, timeout_s);
        }
        let mut refused = None;
        self.carry_out(first, |position, errno| {
            // What goes meanwhile, by its own timer, is as good as gone.
            if made.contains(&position) {
                refused.get_or_insert(errno);
            }
        })?;
        refused.map_or(Ok(()), Err)
    }

    fn list_expectations(
        &mut self,
        master: Option<&FlowKey>,
    ) -> Result<Vec<Expected>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.requests.clear();
        encode::list_expectations(&mut self.requests, self.sequence, master);
        self.socket.send(self.requests.bytes()).map_err(|error| NetlinkError::from_call(&error))?;
        let mut listed = Vec::new();
        loop {
            for frame in Frames::new(receive(&self.socket, &mut self.buffer)?) {
                let frame = frame.map_err(|_| NetlinkError::Malformed)?;
                if frame.sequence != self.sequence {
                    continue;
                }
                if matches!(i32::from(frame.kind), libc::NLMSG_DONE | libc::NLMSG_ERROR) {
                    let (kind, flags, sequence) = (frame.kind, frame.flags, frame.sequence);
                    let answer = parse::Message { kind, flags, sequence, payload: frame.payload };
                    return read_verdict(&answer).map(|()| listed);
                }
                // One that cannot be understood is not replicated.
                let expected = decode_expectation(&frame).ok();
                listed.extend(expected.filter(|_| listed.len() < LISTED_MAX));
            }
        }
    }
}

/// Whether the same is expected, however long.
fn has(all: &[Expectation], one: &Expectation) -> bool {
    all.iter().any(|other| Expectation { timeout: one.timeout, ..other.clone() } == *one)
}
