//! Routes and rules of policy routing: made with our tag, removed by it.
//!
//! Each is kept as the body of the request that makes it. The same body removes it, and nothing
//! else: the kernel compares all that the body says, our tag included.

use std::net::IpAddr;

use evergate_api::config::model::Network;

use super::error::NetlinkError;
use super::requests::{Kernel, Verdict};
use super::rtnetlink::OUR_PROTOCOL;
use super::rtnetlink::encode::{Requests, family_of};

/// The longest body, in bytes: a route with many ways.
pub const WAY_BYTES_MAX: usize = 2048;

const ROUTE_HEADER_BYTES: usize = 12;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
/// Tables above this stand in an attribute alone.
const TABLE_BYTE_MAX: u32 = 255;
const TABLE_COMPAT: u8 = 252;
const METRIC_MTU: u16 = 2;
const METRIC_ADVMSS: u16 = 8;
const METRIC_HOP_LIMIT: u16 = 10;
/// The flag of a way whose next router is there whatever the addresses say.
const ONLINK: u8 = 4;
const RULE_INVERT: u32 = 2;
const RULE_DESTINATION: u16 = 1;
const RULE_SOURCE: u16 = 2;
const RULE_INPUT: u16 = 3;
const RULE_PRIORITY: u16 = 6;
const RULE_MARK: u16 = 10;
const RULE_SUPPRESS_PREFIX: u16 = 14;
const RULE_TABLE: u16 = 15;
const RULE_MASK: u16 = 16;
const RULE_OUTPUT: u16 = 17;
const RULE_PROTOCOL: u16 = 21;

/// What becomes of the packets, as the kernel numbers it for routes.
pub const UNICAST: u8 = 1;
/// What a rule does that asks a table, as the kernel numbers it.
pub const TO_TABLE: u8 = 1;

/// Whether it is a route or a rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WayKind {
    /// A route.
    Route,
    /// A rule of policy routing.
    Rule,
}

/// A route or a rule, as the kernel is told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Way {
    /// Which of the two.
    pub kind: WayKind,
    /// The header of its family and the attributes; at most [`WAY_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// One of the ways of a route, with the interface as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextHop {
    /// The next router.
    pub via: Option<IpAddr>,
    /// The interface's index.
    pub ifindex: Option<u32>,
    /// Its share among several, from 1.
    pub weight: u16,
    /// The next router is there whatever the addresses say.
    pub onlink: bool,
}

/// A route, with interfaces as they are now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSpec {
    /// The destination.
    pub to: Network,
    /// What becomes of the packets, as the kernel numbers it.
    pub kind: u8,
    /// The ways; none where packets go nowhere.
    pub hops: Vec<NextHop>,
    /// The source of our own packets.
    pub source: Option<IpAddr>,
    /// The metric.
    pub metric: Option<u32>,
    /// The table.
    pub table: u32,
    /// The scope, if not as the ways say.
    pub scope: Option<u8>,
    /// The largest packet.
    pub mtu: Option<u32>,
    /// The largest segment of TCP that is announced.
    pub advmss: Option<u32>,
    /// The hop limit of our own packets.
    pub hop_limit: Option<u32>,
}

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSpec {
    /// Its number.
    pub priority: u32,
    /// The family that it is for: `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// Packets from here.
    pub from: Option<Network>,
    /// Packets to there.
    pub to: Option<Network>,
    /// Packets that come in here.
    pub input: Option<String>,
    /// Packets of sockets bound to this interface.
    pub output: Option<String>,
    /// Packets with this mark where the mask is set.
    pub mark: Option<(u32, u32)>,
    /// Packets with this type of service.
    pub tos: u8,
    /// All packets but those.
    pub not: bool,
    /// What it does, as the kernel numbers it.
    pub action: u8,
    /// The table that is asked.
    pub table: Option<u32>,
    /// Routes with no longer prefix are passed over.
    pub suppress_prefix: Option<u32>,
}

impl RouteSpec {
    /// As the kernel is told.
    pub fn way(&self) -> Way {
        let mut requests = Requests::default();
        let first = self.hops.first().filter(|_| self.hops.len() == 1);
        requests.bare(&self.header(first), |body| {
            if self.to.prefix > 0 {
                body.address(libc::RTA_DST, self.to.ip);
            }
            body.attribute(libc::RTA_TABLE, &self.table.to_ne_bytes());
            if let Some(metric) = self.metric {
                body.attribute(libc::RTA_PRIORITY, &metric.to_ne_bytes());
            }
            if let Some(source) = self.source {
                body.address(libc::RTA_PREFSRC, source);
            }
            self.metrics(body);
            match first {
                Some(hop) => hop.attributes(body, true),
                None if self.hops.is_empty() => {}
                None => body.nested(libc::RTA_MULTIPATH, |list| {
                    self.hops.iter().for_each(|hop| hop.entry(list));
                }),
            }
        });
        Way { kind: WayKind::Route, body: requests.bytes().to_vec() }
    }

    fn header(&self, only: Option<&NextHop>) -> [u8; ROUTE_HEADER_BYTES] {
        // As `ip route` has it: what has no next router is on the link.
        let direct = self.kind == UNICAST && self.hops.iter().all(|hop| hop.via.is_none());
        let near = if direct && self.to.ip.is_ipv4() { SCOPE_LINK } else { SCOPE_UNIVERSE };
        let mut header = [0; ROUTE_HEADER_BYTES];
        header[0] = family_of(self.to.ip);
        header[1] = self.to.prefix;
        header[4] = table_byte(self.table);
        header[5] = OUR_PROTOCOL;
        header[6] = self.scope.unwrap_or(near);
        header[7] = self.kind;
        let onlink = only.is_some_and(|hop| hop.onlink);
        let flags = if onlink { ONLINK } else { 0 };
        header[8..].copy_from_slice(&u32::from(flags).to_ne_bytes());
        header
    }

