//! The body of a heartbeat: a list of [`super::tlv`] values.
//!
//! ```text
//!  1 basics    interval, lateness, digest, flags                          exactly once
//!  2 peer      node, flags, dead time, challenge { 1 echo, 2 paths }      one per peer
//!  3 group     group, role, priority, flags, term, tie                    one per group
//!              { 1 successor, 2 request, 3 answered, 4 hold }
//!  4 segments  path, hearing                                              any number of entries
//!  5 sources   addresses, IPv4 as ::ffff:a.b.c.d                          any number of entries
//!  6 about     capabilities, software version                             for status only
//!  7 neighbours  path, address (IPv4 as ::ffff:a.b.c.d) of each           for segment tests
//! ```
//!
//! Spans are whole microseconds in 32 bits; longer ones are written as the longest, 71 minutes. A
//! report about a node, group or path that this configuration does not have, or with a word that
//! this version does not know, is left out: the rest of the picture still counts.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::bytes::Bytes;
use super::cause::causes;
use super::names::Names;
use super::tlv::{self, Tlv};
use crate::config::{HEARTBEAT_MIN, NODES_MAX};
use crate::heartbeat::{
    Echo, GROUP_REPORTS_MAX, GroupReport, Heartbeat, Hold, PathReport, PeerReport, SOURCES_MAX,
    SegmentReport,
};
use crate::ident::{Incarnation, PathSet, Priority};

mod about;
mod neighbours;
mod words;

pub use about::{ABOUT_VERSION_MAX, About, REPLICATES};
pub use neighbours::{NEIGHBOURS_MAX, Neighbour};

/// The most reports about paths, per peer, and about segments.
pub const PATH_REPORTS_MAX: usize = PathSet::CAPACITY;
/// The longest body that is read; the largest heartbeat of a full cluster is shorter.
pub const BODY_MAX: usize = 20 * 1024;

/// The longest heartbeat interval that is believed; no configuration allows one near it.
pub const INTERVAL_MAX: Duration = Duration::from_secs(10);

const BASICS: u8 = 1;
const PEER: u8 = 2;
const PEER_ECHO: u8 = 1;
const PEER_PATHS: u8 = 2;
const GROUP: u8 = 3;
const GROUP_SUCCESSOR: u8 = 1;
const GROUP_REQUEST: u8 = 2;
const GROUP_ANSWERED: u8 = 3;
const GROUP_HOLD: u8 = 4;
const SEGMENTS: u8 = 4;
const SOURCES: u8 = 5;
const ABOUT: u8 = 6;
const NEIGHBOURS: u8 = 7;

/// A flag of the basics.
const LEAVING: u8 = 0x01;
/// A flag of a peer report.
const HEARS: u8 = 0x01;
/// Flags of a group report.
const READY: u8 = 0x01;
const HELD: u8 = 0x02;

causes! {
    /// Why a body was refused although its seal was right: a defect of the sender's software.
    Reject {
        /// It is longer than [`BODY_MAX`].
        Size = "body-size",
        /// A value ends before its fields do, or the list ends within a value.
        Truncated = "body-truncated",
        /// The basics are missing or there twice.
        Basics = "body-basics",
        /// There are more reports than this format allows.
        Count = "body-count",
        /// A field holds what cannot be.
        Value = "body-value",
    }
}

impl From<tlv::Truncated> for Reject {
    fn from(_: tlv::Truncated) -> Reject {
        Reject::Truncated
    }
}

/// Appends the body to `out`. Reports about things without a name are left out.
pub fn encode(heartbeat: &Heartbeat, names: &Names, out: &mut Vec<u8>) {
    tlv::write(out, BASICS, |out| {
        out.extend(micros(heartbeat.interval));
        out.extend(micros(heartbeat.lateness));
        out.extend(heartbeat.digest.to_be_bytes());
        out.push(if heartbeat.leaving { LEAVING } else { 0 });
    });
    for peer in heartbeat.peers.iter().take(NODES_MAX) {
        if let Some(node) = names.node_hash(peer.node) {
            tlv::write(out, PEER, |out| write_peer(out, node, peer, names));
        }
    }
    for group in heartbeat.groups.iter().take(GROUP_REPORTS_MAX) {
        if let Some(hash) = names.group_hash(group.group) {
            tlv::write(out, GROUP, |out| write_group(out, hash, group, names));
        }
    }
    if !heartbeat.segments.is_empty() {
        tlv::write(out, SEGMENTS, |out| {
            for report in heartbeat.segments.iter().take(PATH_REPORTS_MAX) {
                if let Some(path) = names.path_hash(report.path) {
                    out.extend(path.to_be_bytes());
                    out.push(words::hearing_number(report.hears));
                }
            }
        });
    }
    if !heartbeat.sources.is_empty() {
        tlv::write(out, SOURCES, |out| {
            for source in heartbeat.sources.iter().take(SOURCES_MAX) {
                out.extend(match source {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                });
            }
        });
    }
}

