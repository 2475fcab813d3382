//! The thread `node`: reads what has come, tells the machine, carries out what it decides, sleeps
//! until it next cares. Nothing in here may wait for anybody.
//!
//! ```text
//!   sockets, netlink news ─► hear, world ─► Node ─► speak ─► sockets
//!   control socket ────────► calls ─────────┘  └──────────► kernel thread, estate
//! ```
//!
//! Packets come before time: at each wake-up every socket is read before the machine is told that
//! time has passed, so that after a pause nobody is judged by silence that was not silence.
mod announce;
mod calls;
mod checks;
mod guards;
mod hear;
mod home;
mod neighbours;
mod news;
pub mod ports;
mod procedures;
mod reload;
mod renumber;
pub mod replication;
mod speak;
mod ways;
mod world;

#[cfg(test)]
mod report_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transport_tests;
#[cfg(test)]
mod vrrp_tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::Duration;

use evergate_api::status::{LastHandover, PhasesMs};
use evergate_core::announce::Announcer;
use evergate_core::effect::{Cause, Discard};
use evergate_core::ident::{Family, GroupId, Incarnation, InterfaceId, RouterId};
use evergate_core::procedure::Procedures;
use evergate_core::time::earliest;
use evergate_core::wire::{header, vrrp};
use evergate_core::{Input, Instant, Machine, Node};

use crate::checks::{Link, News};
use crate::cold::{ColdJob, Prepared};
use crate::control::Call;
use crate::estate::SharedEstate;
use crate::facts::{Facts, RouterFacts};
use crate::kernel::frame_counter::FrameCounter;
use crate::kernel::monitor::Monitor;
use crate::kernel_thread::{Granted, Holder, KernelThread, Wish};
use crate::layout::Layout;
use crate::observe::{EventDraft, Observer};
use crate::replicate::Replication;
use crate::seal::{Opener, SealIds, Sealer};
use crate::secrets::Secrets;
use crate::sys::clock::boottime_now;
use crate::sys::process::Signals;
use crate::sys::ready::{Bell, Poller, Ready, Timer};
use guards::Guards;
use neighbours::Neighbours;
use ports::Port;
pub use ways::WaysState;

const TOKEN_TIMER: u64 = 0;
const TOKEN_BELL: u64 = 1;
const TOKEN_MONITOR: u64 = 2;
const TOKEN_SIGNALS: u64 = 3;

/// How often the thread looks after what has no deadline of its own.
const HOUSEKEEPING: Duration = Duration::from_millis(100);
/// The most requests of the control socket that are answered in one go.
const CALLS_PER_WAKE_MAX: usize = 16;
/// How long a foreign router counts as present after its last advert.
const FOREIGN_FOR: Duration = Duration::from_secs(10);

/// All that the thread is given when it starts.
pub struct Equipment {
    /// The configuration.
    pub layout: Layout,
    /// What the files of the configuration hold.
    pub secrets: Secrets,
    /// The incarnation that was drawn for this process.
    pub incarnation: Incarnation,
    /// The memory that is shared with the guardian.
    pub estate: SharedEstate,
    /// The thread that writes to the kernel.
    pub kernel: KernelThread,
    /// The kernel's news.
    pub monitor: Monitor,
    /// Rung by other threads.
    pub bell: Arc<Bell>,
    /// Requests from the control socket.
    pub calls: Receiver<Call>,
    /// Work that may wait for files.
    pub cold: SyncSender<ColdJob>,
    /// What came of it.
    pub prepared: Receiver<Prepared>,
    /// Where events go.
    pub events: SyncSender<EventDraft>,
    /// Termination and reload.
    pub signals: Signals,
    /// The facts that are known before the first wake-up.
    pub facts: Facts,
    /// Groups that were locked before.
    pub locked: Vec<String>,
    /// The thread that replicates connections, where there is one.
    pub replication: Option<Replication>,
    /// The way to the runner, which makes checks.
    pub runner: Option<Link>,
    /// What it says.
    pub check_news: Receiver<News>,
}

