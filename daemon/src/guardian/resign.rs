//! Resigning for a dead core: say so, wait a moment for the successor, let the addresses go.

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::{TimeSpec, TimeValLike};
use std::os::fd::AsFd;

use super::addresses::{Addresses, NotReleased};
use super::farewell::{Farewell, Successor};
use crate::estate::{Estate, HeldAddress, Holding};
use crate::kernel::ways::Way;
use crate::sys::clock::boottime_now;

/// How long the addresses stay up for a successor to be heard: traffic is served until then.
pub const SUCCESSOR_WAIT_NS: u64 = 20_000_000;

/// What a resignation did: for the log.
#[derive(Debug, Default)]
pub struct Resignation {
    /// Wills that could not be sent.
    pub refused: usize,
    /// Groups whose successor was heard.
    pub succeeded: usize,
    /// Addresses removed.
    pub released: usize,
    /// Why some are left, if some are.
    pub failure: Option<NotReleased>,
}

/// Sends the wills, waits for successors and removes the addresses; takes
/// [`SUCCESSOR_WAIT_NS`] at most, besides the kernel's own time.
pub fn resign(estate: &Estate, farewell: &Farewell, addresses: &mut dyn Addresses) -> Resignation {
    farewell.drain();
    let refused = farewell.send(&estate.wills);
    let deadline = boottime_now() + SUCCESSOR_WAIT_NS;
    let mut result = Resignation { refused, ..Resignation::default() };
    let mut left: Vec<usize> = with_addresses(estate).collect();
    while !left.is_empty() && wait(farewell, deadline) {
        // Bounded: what arrives after the deadline is not waited for.
        while let Some(successor) = farewell.hear() {
            let (gone, stay) = left.iter().partition(|index| succeeds(&successor, estate, **index));
            left = stay;
            let gone: Vec<usize> = gone;
            result.succeeded += gone.len();
            result.release(estate, &gone, addresses);
            if left.is_empty() || boottime_now() >= deadline {
                break;
            }
        }
    }
    result.release(estate, &left, addresses);
    result
}

impl Resignation {
    /// Routes and rules go before the addresses, as they came after them.
    fn release(&mut self, estate: &Estate, groups: &[usize], addresses: &mut dyn Addresses) {
        let (held, ways) = (held_by(estate, groups), ways_by(estate, groups));
        if !ways.is_empty()
            && let Err(failure) = addresses.remove_ways(&ways)
        {
            self.failure = Some(failure);
        }
        if held.is_empty() {
            return;
        }
        match addresses.release(&held) {
            Ok(count) => self.released += count,
            Err(failure) => self.failure = Some(failure),
        }
    }
}

/// All addresses of an estate, and all routes and rules.
pub fn all_held(estate: &Estate) -> (Vec<HeldAddress>, Vec<Way>) {
    let groups: Vec<usize> = with_addresses(estate).collect();
    (held_by(estate, &groups), ways_by(estate, &groups))
}

/// Whether an advert was sent by the successor of a group: for one of its routers, by another.
fn succeeds(successor: &Successor, estate: &Estate, group: usize) -> bool {
    estate.wills.iter().any(|will| {
        will.group.map(usize::from) == Some(group)
            && will.ifindex == successor.ifindex
            && will.source != successor.source
            && will.router() == Some((successor.family, successor.vrid))
    })
}

fn with_addresses(estate: &Estate) -> impl Iterator<Item = usize> + '_ {
    let groups = estate.groups.iter().enumerate();
    let up = |holding: &Holding| !holding.addresses.is_empty() || !holding.ways.is_empty();
    groups.filter(move |(_, holding)| up(holding)).map(|(index, _)| index)
}

fn held_by(estate: &Estate, groups: &[usize]) -> Vec<HeldAddress> {
    groups.iter().flat_map(|index| estate.groups[*index].addresses.iter().copied()).collect()
}

fn ways_by(estate: &Estate, groups: &[usize]) -> Vec<Way> {
    groups.iter().flat_map(|index| estate.groups[*index].ways.iter().cloned()).collect()
}

