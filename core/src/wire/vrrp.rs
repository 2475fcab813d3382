//! VRRP adverts, versions 2 and 3, for IPv4 and IPv6 (RFC 3768 §5, RFC 9568 §5).
//!
//! ```text
//!  0        4        8                16               24               32
//!  | version | type  | virtual router |    priority    | address count  |
//!  | v2: authentication | seconds     |            checksum             |
//!  | v3: 0 | 12 bits of centiseconds  |                                 |
//!  | addresses ...                    | v2: 8 bytes of authentication   |
//! ```
//!
//! Whether the checksum of version 3 over IPv4 covers a pseudo header is read differently by
//! different makes, so all three [`Dialect`]s are accepted and the one found is named.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::bytes::Bytes;
use super::cause::causes;
use super::checksum::Sum;
pub use crate::config::Version;
use crate::ident::{Family, Vrid};

/// The IP protocol number of VRRP (RFC 9568 §5.1.1.4).
pub const PROTOCOL: u8 = 112;
/// Where adverts go over IPv4 (RFC 9568 §5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Where adverts go over IPv6 (RFC 9568 §5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// The hop limit of every advert (RFC 9568 §5.1.1.3): proof that no router lies between.
pub const HOP_LIMIT: u8 = 255;
/// The most addresses that an advert can list: the count is one byte.
pub const ADDRESSES_MAX: usize = 255;
/// The longest interval of version 2, and the unit of its field.
pub const V2_INTERVAL_MAX: Duration = Duration::from_secs(255);
/// The longest interval of version 3: 12 bits of centiseconds.
pub const V3_INTERVAL_MAX: Duration = Duration::from_millis(40_950);

/// The only message type there is (RFC 9568 §5.2.2).
const ADVERTISEMENT: u8 = 1;
/// The part before the addresses.
const FIXED_LEN: usize = 8;
/// The authentication data of version 2; always there, zero where it means nothing.
const AUTH_LEN: usize = 8;
/// A shorter IPv4 packet is filled up by Ethernet to 46 bytes, 20 of which are the IP header.
const PADDED_LEN: usize = 46 - 20;
/// One unit of the interval of version 3.
const CENTISECOND: Duration = Duration::from_millis(10);

/// What one advert says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Advert {
    /// The version of the protocol.
    pub version: Version,
    /// The virtual router it speaks for.
    pub vrid: Vrid,
    /// 0 resigns, 255 owns the addresses, the rest compete.
    pub priority: u8,
    /// The sender's advertisement interval: 1 to 255 s in version 2, 10 ms to 40.95 s in version 3.
    pub interval: Duration,
    /// The virtual addresses, 1 to [`ADDRESSES_MAX`], all of one family.
    pub addresses: Vec<IpAddr>,
    /// The authentication of version 2; [`Auth::None`] in version 3.
    pub auth: Auth,
}

/// How an advert of version 2 is authenticated (RFC 2338 §5.3.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Auth {
    /// Not at all.
    None,
    /// By a password in clear text.
    Password(Password),
    /// By an authentication header in front of the advert; see [`super::ah`].
    Header,
}

/// The clear-text password of version 2, filled up with zeros. It never shows in logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Password(pub [u8; AUTH_LEN]);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What the checksum of an advert covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dialect {
    /// A pseudo header with the addresses of the packet, and the advert. IPv6 knows only this.
    Pseudo,
    /// A pseudo header that names 224.0.0.18 although the packet goes to another address.
    PseudoMulticast,
    /// The advert alone. Version 2 knows only this.
    Plain,
}

/// What the IP header said about the bytes of an advert.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Context {
    /// The family of the packet.
    pub family: Family,
    /// Who sent it.
    pub source: IpAddr,
    /// Where it was sent to.
    pub destination: IpAddr,
    /// The TTL or hop limit that was left.
    pub hop_limit: u8,
    /// The least that must be left: [`HOP_LIMIT`] where adverts are multicast. Unicast may have crossed
    /// other routers, and its operator says how many; 0: any number.
    pub hop_limit_min: u8,
}

