//! The fixed header of our own datagrams, in clear text but covered by the seal.
//!
//! ```text
//!  0     2        3       4         8       12      16        17      18        20      24        32
//!  | EG  | version | kind | cluster | node  | path  | process | flags | reserve | stamp | sequence |
//!  | incarnation: 16 bytes                                    | then the sealed body and its tag |
//! ```

use super::bytes::Bytes;
use super::cause::causes;
use crate::ident::Incarnation;

/// The length of the header in bytes.
pub const LEN: usize = 48;
/// The first two bytes of every datagram.
pub const MAGIC: [u8; 2] = *b"EG";
/// The version of the protocol. It changes only when older nodes could not read what is sent.
pub const VERSION: u8 = 1;
/// The UDP port, unless the configuration names another.
pub const PORT: u16 = 8747;
/// The hop limit of every datagram on a path without routers, checked on arrival.
pub const HOP_LIMIT: u8 = 255;
/// The process number of the core.
pub const PROCESS_CORE: u8 = 0;
/// The number under which a core seals what it replicates: a key and a count of its own, so that its
/// threads need not agree on numbers.
pub const PROCESS_REPLICATE: u8 = 1;
/// Where in a datagram its kind stands.
pub const KIND_AT: u8 = 3;
/// The number of [`Kind::Replica`].
pub const KIND_REPLICA: u8 = 3;

/// What a datagram is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A sign of life with a whole picture of the sender's view; see [`super::heartbeat`].
    Heartbeat,
    /// A resignation sealed in advance and sent by the guardian of a dead core. It ends its
    /// incarnation for ever. Its body is empty, its path 0; the very same datagram goes out on
    /// every path, because one number must never seal two different ones.
    Will,
    /// Connections and what belongs to them; see [`super::replica`].
    Replica,
}

/// Who sent a datagram, on which path, and which one it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// What the datagram is.
    pub kind: Kind,
    /// The hash of the cluster's name: other clusters on the segment are told apart before a key
    /// is tried.
    pub cluster: u32,
    /// The hash of the sending node's name.
    pub node: u32,
    /// The hash of the name of the path it was sent on; 0 on a will, which fits every path.
    pub path: u32,
    /// Which process of the node has sealed it.
    pub process: u8,
    /// The sender's clock in microseconds, which wraps; only the sender itself can read it.
    pub stamp: u32,
    /// The number of the datagram within the incarnation, over all paths together: no two different
    /// datagrams share one. Heartbeats count up from 1; the first will has 0.
    pub sequence: u64,
    /// The incarnation of the sealing process.
    pub incarnation: Incarnation,
}

