use std::net::IpAddr;
use std::sync::mpsc::sync_channel;

use evergate_api::config::{Sources, parse};

use super::*;
use crate::kernel::monitor::Event;
use crate::kernel::requests::Kernel;
use crate::kernel::rtnetlink::{AddressRecord, LinkRecord, OUR_PROTOCOL};
use crate::seal::ClusterKey;

const GATEWAY: &str = r#"
[group.gateway]
priority = { gw1 = 200, gw2 = 100 }
[group.gateway.router.lan]
interface = "evg-lan"
vrid = 51
addresses = ["192.0.2.1/24"]
"#;

/// Sorts before the other group, and its link before the interface of both.
const MORE: &str = r#"
[link.sync]
interface = "evg-sync"
[group.dmz]
priority = { gw1 = 200, gw2 = 100 }
[group.dmz.router.lan]
interface = "evg-lan"
vrid = 61
addresses = ["192.0.2.61/24"]
"#;

/// No interface of this machine has these numbers.
const LAN: u32 = 2_000_000_001;
const VIRTUAL: &str = "192.0.2.1";

pub(super) fn layout(text: &str) -> Layout {
    let nodes = "[cluster]\nname = \"edge\"\nkey_file = \"cluster.key\"\n[node.gw1]\n[node.gw2]\n";
    let outcome = parse(Sources::from_text("edge.toml", &format!("{nodes}{text}")));
    Layout::new(&outcome.config.expect("a good file"), "gw1").unwrap()
}

/// A drive whose only world is what the test tells it, with the other ends of its channels.
pub(super) struct Bed {
    pub(super) drive: Drive,
    jobs: Receiver<ColdJob>,
    _events: Receiver<EventDraft>,
    _calls: SyncSender<Call>,
    _results: SyncSender<Prepared>,
}

impl Bed {
    fn new() -> Bed {
        Bed::with(GATEWAY)
    }

    /// One with these groups instead; the interface `evg-lan` has the address 192.0.2.2.
    pub(super) fn with(groups: &str) -> Bed {
        let bell = Arc::new(Bell::new().unwrap());
        let (calls_in, calls) = sync_channel(1);
        let (cold, jobs) = sync_channel(16);
        let (results, prepared) = sync_channel(1);
        let (events, drafts) = sync_channel(1024);
        let kernel = KernelThread::start(Kernel::open().unwrap(), Arc::clone(&bell)).unwrap();
        let equipment = Equipment {
            layout: layout(groups),
            secrets: secrets(),
            incarnation: Incarnation([1; 16]),
            estate: SharedEstate::create().unwrap(),
            kernel,
            monitor: Monitor::open().unwrap(),
            bell,
            calls,
            cold,
            prepared,
            events,
            signals: Signals::new(&[]).unwrap(),
            facts: Facts::default(),
            locked: Vec::new(),
            replication: None,
            runner: None,
            check_news: sync_channel(1).1,
        };
        let mut drive = Drive::start(equipment, &[]).unwrap();
        drive.take_news(instant_now(), &[lan(true), own(2)]);
        Bed { drive, jobs, _events: drafts, _calls: calls_in, _results: results }
    }

    fn closings_asked(&self) -> usize {
        self.jobs.try_iter().filter(|job| matches!(job, ColdJob::Close(_))).count()
    }

    fn snapshots_asked(&self) -> usize {
        self.jobs.try_iter().filter(|job| matches!(job, ColdJob::Snapshot)).count()
    }
}

fn secrets() -> Secrets {
    Secrets { cluster: vec![key()], ..Secrets::default() }
}

fn key() -> ClusterKey {
    ClusterKey::new([7; 32])
}

fn lan(running: bool) -> Event {
    Event::LinkState(LinkRecord {
        ifindex: LAN,
        name: "evg-lan".into(),
        up: true,
        running,
        carrier: running,
        mac: Some([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        promote_secondaries: Some(true),
        stacked: None,
    })
}

pub(super) fn address(text: &str, protocol: u8) -> Event {
    Event::AddressAdded(AddressRecord {
        ifindex: LAN,
        address: text.parse().unwrap(),
        prefix_length: 24,
        peer: None,
        scope: 0,
        flags: 0,
        protocol,
        valid_s: 3,
        preferred_s: 3,
    })
}

fn own(host: u8) -> Event {
    address(&format!("192.0.2.{host}"), 0)
}

fn removed(text: &str, protocol: u8) -> Event {
    let address: IpAddr = text.parse().unwrap();
    Event::AddressRemoved { ifindex: LAN, address, prefix_length: 24, protocol }
}

fn port<'a>(drive: &'a Drive, name: &str) -> &'a Port {
    drive.ports.iter().find(|port| port.name == name).unwrap()
}

#[test]
fn after_a_reload_ports_groups_and_neighbours_go_on_under_their_new_numbers() {
    let mut bed = Bed::new();
    let (drive, now) = (&mut bed.drive, instant_now());
    drive.take_news(now, &[address(VIRTUAL, OUR_PROTOCOL)]);
    drive.neighbours.answered(now, InterfaceId(0), [192, 0, 2, 10].into());
    drive.held.insert(GroupId(0));
    let (holder, key) = (drive.holders[0].1, port(drive, "evg-lan").key);
    drive.apply(now, layout(&format!("{MORE}{GATEWAY}")), secrets());

    let names: Vec<_> = drive.ports.iter().map(|port| (port.id.0, port.name.as_str())).collect();
    assert_eq!(names, [(0, "evg-sync"), (1, "evg-lan")]);
    let port = port(drive, "evg-lan");
    assert_eq!((port.ifindex(), port.key), (Some(LAN), key), "the same port");
    assert_eq!(port.addresses, [IpAddr::from([192, 0, 2, 2])]);
    assert_eq!(drive.holders[1], ("gateway".into(), holder), "the kernel thread knows it so");
    assert_ne!(drive.holders[0].1, holder);
    assert_eq!(drive.addresses_of(GroupId(1)).len(), 1, "nothing is let go");
    assert!(drive.neighbours.has_witness(now, InterfaceId(1)));
    assert!(drive.facts.present.contains(&(InterfaceId(1), VIRTUAL.parse().unwrap())));
    let (_, estate) = drive.estate.read(&mut Vec::new()).unwrap();
    let held: Vec<_> =
        estate.groups.iter().map(|g| (g.group.as_str(), g.addresses.len())).collect();
    assert_eq!(held, [("gateway", 1)], "the guardian knows what is up");
}

