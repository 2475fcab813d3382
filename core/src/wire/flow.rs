//! A flow in bytes, as nodes send it to each other.
//!
//! ```text
//!  flags | protocol | status (16) | original | reply, if translated | timeout (32)
//!        | mark (32), if any | TCP: state, flags, flags, scales | zones (16, 16), if any | more
//!
//!  a direction: source | target | ports (16, 16), or type, code, identifier (16), or nothing
//! ```
//!
//! What follows the protocol number in a direction depends on the number alone. `more` is a list of
//! [`super::tlv`] values; a reader skips those that it does not know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bytes::Bytes;
use super::cause::causes;
use super::tlv::{self, Tlv};
use crate::flow::{
    EXPECTATIONS_MAX, Extra, Flow, FlowKey, HELPER_NAME_MAX, Part, SequenceAdjustment, State,
    Synproxy, Tuple, Zones, protocol, status,
};

mod expectation;

const IPV6: u8 = 0x01;
const TRANSLATED: u8 = 0x02;
const MARKED: u8 = 0x04;
const TCP: u8 = 0x08;
const ZONED: u8 = 0x10;

const SCTP: u8 = 1;
const DCCP: u8 = 2;
const LABELS: u8 = 3;
const HELPER: u8 = 4;
const MASTER: u8 = 5;
const ADJUSTMENTS: u8 = 6;
const SYNPROXY: u8 = 7;
const EXPECTATION: u8 = 8;

/// The highest window scale (RFC 7323 section 2.3).
const SCALE_MAX: u8 = 14;

causes! {
    /// Why the bytes of a flow were refused although the seal was right.
    Reject {
        /// They end within a field.
        Truncated = "flow-truncated",
        /// A field holds what cannot be.
        Value = "flow-value",
    }
}

impl From<tlv::Truncated> for Reject {
    fn from(_: tlv::Truncated) -> Reject {
        Reject::Truncated
    }
}

/// What a protocol's header adds to a direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Nothing,
    Ports,
    Echo,
}

fn shape(number: u8) -> Shape {
    match number {
        protocol::TCP
        | protocol::UDP
        | protocol::UDPLITE
        | protocol::SCTP
        | protocol::DCCP
        | protocol::GRE => Shape::Ports,
        protocol::ICMP | protocol::ICMPV6 => Shape::Echo,
        _ => Shape::Nothing,
    }
}

/// Appends a flow. One that contradicts itself (families or parts that do not fit the protocol)
/// appends nothing and gives `false`.
#[must_use]
pub fn encode(flow: &Flow, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let original = &flow.key.original;
    let translated = flow.is_translated();
    let zoned = flow.key.zones != Zones::default();
    let tcp = matches!(flow.state, State::Tcp { .. });
    let flags = (flag(is_v6(original), IPV6) | flag(translated, TRANSLATED))
        | (flag(flow.mark != 0, MARKED) | flag(tcp, TCP) | flag(zoned, ZONED));
    out.extend([flags, original.protocol]);
    out.extend(low_half(flow.status & status::REPLICATED));
    let fits = write_tuple(original, original, out)
        && (!translated || write_tuple(&flow.reply, original, out));
    if !fits {
        out.truncate(start);
        return false;
    }
    out.extend(flow.timeout.to_be_bytes());
    if flow.mark != 0 {
        out.extend(flow.mark.to_be_bytes());
    }
    if let State::Tcp { state, flags, scales } = flow.state {
        out.extend([state, flags[0], flags[1]]);
        out.push(scales[0].min(SCALE_MAX) << 4 | scales[1].min(SCALE_MAX));
    }
    if zoned {
        write_zones(flow.key.zones, out);
    }
    write_more(flow, out);
    true
}

/// Appends the name of a flow; `false`, and nothing, where it contradicts itself.
#[must_use]
pub fn encode_key(key: &FlowKey, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let zoned = key.zones != Zones::default();
    out.extend([flag(is_v6(&key.original), IPV6) | flag(zoned, ZONED), key.original.protocol]);
    if !write_tuple(&key.original, &key.original, out) {
        out.truncate(start);
        return false;
    }
    if zoned {
        write_zones(key.zones, out);
    }
    true
}

