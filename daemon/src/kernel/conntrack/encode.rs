//! Requests to the table of connections.
//!
//! The kernel owns much of a connection and takes the rest in one form only: what it would drop or
//! refuse is not sent, and what it would guess is spelled out. It answers to a change only if that
//! fails, with the sequence number of the request.

use evergate_core::flow::{Flow, FlowKey, State, Zones, status, tcp};

use super::attributes::{self as a, NESTED};
use crate::kernel::rtnetlink::encode::{Requests, family_of};

mod expectation;
mod extra;
mod nat;
#[cfg(test)]
mod tests;
mod tuple;

pub use expectation::{expect, list_expectations, set_expectation_timeout, unexpect};
use tuple::write_tuple;

/// The largest window scale (RFC 7323 §2.3).
pub const SCALE_MAX: u8 = 14;
/// The flags of TCP that are sent; the kernel keeps the rest to itself.
const TCP_FLAGS_SENT: u8 = tcp::FLAG_WINDOW_SCALE | tcp::FLAG_SACK | tcp::FLAG_LIBERAL;
/// The bits of the status that can be set. They can never be taken back.
const STATUS_SETTABLE: u32 = status::SEEN_REPLY | status::ASSURED;

/// A set of the parts of a flow that a request leaves out, because this kernel cannot have them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Omit(u8);

impl Omit {
    /// The helper: it is not loaded here.
    pub const HELPER: Omit = Omit(1 << 0);
    /// The connection that has expected it: it is not in the table.
    pub const MASTER: Omit = Omit(1 << 1);
    /// The labels: no rule here uses them.
    pub const LABELS: Omit = Omit(1 << 2);
    /// The freedom from checks of windows: they begin with the first packet.
    pub const LIBERAL: Omit = Omit(1 << 3);

    /// Whether all of `parts` are in the set.
    pub fn has(self, parts: Omit) -> bool {
        self.0 & parts.0 == parts.0
    }

    /// The set with `parts`.
    #[must_use]
    pub fn and(self, parts: Omit) -> Omit {
        Omit(self.0 | parts.0)
    }
}

/// Makes a connection, or makes one with this key be like it where that needs no other translation,
/// helper or master. The kernel forgets it after `timeout_s` seconds.
///
/// Windows of TCP cannot be told, so they are not checked until [`check_windows`]; with
/// [`Omit::LIBERAL`] the kernel takes them from the first packet of each direction.
pub fn create(out: &mut Requests, sequence: u32, flow: &Flow, timeout_s: u32, omit: Omit) {
    request(out, a::IPCTNL_MSG_CT_NEW, libc::NLM_F_CREATE, sequence, &flow.key, |out| {
        write_original(out, &flow.key);
        let ends = nat::ends(flow);
        // The kernel translates by the ranges alone: the tuple must be the one from before.
        let reply = if ends.is_some() { flow.key.original.inverse() } else { flow.reply };
        write_tuple(out, a::CTA_TUPLE_REPLY, &reply, reply_zone(flow.key.zones));
        if let Some(ends) = ends {
            nat::write(out, &ends);
        }
        write_value(out, flow, timeout_s, flow.status & STATUS_SETTABLE, omit);
        if let Some(extra) = flow.extra.as_deref() {
            extra::write_new(out, extra, omit);
        }
    });
}

/// Makes a connection that is there be like `flow`, all but its translation, helper and master.
///
/// `held` is the status that the kernel has told: bits that are set there stay so, and the kernel
/// refuses a status without them.
pub fn update(
    out: &mut Requests,
    sequence: u32,
    flow: &Flow,
    timeout_s: u32,
    held: u32,
    omit: Omit,
) {
    request(out, a::IPCTNL_MSG_CT_NEW, 0, sequence, &flow.key, |out| {
        write_original(out, &flow.key);
        let keep = held & (STATUS_SETTABLE | status::EXPECTED);
        write_value(out, flow, timeout_s, keep | flow.status & STATUS_SETTABLE, omit);
    });
}

/// Removes a connection by its key.
pub fn delete(out: &mut Requests, sequence: u32, key: &FlowKey) {
    request(out, a::IPCTNL_MSG_CT_DELETE, 0, sequence, key, |out| {
        write_original(out, key);
    });
}

/// Removes whatever connection has the reply tuple of `flow`, in either direction.
pub fn delete_by_reply(out: &mut Requests, sequence: u32, flow: &Flow) {
    request(out, a::IPCTNL_MSG_CT_DELETE, 0, sequence, &flow.key, |out| {
        write_both_zones(out, flow.key.zones);
        write_tuple(out, a::CTA_TUPLE_REPLY, &flow.reply, reply_zone(flow.key.zones));
    });
}

/// Asks for a connection by its key. The kernel answers with it, or with an error.
pub fn get(out: &mut Requests, sequence: u32, key: &FlowKey) {
    request(out, a::IPCTNL_MSG_CT_GET, 0, sequence, key, |out| write_original(out, key));
}

/// Asks for all connections of both families.
pub fn list(out: &mut Requests, sequence: u32) {
    let both = family_header(0);
    out.message(a::IPCTNL_MSG_CT_GET, libc::NLM_F_DUMP, sequence, &both, |_| {});
}

