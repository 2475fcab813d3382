//! `vrrp_sync_group`.

use super::super::model::{Notify, Set, SyncGroup};
use super::super::tree::Statement;
use super::{Fate, Reader, fates};

impl Reader<'_> {
    pub(super) fn sync_group<'t>(&mut self, by: &'t Statement) -> SyncGroup<'t> {
        let name = by.value().to_owned();
        let (members, tracks) = (Vec::new(), Vec::new());
        let mut group =
            SyncGroup { by, name, members, tracks, notify: Notify::default(), weights: None };
        for statement in &by.inside {
            match statement.name() {
                "group" => {
                    self.note(statement, Fate::Exactly, "the routers of the group");
                    for line in &statement.inside {
                        group.members.extend((0..line.words.len()).map(|at| (line, at)));
                    }
                }
                "sync_group_tracking_weight" => {
                    self.put(
                        &mut group.weights,
                        Some(Set { value: true, by: statement, words: 1 }),
                    );
                }
                "notify_master_rx_lower_pri" => {
                    self.idle(statement, fates::GROUP, statement.name());
                }
                name => {
                    if self.tracks(statement, name, &mut group.tracks) {
                        self.note(statement, Fate::Exactly, "track");
                    } else if !self.script_of(statement, &mut group.notify) {
                        self.idle(statement, fates::GROUP, name);
                    }
                }
            }
        }
        group
    }
}
