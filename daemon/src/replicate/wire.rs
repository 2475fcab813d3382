//! Sealed datagrams of the replication: a key and numbers of their own, on the best way there is.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use evergate_core::ident::{Incarnation, NodeId};
use evergate_core::wire::header::{self, Header, Kind, PROCESS_REPLICATE};

use super::{Identity, Way};
use crate::kernel::udp_socket::{Hears, UdpSender, UdpSocket};
use crate::seal::{ClusterKey, Opener, SealIds, Sealer};
use crate::sys::clock::boottime_now;
use crate::sys::ready::Poller;

/// Datagrams that may overtake each other and still be told from recordings.
const REPLAY_WINDOW: u64 = 128;

/// Both directions of the wire.
pub struct Wire {
    identity: Identity,
    sealer: Option<Sealer>,
    opener: Opener,
    sequence: u64,
    ways: Vec<Way>,
    senders: BTreeMap<(u32, bool), UdpSender>,
    /// What is sent to the group comes here, by interface and family; what is sent to single peers, as mail.
    receivers: BTreeMap<(u32, bool), UdpSocket>,
    heard: BTreeMap<NodeId, Heard>,
    packet: Vec<u8>,
}

/// Why a datagram was dropped.
type Cause = &'static str;
/// The longest datagram that is taken.
const DATAGRAM_MAX: usize = 2048;

/// The numbers that were heard of a peer's process.
struct Heard {
    incarnation: Incarnation,
    highest: u64,
    /// Bit n: the number n below the highest has come.
    bits: u128,
}

impl Heard {
    fn is_fresh(&mut self, number: u64) -> bool {
        if number > self.highest {
            let ahead = number - self.highest;
            self.bits = if ahead < REPLAY_WINDOW { self.bits << ahead | 1 } else { 1 };
            self.highest = number;
            return true;
        }
        let behind = self.highest - number;
        if behind >= REPLAY_WINDOW || self.bits & 1 << behind != 0 {
            return false;
        }
        self.bits |= 1 << behind;
        true
    }
}

impl Wire {
    /// A wire without ways.
    pub fn new(identity: Identity, keys: &[ClusterKey]) -> Wire {
        let mut wire = Wire {
            identity,
            sealer: None,
            opener: Opener::new(keys),
            sequence: 0,
            ways: Vec::new(),
            senders: BTreeMap::new(),
            receivers: BTreeMap::new(),
            heard: BTreeMap::new(),
            packet: Vec::new(),
        };
        wire.take_keys(keys);
        wire
    }

    /// Nodes have new numbers, and there may be others.
    pub fn take_identity(&mut self, identity: Identity, moved: &BTreeMap<NodeId, NodeId>) {
        self.identity = identity;
        let heard = std::mem::take(&mut self.heard).into_iter();
        self.heard = heard.filter_map(|(node, it)| Some((*moved.get(&node)?, it))).collect();
    }

    /// From now on seals with the first of these keys, and opens with all.
    pub fn take_keys(&mut self, keys: &[ClusterKey]) {
        self.opener.rotate(keys);
        let Some(first) = keys.first() else { return };
        match &mut self.sealer {
            Some(sealer) => sealer.rotate(first),
            None => {
                self.sealer = Some(Sealer::new(first, self.ids(self.identity.incarnation), None))
            }
        }
    }

    fn ids(&self, incarnation: Incarnation) -> SealIds {
        let Identity { cluster, node, .. } = self.identity;
        SealIds { cluster, node, process: PROCESS_REPLICATE, incarnation: incarnation.0 }
    }

    /// The ways to the peers, the best first. Reports `token` when something is to be heard; an error is
    /// worth another attempt later.
    pub fn take_ways(&mut self, ways: Vec<Way>, poller: &Poller, token: u64) -> io::Result<()> {
        self.ways = ways;
        let ways = &self.ways;
        let known = |index: u32| ways.iter().any(|way| way.interface.index == index);
        self.senders.retain(|(index, _), _| known(*index));
        self.receivers.retain(|(index, _), _| known(*index));
        for way in ways {
            for to in way.destinations.iter().filter(|to| to.is_multicast()) {
                let key = (way.interface.index, to.is_ipv4());
                if self.receivers.contains_key(&key) {
                    continue;
                }
                let open = if to.is_ipv4() { UdpSocket::open_v4 } else { UdpSocket::open_v6 };
                let receiver = open(&way.interface, self.identity.port, Hears::Replication)
                    .map_err(|error| io::Error::other(error.to_string()))?;
                poller.add(&receiver, token)?;
                self.receivers.insert(key, receiver);
            }
        }
        Ok(())
    }

