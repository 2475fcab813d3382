//! Resigning for a dead core: say so, wait a moment for the successor, let the addresses go.

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::{TimeSpec, TimeValLike};
use std::os::fd::AsFd;

use super::addresses::{Addresses, NotReleased};
use super::farewell::{Farewell, Successor};
use crate::estate::{Estate, HeldAddress};
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
            result.release(&held_by(estate, &gone), addresses);
            if left.is_empty() || boottime_now() >= deadline {
                break;
            }
        }
    }
    result.release(&held_by(estate, &left), addresses);
    result
}

impl Resignation {
    fn release(&mut self, held: &[HeldAddress], addresses: &mut dyn Addresses) {
        if held.is_empty() {
            return;
        }
        match addresses.release(held) {
            Ok(count) => self.released += count,
            Err(failure) => self.failure = Some(failure),
        }
    }
}

/// All addresses of an estate.
pub fn all_held(estate: &Estate) -> Vec<HeldAddress> {
    held_by(estate, &with_addresses(estate).collect::<Vec<_>>())
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
    groups.filter(|(_, holding)| !holding.addresses.is_empty()).map(|(index, _)| index)
}

fn held_by(estate: &Estate, groups: &[usize]) -> Vec<HeldAddress> {
    groups.iter().flat_map(|index| estate.groups[*index].addresses.iter().copied()).collect()
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
    use crate::estate::{Holding, Transport, Will};

    #[derive(Default)]
    struct Recorder(Vec<Vec<HeldAddress>>);

    impl Addresses for Recorder {
        fn release(&mut self, held: &[HeldAddress]) -> Result<usize, NotReleased> {
            self.0.push(held.to_vec());
            Ok(held.len())
        }

        fn remove_links(&mut self) -> Vec<String> {
            Vec::new()
        }
    }

    fn held(last: u8) -> HeldAddress {
        HeldAddress { ifindex: 3, address: [192, 0, 2, last].into(), prefix_length: 24 }
    }

    fn estate() -> Estate {
        let holding = |group: &str, addresses| Holding { group: group.into(), addresses };
        let will = |group, vrid| Will {
            transport: Transport::VrrpV4,
            group: Some(group),
            ifindex: 3,
            source: [192, 0, 2, 1].into(),
            destination: [224, 0, 0, 18].into(),
            port: 0,
            bytes: vec![0x31, vrid, 0, 1],
        };
        Estate {
            groups: vec![
                holding("lan", vec![held(10), held(11)]),
                holding("standby", vec![]),
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
