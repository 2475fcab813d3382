//! Every note becomes an event or is told elsewhere; floods become counts; the journal is bounded.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use evergate_api::status::PhasesMs;
use evergate_core::Instant;
use evergate_core::check::Standing;
use evergate_core::effect::{Alarm, Cause, Discard, Note, View};
use evergate_core::fault::Fault;
use evergate_core::heartbeat::{Hold, Refusal, Role};
use evergate_core::ident::{CheckId, Incarnation, NodeId, PathId, RouterId};

use super::*;
use crate::fixture::{GATEWAY, MS, World, config, tracking};

const GW2: NodeId = NodeId(1);

/// The stable code of the event that each note becomes. A new note does not compile without one.
fn code(note: &Note) -> Option<&'static str> {
    match note {
        Note::Role { .. } => Some("state"),
        Note::TookOver { .. } | Note::Yields { .. } => None,
        Note::Fault { .. } => Some("fault"),
        Note::Check { .. } => Some("check"),
        Note::Peer { .. } => Some("peer"),
        Note::Path { .. } => Some("path"),
        Note::Alarm(_) => Some("alarm"),
        Note::Conflict { .. } => Some("conflict"),
        Note::Paused { .. } => Some("pause"),
        Note::Discarded { .. } => Some("discard"),
        Note::Accepted { .. } => Some("process"),
        Note::PutBack(_) => Some("address"),
        Note::Held { .. } => Some("held"),
        Note::HandoverRefused { .. } => Some("refused"),
    }
}

fn one_of_each() -> Vec<Note> {
    let (group, router, path) = (GATEWAY, RouterId(0), PathId(0));
    vec![
        Note::Role { group, from: Role::Standby, to: Role::Claiming, cause: Cause::Died(GW2) },
        Note::TookOver { group, cause: Cause::Died(GW2), detect: 30 * MS, addresses: MS },
        Note::Fault { group, fault: Fault::LinkDown(router), present: true },
        Note::Fault { group, fault: Fault::LinkDown(router), present: false },
        Note::Check { check: CheckId(0), standing: Standing::Fails },
        Note::Peer { node: GW2, view: View::Dead },
        Note::Path { node: GW2, path, alive: false },
        Note::Alarm(Alarm::PathSilent { node: GW2, path }),
        Note::Alarm(Alarm::AdvertsMissing { group, router }),
        Note::Alarm(Alarm::ConfigDiffers(GW2)),
        Note::Alarm(Alarm::Isolated(group)),
        Note::Conflict { group, kept: true },
        Note::Paused { span: 200 * MS, resigned: true },
        Note::Discarded { from: GW2, why: Discard::Replayed },
        Note::Accepted { node: GW2, incarnation: Incarnation([7; 16]) },
        Note::PutBack(group),
        Note::Held { group, held: Some(Hold::Open) },
        Note::Yields { group, to: Some(GW2) },
        Note::HandoverRefused { group, why: Refusal::NotReady },
    ]
}

fn draft(text: &str) -> EventDraft {
    EventDraft::new(Instant::ZERO, Level::Info, "complaint", text)
}

#[test]
fn every_note_becomes_an_event_with_its_code_and_one_sentence_or_is_told_as_handover() {
    let (mut observer, names) = (Observer::new("gw1"), tracking(0, None));
    for note in one_of_each() {
        let said = observer.note(Instant::ZERO, &note, &names);
        assert_eq!(said.as_ref().map(|draft| draft.event), code(&note), "{note:?}");
        let Some(draft) = said else { continue };
        assert!(
            draft.text.len() > 20 && !draft.text.contains('?') || draft.text.contains("112?"),
            "{draft:?}"
        );
        assert!(draft.reason.is_some() || draft.to.is_some(), "{draft:?}");
    }
    let phases = PhasesMs { detect: Some(30.0), total: Some(33.5), ..PhasesMs::default() };
    let draft = observer.handover(GATEWAY, &names, Cause::Died(GW2), phases);
    assert_eq!((draft.event, draft.reason), ("handover", Some("died")));
    assert_eq!(draft.text, "gateway: gw1 took over in 33.5 ms (detect 30.0) because gw2 is dead");
    assert_eq!((draft.from.as_deref(), draft.to.as_deref()), (Some("gw2"), Some("gw1")));
}

#[test]
fn a_note_about_something_that_is_no_longer_configured_is_told_without_a_panic() {
    let (mut observer, mut names) = (Observer::new("gw1"), config(0));
    names.groups.clear();
    names.nodes.truncate(1);
    names.paths.clear();
    for note in one_of_each() {
        let said = observer.note(Instant::ZERO, &note, &names);
        assert_eq!(said.is_some(), code(&note).is_some());
    }
}

#[test]
fn a_flood_of_discards_is_one_line_in_ten_seconds_with_a_count() {
    let (mut observer, names) = (Observer::new("gw1"), config(0));
    let note = Note::Discarded { from: GW2, why: Discard::Replayed };
    let mut said = Vec::new();
    for step in 0..3000 {
        said.extend(observer.note(Instant::ZERO + step * 10 * MS, &note, &names));
    }
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[1].text.ends_with("(999 more like it since it was last told)"),
        "{}",
        said[1].text
    );
    // Another cause is not silenced by it.
    let other = Note::Discarded { from: GW2, why: Discard::Superseded };
    assert!(observer.note(Instant::ZERO + 29_000 * MS, &other, &names).is_some());
    // What was held back last is told although nothing follows.
    let end = Instant::ZERO + 60_000 * MS;
    let last = observer.flush(end).expect("held back");
    assert!(last.text.ends_with("(998 more like it since it was last told)"), "{}", last.text);
    assert_eq!(observer.flush(end), None);
}

