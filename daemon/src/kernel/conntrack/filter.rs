//! What news of the table the kernel need not tell us: a socket filter, as a list of instructions.
//!
//! Most news is of TCP connections that begin and end. Of these, nobody needs to hear but when one is
//! established and when it is over, and what we have done ourselves we know. What is told once and
//! belongs to a connection for good passes all the same: [`TOLD_ONCE`].

use evergate_core::flow::tcp;

use super::attributes as a;

/// The states of TCP in which a connection is not worth a word, nor its end.
pub const UNHEARD: [u8; 3] = [tcp::SYN_SENT, tcp::SYN_RECV, tcp::SYN_SENT2];
/// The states of TCP that are not worth a word, but the end of a connection in them is: it was told
/// as established.
pub const CLOSING: [u8; 3] = [tcp::FIN_WAIT, tcp::CLOSE_WAIT, tcp::LAST_ACK];
/// The states of TCP that say by themselves that a connection is over: that the table then forgets
/// it is no news.
pub const OVER: [u8; 2] = [tcp::TIME_WAIT, tcp::CLOSE];

/// Attributes that the kernel tells when they change and never again: labels, and what a SYN proxy
/// remembers. Who hears of them before a connection is established knows that later news lacks them.
pub const TOLD_ONCE: [u16; 2] = [a::CTA_LABELS, a::CTA_SYNPROXY];

/// One instruction of a classic socket filter (`linux/filter.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// What is done.
    pub code: u16,
    /// How many instructions are skipped if a comparison holds.
    pub if_true: u8,
    /// How many are skipped if it does not.
    pub if_false: u8,
    /// The operand.
    pub operand: u32,
}

pub(super) const LOAD_NUMBER: u16 = 0x00;
pub(super) const LOAD_INDEX: u16 = 0x01;
pub(super) const RETURN: u16 = 0x06;
pub(super) const COPY_TO_INDEX: u16 = 0x07;
pub(super) const JUMP_IF_EQUAL: u16 = 0x15;
pub(super) const LOAD_WORD: u16 = 0x20;
pub(super) const LOAD_HALF: u16 = 0x28;
pub(super) const LOAD_BYTE: u16 = 0x30;
pub(super) const LOAD_WORD_AT_INDEX: u16 = 0x40;
pub(super) const LOAD_BYTE_AT_INDEX: u16 = 0x50;

/// Loads from here on are no loads: the kernel looks for the attribute of the type in the index
/// register, from the offset in the accumulator on (or in the attribute there), and gives its
/// offset, or 0.
const EXTENSIONS: u32 = libc::SKF_AD_OFF.cast_unsigned();
pub(super) const FIND_ATTRIBUTE: u32 = EXTENSIONS.wrapping_add(libc::SKF_AD_NLATTR.cast_unsigned());
pub(super) const FIND_NESTED: u32 =
    EXTENSIONS.wrapping_add(libc::SKF_AD_NLATTR_NEST.cast_unsigned());

const OFFSET_KIND: u32 = 4;
/// The upper byte of the type, in the byte order of the machine.
const OFFSET_SUBSYSTEM: u32 = if cfg!(target_endian = "little") { 5 } else { 4 };
const OFFSET_PORT: u32 = 12;
/// Behind the header of the message and that of the family.
const OFFSET_ATTRIBUTES: u32 = 20;
const ATTRIBUTE_HEADER_BYTES: u32 = 4;
pub(super) const PASS: u32 = u32::MAX;
pub(super) const DROP: u32 = 0;

/// The filter that drops news of our own changes, by their ports, and what [`UNHEARD`], [`CLOSING`]
/// and [`OVER`] say, but not what is [`TOLD_ONCE`]. Everything else passes. Port 0, which is the kernel itself, is never one of ours.
pub fn program(own_ports: &[u32]) -> Vec<Instruction> {
    let mut program = Vec::new();
    let mut put = |code, if_true, if_false, operand| {
        program.push(Instruction { code, if_true, if_false, operand });
    };
    put(LOAD_WORD, 0, 0, OFFSET_PORT);
    for port in own_ports.iter().filter(|port| **port != 0) {
        // Filters read the network's byte order, and the header has that of the machine.
        put(JUMP_IF_EQUAL, 0, 1, u32::from_be_bytes(port.to_ne_bytes()));
        put(RETURN, 0, 0, DROP);
    }
    put(LOAD_BYTE, 0, 0, OFFSET_SUBSYSTEM);
    put(JUMP_IF_EQUAL, 0, 1, u32::from(a::EXPECTATIONS >> 8));
    put(RETURN, 0, 0, PASS);
    put(LOAD_NUMBER, 0, 0, OFFSET_ATTRIBUTES);
    for (find, kind) in [
        (FIND_ATTRIBUTE, a::CTA_PROTOINFO),
        (FIND_NESTED, a::CTA_PROTOINFO_TCP),
        (FIND_NESTED, a::CTA_PROTOINFO_TCP_STATE),
    ] {
        put(LOAD_INDEX, 0, 0, u32::from(kind));
        put(LOAD_WORD, 0, 0, find);
        put(JUMP_IF_EQUAL, 0, 1, 0);
        put(RETURN, 0, 0, PASS);
    }
    put(COPY_TO_INDEX, 0, 0, 0);
    put(LOAD_BYTE_AT_INDEX, 0, 0, ATTRIBUTE_HEADER_BYTES);
    // Each goes over the tests that follow and the last return to a block of its own behind them:
    // two of four instructions, and then the rest.
    let end = u32::from(u16::from_be_bytes(a::IPCTNL_MSG_CT_DELETE.to_ne_bytes()));
    let unheard = UNHEARD.iter().map(|state| (*state, 8));
    let closing = CLOSING.iter().map(|state| (*state, 0));
    let over = OVER.iter().map(|state| (*state, 4));
    let tests: Vec<(u8, u8)> = unheard.chain(closing).chain(over).collect();
    for ((state, beyond), left) in tests.iter().zip((1..=tests.len()).rev()) {
        let skip = u8::try_from(left).unwrap_or(0) + beyond;
        put(JUMP_IF_EQUAL, skip, 0, u32::from(*state));
    }
    put(RETURN, 0, 0, PASS);
    for (at_the_end, before) in [(PASS, DROP), (DROP, PASS)] {
        put(LOAD_HALF, 0, 0, OFFSET_KIND);
        put(JUMP_IF_EQUAL, 0, 1, end);
        put(RETURN, 0, 0, at_the_end);
        put(RETURN, 0, 0, before);
    }
    for kind in TOLD_ONCE {
        put(LOAD_NUMBER, 0, 0, OFFSET_ATTRIBUTES);
        put(LOAD_INDEX, 0, 0, u32::from(kind));
        put(LOAD_WORD, 0, 0, FIND_ATTRIBUTE);
        if kind == a::CTA_SYNPROXY {
            // What was made by a request has an empty one.
            put(JUMP_IF_EQUAL, 7, 0, 0);
            put(LOAD_INDEX, 0, 0, u32::from(a::CTA_SYNPROXY_ISN));
            put(LOAD_WORD, 0, 0, FIND_NESTED);
            put(JUMP_IF_EQUAL, 4, 0, 0);
            put(COPY_TO_INDEX, 0, 0, 0);
            put(LOAD_WORD_AT_INDEX, 0, 0, ATTRIBUTE_HEADER_BYTES);
        }
        put(JUMP_IF_EQUAL, 1, 0, 0);
        put(RETURN, 0, 0, PASS);
    }
    put(RETURN, 0, 0, DROP);
    program
}

#[cfg(test)]
mod tests;
