//! A tracked connection, as the nodes of a cluster tell each other about it.
//!
//! It holds what a kernel needs to go on with the connection as if it had seen it from the start.
//! Counters, timestamps and the kernel's own number are not part of it: they cannot be set.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ident::Family;

mod digest;
mod expectation;

pub use digest::{FlowHash, HashKey, ValueDigest};
pub use expectation::{
    EXPECTATION_FLAGS, EXPECTATIONS_MAX, Expectation, ExpectationMask, ExpectationNat,
    FUNCTION_NAME_MAX,
};

/// IP protocol numbers that have parts of their own here.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// GRE.
    pub const GRE: u8 = 47;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDPLITE: u8 = 136;
}

/// The bits of [`Flow::status`] that nodes tell each other, as in the kernel's `IPS_*`.
pub mod status {
    /// It was expected by another connection.
    pub const EXPECTED: u32 = 1 << 0;
    /// Packets were seen in both directions.
    pub const SEEN_REPLY: u32 = 1 << 1;
    /// It is not dropped early when the table is full.
    pub const ASSURED: u32 = 1 << 2;
    /// It is in the table. Required by the kernel.
    pub const CONFIRMED: u32 = 1 << 3;
    /// The source is translated.
    pub const SRC_NAT: u32 = 1 << 4;
    /// The destination is translated.
    pub const DST_NAT: u32 = 1 << 5;
    /// Sequence numbers are adjusted.
    pub const SEQ_ADJUST: u32 = 1 << 6;
    /// The source was looked at by NAT, with or without a change.
    pub const SRC_NAT_DONE: u32 = 1 << 7;
    /// The destination was looked at by NAT, with or without a change.
    pub const DST_NAT_DONE: u32 = 1 << 8;
    /// What is replicated. The kernel derives the rest.
    pub const REPLICATED: u32 =
        EXPECTED | SEEN_REPLY | ASSURED | SRC_NAT | DST_NAT | SRC_NAT_DONE | DST_NAT_DONE;
}

/// The states of a TCP connection, as the kernel numbers them.
pub mod tcp {
    /// A SYN was seen.
    pub const SYN_SENT: u8 = 1;
    /// Its answer was seen.
    pub const SYN_RECV: u8 = 2;
    /// The handshake is complete.
    pub const ESTABLISHED: u8 = 3;
    /// One side has closed.
    pub const FIN_WAIT: u8 = 4;
    /// The other side has confirmed that.
    pub const CLOSE_WAIT: u8 = 5;
    /// Both sides have closed.
    pub const LAST_ACK: u8 = 6;
    /// Waits for late packets.
    pub const TIME_WAIT: u8 = 7;
    /// Reset.
    pub const CLOSE: u8 = 8;
    /// A SYN from the other side too.
    pub const SYN_SENT2: u8 = 9;

    /// A flag of one direction: window scaling was offered.
    pub const FLAG_WINDOW_SCALE: u8 = 0x01;
    /// A flag of one direction: selective acknowledgements are permitted.
    pub const FLAG_SACK: u8 = 0x02;
    /// A flag of one direction: sequence numbers are not checked.
    pub const FLAG_LIBERAL: u8 = 0x08;
}

/// What of the protocol's own header belongs to a direction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Part {
    /// Nothing: a protocol that the kernel tracks by addresses alone.
    None,
    /// Ports of TCP, UDP, UDP-Lite, SCTP and DCCP; keys of GRE.
    Ports {
        /// Of the source.
        source: u16,
        /// Of the target.
        target: u16,
    },
    /// ICMP and ICMPv6.
    Echo {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// Identifier.
        id: u16,
    },
}

/// One direction of a flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Tuple {
    /// Where packets come from.
    pub source: IpAddr,
    /// Where they go, of the same family.
    pub target: IpAddr,
    /// The IP protocol number.
    pub protocol: u8,
    /// What the protocol adds.
    pub part: Part,
}

impl Tuple {
    /// The family of both addresses.
    pub fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// The other direction, where nothing is translated. An echo request becomes a reply.
    pub fn inverse(&self) -> Tuple {
        let part = match self.part {
            Part::None => Part::None,
            Part::Ports { source, target } => Part::Ports { source: target, target: source },
            Part::Echo { kind, code, id } => {
                Part::Echo { kind: answer_of(self.protocol, kind), code, id }
            }
        };
        Tuple { source: self.target, target: self.source, protocol: self.protocol, part }
    }
}

