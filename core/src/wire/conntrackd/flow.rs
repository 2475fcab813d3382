//! A flow as the attributes of conntrackd.
//!
//! The answer's direction is not told: it is the inverse of the original, with translated ends put in.
//! So what conntrackd cannot tell is not replicated: keys of GRE, ports of UDP-Lite, a translated
//! identifier of ICMP, zones that differ between directions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Reject;
use super::attribute::{Attributes, number as n, write};
use crate::flow::{
    Extra, Flow, FlowKey, LABELS_BYTES, Part, SequenceAdjustment, State, Synproxy, Tuple, Zones,
    protocol, status, tcp,
};
use crate::wire::bytes::Bytes;

/// The highest window scale (RFC 7323 section 2.3).
const SCALE_MAX: u8 = 14;
/// The most bytes of a helper's name that conntrackd takes.
const HELPER_MAX: usize = 11;
/// The flags that window scales need to be taken by the kernel; conntrackd does not tell them.
const SCALED: u8 = tcp::FLAG_WINDOW_SCALE | tcp::FLAG_SACK;

/// Appends the attributes of a flow; `false`, and nothing, for what conntrackd cannot have.
#[must_use]
pub fn encode(flow: &Flow, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let original = &flow.key.original;
    let told = flow.reply.protocol == original.protocol
        && has_its_ports(&flow.reply)
        && write_addresses(original, [n::IPV4, n::IPV6], out);
    write(out, n::STATUS, &(flow.status & status::REPLICATED | status::CONFIRMED).to_be_bytes());
    if !told || !write_part(original, out) || !is_told(flow) {
        out.truncate(start);
        return false;
    }
    write_state(&flow.state, out);
    write(out, n::TIMEOUT, &flow.timeout.to_be_bytes());
    if flow.mark != 0 {
        write(out, n::MARK, &flow.mark.to_be_bytes());
    }
    let extra = flow.extra.as_deref();
    if let Some(master) = extra.and_then(|extra| extra.master.as_ref()) {
        write_master(master, out);
    }
    write_translation(flow, out);
    if let Some(extra) = extra {
        write_extra(extra, out);
    }
    write_zone(flow.key.zones, out);
    true
}

/// Appends the attributes that name a flow; `false`, and nothing, for what conntrackd cannot have.
#[must_use]
pub fn encode_key(key: &FlowKey, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let told = key.zones.original == key.zones.reply
        && write_addresses(&key.original, [n::IPV4, n::IPV6], out);
    write(out, n::STATUS, &status::CONFIRMED.to_be_bytes());
    if !told || !write_part(&key.original, out) {
        out.truncate(start);
        return false;
    }
    write_zone(key.zones, out);
    true
}

/// Whether all that makes this flow what it is can be told.
fn is_told(flow: &Flow) -> bool {
    let (Part::Echo { id, .. }, Part::Echo { id: answered, .. }) =
        (flow.key.original.part, flow.reply.part)
    else {
        return flow.key.zones.original == flow.key.zones.reply;
    };
    id == answered && flow.key.zones.original == flow.key.zones.reply
}

fn write_addresses(tuple: &Tuple, [v4, v6]: [u16; 2], out: &mut Vec<u8>) -> bool {
    match (tuple.source, tuple.target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            write(out, v4, &[source.octets(), target.octets()].concat());
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            write(out, v6, &[source.octets(), target.octets()].concat());
        }
        _ => return false,
    }
    true
}

/// Whether conntrackd knows the ports of a protocol.
fn knows_ports(number: u8) -> bool {
    [protocol::TCP, protocol::UDP, protocol::SCTP, protocol::DCCP].contains(&number)
}

/// Whether a direction has what belongs to its protocol, and conntrackd can tell it.
fn has_its_ports(tuple: &Tuple) -> bool {
    let is_icmp = matches!(tuple.protocol, protocol::ICMP | protocol::ICMPV6);
    match tuple.part {
        Part::None => !knows_ports(tuple.protocol) && !is_icmp,
        Part::Ports { .. } => knows_ports(tuple.protocol),
        Part::Echo { .. } => is_icmp,
    }
}