causes! {
    /// Why a datagram was refused before its seal was looked at.
    Reject {
        /// It ends within the header.
        Length = "header-length",
        /// It is not one of ours.
        Magic = "magic",
        /// It is of a version that this node does not speak.
        Version = "header-version",
        /// It is of an unknown kind.
        Kind = "kind",
    }
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let kind = match self.kind {
            Kind::Heartbeat => 1,
            Kind::Will => 2,
            Kind::Replica => KIND_REPLICA,
        };
        bytes[0..2].copy_from_slice(&MAGIC);
        bytes[2] = VERSION;
        bytes[usize::from(KIND_AT)] = kind;
        bytes[4..8].copy_from_slice(&self.cluster.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.node.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.path.to_be_bytes());
        bytes[16] = self.process;
        bytes[20..24].copy_from_slice(&self.stamp.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[32..48].copy_from_slice(&self.incarnation.0);
        bytes
    }

    /// Reads the header and returns the sealed body behind it. Flags and reserved bytes are
    /// ignored here; they are covered by the seal as they stand.
    pub fn decode(datagram: &[u8]) -> Result<(Header, &[u8]), Reject> {
        let mut rest = Bytes(datagram);
        if datagram.len() < LEN {
            return Err(Reject::Length);
        }
        if rest.array() != Some(MAGIC) {
            return Err(Reject::Magic);
        }
        if rest.u8() != Some(VERSION) {
            return Err(Reject::Version);
        }
        let kind = match rest.u8() {
            Some(1) => Kind::Heartbeat,
            Some(2) => Kind::Will,
            Some(3) => Kind::Replica,
            _ => return Err(Reject::Kind),
        };
        let header = Header::fields(kind, &mut rest).ok_or(Reject::Length)?;
        Ok((header, rest.0))
    }

    fn fields(kind: Kind, rest: &mut Bytes<'_>) -> Option<Header> {
        let (cluster, node, path) = (rest.u32()?, rest.u32()?, rest.u32()?);
        let [process, _flags, _, _] = rest.array()?;
        let (stamp, sequence) = (rest.u32()?, rest.u64()?);
        let incarnation = Incarnation(rest.array()?);
        Some(Header { kind, cluster, node, path, process, stamp, sequence, incarnation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixtures::{Dice, documented, hex, text, vectors};
    use crate::wire::names::hash;

    fn header() -> Header {
        Header {
            kind: Kind::Heartbeat,
            cluster: hash("edge"),
            node: hash("gw1"),
            path: hash("link:sync"),
            process: PROCESS_CORE,
            stamp: 1_000_000,
            sequence: 1,
            incarnation: Incarnation(*b"0123456789abcdef"),
        }
    }

    #[test]
    fn a_header_is_these_bytes() {
        let literal = hex("4547 01 01 56f6d83c 832f8396 8e482f46 00 00 0000
                           000f4240 0000000000000001 30313233343536373839616263646566");
        assert_eq!(header().encode().as_slice(), literal);
    }

    #[test]
    fn the_headers_of_the_vectors_are_read_and_written() {
        for vector in vectors("sealed.txt") {
            let [name, _, _, _, head, _, body, datagram] = vector.as_slice() else {
                panic!("eight fields: {vector:?}")
            };
            let datagram = hex(datagram);
            let (header, sealed) = Header::decode(&datagram).unwrap();
            assert_eq!(text(&header.encode()), *head, "{name}");
            assert_eq!(header.kind == Kind::Will, name == "will");
            let tag = 16;
            assert_eq!(sealed.len(), hex(body.trim_matches('-')).len() + tag, "{name}");
        }
    }

    #[test]
    fn the_document_shows_the_vectors() {
        let vectors = vectors("sealed.txt");
        let field = |name: &str, field: usize| {
            let vector = vectors.iter().find(|vector| vector[0] == name).unwrap();
            vector[field].clone()
        };
        let name = "heartbeat 1 on link:sync";
        assert_eq!(documented(name), field(name, 4));
        assert_eq!(documented("will"), field("will", 7));
    }

    #[test]
    fn the_body_is_what_follows_and_a_cut_header_is_refused() {
        let mut datagram = header().encode().to_vec();
        for length in 0..LEN {
            assert_eq!(Header::decode(&datagram[..length]), Err(Reject::Length));
        }
        datagram.extend(b"body");
        assert_eq!(Header::decode(&datagram), Ok((header(), b"body".as_slice())));
    }

    #[test]
    fn other_datagrams_are_refused_by_cause() {
        for (at, cause) in [(0, Reject::Magic), (2, Reject::Version), (3, Reject::Kind)] {
            let mut datagram = header().encode();
            datagram[at] ^= 0x80;
            assert_eq!(Header::decode(&datagram), Err(cause));
        }
    }

    #[test]
    fn what_is_read_is_written_again_but_for_flags_and_reserve() {
        let mut dice = Dice(5);
        for _ in 0..20_000 {
            let mut datagram = dice.mutate(&header().encode());
            let Ok((header, body)) = Header::decode(&datagram) else { continue };
            let (again, body) = (header.encode(), body.to_vec());
            datagram[17..20].fill(0);
            assert_eq!(again, datagram[..LEN]);
            assert_eq!(body, datagram[LEN..]);
        }
    }
}
