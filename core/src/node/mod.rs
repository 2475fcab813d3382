//! The composition root: the peers, the segments and the groups of one node, and how the word of one
//! becomes the knowledge of another.
//!
//! After every fact the same three steps follow: the peers are judged, the segments are tested where
//! a peer is silent, and every group decides.
mod beat;
mod checks;
mod pause;
mod reload;
mod segments;
mod settled;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use segments::Segment;

use crate::Machine;
use crate::check::Check;
use crate::config::{BEATS_TOGETHER, Config, LEASE, LONELY_AFTER, LONELY_LEASE};
use crate::detector::{Lateness, Peer};
use crate::effect::{Alarm, Discard, Effect, Note};
use crate::fault::Fault;
use crate::group::{Advert, Group, Origin, Scene, Sight, State};
use crate::heartbeat::{Outcome, Refusal, RequestKind};
use crate::ident::{GroupId, Incarnation, InterfaceId, NodeId, RouterId};
use crate::input::{Command, Input, Interface};
use crate::time::{Instant, earliest};

/// How long two configurations may differ before a node with another one is not ready any more.
pub const DIFFERS_FOR: Duration = Duration::from_secs(60);

/// A node of the cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Shared with copies of the node: a walk through everything makes one for each branch.
    pub(crate) config: Arc<Config>,
    pub(crate) incarnation: Incarnation,
    pub(crate) peers: Vec<Peer>,
    pub(crate) groups: Vec<Group>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) checks: Vec<Check>,
    pub(crate) sights: Vec<Sight>,
    pub(crate) lateness: Lateness,
    pub(crate) alarms: Vec<Alarm>,
    /// Nothing that was not heard before this is held against anybody: we were not listening.
    pub(crate) awake: Instant,
    pub(crate) started_at: Instant,
    beat_at: Instant,
    slow_at: Instant,
    look_at: Option<Instant>,
    /// Since when living peers say, all of them, that they do not hear us.
    unheard_since: Option<Instant>,
    /// What is read now was sent during a pause: nothing is decided before the next tick.
    catching_up: bool,
    /// The deadline that was missed by so much that it counted as a pause; counted once.
    paused_at_deadline: Option<Instant>,
    /// Something has changed that the peers should know now.
    urgent: bool,
    /// Our copies of the peers' connections are not whole.
    partial: bool,
    stopping: bool,
    stopped: bool,
    running: bool,
    #[serde(skip)]
    settled: settled::Settled,
}

impl Node {
    /// A node that has not started. `incarnation` must be fresh random bits.
    pub fn new(config: Config, incarnation: Incarnation, now: Instant) -> Self {
        let nodes = config.nodes.len();
        let peers = config.peers().map(|node| Peer::new(node, config.paths.len())).collect();
        let groups =
            (0..config.groups.len()).map(|at| Group::new(GroupId::at(at), nodes)).collect();
        let mut node = Node {
            peers,
            groups,
            interfaces: vec![Interface::default(); config.interfaces.len()],
            segments: segments::of(&config),
            checks: config.checks.iter().map(|check| Check::new(check, now)).collect(),
            sights: Vec::new(),
            lateness: Lateness::new(now),
            alarms: Vec::new(),
            awake: now,
            started_at: now,
            beat_at: now,
            slow_at: now,
            look_at: None,
            unheard_since: None,
            catching_up: false,
            paused_at_deadline: None,
            urgent: false,
            partial: false,
            stopping: false,
            stopped: false,
            running: false,
            settled: settled::Settled::default(),
            config: Arc::new(config),
            incarnation,
        };
        node.look_around(now);
        node.weigh_groups(now, |_| true, &mut Vec::new());
        node
    }

    /// The configuration that it runs.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The groups, by [`GroupId`].
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The peers of our own make.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// Its own incarnation.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The tests of our own segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The checks, by [`crate::ident::CheckId`].
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// What the kernel says of the interfaces, by [`InterfaceId`].
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// What is wrong without moving a group.
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// The worst lateness of our own wake-ups that is remembered.
    pub fn lateness(&self) -> Duration {
        self.lateness.worst()
    }

    /// The dead time that we apply to a peer now.
    pub fn dead(&self, peer: &Peer) -> Duration {
        peer.dead(&self.config, self.lateness.worst())
    }

    /// The shortest dead time that a living peer applies to us; `None` if none lives.
    pub fn shortest_wait(&self) -> Option<Duration> {
        let living = self.peers.iter().filter(|peer| peer.lives());
        living.filter_map(|peer| peer.applies_to(self.config.me)).min()
    }

    /// Whether any peer of ours lives.
    pub fn has_living_peer(&self) -> bool {
        self.peers.iter().any(Peer::lives)
    }

    /// Calls `act` for one group with the scene around it.
    pub fn with_scene<R>(
        &self,
        now: Instant,
        group: GroupId,
        act: impl FnOnce(&Scene, &Group) -> R,
    ) -> R {
        let scene = self.scene(now, group);
        act(&scene, &self.groups[group.index()])
    }

