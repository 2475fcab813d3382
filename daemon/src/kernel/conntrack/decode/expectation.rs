//! Messages about what connections expect.

use evergate_core::flow::{
    EXPECTATION_FLAGS, Expectation, ExpectationMask, ExpectationNat, FUNCTION_NAME_MAX, Part, Tuple,
};

use super::super::attributes as a;
use super::{DecodeError, FAMILY_HEADER_BYTES, Frame, each, tuple, word};

/// One message about one expectation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// The netlink port of who caused it; 0 is a packet or a timer.
    pub port: u32,
    /// It has come or is there; otherwise it has gone.
    pub is_there: bool,
    /// The original direction of the connection that expects it. The kernel does not tell its zone.
    pub master: Tuple,
    /// What is expected.
    pub expectation: Expectation,
}

/// Reads one message.
pub fn decode_expectation(frame: &Frame<'_>) -> Result<Expected, DecodeError> {
    let is_there = match frame.kind {
        a::IPCTNL_MSG_EXP_NEW => true,
        a::IPCTNL_MSG_EXP_DELETE => false,
        _ => return Err(DecodeError::Foreign),
    };
    let bytes = frame.payload.get(FAMILY_HEADER_BYTES..).ok_or(DecodeError::Cut)?;
    let mut draft = Draft::default();
    each(bytes, |kind, value| draft.take(kind, value))?;
    draft.finish(frame.port, is_there)
}

/// What has been read so far.
#[derive(Default)]
struct Draft {
    master: Option<Tuple>,
    tuple: Option<Tuple>,
    mask: Option<Tuple>,
    nat: Option<(Tuple, bool)>,
    function: Vec<u8>,
    class: u8,
    flags: u8,
    timeout: u32,
}

impl Draft {
    fn take(&mut self, kind: u16, value: &[u8]) -> Result<(), DecodeError> {
        let small = |kind, value| {
            word(kind, value)
                .and_then(|it| u8::try_from(it).map_err(|_| DecodeError::Attribute(kind)))
        };
        match kind {
            a::CTA_EXPECT_MASTER => self.master = Some(tuple::read(value)?.0),
            a::CTA_EXPECT_TUPLE => self.tuple = Some(tuple::read(value)?.0),
            a::CTA_EXPECT_MASK => self.mask = Some(tuple::read(value)?.0),
            a::CTA_EXPECT_NAT => self.nat = nat(value)?,
            a::CTA_EXPECT_TIMEOUT => self.timeout = word(kind, value)?,
            a::CTA_EXPECT_FLAGS => {
                self.flags = word(kind, value)?.to_be_bytes()[3] & EXPECTATION_FLAGS;
            }
            a::CTA_EXPECT_CLASS => self.class = small(kind, value)?,
            a::CTA_EXPECT_FN => self.function = function(value)?,
            _ => {}
        }
        Ok(())
    }

    fn finish(self, port: u32, is_there: bool) -> Result<Expected, DecodeError> {
        let master = self.master.ok_or(DecodeError::NoTuple(a::CTA_EXPECT_MASTER))?;
        let tuple = self.tuple.ok_or(DecodeError::NoTuple(a::CTA_EXPECT_TUPLE))?;
        let mask = self.mask.ok_or(DecodeError::NoTuple(a::CTA_EXPECT_MASK))?;
        let family = tuple.family();
        let strange = |other: &Tuple| other.family() != family;
        if strange(&master) || strange(&mask) || self.nat.is_some_and(|(nat, _)| strange(&nat)) {
            return Err(DecodeError::Addresses);
        }
        let nat = self.nat.map(|(nat, reply)| {
            let (address, port) = (nat.source, source_port(&nat));
            ExpectationNat { address, port, reply }
        });
        let mask = ExpectationMask { source: mask.source, port: source_port(&mask) };
        let Draft { function, class, flags, timeout, .. } = self;
        let expectation = Expectation { tuple, mask, nat, function, class, flags, timeout };
        Ok(Expected { port, is_there, master, expectation })
    }
}

/// Masks and addresses of NAT come as tuples of which the source counts.
fn source_port(tuple: &Tuple) -> u16 {
    match tuple.part {
        Part::Ports { source, .. } => source,
        Part::None | Part::Echo { .. } => 0,
    }
}

fn nat(bytes: &[u8]) -> Result<Option<(Tuple, bool)>, DecodeError> {
    let (mut found, mut reply) = (None, false);
    each(bytes, |kind, value| {
        match kind {
            a::CTA_EXPECT_NAT_DIR => reply = word(kind, value)? != 0,
            a::CTA_EXPECT_NAT_TUPLE => found = Some(tuple::read(value)?.0),
            _ => {}
        }
        Ok(())
    })?;
    Ok(found.map(|tuple| (tuple, reply)))
}

fn function(value: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
    if name.len() > FUNCTION_NAME_MAX {
        return Err(DecodeError::Attribute(a::CTA_EXPECT_FN));
    }
    Ok(name.to_vec())
}
