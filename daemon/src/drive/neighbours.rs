//! Whom to ask when a segment is tested: neighbours that have answered a probe of ours before, and
//! those that a peer says have answered it. Who never answers is no witness.

use std::net::IpAddr;
use std::time::Duration;

use evergate_core::Instant;
use evergate_core::ident::{InterfaceId, PathId};
use evergate_core::wire::heartbeat::Neighbour;

/// The most neighbours that are kept for one interface.
pub const NEIGHBOURS_PER_INTERFACE_MAX: usize = 8;
/// The most that are told to the peers for one path.
pub const NEIGHBOURS_TOLD_MAX: usize = 4;
/// An answer counts as a witness for this long.
pub const WITNESS_FOR: Duration = Duration::from_secs(60);
/// For this long the witnesses of before a test are the only ones that count in it. They may have
/// died with the peer that is silent; after this an answer of anybody counts.
pub const FROZEN_FOR: Duration = Duration::from_secs(10);
/// How often known and hoped-for neighbours are asked while all is well.
pub const ASK_EVERY: Duration = Duration::from_secs(10);
/// The same while some segment has no witness.
pub const SEEK_EVERY: Duration = Duration::from_secs(1);

/// Somebody on a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Known {
    interface: InterfaceId,
    address: IpAddr,
    answered_at: Option<Instant>,
    named_at: Instant,
}

/// The neighbours of all interfaces.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Neighbours {
    known: Vec<Known>,
    /// Interfaces under test that had a witness, and since when: for a while only those who were
    /// witnesses before it count. Whoever turns up on a cable that was cut is no proof.
    frozen: Vec<(InterfaceId, Instant)>,
}

impl Neighbours {
    /// Somebody who may be there: seen by the kernel, or named by a peer.
    pub fn named(&mut self, now: Instant, interface: InterfaceId, address: IpAddr) {
        let same = |known: &&mut Known| known.interface == interface && known.address == address;
        if let Some(known) = self.known.iter_mut().find(same) {
            known.named_at = now;
            return;
        }
        self.make_room(interface);
        self.known.push(Known { interface, address, answered_at: None, named_at: now });
    }

    /// Says which interfaces are under test now.
    pub fn under_test(&mut self, now: Instant, interfaces: &[InterfaceId]) {
        self.frozen.retain(|(frozen, _)| interfaces.contains(frozen));
        for interface in interfaces {
            if self.tested_since(*interface).is_none() && self.has_witness(now, *interface) {
                self.frozen.push((*interface, now));
            }
        }
    }

    fn tested_since(&self, interface: InterfaceId) -> Option<Instant> {
        self.frozen.iter().find(|(frozen, _)| *frozen == interface).map(|(_, since)| *since)
    }

    fn is_frozen(&self, now: Instant, interface: InterfaceId) -> bool {
        self.tested_since(interface).is_some_and(|since| now.since(since) < FROZEN_FOR)
    }

    /// Whether somebody has to be found on an interface: nobody is known there who answers, or its
    /// witnesses have been asked in vain for long.
    pub fn lacks_witness(&self, now: Instant, interface: InterfaceId) -> bool {
        match self.tested_since(interface).filter(|_| !self.is_frozen(now, interface)) {
            Some(since) => !self.known.iter().any(|known| {
                known.interface == interface && known.answered_at.is_some_and(|at| at > since)
            }),
            None => !self.has_witness(now, interface),
        }
    }

    /// The interfaces have new numbers; those without one are forgotten.
    pub fn renumber(&mut self, place: impl Fn(InterfaceId) -> Option<InterfaceId>) {
        self.known.retain_mut(|known| match place(known.interface) {
            Some(interface) => {
                known.interface = interface;
                true
            }
            None => false,
        });
        let frozen = std::mem::take(&mut self.frozen).into_iter();
        self.frozen =
            frozen.filter_map(|(interface, since)| Some((place(interface)?, since))).collect();
    }

    /// Somebody has answered a probe; false if that proves nothing.
    pub fn answered(&mut self, now: Instant, interface: InterfaceId, address: IpAddr) -> bool {
        let is = |known: &Known| known.interface == interface && known.address == address;
        let witness = self.known.iter().any(|known| is(known) && known.answered_at.is_some());
        if self.is_frozen(now, interface) && !witness {
            return false;
        }
        self.named(now, interface, address);
        let same = |known: &&mut Known| known.interface == interface && known.address == address;
        if let Some(known) = self.known.iter_mut().find(same) {
            known.answered_at = Some(now);
        }
        true
    }

