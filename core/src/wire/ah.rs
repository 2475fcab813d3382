//! The authentication header in front of an advert of version 2 (RFC 2402 §2), in the one form
//! that VRRP neighbours use: 24 bytes with a digest of 96 bits. This reads and writes its fields;
//! who holds the password judges the digest.

use super::bytes::Bytes;
use super::cause::causes;
use super::vrrp::PROTOCOL as VRRP;

/// The IP protocol number of the authentication header.
pub const PROTOCOL: u8 = 51;
/// The length of the header in bytes.
pub const LEN: usize = 24;

/// The header's length field: 32-bit words, less two.
const WORDS: u8 = 4;

/// The fields of an authentication header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// The security parameter index. VRRP neighbours put the sender's IPv4 address here.
    pub spi: [u8; 4],
    /// Counts the packets; a receiver takes only what is higher than what it has seen.
    pub sequence: u32,
    /// The first 96 bits of the digest.
    pub digest: [u8; 12],
}

causes! {
    /// Why an authentication header was refused.
    Reject {
        /// The packet ends within the header, or the header has another length.
        Length = "ah-length",
        /// What follows it is not VRRP.
        Next = "ah-next",
    }
}

impl Header {
    /// Reads the header and returns the advert behind it.
    pub fn decode(bytes: &[u8]) -> Result<(Header, &[u8]), Reject> {
        let mut rest = Bytes(bytes);
        let [next, words, _, _] = rest.array().ok_or(Reject::Length)?;
        if next != VRRP {
            return Err(Reject::Next);
        }
        if words != WORDS {
            return Err(Reject::Length);
        }
        let header = Header {
            spi: rest.array().ok_or(Reject::Length)?,
            sequence: rest.u32().ok_or(Reject::Length)?,
            digest: rest.array().ok_or(Reject::Length)?,
        };
        Ok((header, rest.0))
    }

    /// Appends the header to `out`; the advert goes behind it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend([VRRP, WORDS, 0, 0]);
        out.extend(self.spi);
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixtures::hex;

    #[test]
    fn a_header_from_the_wire_is_read_and_written_again() {
        let packet = hex("70040000 c0000201 00000001 04dfea7ae6ec72dd9fa0c9f7
             2133c80202018ffe c0000264 c0000265 0000000000000000");
        let (header, advert) = Header::decode(&packet).unwrap();
        assert_eq!((header.spi, header.sequence), ([192, 0, 2, 1], 1));
        assert_eq!(advert, &packet[LEN..]);
        let mut again = Vec::new();
        header.encode(&mut again);
        assert_eq!(again, packet[..LEN]);
    }

    #[test]
    fn every_shorter_packet_is_refused_and_so_is_another_protocol_behind_it() {
        let packet = hex("70040000 c0000201 00000001 04dfea7ae6ec72dd9fa0c9f7");
        for length in 0..LEN {
            assert_eq!(Header::decode(&packet[..length]), Err(Reject::Length));
        }
        assert_eq!(Header::decode(&hex("06040000")), Err(Reject::Next));
        assert_eq!(Header::decode(&hex("70050000")), Err(Reject::Length));
    }
}
