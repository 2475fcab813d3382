//! The thread among nodes of ours: their datagrams, letters, and what the machine decides about them.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use evergate_core::Instant;
use evergate_core::flow::{FlowKey, HashKey};
use evergate_core::ident::{Incarnation, NodeId};
use evergate_core::replicate::inbox::{BULK_PER_TURN, CHANGES_PER_TURN, INBOX_MAX, Inbox};
use evergate_core::replicate::{Effect, Input, PASS_EVERY, Reconfigured, Replicator, Settings};

use super::kernel_table::Fact;
use super::turns::{self, Desk, LETTERS_PER_TURN_MAX, TOKEN_PEERS, Turns, now};
use super::wire::Wire;
use super::{Configured, Mail, PeerStanding, Standing, View, Way};
use crate::say::say;
use crate::seal::ClusterKey;

/// Datagrams of peers that are read before anything else gets its turn.
const HEARD_PER_TURN_MAX: usize = 64;

/// How long connections that begin here are heard of after the last group has gone: neighbours may not know yet, and
/// what packets still begin here is told to who serves now.
const HEARD_AFTER: Duration = Duration::from_secs(10);

/// Starts the thread.
pub(super) fn start(desk: Desk, keys: &[ClusterKey]) -> io::Result<()> {
    turns::start(Work::new(desk, keys), "replication")
}

