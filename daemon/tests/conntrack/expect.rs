//! What connections expect: what is put reads back, and the kernel's traps.

use std::net::{TcpListener, TcpStream};

use evergate_core::flow::{
    Expectation, ExpectationMask, ExpectationNat, Extra, Flow, Part, Zones, protocol, status,
};
use evergate_daemon::kernel::conntrack::decode::{Expected, News};
use evergate_daemon::kernel::conntrack::injector::{GRACE_S, Injector, Operation};
use evergate_daemon::kernel::conntrack::listener::{BUFFER_BYTES, Listener, enable_events};
use nix::errno::Errno;

use crate::flows::{ends, flow, heard, numbered, put, read, track, with};
use crate::namespace::{in_namespace, skipped};

/// The time that the expectations of these tests have left, in seconds.
const LEFT_S: u32 = 100;

/// A connection to an FTP server, with the helper.
fn control(client: &str, server: &str) -> Flow {
    let extra = Extra { helper: Some(b"ftp".to_vec()), ..Extra::default() };
    with(extra, flow(ends(protocol::TCP, client, server)))
}

/// The same, expecting connections from this address to these ports of its server.
fn expecting(master: &Flow, ports: &[u16]) -> Flow {
    let mut flow = master.clone();
    let one = |port: &u16| {
        let source = master.key.original.source;
        let part = Part::Ports { source: 0, target: *port };
        let tuple = evergate_core::flow::Tuple { part, ..master.key.original };
        let mask = if source.is_ipv4() { "255.255.255.255" } else { "ffff:ffff:ffff:ffff::" };
        Expectation {
            tuple,
            mask: ExpectationMask { source: mask.parse().unwrap(), port: 0 },
            nat: None,
            function: Vec::new(),
            class: 0,
            flags: 0,
            timeout: LEFT_S,
        }
    };
    flow.extra.as_mut().unwrap().set_expectations(ports.iter().map(one).collect());
    flow
}

fn expectations(flow: &Flow) -> Vec<Expectation> {
    flow.extra.as_ref().unwrap().expectations.clone()
}

/// What the table has; the time left must be what was put and the grace.
fn held(injector: &mut Injector, flow: &Flow) -> Vec<Expectation> {
    let mut held = injector.expectations(&flow.key).unwrap();
    for one in &mut held {
        assert!(one.timeout.abs_diff(LEFT_S + GRACE_S) <= 2, "{one:?}");
        one.timeout = LEFT_S;
    }
    held.sort_unstable();
    held
}

/// Puts the connection, unless there is no helper here.
fn put_control(injector: &mut Injector, flow: &Flow) -> bool {
    put(injector, &[flow]);
    let is_there = read(injector, flow).flow.has_helper();
    if !is_there {
        skipped("needs the ftp helper");
    }
    is_there
}

#[test]
fn expectations_of_both_families_in_and_out_of_zones_read_back() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let mut zoned = control("10.0.0.1:1000", "192.0.2.2:21");
        zoned.key.zones = Zones { original: 5, reply: 5 };
        for master in [
            control("10.0.0.1:1000", "192.0.2.2:21"),
            control("[fd00::1]:1000", "[2001:db8::2]:21"),
            zoned,
        ] {
            if !put_control(&mut injector, &master) {
                return;
            }
            let flow = expecting(&master, &[4000]);
            for _ in 0..2 {
                assert_eq!(injector.set_expectations(&flow), Ok(()));
                assert_eq!(held(&mut injector, &flow), expectations(&flow));
            }
        }
        assert_eq!(injector.expecting().unwrap().len(), 2, "the zone is not told");
    });
}

#[test]
fn what_nat_must_know_reads_back_and_an_unknown_function_is_refused() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let master = control("10.0.0.1:1000", "192.0.2.2:21");
        if !put_control(&mut injector, &master) {
            return;
        }
        let mut flow = expecting(&master, &[4000]);
        let nat = ExpectationNat { address: [10, 0, 0, 1].into(), port: 4001, reply: true };
        let mut one = expectations(&flow).remove(0);
        (one.nat, one.function) = (Some(nat), b"nat-follow-master".to_vec());
        flow.extra.as_mut().unwrap().set_expectations(vec![one.clone()]);
        assert_eq!(injector.set_expectations(&flow), Ok(()));
        assert_eq!(held(&mut injector, &flow), [one.clone()]);
        one.function = b"no-such-function".to_vec();
        flow.extra.as_mut().unwrap().set_expectations(vec![one]);
        assert_eq!(injector.set_expectations(&flow), Err(Errno::EINVAL));
    });
}

