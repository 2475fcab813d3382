//! The Internet checksum (RFC 1071) and the pseudo headers of IPv4 and IPv6.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A ones' complement sum in the making.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    // 48 bits of carries: 2^48 words cannot be added in the lifetime of a packet.
    words: u64,
    // A high byte that waits for its low one, when the bytes so far were odd in number.
    odd: Option<u8>,
}

impl Sum {
    /// The sum of nothing.
    pub const fn new() -> Sum {
        Sum { words: 0, odd: None }
    }

    /// Adds bytes behind those already added; an odd number is continued by the next call.
    #[must_use]
    pub fn bytes(mut self, mut bytes: &[u8]) -> Sum {
        if let (Some(high), Some((&low, rest))) = (self.odd, bytes.split_first()) {
            self = Sum { odd: None, ..self }.word(u16::from_be_bytes([high, low]));
            bytes = rest;
        }
        let (pairs, last) = bytes.as_chunks::<2>();
        for pair in pairs {
            self = self.word(u16::from_be_bytes(*pair));
        }
        Sum { odd: last.first().copied().or(self.odd), ..self }
    }

    /// Adds the pseudo header of IPv4 (RFC 9293 §3.1); `length` is that of the payload in bytes.
    #[must_use]
    pub fn pseudo_v4(self, from: Ipv4Addr, to: Ipv4Addr, protocol: u8, length: u16) -> Sum {
        let sum = self.bytes(&from.octets()).bytes(&to.octets());
        sum.word(u16::from(protocol)).word(length)
    }

    /// Adds the pseudo header of IPv6 (RFC 8200 §8.1); `length` is that of the payload in bytes.
    #[must_use]
    pub fn pseudo_v6(self, from: Ipv6Addr, to: Ipv6Addr, protocol: u8, length: u16) -> Sum {
        let sum = self.bytes(&from.octets()).bytes(&to.octets());
        sum.word(length).word(u16::from(protocol))
    }

    /// The checksum to put into a packet whose checksum field was added as zero.
    pub fn checksum(self) -> u16 {
        !self.folded()
    }

    /// Whether a packet whose checksum field was added as it stood is intact.
    pub fn is_intact(self) -> bool {
        self.folded() == u16::MAX
    }

    fn word(self, word: u16) -> Sum {
        Sum { words: self.words + u64::from(word), ..self }
    }

    fn folded(self) -> u16 {
        let last = self.odd.map_or(0, |high| u16::from_be_bytes([high, 0]));
        let mut sum = self.words + u64::from(last);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).expect("the loop ends at 16 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_comes_out() {
        let sum = Sum::new().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.checksum(), !0xddf2);
    }

    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut() {
        let bytes: Vec<u8> = (0..=254).collect();
        let whole = Sum::new().bytes(&bytes).checksum();
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            let (b, c) = b.split_at(b.len() / 3);
            assert_eq!(Sum::new().bytes(a).bytes(b).bytes(c).bytes(&[]).checksum(), whole);
        }
    }

    #[test]
    fn a_packet_with_its_own_checksum_is_intact_and_any_flipped_bit_is_seen() {
        let mut packet = [0x45, 0, 0, 0x3c, 0x1c, 0x46, 0x40, 0, 0x40, 6, 0, 0, 1, 2, 3, 4];
        let sum = Sum::new().bytes(&packet).checksum();
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        assert!(Sum::new().bytes(&packet).is_intact());
        for bit in 0..packet.len() * 8 {
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(!Sum::new().bytes(&packet).is_intact());
            packet[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
