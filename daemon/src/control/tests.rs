//! What clients may do to the control socket, and what must come of it.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use evergate_api::control::{ActionReply, RoleReply};
use evergate_api::status::GroupState;
use evergate_core::Instant;

use super::line::{Deadline, Line, Reader};
use super::*;
use crate::fixture::World;
use crate::observe::{EVENTS_KEPT, EventDraft, Level};
use crate::wall_clock::WallClock;

/// Longer than any test waits when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// A served socket, with a node thread that answers everything if it is asked to.
struct Served {
    server: Option<Server>,
    path: PathBuf,
    journal: Arc<Journal>,
    calls: Option<Receiver<Call>>,
}

impl Served {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("eg-{}-{name}.sock", std::process::id()));
        let journal = Arc::new(Journal::new("gw1"));
        let (calls_in, calls) = sync_channel(CALLS_MAX);
        let bell = Arc::new(Bell::new().unwrap());
        let server = Server::start(&path, calls_in, bell, Arc::clone(&journal)).unwrap();
        Served { server: Some(server), path, journal, calls: Some(calls) }
    }

    fn answering(name: &str) -> Self {
        let mut served = Served::new(name);
        let calls = served.calls.take().unwrap();
        let world = World::settled();
        thread::spawn(move || {
            for call in calls {
                let _ = call.reply.try_send(answer(&world, call.request));
            }
        });
        served
    }

    fn connect(&self) -> Connection {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Connection { reader: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    fn clients(&self) -> usize {
        self.server.as_ref().unwrap().shared.clients.load(Ordering::Acquire)
    }

    /// Waits until every client has given its place back.
    fn settle(&self) {
        let deadline = Deadline::within(PATIENCE);
        while self.clients() > 0 {
            assert!(deadline.left().is_some(), "{} clients left", self.clients());
            thread::yield_now();
        }
    }

    fn event(&self, text: &str) {
        let draft = EventDraft::new(Instant::ZERO, Level::Info, "complaint", text);
        self.journal.push(draft, &WallClock::new(Instant::ZERO, 0));
    }
}

fn answer(world: &World, request: Request) -> Reply {
    match request {
        Request::Status {} => {
            let status =
                crate::status::status(world.node(0), &world.facts[0], world.now, &world.clock());
            Reply::Status(Box::new(status))
        }
        Request::Role { group } => Reply::Role(RoleReply {
            group,
            node: "gw1".into(),
            state: GroupState::Active,
            active: true,
        }),
        _ => Reply::Lock(ActionReply { groups: vec![], changed: false, text: String::new() }),
    }
}

struct Connection {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Connection {
    /// Whoever is turned away may find the connection closed already, with the reason to be read.
    fn say(&mut self, line: &str) {
        if let Err(error) = self.stream.write_all(line.as_bytes()) {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
    }

    fn hear(&mut self) -> Option<Reply> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(Reply::from_line(line.as_bytes()).expect(&line)),
        }
    }

    fn ask(&mut self, request: &Request) -> Option<Reply> {
        self.say(&request.to_line());
        self.hear()
    }

    fn error(&mut self) -> Option<ErrorCode> {
        match self.hear()? {
            Reply::Error(error) => Some(error.code),
            other => panic!("{other:?}"),
        }
    }
}

fn role() -> Request {
    Request::Role { group: "gateway".into() }
}

#[test]
fn several_requests_of_one_connection_are_answered_in_order() {
    let served = Served::answering("several");
    let mut client = served.connect();
    // Two in one write: the second waits for its turn.
    client.say(&format!("{}{}", role().to_line(), Request::Status {}.to_line()));
    assert!(matches!(client.hear(), Some(Reply::Role(_))));
    assert!(matches!(client.hear(), Some(Reply::Status(_))));
    assert!(matches!(client.ask(&role()), Some(Reply::Role(_))));
}

#[test]
fn a_status_carries_the_number_of_the_newest_event() {
    let served = Served::answering("number");
    served.event("one");
    served.event("two");
    let Some(Reply::Status(status)) = served.connect().ask(&Request::Status {}) else { panic!() };
    assert_eq!(status.seq, 2);
}

#[test]
fn garbage_is_refused_and_the_connection_goes_on() {
    let served = Served::answering("garbage");
    let mut client = served.connect();
    let deep = "[".repeat(16_000);
    let nested = format!("{{\"verb\":{}", "{\"a\":".repeat(3_000));
    let lines = [
        "",
        "{}",
        "hello",
        "{\"verb\":\"sing\"}",
        "{\"verb\":\"role\",\"group\":\"gateway\",\"x\":1}",
        "\u{0}\u{1}",
        &deep,
        &nested,
    ];
    for line in lines {
        client.say(&format!("{line}\n"));
        assert_eq!(client.error(), Some(ErrorCode::BadRequest), "{line}");
    }
    client.stream.write_all(b"\xff\xfe\xfd\n").unwrap();
    assert_eq!(client.error(), Some(ErrorCode::BadRequest));
    assert!(matches!(client.ask(&role()), Some(Reply::Role(_))));
}

#[test]
fn a_line_without_end_is_cut_off_and_costs_no_memory() {
    let served = Served::answering("huge");
    let mut client = served.connect();
    let chunk = [b'x'; 4096];
    // The server closes its end long before all of this could be taken.
    let written = (0..10_000).take_while(|_| client.stream.write_all(&chunk).is_ok()).count();
    assert!(written < 10_000);
    assert_eq!(client.error(), Some(ErrorCode::TooLong));
    served.settle();
}

#[test]
fn a_client_that_drips_is_given_up_at_its_deadline() {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let drip = thread::spawn(move || while theirs.write_all(b"x").is_ok() {});
    let deadline = Deadline::within(Duration::from_millis(20));
    assert!(matches!(Reader::default().next(&mut ours, deadline), Line::Ended | Line::TooLong));
    drop(ours);
    drip.join().unwrap();
    let (mut ours, _theirs) = UnixStream::pair().unwrap();
    let deadline = Deadline::within(Duration::from_millis(20));
    assert_eq!(Reader::default().next(&mut ours, deadline), Line::Ended);
    assert_eq!(deadline.left(), None);
}

#[test]
fn a_client_that_does_not_read_is_given_up_at_its_deadline() {
    let (mut ours, _theirs) = UnixStream::pair().unwrap();
    let text = "x".repeat(4 * 1024 * 1024);
    let reply = Reply::Error(ErrorReply::new(ErrorCode::Internal, text));
    let deadline = Deadline::within(Duration::from_millis(50));
    assert!(line::write(&mut ours, &reply, deadline).is_err());
}

#[test]
fn a_client_that_ends_abruptly_gives_its_place_back() {
    let served = Served::new("abrupt");
    for part in
        ["", "{\"verb\":", "{\"verb\":\"status\"}\n", "{\"verb\":\"events\",\"follow\":true}\n"]
    {
        let mut client = served.connect();
        client.say(part);
    }
    // Nobody answers the status: its thread sees that the client has gone.
    served.settle();
}

#[test]
fn thousands_of_connections_are_turned_away_and_do_not_keep_others_out_for_good() {
    let served = Served::answering("many");
    let mut held: Vec<Connection> = (0..CONNECTIONS_MAX).map(|_| served.connect()).collect();
    // Answered, so all of them have their places.
    assert!(held.iter_mut().all(|client| matches!(client.ask(&role()), Some(Reply::Role(_)))));
    for _ in 0..3000 {
        assert_eq!(served.connect().error(), Some(ErrorCode::Busy));
        assert!(served.clients() <= CONNECTIONS_MAX);
    }
    drop(held);
    served.settle();
    for _ in 0..3000 {
        drop(UnixStream::connect(&served.path).unwrap());
    }
    // The last of them may still wait to be accepted: until they have gone, busy is the right answer.
    let deadline = Deadline::within(PATIENCE);
    while !matches!(served.connect().ask(&role()), Some(Reply::Role(_))) {
        assert!(deadline.left().is_some(), "{} clients left", served.clients());
        thread::yield_now();
    }
}

#[test]
fn a_node_thread_that_is_busy_or_gone_is_said_at_once() {
    let mut served = Served::new("busy");
    let (reply, _answers) = sync_channel(1);
    let shared = Arc::clone(&served.server.as_ref().unwrap().shared);
    while shared.calls.try_send(Call { request: Request::Status {}, reply: reply.clone() }).is_ok()
    {
    }
    let mut client = served.connect();
    client.say(&role().to_line());
    assert_eq!(client.error(), Some(ErrorCode::Busy));
    served.calls = None;
    client.say(&role().to_line());
    assert_eq!(client.error(), Some(ErrorCode::Refused));
}

#[test]
fn a_call_that_is_dropped_without_an_answer_is_said() {
    let mut served = Served::new("dropped");
    let calls = served.calls.take().unwrap();
    let node = thread::spawn(move || drop(calls.recv()));
    let mut client = served.connect();
    client.say(&role().to_line());
    assert_eq!(client.error(), Some(ErrorCode::NoAnswer));
    node.join().unwrap();
}

#[test]
fn the_bell_is_rung_after_the_call_is_there() {
    let path = std::env::temp_dir().join(format!("eg-{}-bell.sock", std::process::id()));
    let (calls_in, calls) = sync_channel(CALLS_MAX);
    let bell = Arc::new(Bell::new().unwrap());
    let journal = Arc::new(Journal::new("gw1"));
    let _server = Server::start(&path, calls_in, Arc::clone(&bell), journal).unwrap();
    let poller = Poller::new().unwrap();
    poller.add(&bell, 0).unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(role().to_line().as_bytes()).unwrap();
    let mut ready = Ready::default();
    poller.wait(&mut ready, Some(30_000)).unwrap();
    assert!(bell.drain().unwrap());
    assert_eq!(calls.try_recv().unwrap().request, role());
}

#[test]
fn events_are_listed_from_a_number_with_what_was_lost() {
    let served = Served::new("events");
    let total = EVENTS_KEPT as u64 + 5;
    (0..total).for_each(|n| served.event(&n.to_string()));
    let mut client = served.connect();
    client.say(&Request::Events { after: None, follow: false }.to_line());
    for n in 6..=total {
        let Some(Reply::Event(event)) = client.hear() else { panic!() };
        assert_eq!(event.seq, n);
    }
    let Some(Reply::EventsEnd(end)) = client.hear() else { panic!() };
    assert_eq!((end.seq, end.lost), (total, 5));
    let end = client.ask(&Request::Events { after: Some(total), follow: false });
    assert!(matches!(end, Some(Reply::EventsEnd(end)) if (end.seq, end.lost) == (total, 0)));
    // A number of the daemon before this one: everything is new.
    let first = client.ask(&Request::Events { after: Some(total + 1), follow: false });
    assert!(matches!(first, Some(Reply::Event(event)) if event.seq == 6));
}

#[test]
fn followers_get_each_event_even_when_they_will_not_write_any_more() {
    let mut served = Served::new("follow");
    let mut client = served.connect();
    served.event("before");
    client.say(&Request::Events { after: Some(1), follow: true }.to_line());
    client.stream.shutdown(Shutdown::Write).unwrap();
    for n in 2..5 {
        served.event("now");
        let Some(Reply::Event(event)) = client.hear() else { panic!() };
        assert_eq!(event.seq, n);
    }
    served.server = None;
    assert!(matches!(client.hear(), Some(Reply::EventsEnd(_)) | None));
}

#[test]
fn followers_leave_places_for_requests() {
    let served = Served::answering("followers");
    served.event("one");
    let follow = Request::Events { after: None, follow: true };
    let mut followers: Vec<Connection> = (0..FOLLOWERS_MAX).map(|_| served.connect()).collect();
    for client in &mut followers {
        assert!(matches!(client.ask(&follow), Some(Reply::Event(_))));
    }
    let mut late = served.connect();
    late.say(&follow.to_line());
    assert_eq!(late.error(), Some(ErrorCode::Busy));
    assert!(matches!(late.ask(&role()), Some(Reply::Role(_))));
}

#[test]
fn the_socket_is_for_its_owner_and_group_and_goes_with_the_server() {
    let mut served = Served::new("mode");
    let mode = fs::metadata(&served.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, SOCKET_MODE);
    served.server = None;
    assert!(!served.path.exists());
}

#[test]
fn the_socket_of_a_dead_daemon_is_replaced_and_that_of_a_successor_is_left_alone() {
    let mut served = Served::answering("stale");
    // Dead without a farewell: the file stays and nobody listens.
    let (calls_in, _calls) = sync_channel(CALLS_MAX);
    let bell = Arc::new(Bell::new().unwrap());
    let first = served.server.take().unwrap();
    let second = Server::start(&served.path, calls_in, bell, Arc::clone(&served.journal)).unwrap();
    drop(first);
    assert!(served.path.exists(), "the former server has removed the socket of its successor");
    drop(second);
    assert!(!served.path.exists());
}

#[test]
fn a_file_that_is_no_socket_is_not_touched() {
    let path = std::env::temp_dir().join(format!("eg-{}-file.sock", std::process::id()));
    fs::write(&path, "mine").unwrap();
    let (calls, _) = sync_channel(1);
    let journal = Arc::new(Journal::new("gw1"));
    let refused = Server::start(&path, calls, Arc::new(Bell::new().unwrap()), journal).unwrap_err();
    assert!(refused.to_string().contains("is not a socket"), "{refused}");
    let mut text = String::new();
    fs::File::open(&path).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "mine");
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_path_that_linux_does_not_take_is_said_with_its_length() {
    let path = std::env::temp_dir().join("x".repeat(120));
    let (calls, _) = sync_channel(1);
    let journal = Arc::new(Journal::new("gw1"));
    let refused = Server::start(&path, calls, Arc::new(Bell::new().unwrap()), journal).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("125 bytes and Linux takes 107"), "{text}");
    let missing = PathBuf::from("/nowhere/evergate.sock");
    let (calls, _) = sync_channel(1);
    let journal = Arc::new(Journal::new("gw1"));
    let refused =
        Server::start(&missing, calls, Arc::new(Bell::new().unwrap()), journal).unwrap_err();
    assert!(refused.to_string().contains("/nowhere/evergate.sock"), "{refused}");
}
