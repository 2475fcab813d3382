//! Messages of ctnetlink, read whole: which connection, what has become of it, what is told of it.

use std::fmt;

use evergate_core::flow::{Extra, Flow, FlowKey, State, Tuple, Zones, protocol, status, tcp};

use super::attributes as a;
use crate::kernel::rtnetlink::parse::Attributes;

mod expectation;
mod frame;
mod protocol_info;
#[cfg(test)]
pub(super) mod recorded;
#[cfg(test)]
mod tests;
mod tuple;

pub use expectation::{Expected, decode_expectation};
pub use frame::{Frame, Frames, Messages, News, NewsOf};

/// The bytes of the family header (`nfgenmsg`) in front of the attributes.
const FAMILY_HEADER_BYTES: usize = 4;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_EXCL: u16 = 0x200;

/// What has become of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// It has come into the table.
    New,
    /// It is in the table, and is like this: after a change, in a list, or as an answer.
    Changed,
    /// It has left the table.
    Destroyed,
}

/// A set of the parts of a flow that a message has told. Key and reply are always told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Present(u16);

impl Present {
    /// The status bits.
    pub const STATUS: Present = Present(1 << 0);
    /// The timeout, where it is that of the protocol and not that of a flow table.
    pub const TIMEOUT: Present = Present(1 << 1);
    /// What the protocol remembers; of TCP at least the state.
    pub const PROTOCOL_INFO: Present = Present(1 << 2);
    /// Flags and window scales of TCP. The end of a connection is told without.
    pub const WINDOW: Present = Present(1 << 3);
    /// The packet mark. Where it is 0, it is often left out.
    pub const MARK: Present = Present(1 << 4);
    /// The labels.
    pub const LABELS: Present = Present(1 << 5);
    /// The helper's name.
    pub const HELPER: Present = Present(1 << 6);
    /// The connection that has expected this one: told once, when it begins, and in lists.
    pub const MASTER: Present = Present(1 << 7);
    /// The adjustments of sequence numbers.
    pub const ADJUSTMENTS: Present = Present(1 << 8);
    /// What a SYN proxy remembers.
    pub const SYNPROXY: Present = Present(1 << 9);
    /// That addresses are translated, by the status bits; the reply tuple says how.
    pub const NAT: Present = Present(1 << 10);

    /// Whether all of `parts` are in the set.
    pub fn has(self, parts: Present) -> bool {
        self.0 & parts.0 == parts.0
    }

    /// The set with `parts`.
    #[must_use]
    pub fn and(self, parts: Present) -> Present {
        Present(self.0 | parts.0)
    }

    fn add(&mut self, parts: Present) {
        self.0 |= parts.0;
    }
}

/// One message about one connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// What has become of the connection.
    pub what: What,
    /// The netlink port of who caused it; 0 is a packet or a timer. In a list or an answer: ours.
    pub port: u32,
    /// The kernel's number of the connection, where it is told.
    pub id: Option<u32>,
    /// All status bits, as told.
    pub status: u32,
    /// The connection, as far as it is told.
    pub flow: Flow,
    /// How far that is.
    pub present: Present,
}

impl Message {
    /// Whether its packets pass by a flow table: the kernel then tells no state and no timeout.
    pub fn is_offloaded(&self) -> bool {
        self.status & a::IPS_OFFLOAD != 0
    }
}

/// Whether a message alone is enough to make the connection elsewhere, as far as the message itself
/// tells. If not, ask the kernel for it.
pub fn is_complete(message: &Message) -> bool {
    let needs = |bit: u32, part: Present| message.status & bit == 0 || message.present.has(part);
    needs(status::EXPECTED, Present::MASTER) && needs(status::SEQ_ADJUST, Present::ADJUSTMENTS)
}

/// Why bytes are not a message about a connection. All of them are a bug, here or in the kernel,
/// but for [`DecodeError::Foreign`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// A message about something else.
    Foreign,
    /// It ends before it should, or an attribute claims more than there is.
    Cut,
    /// A tuple that is needed is missing: the type of its attribute.
    NoTuple(u16),
    /// A tuple without two addresses of one family, or the tuples are of two families.
    Addresses,
    /// A tuple without its protocol, or without the ports or numbers that the protocol needs.
    Part,
    /// An attribute of the wrong length: its type, at its own level.
    Attribute(u16),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("is not about a connection"),
            Self::Cut => f.write_str("is cut short"),
            Self::NoTuple(kind) => write!(f, "lacks the tuple of attribute {kind}"),
            Self::Addresses => f.write_str("has a tuple without two addresses of one family"),
            Self::Part => f.write_str("has a tuple without its protocol or its ports"),
            Self::Attribute(kind) => write!(f, "has an attribute {kind} of the wrong length"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// The messages in a datagram. A broken one is told; what follows it is still read, as long as the
/// lengths make sense.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages::new(datagram)
}