causes! {
    /// Why an advert was refused.
    Reject {
        /// It is shorter than its own count of addresses asks for, or longer than padding explains.
        Length = "length",
        /// Its version is neither 2 nor 3, or it is version 2 over IPv6.
        Version = "version",
        /// Its message type is not "advertisement".
        Type = "type",
        /// It has crossed a router, or more than are allowed, or was sent with too small a hop limit.
        HopLimit = "hop-limit",
        /// Its checksum is right in no dialect.
        Checksum = "checksum",
        /// Its virtual router identifier is 0.
        Vrid = "vrid",
        /// It lists no address (RFC 9568 §5.2.5).
        AddressCount = "address-count",
        /// Its interval is 0.
        Interval = "interval",
        /// Its type of authentication is unknown.
        AuthType = "auth-type",
        /// The addresses of the packet are not of the packet's family.
        Family = "family",
    }
}

causes! {
    /// Why an advert cannot be put into bytes: the caller gave what the format cannot hold.
    Unsendable {
        /// The interval is 0, too long, or not a multiple of the unit of its version.
        Interval = "interval",
        /// There is no address, or more than [`ADDRESSES_MAX`].
        AddressCount = "address-count",
        /// Source, destination and addresses are not of one family, or version 2 meets IPv6.
        Family = "family",
        /// Version 3 has no authentication.
        Auth = "auth",
    }
}

/// Divides what follows the IP header into an advert and `behind` bytes behind it; nothing is behind it
/// if the lengths do not say so.
pub fn split(packet: &[u8], family: Family, behind: usize) -> (&[u8], &[u8]) {
    let version = match packet.first().map(|first| first >> 4) {
        Some(2) => Version::V2,
        _ => Version::V3,
    };
    let count = packet.get(3).copied().unwrap_or(0);
    let length = length(version, family, count.into());
    let at = if packet.len() == length + behind { length } else { packet.len() };
    packet.split_at(at)
}

/// Reads an advert: the bytes behind the IP header, and the authentication header if there is one.
pub fn decode(bytes: &[u8], context: &Context) -> Result<(Advert, Dialect), Reject> {
    decode_in_front_of(bytes, &[], context)
}

/// Reads an advert that has something behind it. Over IPv6, where kernels make the checksum of all that
/// follows the IP header, it may cover that too.
pub fn decode_in_front_of(
    bytes: &[u8],
    behind: &[u8],
    context: &Context,
) -> Result<(Advert, Dialect), Reject> {
    if Family::of(context.source) != context.family
        || Family::of(context.destination) != context.family
    {
        return Err(Reject::Family);
    }
    // RFC 9568 §7.1: a multicast advert MUST arrive with 255.
    if context.hop_limit < context.hop_limit_min {
        return Err(Reject::HopLimit);
    }
    let mut rest = Bytes(bytes);
    let fixed: [u8; FIXED_LEN] = rest.array().ok_or(Reject::Length)?;
    let [version_type, vrid, priority, count, high, low, _, _] = fixed;
    let version = match (version_type >> 4, context.family) {
        (2, Family::V4) => Version::V2,
        (3, _) => Version::V3,
        _ => return Err(Reject::Version),
    };
    if version_type & 0x0f != ADVERTISEMENT {
        return Err(Reject::Type);
    }
    let advert = cut_padding(bytes, version, context.family, count)?;
    let whole =
        context.family == Family::V6 && !behind.is_empty() && is_covered(bytes, behind, context);
    let dialect = if whole { Some(Dialect::Pseudo) } else { verify(advert, version, context) };
    let dialect = dialect.ok_or(Reject::Checksum)?;
    let vrid = Vrid::new(vrid).ok_or(Reject::Vrid)?;
    if count == 0 {
        return Err(Reject::AddressCount);
    }
    let mut rest = Bytes(&advert[FIXED_LEN..]);
    let addresses = read_addresses(&mut rest, context.family, count).ok_or(Reject::Length)?;
    let (interval, auth) = match version {
        Version::V2 => (Duration::from_secs(low.into()), read_auth(high, &mut rest)?),
        // RFC 9568 §5.2.6: the four bits above the interval are ignored.
        Version::V3 => {
            let units = u16::from_be_bytes([high & 0x0f, low]);
            (CENTISECOND * u32::from(units), Auth::None)
        }
    };
    if interval.is_zero() {
        return Err(Reject::Interval);
    }
    Ok((Advert { version, vrid, priority, interval, addresses, auth }, dialect))
}