fn write_peer(out: &mut Vec<u8>, node: u32, peer: &PeerReport, names: &Names) {
    out.extend(node.to_be_bytes());
    out.push(if peer.hears { HEARS } else { 0 });
    out.extend(micros(peer.dead));
    out.extend(peer.challenge.to_be_bytes());
    if let Some(echo) = peer.echo {
        tlv::write(out, PEER_ECHO, |out| {
            out.extend(echo.incarnation.0);
            out.extend(echo.answer.to_be_bytes());
        });
    }
    if !peer.paths.is_empty() {
        tlv::write(out, PEER_PATHS, |out| {
            for report in peer.paths.iter().take(PATH_REPORTS_MAX) {
                if let Some(path) = names.path_hash(report.path) {
                    out.extend(path.to_be_bytes());
                    out.extend(micros(report.age));
                    out.extend(report.stamp.to_be_bytes());
                }
            }
        });
    }
}

fn write_group(out: &mut Vec<u8>, hash: u32, group: &GroupReport, names: &Names) {
    out.extend(hash.to_be_bytes());
    out.push(words::role_number(group.role));
    out.push(group.priority.get());
    out.push(if group.ready { READY } else { 0 } | if group.held.is_some() { HELD } else { 0 });
    out.extend(group.term.to_be_bytes());
    out.extend(group.tie.to_be_bytes());
    if let Some(node) = group.successor.and_then(|node| names.node_hash(node)) {
        tlv::write(out, GROUP_SUCCESSOR, |out| out.extend(node.to_be_bytes()));
    }
    if let Some(bytes) = group.request.and_then(|request| words::write_request(request, names)) {
        tlv::write(out, GROUP_REQUEST, |out| out.extend(bytes));
    }
    if let Some(bytes) = group.answered.and_then(|answer| words::write_answered(answer, names)) {
        tlv::write(out, GROUP_ANSWERED, |out| out.extend(bytes));
    }
    if let Some(seconds) = group.held.and_then(words::hold_seconds) {
        tlv::write(out, GROUP_HOLD, |out| out.extend(seconds));
    }
}

/// Reads a body whose seal was right.
pub fn decode(body: &[u8], names: &Names) -> Result<Heartbeat, Reject> {
    if body.len() > BODY_MAX {
        return Err(Reject::Size);
    }
    let mut basics = None;
    let (mut peers, mut groups) = (Vec::new(), Vec::new());
    let (mut segments, mut sources) = (Vec::new(), Vec::new());
    for tlv in tlv::Reader::new(body) {
        let Tlv { kind, value } = tlv?;
        match kind {
            BASICS if basics.is_some() => return Err(Reject::Basics),
            BASICS => basics = Some(read_basics(value)?),
            PEER => push(&mut peers, NODES_MAX, read_peer(value, names)?)?,
            GROUP => push(&mut groups, GROUP_REPORTS_MAX, read_group(value, names)?)?,
            SEGMENTS => read_segments(value, names, &mut segments)?,
            SOURCES => read_sources(value, &mut sources)?,
            _ => {}
        }
    }
    let mut heartbeat: Heartbeat = basics.ok_or(Reject::Basics)?;
    (heartbeat.peers, heartbeat.groups) = (peers, groups);
    (heartbeat.segments, heartbeat.sources) = (segments, sources);
    Ok(heartbeat)
}

/// The basics, with empty lists beside them.
fn read_basics(value: &[u8]) -> Result<Heartbeat, Reject> {
    let mut rest = Bytes(value);
    let interval = span(&mut rest).ok_or(Reject::Truncated)?;
    let lateness = span(&mut rest).ok_or(Reject::Truncated)?;
    let digest = rest.u64().ok_or(Reject::Truncated)?;
    let leaving = rest.u8().ok_or(Reject::Truncated)? & LEAVING != 0;
    if !(HEARTBEAT_MIN..=INTERVAL_MAX).contains(&interval) {
        return Err(Reject::Value);
    }
    Ok(Heartbeat {
        interval,
        lateness,
        digest,
        leaving,
        peers: Vec::new(),
        groups: Vec::new(),
        segments: Vec::new(),
        sources: Vec::new(),
    })
}

