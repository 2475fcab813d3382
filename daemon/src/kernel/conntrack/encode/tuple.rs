//! Tuples, as the kernel reads them.

use std::net::IpAddr;

use evergate_core::flow::{Part, Tuple, protocol};

use super::super::attributes::{self as a, NESTED};
use crate::kernel::rtnetlink::encode::Requests;

/// Writes a tuple, with a zone where it is that of this direction alone.
pub(super) fn write_tuple(out: &mut Requests, kind: u16, tuple: &Tuple, zone: Option<u16>) {
    out.nested(kind | NESTED, |out| {
        out.nested(a::CTA_TUPLE_IP | NESTED, |out| {
            write_address(out, a::CTA_IP_V4_SRC, a::CTA_IP_V6_SRC, tuple.source);
            write_address(out, a::CTA_IP_V4_DST, a::CTA_IP_V6_DST, tuple.target);
        });
        out.nested(a::CTA_TUPLE_PROTO | NESTED, |out| {
            out.attribute(a::CTA_PROTO_NUM, &[tuple.protocol]);
            write_part(out, tuple.protocol, tuple.part);
        });
        if let Some(zone) = zone {
            out.attribute(a::CTA_TUPLE_ZONE, &zone.to_be_bytes());
        }
    });
}

/// Writes an address as the attribute of its family.
pub(super) fn write_address(out: &mut Requests, kind_v4: u16, kind_v6: u16, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => out.attribute(kind_v4, &v4.octets()),
        IpAddr::V6(v6) => out.attribute(kind_v6, &v6.octets()),
    }
}

fn write_part(out: &mut Requests, protocol: u8, part: Part) {
    match part {
        Part::None => {}
        Part::Ports { source, target } => {
            out.attribute(a::CTA_PROTO_SRC_PORT, &source.to_be_bytes());
            out.attribute(a::CTA_PROTO_DST_PORT, &target.to_be_bytes());
        }
        Part::Echo { kind, code, id } => {
            let kinds = if protocol == protocol::ICMPV6 {
                [a::CTA_PROTO_ICMPV6_TYPE, a::CTA_PROTO_ICMPV6_CODE, a::CTA_PROTO_ICMPV6_ID]
            } else {
                [a::CTA_PROTO_ICMP_TYPE, a::CTA_PROTO_ICMP_CODE, a::CTA_PROTO_ICMP_ID]
            };
            out.attribute(kinds[0], &[kind]);
            out.attribute(kinds[1], &[code]);
            out.attribute(kinds[2], &id.to_be_bytes());
        }
    }
}