    fn scene(&self, now: Instant, group: GroupId) -> Scene<'_> {
        let config = &self.config.groups[group.index()];
        Scene {
            now,
            began: self.started_at,
            config,
            me: self.config.me,
            sights: &self.sights,
            interfaces: &self.interfaces,
            lease: self.lease(now),
            isolated: self.is_isolated(now, config),
            unheard: self.unheard_at().is_some_and(|at| at <= now),
            stopping: self.stopping,
            differs: self.differs(now),
            partial: self.partial,
        }
    }

    /// Lets every group act, each in the scene around it.
    fn each_group(
        &mut self,
        now: Instant,
        out: &mut Vec<Effect>,
        mut act: impl FnMut(&mut Group, &Scene, &mut Vec<Effect>),
    ) {
        let mut groups = std::mem::take(&mut self.groups);
        for group in &mut groups {
            self.act_in(now, group, out, &mut act);
        }
        self.groups = groups;
    }

    /// When the first group wants to be looked at.
    fn groups_due(&self) -> Option<Instant> {
        self.settled.due(self.groups.len()).unwrap_or_else(|| {
            let groups = self.groups.iter().zip(&self.config.groups);
            groups.map(|(group, config)| group.deadline(config)).fold(None, earliest)
        })
    }

    /// Tells every group that time has passed for which that means anything.
    fn tick_groups(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for id in self.settled.wanted(now + BEATS_TOGETHER, self.groups.len()) {
            self.one_group(now, id, out, |group, scene, out| group.tick(scene, out));
        }
    }

    /// Lets one group act.
    fn one_group(
        &mut self,
        now: Instant,
        id: GroupId,
        out: &mut Vec<Effect>,
        act: impl FnOnce(&mut Group, &Scene, &mut Vec<Effect>),
    ) {
        let mut groups = std::mem::take(&mut self.groups);
        if let Some(group) = groups.get_mut(id.index()) {
            self.act_in(now, group, out, act);
        }
        self.groups = groups;
    }

    fn act_in(
        &mut self,
        now: Instant,
        group: &mut Group,
        out: &mut Vec<Effect>,
        act: impl FnOnce(&mut Group, &Scene, &mut Vec<Effect>),
    ) {
        let (before, successor) = (group.news(), group.successor());
        act(group, &self.scene(now, group.id), out);
        if matches!(group.state, State::Active { .. }) && group.successor() != successor {
            out.push(Effect::Note(Note::Yields { group: group.id, to: group.successor() }));
        }
        if group.news() != before {
            group.touched_at = now;
            self.urgent = true;
        }
        self.settled.touch(group, &self.config.groups[group.id.index()]);
    }

    fn lease(&self, now: Instant) -> Duration {
        let heard = self.peers.iter().filter_map(|peer| peer.heard_at).max();
        let quiet_since = heard.unwrap_or(self.started_at);
        // A router of another make that stands by says nothing: it may be there all the time.
        let lonely = now.since(quiet_since) >= LONELY_AFTER && !self.config.expects_foreign();
        if lonely { LONELY_LEASE } else { LEASE }
    }

    fn differs(&self, now: Instant) -> bool {
        let long = |since: Instant| now.since(since) >= DIFFERS_FOR;
        self.peers.iter().any(|peer| peer.lives() && peer.differs_since.is_some_and(long))
    }

    /// Takes a fact. True: the peers were judged with it.
    fn take(&mut self, now: Instant, input: Input, out: &mut Vec<Effect>) -> bool {
        match input {
            Input::Start { adopted, locked } => self.start(now, &adopted, &locked, out),
            Input::Interface(interface, state) => self.interface(now, interface, state, out),
            Input::Advert { group, router, source, priority, interval } => {
                let node = self.speaker_at(source);
                let advert = Advert { router, source, priority, interval, node };
                self.one_group(now, group, out, |group, scene, out| {
                    group.advert(scene, advert, out)
                });
            }
            Input::Heartbeat(received) => return self.heartbeat(now, &received, out),
            Input::Will { from, incarnation } => self.will(now, from, incarnation, out),
            Input::Owned { group, serial, result } => {
                self.one_group(now, group, out, |group, scene, out| {
                    group.owned(scene, serial, result, out);
                });
            }
            Input::AddressLost(group) => {
                self.one_group(now, group, out, |group, scene, out| group.address_lost(scene, out));
            }
            Input::Heard { interface, answered } => self.heard(now, interface, answered),
            Input::Copies { whole } => {
                self.urgent |= self.partial == whole;
                self.partial = !whole;
            }
            Input::Exhausted { group } => {
                self.one_group(now, group, out, |group, scene, out| group.exhausted(scene, out));
            }
            Input::Checked { check, reading } => self.checked(now, check, reading, out),
            Input::Neighbours { interface, known } => self.neighbours(interface, known),
            Input::Command(command) => self.command(now, command, out),
            Input::Configure { config } => self.configure(now, *config, out),
            Input::Shutdown => {
                self.stopping = true;
                self.urgent = true;
                self.each_group(now, out, |group, scene, out| {
                    group.make_way(scene, Origin::Shutdown, out)
                });
            }
        }
        false
    }

    fn start(
        &mut self,
        now: Instant,
        adopted: &[GroupId],
        locked: &[GroupId],
        out: &mut Vec<Effect>,
    ) {
        self.running = true;
        self.started_at = now;
        self.beat_at = now;
        self.slow_at = now;
        self.review_checks(now, out);
        self.each_group(now, out, |group, scene, out| {
            group.start(scene, adopted.contains(&group.id), locked.contains(&group.id), out);
        });
    }

    fn interface(
        &mut self,
        now: Instant,
        id: InterfaceId,
        state: Interface,
        out: &mut Vec<Effect>,
    ) {
        let Some(known) = self.interfaces.get_mut(id.index()) else { return };
        *known = state;
        self.interface_faults(now, out);
    }

    /// A group cannot be held here while one of its interfaces is missing or has no carrier.
    fn interface_faults(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let interfaces = std::mem::take(&mut self.interfaces);
        self.each_group(now, out, |group, scene, out| {
            for (position, router) in scene.config.routers.iter().enumerate() {
                let state = interfaces[router.interface.index()];
                let router = RouterId::at(position);
                group.set_fault(scene, Fault::InterfaceMissing(router), !state.present, out);
                let down = state.present && !state.running;
                group.set_fault(scene, Fault::LinkDown(router), down, out);
            }
        });
        self.interfaces = interfaces;
    }

    fn command(&mut self, now: Instant, command: Command, out: &mut Vec<Effect>) {
        match command {
            Command::Switchover { token, group, to, within, hold } => {
                self.one_group(now, group, out, |group, scene, out| {
                    let Some(to) = to.or_else(|| group.default_target(scene)) else {
                        let nobody = group.active_node(scene).map(|_| Refusal::NobodyReady);
                        let outcome = Outcome::Refused(nobody.unwrap_or(Refusal::NoActive));
                        return out.push(Effect::Answer { token, outcome });
                    };
                    group.wish(scene, token, RequestKind::Switchover { to, within, hold }, out);
                });
            }
            Command::Failback { token, group, within } => {
                self.one_group(now, group, out, |group, scene, out| {
                    group.wish(scene, token, RequestKind::Failback { within }, out);
                });
            }
            Command::Lock { group } => {
                self.one_group(now, group, out, |group, scene, out| {
                    group.set_locked(scene, true, out);
                });
            }
            Command::Unlock { group } => {
                self.one_group(now, group, out, |group, scene, out| {
                    group.set_locked(scene, false, out);
                });
            }
        }
        self.urgent = true;
    }

    /// What follows from every fact and from the passing of time. `judged`: the peers were judged now, and
    /// would be judged the same.
    fn conclude(&mut self, now: Instant, judged: bool, out: &mut Vec<Effect>) {
        if !judged {
            self.review_peers(now, out);
        }
        self.look_ahead(now);
        if !judged {
            self.look_around(now);
        }
        self.review_segments(now, out);
        if !self.catching_up {
            self.look_for_changes(now);
            self.review_checks(now, out);
            self.decide(now, out);
            self.follow_groups(now, out);
        }
        if std::mem::take(&mut self.urgent) {
            self.send_heartbeat(now, self.config.full_rate_paths(), out);
        }
        let idle = |group: &Group| matches!(group.state, State::Standby | State::Init);
        if self.stopping && !self.stopped && self.groups.iter().all(idle) {
            self.stopped = true;
            self.send_heartbeat(now, self.config.all_paths(), out);
            out.push(Effect::Stopped);
        }
    }

    /// Lets every group decide for which anything may have changed.
    fn decide(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for id in self.settled.wanted(now, self.groups.len()) {
            let mut settled = false;
            self.one_group(now, id, out, |group, scene, out| settled = group.decide(scene, out));
            if settled {
                self.settled.settle(id);
            }
        }
    }

    fn discard(&self, from: NodeId, why: Discard, out: &mut Vec<Effect>) {
        out.push(Effect::Note(Note::Discarded { from, why }));
    }

    /// Who of our peers sends its adverts from this address.
    fn speaker_at(&self, source: std::net::IpAddr) -> Option<NodeId> {
        let speaks =
            |peer: &&Peer| peer.last.as_ref().is_some_and(|last| last.sources.contains(&source));
        self.peers.iter().find(speaks).map(|peer| peer.node)
    }
}

impl Machine for Node {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Effect>) {
        self.notice_pause(now, out);
        let judged = self.take(now, input, out);
        if self.running {
            self.conclude(now, judged, out);
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(due) = self.deadline().filter(|due| *due <= now) else { return };
        self.lateness.observe(now, now.since(due));
        self.notice_pause(now, out);
        self.caught_up(now, out);
        self.tick_groups(now, out);
        self.conclude(now, false, out);
        self.beat(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        if !self.running {
            return None;
        }
        let mut next = earliest(Some(self.next_beat_at()), self.look_at);
        next = earliest(next, self.groups_due());
        for segment in &self.segments {
            next = earliest(next, segment.tester.deadline());
        }
        next
    }
}