fn write_part(tuple: &Tuple, out: &mut Vec<u8>) -> bool {
    if !has_its_ports(tuple) {
        return false;
    }
    write(out, n::L4_PROTOCOL, &[tuple.protocol]);
    match tuple.part {
        Part::None => {}
        Part::Ports { source, target } => {
            write(out, n::PORTS, &[source.to_be_bytes(), target.to_be_bytes()].concat());
        }
        Part::Echo { kind, code, id } => {
            write(out, n::ICMP_TYPE, &[kind]);
            write(out, n::ICMP_CODE, &[code]);
            write(out, n::ICMP_ID, &id.to_le_bytes());
        }
    }
    true
}

fn write_state(state: &State, out: &mut Vec<u8>) {
    match *state {
        State::None => {}
        State::Tcp { state, flags, scales } => {
            write(out, n::TCP_STATE, &[state]);
            if flags.iter().all(|flags| flags & tcp::FLAG_WINDOW_SCALE != 0) {
                write(out, n::SCALE_ORIGINAL, &[scales[0].min(SCALE_MAX)]);
                write(out, n::SCALE_REPLY, &[scales[1].min(SCALE_MAX)]);
            }
        }
        State::Sctp { state, tags } => {
            write(out, n::SCTP_STATE, &[state]);
            write(out, n::SCTP_TAG_ORIGINAL, &tags[0].to_be_bytes());
            write(out, n::SCTP_TAG_REPLY, &tags[1].to_be_bytes());
        }
        State::Dccp { state, role, .. } => {
            write(out, n::DCCP_STATE, &[state]);
            write(out, n::DCCP_ROLE, &[role]);
        }
    }
}

fn write_master(master: &Tuple, out: &mut Vec<u8>) {
    if !matches!(master.part, Part::Ports { .. }) || !has_its_ports(master) {
        return;
    }
    let Part::Ports { source, target } = master.part else { return };
    if write_addresses(master, [n::MASTER_IPV4, n::MASTER_IPV6], out) {
        write(out, n::MASTER_L4_PROTOCOL, &[master.protocol]);
        write(out, n::MASTER_PORTS, &[source.to_be_bytes(), target.to_be_bytes()].concat());
    }
}

/// The ends that are not what the inverse of the original direction would have.
fn write_translation(flow: &Flow, out: &mut Vec<u8>) {
    let plain = flow.key.original.inverse();
    let mut end = |from: IpAddr, to: IpAddr, [v4, v6]: [u16; 2]| match to {
        to if to == from => {}
        IpAddr::V4(to) => write(out, v4, &to.octets()),
        IpAddr::V6(to) => write(out, v6, &to.octets()),
    };
    end(plain.target, flow.reply.target, [n::SNAT_IPV4, n::SNAT_IPV6]);
    end(plain.source, flow.reply.source, [n::DNAT_IPV4, n::DNAT_IPV6]);
    let (Part::Ports { source, target }, Part::Ports { source: other, target: own }) =
        (plain.part, flow.reply.part)
    else {
        return;
    };
    if own != target {
        write(out, n::SPAT_PORT, &own.to_le_bytes());
    }
    if other != source {
        write(out, n::DPAT_PORT, &other.to_le_bytes());
    }
}

