//! News of the table and lists of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use evergate_core::flow::{Flow, FlowKey, State, protocol, tcp};
use evergate_daemon::kernel::conntrack::decode::{Message, News, What};
use evergate_daemon::kernel::conntrack::dump::Dump;
use evergate_daemon::kernel::conntrack::injector::{Injector, Operation};
use evergate_daemon::kernel::conntrack::listener::{BUFFER_BYTES, Listener, enable_events};
use evergate_daemon::kernel::conntrack::table;

use crate::flows::{comparable, ends, flow, heard, numbered, put, put_of, track};
use crate::namespace::{eventually, in_namespace};

fn drain(listener: &mut Listener) -> Vec<Message> {
    let connection = |piece| match piece {
        News::Connection(message) => Some(message),
        News::Expectation(_) => None,
    };
    heard(listener).into_iter().filter_map(connection).collect()
}

fn in_state(port: u16, state: u8) -> Flow {
    let mut flow = flow(ends(protocol::TCP, &format!("10.0.0.1:{port}"), "10.0.0.2:2"));
    flow.state = State::Tcp { state, flags: [0x0b; 2], scales: [7, 9] };
    flow
}

fn state_of(message: &Message) -> u8 {
    match message.flow.state {
        State::Tcp { state, .. } => state,
        _ => 0,
    }
}

#[test]
fn what_we_do_is_not_news_and_what_others_do_is() {
    in_namespace(|| {
        enable_events().unwrap();
        let [mut one, mut two, mut other] = [(); 3].map(|()| Injector::open().unwrap());
        assert_ne!(one.port(), two.port());
        let ours = [one.port(), two.port()];
        let mut listener = Listener::open(&ours, BUFFER_BYTES).unwrap();
        put(&mut one, &[&numbered(1)]);
        put(&mut two, &[&numbered(2)]);
        put(&mut two, &[&Flow { mark: 1, ..numbered(1) }]);
        put(&mut other, &[&numbered(3)]);
        one.apply(&[Operation::Delete(numbered(2).key)]);
        other.apply(&[
            Operation::SetTimeout(numbered(1).key, 9),
            Operation::Delete(numbered(1).key),
        ]);
        let news = drain(&mut listener);
        let told: Vec<(What, FlowKey)> = news.iter().map(|one| (one.what, one.flow.key)).collect();
        let [first, third] = [numbered(1).key, numbered(3).key];
        let expected = [(What::New, third), (What::Changed, first), (What::Destroyed, first)];
        assert_eq!(told, expected);
        assert!(news.iter().all(|one| one.port == other.port() && one.id.is_some()));
        assert_eq!(comparable(&news[0].flow), comparable(&numbered(3)));
        assert_eq!(listener.drops().unwrap(), 0);
    });
}

#[test]
fn of_tcp_only_what_is_established_or_over_is_news() {
    in_namespace(|| {
        enable_events().unwrap();
        let mut listener = Listener::open(&[], BUFFER_BYTES).unwrap();
        let mut other = Injector::open().unwrap();
        for state in tcp::SYN_SENT..=tcp::SYN_SENT2 {
            put(&mut other, &[&in_state(state.into(), state)]);
        }
        let told: Vec<u8> = drain(&mut listener).iter().map(state_of).collect();
        assert_eq!(told, [tcp::ESTABLISHED, tcp::TIME_WAIT, tcp::CLOSE]);
        for state in tcp::SYN_SENT..=tcp::SYN_SENT2 {
            other.apply(&[Operation::Delete(in_state(state.into(), state).key)]);
        }
        let news = drain(&mut listener);
        let told: Vec<u8> = news.iter().map(state_of).collect();
        let heard = [tcp::ESTABLISHED, tcp::FIN_WAIT, tcp::CLOSE_WAIT, tcp::LAST_ACK];
        assert_eq!(told, heard, "the end of what was told as established");
        assert!(news.iter().all(|message| message.what == What::Destroyed));
    });
}

#[test]
fn a_real_connection_is_told_when_it_is_established_and_when_it_is_over() {
    in_namespace(|| {
        if !track("ct state new ct mark set 42") {
            return;
        }
        let mut listener = Listener::open(&[], BUFFER_BYTES).unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let (mut served, _) = server.accept().unwrap();
        client.write_all(b"x").unwrap();
        served.read_exact(&mut [0]).unwrap();
        drop(client);
        assert_eq!(served.read(&mut [0]).unwrap(), 0);
        drop(served);
        let mut news = Vec::new();
        let is_over = eventually(1000, || {
            news.extend(drain(&mut listener));
            news.len() >= 2
        });
        assert!(is_over, "{news:?}");
        let states: Vec<_> = news.iter().map(|one| (one.what, one.flow.state)).collect();
        let [(What::Changed, State::Tcp { state: first, flags, scales }), (What::Changed, last)] =
            states[..]
        else {
            panic!("{states:?}")
        };
        assert!(flags.iter().all(|flags| flags & tcp::FLAG_WINDOW_SCALE != 0), "{flags:?}");
        assert!(scales.iter().all(|scale| *scale > 0), "{scales:?}");
        assert!(matches!(last, State::Tcp { state: tcp::TIME_WAIT, .. }));
        assert_eq!(first, tcp::ESTABLISHED);
        assert!(news.iter().all(|one| one.port == 0 && one.flow.mark == 42));
    });
}