    /// Those to ask on an interface.
    pub fn to_ask(&self, interface: InterfaceId) -> impl Iterator<Item = IpAddr> + '_ {
        self.known
            .iter()
            .filter(move |known| known.interface == interface)
            .map(|known| known.address)
    }

    /// Whether anybody on an interface has answered lately.
    pub fn has_witness(&self, now: Instant, interface: InterfaceId) -> bool {
        let frozen = self.is_frozen(now, interface);
        self.known.iter().any(|known| {
            known.interface == interface
                && (known.is_witness(now) || frozen && known.answered_at.is_some())
        })
    }

    /// What to tell the peers about a path on this interface.
    pub fn told(
        &self,
        now: Instant,
        interface: InterfaceId,
        path: PathId,
        out: &mut Vec<Neighbour>,
    ) {
        let witnesses = self.known.iter().filter(|k| k.interface == interface && k.is_witness(now));
        let told = witnesses.take(NEIGHBOURS_TOLD_MAX);
        out.extend(told.map(|known| Neighbour { path, address: known.address }));
    }

    /// Forgets who has neither answered nor been named for long, and whom `is_ours` says to be one
    /// of our own nodes or addresses: they are no witnesses for each other.
    pub fn tidy(&mut self, now: Instant, is_ours: impl Fn(IpAddr) -> bool) {
        let mut known = std::mem::take(&mut self.known);
        known.retain(|known| {
            let fresh = now.since(known.named_at) < WITNESS_FOR || known.is_witness(now);
            (fresh || self.is_frozen(now, known.interface)) && !is_ours(known.address)
        });
        self.known = known;
    }

    fn make_room(&mut self, interface: InterfaceId) {
        let count = self.known.iter().filter(|known| known.interface == interface).count();
        if count < NEIGHBOURS_PER_INTERFACE_MAX {
            return;
        }
        let mine = self.known.iter().enumerate().filter(|(_, known)| known.interface == interface);
        let oldest = mine.min_by_key(|(_, known)| (known.answered_at, known.named_at));
        if let Some((position, _)) = oldest {
            self.known.remove(position);
        }
    }
}

impl Known {
    fn is_witness(&self, now: Instant) -> bool {
        self.answered_at.is_some_and(|at| now.since(at) < WITNESS_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAN: InterfaceId = InterfaceId(0);

    fn host(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn only_who_has_answered_is_a_witness_and_only_for_a_while() {
        let mut neighbours = Neighbours::default();
        let start = Instant::ZERO;
        neighbours.named(start, LAN, host(1));
        assert!(!neighbours.has_witness(start, LAN));
        neighbours.answered(start, LAN, host(1));
        assert!(neighbours.has_witness(start, LAN));
        assert!(!neighbours.has_witness(start, InterfaceId(1)));
        assert!(!neighbours.has_witness(start + WITNESS_FOR, LAN));
    }

    #[test]
    fn who_turns_up_during_a_test_is_no_witness_and_those_before_it_stay_witnesses() {
        let mut neighbours = Neighbours::default();
        let start = Instant::ZERO;
        neighbours.answered(start, LAN, host(1));
        let test = start + WITNESS_FOR - Duration::from_secs(1);
        neighbours.under_test(test, &[LAN]);
        assert!(!neighbours.answered(test, LAN, host(2)));
        assert!(neighbours.has_witness(start + WITNESS_FOR, LAN));
        assert!(neighbours.answered(test, LAN, host(1)));
        neighbours.under_test(test, &[]);
        assert!(neighbours.answered(test, LAN, host(2)));
        assert!(!neighbours.has_witness(test + WITNESS_FOR, LAN));
    }

    #[test]
    fn in_a_long_test_an_answer_of_anybody_counts_and_dead_witnesses_expire() {
        let mut neighbours = Neighbours::default();
        let start = Instant::ZERO;
        neighbours.answered(start, LAN, host(1));
        neighbours.under_test(start, &[LAN]);
        assert!(!neighbours.lacks_witness(start, LAN));
        let late = start + FROZEN_FOR;
        neighbours.under_test(late, &[LAN]);
        assert!(neighbours.lacks_witness(late, LAN), "somebody else is looked for");
        neighbours.tidy(start + WITNESS_FOR, |_| false);
        assert!(!neighbours.has_witness(start + WITNESS_FOR, LAN), "the dead one is forgotten");
        assert!(neighbours.answered(late, LAN, host(2)));
        assert!(neighbours.has_witness(late, LAN) && !neighbours.lacks_witness(late, LAN));
    }

    #[test]
    fn neighbours_follow_their_interface_to_its_new_number() {
        let mut neighbours = Neighbours::default();
        let (start, moved) = (Instant::ZERO, InterfaceId(1));
        neighbours.answered(start, LAN, host(1));
        neighbours.answered(start, moved, host(2));
        neighbours.under_test(start, &[LAN]);
        neighbours.renumber(|interface| (interface == LAN).then_some(moved));
        assert!(neighbours.has_witness(start, moved) && !neighbours.has_witness(start, LAN));
        assert!(!neighbours.answered(start, moved, host(3)), "its test goes on");
        assert_eq!(neighbours.to_ask(moved).collect::<Vec<_>>(), [host(1)]);
    }

    #[test]
    fn the_list_is_bounded_and_keeps_who_answered() {
        let mut neighbours = Neighbours::default();
        neighbours.answered(Instant::from_nanos(5), LAN, host(1));
        for number in 2..=200 {
            neighbours.named(Instant::from_nanos(9), LAN, host(number));
        }
        assert_eq!(neighbours.to_ask(LAN).count(), NEIGHBOURS_PER_INTERFACE_MAX);
        assert!(neighbours.to_ask(LAN).any(|address| address == host(1)));
    }
}