/// The node thread.
pub struct Drive {
    node: Node,
    layout: Layout,
    facts: Facts,
    ports: Vec<Port>,
    next_key: u64,
    /// Under which numbers the kernel thread knows the groups, in their order.
    holders: Vec<(String, Holder)>,
    /// The same the other way round.
    groups_of: BTreeMap<Holder, GroupId>,
    next_holder: u32,
    look: news::Look,
    routers: BTreeMap<(InterfaceId, Family, u8), (GroupId, RouterId)>,
    /// Whose each virtual address is; a link-local one may be on several segments.
    virtuals: BTreeMap<IpAddr, Vec<(GroupId, RouterId)>>,
    /// The links with virtual MAC addresses that exist, by name, with the kernel's numbers of them.
    links: BTreeMap<String, u32>,
    dialects: BTreeMap<(GroupId, RouterId), vrrp::Dialect>,
    neighbours: Neighbours,
    frames: Option<FrameCounter>,
    frames_seen: BTreeMap<InterfaceId, u64>,
    heard_frames: Vec<InterfaceId>,
    phases: BTreeMap<GroupId, Phases>,
    /// How long the addresses of a claim have waited for connections.
    states: BTreeMap<GroupId, Duration>,
    held: BTreeSet<GroupId>,
    estate: SharedEstate,
    kernel: KernelThread,
    monitor: Monitor,
    poller: Poller,
    timer: Timer,
    bell: Arc<Bell>,
    calls: Receiver<Call>,
    pending: calls::Pending,
    cold: SyncSender<ColdJob>,
    prepared: Receiver<Prepared>,
    next_layout: Option<Layout>,
    events: SyncSender<EventDraft>,
    observer: Observer,
    signals: Signals,
    secrets: Secrets,
    guards: Guards,
    /// The adverts of some router carry a number or a stamp.
    has_numbered: bool,
    /// How long routers of another make wait for us at least: three adverts.
    foreign_wait: Option<Duration>,
    /// What the guardian would say for us is behind what was sent.
    wills_are_old: bool,
    /// Groups with a router whose numbers have come to their end.
    exhausted: BTreeSet<GroupId>,
    sealer: Option<Sealer>,
    opener: Opener,
    /// The ready-made resignation of this process.
    will: Vec<u8>,
    /// The last number on the wire, sealed or not.
    sequence: u64,
    /// The last number that a sealer which is gone has used.
    sealed: Option<u64>,
    announcer: Announcer,
    told_more_at: Instant,
    housekept_at: Instant,
    asked_at: Instant,
    stopped: bool,
    buffer: Vec<u8>,
    plain: Vec<u8>,
    packet: Vec<u8>,
    granted: Vec<Granted>,
    /// Left to the kernel thread together, once all decisions of a moment are carried out.
    wishes: Vec<(Holder, Wish)>,
    complaints: Vec<String>,
    replication: Option<Replication>,
    runner: Option<Link>,
    check_news: Receiver<News>,
    /// What is run when groups change their role.
    procedures: Procedures,
    /// The runner has not been told the newest of it.
    new_work: bool,
    /// What the machine was told last of the copies of the peers' connections.
    copies_whole: Option<bool>,
    /// Whether a group was being handed over when that was last told.
    handed_over: bool,
}

/// The phases of a takeover that are over.
#[derive(Clone, Copy, Debug)]
struct Phases {
    cause: Cause,
    detect: Duration,
    states: Duration,
    addresses: Duration,
    /// When the addresses were there, on the clock of [`boottime_now`].
    since_ns: u64,
}

