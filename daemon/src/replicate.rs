//! The thread `replicate`: connections of this node to the others, and theirs into this kernel.
//!
//! ```text
//!   node thread ── mail: datagrams, sights, keys ──► thread ──► sealed datagrams on a link
//!   kernel ── news, lists ───────────────────────────► │  ──► changes, in batches
//!   node thread ◄── standing: what is whole, how much ─┘
//! ```
//!
//! Every decision is [`evergate_core::replicate::Replicator`]'s, or where the peer runs conntrackd
//! [`evergate_core::conntrackd::Conntrackd`]'s. The thread comes right below the node thread: what both
//! need for a moment, such as the memory of a letter, must not wait for the rest of a busy machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evergate_core::Instant;
use evergate_core::ident::{Incarnation, NodeId};
use evergate_core::replicate::{Counters, Progress, Sight};
use evergate_core::wire::header::Header;
use evergate_core::wire::names::Names;

use crate::kernel::Interface;
use crate::kernel::conntrack::injector::Injector;
use crate::kernel::conntrack::listener::{BUFFER_BYTES, Listener, enable_events};
use crate::kernel::error::NetlinkError;
use crate::seal::ClusterKey;
use crate::sys::ready::{Bell, Poller, Timer};

mod conntrackd;
mod edge;
mod fence;
mod kernel_table;
mod listing;
mod thread;
mod timeouts;
mod turns;
mod whole;
mod wire;
mod wishes;

pub use conntrackd::Peer as ConntrackdPeer;
pub use edge::Policy;
pub use fence::{STATES_WITHIN, Ticket};
use kernel_table::KernelTable;
pub use listing::Listing;
use whole::Whole;

/// Letters that wait for the thread; more datagrams are dropped, and told anew by their sender.
pub const MAIL_MAX: usize = 4_096;

/// What the thread is told.
#[derive(Debug)]
pub enum Mail {
    /// A datagram of a peer, still sealed.
    Datagram {
        /// Whose name it bears.
        from: NodeId,
        /// Its header.
        header: Header,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// What the node thread sees.
    View(Box<View>),
    /// The keys of the cluster, the sealing one first.
    Keys(Vec<ClusterKey>),
    /// All flows of this peer shall be told again.
    Resync(NodeId),
    /// Somebody wants to see connections.
    List(Listing),
    /// The configuration is a new one; letters behind this one use its numbers.
    Configured(Box<Configured>),
    /// Somebody wants to know when this letter is reached, see [`Ticket`].
    Fence(u64),
}

/// What a new configuration says, and the new number of each node that has one, by its former number.
#[derive(Clone, Debug)]
pub struct Configured {
    /// Who this is.
    pub identity: Identity,
    /// What is replicated.
    pub policy: Policy,
    /// The new numbers.
    pub moved: BTreeMap<NodeId, NodeId>,
}

/// What the node thread sees of the cluster and of this machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// The peers that live.
    pub sights: Vec<Sight>,
    /// In how many groups this node is active.
    pub serving: usize,
    /// A group is being handed over, from this node or to it.
    pub handing_over: bool,
    /// The ways to the peers, the best first.
    pub ways: Vec<Way>,
    /// Addresses of this node itself: its own connections are nobody else's business.
    pub own: BTreeSet<IpAddr>,
}

/// A way to the peers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// Where it leaves.
    pub interface: Interface,
    /// The hash of the path's name.
    pub path: u32,
    /// Where datagrams come from.
    pub source: Option<IpAddr>,
    /// Where they go.
    pub destinations: Vec<IpAddr>,
}

/// Who this is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// This node.
    pub me: NodeId,
    /// The hash of its name, and of the cluster's.
    pub node: u32,
    /// The hash of the cluster's name.
    pub cluster: u32,
    /// This process.
    pub incarnation: Incarnation,
    /// The names of all nodes.
    pub names: Names,
    /// The UDP port.
    pub port: u16,
}

/// How things stand, for status and readiness.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Flows of this node.
    pub flows_local: usize,
    /// Flows of others.
    pub flows_replica: usize,
    /// For each living peer.
    pub peers: BTreeMap<NodeId, PeerStanding>,
    /// Flows of the kernel's table that are not what their owner told, and are not repaired yet.
    pub divergent: usize,
    /// What has happened.
    pub counters: Counters,
    /// What has happened with a peer that runs conntrackd, where there is one.
    pub conntrackd: Option<evergate_core::conntrackd::Counters>,
    /// Datagrams that were dropped, by cause.
    pub dropped: BTreeMap<&'static str, u64>,
    /// News of the kernel that did not fit its buffer.
    pub news_lost: u32,
}

