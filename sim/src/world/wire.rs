//! The wire: packets in flight, first in, first out within a flow. A flow is what one sender sends to
//! one receiver on one segment; reordering within it is a fault of its own.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use evergate_core::Instant;
use evergate_core::heartbeat::Heartbeat;
use evergate_core::ident::Incarnation;
use serde::Serialize;

/// Later than anything that will ever happen.
pub const NEVER: Instant = Instant::from_nanos(u64::MAX);
/// How many packets fit into one flow; more are lost, as in any queue.
pub const FLOW_MAX: usize = 512;

/// What travels.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub enum Packet {
    /// A heartbeat of ours.
    Heartbeat {
        /// Which process has sent it.
        incarnation: Incarnation,
        /// Its number.
        sequence: u64,
        /// The sender's clock.
        stamp: u32,
        /// What it says.
        body: Arc<Heartbeat>,
    },
    /// A VRRP advertisement.
    Advert {
        /// The group.
        group: u16,
        /// The router within the group.
        router: u16,
        /// The source address.
        source: IpAddr,
        /// The priority.
        priority: u8,
    },
    /// The last will of a process.
    Will {
        /// The process.
        incarnation: Incarnation,
    },
    /// A neighbour answers a probe.
    Answer,
}

/// A packet and when it arrives.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Flight {
    /// When it arrives.
    pub at: Instant,
    /// The packet.
    pub packet: Packet,
}

/// All flows of a world.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Wire {
    nodes: usize,
    segments: usize,
    flows: Vec<VecDeque<Flight>>,
    /// When the first packet of each flow arrives; [`NEVER`] for an empty flow.
    due: Vec<Instant>,
}

impl Wire {
    /// An empty wire between `nodes` nodes, and a neighbour, on each of `segments` segments.
    pub fn new(nodes: usize, segments: usize) -> Self {
        let count = nodes * (nodes + 1) * segments;
        Wire { nodes, segments, flows: vec![VecDeque::new(); count], due: vec![NEVER; count] }
    }

    /// How many flows there are.
    pub fn count(&self) -> usize {
        self.flows.len()
    }

    /// The number of a flow; the neighbour is the sender whose number is the number of nodes.
    pub fn flow(&self, from: usize, to: usize, segment: usize) -> usize {
        (to * (self.nodes + 1) + from) * self.segments + segment
    }

    /// Sender, receiver and segment of a flow.
    pub fn ends(&self, flow: usize) -> (usize, usize, usize) {
        let (pair, segment) = (flow / self.segments, flow % self.segments);
        (pair % (self.nodes + 1), pair / (self.nodes + 1), segment)
    }

    /// Puts a packet at the end of a flow; it never overtakes. False if the flow is full.
    pub fn send(&mut self, flow: usize, at: Instant, packet: Packet) -> bool {
        let queue = &mut self.flows[flow];
        if queue.len() >= FLOW_MAX {
            return false;
        }
        let at = queue.back().map_or(at, |last| last.at.max(at));
        if queue.is_empty() {
            self.due[flow] = at;
        }
        queue.push_back(Flight { at, packet });
        true
    }

    /// Takes the first packet of a flow.
    pub fn take(&mut self, flow: usize) -> Option<Packet> {
        let flight = self.flows.get_mut(flow)?.pop_front()?;
        self.refresh(flow);
        Some(flight.packet)
    }

    /// The first flow to arrive, and when.
    pub fn next(&self) -> (Instant, usize) {
        let mut first = (NEVER, 0);
        for (flow, at) in self.due.iter().enumerate() {
            if *at < first.0 {
                first = (*at, flow);
            }
        }
        first
    }

    /// When the first packet of a flow arrives.
    pub fn due(&self, flow: usize) -> Instant {
        self.due.get(flow).copied().unwrap_or(NEVER)
    }

    /// How many packets a flow has.
    pub fn len(&self, flow: usize) -> usize {
        self.flows.get(flow).map_or(0, VecDeque::len)
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.flows.iter().all(VecDeque::is_empty)
    }

    /// Doubles the first packet of a flow.
    pub fn duplicate(&mut self, flow: usize) -> bool {
        let Some(queue) = self.flows.get_mut(flow) else { return false };
        let Some(first) = queue.front().cloned() else { return false };
        queue.push_front(first);
        true
    }

    /// Puts the last packet of a flow first.
    pub fn overtake(&mut self, flow: usize) -> bool {
        let Some(queue) = self.flows.get_mut(flow).filter(|queue| queue.len() > 1) else {
            return false;
        };
        let (Some(mut last), Some(first)) = (queue.pop_back(), queue.front()) else { return false };
        last.at = first.at;
        queue.push_front(last);
        true
    }

    /// Makes the first packet of a flow late, and so all behind it.
    pub fn delay(&mut self, flow: usize, until: Instant) -> bool {
        let Some(queue) = self.flows.get_mut(flow).filter(|queue| !queue.is_empty()) else {
            return false;
        };
        queue.iter_mut().for_each(|flight| flight.at = flight.at.max(until));
        self.refresh(flow);
        true
    }

    /// Calls `change` for every packet, and moves every arrival by `shift`.
    pub fn for_each(
        &mut self,
        mut shift: impl FnMut(&mut Instant),
        mut change: impl FnMut(usize, &mut Packet),
    ) {
        for flow in 0..self.flows.len() {
            let from = self.ends(flow).0;
            for flight in &mut self.flows[flow] {
                shift(&mut flight.at);
                change(from, &mut flight.packet);
            }
            self.refresh(flow);
        }
    }

    fn refresh(&mut self, flow: usize) {
        self.due[flow] = self.flows[flow].front().map_or(NEVER, |flight| flight.at);
    }
}
