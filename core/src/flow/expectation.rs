//! What the helper of a connection expects: a connection that is still to come, such as the one on
//! which FTP sends a file. Its first packet is let pass, translated and bound to its master.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Extra, Tuple};

/// The most expectations of one connection that are replicated. FTP has one at a time, SIP a few for
/// each call; with more the flow would not fit a packet.
pub const EXPECTATIONS_MAX: usize = 8;
/// The most bytes of the name of a function of NAT.
pub const FUNCTION_NAME_MAX: usize = 31;
/// The bits of [`Expectation::flags`] that can be set: it stays after its connection has come (bit 0),
/// and it does not count yet (bit 1).
pub const EXPECTATION_FLAGS: u8 = 0x03;

/// A connection that is expected by another one, its master.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Expectation {
    /// Its first packet, as far as [`Self::mask`] says.
    pub tuple: Tuple,
    /// Which part of the source counts. The target counts whole.
    pub mask: ExpectationMask,
    /// What NAT has to know, if the master is translated.
    pub nat: Option<ExpectationNat>,
    /// What is done with its first packet: the kernel's name of a function of NAT, at most
    /// [`FUNCTION_NAME_MAX`] bytes; empty for nothing.
    pub function: Vec<u8>,
    /// The helper's number of its kind; 0 where there is one kind.
    pub class: u8,
    /// Bits of [`EXPECTATION_FLAGS`].
    pub flags: u8,
    /// Seconds until the kernel forgets it, when this was read. Not part of what is compared.
    pub timeout: u32,
}

/// Which bits of the source of an expected packet count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ExpectationMask {
    /// Of its address, of the same family.
    pub source: IpAddr,
    /// Of its port; 0: any port.
    pub port: u16,
}

/// Where an expected connection goes really.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ExpectationNat {
    /// The address that the ends have told each other before it was translated, of the same family.
    pub address: IpAddr,
    /// The port likewise.
    pub port: u16,
    /// It has the direction of its master's answers.
    pub reply: bool,
}

impl Extra {
    /// Takes what a connection expects, in an order that is the same on every node, and at most
    /// [`EXPECTATIONS_MAX`].
    pub fn set_expectations(&mut self, mut expectations: Vec<Expectation>) {
        expectations.sort_unstable();
        expectations.truncate(EXPECTATIONS_MAX);
        self.expectations = expectations;
    }
}
