//! Scripts of transitions, and what is tracked.

use super::super::limits::CHECKS_MAX;
use super::super::model::{Kind, Notify, Track};
use super::super::tree::Statement;
use super::Reader;
use super::instance::is_interface;
use super::values::integer;

/// The largest weight; beyond, keepalived does not agree with itself.
pub const WEIGHT_MAX: i64 = 253;

impl Reader<'_> {
    /// Reads `notify_*`. False if it is none of those that have a key here.
    pub(super) fn script_of<'t>(&mut self, by: &'t Statement, notify: &mut Notify<'t>) -> bool {
        let key = match by.name() {
            "notify" => "any",
            "notify_master" => "master",
            "notify_backup" => "backup",
            "notify_fault" => "fault",
            "notify_stop" => "stop",
            "notify_master_rx_lower_pri" => "lower_priority",
            _ => return false,
        };
        let Some(new) = self.script(by) else { return true };
        if let Some((_, old)) = notify.scripts.iter_mut().find(|(other, _)| *other == key) {
            let old = std::mem::replace(old, new);
            self.superseded(&old, by.place);
        } else {
            notify.scripts.push((key, new));
        }
        true
    }

    /// Reads `track_*`. False if it is none.
    pub(super) fn tracks<'t>(
        &mut self,
        by: &'t Statement,
        name: &str,
        tracks: &mut Vec<Track<'t>>,
    ) -> bool {
        let kind = match name {
            "track_interface" => Kind::Interface,
            "track_script" => Kind::Script,
            "track_file" => Kind::File,
            "track_process" => Kind::Process,
            "track_bfd" => Kind::Bfd,
            _ => return false,
        };
        for line in &by.inside {
            if kind == Kind::Interface && !is_interface(line.name()) {
                self.unsupported(line, "no interface can have this name");
                continue;
            }
            if tracks.len() >= CHECKS_MAX {
                self.unsupported(line, format!("more than {CHECKS_MAX} are not tracked"));
                continue;
            }
            let Some(track) = self.track(line, kind) else { continue };
            let same = |other: &&Track<'_>| other.kind == kind && other.by.name() == line.name();
            if let Some(first) = tracks.iter().find(same) {
                let first = self.on(first.by.place, line.place);
                let why = format!("passed over: it is there {first}");
                self.unsupported(line, why);
            } else {
                tracks.push(track);
            }
        }
        true
    }

    /// `NAME [weight N] [reverse|no_reverse]`. With a word that is not known the line does not
    /// count.
    fn track<'t>(&mut self, by: &'t Statement, kind: Kind) -> Option<Track<'t>> {
        let mut track = Track { by, kind, weight: None, reverse: None };
        let mut words = by.words.iter().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "weight" => {
                    let weight = words.next().and_then(|word| integer(word));
                    let Some(weight) = weight.filter(|n| n.abs() <= WEIGHT_MAX) else {
                        self.unsupported(by, "no weight from -253 to 253: it is not tracked");
                        return None;
                    };
                    track.weight = Some(weight);
                }
                "reverse" => track.reverse = Some(true),
                "noreverse" | "no_reverse" => track.reverse = Some(false),
                other => {
                    let why = format!("keepalived passes over the line because of `{other}`");
                    self.unsupported(by, why);
                    return None;
                }
            }
        }
        Some(track)
    }
}