/// A report about a peer; `None` when this configuration has no such node.
fn read_peer(value: &[u8], names: &Names) -> Result<Option<PeerReport>, Reject> {
    let mut rest = Bytes(value);
    let hash = rest.u32().ok_or(Reject::Truncated)?;
    let hears = rest.u8().ok_or(Reject::Truncated)? & HEARS != 0;
    let dead = span(&mut rest).ok_or(Reject::Truncated)?;
    let challenge = rest.u32().ok_or(Reject::Truncated)?;
    let (mut echo, mut paths) = (None, Vec::new());
    for tlv in tlv::Reader::new(rest.0) {
        let Tlv { kind, value } = tlv?;
        match kind {
            PEER_ECHO => echo = Some(read_echo(value).ok_or(Reject::Truncated)?),
            PEER_PATHS => read_paths(value, names, &mut paths)?,
            _ => {}
        }
    }
    Ok(names.node(hash).map(|node| PeerReport { node, hears, dead, challenge, echo, paths }))
}

fn read_echo(value: &[u8]) -> Option<Echo> {
    let mut rest = Bytes(value);
    let incarnation = Incarnation(rest.array()?);
    Some(Echo { incarnation, answer: rest.u32()? })
}

fn read_paths(value: &[u8], names: &Names, paths: &mut Vec<PathReport>) -> Result<(), Reject> {
    let mut rest = Bytes(value);
    while !rest.is_empty() {
        let hash = rest.u32().ok_or(Reject::Truncated)?;
        let age = span(&mut rest).ok_or(Reject::Truncated)?;
        let stamp = rest.u32().ok_or(Reject::Truncated)?;
        let report = names.path(hash).map(|path| PathReport { path, age, stamp });
        push(paths, PATH_REPORTS_MAX, report)?;
    }
    Ok(())
}

/// A report about a group; `None` when this configuration has no such group, or the role is new.
fn read_group(value: &[u8], names: &Names) -> Result<Option<GroupReport>, Reject> {
    let mut rest = Bytes(value);
    let hash = rest.u32().ok_or(Reject::Truncated)?;
    let [role, priority, flags] = rest.array().ok_or(Reject::Truncated)?;
    let term = rest.u32().ok_or(Reject::Truncated)?;
    let tie = rest.u128().ok_or(Reject::Truncated)?;
    let priority = Priority::new(priority).ok_or(Reject::Value)?;
    let (mut successor, mut request, mut answered) = (None, None, None);
    let mut held = (flags & HELD != 0).then_some(Hold::Open);
    for tlv in tlv::Reader::new(rest.0) {
        let Tlv { kind, value } = tlv?;
        match kind {
            GROUP_SUCCESSOR => {
                let hash = Bytes(value).u32().ok_or(Reject::Truncated)?;
                successor = names.node(hash);
            }
            GROUP_REQUEST => request = words::read_request(value, names)?,
            GROUP_ANSWERED => answered = words::read_answered(value, names)?,
            GROUP_HOLD if held.is_some() => held = Some(words::read_hold(value)?),
            _ => {}
        }
    }
    let (Some(group), Some(role)) = (names.group(hash), words::role(role)) else {
        return Ok(None);
    };
    let ready = flags & READY != 0;
    Ok(Some(GroupReport {
        group,
        role,
        priority,
        ready,
        term,
        tie,
        successor,
        held,
        request,
        answered,
    }))
}

fn read_segments(
    value: &[u8],
    names: &Names,
    segments: &mut Vec<SegmentReport>,
) -> Result<(), Reject> {
    let mut rest = Bytes(value);
    while !rest.is_empty() {
        let hash = rest.u32().ok_or(Reject::Truncated)?;
        let hears = words::hearing(rest.u8().ok_or(Reject::Truncated)?);
        let report = names.path(hash).map(|path| SegmentReport { path, hears });
        push(segments, PATH_REPORTS_MAX, report)?;
    }
    Ok(())
}

fn read_sources(value: &[u8], sources: &mut Vec<IpAddr>) -> Result<(), Reject> {
    let mut rest = Bytes(value);
    while !rest.is_empty() {
        let address = Ipv6Addr::from(rest.array::<16>().ok_or(Reject::Truncated)?);
        push(sources, SOURCES_MAX, Some(address.to_canonical()))?;
    }
    Ok(())
}

/// Adds a report to a list that has a bound; reports that were left out do not count.
fn push<T>(list: &mut Vec<T>, most: usize, item: Option<T>) -> Result<(), Reject> {
    if item.is_some() && list.len() >= most {
        return Err(Reject::Count);
    }
    list.extend(item);
    Ok(())
}

/// A span as it is on the wire.
fn micros(span: Duration) -> [u8; 4] {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX).to_be_bytes()
}

fn span(rest: &mut Bytes<'_>) -> Option<Duration> {
    rest.u32().map(|micros| Duration::from_micros(micros.into()))
}

#[cfg(test)]
mod tests;