/// Waits until something was heard (true) or the deadline has passed (false).
fn wait(farewell: &Farewell, deadline: u64) -> bool {
    loop {
        let left = deadline.saturating_sub(boottime_now());
        if left == 0 {
            return false;
        }
        let mut polled: Vec<PollFd<'_>> =
            farewell.ears().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        let timeout = TimeSpec::nanoseconds(i64::try_from(left).unwrap_or(i64::MAX));
        match ppoll(&mut polled, Some(timeout), None) {
            Ok(ready) if ready > 0 => return true,
            // The time is up, or a signal came: the clock decides.
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use evergate_core::ident::Family;

    use super::*;
    use crate::estate::{Transport, Will};
    use crate::kernel::ways::WayKind;

    #[derive(Default)]
    struct Recorder(Vec<Vec<HeldAddress>>, Vec<Way>);

    impl Addresses for Recorder {
        fn release(&mut self, held: &[HeldAddress]) -> Result<usize, NotReleased> {
            self.0.push(held.to_vec());
            Ok(held.len())
        }

        fn remove_ways(&mut self, ways: &[Way]) -> Result<(), NotReleased> {
            self.1.extend(ways.iter().cloned());
            Ok(())
        }

        fn remove_links(&mut self) -> Vec<String> {
            Vec::new()
        }
    }

    fn held(last: u8) -> HeldAddress {
        HeldAddress { ifindex: 3, address: [192, 0, 2, last].into(), prefix_length: 24 }
    }

    fn estate() -> Estate {
        let way = |group: &str| Way { kind: WayKind::Route, body: group.into() };
        let holding = |group: &str, addresses| Holding {
            group: group.into(),
            addresses,
            ways: vec![way(group)],
        };
        let will = |group, vrid| Will {
            transport: Transport::VrrpV4,
            group: Some(group),
            ifindex: 3,
            source: [192, 0, 2, 1].into(),
            destination: [224, 0, 0, 18].into(),
            hops: 255,
            port: 0,
            bytes: vec![0x31, vrid, 0, 1],
        };
        Estate {
            groups: vec![
                holding("lan", vec![held(10), held(11)]),
                Holding { group: "standby".into(), ..Holding::default() },
                holding("wan", vec![held(12)]),
            ],
            wills: vec![will(0, 51), will(2, 52)],
        }
    }

    #[test]
    fn without_a_successor_the_addresses_go_after_the_wait() {
        let mut kernel = Recorder::default();
        let before = boottime_now();
        let result = resign(&estate(), &Farewell::default(), &mut kernel);
        assert!(boottime_now() - before >= SUCCESSOR_WAIT_NS);
        assert_eq!(kernel.0, [vec![held(10), held(11), held(12)]]);
        let bodies: Vec<&[u8]> = kernel.1.iter().map(|way| way.body.as_slice()).collect();
        assert_eq!(bodies, [b"lan", b"wan"]);
        assert_eq!((result.refused, result.succeeded, result.released), (2, 0, 3));
    }

    #[test]
    fn with_nothing_held_nobody_waits() {
        let mut kernel = Recorder::default();
        let before = boottime_now();
        resign(&Estate::default(), &Farewell::default(), &mut kernel);
        assert!(boottime_now() - before < SUCCESSOR_WAIT_NS / 2);
        assert!(kernel.0.is_empty());
    }

    #[test]
    fn only_another_router_of_the_same_interface_family_and_vrid_succeeds() {
        let heard =
            Successor { ifindex: 3, vrid: 51, family: Family::V4, source: [192, 0, 2, 2].into() };
        let lan = |successor: Successor| succeeds(&successor, &estate(), 0);
        assert!(lan(heard));
        assert!(!succeeds(&heard, &estate(), 2), "another group");
        assert!(!lan(Successor { ifindex: 4, ..heard }));
        assert!(!lan(Successor { family: Family::V6, ..heard }));
        assert!(!lan(Successor { vrid: 53, ..heard }));
        assert!(!lan(Successor { source: [192, 0, 2, 1].into(), ..heard }), "the dead core's own");
    }
}
