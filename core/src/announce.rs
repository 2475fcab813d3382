//! When held addresses are announced: gratuitous ARP and unsolicited neighbour advertisements.
//!
//! The groups say what has happened ([`Occasion`]); a [`Schedule`] says how often a router announces then,
//! and the [`Announcer`] hands out the announcements one by one, as far apart as they must be. A round is
//! one announcement of each address of a router. First rounds go before repetitions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::effect::Occasion;
use crate::ident::{GroupId, InterfaceId, RouterId};
use crate::time::{Instant, earliest};

/// How often the addresses of a router are announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Rounds after a takeover.
    pub repeat: u16,
    /// As many once more, this long after the takeover; zero for none.
    pub again_after: Duration,
    /// Rounds at regular times while active.
    pub refresh: Option<Duration>,
    /// How many rounds each of those times.
    pub refresh_repeat: u16,
    /// Rounds after an advert of lower priority was heard while active.
    pub lower_repeat: u16,
    /// As many once more, this long after it; zero for none.
    pub lower_after: Duration,
    /// The shortest time between two announcements on one interface.
    pub interval: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            repeat: 1,
            again_after: Duration::ZERO,
            refresh: None,
            refresh_repeat: 1,
            lower_repeat: 1,
            lower_after: Duration::ZERO,
            interval: Duration::ZERO,
        }
    }
}

/// Some addresses of a router, those on one interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The group.
    pub group: GroupId,
    /// The router.
    pub router: RouterId,
    /// The interface.
    pub interface: InterfaceId,
}

/// One announcement to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announcement {
    /// Whose address it is, and where it goes out.
    pub place: Place,
    /// The address.
    pub address: IpAddr,
}

/// What a place has to announce.
#[derive(Clone, Debug)]
struct Task {
    schedule: Schedule,
    addresses: Vec<IpAddr>,
    /// Rounds that are not over, the one under way included.
    owed: u32,
    /// The next address of the round.
    position: usize,
    /// No round is over since the takeover.
    first: bool,
    /// Rounds that come later, and when.
    again: Option<(Instant, u16)>,
    lower_again: Option<(Instant, u16)>,
    refresh_at: Option<Instant>,
}

/// An interface: one announcement at a time.
#[derive(Clone, Debug, Default)]
struct Line {
    waiting: VecDeque<Place>,
    free_at: Instant,
}

/// All announcements of a node.
#[derive(Clone, Debug, Default)]
pub struct Announcer {
    tasks: BTreeMap<Place, Task>,
    /// When tasks come to owe more, the earliest first.
    agenda: BTreeSet<(Instant, Place)>,
    lines: BTreeMap<InterfaceId, Line>,
}

impl Announcer {
    /// Something has happened: the addresses of a place shall be announced as the schedule says.
    pub fn announce(
        &mut self,
        now: Instant,
        place: Place,
        schedule: Schedule,
        addresses: Vec<IpAddr>,
        occasion: Occasion,
    ) {
        if addresses.is_empty() {
            return;
        }
        self.strike(place);
        let task =
            self.tasks.entry(place).or_insert_with(|| Task::new(schedule, addresses.clone()));
        if task.addresses != addresses {
            (task.addresses, task.position) = (addresses, 0);
        }
        task.schedule = schedule;
        let rounds = task.take(now, occasion);
        self.owe(place, rounds);
    }

    /// The next announcement that is due. After each that is handed out, the line of its interface is
    /// closed for the interval of its schedule.
    pub fn next(&mut self, now: Instant) -> Option<Announcement> {
        while let Some((at, place)) = self.agenda.first().copied()
            && at <= now
        {
            self.strike(place);
            let rounds = self.tasks.get_mut(&place).map_or(0, |task| task.fall_due(now));
            self.owe(place, rounds);
        }
        self.lines.retain(|_, line| !line.waiting.is_empty() || line.free_at > now);
        let open = |line: &&mut Line| line.free_at <= now && !line.waiting.is_empty();
        let line = self.lines.values_mut().find(open)?;
        let place = line.waiting.pop_front()?;
        let task = self.tasks.get_mut(&place)?;
        let address = task.addresses[task.position];
        line.free_at = now + task.schedule.interval;
        task.position += 1;
        if task.position < task.addresses.len() {
            line.waiting.push_front(place);
        } else {
            (task.position, task.first) = (0, false);
            task.owed -= 1;
            if task.owed > 0 {
                line.waiting.push_back(place);
            }
        }
        Some(Announcement { place, address })
    }