/// Lets the kernel forget a connection after `timeout_s` seconds; it must be there.
pub fn set_timeout(out: &mut Requests, sequence: u32, key: &FlowKey, timeout_s: u32) {
    request(out, a::IPCTNL_MSG_CT_NEW, 0, sequence, key, |out| {
        write_original(out, key);
        number(out, a::CTA_TIMEOUT, timeout_s);
    });
}

/// Has the kernel check the windows of a TCP connection, which must be there, or not. To be checked again
/// they must be known: packets were seen in both directions.
pub fn check_windows(out: &mut Requests, sequence: u32, key: &FlowKey, check: bool) {
    request(out, a::IPCTNL_MSG_CT_NEW, 0, sequence, key, |out| {
        write_original(out, key);
        out.nested(a::CTA_PROTOINFO | NESTED, |info| {
            info.nested(a::CTA_PROTOINFO_TCP | NESTED, |info| {
                let flags = [if check { 0 } else { tcp::FLAG_LIBERAL }, tcp::FLAG_LIBERAL];
                info.attribute(a::CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, &flags);
                info.attribute(a::CTA_PROTOINFO_TCP_FLAGS_REPLY, &flags);
            });
        });
    });
}

fn request(
    out: &mut Requests,
    kind: u16,
    flags: i32,
    sequence: u32,
    key: &FlowKey,
    fill: impl FnOnce(&mut Requests),
) {
    let family = family_header(family_of(key.original.source));
    out.message(kind, flags, sequence, &family, fill);
}

/// The family, a version (0) and no resource.
fn family_header(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
}

/// Numbers of ctnetlink are big-endian.
fn number(out: &mut Requests, kind: u16, value: u32) {
    out.attribute(kind, &value.to_be_bytes());
}

/// A zone belongs to both directions or to one; the kernel takes it at another place for each.
fn write_original(out: &mut Requests, key: &FlowKey) {
    write_both_zones(out, key.zones);
    let Zones { original, reply } = key.zones;
    let zone = if original == reply || original == 0 { None } else { Some(original) };
    write_tuple(out, a::CTA_TUPLE_ORIG, &key.original, zone);
}

fn write_both_zones(out: &mut Requests, zones: Zones) {
    if zones.original == zones.reply && zones.original != 0 {
        out.attribute(a::CTA_ZONE, &zones.original.to_be_bytes());
    }
}

fn reply_zone(zones: Zones) -> Option<u16> {
    if zones.original == zones.reply || zones.reply == 0 { None } else { Some(zones.reply) }
}

/// What can be set at any time.
fn write_value(out: &mut Requests, flow: &Flow, timeout_s: u32, bits: u32, omit: Omit) {
    // Without this bit the kernel refuses any status.
    number(out, a::CTA_STATUS, bits | status::CONFIRMED);
    number(out, a::CTA_TIMEOUT, timeout_s);
    number(out, a::CTA_MARK, flow.mark);
    write_state(out, &flow.state, !omit.has(Omit::LIBERAL));
    if let Some(extra) = flow.extra.as_deref() {
        extra::write_value(out, extra, omit);
    }
}

fn write_state(out: &mut Requests, state: &State, liberal: bool) {
    match *state {
        State::None => {}
        State::Tcp { state, flags, scales } => protocol_info(out, a::CTA_PROTOINFO_TCP, |info| {
            info.attribute(a::CTA_PROTOINFO_TCP_STATE, &[state]);
            // Scales are dropped unless both are there and both directions have the flag.
            for (kind, bits) in [
                (a::CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, flags[0]),
                (a::CTA_PROTOINFO_TCP_FLAGS_REPLY, flags[1]),
            ] {
                let free = if liberal { tcp::FLAG_LIBERAL } else { 0 };
                let bits = bits & TCP_FLAGS_SENT & !tcp::FLAG_LIBERAL | free;
                info.attribute(kind, &[bits, TCP_FLAGS_SENT]);
            }
            info.attribute(a::CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, &[scales[0].min(SCALE_MAX)]);
            info.attribute(a::CTA_PROTOINFO_TCP_WSCALE_REPLY, &[scales[1].min(SCALE_MAX)]);
        }),
        State::Sctp { state, tags } => protocol_info(out, a::CTA_PROTOINFO_SCTP, |info| {
            info.attribute(a::CTA_PROTOINFO_SCTP_STATE, &[state]);
            number(info, a::CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, tags[0]);
            number(info, a::CTA_PROTOINFO_SCTP_VTAG_REPLY, tags[1]);
        }),
        State::Dccp { state, role, sequence } => {
            protocol_info(out, a::CTA_PROTOINFO_DCCP, |info| {
                info.attribute(a::CTA_PROTOINFO_DCCP_STATE, &[state]);
                info.attribute(a::CTA_PROTOINFO_DCCP_ROLE, &[role]);
                info.attribute(a::CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ, &sequence.to_be_bytes());
            });
        }
    }
}

fn protocol_info(out: &mut Requests, kind: u16, fill: impl FnOnce(&mut Requests)) {
    out.nested(a::CTA_PROTOINFO | NESTED, |info| info.nested(kind | NESTED, fill));
}
