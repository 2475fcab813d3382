//! `vrrp_script`, `track_file`, `vrrp_track_process`.

use super::super::model::{Kind, Maybe, SECOND, Set, Tracker};
use super::super::tree::Statement;
use super::notify::WEIGHT_MAX;
use super::values::{integer, micros};
use super::{Fate, Reader};

/// The longest interval and timeout, in microseconds: a day.
const TIME_MAX: u64 = 86_400 * SECOND;
/// The most results in a row.
const COUNT_MAX: i64 = 1_000;

impl Reader<'_> {
    pub(super) fn read_tracker<'t>(&mut self, by: &'t Statement, kind: Kind) -> Tracker<'t> {
        let mut tracker = Tracker {
            by,
            kind,
            name: by.value().to_owned(),
            script: None,
            target: None,
            interval: None,
            timeout: None,
            rise: None,
            fall: None,
            weight: None,
            user: None,
            init_fail: None,
            gap: None,
        };
        for statement in &by.inside {
            match kind {
                Kind::Script => self.of_script(statement, &mut tracker),
                Kind::File => self.of_file(statement, &mut tracker),
                _ => self.of_process(statement, &mut tracker),
            }
        }
        tracker
    }

    fn of_script<'t>(&mut self, by: &'t Statement, tracker: &mut Tracker<'t>) {
        match by.name() {
            "script" => {
                let new = self.script(by).map(|new| Set { words: 2, ..new });
                self.put(&mut tracker.script, new);
            }
            "interval" => {
                let new = self.seconds(by, 1..=TIME_MAX, "1 stays");
                self.put(&mut tracker.interval, new);
            }
            "timeout" if micros(by.value()) == Some(0) => self.no_timeout(by, tracker),
            "timeout" => {
                let new = self.seconds(by, 1..=TIME_MAX, "it does not count");
                self.put(&mut tracker.timeout, new);
            }
            "rise" => {
                let new = self.number(by, &(1..=COUNT_MAX), "1 stays");
                self.put(&mut tracker.rise, new);
            }
            "fall" => {
                let new = self.number(by, &(1..=COUNT_MAX), "1 stays");
                self.put(&mut tracker.fall, new);
            }
            "user" => {
                let new = self.owner(by);
                self.put(&mut tracker.user, new);
            }
            "init_fail" => {
                self.put(&mut tracker.init_fail, Some(Set { value: true, by, words: 1 }));
            }
            "weight" => self.weight(by, &mut tracker.weight),
            _ => self.unsupported(by, "not known"),
        }
    }

    /// `timeout 0` stands for the interval, as none does.
    fn no_timeout<'t>(&mut self, by: &'t Statement, tracker: &mut Tracker<'t>) {
        if let Some(old) = tracker.timeout.take() {
            self.superseded(&old, by.place);
        }
        self.ledger.note_words(by.id, &[0, 1], Fate::Exactly, "0 is the interval, as there");
    }

    fn of_file<'t>(&mut self, by: &'t Statement, tracker: &mut Tracker<'t>) {
        match by.name() {
            "file" => {
                let new = self.word(by);
                self.put(&mut tracker.target, new);
            }
            "weight" => self.weight(by, &mut tracker.weight),
            "init_file" => self.unsupported(by, "no file is made: one that is missing counts as 0"),
            _ => self.unsupported(by, "not known"),
        }
    }

    fn of_process<'t>(&mut self, by: &'t Statement, tracker: &mut Tracker<'t>) {
        match by.name() {
            "process" => {
                let new = self.word(by);
                if by.words.len() > 2 {
                    self.some_words(by, 2..by.words.len(), "a process is known by its name alone");
                    tracker.gap = Some("a process is known by its name alone");
                }
                self.put(&mut tracker.target, new);
            }
            "param_match" | "full_command" => {
                tracker.gap = Some("a process is known by its name alone");
                self.unsupported(by, "a process is known by its name alone");
            }
            "quorum" if integer(by.value()) == Some(1) => {
                self.note(by, Fate::Exactly, "one process is enough");
            }
            "quorum" | "quorum_max" => {
                tracker.gap = Some("processes are not counted");
                self.unsupported(by, "processes are not counted: one is enough");
            }
            "delay" | "fork_delay" | "terminate_delay" => {
                self.unsupported(by, "what is found counts at once");
            }
            "weight" => self.weight(by, &mut tracker.weight),
            _ => self.unsupported(by, "not known"),
        }
    }

    /// `weight N [reverse]`
    fn weight<'t>(&mut self, by: &'t Statement, slot: &mut Maybe<'t, (i64, bool)>) {
        let weight = integer(by.value()).filter(|weight| weight.abs() <= WEIGHT_MAX);
        let Some(weight) = weight else {
            return self.unsupported(by, "no weight from -253 to 253: its default stays");
        };
        let is_reverse = by.words.get(2).is_some_and(|word| word == "reverse");
        let words = if is_reverse { 3 } else { 2 };
        self.put(slot, Some(Set { value: (weight, is_reverse), by, words }));
    }
}