    /// When [`Announcer::next`] has something to say again.
    pub fn deadline(&self) -> Option<Instant> {
        let lines = self.lines.values().filter(|line| !line.waiting.is_empty());
        let free = lines.map(|line| line.free_at).min();
        earliest(free, self.agenda.first().map(|(at, _)| *at))
    }

    /// Whether an address of the group was not announced yet since the takeover.
    pub fn owes(&self, group: GroupId) -> bool {
        self.tasks.range(places_of(group)).any(|(_, task)| task.first)
    }

    /// The group is not held any more.
    pub fn stop(&mut self, group: GroupId) {
        let gone: Vec<Place> =
            self.tasks.range(places_of(group)).map(|(place, _)| *place).collect();
        for place in gone {
            self.strike(place);
            let waits = self.tasks.remove(&place).is_some_and(|task| task.owed > 0);
            if let Some(line) = self.lines.get_mut(&place.interface).filter(|_| waits) {
                line.waiting.retain(|waiting| *waiting != place);
            }
        }
    }

    /// Takes a place off the agenda.
    fn strike(&mut self, place: Place) {
        if let Some(at) = self.tasks.get(&place).and_then(Task::next) {
            self.agenda.remove(&(at, place));
        }
    }

    /// Puts a place in line and on the agenda. Rounds that it owes already are not owed twice.
    fn owe(&mut self, place: Place, rounds: u16) {
        let Some(task) = self.tasks.get_mut(&place) else { return };
        if rounds > 0 {
            if task.owed == 0 {
                self.lines.entry(place.interface).or_default().waiting.push_back(place);
            }
            let under_way = u32::from(task.position > 0);
            task.owed = task.owed.max(u32::from(rounds) + under_way);
        }
        self.agenda.extend(task.next().map(|at| (at, place)));
    }
}

impl Task {
    fn new(schedule: Schedule, addresses: Vec<IpAddr>) -> Task {
        Task {
            schedule,
            addresses,
            owed: 0,
            position: 0,
            first: false,
            again: None,
            lower_again: None,
            refresh_at: None,
        }
    }

    /// How many rounds follow at once.
    fn take(&mut self, now: Instant, occasion: Occasion) -> u16 {
        let schedule = self.schedule;
        let later = |after: Duration, rounds: u16| {
            (!after.is_zero() && rounds > 0).then(|| (now + after, rounds))
        };
        let refresh_at = schedule.refresh.map(|refresh| now + refresh);
        self.refresh_at = self.refresh_at.or(refresh_at).filter(|_| schedule.refresh.is_some());
        match occasion {
            Occasion::TookOver => {
                (self.first, self.position) = (true, 0);
                self.refresh_at = refresh_at;
                self.again = later(schedule.again_after, schedule.repeat);
                schedule.repeat
            }
            Occasion::LowerHeard => {
                self.lower_again = later(schedule.lower_after, schedule.lower_repeat);
                schedule.lower_repeat
            }
            Occasion::LowerGone => schedule.lower_repeat.min(1),
            Occasion::Once => 1,
        }
    }

    /// How many rounds are due by now.
    fn fall_due(&mut self, now: Instant) -> u16 {
        let due = |slot: &mut Option<(Instant, u16)>| slot.take_if(|(at, _)| *at <= now);
        let again = [due(&mut self.again), due(&mut self.lower_again)];
        let again = again.into_iter().flatten().map(|(_, rounds)| rounds).max().unwrap_or(0);
        if self.refresh_at.take_if(|at| *at <= now).is_none() {
            return again;
        }
        self.refresh_at = self.schedule.refresh.map(|refresh| now + refresh);
        again.max(self.schedule.refresh_repeat)
    }

    /// When it owes more.
    fn next(&self) -> Option<Instant> {
        let later = |slot: Option<(Instant, u16)>| slot.map(|(at, _)| at);
        earliest(earliest(later(self.again), later(self.lower_again)), self.refresh_at)
    }
}

fn places_of(group: GroupId) -> std::ops::RangeInclusive<Place> {
    let first = Place { group, router: RouterId(0), interface: InterfaceId(0) };
    first..=Place { group, router: RouterId(u16::MAX), interface: InterfaceId(u16::MAX) }
}

#[cfg(test)]
mod tests;
