//! The authentication header in front of an advert of version 2 (RFC 2402 §2, RFC 2338 §5.3.6.3), in
//! the one form that VRRP neighbours use: 24 bytes with 96 bits of HMAC-MD5 (RFC 2403).
//!
//! ```text
//!   IPv4 header, protocol 51 | next = 112 | length | 0 | SPI | sequence | digest | advert
//! ```
//!
//! The digest covers the IPv4 header too, so packets are made and read whole. What routers may change
//! counts as zero: type of service, fragments, checksum. The TTL is such a field, but the makes that
//! speak this leave it at 255 for multicast, and zero it for unicast.

use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;

use super::bytes::Bytes;
use super::cause::causes;
use super::checksum::Sum;
use super::vrrp::{HOP_LIMIT, PROTOCOL as VRRP, Password};

/// The IP protocol number of the authentication header.
pub const PROTOCOL: u8 = 51;
/// The length of the header in bytes.
pub const LEN: usize = 24;
/// The length of an IPv4 header without options, the only one that is understood.
pub const OUTER_LEN: usize = 20;

/// The header's length field: 32-bit words, less two.
const WORDS: u8 = 4;
/// The length of the digest in bytes.
const DIGEST_LEN: usize = 12;
/// Internetwork control, as in every advert.
const TYPE_OF_SERVICE: u8 = 0xc0;
/// Version 4, and a header of five words.
const VERSION_AND_WORDS: u8 = 0x45;

/// The fields of an authentication header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// The security parameter index. VRRP neighbours put the sender's IPv4 address here.
    pub spi: [u8; 4],
    /// Counts the packets; a receiver takes only what is higher than what it has seen.
    pub sequence: u32,
    /// The first 96 bits of the digest.
    pub digest: [u8; DIGEST_LEN],
}

/// What the IPv4 header says, as far as the digest covers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outer {
    /// The identification of the packet; not 0, because the kernel would choose one then.
    pub identification: u16,
    /// Who sends it.
    pub source: Ipv4Addr,
    /// Where it goes.
    pub destination: Ipv4Addr,
    /// The TTL that it leaves with, or has left.
    pub ttl: u8,
}