#[test]
fn who_does_not_hear_beginnings_hears_changes_and_ends() {
    in_namespace(|| {
        enable_events().unwrap();
        let mut injector = Injector::open().unwrap();
        let mut listener = Listener::open(&[], BUFFER_BYTES).unwrap();
        let flow = in_state(1, tcp::ESTABLISHED);
        let mut told = |wanted: bool| {
            listener.hear_beginnings(wanted).unwrap();
            for change in [put_of(&flow), Operation::CheckWindows(flow.key, true)] {
                assert_eq!(injector.apply(&[change]).failures, []);
            }
            assert_eq!(injector.apply(&[Operation::Delete(flow.key)]).failures, []);
            drain(&mut listener).iter().map(|one| one.what).collect::<Vec<_>>()
        };
        let (begun, changed, ended) = (What::New, What::Changed, What::Destroyed);
        assert_eq!(told(true), [begun, changed, ended]);
        assert_eq!(told(false), [changed, ended]);
        assert_eq!(told(true), [begun, changed, ended]);
    });
}

#[test]
fn labels_of_a_real_connection_are_told_once_and_before_it_is_established() {
    in_namespace(|| {
        if !track("ct state new ct label set 5") {
            return;
        }
        let mut injector = Injector::open().unwrap();
        let mut listener = Listener::open(&[], BUFFER_BYTES).unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let mut news = Vec::new();
        let is_established = eventually(1000, || {
            news.extend(drain(&mut listener));
            news.iter().any(|one| state_of(one) == tcp::ESTABLISHED)
        });
        assert!(is_established, "{news:?}");
        let labels = |flow: &Flow| flow.extra.as_ref().and_then(|extra| extra.labels);
        let first = news.iter().position(|one| labels(&one.flow).is_some()).unwrap();
        assert!(first + 1 < news.len(), "the last one has none: {news:?}");
        assert!(labels(&news[news.len() - 1].flow).is_none(), "{news:?}");
        // But the table has them.
        let held = injector.look(&news[first].flow.key).unwrap().unwrap();
        assert_eq!(labels(&held.flow), labels(&news[first].flow));
        drop(client);
    });
}

#[test]
fn ends_that_did_not_fit_are_told_later() {
    in_namespace(|| {
        enable_events().unwrap();
        let mut other = Injector::open().unwrap();
        let flows: Vec<Flow> = (0..5000).map(numbered).collect();
        let mut listener = Listener::open(&[], 1 << 18).unwrap();
        other.apply(&flows.iter().map(put_of).collect::<Vec<_>>());
        assert!(drain(&mut listener).len() < 5000);
        assert!(listener.drops().unwrap() > 0);
        let ends: Vec<Operation> = flows.iter().map(|flow| Operation::Delete(flow.key)).collect();
        assert_eq!(other.apply(&ends).done, 5000);
        let mut told = 0;
        let is_all = eventually(10_000, || {
            let news = drain(&mut listener);
            told += news.iter().filter(|one| one.what == What::Destroyed).count();
            told >= 5000
        });
        assert!(is_all, "{told}");
    });
}

#[test]
fn a_list_has_all_that_was_put_and_is_read_in_pieces() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let mut flows: Vec<Flow> = (0..1000).map(numbered).collect();
        flows.push(flow(ends(protocol::TCP, "[fd00::1]:1", "[fd00::2]:2")));
        flows.push(in_state(1, tcp::ESTABLISHED));
        put(&mut injector, &flows.iter().collect::<Vec<_>>());
        assert_eq!(table::count().unwrap(), 1002);
        let (mut dump, mut listed, mut chunks) = (Dump::start().unwrap(), Vec::new(), 0);
        loop {
            let before = listed.len();
            let more = dump.next_chunk(&mut |message| listed.push(message)).unwrap();
            assert!(listed.len() - before < 400);
            chunks += 1;
            if !more {
                break;
            }
        }
        assert!(chunks > 3);
        assert!(!dump.next_chunk(&mut |_| panic!("after the end")).unwrap());
        assert!(!dump.was_interrupted());
        assert_eq!(dump.unreadable(), 0);
        assert!(listed.iter().all(|message| message.what == What::Changed));
        let sorted = |flows: &mut dyn Iterator<Item = &Flow>| {
            let mut flows: Vec<Flow> = flows.map(comparable).collect();
            flows.sort_by_key(|flow| flow.key);
            flows
        };
        let listed = sorted(&mut listed.iter().map(|message| &message.flow));
        assert_eq!(listed, sorted(&mut flows.iter()));
    });
}

#[test]
fn the_list_of_an_empty_table_ends_at_once() {
    in_namespace(|| {
        let mut dump = Dump::start().unwrap();
        assert!(!dump.next_chunk(&mut |_| panic!("there is nothing")).unwrap());
    });
}
