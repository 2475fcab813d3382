//! `[check.NAME]` and `track`.

use super::super::limits::CHECKS_MAX;
use super::super::model::{Kind, Owner, SECOND, Set, SyncGroup, Track, Tracker};
use super::router::Router;
use super::{Fate, Translator, duration, probe};
use crate::command::Command;
use crate::toml::{Table, Value};

/// The shortest interval and timeout here, in microseconds.
const INTERVAL_MIN: u64 = 10_000;
const TIMEOUT_MIN: u64 = 1_000;

/// Why nothing is tracked.
const BFD: &str = "BFD is not spoken";
const FAULT_OF_FILE: &str =
    "weight 0, so that any number but 0 is a fault: a number in a file has a weight here";

impl<'m, 't> Translator<'m, 't, '_> {
    /// `track` of a group: its own, then what its instances track.
    pub fn track(
        &mut self,
        group: Option<&SyncGroup<'t>>,
        routers: &[Router<'m, 't>],
    ) -> Option<(&'static str, Value)> {
        let interfaces: Vec<&str> =
            routers.iter().map(|router| router.interface.as_str()).collect();
        let has_weights = group.is_none_or(|group| group.weights.is_some());
        let own = group.map_or(&[][..], |group| &group.tracks);
        let of_members = routers.iter().flat_map(|router| &router.instance.tracks);
        let mut table: Vec<(String, Value)> = Vec::new();
        for track in own.iter().chain(of_members) {
            if track.kind == Kind::Interface && interfaces.contains(&track.by.name()) {
                let why = "the interfaces of routers are always looked at: a failure is a fault";
                self.note(track.by, Fate::Exactly, why);
                continue;
            }
            match self.tracked(track, has_weights) {
                Err(why) => {
                    if let Some(tracker) = self.tracker(track) {
                        self.gaps.insert(tracker.by.id, why.clone());
                    }
                    self.note(track.by, Fate::Unsupported, why);
                }
                Ok((name, value)) => self.add(track, name, value, has_weights, &mut table),
            }
        }
        (!table.is_empty()).then_some(("track", Value::Inline(table)))
    }

    fn add(
        &mut self,
        track: &Track<'t>,
        name: String,
        value: Value,
        has_weights: bool,
        table: &mut Vec<(String, Value)>,
    ) {
        let said = self.said_weight(track);
        let why = match table.iter().find(|(other, _)| *other == name) {
            Some((_, first)) if *first == value => "track: it is there already".to_owned(),
            Some(_) => {
                let why = "it is tracked already, with another weight, which counts for the group";
                return self.note(track.by, Fate::Changed, why);
            }
            None if said != 0 && !has_weights => {
                "track, as a fault: in a group without sync_group_tracking_weight weights are 0, \
                 there too"
                    .to_owned()
            }
            None => format!("track: {name}"),
        };
        let is_late = self.tracker(track).is_some_and(|tracker| tracker.by.id > track.by.id);
        if is_late {
            let why = "it is tracked; keepalived 2.2 does not find what is defined further down";
            self.note(track.by, Fate::Changed, why);
        }
        self.note(track.by, Fate::Exactly, why);
        if !table.iter().any(|(other, _)| *other == name) {
            table.push((name, value));
        }
    }

    fn tracker(&self, track: &Track<'t>) -> Option<&'m Tracker<'t>> {
        self.trackers.get(&(track.kind, track.by.name().to_owned())).copied()
    }

    fn said_weight(&self, track: &Track<'t>) -> i64 {
        let default = if track.kind == Kind::File { 1 } else { 0 };
        let of_tracker = self.tracker(track).and_then(|tracker| tracker.weight);
        track.weight.or(of_tracker.map(|set| set.value.0)).unwrap_or(default)
    }

    /// The name of the check and what its failure means.
    fn tracked(&mut self, track: &Track<'t>, has_weights: bool) -> Result<(String, Value), String> {
        let of_tracker = self.tracker(track).and_then(|tracker| tracker.weight);
        let is_reverse = track.reverse.or(of_tracker.map(|set| set.value.1)).unwrap_or(false);
        let weight = if has_weights { self.said_weight(track) } else { 0 };
        match (track.kind, weight) {
            (Kind::Bfd, _) => Err(BFD.to_owned()),
            (Kind::File, 0) => Err(FAULT_OF_FILE.to_owned()),
            (Kind::File, weight) => {
                let weight = if is_reverse { -weight } else { weight };
                Ok((self.check(track, false)?, weight.into()))
            }
            (_, 0) => Ok((self.check(track, is_reverse)?, "fault".into())),
            // Turned round, what was added while it is well is taken away, and the other way.
            (_, weight) if is_reverse => Ok((self.check(track, true)?, (-weight).into())),
            (_, weight) => Ok((self.check(track, false)?, weight.into())),
        }
    }

    /// The check of what is tracked, made if it is not there. `is_turned`: it passes when that
    /// fails.
    fn check(&mut self, track: &Track<'t>, is_turned: bool) -> Result<String, String> {
        let name = track.by.name();
        let key = (track.kind, name.to_owned(), is_turned);
        if let Some((name, _)) = self.checks.get(&key) {
            return Ok(name.clone());
        }
        if self.checks.len() >= CHECKS_MAX {
            return Err(format!("more than {CHECKS_MAX} checks are not made"));
        }
        let keys = if track.kind == Kind::Interface {
            vec![test(format!("interface:{name}").into())?]
        } else {
            let Some(tracker) = self.tracker(track) else {
                return Err("it is not defined: keepalived passes over the line".to_owned());
            };
            self.keys(tracker)?
        };
        let end = if is_turned { "-reverse" } else { "" };
        let own = self.check_names.take(&format!("{name}{end}"));
        let mut table = Table::new(&["check", &own]);
        for (key, value) in keys {
            table.set(key, value);
        }
        table.set_some("invert", is_turned.then_some(true));
        self.checks.insert(key.clone(), (own.clone(), table));
        self.check_order.push(key);
        Ok(own)
    }

    fn keys(&mut self, tracker: &Tracker<'t>) -> Result<Vec<(&'static str, Value)>, String> {
        if let Some(why) = tracker.gap {
            return Err(why.to_owned());
        }
        let keys = match tracker.kind {
            Kind::Script => self.script_keys(tracker)?,
            Kind::File => vec![test(target(tracker, "value")?)?],
            _ => vec![test(target(tracker, "process")?)?],
        };
        self.exactly(&tracker.target, "test");
        self.exactly(&tracker.weight, "the weight of those who name none");
        self.note(tracker.by, Fate::Exactly, "[check]");
        Ok(keys)
    }

    fn script_keys(&mut self, tracker: &Tracker<'t>) -> Result<Vec<(&'static str, Value)>, String> {
        let Some(script) = &tracker.script else {
            return Err("its script is missing".to_owned());
        };
        let Some(command) = Command::new(script.value.words.clone(), &script.value.line) else {
            return Err("its script names no program".to_owned());
        };
        let test = test(command.program())?;
        let named = tracker.user.as_ref().map(|set| &set.value);
        let differs = [self.user_differs(named), command.added];
        self.script_told(script, "test", &differs);
        let mut keys = vec![test];
        let interval = tracker.interval.map_or(SECOND, |set| set.value);
        let timeout = tracker.timeout.map_or(interval, |set| set.value);
        let mut time = |key, value: u64| {
            keys.extend((value != SECOND).then(|| (key, duration(value))));
        };
        time("interval", interval.max(INTERVAL_MIN));
        time("timeout", timeout.max(TIMEOUT_MIN));
        for (key, count) in [("rise", tracker.rise), ("fall", tracker.fall)] {
            let count = count.map_or(1, |set| set.value);
            keys.extend((count != 1).then(|| (key, i64::from(count).into())));
        }
        keys.extend(self.who(named));
        keys.extend(tracker.init_fail.map(|_| ("first", Value::from("fail"))));
        for (set, key, least) in [
            (&tracker.interval, "interval", INTERVAL_MIN),
            (&tracker.timeout, "timeout", TIMEOUT_MIN),
        ] {
            match set {
                Some(set) if set.value < least => {
                    let why = format!("{key}; {} ms is the least here", least / 1_000);
                    self.told(set, Fate::Changed, why);
                }
                _ => self.exactly(set, key),
            }
        }
        self.exactly(&tracker.rise, "rise");
        self.exactly(&tracker.fall, "fall");
        self.exactly(&tracker.user, "user");
        self.exactly(&tracker.init_fail, "first = \"fail\"");
        Ok(keys)
    }

    /// Tells of a script, exactly if nothing differs.
    pub fn script_told<T>(&mut self, set: &Set<'_, T>, key: &str, differs: &[Option<&str>]) {
        let differs: Vec<&str> = differs.iter().copied().flatten().collect();
        if differs.is_empty() {
            self.told(set, Fate::Exactly, key);
        } else {
            self.told(set, Fate::Changed, format!("{key}; {}", differs.join("; ")));
        }
    }

    /// What is different about who runs a script, where nobody is named.
    pub fn user_differs(&self, named: Option<&Owner>) -> Option<&'static str> {
        self.owner(named).is_none().then_some(
            "it runs as root; keepalived takes the user keepalived_script where there is one",
        )
    }

    /// Who runs a script: who is named, else `script_user`, else root.
    pub fn who(&self, named: Option<&Owner>) -> Vec<(&'static str, Value)> {
        let Some(owner) = self.owner(named) else { return vec![("user", "root".into())] };
        let mut keys = vec![("user", owner.user.clone().into())];
        keys.extend((!owner.group.is_empty()).then(|| ("user_group", owner.group.clone().into())));
        keys
    }

    fn owner<'o>(&self, named: Option<&'o Owner>) -> Option<&'o Owner>
    where
        'm: 'o,
    {
        let all = self.found.globals.script_user.as_ref().map(|set| &set.value);
        named.filter(|owner| !owner.user.is_empty()).or(all)
    }
}

/// A test that `evergate check` takes.
fn test(value: Value) -> Result<(&'static str, Value), String> {
    let mut table = Table::new(&["check", "test"]);
    table.set("test", value.clone());
    probe::table(table).map(|()| ("test", value))
}

fn target(tracker: &Tracker<'_>, kind: &str) -> Result<Value, String> {
    let target = tracker.target.as_ref().map(|set| &set.value);
    let has_directory = target.is_some_and(|target| target.contains('/'));
    match (kind, target) {
        ("value", Some(path)) if !path.starts_with('/') => {
            return Err("the path of its file is not absolute".to_owned());
        }
        ("process", Some(_)) if has_directory => {
            return Err("a process is known by its name alone".to_owned());
        }
        _ => {}
    }
    target.map(|target| Value::Text(format!("{kind}:{target}"))).ok_or_else(|| {
        format!("its {} is missing", if kind == "value" { "file" } else { "process" })
    })
}