impl Drive {
    /// Opens everything and starts the machine.
    pub fn start(equipment: Equipment, adopted: &[String]) -> io::Result<Drive> {
        let now = instant_now();
        let Equipment { layout, secrets, incarnation, estate, kernel, monitor, bell, .. } =
            equipment;
        let Equipment { calls, cold, prepared, events, signals, facts, locked, .. } = equipment;
        let Equipment { replication, runner, check_news, .. } = equipment;
        let poller = Poller::new()?;
        let timer = Timer::new()?;
        poller.add(&timer, TOKEN_TIMER)?;
        poller.add(&*bell, TOKEN_BELL)?;
        poller.add(&monitor, TOKEN_MONITOR)?;
        poller.add(&signals, TOKEN_SIGNALS)?;
        let mut drive = Drive {
            node: Node::new(layout.core.clone(), incarnation, now),
            observer: Observer::new(layout.me()),
            ports: Vec::new(),
            next_key: 0,
            holders: Vec::new(),
            groups_of: BTreeMap::new(),
            next_holder: 0,
            look: news::Look::default(),
            routers: BTreeMap::new(),
            virtuals: BTreeMap::new(),
            links: BTreeMap::new(),
            dialects: BTreeMap::new(),
            neighbours: Neighbours::default(),
            frames: FrameCounter::open().ok(),
            frames_seen: BTreeMap::new(),
            heard_frames: Vec::new(),
            phases: BTreeMap::new(),
            states: BTreeMap::new(),
            held: BTreeSet::new(),
            pending: calls::Pending::default(),
            next_layout: None,
            sealer: None,
            opener: Opener::new(&secrets.cluster),
            guards: Guards::new(),
            has_numbered: false,
            foreign_wait: None,
            wills_are_old: false,
            exhausted: BTreeSet::new(),
            will: Vec::new(),
            sequence: 0,
            sealed: None,
            announcer: Announcer::default(),
            told_more_at: now,
            housekept_at: now,
            asked_at: now,
            stopped: false,
            buffer: vec![0; hear::PACKET_BYTES_MAX],
            plain: Vec::new(),
            packet: Vec::new(),
            granted: Vec::new(),
            wishes: Vec::new(),
            complaints: Vec::new(),
            layout,
            facts,
            estate,
            kernel,
            monitor,
            poller,
            timer,
            bell,
            calls,
            cold,
            prepared,
            events,
            signals,
            secrets,
            replication,
            runner,
            check_news,
            procedures: Procedures::new(now),
            new_work: false,
            copies_whole: None,
            handed_over: false,
        };
        drive.take_keys();
        drive.lay_out();
        drive.look_at_kernel(now);
        drive.inherit_guards();
        drive.order_checks();
        drive.configure_procedures(now);
        let named = |names: &[String]| {
            let groups = drive.layout.core.groups.iter().enumerate();
            let chosen = groups.filter(|(_, group)| names.contains(&group.name));
            chosen.map(|(position, _)| GroupId::at(position)).collect::<Vec<_>>()
        };
        let (adopted, locked) = (named(adopted), named(&locked));
        drive.feed(now, Input::Start { adopted, locked });
        drive.estate.beat(now.as_nanos());
        drive.keep_house(now);
        drive.estate.set_ready();
        Ok(drive)
    }

    /// Runs until every group is given up after a request to end.
    pub fn run(mut self) -> io::Result<()> {
        let mut ready = Ready::default();
        let mut effects = Vec::new();
        while !self.stopped {
            let deadline = self.deadline();
            self.timer.set(Some(deadline.as_nanos()))?;
            self.poller.wait(&mut ready, None)?;
            let now = instant_now();
            self.estate.beat(now.as_nanos());
            for token in ready.tokens() {
                self.serve(now, token)?;
                // A flood on many sockets takes long, and the guardian does not wait for its end.
                self.estate.beat(boottime_now());
            }
            let now = instant_now();
            self.node.tick(now, &mut effects);
            self.carry_out(now, &mut effects);
            self.send_announcements(now);
            self.order_work(now);
            self.tell_frames();
            self.keep_house(now);
        }
        self.finish()
    }

    fn deadline(&self) -> Instant {
        let house = self.housekept_at + HOUSEKEEPING;
        let next = earliest(self.node.deadline(), self.announcer.deadline());
        next.map_or(house, |at| at.min(house))
    }

    fn serve(&mut self, now: Instant, token: u64) -> io::Result<()> {
        match token {
            TOKEN_TIMER => self.timer.drain()?,
            TOKEN_BELL => {
                self.bell.drain()?;
                self.take_granted(now);
                self.take_prepared(now);
                self.take_checks(now);
                for _ in 0..CALLS_PER_WAKE_MAX {
                    let Ok(call) = self.calls.try_recv() else { break };
                    self.serve_call(now, call);
                }
            }
            TOKEN_MONITOR => self.read_news(now),
            TOKEN_SIGNALS => self.read_signals(now)?,
            token => {
                let Some((key, source)) = ports::source_of(token) else { return Ok(()) };
                // A port may have gone since the wait.
                let port = self.ports.iter().find(|port| port.key == key);
                if let Some(id) = port.map(|port| port.id) {
                    self.read_port(now, id, source);
                }
            }
        }
        Ok(())
    }

