//! One router of ours under the control of a test: what it hears is told to it, what it does is kept
//! with its moment, and its kernel obeys at once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use evergate_core::config::{
    Conduct, Config, Failback, GroupConfig, NodeConfig, RouterConfig, Version,
};
use evergate_core::effect::Note;
use evergate_core::heartbeat::Role;
use evergate_core::ident::Vrid;
use evergate_core::ident::{Family, GroupId, Incarnation, InterfaceId, NodeId, Priority, RouterId};
use evergate_core::input::Interface;
use evergate_core::{Effect, Input, Instant, Machine, Node};

pub const MS: Duration = Duration::from_millis(1);
pub const MICROSECOND: Duration = Duration::from_micros(1);
pub const SECOND: Duration = Duration::from_secs(1);
/// The shortest time there is: what is due now was not due then.
pub const NANOSECOND: Duration = Duration::from_nanos(1);
/// The group of the router.
pub const GROUP: GroupId = GroupId(0);
/// Where its adverts come from.
pub const OWN_V4: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 100);
pub const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100);
/// Another router on its segment.
pub const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 91, 0, 9));
/// So many turns at one moment are a machine that turns in circles.
const BUSY_MAX: usize = 100;

/// The parameters of RFC 9568 §6.1.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub version: Version,
    pub family: Family,
    pub priority: u8,
    pub interval: Duration,
    pub failback: Failback,
    pub conduct: Conduct,
}

impl Setup {
    /// Priority 100, adverts each second, with preemption.
    pub fn new(version: Version) -> Setup {
        let (family, failback) = (Family::V4, Failback::After(Duration::ZERO));
        let conduct = Conduct::default();
        Setup { version, family, priority: 100, interval: SECOND, failback, conduct }
    }

    /// The same in both versions.
    pub fn both() -> [Setup; 2] {
        [Version::V2, Version::V3].map(Setup::new)
    }

    /// The group that it describes.
    pub fn group(&self, name: &str, vrid: u8) -> GroupConfig {
        let router = RouterConfig {
            id: format!("{name}/lan"),
            interface: InterfaceId(0),
            path: None,
            family: self.family,
            vrid: Vrid::new(vrid),
            version: self.version,
            addresses: match self.family {
                Family::V4 => vec![(Ipv4Addr::new(10, 91, 0, vrid).into(), 24)],
                Family::V6 => vec![(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x51, 1).into(), 64)],
            },
            unicast_peers: Vec::new(),
        };
        GroupConfig {
            name: name.into(),
            priorities: vec![Priority::new(self.priority)],
            failback: self.failback,
            advert: self.interval,
            conduct: self.conduct,
            track: Vec::new(),
            routers: vec![router],
        }
    }

    fn config(&self) -> Config {
        Config {
            me: NodeId(0),
            nodes: vec![NodeConfig { name: "gw1".into(), foreign: false }],
            heartbeat: 10 * MS,
            interfaces: vec!["lan".into()],
            paths: Vec::new(),
            groups: vec![self.group("gateway", 51)],
            checks: Vec::new(),
            digest: 1,
        }
    }
}

/// The router, the time, and what it has done.
pub struct Router {
    pub now: Instant,
    pub notes: Vec<Note>,
    node: Node,
    done: Vec<(Instant, Effect)>,
    since: Instant,
}

impl Router {
    /// A router that has not started.
    pub fn new(setup: Setup) -> Router {
        Router::with(setup.config())
    }

    fn with(config: Config) -> Router {
        let now = Instant::from_nanos(1_000_000_000);
        let node = Node::new(config, Incarnation([1; 16]), now);
        let mut router = Router { now, notes: Vec::new(), node, done: Vec::new(), since: now };
        router.cable(true);
        router
    }

    /// Plugs its cable in, or pulls it.
    pub fn cable(&mut self, running: bool) {
        let (source_v4, source_v6) = (Some(OWN_V4), Some(OWN_V6));
        let lan = Interface { present: true, running, carrier: running, source_v4, source_v6 };
        self.feed(Input::Interface(InterfaceId(0), lan));
    }

