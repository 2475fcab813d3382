//! The authentication trailer behind an advert of either version (draft-cassen-vrrp-auth-hmac): 28
//! bytes with a time stamp and 128 bits of HMAC-SHA-256.
//!
//! ```text
//!  0        1        2                4                8        10       12              28
//!  | type 1 | key    | 0              | seconds        | 1/65536| count  | digest        |
//! ```
//!
//! The digest covers who sends it, the advert with its checksum as zero, and the trailer with its digest
//! as zero. The address stands in it because VRRP itself does not say where an advert came from.

use std::fmt;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::bytes::Bytes;
use super::cause::causes;

/// The length of the trailer in bytes.
pub const LEN: usize = 28;
/// The longest key in bytes: what SHA-256 takes at one go.
pub const KEY_BYTES_MAX: usize = 64;

/// The only type there is.
const KIND: u8 = 1;
/// The part in front of the digest.
const FIXED_LEN: usize = 12;
/// The length of the digest in bytes.
const DIGEST_LEN: usize = LEN - FIXED_LEN;
/// Where the checksum of an advert is.
const CHECKSUM: std::ops::Range<usize> = 6..8;

/// A shared key of 1 to [`KEY_BYTES_MAX`] bytes. It never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key; `None` if it is empty or too long.
    pub fn new(bytes: &[u8]) -> Option<Key> {
        (1..=KEY_BYTES_MAX).contains(&bytes.len()).then(|| Key(bytes.to_vec()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// When an advert was sent: seconds since 1970 in the upper 32 bits, then 16 bits of a second, then a
/// count of those that were sent within. It only ever rises, so it orders the adverts of a sender.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The stamp of a moment, in nanoseconds since 1970.
    #[allow(clippy::cast_possible_truncation, reason = "seconds wrap in 2106 by design")]
    pub fn at(unix_ns: u64) -> Stamp {
        const NS_PER_S: u64 = 1_000_000_000;
        let seconds = u64::from((unix_ns / NS_PER_S) as u32);
        let fraction = (unix_ns % NS_PER_S) * 0x1_0000 / NS_PER_S;
        Stamp(seconds << 32 | fraction << 16)
    }

    /// The next higher one.
    #[must_use]
    pub fn next(self) -> Stamp {
        Stamp(self.0.wrapping_add(1))
    }

    /// The stamp of a moment that is later by so much.
    #[must_use]
    pub fn later(self, span: std::time::Duration) -> Stamp {
        let fraction = u64::from(span.subsec_micros()) * 0x1_0000 / 1_000_000;
        Stamp(self.0.wrapping_add(span.as_secs() << 32).wrapping_add(fraction << 16))
    }

    /// Whether it is behind another one, by the distance between them (RFC 1982): it may wrap.
    pub fn is_after(self, other: Stamp) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 1 << 63
    }

    /// The distance to another one, in whole seconds, whichever is later.
    pub fn seconds_to(self, other: Stamp) -> u32 {
        let (ours, theirs) = (self.0 >> 32, other.0 >> 32);
        #[allow(clippy::cast_possible_truncation, reason = "both have 32 bits")]
        let ahead = (ours as u32).wrapping_sub(theirs as u32);
        ahead.min(ahead.wrapping_neg())
    }
}

/// Whom a digest vouches for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The address that the packet comes from.
    pub source: IpAddr,
    /// The version of the advert, 2 or 3.
    pub version: u8,
    /// Its virtual router.
    pub vrid: u8,
}

/// A trailer as it was read; nothing in it is proved yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trailer {
    /// Which key was used.
    pub key: u8,
    /// When it was sent.
    pub stamp: Stamp,
    digest: [u8; DIGEST_LEN],
}

causes! {
    /// Why a trailer was refused.
    Reject {
        /// It has another length.
        Length = "trailer-length",
        /// Its type is unknown.
        Type = "trailer-type",
    }
}

impl Trailer {
    /// Reads a trailer of [`LEN`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Trailer, Reject> {
        let mut rest = Bytes(bytes);
        let [kind, key, _, _] = rest.array().ok_or(Reject::Length)?;
        let stamp = u64::from_be_bytes(rest.array().ok_or(Reject::Length)?);
        let digest = rest.array().ok_or(Reject::Length)?;
        match (kind, rest.0) {
            (KIND, []) => Ok(Trailer { key, stamp: Stamp(stamp), digest }),
            (KIND, _) => Err(Reject::Length),
            _ => Err(Reject::Type),
        }
    }

    /// Whether the digest is that of this advert, this sender and this key; in constant time.
    pub fn is_of(&self, key: &Key, sender: &Sender, advert: &[u8]) -> bool {
        let fixed = fixed(self.key, self.stamp);
        digest(key, sender, advert, &fixed).verify_truncated_left(&self.digest).is_ok()
    }
}

/// Appends the trailer of an advert to `out`.
pub fn encode(
    number: u8,
    key: &Key,
    stamp: Stamp,
    sender: &Sender,
    advert: &[u8],
    out: &mut Vec<u8>,
) {
    let fixed = fixed(number, stamp);
    let whole = digest(key, sender, advert, &fixed).finalize().into_bytes();
    out.extend(fixed);
    out.extend(&whole[..DIGEST_LEN]);
}

fn fixed(key: u8, stamp: Stamp) -> [u8; FIXED_LEN] {
    let mut bytes = [0; FIXED_LEN];
    bytes[..2].copy_from_slice(&[KIND, key]);
    bytes[4..].copy_from_slice(&stamp.0.to_be_bytes());
    bytes
}