/// The type of ICMP that answers another one, as the kernel pairs them; itself where there is none.
fn answer_of(protocol: u8, kind: u8) -> u8 {
    const PAIRS_V4: [(u8, u8); 4] = [(8, 0), (13, 14), (15, 16), (17, 18)];
    const PAIRS_V6: [(u8, u8); 2] = [(128, 129), (139, 140)];
    let pairs: &[(u8, u8)] = if protocol == protocol::ICMPV6 { &PAIRS_V6 } else { &PAIRS_V4 };
    let other = |(one, two): &(u8, u8)| match kind {
        kind if kind == *one => Some(*two),
        kind if kind == *two => Some(*one),
        _ => None,
    };
    pairs.iter().find_map(other).unwrap_or(kind)
}

/// What names a flow: its first direction and the zones in which each direction is looked up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct FlowKey {
    /// The direction of the first packet.
    pub original: Tuple,
    /// The zones.
    pub zones: Zones,
}

/// The conntrack zones of both directions; 0 is the default zone.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Zones {
    /// Of the original direction.
    pub original: u16,
    /// Of the reply direction.
    pub reply: u16,
}

/// What a protocol remembers of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum State {
    /// Nothing.
    None,
    /// TCP.
    Tcp {
        /// One of [`tcp`]'s states.
        state: u8,
        /// The flags of the original and the reply direction.
        flags: [u8; 2],
        /// The window scale of both, 0 to 14.
        scales: [u8; 2],
    },
    /// SCTP.
    Sctp {
        /// The kernel's number of the state.
        state: u8,
        /// The verification tags of both directions.
        tags: [u32; 2],
    },
    /// DCCP.
    Dccp {
        /// The kernel's number of the state.
        state: u8,
        /// Which side the client is on.
        role: u8,
        /// The handshake's sequence number.
        sequence: u64,
    },
}

/// How the sequence numbers of one direction are changed, for helpers that rewrite text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SequenceAdjustment {
    /// The sequence number of the last change.
    pub position: u32,
    /// What is added before it.
    pub before: u32,
    /// What is added after it.
    pub after: u32,
}

/// What a SYN proxy remembers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Synproxy {
    /// The initial sequence number.
    pub initial: u32,
    /// The initial timestamp.
    pub timestamp: u32,
    /// The offset of timestamps.
    pub offset: u32,
}

/// The most bytes of a helper's name, without the zero that ends it in the kernel.
pub const HELPER_NAME_MAX: usize = 15;
/// Bytes of labels: 128 bits.
pub const LABELS_BYTES: usize = 16;

/// What few flows have.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Extra {
    /// Labels: bit 0 is the lowest bit of the first byte.
    pub labels: Option<[u8; LABELS_BYTES]>,
    /// The name of the helper, at most [`HELPER_NAME_MAX`] bytes.
    pub helper: Option<Vec<u8>>,
    /// The connection that has expected this one.
    pub master: Option<Tuple>,
    /// Of the original and the reply direction.
    pub adjustments: Option<[SequenceAdjustment; 2]>,
    /// Of a SYN proxy.
    pub synproxy: Option<Synproxy>,
    /// What its helper expects, as [`Extra::set_expectations`] has put it.
    pub expectations: Vec<Expectation>,
}

/// A tracked connection.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Flow {
    /// Its name.
    pub key: FlowKey,
    /// The direction of the answers. Where it is not the inverse of the original, addresses are
    /// translated.
    pub reply: Tuple,
    /// The kernel's `IPS_*` bits, those of [`status::REPLICATED`].
    pub status: u32,
    /// Seconds until the kernel forgets it, when this was read. Not part of what is compared.
    pub timeout: u32,
    /// The packet mark that is restored from it.
    pub mark: u32,
    /// What the protocol remembers.
    pub state: State,
    /// What few flows have.
    pub extra: Option<Box<Extra>>,
}

impl Flow {
    /// Whether addresses or ports are translated.
    pub fn is_translated(&self) -> bool {
        self.reply != self.key.original.inverse()
    }

    /// Whether a helper reads what it says, so that it may expect others.
    pub fn has_helper(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.helper.is_some())
    }

    /// Whether another connection has expected this one.
    pub fn has_master(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.master.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_of_a_tuple_swaps_what_the_kernel_swaps() {
        let (source, target) = ([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        let part = Part::Ports { source: 40000, target: 80 };
        let tcp = Tuple { source, target, protocol: protocol::TCP, part };
        let back = tcp.inverse();
        assert_eq!((back.source, back.target), (target, source));
        assert_eq!(back.part, Part::Ports { source: 80, target: 40000 });
        assert_eq!(back.inverse(), tcp);
        let echo = Part::Echo { kind: 8, code: 0, id: 7 };
        let ping = Tuple { protocol: protocol::ICMP, part: echo, ..tcp };
        assert_eq!(ping.inverse().part, Part::Echo { kind: 0, code: 0, id: 7 });
        assert_eq!(ping.inverse().inverse(), ping);
    }
}
