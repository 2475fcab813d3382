//! The thread where the peer is a box that runs conntrackd.
//!
//! It drives [`evergate_core::conntrackd::Conntrackd`]. The datagrams of the peer come straight to this
//! thread: they are of no concern to the node thread, and nothing in them is authenticated.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::TryRecvError;

use evergate_api::config::model::{Conntrackd as Plan, ConntrackdMode};
use evergate_core::Instant;
use evergate_core::conntrackd::{Conntrackd, Effect, Input, Mode, Note, Settings};
use evergate_core::flow::FlowKey;
use evergate_core::ident::NodeId;
use evergate_core::replicate::{PASS_EVERY, Progress};
use evergate_core::wire::conntrackd::RECEIVE_MAX;

use super::kernel_table::Fact;
use super::thread::hash_key;
use super::turns::{self, Desk, LETTERS_PER_TURN_MAX, TOKEN_PEERS, Turns, now};
use super::{Mail, PeerStanding, Standing, View};
use crate::say::say;
use crate::sys::clock::{NS_PER_S, realtime_now};

mod way;

use way::PeerWay;

/// Datagrams of the peer that are read before anything else gets its turn.
const HEARD_PER_TURN_MAX: usize = 256;

/// The peer, as the configuration has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The foreign node.
    pub node: NodeId,
    /// How it is spoken to.
    pub plan: Plan,
}

/// Starts the thread.
pub(super) fn start(desk: Desk, peer: Peer) -> io::Result<()> {
    turns::start(Work::new(desk, peer), "replication with conntrackd")
}

struct Work {
    desk: Desk,
    peer: Peer,
    machine: Conntrackd,
    way: PeerWay,
    /// Datagrams that were dropped, by cause.
    dropped: BTreeMap<&'static str, u64>,
    datagram: Vec<u8>,
}

impl From<Fact> for Input {
    fn from(fact: Fact) -> Input {
        match fact {
            Fact::Changed(flow) => Input::Changed(flow),
            Fact::Gone(key) => Input::Gone(key),
            Fact::Listed(flow) => Input::Dumped(flow),
            Fact::ListEnded(whole) => Input::DumpEnded(whole),
            Fact::Refused(key) => Input::Refused(key),
            Fact::NewsLost => Input::NewsLost,
        }
    }
}

