use std::time::Duration;

use super::*;
use crate::ident::NodeId;

const OURS: Incarnation = Incarnation([1; 16]);
const FIRST: Incarnation = Incarnation([2; 16]);
const SECOND: Incarnation = Incarnation([3; 16]);

fn report(challenge: u32, echo: Option<(Incarnation, u32)>) -> PeerReport {
    let echo = echo.map(|(incarnation, answer)| Echo { incarnation, answer });
    PeerReport {
        node: NodeId(0),
        hears: true,
        dead: Duration::ZERO,
        challenge,
        echo,
        paths: Vec::new(),
    }
}

fn met() -> Session {
    let mut session = Session::default();
    let hello = report(0, Some((OURS, 0)));
    assert_eq!(
        session.receive(OURS, FIRST, 1, Some(&hello)),
        Ok(Accepted { new_process: true, newest: true })
    );
    session
}

#[test]
fn a_process_counts_only_after_it_has_repeated_our_incarnation_and_challenge() {
    let mut session = Session::default();
    for wrong in [None, Some((SECOND, 0)), Some((OURS, 1))] {
        let heard = session.receive(OURS, FIRST, 1, Some(&report(9, wrong)));
        assert_eq!(heard, Err(Discard::Unproved));
    }
    assert_eq!(session.words(), (0, Some(Echo { incarnation: FIRST, answer: 9 })));
    assert!(session.receive(OURS, FIRST, 2, Some(&report(9, Some((OURS, 0))))).is_ok());
    assert_eq!(session.incarnation(), Some(FIRST));
}

#[test]
fn a_recording_of_a_superseded_process_never_counts_again() {
    let mut session = met();
    let recorded = report(0, Some((OURS, 1)));
    assert!(session.receive(OURS, FIRST, 2, Some(&recorded)).is_ok());
    assert!(session.receive(OURS, SECOND, 1, Some(&report(0, Some((OURS, 1))))).is_ok());
    assert_eq!(session.receive(OURS, FIRST, 3, Some(&recorded)), Err(Discard::Superseded));
    // Not even if it still lives and knows the new challenge.
    let living = report(0, Some((OURS, 2)));
    assert_eq!(session.receive(OURS, FIRST, 4, Some(&living)), Err(Discard::Superseded));
    assert_eq!(session.incarnation(), Some(SECOND));
}

#[test]
fn a_recording_from_before_our_own_restart_never_counts() {
    let mut session = Session::default();
    let recorded = report(0, Some((OURS, 0)));
    let restarted = Incarnation([9; 16]);
    assert_eq!(session.receive(restarted, FIRST, 1, Some(&recorded)), Err(Discard::Unproved));
}

#[test]
fn every_number_counts_once_and_old_ones_never() {
    let mut session = met();
    let words = report(0, None);
    let mut hear = |number| session.receive(OURS, FIRST, number, Some(&words)).is_ok();
    assert!(!hear(1));
    assert!(hear(3));
    assert!(hear(2));
    assert!(!hear(2));
    assert!(hear(100));
    assert!(hear(100 - u64::from(REPLAY_WINDOW) + 1));
    assert!(!hear(100 - u64::from(REPLAY_WINDOW)));
    assert!(!hear(100));
}

#[test]
fn a_will_ends_its_process_and_no_other() {
    let mut session = met();
    assert!(!session.end(SECOND));
    assert!(session.end(FIRST));
    assert!(!session.end(FIRST));
    assert_eq!(session.receive(OURS, FIRST, 9, Some(&report(0, None))), Err(Discard::Ended));
    assert_eq!(session.incarnation(), None);
}

#[test]
fn a_replayed_candidate_does_not_keep_the_living_process_from_being_echoed() {
    let mut session = met();
    let recorded = report(7, None);
    assert!(session.receive(OURS, SECOND, 1, Some(&recorded)).is_err());
    assert_eq!(session.words().1.map(|echo| echo.incarnation), Some(SECOND));
    session.echoed();
    assert_eq!(session.words().1.map(|echo| echo.incarnation), Some(FIRST));
}
