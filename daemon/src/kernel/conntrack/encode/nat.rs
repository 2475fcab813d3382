//! Translation, as ranges of one address and one port: so the kernel has nothing to choose.

use std::net::IpAddr;

use evergate_core::flow::{Flow, Part, status};

use super::super::attributes::{self as a, NESTED};
use super::tuple::write_address;
use crate::kernel::rtnetlink::encode::Requests;

/// Where one end of a connection appears to be: its address, and its port or identifier.
type End = (IpAddr, Option<u16>);

/// Both ends as they are translated: the source and the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ends {
    source: End,
    target: End,
}

/// Both ends of a flow, if the kernel must be told; it then takes both, moved or not. An end that
/// is left out would be translated to itself, but on another port if that one is taken.
///
/// A connection that is not translated needs to be told so only as long as it has no answer:
/// for later packets the kernel does not look at its rules for translation.
pub(super) fn ends(flow: &Flow) -> Option<Ends> {
    let was_decided = flow.status & (status::SRC_NAT_DONE | status::DST_NAT_DONE) != 0;
    let is_unanswered = flow.status & status::SEEN_REPLY == 0;
    let is_needed = flow.is_translated() || was_decided && is_unanswered;
    if !is_needed {
        return None;
    }
    let (source_port, target_port) = match (flow.key.original.part, flow.reply.part) {
        (Part::Ports { .. }, Part::Ports { source, target }) => (Some(target), Some(source)),
        // Both ends share the identifier, and the kernel translates the target first.
        (Part::Echo { id: before, .. }, Part::Echo { id: after, .. }) => {
            (Some(after), Some(before))
        }
        _ => (None, None),
    };
    Some(Ends {
        source: (flow.reply.target, source_port),
        target: (flow.reply.source, target_port),
    })
}

/// Writes both ranges. One that has no upper end has the lower end alone.
pub(super) fn write(out: &mut Requests, ends: &Ends) {
    write_range(out, a::CTA_NAT_SRC, ends.source);
    write_range(out, a::CTA_NAT_DST, ends.target);
}

fn write_range(out: &mut Requests, kind: u16, (address, port): End) {
    out.nested(kind | NESTED, |out| {
        write_address(out, a::CTA_NAT_V4_MINIP, a::CTA_NAT_V6_MINIP, address);
        if let Some(port) = port {
            out.nested(a::CTA_NAT_PROTO | NESTED, |out| {
                out.attribute(a::CTA_PROTONAT_PORT_MIN, &port.to_be_bytes());
            });
        }
    });
}