    /// One that has just started.
    pub fn started(setup: Setup) -> Router {
        let mut router = Router::new(setup);
        router.start();
        router
    }

    /// One that has just started, with a second virtual router on the same interface.
    pub fn started_beside(setup: Setup) -> Router {
        let mut config = setup.config();
        config.groups.push(setup.group("second", 52));
        let mut router = Router::with(config);
        router.start();
        router
    }

    /// One that was alone for long enough to become active, at this very moment.
    pub fn active(setup: Setup) -> Router {
        let mut router = Router::started(setup);
        while router.role() != Role::Active {
            let next = router.node.deadline().expect("a standby waits for something");
            router.run(next.since(router.now));
        }
        router.mark();
        router
    }

    /// The startup event.
    pub fn start(&mut self) {
        self.feed(Input::Start { adopted: Vec::new(), locked: Vec::new() });
    }

    /// The startup event, where a former process has left the addresses.
    pub fn adopt(&mut self) {
        self.feed(Input::Start { adopted: vec![GROUP], locked: Vec::new() });
    }

    /// The shutdown event.
    pub fn shut_down(&mut self) {
        self.feed(Input::Shutdown);
    }

    /// An advert of another router that sends one each second.
    pub fn hears(&mut self, priority: u8, source: IpAddr) {
        self.hears_at(GROUP, priority, source, SECOND);
    }

    /// An advert of another router to a group, with that router's interval.
    pub fn hears_at(&mut self, group: GroupId, priority: u8, source: IpAddr, interval: Duration) {
        let router = RouterId(0);
        self.feed(Input::Advert { group, router, source, priority, interval });
    }

    /// Lets time pass, from deadline to deadline.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut busy = 0;
        while let Some(next) = self.node.deadline().filter(|at| *at <= end) {
            busy = if next > self.now { 0 } else { busy + 1 };
            assert!(busy < BUSY_MAX, "time does not go on");
            self.now = self.now.max(next);
            let mut out = Vec::new();
            self.node.tick(self.now, &mut out);
            self.keep(out);
        }
        self.now = end;
    }

    /// Forgets what was done; what is done from here on is told with the time since now.
    pub fn mark(&mut self) {
        self.since = self.now;
        self.done.clear();
        self.notes.clear();
    }

    /// What it has done, in order, without notes.
    pub fn done(&self) -> Vec<&Effect> {
        self.done.iter().map(|(_, effect)| effect).collect()
    }

    /// The adverts of the first group.
    pub fn adverts(&self) -> Vec<(Duration, u8)> {
        self.adverts_of(GROUP)
    }

    /// The adverts of a group: when, since the mark, and their priority.
    pub fn adverts_of(&self, wanted: GroupId) -> Vec<(Duration, u8)> {
        let advert = |(at, effect): &(Instant, Effect)| match effect {
            Effect::Advertise { group, priority, .. } if *group == wanted => {
                Some((at.since(self.since), *priority))
            }
            _ => None,
        };
        self.done.iter().filter_map(advert).collect()
    }

    pub fn role(&self) -> Role {
        self.role_in(GROUP)
    }

    pub fn role_in(&self, group: GroupId) -> Role {
        self.node.groups()[group.index()].role()
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.node.handle(self.now, input, &mut out);
        self.keep(out);
    }

    fn keep(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Note(note) => self.notes.push(note),
                Effect::Own { group, serial, .. } => {
                    self.done.push((self.now, effect));
                    self.feed(Input::Owned { group, serial, result: Ok(()) });
                }
                other => self.done.push((self.now, other)),
            }
        }
    }
}

/// Claims that it becomes active after exactly this time and not before, and says so at that moment.
pub fn claims_after(router: &mut Router, wait: Duration) {
    router.mark();
    router.run(wait - NANOSECOND);
    assert_eq!(router.role(), Role::Standby, "before {wait:?}");
    assert_eq!(router.adverts(), [], "before {wait:?}");
    router.run(NANOSECOND);
    assert_eq!(router.role(), Role::Active, "after {wait:?}");
    assert_eq!(router.adverts().first().map(|(at, _)| *at), Some(wait));
}