#[test]
fn a_number_of_a_group_that_is_gone_is_not_given_to_another() {
    let mut bed = Bed::new();
    let (drive, now) = (&mut bed.drive, instant_now());
    let more = format!("{MORE}{GATEWAY}");
    let mut seen = Vec::new();
    for text in [&more, GATEWAY, &more] {
        drive.apply(now, layout(text), secrets());
        seen.extend(drive.holders.iter().find(|(name, _)| name == "dmz").map(|(_, at)| *at));
    }
    assert_eq!(seen.len(), 2);
    assert_ne!(seen[0], seen[1]);
    assert!(!seen.contains(&drive.holders[1].1));
}

#[test]
fn a_picture_of_the_kernel_does_not_undo_the_news_that_came_while_it_was_taken() {
    let mut bed = Bed::new();
    let (drive, now) = (&mut bed.drive, instant_now());
    drive.take_news(now, &[Event::Overflow]);
    drive.take_news(now, &[lan(false), own(3), removed("192.0.2.2", 0)]);
    drive.take_picture(now, Ok(vec![lan(true), own(2)]));
    let state = port(drive, "evg-lan").state();
    assert!(state.present && !state.running, "{state:?}");
    assert_eq!(port(drive, "evg-lan").addresses, [IpAddr::from([192, 0, 2, 3])]);
    assert_eq!(bed.snapshots_asked(), 1);
}

#[test]
fn sockets_are_not_closed_where_heartbeats_wait_for_it() {
    let mut bed = Bed::new();
    let now = instant_now();
    assert!(port(&bed.drive, "evg-lan").sockets.is_some());
    bed.drive.take_news(now, &[Event::LinkGone { ifindex: LAN }]);
    assert!(port(&bed.drive, "evg-lan").sockets.is_none());
    assert_eq!(bed.closings_asked(), 1);
    bed.drive.take_news(now, &[lan(true)]);
    bed.drive.ask_for_picture();
    bed.drive.take_picture(now, Ok(Vec::new()));
    assert_eq!(bed.closings_asked(), 1);
    bed.drive.take_news(now, &[lan(true)]);
    bed.drive.apply(now, layout(&GATEWAY.replace("evg-lan", "evg-other")), secrets());
    assert_eq!(bed.closings_asked(), 1, "its interface is not in the configuration any more");
}

#[test]
fn an_interface_that_the_picture_does_not_show_is_gone() {
    let mut bed = Bed::new();
    let (drive, now) = (&mut bed.drive, instant_now());
    assert!(port(drive, "evg-lan").link.is_some());
    drive.ask_for_picture();
    drive.take_picture(now, Ok(Vec::new()));
    assert!(port(drive, "evg-lan").link.is_none());
    assert!(!drive.node.interfaces()[0].present, "the machine knows");
}

#[test]
fn news_that_was_read_together_with_a_loss_counts_and_a_picture_is_asked_for() {
    let mut bed = Bed::new();
    let (drive, now) = (&mut bed.drive, instant_now());
    drive.take_news(now, &[address(VIRTUAL, OUR_PROTOCOL)]);
    let virtual_one = (InterfaceId(0), VIRTUAL.parse().unwrap());
    assert!(drive.facts.present.contains(&virtual_one));
    drive.take_news(now, &[removed(VIRTUAL, OUR_PROTOCOL), Event::Overflow]);
    assert!(!drive.facts.present.contains(&virtual_one));
    assert_eq!(bed.snapshots_asked(), 1, "by the thread that may wait");
}

#[test]
fn losses_while_a_picture_is_taken_lead_to_another_one() {
    let mut bed = Bed::new();
    let (drive, now) = (&mut bed.drive, instant_now());
    for _ in 0..3 {
        drive.take_news(now, &[Event::Overflow]);
    }
    assert_eq!(bed.snapshots_asked(), 1, "one at a time");
    let drive = &mut bed.drive;
    drive.take_picture(now, Ok(vec![lan(true), own(2)]));
    drive.keep_house(now + HOUSEKEEPING);
    assert_eq!(bed.snapshots_asked(), 1);
    let drive = &mut bed.drive;
    drive.take_picture(now, Ok(vec![lan(true), own(2)]));
    drive.keep_house(now + HOUSEKEEPING * 2);
    assert_eq!(bed.snapshots_asked(), 0);
}

#[test]
fn keys_that_are_taken_away_and_come_back_seal_no_number_twice() {
    let mut bed = Bed::new();
    let drive = &mut bed.drive;
    // The header of a will carries its number; the will of the start has number 0.
    let number = |will: &[u8]| header::Header::decode(will).unwrap().0.sequence;
    assert_eq!(number(&drive.will), 0);
    let mut last = drive.sequence;
    for _ in 0..3 {
        for keys in [Vec::new(), vec![key()]] {
            drive.secrets.cluster = keys;
            drive.take_keys();
        }
        assert!(number(&drive.will) > last, "{} after {last}", number(&drive.will));
        last = drive.sequence;
    }
}