#[test]
fn a_flapping_path_is_held_back_and_ends_with_its_last_state() {
    let (mut observer, names) = (Observer::new("gw1"), config(0));
    let mut told = 0;
    for step in 0..1001_u32 {
        let note = Note::Path { node: GW2, path: PathId(2), alive: step % 2 == 1 };
        told += usize::from(observer.note(Instant::ZERO + step * MS, &note, &names).is_some());
    }
    assert_eq!(told, 4);
    let last = observer.flush(Instant::ZERO + WINDOW).expect("held back");
    assert_eq!(last.to.as_deref(), Some("silent"));
    assert!(last.text.contains("(996 more like it"), "{}", last.text);
}

#[test]
fn a_thousand_different_complaints_do_not_grow_memory_and_share_one_rate_at_the_end() {
    let mut observer = Observer::new("gw1");
    let said =
        (0..100_000).filter_map(|n| observer.complaint(Instant::ZERO, &format!("complaint {n}")));
    assert_eq!(said.count(), TOPICS_MAX + 1);
    // The shared topic is the one above the bound.
    let mut limiter = limit::Limiter::default();
    for n in 0..10_000 {
        let topic = limit::Topic::Said(n.to_string());
        limiter.pass(Instant::ZERO, topic, 1, || draft("x"));
    }
    assert!(limiter.topics() <= TOPICS_MAX + 1);
}

#[test]
fn ten_switchovers_in_a_row_lose_no_event() {
    let mut world = World::settled();
    for _ in 0..10 {
        world.switchover();
        world.failback();
    }
    let mut observer = Observer::new("gw2");
    let roles =
        world.notes.iter().filter(|(at, note)| *at == 1 && matches!(note, Note::Role { .. }));
    let told = roles.clone().filter_map(|(_, note)| observer.note(world.now, note, &config(1)));
    let (told, happened) = (told.count(), roles.count());
    assert!(told == happened && happened >= 40, "{told} of {happened}");
}

#[test]
fn the_journal_keeps_the_newest_events_and_counts_what_is_lost() {
    let journal = Journal::new("gw1");
    assert_eq!(journal.after(0), (vec![], 0));
    let clock = WallClock::new(Instant::ZERO, 0);
    let total = EVENTS_KEPT as u64 + 10;
    for n in 1..=total {
        assert_eq!(journal.push(draft("x"), &clock), n);
    }
    let (events, lost) = journal.after(0);
    assert_eq!((events.len(), lost), (EVENTS_KEPT, 10));
    assert_eq!((events[0].seq, journal.newest()), (11, total));
    assert_eq!(journal.after(total - 1).0.len(), 1);
    assert_eq!(journal.after(total), (vec![], 0));
    assert_eq!(journal.after(u64::MAX), (vec![], 0));
    assert_eq!(events[0].time, "1970-01-01T00:00:00.000Z");
}

#[test]
fn whoever_waits_wakes_for_an_event_for_the_end_and_when_time_is_up() {
    let journal = Arc::new(Journal::new("gw1"));
    assert!(!journal.wait(0, 5 * MS));
    let waiter = Arc::clone(&journal);
    let thread = std::thread::spawn(move || waiter.wait(0, Duration::from_secs(30)));
    journal.push(draft("x"), &WallClock::new(Instant::ZERO, 0));
    assert!(thread.join().unwrap());
    let waiter = Arc::clone(&journal);
    let thread = std::thread::spawn(move || waiter.wait(1, Duration::from_secs(30)));
    journal.close();
    assert!(!thread.join().unwrap());
}

#[test]
fn a_status_gets_the_numbers_of_its_events() {
    let world = World::settled();
    let mut facts = world.facts[0].clone();
    let handover = evergate_api::status::LastHandover {
        seq: 0,
        cause: "died".into(),
        phases_ms: PhasesMs::default(),
    };
    facts.handovers.insert(GATEWAY, handover);
    let mut status = crate::status::status(world.node(0), &facts, world.now, &world.clock());
    let (journal, clock) = (Journal::new("gw1"), world.clock());
    let observer = Observer::new("gw1");
    journal.push(draft("x"), &clock);
    let phases = PhasesMs::default();
    journal.push(observer.handover(GATEWAY, &config(0), Cause::Resigned, phases), &clock);
    journal.number(&mut status, 2);
    assert_eq!((status.seq, status.groups[0].last_handover.as_ref().unwrap().seq), (2, 2));
}

#[test]
fn the_thread_writes_numbers_and_ends_with_its_senders() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let (sender, receiver) = sync_channel(EVENTS_WAITING_MAX);
    let journal = start_with("gw1", receiver, Log::new(ours, true)).unwrap();
    sender.try_send(draft("hello")).unwrap();
    assert!(journal.wait(0, Duration::from_secs(10)));
    drop(sender);
    finish(&journal);
    assert!(journal.is_closed());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(theirs), &mut line).unwrap();
    assert_eq!(line, "<6>hello\n");
}