fn digest(key: &Key, sender: &Sender, advert: &[u8], fixed: &[u8; FIXED_LEN]) -> Hmac<Sha256> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(&key.0).expect("a key of any length is taken");
    let mut source = [0; 16];
    let family = match sender.source {
        IpAddr::V4(address) => {
            source[..4].copy_from_slice(&address.octets());
            4
        }
        IpAddr::V6(address) => {
            source = address.octets();
            6
        }
    };
    hmac.update(&[family, sender.version, sender.vrid, 0]);
    hmac.update(&source);
    let (before, after) = advert.split_at(advert.len().min(CHECKSUM.start));
    hmac.update(before);
    hmac.update(&[0; 2]);
    hmac.update(after.get(CHECKSUM.len()..).unwrap_or_default());
    hmac.update(fixed);
    hmac.update(&[0; DIGEST_LEN]);
    hmac
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::wire::fixtures::hex;

    fn sender() -> Sender {
        Sender { source: Ipv4Addr::new(192, 0, 2, 1).into(), version: 3, vrid: 51 }
    }

    fn sealed() -> (Key, Vec<u8>, Vec<u8>) {
        let key = Key::new(b"0123456789abcdef").unwrap();
        let advert = hex("3133c8020064df06 c0000264 c0000265");
        let mut trailer = Vec::new();
        encode(7, &key, Stamp::at(1_700_000_000_500_000_000), &sender(), &advert, &mut trailer);
        (key, advert, trailer)
    }

    #[test]
    fn a_trailer_has_its_fields_where_the_draft_has_them_and_is_taken_back() {
        let (key, advert, bytes) = sealed();
        assert_eq!(bytes.len(), LEN);
        assert_eq!(bytes[..FIXED_LEN], hex("01 07 0000 6553f100 8000 0000"));
        let trailer = Trailer::decode(&bytes).unwrap();
        assert_eq!(trailer.key, 7);
        assert!(trailer.is_of(&key, &sender(), &advert));
    }

    /// The digest, computed from its parts by the definition of HMAC (RFC 2104) with plain SHA-256.
    #[test]
    fn the_digest_is_hmac_of_sender_advert_without_checksum_and_trailer_without_digest() {
        use sha2::Digest as _;
        let (_, advert, bytes) = sealed();
        let mut text = hex("04 03 33 00 c0000201 000000000000000000000000");
        text.extend(hex("3133c80200640000 c0000264 c0000265"));
        text.extend(&bytes[..FIXED_LEN]);
        text.extend([0; DIGEST_LEN]);
        assert_eq!(advert.len() + LEN + 20, text.len());
        let mut pad = [0_u8; 64];
        pad[..16].copy_from_slice(b"0123456789abcdef");
        let inner = Sha256::new().chain_update(pad.map(|byte| byte ^ 0x36)).chain_update(&text);
        let outer = Sha256::new().chain_update(pad.map(|byte| byte ^ 0x5c));
        let whole = outer.chain_update(inner.finalize()).finalize();
        assert_eq!(bytes[FIXED_LEN..], whole[..DIGEST_LEN]);
    }

    #[test]
    fn whatever_is_changed_is_seen_except_the_checksum_and_what_is_reserved() {
        let (key, advert, bytes) = sealed();
        for bit in 0..advert.len() * 8 {
            let mut changed = advert.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let taken = Trailer::decode(&bytes).unwrap().is_of(&key, &sender(), &changed);
            assert_eq!(taken, CHECKSUM.contains(&(bit / 8)), "bit {bit} of the advert");
        }
        for bit in 8..LEN * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let taken = Trailer::decode(&changed).unwrap().is_of(&key, &sender(), &advert);
            assert_eq!(taken, matches!(bit / 8, 2 | 3), "bit {bit} of the trailer");
        }
        let trailer = Trailer::decode(&bytes).unwrap();
        let other = Sender { source: Ipv4Addr::new(192, 0, 2, 2).into(), ..sender() };
        assert!(!trailer.is_of(&key, &other, &advert));
        assert!(!trailer.is_of(&Key::new(b"0123456789abcdee").unwrap(), &sender(), &advert));
    }

    #[test]
    fn other_lengths_and_types_are_refused() {
        let (_, _, bytes) = sealed();
        for length in 0..LEN {
            assert_eq!(Trailer::decode(&bytes[..length]), Err(Reject::Length));
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert_eq!(Trailer::decode(&longer), Err(Reject::Length));
        let unknown: Vec<u8> = [2].into_iter().chain(bytes[1..].iter().copied()).collect();
        assert_eq!(Trailer::decode(&unknown), Err(Reject::Type));
        assert!(Key::new(b"").is_none() && Key::new(&[0; KEY_BYTES_MAX + 1]).is_none());
    }

    #[test]
    fn stamps_are_ordered_by_their_distance_also_where_seconds_wrap() {
        let (early, late) = (Stamp(u64::MAX - 5), Stamp(3));
        assert!(late.is_after(early) && !early.is_after(late) && !late.is_after(late));
        assert!(early.next().is_after(early));
        let at = |seconds: u64| Stamp::at(seconds * 1_000_000_000);
        assert_eq!((at(10).seconds_to(at(7)), at(7).seconds_to(at(10))), (3, 3));
        assert_eq!(Stamp(0).seconds_to(Stamp(u64::MAX)), 1);
    }
}
