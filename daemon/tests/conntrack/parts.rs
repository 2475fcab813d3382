//! What few flows have: marks, labels, adjustments, helpers, masters.

use evergate_core::flow::{Extra, Flow, SequenceAdjustment, Synproxy, protocol, status};
use evergate_daemon::kernel::conntrack::decode::is_complete;
use evergate_daemon::kernel::conntrack::injector::{Injector, Operation};
use nix::errno::Errno;

use crate::flows::{assert_reads_back, ends, flow, numbered, put, put_of, read, track, with};
use crate::namespace::{in_namespace, skipped};

#[test]
fn a_mark_is_set_changed_and_taken_back() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        for mark in [0, 0xdead_beef, 1, 0] {
            let flow = Flow { mark, ..numbered(1) };
            put(&mut injector, &[&flow]);
            assert_reads_back(&mut injector, &flow);
        }
    });
}

fn labelled(bits: u8) -> Flow {
    let mut labels = [0; 16];
    (labels[0], labels[15]) = (bits, bits);
    with(Extra { labels: Some(labels), ..Extra::default() }, numbered(1))
}

#[test]
fn labels_read_back_where_a_rule_uses_them() {
    in_namespace(|| {
        if !track("tcp dport 9 ct label set 5") {
            return;
        }
        let mut injector = Injector::open().unwrap();
        for bits in [0x81, 0x42] {
            put(&mut injector, &[&labelled(bits)]);
            assert_reads_back(&mut injector, &labelled(bits));
        }
    });
}

#[test]
fn labels_are_left_out_where_no_rule_uses_them() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        // The first time the kernel says nothing, the second time it refuses.
        for mark in [1, 2] {
            let flow = Flow { mark, ..labelled(1) };
            put(&mut injector, &[&flow]);
            assert_reads_back(&mut injector, &Flow { extra: None, ..flow });
        }
    });
}

#[test]
fn adjustments_and_a_syn_proxys_memory_read_back() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let adjustment = |n| SequenceAdjustment { position: n, before: n + 1, after: 0 };
        let extra = Extra {
            adjustments: Some([adjustment(1), adjustment(u32::MAX - 1)]),
            synproxy: Some(Synproxy { initial: 1, timestamp: 2, offset: u32::MAX }),
            ..Extra::default()
        };
        let flow = with(extra, flow(ends(protocol::TCP, "10.0.0.1:1", "10.0.0.2:2")));
        for _ in 0..2 {
            put(&mut injector, &[&flow]);
            assert_reads_back(&mut injector, &flow);
        }
        let held = read(&mut injector, &flow);
        assert!(held.status & status::SEQ_ADJUST != 0 && is_complete(&held));
    });
}

fn helped(name: &str) -> Flow {
    let extra = Extra { helper: Some(name.as_bytes().to_vec()), ..Extra::default() };
    with(extra, flow(ends(protocol::TCP, "10.0.0.1:1", "10.0.0.2:21")))
}

#[test]
fn a_helper_reads_back_where_there_is_one() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let flow = helped("ftp");
        put(&mut injector, &[&flow]);
        if read(&mut injector, &flow).flow.extra.is_none() {
            skipped("needs the ftp helper");
            return;
        }
        // And once more: it is there already.
        put(&mut injector, &[&flow]);
        assert_reads_back(&mut injector, &flow);
    });
}

#[test]
fn a_helper_that_is_missing_is_left_out() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        for mark in [1, 2] {
            let flow = Flow { mark, ..helped("no-such-helper") };
            put(&mut injector, &[&flow]);
            assert_reads_back(&mut injector, &Flow { extra: None, ..flow });
        }
    });
}

fn expected_by(master: &Flow) -> Flow {
    let extra = Extra { master: Some(master.key.original), ..Extra::default() };
    let mut flow = with(extra, flow(ends(protocol::TCP, "10.0.0.2:20", "10.0.0.1:2000")));
    flow.status |= status::EXPECTED;
    flow
}

#[test]
fn an_expected_flow_reads_back_after_its_master() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let master = flow(ends(protocol::TCP, "10.0.0.1:1", "10.0.0.2:21"));
        let expected = expected_by(&master);
        put(&mut injector, &[&master, &expected]);
        assert_reads_back(&mut injector, &expected);
        assert!(is_complete(&read(&mut injector, &expected)));
        // Over what is there, master and all, with a change.
        let expected = Flow { mark: 7, ..expected };
        put(&mut injector, &[&expected]);
        assert_reads_back(&mut injector, &expected);
    });
}

#[test]
fn without_its_master_an_expected_flow_is_a_plain_one() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let master = flow(ends(protocol::TCP, "10.0.0.1:1", "10.0.0.2:21"));
        let expected = expected_by(&master);
        for mark in [1, 2] {
            let expected = Flow { mark, ..expected.clone() };
            put(&mut injector, &[&expected]);
            let status = expected.status & !status::EXPECTED;
            assert_reads_back(&mut injector, &Flow { extra: None, status, ..expected });
        }
    });
}

#[test]
fn all_that_can_be_refused_at_once_is_mended_at_once() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let master = numbered(9).key.original;
        let extra = Extra {
            labels: Some([1; 16]),
            helper: Some(b"no-such-helper".to_vec()),
            master: Some(master),
            ..Extra::default()
        };
        let original = ends(protocol::TCP, "10.0.0.1:1000", "192.0.2.2:80");
        let reply = ends(protocol::TCP, "192.0.2.2:80", "203.0.113.9:61000");
        let flow = with(extra, crate::flows::translated(original, reply));
        // Another flow has its key, and a third one its reply.
        let (in_place, in_reply) = (crate::flows::flow(original), crate::flows::flow(reply));
        put(&mut injector, &[&in_place, &in_reply]);
        put(&mut injector, &[&flow]);
        assert_reads_back(&mut injector, &Flow { extra: None, ..flow });
        // Nothing else is mended: what is wrong stays wrong.
        let report =
            injector.apply(&[Operation::SetTimeout(numbered(8).key, 1), put_of(&in_reply)]);
        assert_eq!(report.failures.len(), 1);
        assert_eq!(report.failures[0].errno, Errno::ENOENT);
    });
}