/// The advert without what Ethernet has appended to it.
fn cut_padding(bytes: &[u8], version: Version, family: Family, count: u8) -> Result<&[u8], Reject> {
    let length = length(version, family, count.into());
    let padded = family == Family::V4 && bytes.len() <= PADDED_LEN;
    if bytes.len() != length && !padded {
        return Err(Reject::Length);
    }
    bytes.get(..length).ok_or(Reject::Length)
}

/// The length in bytes of an advert with `count` addresses.
pub fn length(version: Version, family: Family, count: usize) -> usize {
    let each = match family {
        Family::V4 => 4,
        Family::V6 => 16,
    };
    let auth = match version {
        Version::V2 => AUTH_LEN,
        Version::V3 => 0,
    };
    FIXED_LEN + each * count + auth
}

/// The dialect in which the checksum is right, tried in the order of how common they are.
fn verify(advert: &[u8], version: Version, context: &Context) -> Option<Dialect> {
    let candidates: &[Dialect] = match (version, context.family) {
        (Version::V2, _) => &[Dialect::Plain],
        (Version::V3, Family::V6) => &[Dialect::Pseudo],
        (Version::V3, Family::V4) => &[Dialect::Pseudo, Dialect::PseudoMulticast, Dialect::Plain],
    };
    let fits = |dialect: &Dialect| {
        let start = pseudo(*dialect, context.source, context.destination, advert.len());
        start.is_some_and(|sum| sum.bytes(advert).is_intact())
    };
    candidates.iter().copied().find(fits)
}

/// Whether the checksum is that of an advert with what is behind it.
fn is_covered(advert: &[u8], behind: &[u8], context: &Context) -> bool {
    let length = advert.len() + behind.len();
    let start = pseudo(Dialect::Pseudo, context.source, context.destination, length);
    start.is_some_and(|sum| sum.bytes(advert).bytes(behind).is_intact())
}

