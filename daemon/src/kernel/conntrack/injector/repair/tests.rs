use evergate_core::flow::{Extra, FlowKey, Part, State, Tuple, Zones, protocol};

use super::*;

fn flow(extra: Extra) -> Flow {
    let part = Part::Ports { source: 1, target: 2 };
    let (source, target) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let original = Tuple { source, target, protocol: protocol::UDP, part };
    Flow {
        key: FlowKey { original, zones: Zones::default() },
        reply: original.inverse(),
        status: 0,
        timeout: 0,
        mark: 0,
        state: State::None,
        extra: Some(Box::new(extra)),
    }
}

fn full() -> Flow {
    let master = Some(flow(Extra::default()).key.original);
    let (labels, helper) = (Some([1; 16]), Some(b"ftp".to_vec()));
    flow(Extra { labels, helper, master, ..Extra::default() })
}

const REASONS: [Errno; 6] =
    [Errno::ENOENT, Errno::ENOSPC, Errno::EEXIST, Errno::EOPNOTSUPP, Errno::EBUSY, Errno::EINVAL];

#[test]
fn a_flow_that_is_there_is_updated_and_one_in_its_place_is_replaced() {
    let first = Attempt::first(3);
    for errno in [Errno::EEXIST, Errno::EOPNOTSUPP, Errno::EBUSY] {
        assert!(must_look(errno));
        let after = |held| next(&full(), first, errno, Some(held));
        assert_eq!(after(Held::Same(8)), Some(Attempt { way: Way::Update { held: 8 }, ..first }));
        assert_eq!(after(Held::Other), Some(Attempt { way: Way::Replace, ..first }));
    }
}

#[test]
fn a_reply_that_belongs_to_another_flow_is_taken_from_it_once() {
    let plain = flow(Extra::default());
    let first = Attempt::first(0);
    let second = next(&plain, first, Errno::EEXIST, Some(Held::Nothing)).unwrap();
    assert_eq!(second.way, Way::Replace);
    assert_eq!(next(&plain, second, Errno::EEXIST, Some(Held::Nothing)), None);
}

#[test]
fn a_missing_helper_master_or_label_is_left_out() {
    let first = Attempt::first(0);
    let second = next(&full(), first, Errno::EOPNOTSUPP, Some(Held::Nothing)).unwrap();
    assert_eq!((second.way, second.omit), (Way::Create, Omit::HELPER));
    let third = next(&full(), second, Errno::ENOENT, None).unwrap();
    assert_eq!((third.way, third.omit), (Way::Create, Omit::HELPER.and(Omit::MASTER)));
    let fourth = next(&full(), third, Errno::ENOSPC, None).unwrap();
    assert!(fourth.omit.has(Omit::LABELS));
    for errno in [Errno::EOPNOTSUPP, Errno::ENOENT, Errno::ENOSPC] {
        assert_eq!(next(&full(), fourth, errno, Some(Held::Nothing)), None);
        assert_eq!(next(&flow(Extra::default()), first, errno, Some(Held::Nothing)), None);
    }
}

#[test]
fn other_reasons_end_it_at_once() {
    for errno in [Errno::EINVAL, Errno::ENOMEM, Errno::EPERM, Errno::ETIMEDOUT] {
        assert!(!must_look(errno));
        assert_eq!(next(&full(), Attempt::first(0), errno, None), None);
    }
}

#[test]
fn whatever_the_kernel_says_it_ends_unless_the_table_changes_each_time() {
    // One answer for ever, of each kind, while the table stays as it is.
    for errno in REASONS {
        for held in [Held::Nothing, Held::Same(8), Held::Other] {
            let mut attempt = Some(Attempt::first(0));
            let mut tries = 0;
            while let Some(now) = attempt {
                attempt = next(&full(), now, errno, Some(held));
                tries += 1;
                assert!(tries <= super::super::ROUNDS_MAX, "{errno} {held:?}");
            }
        }
    }
}