/// Reads a flow from all of `value`.
pub fn decode(value: &[u8]) -> Result<Flow, Reject> {
    let mut rest = Bytes(value);
    let [flags, number] = rest.array().ok_or(Reject::Truncated)?;
    let status = u32::from(rest.u16().ok_or(Reject::Truncated)?) & status::REPLICATED;
    let v6 = flags & IPV6 != 0;
    let original = read_tuple(&mut rest, v6, number)?;
    let reply = match flags & TRANSLATED != 0 {
        true => read_tuple(&mut rest, v6, number)?,
        false => original.inverse(),
    };
    let timeout = rest.u32().ok_or(Reject::Truncated)?;
    let mark = match flags & MARKED != 0 {
        true => rest.u32().ok_or(Reject::Truncated)?,
        false => 0,
    };
    let mut state = State::None;
    if flags & TCP != 0 {
        let [word, one, two, scales] = rest.array().ok_or(Reject::Truncated)?;
        let scales = [scales >> 4, scales & 0x0f];
        if number != protocol::TCP || scales.iter().any(|scale| *scale > SCALE_MAX) {
            return Err(Reject::Value);
        }
        state = State::Tcp { state: word, flags: [one, two], scales };
    }
    let zones = read_zones(&mut rest, flags)?;
    let extra = read_more(rest.0, v6, number, &mut state)?;
    let key = FlowKey { original, zones };
    Ok(Flow { key, reply, status, timeout, mark, state, extra })
}

/// Reads the name of a flow; what follows it is skipped.
pub fn decode_key(value: &[u8]) -> Result<FlowKey, Reject> {
    let mut rest = Bytes(value);
    let [flags, number] = rest.array().ok_or(Reject::Truncated)?;
    let original = read_tuple(&mut rest, flags & IPV6 != 0, number)?;
    Ok(FlowKey { original, zones: read_zones(&mut rest, flags)? })
}

fn flag(present: bool, bit: u8) -> u8 {
    if present { bit } else { 0 }
}

fn is_v6(tuple: &Tuple) -> bool {
    tuple.source.is_ipv6()
}

fn low_half(word: u32) -> [u8; 2] {
    let [_, _, high, low] = word.to_be_bytes();
    [high, low]
}