/// Reads one message.
pub fn decode(frame: &Frame<'_>) -> Result<Message, DecodeError> {
    let what = match frame.kind {
        a::IPCTNL_MSG_CT_DELETE => What::Destroyed,
        a::IPCTNL_MSG_CT_NEW if frame.flags & (NLM_F_CREATE | NLM_F_EXCL) != 0 => What::New,
        a::IPCTNL_MSG_CT_NEW => What::Changed,
        _ => return Err(DecodeError::Foreign),
    };
    let bytes = frame.payload.get(FAMILY_HEADER_BYTES..).ok_or(DecodeError::Cut)?;
    let mut draft = Draft::default();
    each(bytes, |kind, value| draft.take(kind, value))?;
    draft.finish(what, frame.port)
}

/// Calls `take` for each attribute in a row; a row that does not end where it should is an error.
fn each<'a>(
    bytes: &'a [u8],
    mut take: impl FnMut(u16, &'a [u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    const ATTRIBUTE_HEADER_BYTES: usize = 4;
    let mut read = 0;
    for (kind, value) in Attributes::new(bytes) {
        read += (ATTRIBUTE_HEADER_BYTES + value.len()).next_multiple_of(4);
        take(kind, value)?;
    }
    if read >= bytes.len() { Ok(()) } else { Err(DecodeError::Cut) }
}

/// The value of an attribute that has exactly `N` bytes.
fn fixed<const N: usize>(kind: u16, value: &[u8]) -> Result<[u8; N], DecodeError> {
    value.try_into().map_err(|_| DecodeError::Attribute(kind))
}

fn byte(kind: u16, value: &[u8]) -> Result<u8, DecodeError> {
    fixed::<1>(kind, value).map(|[byte]| byte)
}

fn short(kind: u16, value: &[u8]) -> Result<u16, DecodeError> {
    fixed(kind, value).map(u16::from_be_bytes)
}

fn word(kind: u16, value: &[u8]) -> Result<u32, DecodeError> {
    fixed(kind, value).map(u32::from_be_bytes)
}

/// What has been read of a message so far.
#[derive(Default)]
struct Draft {
    original: Option<Tuple>,
    reply: Option<Tuple>,
    zones: Zones,
    status: u32,
    timeout: u32,
    mark: u32,
    id: Option<u32>,
    state: Option<State>,
    extra: Extra,
    present: Present,
}

impl Draft {
    fn take(&mut self, kind: u16, value: &[u8]) -> Result<(), DecodeError> {
        match kind {
            a::CTA_TUPLE_ORIG => {
                let (tuple, zone) = tuple::read(value)?;
                self.original = Some(tuple);
                self.zones.original = zone.unwrap_or(self.zones.original);
            }
            a::CTA_TUPLE_REPLY => {
                let (tuple, zone) = tuple::read(value)?;
                self.reply = Some(tuple);
                self.zones.reply = zone.unwrap_or(self.zones.reply);
            }
            a::CTA_TUPLE_MASTER => {
                self.extra.master = Some(tuple::read(value)?.0);
                self.present.add(Present::MASTER);
            }
            a::CTA_ZONE => {
                let zone = short(kind, value)?;
                self.zones = Zones { original: zone, reply: zone };
            }
            a::CTA_STATUS => {
                self.status = word(kind, value)?;
                self.present.add(Present::STATUS);
            }
            a::CTA_TIMEOUT => {
                self.timeout = word(kind, value)?;
                self.present.add(Present::TIMEOUT);
            }
            a::CTA_MARK => {
                self.mark = word(kind, value)?;
                self.present.add(Present::MARK);
            }
            a::CTA_ID => self.id = Some(word(kind, value)?),
            a::CTA_PROTOINFO => self.state = protocol_info::state(value, &mut self.present)?,
            _ => protocol_info::extra(kind, value, &mut self.extra, &mut self.present)?,
        }
        Ok(())
    }

    fn finish(mut self, what: What, port: u32) -> Result<Message, DecodeError> {
        let original = self.original.ok_or(DecodeError::NoTuple(a::CTA_TUPLE_ORIG))?;
        let reply = self.reply.ok_or(DecodeError::NoTuple(a::CTA_TUPLE_REPLY))?;
        if original.family() != reply.family() {
            return Err(DecodeError::Addresses);
        }
        if self.status & (status::SRC_NAT | status::DST_NAT) != 0 {
            self.present.add(Present::NAT);
        }
        if self.status & a::IPS_OFFLOAD != 0 {
            self.mend_offloaded(original.protocol);
        }
        let is_plain = self.extra == Extra::default();
        let flow = Flow {
            key: FlowKey { original, zones: self.zones },
            reply,
            status: self.status & status::REPLICATED,
            timeout: self.timeout,
            mark: self.mark,
            state: self.state.unwrap_or(State::None),
            extra: if is_plain { None } else { Some(Box::new(self.extra)) },
        };
        let Draft { id, status, present, .. } = self;
        Ok(Message { what, port, id, status, flow, present })
    }

    /// The timeout of an offloaded connection is the flow table's, one day or none: it says nothing
    /// of the connection. Only established ones are offloaded, and nobody watches their windows.
    fn mend_offloaded(&mut self, number: u8) {
        self.timeout = 0;
        self.present.0 &= !Present::TIMEOUT.0;
        if number == protocol::TCP && self.state.is_none() {
            let (state, flags) = (tcp::ESTABLISHED, [tcp::FLAG_LIBERAL; 2]);
            self.state = Some(State::Tcp { state, flags, scales: [0; 2] });
        }
    }
}