/// How things stand with one peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PeerStanding {
    /// Our copy of its flows is whole.
    pub whole: bool,
    /// Its copy of our flows, once it is heard.
    pub ours: Option<Progress>,
    /// When our copy was last found equal.
    pub verified_at: Option<Instant>,
}

/// Both doors of the kernel's table, opened while the process still may.
#[derive(Debug)]
pub struct Doors {
    injector: Injector,
    listener: Listener,
    timeouts: timeouts::Timeouts,
}

impl Doors {
    /// Opens them in the calling thread's network namespace. From here on every new connection
    /// tells what becomes of it.
    pub fn open() -> Result<Doors, NetlinkError> {
        let injector = Injector::open()?;
        let listener = Listener::open(&[injector.port()], BUFFER_BYTES)?;
        // Where it is refused, connections that are older than the listener tell nothing; reading
        // the table whole finds them all the same, later.
        let _ = enable_events();
        Ok(Doors { injector, listener, timeouts: timeouts::Timeouts::read() })
    }
}

/// The node thread's end.
#[derive(Debug)]
pub struct Replication {
    mail: SyncSender<Mail>,
    bell: Arc<Bell>,
    standing: Arc<Mutex<Standing>>,
    fence: Arc<fence::Fence>,
    /// The number of the newest letter [`Mail::Fence`].
    fences: u64,
    /// A new configuration for which there was no room yet: nothing else is posted before it.
    configured: Option<Box<Configured>>,
    /// The last view that was sent, so that only changes are.
    told: Option<View>,
}

impl Replication {
    /// Starts the thread, towards the nodes of ours or towards a box that runs conntrackd.
    pub fn start(
        doors: Doors,
        identity: Identity,
        policy: Policy,
        keys: &[ClusterKey],
        conntrackd: Option<ConntrackdPeer>,
    ) -> std::io::Result<Replication> {
        let (mail, letters): (SyncSender<Mail>, Receiver<Mail>) = sync_channel(MAIL_MAX);
        let bell = Arc::new(Bell::new()?);
        let standing = Arc::new(Mutex::new(Standing::default()));
        let fence = Arc::new(fence::Fence::default());
        let whole = match conntrackd {
            Some(_) => Whole::without_expectations(),
            None => Whole::default(),
        };
        let desk = turns::Desk {
            table: KernelTable::new(doors, policy, whole),
            identity,
            letters,
            bell: Arc::clone(&bell),
            standing: Arc::clone(&standing),
            fence: Arc::clone(&fence),
            poller: Poller::new()?,
            timer: Timer::new()?,
            reading: None,
            stood_at: turns::now(),
        };
        match conntrackd {
            Some(peer) => conntrackd::start(desk, peer)?,
            None => thread::start(desk, keys)?,
        }
        Ok(Replication { mail, bell, standing, fence, fences: 0, configured: None, told: None })
    }

    /// Leaves a letter; `false` if there is no room. It never waits.
    pub fn post(&mut self, letter: Mail) -> bool {
        if let Some(configured) = self.configured.take()
            && let Err(TrySendError::Full(Mail::Configured(configured))) =
                self.mail.try_send(Mail::Configured(configured))
        {
            self.configured = Some(configured);
            return false;
        }
        let fits = !matches!(self.mail.try_send(letter), Err(TrySendError::Full(_)));
        // A bell that cannot be rung wakes nobody; the thread looks after its mail by itself, late.
        let _ = self.bell.ring();
        fits
    }

    /// Takes a new configuration. What is posted from here on uses its numbers. `false` if the thread has
    /// not even taken the one before.
    pub fn configure(&mut self, configured: Configured) -> bool {
        let fits = self.configured.is_none();
        self.configured = Some(Box::new(configured));
        self.told = None;
        fits
    }

    /// A place behind every letter so far; `None` if there is no room.
    pub fn ticket(&mut self) -> Option<Ticket> {
        self.fences += 1;
        let number = self.fences;
        self.post(Mail::Fence(number)).then(|| Ticket { fence: Arc::clone(&self.fence), number })
    }

    /// Tells what is seen, if it has changed.
    pub fn show(&mut self, view: View) {
        if self.told.as_ref() != Some(&view) && self.post(Mail::View(Box::new(view.clone()))) {
            self.told = Some(view);
        }
    }

    /// How things stand; `None` while it is being written. It never waits.
    pub fn standing(&self) -> Option<Standing> {
        self.standing.try_lock().ok().map(|standing| standing.clone())
    }
}

fn lock(standing: &Mutex<Standing>) -> MutexGuard<'_, Standing> {
    standing.lock().unwrap_or_else(PoisonError::into_inner)
}