fn write_extra(extra: &Extra, out: &mut Vec<u8>) {
    if let Some(both) = &extra.adjustments {
        let words = both.iter().flat_map(|one| [one.position, one.before, one.after]);
        write(out, n::ADJUSTMENTS, &words.flat_map(u32::to_be_bytes).collect::<Vec<_>>());
    }
    if let Some(helper) = extra.helper.as_ref().filter(|name| name.len() <= HELPER_MAX) {
        let mut name = helper.clone();
        name.push(0);
        write(out, n::HELPER, &name);
    }
    if let Some(labels) = &extra.labels {
        // Ours begin with the lowest byte, conntrackd's with the lowest word.
        let mut words = Vec::with_capacity(LABELS_BYTES);
        labels.chunks(4).for_each(|word| words.extend(word.iter().rev()));
        write(out, n::LABELS, &words);
    }
    if let Some(proxy) = extra.synproxy {
        let words = [proxy.timestamp, proxy.initial, proxy.offset];
        write(out, n::SYNPROXY, &words.map(u32::to_be_bytes).concat());
    }
}

fn write_zone(zones: Zones, out: &mut Vec<u8>) {
    if zones.original != 0 {
        write(out, n::ZONE, &zones.original.to_be_bytes());
    }
}

/// Reads a flow from the attributes of a message.
pub fn decode(attributes: &[u8]) -> Result<Flow, Reject> {
    let found = Attributes::read(attributes)?;
    let key = key(&found)?;
    let master = tuple(&found, MASTER).ok();
    let state = state(&found, key.original.protocol);
    let mut status = found.u32(n::STATUS).unwrap_or(0) & status::REPLICATED;
    if matches!(state, State::Tcp { state, .. } if state >= tcp::ESTABLISHED) {
        status |= status::SEEN_REPLY | status::ASSURED;
    }
    let extra = Extra {
        labels: found.get(n::LABELS).map(labels),
        helper: found.get(n::HELPER).and_then(helper),
        master,
        adjustments: found.get(n::ADJUSTMENTS).and_then(adjustments),
        synproxy: found.get(n::SYNPROXY).and_then(synproxy),
        expectations: Vec::new(),
    };
    Ok(Flow {
        key,
        reply: reply(&found, &key.original),
        status,
        timeout: found.u32(n::TIMEOUT).unwrap_or(0),
        mark: found.u32(n::MARK).unwrap_or(0),
        state,
        extra: (extra != Extra::default()).then(|| Box::new(extra)),
    })
}

/// Reads the name of a flow from the attributes of a message.
pub fn decode_key(attributes: &[u8]) -> Result<FlowKey, Reject> {
    key(&Attributes::read(attributes)?)
}

fn key(found: &Attributes<'_>) -> Result<FlowKey, Reject> {
    let zone = found.u16(n::ZONE).unwrap_or(0);
    Ok(FlowKey { original: tuple(found, OWN)?, zones: Zones { original: zone, reply: zone } })
}

/// The numbers of the attributes of a direction: both families, the protocol, its ports.
const OWN: [u16; 4] = [n::IPV4, n::IPV6, n::L4_PROTOCOL, n::PORTS];
/// Those of the connection that has expected it.
const MASTER: [u16; 4] = [n::MASTER_IPV4, n::MASTER_IPV6, n::MASTER_L4_PROTOCOL, n::MASTER_PORTS];

fn tuple(found: &Attributes<'_>, [v4, v6, kind, ports]: [u16; 4]) -> Result<Tuple, Reject> {
    let v4 = found.get(v4).and_then(|bytes| {
        let mut rest = Bytes(bytes);
        let mut one = || rest.array::<4>().map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
        one().zip(one())
    });
    let v6 = found.get(v6).and_then(|bytes| {
        let mut rest = Bytes(bytes);
        let mut one = || rest.array::<16>().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
        one().zip(one())
    });
    let (source, target) = match (v4, v6) {
        (Some(ends), None) | (None, Some(ends)) => ends,
        (None, None) | (Some(_), Some(_)) => return Err(Reject::Flow),
    };
    let number = found.u8(kind).ok_or(Reject::Flow)?;
    let part = match number {
        protocol::ICMP | protocol::ICMPV6 => Part::Echo {
            kind: found.u8(n::ICMP_TYPE).ok_or(Reject::Flow)?,
            code: found.u8(n::ICMP_CODE).ok_or(Reject::Flow)?,
            id: found.swapped(n::ICMP_ID).ok_or(Reject::Flow)?,
        },
        number if knows_ports(number) => {
            let mut rest = Bytes(found.get(ports).ok_or(Reject::Flow)?);
            let (source, target) = rest.u16().zip(rest.u16()).ok_or(Reject::Flow)?;
            Part::Ports { source, target }
        }
        // Its keys or ports are not told, and without them it is another flow.
        protocol::GRE | protocol::UDPLITE => return Err(Reject::Flow),
        _ => Part::None,
    };
    Ok(Tuple { source, target, protocol: number, part })
}

