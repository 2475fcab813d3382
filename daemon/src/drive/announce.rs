//! Announcements: the machine says what has happened, the announcer when each of them goes out.

use evergate_core::Instant;
use evergate_core::announce::Place;
use evergate_core::effect::Occasion;
use evergate_core::ident::{GroupId, RouterId};

use super::Drive;
use crate::sys::clock::boottime_now;

/// How many announcements are sent before packets and timers are looked at again.
const ANNOUNCEMENTS_PER_TURN: usize = 64;

impl Drive {
    /// Leaves the addresses of a group to the announcer.
    pub(super) fn announce(&mut self, now: Instant, group: GroupId, occasion: Occasion) {
        let routers = &self.layout.core.groups[group.index()].routers;
        for (position, router) in routers.iter().enumerate() {
            let announce = self.layout.groups[group.index()].routers[position].announce;
            let Some(schedule) = announce else { continue };
            let (router_id, interface) = (RouterId::at(position), router.interface);
            let place = Place { group, router: router_id, interface };
            let addresses = router.addresses.iter().map(|(address, _)| *address).collect();
            self.announcer.announce(now, place, schedule, addresses, occasion);
        }
    }

    /// Sends what is due, and tells of the takeovers that are complete with it.
    pub(super) fn send_announcements(&mut self, now: Instant) {
        for _ in 0..ANNOUNCEMENTS_PER_TURN {
            let Some(next) = self.announcer.next(now) else { break };
            if !self.announce_address(next.place.group, next.place.router, next.address) {
                self.count_router(next.place.group, next.place.router, "announcements_not_sent");
            }
        }
        let announcer = &self.announcer;
        let complete: Vec<GroupId> =
            self.phases.keys().copied().filter(|group| !announcer.owes(*group)).collect();
        for group in complete {
            self.announced(group, boottime_now());
        }
    }
}
