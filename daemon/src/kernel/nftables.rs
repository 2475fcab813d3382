//! nftables, as far as we need it: tables that belong to the socket that made them.
//!
//! The kernel removes such a table when the socket closes, however the process ends, and nobody else's
//! `flush ruleset` takes it away. Needs `CAP_NET_ADMIN` and Linux 5.12.

use super::error::NetlinkError;
use super::netlink_socket::{DATAGRAM_MAX, NetlinkSocket};
use super::requests::{read_verdict, receive};
use super::rtnetlink::encode::Requests;
use super::rtnetlink::parse::Messages;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = (SUBSYSTEM << 8) | 3;
const NEW_RULE: u16 = (SUBSYSTEM << 8) | 6;
const NEW_SET: u16 = (SUBSYSTEM << 8) | 9;
const NEW_ELEMENTS: u16 = (SUBSYSTEM << 8) | 12;
/// The table sees IPv4 and IPv6.
const FAMILY_INET: u8 = 1;
const TABLE_OWNED_BY_SOCKET: u32 = 2;
const OPERATOR_EQUAL: u32 = 0;
const REGISTER_OF_VERDICTS: u32 = 0;

/// The first register; each has 16 bytes, and the next follows it.
pub(super) const REGISTER: u32 = 1;
/// The second register.
pub(super) const REGISTER_2: u32 = 2;

/// Where packets are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hook {
    /// All that come in, before anything is decided.
    Prerouting = 0,
    /// Those that are for this machine.
    Input = 1,
    /// Those that it has made.
    Output = 3,
}

/// What a rule says of a packet in the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is gone.
    Drop = 0,
    /// This chain lets it pass.
    Accept = 1,
}

/// A table of ours; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct OwnedTable {
    owner: NetlinkSocket,
    name: String,
}

impl OwnedTable {
    /// Makes a table with all that `fill` writes, or nothing, in the calling thread's network namespace.
    pub(super) fn make(
        name: String,
        fill: impl FnOnce(&mut Batch<'_>),
    ) -> Result<Self, NetlinkError> {
        let owner = NetlinkSocket::for_requests(libc::NETLINK_NETFILTER)
            .map_err(|error| NetlinkError::from_call(&error))?;
        let table = Self { owner, name };
        table.change(|batch| {
            batch.message(NEW_TABLE, 0, |message| {
                text(message, 1, &table.name);
                number(message, 2, TABLE_OWNED_BY_SOCKET);
            });
            fill(batch);
        })?;
        Ok(table)
    }

    /// Adds what `fill` writes, or nothing.
    pub(super) fn change(&self, fill: impl FnOnce(&mut Batch<'_>)) -> Result<(), NetlinkError> {
        let mut batch = Batch { requests: Requests::default(), table: &self.name, answers: 0 };
        batch.mark(BATCH_BEGIN);
        fill(&mut batch);
        batch.mark(BATCH_END);
        let sent = self.owner.send(batch.requests.bytes());
        sent.map_err(|error| NetlinkError::from_call(&error))?;
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut missing = batch.answers;
        while missing > 0 {
            for message in Messages::new(receive(&self.owner, &mut buffer)?) {
                let message = message.map_err(|_| NetlinkError::Malformed)?;
                // One failure undoes the whole batch.
                read_verdict(&message)?;
                missing = missing.saturating_sub(1);
            }
        }
        Ok(())
    }
}

/// Changes of a table that are made together.
#[derive(Debug)]
pub(super) struct Batch<'t> {
    requests: Requests,
    table: &'t str,
    /// How many answers there will be.
    answers: usize,
}

impl Batch<'_> {
    /// A chain that sees packets at a hook; the lower its priority, the sooner.
    pub(super) fn chain(&mut self, name: &str, hook: Hook, priority: i32) {
        let table = self.table;
        self.message(NEW_CHAIN, 0, |message| {
            text(message, 1, table);
            text(message, 3, name);
            message.nested(4, |place| {
                number(place, 1, hook as u32);
                number(place, 2, priority.cast_unsigned());
            });
            text(message, 7, "filter");
        });
    }

