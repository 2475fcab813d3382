//! Netlink messages in a datagram, with the port of who caused them.

use super::{DecodeError, Expected, Message, decode, decode_expectation};
use crate::kernel::conntrack::attributes as a;

const HEADER_BYTES: usize = 16;
const ALIGNMENT: usize = 4;
/// The bits of a type that name the subsystem.
const SUBSYSTEM: u16 = 0xff00;

/// One netlink message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// The type: the subsystem in the upper byte.
    pub kind: u16,
    /// The flags (`NLM_F_*`).
    pub flags: u16,
    /// The number of the request that it answers; 0 for news.
    pub sequence: u32,
    /// The port of who caused it.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The netlink messages of a datagram. After a length that makes no sense there are no more.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The messages in `datagram`.
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let whole = std::mem::take(&mut self.rest);
        let Some((frame, length)) = read(whole) else { return Some(Err(DecodeError::Cut)) };
        self.rest = whole.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(Ok(frame))
    }
}

fn read(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = *header;
    let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
    let frame = Frame {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
        port: u32::from_ne_bytes([p0, p1, p2, p3]),
        payload: bytes.get(HEADER_BYTES..length)?,
    };
    Some((frame, length))
}

/// The messages about connections in a datagram.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    frames: Frames<'a>,
}

impl<'a> Messages<'a> {
    pub(super) fn new(datagram: &'a [u8]) -> Self {
        Self { frames: Frames::new(datagram) }
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.frames.next()?.and_then(|frame| decode(&frame)))
    }
}

/// A piece of news.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// Of a connection.
    Connection(Message),
    /// Of what a connection expects.
    Expectation(Expected),
}

/// The news in a datagram.
#[derive(Clone, Debug)]
pub struct NewsOf<'a> {
    frames: Frames<'a>,
}

impl<'a> NewsOf<'a> {
    /// The news in `datagram`.
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { frames: Frames::new(datagram) }
    }
}

impl Iterator for NewsOf<'_> {
    type Item = Result<News, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = |frame: Frame<'_>| match frame.kind & SUBSYSTEM {
            a::EXPECTATIONS => decode_expectation(&frame).map(News::Expectation),
            _ => decode(&frame).map(News::Connection),
        };
        Some(self.frames.next()?.and_then(read))
    }
}
