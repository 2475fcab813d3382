//! A new configuration: what it does not change goes on under its new numbers.

use std::collections::{BTreeMap, BTreeSet};

use evergate_core::announce::Announcer;
use evergate_core::config::RouterConfig;
use evergate_core::ident::{GroupId, RouterId, Vrid};
use evergate_core::{Input, Instant};

use super::renumber::{Moves, rekey, renumber};
use super::{Drive, instant_now};
use crate::facts::RouterFacts;
use crate::layout::Layout;
use crate::secrets::Secrets;

impl Drive {
    /// Takes a configuration that is prepared, with its keys.
    pub(super) fn apply(&mut self, now: Instant, layout: Layout, secrets: Secrets) {
        let config = Box::new(layout.core.clone());
        self.next_layout = Some(layout);
        // Guards are armed with them as soon as the machine has taken the configuration.
        self.secrets = secrets;
        self.feed(now, Input::Configure { config });
        self.take_keys();
        self.tell_interfaces(now);
        self.publish_estate();
        // It may name interfaces and addresses that nobody has looked at yet.
        self.ask_for_picture();
        self.estate.reload_ended();
    }

    /// The machine has taken the new configuration: from here on its indices are meant.
    pub(super) fn configured(&mut self) {
        let Some(layout) = self.next_layout.take() else { return };
        let former = std::mem::replace(&mut self.layout, layout);
        self.forget_guards(&former);
        self.renumber(&former);
        self.configure_replication(&former);
        self.facts.generation += 1;
        self.facts.handovers.clear();
        self.facts.faults.clear();
        self.facts.foreign.clear();
        self.facts.refused.clear();
        self.facts.mute.clear();
        self.facts.versions.clear();
        self.facts.replicates.clear();
        self.dialects.clear();
        // What is held is announced anew, and refreshed from then on.
        self.announcer = Announcer::default();
        self.lay_out();
        self.open_ports();
        self.order_checks();
        self.configure_procedures(instant_now());
        let checks = &self.layout.core.checks;
        self.facts.looks.retain(|name, _| checks.iter().any(|check| check.name == *name));
        // Before an address is added that the former configuration did not have.
        self.publish_estate();
    }

    fn renumber(&mut self, former: &Layout) {
        let (old, new) = (&former.core, &self.layout.core);
        let groups =
            Moves::of(old.groups.iter().map(|g| &g.name), new.groups.iter().map(|g| &g.name));
        let interfaces = Moves::of(old.interfaces.iter(), new.interfaces.iter());
        let group = |id: GroupId| groups.group(id);
        rekey(&mut self.facts.taking_part, group);
        let routers = self.router_moves(former);
        rekey(&mut self.facts.routers, |router| routers.get(&router).copied());
        self.begin_to_count(&routers);
        renumber(&mut self.held, group);
        rekey(&mut self.phases, group);
        rekey(&mut self.states, group);
        rekey(&mut self.facts.ways, group);
        renumber(&mut self.facts.left_alone, |(id, address)| {
            Some((interfaces.interface(id)?, address))
        });
        self.neighbours.renumber(|id| interfaces.interface(id));
        rekey(&mut self.frames_seen, |id| interfaces.interface(id));
        self.heard_frames.clear();
        renumber(&mut self.facts.present, |(id, address)| {
            Some((interfaces.interface(id)?, address))
        });
    }

    /// Where the routers have gone that are the same still: by their identity, interface and number.
    fn router_moves(&self, former: &Layout) -> RouterMoves {
        let (before, after) = (places(former), places(&self.layout));
        let same = before.iter().filter_map(|(id, (place, old))| {
            let (now, new) = after.get(id)?;
            (place == now).then_some((*old, *new))
        });
        same.collect()
    }

    /// The counters of a router that is new begin now.
    fn begin_to_count(&mut self, moved: &RouterMoves) {
        let kept: BTreeSet<(GroupId, RouterId)> = moved.values().copied().collect();
        let now = instant_now();
        for (_, router) in places(&self.layout).values() {
            if !kept.contains(router) {
                let facts = RouterFacts { since: Some(now), ..RouterFacts::default() };
                self.facts.routers.insert(*router, facts);
            }
        }
    }
}

type RouterMoves = BTreeMap<(GroupId, RouterId), (GroupId, RouterId)>;
type Place<'a> = (&'a str, Option<Vrid>);

/// Where each virtual router is, by its identity: the name of its interface and its VRID, and its number.
pub(super) fn places(layout: &Layout) -> BTreeMap<&str, (Place<'_>, (GroupId, RouterId))> {
    let groups = layout.core.groups.iter().enumerate();
    let routers = groups.flat_map(|(group, config)| {
        config.routers.iter().enumerate().map(move |(at, router)| (group, at, router))
    });
    let place = |(group, at, router): (usize, usize, &'_ RouterConfig)| {
        let place = (layout.interface(router.interface), router.vrid);
        (place, (GroupId::at(group), RouterId::at(at)))
    };
    routers.map(|found| (found.2.id.as_str(), place(found))).collect()
}