#[test]
fn one_expectation_makes_room_for_another_and_none_is_none() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let master = control("10.0.0.1:1000", "192.0.2.2:21");
        if !put_control(&mut injector, &master) {
            return;
        }
        // FTP has room for one.
        for ports in [&[4000][..], &[4001], &[], &[4002]] {
            let flow = expecting(&master, ports);
            assert_eq!(injector.set_expectations(&flow), Ok(()));
            assert_eq!(held(&mut injector, &flow), expectations(&flow));
        }
        injector.apply(&[Operation::Delete(master.key)]);
        assert!(injector.expecting().unwrap().is_empty());
    });
}

#[test]
fn who_cannot_expect_anything_has_an_empty_list_and_is_refused() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        // Not there; there without a helper; with one that this kernel does not have.
        let nowhere = control("10.0.0.1:1000", "192.0.2.2:21");
        assert_eq!(injector.expectations(&nowhere.key), Ok(Vec::new()));
        assert_eq!(injector.set_expectations(&expecting(&nowhere, &[1])), Err(Errno::ENOENT));
        let plain = numbered(1);
        put(&mut injector, &[&plain]);
        assert_eq!(injector.expectations(&plain.key), Ok(Vec::new()));
        assert_eq!(injector.set_expectations(&plain), Ok(()));
        let extra = Extra { helper: Some(b"no-such-helper".to_vec()), ..Extra::default() };
        let strange = with(extra, flow(ends(protocol::TCP, "10.0.0.1:2", "10.0.0.2:2")));
        put(&mut injector, &[&strange]);
        let refused = injector.set_expectations(&expecting(&strange, &[1]));
        assert_eq!(refused, Err(Errno::EOPNOTSUPP));
    });
}

#[test]
fn more_of_a_kind_than_the_helper_has_room_for_push_out_the_oldest() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let master = control("10.0.0.1:1000", "192.0.2.2:21");
        if !put_control(&mut injector, &master) {
            return;
        }
        let flow = expecting(&master, &[4000, 4001]);
        let _ = injector.set_expectations(&flow);
        assert_eq!(held(&mut injector, &flow).len(), 1);
    });
}

fn news(listener: &mut Listener) -> Vec<Expected> {
    let expectation = |piece| match piece {
        News::Expectation(expected) => Some(expected),
        News::Connection(_) => None,
    };
    heard(listener).into_iter().filter_map(expectation).collect()
}

#[test]
fn what_others_expect_is_news_and_what_we_put_is_not() {
    in_namespace(|| {
        enable_events().unwrap();
        let (mut ours, mut other) = (Injector::open().unwrap(), Injector::open().unwrap());
        let mut listener = Listener::open(&[ours.port()], BUFFER_BYTES).unwrap();
        let master = control("10.0.0.1:1000", "192.0.2.2:21");
        if !put_control(&mut other, &master) {
            return;
        }
        let [first, none] = [&[4000][..], &[]].map(|ports| expecting(&master, ports));
        for flow in [&first, &none] {
            assert_eq!(ours.set_expectations(flow), Ok(()));
        }
        assert_eq!(news(&mut listener), []);
        for (flow, is_there) in [(&first, true), (&none, false)] {
            assert_eq!(other.set_expectations(flow), Ok(()));
            let told = news(&mut listener);
            let [one] = &told[..] else { panic!("{told:?}") };
            assert_eq!((one.is_there, one.port), (is_there, other.port()));
            assert_eq!(one.master, master.key.original);
            assert_eq!(one.expectation.tuple, expectations(&first)[0].tuple);
        }
    });
}

#[test]
fn a_connection_that_was_expected_has_its_master_and_no_helper_of_its_own() {
    in_namespace(|| {
        if !track("ct state new accept") {
            return;
        }
        let mut injector = Injector::open().unwrap();
        let master = control("127.0.0.1:1000", "127.0.0.1:21");
        if !put_control(&mut injector, &master) {
            return;
        }
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let flow = expecting(&master, &[port]);
        assert_eq!(injector.set_expectations(&flow), Ok(()));
        let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let source = client.local_addr().unwrap().to_string();
        let came = crate::flows::flow(ends(protocol::TCP, &source, &format!("127.0.0.1:{port}")));
        let came = read(&mut injector, &came);
        assert_ne!(came.status & status::EXPECTED, 0);
        let extra = came.flow.extra.unwrap();
        assert_eq!((extra.master, extra.helper), (Some(master.key.original), None));
        assert_eq!(injector.expectations(&master.key), Ok(Vec::new()));
    });
}