causes! {
    /// Why a packet with an authentication header was refused.
    Reject {
        /// The packet ends within a header, or a header has another length.
        Length = "ah-length",
        /// What follows it is not VRRP.
        Next = "ah-next",
        /// It is no whole IPv4 packet with this protocol, or its header has options.
        Outer = "ah-outer",
        /// The digest is not that of this content and our password.
        Digest = "ah-digest",
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

/// Appends a whole IPv4 packet to `out`: header, authentication header, advert. The kernel fills in
/// the header's checksum; it is there for readers that get the packet otherwise.
pub fn encode(password: &Password, outer: &Outer, sequence: u32, advert: &[u8], out: &mut Vec<u8>) {
    let mut header = Header { spi: outer.source.octets(), sequence, digest: [0; DIGEST_LEN] };
    let mut inner = Vec::with_capacity(LEN);
    header.encode(&mut inner);
    header.digest = truncated(digest(password, outer, &inner, advert));
    let start = out.len();
    out.extend(outer.bytes(TYPE_OF_SERVICE, outer.ttl, advert.len()));
    let checksum = Sum::new().bytes(&out[start..]).checksum();
    out[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
    header.encode(out);
    out.extend(advert);
}

/// Reads a whole IPv4 packet; returns what its headers say, and the advert if the digest is right.
pub fn decode<'a>(
    password: &Password,
    packet: &'a [u8],
) -> Result<(Outer, Header, &'a [u8]), Reject> {
    let (outer, inner) = read_outer(packet)?;
    let (header, advert) = Header::decode(inner)?;
    // In constant time: who guesses learns nothing from how long it takes.
    let expected = digest(password, &outer, inner, advert);
    expected.verify_truncated_left(&header.digest).map_err(|_| Reject::Digest)?;
    Ok((outer, header, advert))
}

/// The number of the virtual router that a packet speaks for, before anything is believed.
pub fn vrid(packet: &[u8]) -> Option<u8> {
    let (_, inner) = read_outer(packet).ok()?;
    Header::decode(inner).ok()?.1.get(1).copied()
}

fn read_outer(packet: &[u8]) -> Result<(Outer, &[u8]), Reject> {
    let fixed: [u8; OUTER_LEN] = Bytes(packet).array().ok_or(Reject::Length)?;
    let pair = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let quad = |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
    let fragment = pair(6) & 0x3fff != 0;
    if fixed[0] != VERSION_AND_WORDS || fixed[9] != PROTOCOL || fragment {
        return Err(Reject::Outer);
    }
    let outer =
        Outer { identification: pair(4), source: quad(12), destination: quad(16), ttl: fixed[8] };
    let inner = packet.get(OUTER_LEN..usize::from(pair(2))).ok_or(Reject::Length)?;
    Ok((outer, inner))
}

impl Outer {
    /// The IPv4 header, its checksum zero.
    fn bytes(&self, type_of_service: u8, ttl: u8, advert: usize) -> [u8; OUTER_LEN] {
        let length = u16::try_from(OUTER_LEN + LEN + advert).unwrap_or(u16::MAX);
        let mut bytes = [0; OUTER_LEN];
        bytes[..2].copy_from_slice(&[VERSION_AND_WORDS, type_of_service]);
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.identification.to_be_bytes());
        bytes[8..10].copy_from_slice(&[ttl, PROTOCOL]);
        bytes[12..16].copy_from_slice(&self.source.octets());
        bytes[16..].copy_from_slice(&self.destination.octets());
        bytes
    }
}

/// The digest over what the IPv4 header says, the authentication header as it is in `inner`, its own
/// digest taken as zero, and the advert.
fn digest(password: &Password, outer: &Outer, inner: &[u8], advert: &[u8]) -> Hmac<Md5> {
    let mut hmac = Hmac::<Md5>::new_from_slice(&password.0).expect("a key of any length is taken");
    let ttl = if outer.destination.is_multicast() { HOP_LIMIT } else { 0 };
    hmac.update(&outer.bytes(0, ttl, advert.len()));
    hmac.update(&inner[..LEN - DIGEST_LEN]);
    hmac.update(&[0; DIGEST_LEN]);
    hmac.update(advert);
    hmac
}

fn truncated(hmac: Hmac<Md5>) -> [u8; DIGEST_LEN] {
    let whole = hmac.finalize().into_bytes();
    std::array::from_fn(|at| whole[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixtures::hex;

    const PASSWORD: Password = Password(*b"secret12");

    /// From the wire of keepalived 2.2.7: identification and sequence, destination, priority, digest.
    const RECORDED: [(u16, [u8; 4], u8, &str); 3] = [
        (1, [224, 0, 0, 18], 200, "04dfea7ae6ec72dd9fa0c9f7"),
        (9, [224, 0, 0, 18], 0, "a16ff80312a522df6d9a70de"),
        (1, [192, 0, 2, 2], 200, "35aa17fc80920259e5768657"),
    ];

    fn advert(priority: u8) -> Vec<u8> {
        hex(match priority {
            0 => "21330002020157ff c0000264 c0000265 0000000000000000",
            _ => "2133c80202018ffe c0000264 c0000265 0000000000000000",
        })
    }

    fn outer(identification: u16, destination: [u8; 4]) -> Outer {
        let source = Ipv4Addr::new(192, 0, 2, 1);
        Outer { identification, source, destination: destination.into(), ttl: 255 }
    }

    #[test]
    fn packets_from_the_wire_of_another_make_come_out_bit_for_bit_and_are_taken() {
        for (number, destination, priority, digest) in RECORDED {
            let (advert, outer) = (advert(priority), outer(number, destination));
            let mut packet = Vec::new();
            encode(&PASSWORD, &outer, number.into(), &advert, &mut packet);
            assert_eq!(packet.len(), 68);
            let header = format!("70040000 c0000201 {:08x} {digest}", u32::from(number));
            assert_eq!(packet[OUTER_LEN..OUTER_LEN + LEN], hex(&header));
            assert_eq!(packet[..4], hex("45c00044"));
            assert!(Sum::new().bytes(&packet[..OUTER_LEN]).is_intact());
            let (from, header, inner) = decode(&PASSWORD, &packet).unwrap();
            assert_eq!((from, header.sequence), (outer, number.into()));
            assert_eq!((inner, vrid(&packet)), (&advert[..], Some(51)));
        }
    }

    #[test]
    fn whatever_is_changed_on_the_way_is_refused_unless_routers_may_change_it() {
        let mut packet = Vec::new();
        encode(&PASSWORD, &outer(7, [224, 0, 0, 18]), 7, &advert(200), &mut packet);
        // Type of service, flags without offset, TTL and checksum are not covered.
        let mutable = |byte: usize, bit: usize| {
            matches!(byte, 1 | 8 | 10 | 11) || byte == 6 && (bit == 0x40 || bit == 0x80)
        };
        for (byte, bit) in
            (0..packet.len()).flat_map(|byte| (0..8).map(move |bit| (byte, 1 << bit)))
        {
            let mut changed = packet.clone();
            changed[byte] ^= u8::try_from(bit).unwrap();
            let taken = decode(&PASSWORD, &changed).is_ok();
            assert_eq!(taken, mutable(byte, bit), "byte {byte} bit {bit:#x}");
        }
        let other = Password(*b"secret13");
        assert_eq!(decode(&other, &packet).err(), Some(Reject::Digest));
    }

    #[test]
    fn a_packet_that_ends_too_soon_or_is_none_of_these_is_refused() {
        let mut packet = Vec::new();
        encode(&PASSWORD, &outer(7, [224, 0, 0, 18]), 7, &advert(200), &mut packet);
        for length in 0..packet.len() {
            assert_eq!(decode(&PASSWORD, &packet[..length]).err(), Some(Reject::Length));
        }
        // Padding behind it is the segment's business.
        packet.extend([0; 4]);
        assert!(decode(&PASSWORD, &packet).is_ok());
        packet[9] = VRRP;
        assert_eq!(decode(&PASSWORD, &packet).err(), Some(Reject::Outer));
        assert_eq!(vrid(&packet), None);
    }

    #[test]
    fn every_shorter_header_is_refused_and_so_is_another_protocol_behind_it() {
        let packet = hex("70040000 c0000201 00000001 04dfea7ae6ec72dd9fa0c9f7");
        for length in 0..LEN {
            assert_eq!(Header::decode(&packet[..length]), Err(Reject::Length));
        }
        assert_eq!(Header::decode(&hex("06040000")), Err(Reject::Next));
        assert_eq!(Header::decode(&hex("70050000")), Err(Reject::Length));
    }
}
