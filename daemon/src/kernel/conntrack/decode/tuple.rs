//! Tuples: addresses, protocol, and what the protocol adds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use evergate_core::flow::{Part, Tuple, protocol};

use super::super::attributes as a;
use super::{DecodeError, byte, each, fixed, short};

/// Reads a tuple, and the zone where it is that of this direction alone.
pub(super) fn read(bytes: &[u8]) -> Result<(Tuple, Option<u16>), DecodeError> {
    let (mut addresses, mut numbers, mut zone) = ([None; 2], Numbers::default(), None);
    each(bytes, |kind, value| {
        match kind {
            a::CTA_TUPLE_IP => addresses = read_addresses(value)?,
            a::CTA_TUPLE_PROTO => numbers = read_numbers(value)?,
            a::CTA_TUPLE_ZONE => zone = Some(short(kind, value)?),
            _ => {}
        }
        Ok(())
    })?;
    let [Some(source), Some(target)] = addresses else { return Err(DecodeError::Addresses) };
    if source.is_ipv4() != target.is_ipv4() {
        return Err(DecodeError::Addresses);
    }
    let protocol = numbers.protocol.ok_or(DecodeError::Part)?;
    Ok((Tuple { source, target, protocol, part: numbers.part(protocol)? }, zone))
}

/// Source and target.
fn read_addresses(bytes: &[u8]) -> Result<[Option<IpAddr>; 2], DecodeError> {
    let [mut source, mut target] = [None; 2];
    each(bytes, |kind, value| {
        let v4 = || fixed::<4>(kind, value).map(|octets| Ipv4Addr::from(octets).into());
        let v6 = || fixed::<16>(kind, value).map(|octets| Ipv6Addr::from(octets).into());
        match kind {
            a::CTA_IP_V4_SRC => source = Some(v4()?),
            a::CTA_IP_V4_DST => target = Some(v4()?),
            a::CTA_IP_V6_SRC => source = Some(v6()?),
            a::CTA_IP_V6_DST => target = Some(v6()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok([source, target])
}

/// What a tuple tells of its protocol.
#[derive(Default)]
struct Numbers {
    protocol: Option<u8>,
    source: Option<u16>,
    target: Option<u16>,
    /// Type, code and identifier of ICMP and ICMPv6.
    v4: Echo,
    v6: Echo,
}

type Echo = (Option<u8>, Option<u8>, Option<u16>);

impl Numbers {
    fn part(&self, protocol: u8) -> Result<Part, DecodeError> {
        match protocol {
            protocol::ICMP => echo(self.v4),
            protocol::ICMPV6 => echo(self.v6),
            _ => match (self.source, self.target) {
                (Some(source), Some(target)) => Ok(Part::Ports { source, target }),
                // A kernel that was built without a protocol tracks it by addresses alone. These
                // two are always built in.
                (None, None) if !matches!(protocol, protocol::TCP | protocol::UDP) => {
                    Ok(Part::None)
                }
                _ => Err(DecodeError::Part),
            },
        }
    }
}

fn echo(numbers: Echo) -> Result<Part, DecodeError> {
    match numbers {
        (Some(kind), Some(code), Some(id)) => Ok(Part::Echo { kind, code, id }),
        _ => Err(DecodeError::Part),
    }
}

fn read_numbers(bytes: &[u8]) -> Result<Numbers, DecodeError> {
    let mut numbers = Numbers::default();
    each(bytes, |kind, value| {
        match kind {
            a::CTA_PROTO_NUM => numbers.protocol = Some(byte(kind, value)?),
            a::CTA_PROTO_SRC_PORT => numbers.source = Some(short(kind, value)?),
            a::CTA_PROTO_DST_PORT => numbers.target = Some(short(kind, value)?),
            a::CTA_PROTO_ICMP_TYPE => numbers.v4.0 = Some(byte(kind, value)?),
            a::CTA_PROTO_ICMP_CODE => numbers.v4.1 = Some(byte(kind, value)?),
            a::CTA_PROTO_ICMP_ID => numbers.v4.2 = Some(short(kind, value)?),
            a::CTA_PROTO_ICMPV6_TYPE => numbers.v6.0 = Some(byte(kind, value)?),
            a::CTA_PROTO_ICMPV6_CODE => numbers.v6.1 = Some(byte(kind, value)?),
            a::CTA_PROTO_ICMPV6_ID => numbers.v6.2 = Some(short(kind, value)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(numbers)
}