impl Turns for Work {
    type Machine = Conntrackd;
    const NOT_TOLD: &'static str = "not told yet, or nothing that conntrackd can be told";

    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn desk_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }

    fn machine(&self) -> &Conntrackd {
        &self.machine
    }

    fn machine_mut(&mut self) -> &mut Conntrackd {
        &mut self.machine
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let table = &mut self.desk.table;
            match effect {
                Effect::Send(datagram) => {
                    if !self.way.send(&datagram) {
                        self.drop_one("not_sent");
                    }
                }
                Effect::Put(flow) | Effect::Replace(flow) if !table.concerns(&flow) => {
                    self.feed(Input::Refused(flow.key));
                }
                Effect::Put(flow) => table.wishes.put(flow),
                Effect::Replace(flow) => table.wishes.replace(flow),
                Effect::Delete(key) => table.wishes.delete(key),
                Effect::Renew(key) => table.wishes.renew(key),
                Effect::Restore(flow) => table.wishes.restore(&flow),
                Effect::Strict(key) => table.wishes.check_windows(key, true),
                Effect::Look(key) => {
                    let found = table.look(&key);
                    found.into_iter().for_each(|fact| self.feed(fact));
                }
                Effect::Dump => {
                    let ended = table.begin_list();
                    ended.into_iter().for_each(|fact| self.feed(fact));
                }
                Effect::Note(note) => say("core", &self.words(note)),
            }
        }
    }

    fn wants_more(&self) -> bool {
        self.machine.wants_more()
    }

    fn owner(&self, key: &FlowKey) -> Option<NodeId> {
        let ours = self.machine.is_ours(key)?;
        Some(if ours { self.desk.identity.me } else { self.peer.node })
    }

    fn hear(&mut self) {
        let mut datagram = std::mem::take(&mut self.datagram);
        for _ in 0..HEARD_PER_TURN_MAX {
            match self.way.receive(&mut datagram, self.desk.table.own()) {
                Ok(Some(length)) => {
                    self.feed(Input::Datagram(datagram[..length].to_vec()));
                }
                Ok(None) => break,
                Err(cause) => self.drop_one(cause),
            }
        }
        self.datagram = datagram;
    }

    fn read_mail(&mut self) -> bool {
        for turn in 0..LETTERS_PER_TURN_MAX {
            match self.desk.letters.try_recv() {
                Ok(Mail::View(view)) => self.look(*view),
                Ok(Mail::Resync(_)) => self.feed(Input::Resync),
                // One at a time; who asks meanwhile waits for the answer in vain and may ask again.
                Ok(Mail::List(listing)) if self.desk.reading.is_none() => {
                    self.desk.reading = listing.begin();
                }
                Ok(Mail::Fence(number)) => {
                    self.hear();
                    self.settle();
                    self.desk.fence.reach(number);
                }
                // What is of the sealed protocol alone, and a reload that changes nothing here.
                Ok(Mail::List(_) | Mail::Keys(_) | Mail::Datagram { .. } | Mail::Configured(_)) => {
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
            if turn + 1 == LETTERS_PER_TURN_MAX {
                // There may be more: come back at once.
                let _ = self.desk.bell.ring();
            }
        }
        true
    }

    fn stand(&mut self, now: Instant) -> Standing {
        let stands = self.machine.standing(now);
        let peer = PeerStanding {
            whole: stands.whole,
            ours: Some(Progress { whole: stands.has_ours, backlog: stands.backlog, lag: None }),
            verified_at: None,
        };
        Standing {
            flows_local: self.machine.own_flows(),
            flows_replica: self.machine.copies(),
            peers: BTreeMap::from([(self.peer.node, peer)]),
            conntrackd: Some(self.machine.counters()),
            dropped: self.dropped.clone(),
            ..Standing::default()
        }
    }
}

impl Work {
    fn new(desk: Desk, peer: Peer) -> Work {
        let mode = match peer.plan.mode {
            ConntrackdMode::Ftfw => Mode::Ftfw,
            ConntrackdMode::Notrack => Mode::Notrack,
        };
        let policy = desk.table.policy();
        let settings = Settings {
            mode,
            first: u32::try_from(realtime_now() / NS_PER_S).unwrap_or(1),
            key: hash_key(desk.identity.cluster),
            coalesce: policy.coalesce,
            protect_after: policy.protect_after,
            read_every: PASS_EVERY,
        };
        Work {
            machine: Conntrackd::new(settings, now()),
            way: PeerWay::new(&peer.plan),
            dropped: BTreeMap::new(),
            datagram: vec![0; RECEIVE_MAX],
            desk,
            peer,
        }
    }

    fn drop_one(&mut self, cause: &'static str) {
        *self.dropped.entry(cause).or_default() += 1;
    }

    fn look(&mut self, view: View) {
        if let Err(error) = self.way.follow(view.ways.first(), &self.desk.poller, TOKEN_PEERS) {
            say("core", &format!("no way to conntrackd: {error}"));
        }
        self.desk.table.see(view.own, false);
        self.feed(Input::Serving(view.serving > 0));
    }

    fn words(&self, note: Note) -> String {
        let peer = &self.peer.plan.peer;
        match note {
            Note::Open(true) => format!("conntrackd on {peer} answers"),
            Note::Open(false) => format!("conntrackd on {peer} does not answer any more"),
            Note::Adopted { flows } => format!("took over {flows} connections of {peer}"),
            Note::GivenUp { flows } => format!("left {flows} connections to {peer}"),
        }
    }
}
