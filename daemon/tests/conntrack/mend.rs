//! What stands in the way of a flow is found and removed.

use evergate_core::flow::{Flow, protocol, status};
use evergate_daemon::kernel::conntrack::injector::{Injector, Operation};
use evergate_daemon::kernel::conntrack::table;

use crate::flows::{assert_reads_back, ends, flow, put, put_of, read, translated};
use crate::namespace::in_namespace;

fn to(reply_target: &str) -> Flow {
    let original = ends(protocol::TCP, "10.0.0.1:1000", "192.0.2.2:80");
    translated(original, ends(protocol::TCP, "192.0.2.2:80", reply_target))
}

#[test]
fn another_translation_of_the_same_key_is_replaced() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let plain = flow(to("203.0.113.9:1").key.original);
        put(&mut injector, &[&plain]);
        for target in ["203.0.113.9:61000", "203.0.113.9:61001", "203.0.113.8:61001"] {
            put(&mut injector, &[&to(target)]);
            assert_reads_back(&mut injector, &to(target));
        }
        assert_eq!(table::count().unwrap(), 1);
    });
}

#[test]
fn the_reply_tuple_is_taken_from_another_flow() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let original = ends(protocol::TCP, "10.0.0.7:7", "192.0.2.2:80");
        let reply = ends(protocol::TCP, "192.0.2.2:80", "203.0.113.9:61000");
        let other = translated(original, reply);
        let ours = to("203.0.113.9:61000");
        assert_eq!(other.reply, ours.reply);
        put(&mut injector, &[&other]);
        put(&mut injector, &[&ours]);
        assert_reads_back(&mut injector, &ours);
        assert_eq!(injector.look(&other.key).unwrap(), None);
        assert_eq!(table::count().unwrap(), 1);
    });
}

#[test]
fn the_same_connection_the_other_way_round_is_replaced_if_it_is_translated() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        // As a kernel sees it that has met an answer first.
        let ours = to("203.0.113.9:61000");
        let reversed = flow(ours.reply);
        put(&mut injector, &[&reversed]);
        put(&mut injector, &[&ours]);
        assert_reads_back(&mut injector, &ours);
        assert_eq!(table::count().unwrap(), 1);
    });
}

#[test]
fn bits_that_the_kernel_has_set_stay_and_the_rest_is_updated() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        for seen in [to("203.0.113.9:61000"), flow(ends(protocol::UDP, "10.0.0.1:1", "10.0.0.2:2"))]
        {
            put(&mut injector, &[&seen]);
            let fewer = status::SEEN_REPLY | status::ASSURED;
            let older = Flow { status: seen.status & !fewer, mark: 9, ..seen.clone() };
            put(&mut injector, &[&older]);
            assert_reads_back(&mut injector, &Flow { mark: 9, ..seen.clone() });
            assert_eq!(read(&mut injector, &seen).status & fewer, fewer);
        }
    });
}

#[test]
fn a_batch_full_of_flows_to_mend_is_mended() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let flows = |first_port: u16| -> Vec<Flow> {
            let one = |n: u16| {
                let source = format!("10.0.0.1:{}", 1000 + n);
                let target = format!("203.0.113.9:{}", first_port + n);
                let original = ends(protocol::TCP, &source, "192.0.2.2:80");
                translated(original, ends(protocol::TCP, "192.0.2.2:80", &target))
            };
            (0..300).map(one).collect()
        };
        // The second time every reply tuple but the last hundred is held by another flow.
        for first_port in [20_000, 20_100, 40_000] {
            let flows = flows(first_port);
            let operations: Vec<Operation> = flows.iter().map(put_of).collect();
            let report = injector.apply(&operations);
            assert_eq!(report.failures, []);
            let held = flows.iter().filter(|flow| injector.look(&flow.key).unwrap().is_some());
            if first_port == 40_000 {
                assert_eq!(held.count(), 300);
                flows.iter().for_each(|flow| assert_reads_back(&mut injector, flow));
            }
        }
    });
}
