//! A node: its machine, and the table of its kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Bound;
use std::time::Duration;

use evergate_core::flow::{Flow, FlowKey, HashKey, Part, State, Tuple, Zones};
use evergate_core::flow::{protocol, status, tcp};
use evergate_core::ident::{Incarnation, NodeId};
use evergate_core::replicate::{Settings, is_open};
use evergate_core::time::earliest;
use evergate_core::wire::names::Names;
use evergate_core::{Instant, Machine};

use super::door::Door;
use crate::replication::planted::{Actor, Defect};

/// The timeout of a copy, in seconds.
pub(super) const LEASE_S: u32 = 600;
/// The timeout of an established connection, in seconds.
pub(super) const OWN_S: u32 = 432_000;

/// What somebody has changed by hand is translated to this address.
const MEDDLED: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const KEY: HashKey = HashKey([1, 2]);

/// A node.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its machine, while its process lives.
    pub actor: Option<Actor>,
    /// Its process.
    pub incarnation: Incarnation,
    /// Its kernel's table.
    pub table: BTreeMap<FlowKey, Flow>,
    /// Flows whose packets pass it.
    pub live: BTreeSet<FlowKey>,
    /// Whether it says that it serves.
    pub serves: bool,
    /// The newest state of each flow that its kernel has told its machine.
    heard: BTreeMap<FlowKey, u32>,
    /// When it served last: the number of that time of service.
    pub(super) tenure: u64,
    /// Nodes that it takes for dead, though they may live.
    pub blind: Vec<usize>,
    /// When the next piece of the table is read, and what was read last.
    pub(super) dump: Option<(Instant, Option<FlowKey>)>,
    /// What has come of others and is not taken yet.
    pub(in crate::replication) door: Door,
    /// How many numbered packets told so many flows.
    sizes: BTreeMap<usize, u64>,
}

impl Host {
    pub(super) fn new() -> Host {
        Host {
            actor: None,
            incarnation: Incarnation([0; 16]),
            table: BTreeMap::new(),
            live: BTreeSet::new(),
            serves: false,
            heard: BTreeMap::new(),
            tenure: 0,
            blind: Vec::new(),
            dump: None,
            door: Door::default(),
            sizes: BTreeMap::new(),
        }
    }

    pub(super) fn boot(
        &mut self,
        at: usize,
        nodes: usize,
        incarnation: Incarnation,
        now: Instant,
        defect: Option<Defect>,
    ) {
        let names = ["gw1", "gw2", "gw3"].into_iter().take(nodes);
        let settings = Settings {
            me: NodeId::at(at),
            incarnation,
            key: KEY,
            names: Names::new(names, [].into_iter(), [].into_iter()).expect("names that differ"),
            coalesce: Duration::from_millis(2),
            protect_after: Duration::ZERO,
            read_every: Duration::from_secs(5),
        };
        self.heard.clear();
        self.actor = Some(Actor::new(settings, now, defect));
        (self.incarnation, self.serves, self.dump) = (incarnation, false, None);
        self.sizes.clear();
    }