/// Writes a direction; `like` tells which family and protocol it must have.
fn write_tuple(tuple: &Tuple, like: &Tuple, out: &mut Vec<u8>) -> bool {
    match (tuple.source, tuple.target, like.source) {
        (IpAddr::V4(source), IpAddr::V4(target), IpAddr::V4(_)) => {
            out.extend(source.octets());
            out.extend(target.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(target), IpAddr::V6(_)) => {
            out.extend(source.octets());
            out.extend(target.octets());
        }
        _ => return false,
    }
    match (tuple.part, shape(tuple.protocol)) {
        (Part::None, Shape::Nothing) => {}
        (Part::Ports { source, target }, Shape::Ports) => {
            out.extend(source.to_be_bytes());
            out.extend(target.to_be_bytes());
        }
        (Part::Echo { kind, code, id }, Shape::Echo) => {
            out.extend([kind, code]);
            out.extend(id.to_be_bytes());
        }
        _ => return false,
    }
    tuple.protocol == like.protocol
}

fn read_address(rest: &mut Bytes<'_>, v6: bool) -> Result<IpAddr, Reject> {
    let address = match v6 {
        true => rest.array::<16>().map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
        false => rest.array::<4>().map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
    };
    address.ok_or(Reject::Truncated)
}

fn read_tuple(rest: &mut Bytes<'_>, v6: bool, number: u8) -> Result<Tuple, Reject> {
    let source = read_address(rest, v6)?;
    let target = read_address(rest, v6)?;
    let part = match shape(number) {
        Shape::Nothing => Part::None,
        Shape::Ports => Part::Ports {
            source: rest.u16().ok_or(Reject::Truncated)?,
            target: rest.u16().ok_or(Reject::Truncated)?,
        },
        Shape::Echo => {
            let [kind, code] = rest.array().ok_or(Reject::Truncated)?;
            Part::Echo { kind, code, id: rest.u16().ok_or(Reject::Truncated)? }
        }
    };
    Ok(Tuple { source, target, protocol: number, part })
}

fn write_zones(zones: Zones, out: &mut Vec<u8>) {
    out.extend(zones.original.to_be_bytes());
    out.extend(zones.reply.to_be_bytes());
}

fn read_zones(rest: &mut Bytes<'_>, flags: u8) -> Result<Zones, Reject> {
    if flags & ZONED == 0 {
        return Ok(Zones::default());
    }
    let original = rest.u16().ok_or(Reject::Truncated)?;
    Ok(Zones { original, reply: rest.u16().ok_or(Reject::Truncated)? })
}

fn write_more(flow: &Flow, out: &mut Vec<u8>) {
    match flow.state {
        State::Sctp { state, tags } => tlv::write(out, SCTP, |out| {
            out.push(state);
            tags.iter().for_each(|tag| out.extend(tag.to_be_bytes()));
        }),
        State::Dccp { state, role, sequence } => tlv::write(out, DCCP, |out| {
            out.extend([state, role]);
            out.extend(sequence.to_be_bytes());
        }),
        State::None | State::Tcp { .. } => {}
    }
    let Some(extra) = &flow.extra else { return };
    if let Some(labels) = extra.labels {
        tlv::write(out, LABELS, |out| out.extend(labels));
    }
    if let Some(helper) = &extra.helper {
        tlv::write(out, HELPER, |out| out.extend(helper.iter().take(HELPER_NAME_MAX)));
    }
    if let Some(master) = &extra.master {
        tlv::write(out, MASTER, |out| {
            out.push(master.protocol);
            // A master of another family cannot be: the kernel would not have made it.
            let _ = write_tuple(master, master, out);
        });
    }
    if let Some(adjustments) = &extra.adjustments {
        tlv::write(out, ADJUSTMENTS, |out| {
            for one in adjustments {
                for word in [one.position, one.before, one.after] {
                    out.extend(word.to_be_bytes());
                }
            }
        });
    }
    if let Some(proxy) = extra.synproxy {
        tlv::write(out, SYNPROXY, |out| {
            for word in [proxy.initial, proxy.timestamp, proxy.offset] {
                out.extend(word.to_be_bytes());
            }
        });
    }
    for expectation in extra.expectations.iter().take(EXPECTATIONS_MAX) {
        let mut value = Vec::with_capacity(48);
        if expectation::write(expectation, is_v6(&flow.key.original), &mut value) {
            tlv::write(out, EXPECTATION, |out| out.append(&mut value));
        }
    }
}

fn read_more(
    list: &[u8],
    v6: bool,
    number: u8,
    state: &mut State,
) -> Result<Option<Box<Extra>>, Reject> {
    let mut extra = Extra::default();
    let mut expectations = Vec::new();
    for tlv in tlv::Reader::new(list) {
        let Tlv { kind, value } = tlv?;
        let mut rest = Bytes(value);
        let mut word = || rest.u32().ok_or(Reject::Truncated);
        match kind {
            SCTP if number == protocol::SCTP => {
                let state_word = rest.u8().ok_or(Reject::Truncated)?;
                let mut tag = || rest.u32().ok_or(Reject::Truncated);
                *state = State::Sctp { state: state_word, tags: [tag()?, tag()?] };
            }
            DCCP if number == protocol::DCCP => {
                let [word, role] = rest.array().ok_or(Reject::Truncated)?;
                let sequence = rest.u64().ok_or(Reject::Truncated)?;
                *state = State::Dccp { state: word, role, sequence };
            }
            LABELS => extra.labels = Some(rest.array().ok_or(Reject::Truncated)?),
            HELPER if value.is_empty() || value.len() > HELPER_NAME_MAX || value.contains(&0) => {
                return Err(Reject::Value);
            }
            HELPER => extra.helper = Some(value.to_vec()),
            MASTER => {
                let number = rest.u8().ok_or(Reject::Truncated)?;
                extra.master = Some(read_tuple(&mut rest, v6, number)?);
            }
            ADJUSTMENTS => {
                let mut one = || {
                    Ok::<_, Reject>(SequenceAdjustment {
                        position: word()?,
                        before: word()?,
                        after: word()?,
                    })
                };
                extra.adjustments = Some([one()?, one()?]);
            }
            SYNPROXY => {
                let proxy = Synproxy { initial: word()?, timestamp: word()?, offset: word()? };
                extra.synproxy = Some(proxy);
            }
            EXPECTATION if expectations.len() < EXPECTATIONS_MAX => {
                expectations.push(expectation::read(&mut rest, v6)?);
            }
            _ => {}
        }
    }
    extra.set_expectations(expectations);
    Ok((extra != Extra::default()).then(|| Box::new(extra)))
}

#[cfg(test)]
mod tests;
