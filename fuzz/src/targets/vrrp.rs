//! Any bytes as an advert, in front of a router with each kind of authentication: no panic; an advert that was read is
//! written and read again as it was; nothing is believed twice that carries a number.
//!
//! The first byte says who listens ([`Choice`]), the rest is the packet.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use evergate_core::ident::Family;
use evergate_core::vrrp::guard::{Guard, Keys, Method, Mode};
use evergate_core::wire::trailer::{self, Key, Sender, Stamp, Trailer};
use evergate_core::wire::vrrp::{Context, Dialect, Password};
use evergate_core::wire::{ah, checksum::Sum, vrrp};

/// When it is, in all executions.
pub const NOW: Stamp = Stamp(0x6500_0000_0000_0000);
const PASSWORD: Password = Password(*b"secret12");
const KEY: &[u8] = b"a key of the trailer";
const KEY_NUMBER: u8 = 7;
const FROM_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TO_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const FROM_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 10);
const TO_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 11);

/// Who listens, and what is put right before it arrives: one byte.
#[derive(Clone, Copy, Debug)]
pub struct Choice(pub u8);

impl Choice {
    /// The bits that say who listens.
    pub const LISTENERS: u8 = 16;
    /// The bit that has checksum and digest made right, so that what lies behind them is reached.
    pub const MENDED: u8 = 16;

    fn family(self) -> Family {
        if self.0 & 1 == 0 { Family::V4 } else { Family::V6 }
    }

    fn is_unicast(self) -> bool {
        self.0 & 2 != 0
    }

    /// From where to where.
    pub fn ends(self) -> (IpAddr, IpAddr) {
        match (self.family(), self.is_unicast()) {
            (Family::V4, false) => (FROM_V4.into(), vrrp::GROUP_V4.into()),
            (Family::V4, true) => (FROM_V4.into(), TO_V4.into()),
            (Family::V6, false) => (FROM_V6.into(), vrrp::GROUP_V6.into()),
            (Family::V6, true) => (FROM_V6.into(), TO_V6.into()),
        }
    }

    /// The authentication that the listener wants.
    pub fn method(self) -> Method {
        match self.0 >> 2 & 3 {
            0 => Method::None,
            1 => Method::Password(PASSWORD),
            2 => Method::Header(PASSWORD),
            _ => Method::Trailer(Keys {
                keys: BTreeMap::from([(KEY_NUMBER, key())]),
                active: KEY_NUMBER,
                mode: Mode::Enforce,
                window: Some(Duration::from_secs(3)),
            }),
        }
    }

    fn context(self) -> Context {
        let (source, destination) = self.ends();
        Context {
            family: self.family(),
            source,
            destination,
            hop_limit: vrrp::HOP_LIMIT,
            hop_limit_min: if self.is_unicast() { 0 } else { vrrp::HOP_LIMIT },
        }
    }
}

fn key() -> Key {
    Key::new(KEY).expect("its length is right")
}

/// One execution; whether the advert was believed.
pub fn run(bytes: &[u8]) -> bool {
    let Some((&first, packet)) = bytes.split_first() else { return false };
    let choice = Choice(first);
    let context = choice.context();
    let mended = (first & Choice::MENDED != 0).then(|| mended(choice, packet));
    let packet = mended.as_deref().unwrap_or(packet);
    let mut guard = Guard::new(choice.method(), NOW);
    let mut open = || match guard.is_header() {
        true => guard.open_header(packet, context.hop_limit_min),
        false => guard.open(packet, &context, NOW),
    };
    let opened = open();
    if opened.is_ok() {
        assert_eq!(open().is_err(), is_numbered(choice, packet), "a replay");
    }
    // Without authentication too, and as what lies behind a header of authentication.
    let bare = ah::Header::decode(packet).map_or(packet, |(_, advert)| advert);
    if let Ok((advert, dialect)) = vrrp::decode(bare, &context) {
        let mut again = Vec::new();
        vrrp::encode(&advert, dialect, context.source, context.destination, &mut again)
            .expect("what was read can be written");
        assert_eq!(vrrp::decode(&again, &context), Ok((advert, dialect)));
    }
    opened.is_ok()
}

/// Whether the packet counts once. The last number of a sequence is one after which all begin again.
fn is_numbered(choice: Choice, packet: &[u8]) -> bool {
    match choice.method() {
        Method::None | Method::Password(_) => false,
        Method::Header(_) => {
            let header = packet.get(ah::OUTER_LEN..).map(ah::Header::decode);
            header.is_some_and(|read| read.is_ok_and(|(header, _)| header.sequence != u32::MAX))
        }
        Method::Trailer(_) => true,
    }
}