struct Work {
    desk: Desk,
    machine: Replicator,
    wire: Wire,
    view: View,
    /// Until then connections that begin here are heard of, though nothing is served.
    heard_until: Instant,
    /// Datagrams that were dropped, by cause.
    dropped: BTreeMap<&'static str, u64>,
    inbox: Inbox,
    /// Some receiver could not be opened.
    deaf: bool,
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
    type Machine = Replicator;
    const NOT_TOLD: &'static str = "not told yet";

    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn desk_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }

    fn machine(&self) -> &Replicator {
        &self.machine
    }

    fn machine_mut(&mut self) -> &mut Replicator {
        &mut self.machine
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut effects = effects.into_iter().peekable();
        while let Some(effect) = effects.next() {
            let table = &mut self.desk.table;
            match effect {
                Effect::Send(body) => {
                    if !self.wire.send(&body) {
                        self.drop_for("replica_not_sent");
                    }
                }
                Effect::Put(flow) => table.wishes.put(flow),
                Effect::Add(flow) => {
                    let mut flows = vec![flow];
                    // A packet offers many, and a look at the kernel costs more than what it tells.
                    while let Some(Effect::Add(flow)) =
                        effects.next_if(|next| matches!(next, Effect::Add(_)))
                    {
                        flows.push(flow);
                    }
                    let held = table.add(flows);
                    held.into_iter().for_each(|flow| self.feed(Input::Changed(flow)));
                }
                Effect::Replace(flow) => table.wishes.replace(flow),
                Effect::Delete(key) => table.wishes.delete(key),
                Effect::Renew(key) => table.wishes.renew(key),
                Effect::Restore(flow) => table.wishes.restore(&flow),
                Effect::Strict(key) => table.wishes.check_windows(key, true),
                Effect::Lenient(key) => table.wishes.check_windows(key, false),
                Effect::Dump => {
                    let ended = table.begin_list();
                    ended.into_iter().for_each(|fact| self.feed(fact));
                }
                Effect::Note(note) => say("core", &format!("replication: {note:?}")),
            }
        }
    }

    fn wants_more(&self) -> bool {
        self.machine.wants_more()
    }

    fn owner(&self, key: &FlowKey) -> Option<NodeId> {
        self.machine.owner(key)
    }

    /// Reads what peers have sent to the group; what is left calls again.
    fn hear(&mut self) {
        self.hear_some();
    }

    fn take_heard(&mut self) {
        self.take(CHANGES_PER_TURN, BULK_PER_TURN);
    }

    fn has_heard(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Reads letters; `false` when nobody can send any more.
    fn read_mail(&mut self) -> bool {
        use std::sync::mpsc::TryRecvError;
        for turn in 0..LETTERS_PER_TURN_MAX {
            let letter = match self.desk.letters.try_recv() {
                Ok(letter) => letter,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
            match letter {
                Mail::Datagram { from, header, bytes } => {
                    let mut body = Vec::new();
                    match self.wire.open(from, &header, &bytes, &mut body) {
                        Ok(()) => self.put(from, header.incarnation, body),
                        Err(cause) => self.drop_for(cause),
                    }
                }
                Mail::View(view) => self.look(*view),
                Mail::Keys(keys) => self.wire.take_keys(&keys),
                Mail::Resync(node) => self.feed(Input::Resync(node)),
                // One at a time; who asks meanwhile waits for the answer in vain and may ask again.
                Mail::List(listing) if self.desk.reading.is_none() => {
                    self.desk.reading = listing.begin();
                }
                Mail::List(_) => {}
                Mail::Configured(new) => self.configure(*new),
                Mail::Fence(number) => {
                    self.take_all();
                    self.desk.fence.reach(number);
                }
            }
            if turn + 1 == LETTERS_PER_TURN_MAX {
                // There may be more: come back at once.
                let _ = self.desk.bell.ring();
            }
        }
        true
    }

    fn stand(&mut self, now: Instant) -> Standing {
        if self.deaf {
            self.listen(self.view.ways.clone());
        }
        self.hear_beginnings(now);
        let machine = &self.machine;
        let peer = |node: NodeId| {
            let whole = machine.is_synced_with(node);
            let ours = machine.progress(node, now);
            PeerStanding { whole, ours, verified_at: machine.verified_at(node) }
        };
        Standing {
            flows_local: machine.own_flows(),
            flows_replica: machine.replicas(),
            peers: self.view.sights.iter().map(|sight| (sight.node, peer(sight.node))).collect(),
            divergent: machine.divergent(),
            counters: machine.counters,
            dropped: self.dropped.clone(),
            ..Standing::default()
        }
    }
}

impl Work {
    fn new(desk: Desk, keys: &[ClusterKey]) -> Work {
        let (identity, policy) = (&desk.identity, desk.table.policy());
        let settings = Settings {
            me: identity.me,
            incarnation: identity.incarnation,
            key: hash_key(identity.cluster),
            names: identity.names.clone(),
            coalesce: policy.coalesce,
            protect_after: policy.protect_after,
            read_every: PASS_EVERY,
        };
        Work {
            machine: Replicator::new(settings, now()),
            wire: Wire::new(identity.clone(), keys),
            view: View::default(),
            heard_until: now(),
            dropped: BTreeMap::new(),
            inbox: Inbox::default(),
            deaf: false,
            desk,
        }
    }

    fn listen(&mut self, ways: Vec<Way>) {
        let heard = self.wire.take_ways(ways, &self.desk.poller, TOKEN_PEERS);
        let was_deaf = std::mem::replace(&mut self.deaf, heard.is_err());
        if let (Err(error), false) = (heard, was_deaf) {
            say("core", &format!("replication cannot hear peers yet: {error}"));
        }
    }

    /// Reads what peers have sent to the group; `false` if nothing is left.
    fn hear_some(&mut self) -> bool {
        for _ in 0..HEARD_PER_TURN_MAX {
            let mut body = Vec::new();
            match self.wire.hear(&mut body) {
                None => return false,
                Some(Err(cause)) => self.drop_for(cause),
                Some(Ok((from, incarnation))) => self.put(from, incarnation, body),
            }
        }
        true
    }

    fn put(&mut self, from: NodeId, incarnation: Incarnation, body: Vec<u8>) {
        if !self.inbox.put(from, incarnation, body) {
            self.drop_for("replica_no_room");
        }
    }

    fn drop_for(&mut self, cause: &'static str) {
        *self.dropped.entry(cause).or_default() += 1;
    }

    /// Takes so much of what has come, changes first.
    fn take(&mut self, changes: usize, bulk: usize) {
        for _ in 0..changes {
            let Some(packet) = self.inbox.next_change() else { break };
            self.feed(packet);
        }
        for _ in 0..bulk {
            let Some(packet) = self.inbox.next_bulk() else { break };
            self.feed(packet);
        }
    }

    /// Takes all that has come until now: it must be in the kernel before an address is.
    fn take_all(&mut self) {
        // What waits makes room first.
        self.take(INBOX_MAX, INBOX_MAX);
        for _ in 0..INBOX_MAX / HEARD_PER_TURN_MAX {
            let more = self.hear_some();
            self.take(INBOX_MAX, INBOX_MAX);
            if !more {
                break;
            }
        }
        self.settle();
    }

    fn configure(&mut self, new: Configured) {
        // What waits is of the former numbers.
        self.take(INBOX_MAX, INBOX_MAX);
        let Configured { identity, policy, moved } = new;
        self.wire.take_identity(identity.clone(), &moved);
        let new = Reconfigured {
            me: identity.me,
            names: identity.names.clone(),
            moved,
            coalesce: policy.coalesce,
            protect_after: policy.protect_after,
        };
        self.desk.identity = identity;
        self.desk.table.set_policy(policy);
        self.feed(Input::Reconfigured(Box::new(new)));
    }

    /// Packets make connections here while we serve. What else comes is copies, whose changes and ends tell that
    /// somebody has touched them.
    fn hear_beginnings(&mut self, now: Instant) {
        let serves = self.view.serving > 0 || self.view.handing_over;
        if serves {
            self.heard_until = now + HEARD_AFTER;
        }
        self.desk.table.hear_beginnings(serves || now < self.heard_until);
    }

    fn look(&mut self, view: View) {
        self.listen(view.ways.clone());
        self.desk.table.see(view.own.clone(), view.handing_over);
        let (sights, serving) = (view.sights.clone(), view.serving);
        let before = std::mem::replace(&mut self.view, view).serving;
        self.hear_beginnings(now());
        self.feed(Input::Peers(sights));
        self.feed(Input::HandingOver(self.view.handing_over));
        if serving < before && serving > 0 {
            self.feed(Input::Released);
        }
        self.feed(Input::Serving(serving > 0));
    }
}

/// The key of the sums: the same on all nodes of a cluster, another one in each cluster.
pub(super) fn hash_key(cluster: u32) -> HashKey {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = u64::from(cluster).wrapping_mul(SPREAD);
    HashKey([word, word.rotate_left(29) ^ SPREAD])
}