    /// The next datagram that was sent to the group, opened, into `body`.
    pub fn hear(&mut self, body: &mut Vec<u8>) -> Option<Result<(NodeId, Incarnation), Cause>> {
        let mut buffer = [0; DATAGRAM_MAX];
        let received = self.receivers.values().find_map(|receiver| {
            // What cannot be read is not there.
            receiver.receive(&mut buffer).ok().flatten()
        })?;
        if received.hop_limit != header::HOP_LIMIT || received.truncated {
            return Some(Err("replica_foreign"));
        }
        let datagram = &buffer[..received.length];
        let Ok((header, _)) = Header::decode(datagram) else {
            return Some(Err("replica_header"));
        };
        let from = self.identity.names.node(header.node);
        let from = from.filter(|from| *from != self.identity.me);
        let Some(from) = from.filter(|_| header.cluster == self.identity.cluster) else {
            return Some(Err("replica_foreign"));
        };
        Some(self.open(from, &header, datagram, body).map(|()| (from, header.incarnation)))
    }

    /// Sends a body to all peers on the best way that works; `false` if none does.
    pub fn send(&mut self, body: &[u8]) -> bool {
        (0..self.ways.len()).any(|at| self.send_on(at, body))
    }

    fn send_on(&mut self, at: usize, body: &[u8]) -> bool {
        let way = self.ways[at].clone();
        self.sequence += 1;
        #[allow(clippy::cast_possible_truncation, reason = "the stamp wraps by design")]
        let stamp = (boottime_now() / 1000) as u32;
        let header = Header {
            kind: Kind::Replica,
            cluster: self.identity.cluster,
            node: self.identity.node,
            path: way.path,
            process: PROCESS_REPLICATE,
            stamp,
            sequence: self.sequence,
            incarnation: self.identity.incarnation,
        };
        let mut packet = std::mem::take(&mut self.packet);
        let sealed = self.sealer.as_mut().is_some_and(|sealer| {
            sealer.seal(&header.encode(), header.sequence, body, &mut packet).is_ok()
        });
        let sent = sealed
            && way.destinations.iter().any(|to| {
                self.sender(&way, *to).is_some_and(|sender| sender.send(&packet, way.source, *to))
            });
        self.packet = packet;
        sent
    }

    fn sender(&mut self, way: &Way, to: IpAddr) -> Option<&UdpSender> {
        let key = (way.interface.index, to.is_ipv4());
        if !self.senders.contains_key(&key) {
            let sender = UdpSender::open(&way.interface, self.identity.port, to.is_ipv4()).ok()?;
            self.senders.insert(key, sender);
        }
        self.senders.get(&key)
    }

    /// Opens a datagram of the process that counts, into `body`.
    pub fn open(
        &mut self,
        from: NodeId,
        header: &Header,
        datagram: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<(), Cause> {
        let ids = SealIds {
            cluster: header.cluster,
            node: header.node,
            process: header.process,
            incarnation: header.incarnation.0,
        };
        let (clear, sealed) = datagram.split_at_checked(header::LEN).ok_or("replica_header")?;
        if header.process != PROCESS_REPLICATE {
            return Err("replica_process");
        }
        self.opener
            .open(&ids, clear, header.sequence, sealed, body)
            .map_err(|_| "replica_bad_seal")?;
        let incarnation = header.incarnation;
        let fresh = || Heard { incarnation, highest: 0, bits: 0 };
        let heard = self.heard.entry(from).or_insert_with(fresh);
        if heard.incarnation != incarnation {
            *heard = fresh();
        }
        if heard.is_fresh(header.sequence) { Ok(()) } else { Err("replica_replayed") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_fresh_once_and_only_near_the_highest() {
        let mut heard = Heard { incarnation: Incarnation([0; 16]), highest: 0, bits: 0 };
        for (number, fresh) in [
            (5, true),
            (5, false),
            (3, true),
            (3, false),
            (4, true),
            (200, true),
            (73, true),
            (72, false),
            (73, false),
        ] {
            assert_eq!(heard.is_fresh(number), fresh, "{number}");
        }
    }
}