/// The direction of the answers: the inverse, with the ends that are translated.
fn reply(found: &Attributes<'_>, original: &Tuple) -> Tuple {
    let mut reply = original.inverse();
    let end = |v4: u16, v6: u16| match original.source {
        IpAddr::V4(_) => found.array::<4>(v4).map(|octets| IpAddr::V4(octets.into())),
        IpAddr::V6(_) => found.array::<16>(v6).map(|octets| IpAddr::V6(octets.into())),
    };
    reply.target = end(n::SNAT_IPV4, n::SNAT_IPV6).unwrap_or(reply.target);
    reply.source = end(n::DNAT_IPV4, n::DNAT_IPV6).unwrap_or(reply.source);
    if let Part::Ports { source, target } = &mut reply.part {
        *target = found.swapped(n::SPAT_PORT).unwrap_or(*target);
        *source = found.swapped(n::DPAT_PORT).unwrap_or(*source);
    }
    reply
}

fn state(found: &Attributes<'_>, number: u8) -> State {
    match number {
        protocol::TCP => {
            let state = found.u8(n::TCP_STATE).unwrap_or(0);
            match found.u8(n::SCALE_ORIGINAL).zip(found.u8(n::SCALE_REPLY)) {
                Some((one, two)) => {
                    let scales = [one.min(SCALE_MAX), two.min(SCALE_MAX)];
                    State::Tcp { state, flags: [SCALED; 2], scales }
                }
                None => State::Tcp { state, flags: [0; 2], scales: [0; 2] },
            }
        }
        protocol::SCTP => found.u8(n::SCTP_STATE).map_or(State::None, |state| {
            let tag = |kind| found.u32(kind).unwrap_or(0);
            State::Sctp { state, tags: [tag(n::SCTP_TAG_ORIGINAL), tag(n::SCTP_TAG_REPLY)] }
        }),
        protocol::DCCP => found.u8(n::DCCP_STATE).map_or(State::None, |state| {
            let role = found.u8(n::DCCP_ROLE).unwrap_or(0);
            State::Dccp { state, role, sequence: 0 }
        }),
        _ => State::None,
    }
}

/// The lowest 128 labels; the kernel has no more.
fn labels(words: &[u8]) -> [u8; LABELS_BYTES] {
    let mut labels = [0; LABELS_BYTES];
    for (place, word) in labels.chunks_mut(4).zip(words.chunks_exact(4)) {
        place.iter_mut().zip(word.iter().rev()).for_each(|(to, from)| *to = *from);
    }
    labels
}

fn helper(name: &[u8]) -> Option<Vec<u8>> {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    (!name.is_empty()).then(|| name.to_vec())
}

fn adjustments(bytes: &[u8]) -> Option<[SequenceAdjustment; 2]> {
    let mut rest = Bytes(bytes);
    let mut one = || {
        let (position, before) = (rest.u32()?, rest.u32()?);
        Some(SequenceAdjustment { position, before, after: rest.u32()? })
    };
    let both = [one()?, one()?];
    let is_any = bytes.iter().any(|byte| *byte != 0);
    is_any.then_some(both)
}

fn synproxy(bytes: &[u8]) -> Option<Synproxy> {
    let mut rest = Bytes(bytes);
    let (timestamp, initial) = (rest.u32()?, rest.u32()?);
    Some(Synproxy { initial, timestamp, offset: rest.u32()? })
}