    fn metrics(&self, body: &mut Requests) {
        let all = [
            (METRIC_MTU, self.mtu),
            (METRIC_ADVMSS, self.advmss),
            (METRIC_HOP_LIMIT, self.hop_limit),
        ];
        if all.iter().all(|(_, value)| value.is_none()) {
            return;
        }
        body.nested(libc::RTA_METRICS, |list| {
            for (kind, value) in all {
                if let Some(value) = value {
                    list.attribute(kind, &value.to_ne_bytes());
                }
            }
        });
    }
}

impl NextHop {
    fn attributes(&self, body: &mut Requests, with_interface: bool) {
        if let Some(via) = self.via {
            body.address(libc::RTA_GATEWAY, via);
        }
        if let Some(ifindex) = self.ifindex.filter(|_| with_interface) {
            body.attribute(libc::RTA_OIF, &ifindex.to_ne_bytes());
        }
    }

    /// One of several: a header of its own, then the attributes.
    fn entry(&self, list: &mut Requests) {
        let share = u8::try_from(self.weight.saturating_sub(1)).unwrap_or(u8::MAX);
        let flags = if self.onlink { ONLINK } else { 0 };
        let ifindex = self.ifindex.unwrap_or(0).to_ne_bytes();
        list.entry([flags, share], ifindex, |entry| self.attributes(entry, false));
    }
}

impl RuleSpec {
    /// As the kernel is told.
    pub fn way(&self) -> Way {
        let mut header = [0; ROUTE_HEADER_BYTES];
        header[0] = self.family;
        header[1] = self.to.map_or(0, |to| to.prefix);
        header[2] = self.from.map_or(0, |from| from.prefix);
        header[3] = self.tos;
        header[4] = self.table.map_or(0, table_byte);
        header[7] = self.action;
        let flags = if self.not { RULE_INVERT } else { 0 };
        header[8..].copy_from_slice(&flags.to_ne_bytes());
        let mut requests = Requests::default();
        requests.bare(&header, |body| {
            body.attribute(RULE_PRIORITY, &self.priority.to_ne_bytes());
            body.attribute(RULE_PROTOCOL, &[OUR_PROTOCOL]);
            for (kind, network) in [(RULE_DESTINATION, self.to), (RULE_SOURCE, self.from)] {
                if let Some(network) = network.filter(|network| network.prefix > 0) {
                    body.address(kind, network.ip);
                }
            }
            for (kind, name) in [(RULE_INPUT, &self.input), (RULE_OUTPUT, &self.output)] {
                if let Some(name) = name {
                    body.attribute(kind, format!("{name}\0").as_bytes());
                }
            }
            let numbers = [
                (RULE_MARK, self.mark.map(|(value, _)| value)),
                (RULE_MASK, self.mark.map(|(_, mask)| mask)),
                (RULE_TABLE, self.table),
                (RULE_SUPPRESS_PREFIX, self.suppress_prefix),
            ];
            for (kind, number) in numbers {
                if let Some(number) = number {
                    body.attribute(kind, &number.to_ne_bytes());
                }
            }
        });
        Way { kind: WayKind::Rule, body: requests.bytes().to_vec() }
    }
}

fn table_byte(table: u32) -> u8 {
    if table <= TABLE_BYTE_MAX { u8::try_from(table).unwrap_or(TABLE_COMPAT) } else { TABLE_COMPAT }
}

impl Kernel {
    /// Makes routes and rules, in their order. [`NetlinkError::Exists`]: it is there already, ours or
    /// another's, and stays as it is.
    pub fn make_ways(&mut self, ways: &[Way]) -> Vec<Verdict> {
        let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        self.change(ways, |requests, sequence, way| {
            let kind = match way.kind {
                WayKind::Route => libc::RTM_NEWROUTE,
                WayKind::Rule => libc::RTM_NEWRULE,
            };
            requests.message(kind, flags, sequence, &way.body, |_| {});
        })
    }

    /// Removes routes and rules that carry our tag, the last first; returns those that may still be
    /// there, each with the reason.
    pub fn remove_ways(&mut self, ways: &[Way]) -> Vec<(Way, NetlinkError)> {
        let ways: Vec<Way> = ways.iter().rev().cloned().collect();
        let verdicts = self.change(&ways, |requests, sequence, way| {
            let kind = match way.kind {
                WayKind::Route => libc::RTM_DELROUTE,
                WayKind::Rule => libc::RTM_DELRULE,
            };
            requests.message(kind, libc::NLM_F_ACK, sequence, &way.body, |_| {});
        });
        let left = ways.into_iter().zip(verdicts).filter_map(|(way, verdict)| match verdict {
            Ok(()) => None,
            Err(error) if is_gone(&error) => None,
            Err(error) => Some((way, error)),
        });
        left.collect()
    }
}

/// Whether there is nothing left to remove: it is not there, or its interface is not.
fn is_gone(error: &NetlinkError) -> bool {
    match error {
        NetlinkError::Absent | NetlinkError::NoInterface | NetlinkError::FamilyDisabled => true,
        NetlinkError::Refused { errno, .. } => *errno == nix::errno::Errno::ESRCH,
        _ => false,
    }
}
