//! Adverts as whole Ethernet frames: those that leave from the virtual MAC address of their router, which
//! is not the interface's own (RFC 9568 §7.2, §7.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::Sum;
use super::vrrp::{HOP_LIMIT, PROTOCOL};
use crate::ident::{Family, Mac, Vrid};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const IPV4_HEADER_LEN: u16 = 20;
/// Where the destination stands in a header.
const IPV4_GROUP: std::ops::Range<usize> = 16..20;
/// Version 4 and a header of five words; internetwork control, as in every advert.
const IPV4_START: [u8; 2] = [0x45, 0xc0];
/// Never in fragments, and so without an identification (RFC 6864 §4.1).
const IPV4_NO_FRAGMENTS: [u8; 4] = [0, 0, 0x40, 0];
/// Version 6, the same traffic class, no flow label.
const IPV6_START: [u8; 4] = [0x6c, 0, 0, 0];
/// The first five bytes of a virtual MAC address, for IPv4 and IPv6 (RFC 9568 §7.3).
const PREFIX_V4: [u8; 5] = [0x00, 0x00, 0x5e, 0x00, 0x01];
const PREFIX_V6: [u8; 5] = [0x00, 0x00, 0x5e, 0x00, 0x02];

/// The virtual MAC address of a virtual router (RFC 9568 §7.3).
pub fn virtual_mac(family: Family, vrid: Vrid) -> Mac {
    let [a, b, c, d, e] = match family {
        Family::V4 => PREFIX_V4,
        Family::V6 => PREFIX_V6,
    };
    Mac([a, b, c, d, e, vrid.get()])
}

/// Appends a frame from `mac` to a multicast group: `advert` is what follows the IP header. Returns false,
/// and appends nothing, if the addresses are of two families, the destination is no group, or the advert
/// is too long for a packet.
#[must_use]
pub fn multicast(
    mac: Mac,
    (source, destination): (IpAddr, IpAddr),
    advert: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    let Ok(length) = u16::try_from(advert.len()) else { return false };
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(group)) if group.is_multicast() => {
            let Some(total) = length.checked_add(IPV4_HEADER_LEN) else { return false };
            ethernet(group_mac_v4(group), mac, ETHERTYPE_IPV4, out);
            let start = out.len();
            out.extend(IPV4_START);
            out.extend(total.to_be_bytes());
            out.extend(IPV4_NO_FRAGMENTS);
            out.extend([HOP_LIMIT, PROTOCOL, 0, 0]);
            out.extend(source.octets());
            out.extend(group.octets());
            let checksum = Sum::new().bytes(&out[start..]).checksum();
            out[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(group)) if group.is_multicast() => {
            ethernet(group_mac_v6(group), mac, ETHERTYPE_IPV6, out);
            out.extend(IPV6_START);
            out.extend(length.to_be_bytes());
            out.extend([PROTOCOL, HOP_LIMIT]);
            out.extend(source.octets());
            out.extend(group.octets());
        }
        _ => return false,
    }
    out.extend(advert);
    true
}

/// The same for a whole IPv4 packet, such as one with an authentication header. Returns false, and appends
/// nothing, if it goes to no group.
#[must_use]
pub fn multicast_whole(mac: Mac, packet: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(Ok(octets)) = packet.get(IPV4_GROUP).map(<[u8; 4]>::try_from) else {
        return false;
    };
    let group = Ipv4Addr::from(octets);
    if group.is_multicast() {
        ethernet(group_mac_v4(group), mac, ETHERTYPE_IPV4, out);
        out.extend(packet);
    }
    group.is_multicast()
}

fn ethernet(to: Mac, from: Mac, ethertype: u16, out: &mut Vec<u8>) {
    out.extend(to.0);
    out.extend(from.0);
    out.extend(ethertype.to_be_bytes());
}

/// RFC 1112 §6.4: the low 23 bits of the group.
fn group_mac_v4(group: Ipv4Addr) -> Mac {
    let [_, b, c, d] = group.octets();
    Mac([0x01, 0x00, 0x5e, b & 0x7f, c, d])
}

/// RFC 2464 §7: the low 32 bits of the group.
fn group_mac_v6(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(source: &str, group: &str) -> Option<Vec<u8>> {
        let ends = (source.parse().unwrap(), group.parse().unwrap());
        let mut frame = Vec::new();
        let mac = virtual_mac(Family::of(ends.0), Vrid::new(51).unwrap());
        multicast(mac, ends, &[0x31; 12], &mut frame).then_some(frame)
    }

    #[test]
    fn a_virtual_mac_address_is_the_prefix_of_its_family_and_the_vrid() {
        let vrid = Vrid::new(0x33).unwrap();
        assert_eq!(virtual_mac(Family::V4, vrid), Mac([0, 0, 0x5e, 0, 1, 0x33]));
        assert_eq!(virtual_mac(Family::V6, vrid), Mac([0, 0, 0x5e, 0, 2, 0x33]));
    }

    #[test]
    fn an_ipv4_frame_is_laid_out_as_the_standards_say() {
        let frame = framed("192.0.2.1", "224.0.0.18").unwrap();
        assert_eq!(frame[..6], [0x01, 0, 0x5e, 0, 0, 0x12]);
        assert_eq!(frame[6..14], [0, 0, 0x5e, 0, 1, 51, 0x08, 0x00]);
        assert_eq!(frame[14..24], [0x45, 0xc0, 0, 32, 0, 0, 0x40, 0, 255, 112]);
        assert!(Sum::new().bytes(&frame[14..34]).is_intact());
        assert_eq!(frame[26..34], [192, 0, 2, 1, 224, 0, 0, 18]);
        assert_eq!(frame[34..], [0x31; 12]);
    }

    #[test]
    fn an_ipv6_frame_is_laid_out_as_the_standards_say() {
        let frame = framed("fe80::1", "ff02::12").unwrap();
        assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 0x12]);
        assert_eq!(frame[6..14], [0, 0, 0x5e, 0, 2, 51, 0x86, 0xdd]);
        assert_eq!(frame[14..22], [0x6c, 0, 0, 0, 0, 12, 112, 255]);
        assert_eq!((frame[22], frame[37], frame[38], frame[53]), (0xfe, 1, 0xff, 0x12));
        assert_eq!(frame[54..], [0x31; 12]);
    }

    #[test]
    fn a_packet_that_is_whole_gets_an_ethernet_header_only() {
        let packet = &framed("192.0.2.1", "224.0.0.18").unwrap()[14..];
        let mut frame = Vec::new();
        assert!(multicast_whole(Mac([0, 0, 0x5e, 0, 1, 51]), packet, &mut frame));
        assert_eq!(Some(frame), framed("192.0.2.1", "224.0.0.18"));
        assert!(!multicast_whole(Mac([0; 6]), &packet[..19], &mut Vec::new()));
    }

    #[test]
    fn what_goes_to_one_router_is_no_frame_of_ours() {
        assert_eq!(framed("192.0.2.1", "192.0.2.2"), None);
        assert_eq!(framed("192.0.2.1", "ff02::12"), None);
    }
}
