//! The datagrams of Debian's conntrackd, protocol version 1 (every release since 0.9.9).
//!
//! ```text
//!  version, type | flags | length (16) | sequence (32) | from (32), to (32) of a control, or attributes
//!
//!  an attribute: length with these four bytes (16) | number (16) | value | zeros up to four bytes
//! ```
//!
//! A datagram is a row of messages. Numbers are big endian, but for three values that conntrackd swaps
//! once too often on little-endian machines: translated ports and identifiers of ICMP. Nothing is
//! authenticated, so a reader must expect anything.

use super::bytes::Bytes;
use super::cause::causes;

mod attribute;
mod flow;

pub use flow::{decode, decode_key, encode, encode_key};

/// The version of the protocol.
const VERSION: u8 = 1;
/// The bytes in front of every message.
pub const HEAD_LEN: usize = 8;
/// The bytes of a control that names a range of sequence numbers.
const RANGE_LEN: usize = 16;
/// The most bytes of messages that we put into one datagram: it fits an Ethernet frame with IPv6.
pub const DATAGRAM_MAX: usize = 1_400;
/// The most bytes that a datagram of conntrackd can have.
pub const RECEIVE_MAX: usize = 65_536;

/// The type of a control; below are the types of flows and expectations.
const CONTROL: u8 = 10;
/// The highest type of a flow.
const FLOW_MAX: u8 = 2;
/// The highest type of an expectation.
const EXPECTATION_MAX: u8 = 5;

/// The flags of a message.
pub mod flag {
    /// All flows are wanted.
    pub const RESYNC: u8 = 0x02;
    /// These messages have not come.
    pub const NACK: u8 = 0x04;
    /// These messages have come.
    pub const ACK: u8 = 0x08;
    /// Nothing but a sign of life.
    pub const ALIVE: u8 = 0x10;
    /// The sender has begun and waits for an answer; with any message.
    pub const HELLO: u8 = 0x20;
    /// The answer to it; with any message.
    pub const HELLO_BACK: u8 = 0x40;
    /// Those that any message may have.
    pub const GREETINGS: u8 = HELLO | HELLO_BACK;
}

causes! {
    /// Why a message of conntrackd was refused.
    Reject {
        /// It ends within a field.
        Truncated = "conntrackd-truncated",
        /// It is of another version of the protocol.
        Version = "conntrackd-version",
        /// Its length cannot be.
        Length = "conntrackd-length",
        /// Its type is unknown, or its flags do not fit the type.
        Type = "conntrackd-type",
        /// An attribute has a length that it cannot have.
        Attribute = "conntrackd-attribute",
        /// What names a flow is missing, or contradicts itself.
        Flow = "conntrackd-flow",
    }
}

/// What happened to a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It replaces whatever the receiver has under its name.
    New,
    /// It is merged with what the receiver has.
    Update,
    /// It is gone.
    Gone,
}

/// What a message that is no flow says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    /// A sign of life.
    Alive,
    /// Messages from the first to the second number have come.
    Ack(u32, u32),
    /// Messages from the first to the second number have not come.
    Nack(u32, u32),
    /// All flows are wanted.
    Resync,
}

/// The inside of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body<'a> {
    /// A flow: its attributes, see [`decode`] and [`decode_key`].
    Flow(Change, &'a [u8]),
    /// Something about an expected connection, which we do not read.
    Expectation,
    /// A control.
    Control(Control),
}

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// [`flag::HELLO`] and [`flag::HELLO_BACK`].
    pub greetings: u8,
    /// Its number.
    pub sequence: u32,
    /// What it says, or why that was refused: its number counts all the same.
    pub body: Result<Body<'a>, Reject>,
}

/// The messages of a datagram in their order. After one whose end is unknown there are no more.
#[derive(Clone, Debug)]
pub struct Messages<'a>(Bytes<'a>);

impl<'a> Messages<'a> {
    /// Reads the messages that fill a datagram.
    pub fn new(datagram: &'a [u8]) -> Messages<'a> {
        Messages(Bytes(datagram))
    }

    fn read(&mut self) -> Result<Message<'a>, Reject> {
        let whole = self.0.0;
        let [first, flags] = self.0.array().ok_or(Reject::Truncated)?;
        let length = usize::from(self.0.u16().ok_or(Reject::Truncated)?);
        let sequence = self.0.u32().ok_or(Reject::Truncated)?;
        if first >> 4 != VERSION {
            return Err(Reject::Version);
        }
        if length < HEAD_LEN || length > whole.len() {
            return Err(Reject::Length);
        }
        let (message, rest) = whole.split_at(length);
        self.0 = Bytes(rest);
        let inside = message.get(HEAD_LEN..).unwrap_or_default();
        let body = body(first & 0x0f, flags & !flag::GREETINGS, inside);
        Ok(Message { greetings: flags & flag::GREETINGS, sequence, body })
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Reject>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let next = self.read();
        if next.is_err() {
            self.0 = Bytes(&[]);
        }
        Some(next)
    }
}

fn body(kind: u8, flags: u8, inside: &[u8]) -> Result<Body<'_>, Reject> {
    if kind <= EXPECTATION_MAX && flags == 0 {
        return Ok(match kind {
            0 => Body::Flow(Change::New, inside),
            1 => Body::Flow(Change::Update, inside),
            FLOW_MAX => Body::Flow(Change::Gone, inside),
            _ => Body::Expectation,
        });
    }
    if kind != CONTROL {
        return Err(Reject::Type);
    }
    if flags & (flag::ACK | flag::NACK | flag::RESYNC) == 0 {
        return Ok(Body::Control(Control::Alive));
    }
    let mut rest = Bytes(inside);
    let (from, to) = rest.u32().zip(rest.u32()).ok_or(Reject::Length)?;
    Ok(Body::Control(match flags {
        flags if flags & flag::ACK != 0 => Control::Ack(from, to),
        flags if flags & flag::NACK != 0 => Control::Nack(from, to),
        _ => Control::Resync,
    }))
}

/// Appends a control.
pub fn write_control(control: Control, greetings: u8, sequence: u32, out: &mut Vec<u8>) {
    let (flags, range) = match control {
        Control::Alive => (flag::ALIVE, None),
        Control::Ack(from, to) => (flag::ACK, Some((from, to))),
        Control::Nack(from, to) => (flag::NACK, Some((from, to))),
        Control::Resync => (flag::RESYNC, Some((0, 0))),
    };
    let length = if range.is_some() { RANGE_LEN } else { HEAD_LEN };
    write_head(CONTROL, flags | greetings & flag::GREETINGS, length, sequence, out);
    if let Some((from, to)) = range {
        out.extend(from.to_be_bytes());
        out.extend(to.to_be_bytes());
    }
}

/// Appends a flow, given by its attributes from [`encode`] or [`encode_key`].
pub fn write_flow(
    change: Change,
    attributes: &[u8],
    greetings: u8,
    sequence: u32,
    out: &mut Vec<u8>,
) {
    let kind = match change {
        Change::New => 0,
        Change::Update => 1,
        Change::Gone => 2,
    };
    let length = HEAD_LEN + attributes.len();
    write_head(kind, greetings & flag::GREETINGS, length, sequence, out);
    out.extend_from_slice(attributes);
}

fn write_head(kind: u8, flags: u8, length: usize, sequence: u32, out: &mut Vec<u8>) {
    out.extend([VERSION << 4 | kind, flags]);
    // Attributes of a flow have 1,300 bytes at most.
    out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(sequence.to_be_bytes());
}

#[cfg(test)]
mod tests;