    /// Tells the machine a fact and carries out what follows.
    fn feed(&mut self, now: Instant, input: Input) {
        let mut effects = Vec::new();
        self.node.handle(now, input, &mut effects);
        self.carry_out(now, &mut effects);
    }

    fn take_granted(&mut self, now: Instant) {
        let mut granted = std::mem::take(&mut self.granted);
        let mut complaints = std::mem::take(&mut self.complaints);
        self.kernel.take(&mut granted, &mut complaints);
        self.facts.accept_failure = self.kernel.accept_failure();
        for Granted { holder, serial, result, ways, states } in granted.drain(..) {
            let Some(group) = self.groups_of.get(&holder).copied() else { continue };
            if !states.is_zero() {
                self.states.insert(group, states);
            }
            self.heed_ways(now, group, &ways);
            self.feed(now, Input::Owned { group, serial, result });
            let holds = self.node.groups().get(group.index()).is_some_and(|g| g.holds());
            if !holds && self.held.remove(&group) {
                self.publish_estate();
            }
        }
        for complaint in complaints.drain(..) {
            self.complain(&complaint);
        }
        self.granted = granted;
        self.complaints = complaints;
    }

    /// What has no deadline of its own: the guardian's figures, lost bells, idle neighbours.
    fn keep_house(&mut self, now: Instant) {
        let foreign = self.facts.foreign.values().any(|(.., at)| now.since(*at) < FOREIGN_FOR);
        self.estate.set_peers_alive(self.node.has_living_peer() || foreign);
        let wait = self.node.shortest_wait().or(self.foreign_wait).unwrap_or(Duration::MAX);
        self.estate.set_dead_ns(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        if now.since(self.housekept_at) < HOUSEKEEPING {
            return;
        }
        self.show_replication();
        self.tell_copies(now);
        self.housekept_at = now;
        self.expire_calls(now);
        if self.look.wanted && !self.look.asked {
            self.ask_for_picture();
        }
        let seek = self.lacks_witness(now);
        let every = if seek { neighbours::SEEK_EVERY } else { neighbours::ASK_EVERY };
        if now.since(self.asked_at) >= every {
            self.asked_at = now;
            self.ask_idly(now);
        }
        self.tell_neighbours(now);
        self.look_after_wills();
        self.renew_wills();
        while let Some(draft) = self.observer.flush(now) {
            self.tell(draft);
        }
    }

    /// Takes keys into use, and seals the last will with them.
    fn take_keys(&mut self) {
        let ids = SealIds {
            cluster: self.layout.cluster,
            node: self.layout.names.node_hash(self.layout.core.me).unwrap_or(0),
            process: header::PROCESS_CORE,
            incarnation: self.node.incarnation().0,
        };
        self.opener.rotate(&self.secrets.cluster);
        self.pass_keys_on();
        let Some(first) = self.secrets.cluster.first() else {
            self.sealed = self.sealer.take().and_then(|sealer| sealer.last()).or(self.sealed);
            self.will.clear();
            return;
        };
        if let Some(sealer) = &mut self.sealer {
            sealer.rotate(first);
        }
        let sealer = self.sealer.get_or_insert_with(|| Sealer::new(first, ids, self.sealed));
        if sealer.last().is_some() {
            self.sequence += 1;
        }
        // The same bytes go out on every path, because one number must never seal two texts.
        let head = self.header(header::Kind::Will, 0, self.sequence);
        let mut will = Vec::new();
        if let Some(sealer) = &mut self.sealer
            && sealer.seal(&head, self.sequence, &[], &mut will).is_ok()
        {
            self.will = will;
        }
    }

    /// The announcement was the last phase: the takeover is complete and can be told.
    fn announced(&mut self, group: GroupId, now_ns: u64) {
        let Some(phases) = self.phases.remove(&group) else { return };
        let ms = |span: Duration| span.as_secs_f64() * 1000.0;
        let announce = Duration::from_nanos(now_ns.saturating_sub(phases.since_ns));
        let total = phases.detect + phases.states + phases.addresses + announce;
        let name = &self.layout.core.groups[group.index()].name;
        let phases_ms = PhasesMs {
            detect: Some(ms(phases.detect)),
            claim: Some(0.0),
            states: Some(ms(phases.states)),
            addresses: Some(ms(phases.addresses)),
            announce: Some(ms(announce)),
            procedures: self.procedures.running(name).is_none().then_some(0.0),
            total: Some(ms(total)),
        };
        let cause = crate::observe::cause_code(phases.cause).to_owned();
        // The journal numbers it when the event gets there.
        self.facts.handovers.insert(group, LastHandover { seq: 0, cause, phases_ms });
        let draft = self.observer.handover(group, &self.layout.core, phases.cause, phases_ms);
        self.tell(draft);
    }

    fn tell(&mut self, draft: EventDraft) {
        if let Err(TrySendError::Full(_)) = self.events.try_send(draft) {
            self.count("events_lost");
        }
    }

    fn complain(&mut self, text: &str) {
        if let Some(draft) = self.observer.complaint(instant_now(), text) {
            self.tell(draft);
        }
    }

    fn count(&mut self, name: &'static str) {
        *self.facts.counters.entry(name).or_default() += 1;
    }

    fn count_router(&mut self, group: GroupId, router: RouterId, name: &'static str) {
        *self.router_facts(group, router).counters.entry(name).or_default() += 1;
    }

    fn router_facts(&mut self, group: GroupId, router: RouterId) -> &mut RouterFacts {
        self.facts.routers.entry((group, router)).or_default()
    }

    /// Whether it is time to tell the peers what they need only now and then.
    fn tell_more(&mut self, now: Instant) -> bool {
        let due = self.told_more_at <= now;
        if due {
            self.told_more_at = now + evergate_core::config::SLOW_HEARTBEAT;
        }
        due
    }

    /// Every address is gone: the settings of the kernel are restored, and the guardian learns it.
    fn finish(mut self) -> io::Result<()> {
        self.kernel.stop();
        let mut ready = Ready::default();
        // What comes in is read no more, and must not wake us without end.
        self.poller = Poller::new()?;
        self.poller.add(&self.timer, TOKEN_TIMER)?;
        self.poller.add(&*self.bell, TOKEN_BELL)?;
        for _ in 0..FINISH_TURNS {
            if self.kernel.has_stopped() {
                break;
            }
            self.rest(&mut ready, FINISH_TURN_NS)?;
        }
        // An empty estate: nothing is left to resign for.
        let _ = self.estate.publish(&crate::estate::Estate::default());
        self.finish_procedures()
    }

    /// Waits, in the end, for the bell or for so long; the guardian sees that we live.
    fn rest(&self, ready: &mut Ready, span_ns: u64) -> io::Result<()> {
        self.timer.set(Some(boottime_now() + span_ns))?;
        self.poller.wait(ready, None)?;
        self.timer.drain()?;
        self.bell.drain()?;
        self.estate.beat(boottime_now());
        Ok(())
    }
}

/// How many times the end waits for the kernel thread. It takes some milliseconds for each link with a virtual
/// MAC address.
const FINISH_TURNS: u32 = 1000;
/// How long each time: the guardian wants to see a beat meanwhile.
const FINISH_TURN_NS: u64 = 5_000_000;

/// The time as the machine counts it.
pub fn instant_now() -> Instant {
    Instant::from_nanos(boottime_now())
}

/// The counter of a packet with a good seal that was not accepted.
fn discard_name(why: Discard) -> &'static str {
    match why {
        Discard::Replayed => "heartbeat_replayed",
        Discard::Unproved => "heartbeat_unproved",
        Discard::Superseded => "heartbeat_superseded",
        Discard::Ended => "heartbeat_after_will",
        Discard::Ourselves => "heartbeat_ourselves",
    }
}