/// Makes the checksum of an advert over IPv6 cover what was appended to it. Over IPv4 it covers the
/// advert alone, and is left as it is.
pub fn cover(packet: &mut [u8], source: IpAddr, destination: IpAddr) {
    let (IpAddr::V6(_), Some(field)) = (source, packet.get_mut(6..8)) else { return };
    field.fill(0);
    if let Some(sum) = pseudo(Dialect::Pseudo, source, destination, packet.len()) {
        let checksum = sum.bytes(packet).checksum();
        packet[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// What a dialect adds in front of the advert; `None` where the addresses do not allow it.
fn pseudo(dialect: Dialect, source: IpAddr, destination: IpAddr, length: usize) -> Option<Sum> {
    let length = u16::try_from(length).ok()?;
    match (dialect, source, destination) {
        (Dialect::Plain, ..) => Some(Sum::new()),
        (Dialect::Pseudo, IpAddr::V4(from), IpAddr::V4(to)) => {
            Some(Sum::new().pseudo_v4(from, to, PROTOCOL, length))
        }
        (Dialect::PseudoMulticast, IpAddr::V4(from), IpAddr::V4(_)) => {
            Some(Sum::new().pseudo_v4(from, GROUP_V4, PROTOCOL, length))
        }
        (Dialect::Pseudo, IpAddr::V6(from), IpAddr::V6(to)) => {
            Some(Sum::new().pseudo_v6(from, to, PROTOCOL, length))
        }
        (Dialect::Pseudo | Dialect::PseudoMulticast, ..) => None,
    }
}

fn read_addresses(rest: &mut Bytes<'_>, family: Family, count: u8) -> Option<Vec<IpAddr>> {
    let mut addresses = Vec::with_capacity(count.into());
    for _ in 0..count {
        addresses.push(match family {
            Family::V4 => IpAddr::from(rest.array::<4>()?),
            Family::V6 => IpAddr::from(rest.array::<16>()?),
        });
    }
    Some(addresses)
}

fn read_auth(kind: u8, rest: &mut Bytes<'_>) -> Result<Auth, Reject> {
    let data: [u8; AUTH_LEN] = rest.array().ok_or(Reject::Length)?;
    match kind {
        0 => Ok(Auth::None),
        1 => Ok(Auth::Password(Password(data))),
        2 => Ok(Auth::Header),
        _ => Err(Reject::AuthType),
    }
}

/// Appends an advert to `out`, with its checksum; on an error `out` is as it was. The dialect
/// counts for version 3 over IPv4 only: elsewhere the standard leaves no choice.
pub fn encode(
    advert: &Advert,
    dialect: Dialect,
    source: IpAddr,
    destination: IpAddr,
    out: &mut Vec<u8>,
) -> Result<(), Unsendable> {
    let (family, count) = sendable(advert, source, destination)?;
    let [high, low] = timing(advert)?;
    let dialect = match (advert.version, family) {
        (Version::V2, _) => Dialect::Plain,
        (Version::V3, Family::V6) => Dialect::Pseudo,
        (Version::V3, Family::V4) => dialect,
    };
    let version = advert.version.number();
    let start = out.len();
    let vrid = advert.vrid.get();
    out.extend([version << 4 | ADVERTISEMENT, vrid, advert.priority, count, high, low, 0, 0]);
    for address in &advert.addresses {
        match address {
            IpAddr::V4(address) => out.extend(address.octets()),
            IpAddr::V6(address) => out.extend(address.octets()),
        }
    }
    match (advert.version, advert.auth) {
        (Version::V2, Auth::Password(Password(data))) => out.extend(data),
        (Version::V2, Auth::None | Auth::Header) => out.extend([0; AUTH_LEN]),
        (Version::V3, _) => {}
    }
    let sum = pseudo(dialect, source, destination, out.len() - start)
        .expect("one family, and at most 255 addresses, have been checked above");
    let checksum = sum.bytes(&out[start..]).checksum();
    out[start + 6..start + 8].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// The family of an advert and the number of its addresses, when the format can hold it.
fn sendable(
    advert: &Advert,
    source: IpAddr,
    destination: IpAddr,
) -> Result<(Family, u8), Unsendable> {
    let family = Family::of(source);
    let all = advert.addresses.iter().copied().chain([destination]);
    let mixed = all.map(Family::of).any(|other| other != family);
    if mixed || (advert.version, family) == (Version::V2, Family::V6) {
        return Err(Unsendable::Family);
    }
    if advert.version == Version::V3 && advert.auth != Auth::None {
        return Err(Unsendable::Auth);
    }
    match u8::try_from(advert.addresses.len()) {
        Ok(count) if count > 0 => Ok((family, count)),
        _ => Err(Unsendable::AddressCount),
    }
}

/// The two bytes that hold the interval, and in version 2 the type of authentication.
fn timing(advert: &Advert) -> Result<[u8; 2], Unsendable> {
    let interval = advert.interval;
    let exact = |unit: Duration, longest: Duration| {
        let units = interval.as_nanos() / unit.as_nanos();
        let whole = interval.as_nanos().is_multiple_of(unit.as_nanos());
        let units = u16::try_from(units).ok().filter(|_| whole && interval <= longest);
        units.filter(|units| *units > 0).ok_or(Unsendable::Interval)
    };
    match advert.version {
        Version::V2 => {
            let kind = match advert.auth {
                Auth::None => 0,
                Auth::Password(_) => 1,
                Auth::Header => 2,
            };
            let [_, seconds] = exact(Duration::from_secs(1), V2_INTERVAL_MAX)?.to_be_bytes();
            Ok([kind, seconds])
        }
        Version::V3 => Ok(exact(CENTISECOND, V3_INTERVAL_MAX)?.to_be_bytes()),
    }
}

#[cfg(test)]
mod tests;