/// The packet with a checksum and a digest that are right for what is in it.
fn mended(choice: Choice, packet: &[u8]) -> Vec<u8> {
    if matches!(choice.method(), Method::Header(_)) {
        return mended_header(packet).unwrap_or_else(|| packet.to_vec());
    }
    let context = choice.context();
    let (advert, behind) = vrrp::split(packet, context.family, trailer::LEN);
    let mut whole = with_checksum(advert, &context);
    if let (Ok(trailer), [first, vrid, ..]) = (Trailer::decode(behind), advert) {
        let sender = Sender { source: context.source, version: first >> 4, vrid: *vrid };
        let mut behind = Vec::with_capacity(trailer::LEN);
        trailer::encode(trailer.key, &key(), trailer.stamp, &sender, &whole, &mut behind);
        whole.extend(behind);
        vrrp::cover(&mut whole, context.source, context.destination);
    }
    whole
}

fn with_checksum(advert: &[u8], context: &Context) -> Vec<u8> {
    let mut advert = advert.to_vec();
    let Ok(length) = u16::try_from(advert.len()) else { return advert };
    if advert.len() < 8 {
        return advert;
    }
    advert[6..8].fill(0);
    let sum = match (context.source, context.destination) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            Sum::new().pseudo_v6(from, to, vrrp::PROTOCOL, length)
        }
        _ => Sum::new(),
    };
    let sum = sum.bytes(&advert).checksum();
    advert[6..8].copy_from_slice(&sum.to_be_bytes());
    advert
}

/// A whole IPv4 packet, put together anew from what stands in it.
fn mended_header(packet: &[u8]) -> Option<Vec<u8>> {
    let outer: &[u8; ah::OUTER_LEN] = packet.first_chunk()?;
    let (header, advert) = ah::Header::decode(&packet[ah::OUTER_LEN..]).ok()?;
    let address = |at: usize| Ipv4Addr::new(outer[at], outer[at + 1], outer[at + 2], outer[at + 3]);
    let outer = ah::Outer {
        identification: u16::from_be_bytes([outer[4], outer[5]]),
        source: address(12),
        destination: address(16),
        ttl: outer[8],
    };
    let context = Choice(0).context();
    let advert = with_checksum(advert, &context);
    let mut whole = Vec::new();
    ah::encode(&PASSWORD, &outer, header.sequence, &advert, &mut whole);
    Some(whole)
}

/// Valid adverts of every kind: each version, family, way, checksum and authentication, with the shortest list of
/// addresses, one of two, and the longest, and with the priorities that mean something. As input of [`run`].
pub fn valid() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for listener in 0..Choice::LISTENERS {
        for version in [vrrp::Version::V2, vrrp::Version::V3] {
            for dialect in [Dialect::Pseudo, Dialect::PseudoMulticast, Dialect::Plain] {
                for (count, priority) in [(1, 0), (2, 100), (40, 254), (vrrp::ADDRESSES_MAX, 255)] {
                    let Some(whole) = sealed(Choice(listener), version, dialect, count, priority)
                    else {
                        continue;
                    };
                    let mut mended = whole.clone();
                    mended[0] |= Choice::MENDED;
                    all.extend([whole, mended]);
                }
            }
        }
    }
    // A dialect counts for some of them only.
    all.sort();
    all.dedup();
    all
}

/// One of them, if that kind exists.
fn sealed(
    choice: Choice,
    version: vrrp::Version,
    dialect: Dialect,
    count: usize,
    priority: u8,
) -> Option<Vec<u8>> {
    let (source, destination) = choice.ends();
    let address = |number: usize| {
        let number = u8::try_from(number).unwrap_or(u8::MAX);
        match source {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, number.into())),
        }
    };
    let advert = vrrp::Advert {
        version,
        vrid: evergate_core::ident::Vrid::new(51).expect("it is not 0"),
        priority,
        interval: Duration::from_secs(1),
        addresses: (0..count).map(address).collect(),
        auth: vrrp::Auth::None,
    };
    let is_of_version_2 = matches!(choice.method(), Method::Password(_) | Method::Header(_));
    if is_of_version_2 && (version == vrrp::Version::V3 || source.is_ipv6()) {
        return None;
    }
    let mut packet = vec![choice.0];
    let mut guard = Guard::new(choice.method(), NOW);
    guard.seal(&advert, (source, destination), dialect, NOW, &mut packet).ok()?;
    Some(packet)
}