    /// Hashes what decides what happens here from now on.
    pub(super) fn hash_state(&self, state: &mut impl Hasher) {
        if let Some(actor) = &self.actor {
            actor.hash_state(state);
        }
        self.door.hash_state(state);
        (&self.table, &self.live, &self.heard, self.serves, self.tenure, &self.blind, self.dump)
            .hash(state);
    }

    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let actor = self.actor.as_ref()?;
        let read = self.dump.map(|(at, _)| at).filter(|_| actor.machine.wants_more());
        earliest(actor.deadline(), read).map(|due| due.max(now + Duration::from_micros(10)))
    }

    /// The flow of the table that comes after another one.
    pub(super) fn after(&self, key: Option<FlowKey>) -> Option<Flow> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.table.range((from, Bound::Unbounded)).next().map(|(_, flow)| flow.clone())
    }

    pub(super) fn set_timeout(&mut self, key: &FlowKey, timeout: u32) {
        if let Some(flow) = self.table.get_mut(key) {
            flow.timeout = timeout;
        }
    }

    pub(super) fn meddle(&mut self, key: &FlowKey, delete: bool) {
        if delete {
            self.table.remove(key);
        } else if let Some(flow) = self.table.get_mut(key) {
            flow.reply.target = MEDDLED;
        }
    }

    /// Whether packets of a flow pass here and the machine knows it.
    fn owns(&self, at: usize, key: &FlowKey) -> bool {
        let owner = self.actor.as_ref().and_then(|actor| actor.machine.owner(key));
        self.live.contains(key) && owner == Some(NodeId::at(at))
    }

    /// The newest state of a flow whose packets pass here, of which the machine has heard: what comes
    /// without an event it cannot know.
    pub(super) fn own_state(&self, at: usize, key: &FlowKey) -> Option<u32> {
        self.heard.get(key).copied().filter(|_| self.owns(at, key))
    }

    pub(super) fn note_heard(&mut self, flow: &Flow) {
        if is_open(flow) {
            self.heard.insert(flow.key, flow.mark);
        } else {
            self.heard.remove(&flow.key);
        }
    }

    pub(super) fn note_end(&mut self, key: &FlowKey) {
        self.heard.remove(key);
    }

    pub(super) fn forget_heard(&mut self) {
        self.heard.clear();
    }

    pub(super) fn note_sent(&mut self, flows: Option<usize>) {
        if let Some(flows) = flows {
            *self.sizes.entry(flows).or_default() += 1;
        }
    }

    /// The most flows that so many packets can have told.
    pub(super) fn most_in(&self, packets: u64) -> u64 {
        let (mut left, mut most) = (packets, 0);
        for (flows, count) in self.sizes.iter().rev() {
            let taken = left.min(*count);
            (left, most) = (left - taken, most + taken * *flows as u64);
        }
        most
    }

    /// What is open in the table. Of a copy: without what this machine's own kernel has had before,
    /// which no process can tell from connections of its own.
    pub(super) fn open(&self, copy: Option<&Actor>) -> BTreeMap<FlowKey, (u32, u32)> {
        let counts = |flow: &Flow| {
            let left_over = |actor: &Actor| {
                actor.machine.owner(&flow.key).is_none()
                    && (flow.timeout > LEASE_S || matches!(flow.state, State::None))
            };
            is_open(flow) && !copy.is_some_and(left_over)
        };
        let flows = self.table.values().filter(|flow| counts(flow));
        flows.map(|flow| (flow.key, (flow.mark, u32::from(flow.reply.target == MEDDLED)))).collect()
    }
}

/// The name of a flow.
pub(super) fn key_of(number: u32) -> FlowKey {
    let [_, _, b, c] = number.to_be_bytes();
    let part = Part::Ports { source: 1024 + u16::from(c), target: 443 };
    let (source, target) = ([10, 1, 0, b].into(), [10, 2, 0, 1].into());
    let protocol = if number % 4 == 3 { protocol::UDP } else { protocol::TCP };
    FlowKey { original: Tuple { source, target, protocol, part }, zones: Zones::default() }
}

/// A flow in the state with this serial.
pub(super) fn opened(number: u32, serial: u32) -> Flow {
    let key = key_of(number);
    let outside = Tuple { source: [192, 0, 2, 1].into(), ..key.original };
    let state = match key.original.protocol {
        protocol::UDP => State::None,
        _ => State::Tcp { state: tcp::ESTABLISHED, flags: [3, 3], scales: [7, 7] },
    };
    let status = status::SEEN_REPLY | status::ASSURED | status::SRC_NAT;
    Flow { key, reply: outside.inverse(), status, timeout: OWN_S, mark: serial, state, extra: None }
}

/// The same flow, further on.
pub(super) fn with_state(flow: &Flow, state: u8) -> Flow {
    Flow { state: State::Tcp { state, flags: [3, 3], scales: [7, 7] }, ..flow.clone() }
}

/// A flow, for people.
pub(super) fn show(flow: &Flow) -> String {
    format!("{} in state {}", name(&flow.key), flow.mark)
}

/// Its name, for people.
pub(super) fn name(key: &FlowKey) -> String {
    let Part::Ports { source, .. } = key.original.part else { return "a flow".into() };
    format!("flow {}", source - 1024)
}