    /// A rule at the end of a chain, as the kernel's own little instructions.
    pub(super) fn rule(&mut self, chain: &str, write: impl FnOnce(&mut Requests)) {
        let table = self.table;
        self.message(NEW_RULE, libc::NLM_F_APPEND, |message| {
            text(message, 1, table);
            text(message, 2, chain);
            message.nested(4, write);
        });
    }

    /// A set of keys of `length` bytes; `kind` tells `nft list` how to show them. `id` is its own in the batch.
    pub(super) fn set(&mut self, name: &str, kind: u32, length: u32, id: u32) {
        let table = self.table;
        self.message(NEW_SET, 0, |message| {
            text(message, 1, table);
            text(message, 2, name);
            number(message, 3, 0);
            number(message, 4, kind);
            number(message, 5, length);
            number(message, 10, id);
        });
    }

    /// Keys of a set: as many as fit an attribute of 64 KiB.
    pub(super) fn elements(&mut self, set: &str, keys: &[Vec<u8>]) {
        let table = self.table;
        self.message(NEW_ELEMENTS, 0, |message| {
            text(message, 1, table);
            text(message, 2, set);
            message.nested(3 | NESTED, |list| {
                for key in keys {
                    list.nested(1 | NESTED, |element| {
                        element.nested(1 | NESTED, |data| data.attribute(1, key));
                    });
                }
            });
        });
    }

    fn message(&mut self, kind: u16, flags: i32, write: impl FnOnce(&mut Requests)) {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_ACK | flags;
        self.requests.message(kind, flags, 1, &family_header(FAMILY_INET, 0), write);
        self.answers += 1;
    }

    fn mark(&mut self, kind: u16) {
        self.requests.message(kind, 0, 0, &family_header(0, SUBSYSTEM), |_| {});
    }
}

const NESTED: u16 = 1 << 15;

/// Loads what the kernel knows of a packet into a register.
pub(super) fn meta(expressions: &mut Requests, key: u32, register: u32) {
    expression(expressions, "meta", |meta| {
        number(meta, 1, register);
        number(meta, 2, key);
    });
}

/// Loads bytes of a packet into a register. `base`: 1 is the IP header, 2 what follows it.
pub(super) fn payload(
    expressions: &mut Requests,
    register: u32,
    (base, offset, length): (u32, u32, u32),
) {
    expression(expressions, "payload", |payload| {
        number(payload, 1, register);
        number(payload, 2, base);
        number(payload, 3, offset);
        number(payload, 4, length);
    });
}

/// The rule ends here unless the first register has this value.
pub(super) fn compare(expressions: &mut Requests, value: &[u8]) {
    expression(expressions, "cmp", |cmp| {
        number(cmp, 1, REGISTER);
        number(cmp, 2, OPERATOR_EQUAL);
        cmp.nested(3, |data| data.attribute(1, value));
    });
}

/// The rule ends here unless the set has what the registers from the first one on have.
pub(super) fn lookup(expressions: &mut Requests, set: &str) {
    expression(expressions, "lookup", |lookup| {
        text(lookup, 1, set);
        number(lookup, 2, REGISTER);
    });
}

/// What becomes of the packet.
pub(super) fn verdict(expressions: &mut Requests, verdict: Verdict) {
    expression(expressions, "immediate", |immediate| {
        number(immediate, 1, REGISTER_OF_VERDICTS);
        immediate.nested(2 | NESTED, |data| {
            data.nested(2 | NESTED, |code| number(code, 1, verdict as u32));
        });
    });
}

/// One instruction by its name.
pub(super) fn expression(expressions: &mut Requests, name: &str, fill: impl FnOnce(&mut Requests)) {
    expressions.nested(1 | NESTED, |element| {
        text(element, 1, name);
        element.nested(2 | NESTED, fill);
    });
}

/// The family, a version (0), and for a batch's ends the subsystem it speaks to.
fn family_header(family: u8, subsystem: u16) -> [u8; 4] {
    let [high, low] = subsystem.to_be_bytes();
    [family, 0, high, low]
}

fn text(message: &mut Requests, kind: u16, value: &str) {
    let mut bytes = value.as_bytes().to_vec();
    bytes.push(0);
    message.attribute(kind, &bytes);
}

/// Numbers of nftables are big-endian, unlike those of rtnetlink.
fn number(message: &mut Requests, kind: u16, value: u32) {
    message.attribute(kind, &value.to_be_bytes());
}
