//! A table of connections read whole, and what two of them differ in.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, NetlinkAddr, recv, sendto};

use super::{AF_INET, NESTED, NEW, SUBSYSTEM, TCP, WITH_ANSWER, ask, attribute, message, open};
use crate::error::{LabError, Result};
use crate::netns::Namespace;

/// Asks for entries.
const GET: u16 = SUBSYSTEM | 1;
/// For all of them.
const DUMP: u16 = 0x300;
/// The end of a dump.
const DONE: u16 = 3;
/// Bytes of the headers of netlink and nfnetlink.
const HEADERS: usize = 20;
/// The states of a TCP connection that is established and not closed on both sides.
const OPEN: std::ops::RangeInclusive<u8> = 3..=6;
/// How flows begin that pass the gateways, or are made by hand: the client's addresses.
const CLIENTS4: [&[u8]; 3] = [&[10, 100], &[10, 91, 0, 10], &[10, 91, 0, 11]];
/// The same of IPv6: by their net and their last byte.
const CLIENTS6: [([u8; 2], Option<u8>); 3] =
    [([0xfd, 0x9a], None), ([0xfd, 0x91], Some(0x10)), ([0xfd, 0x91], Some(0x11))];

/// Attributes by their kind.
pub(super) type Attributes<'a> = BTreeMap<u16, &'a [u8]>;

/// The flows of clients in a table, as far as they outlive a gateway: tuple, and what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    flows: BTreeMap<Box<[u8]>, Box<[u8]>>,
    timeouts: Vec<u32>,
}

/// What a copy differs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Flows that it lacks.
    pub missing: usize,
    /// Flows that it should not have.
    pub extra: usize,
    /// Flows whose answers, mark or state are others.
    pub differing: usize,
}

impl Difference {
    /// Is there none?
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Table {
    /// Reads the table of a namespace.
    pub fn read(namespace: &Namespace) -> Result<Self> {
        let mut table = Self::default();
        dump(namespace, |entry| {
            if let Some((tuple, value, timeout)) = flow(entry) {
                table.flows.insert(tuple.into(), value.into());
                table.timeouts.push(timeout);
            }
        })?;
        Ok(table)
    }

    /// How many flows there are.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// The shortest time that a flow has left, in seconds.
    pub fn shortest_timeout(&self) -> Option<u32> {
        self.timeouts.iter().copied().min()
    }

    /// What a copy of this table differs in.
    pub fn against(&self, copy: &Self) -> Difference {
        let mut difference = Difference::default();
        for (tuple, value) in &self.flows {
            match copy.flows.get(tuple) {
                None => difference.missing += 1,
                Some(other) if other != value => difference.differing += 1,
                Some(_) => {}
            }
        }
        difference.extra = copy.len() + difference.missing - self.len();
        difference
    }
}

/// Sets the time that every flow of a client has left, in seconds; gives how many there were.
pub fn set_timeouts(namespace: &Namespace, seconds: u32) -> Result<usize> {
    let mut requests = Vec::new();
    dump(namespace, |entry| {
        if let Some((tuple, ..)) = flow(entry) {
            let timeout = attribute(7, &seconds.to_be_bytes());
            let body = [attribute(1 | NESTED, &tuple[1..]), timeout].concat();
            requests.push(message(NEW, WITH_ANSWER, tuple[0], &body));
        }
    })?;
    let change = || open().and_then(|socket| requests.iter().try_for_each(|one| ask(&socket, one)));
    namespace.enter(change)?.map_err(LabError::io("set timeouts by hand"))?;
    Ok(requests.len())
}

/// A flow of a client that is open: its family and tuple, what is compared, and the seconds it has left.
fn flow(entry: &[u8]) -> Option<(Vec<u8>, Vec<u8>, u32)> {
    let family = *entry.first()?;
    let whole = attributes(entry.get(4..)?);
    let original = attributes(whole.get(&1)?);
    let addresses = attributes(original.get(&1)?);
    let client = if family == AF_INET {
        let source = *addresses.get(&1)?;
        CLIENTS4.iter().any(|net| source.starts_with(net))
    } else {
        let source = *addresses.get(&3)?;
        let of = |(net, last): &([u8; 2], Option<u8>)| {
            source.starts_with(net) && last.is_none_or(|last| source.last() == Some(&last))
        };
        CLIENTS6.iter().any(of)
    };
    let protocol = *attributes(original.get(&2)?).get(&1)?.first()?;
    let state = tcp_state(&whole);
    let open = protocol != TCP || state.is_some_and(|state| OPEN.contains(&state));
    if !client || !open {
        return None;
    }
    let tuple = [&[family], *whole.get(&1)?].concat();
    let mark = whole.get(&8).copied().unwrap_or(&[0; 4]);
    let value = [*whole.get(&2)?, mark, &[state.unwrap_or(0)]].concat();
    let timeout = whole.get(&7).and_then(|bytes| <[u8; 4]>::try_from(*bytes).ok());
    Some((tuple, value, u32::from_be_bytes(timeout.unwrap_or_default())))
}

pub(super) fn tcp_state(whole: &Attributes<'_>) -> Option<u8> {
    let tcp = attributes(attributes(whole.get(&4)?).get(&1)?);
    tcp.get(&1)?.first().copied()
}

/// Gives every entry of a namespace: its header of nfnetlink and its attributes.
pub(super) fn dump(namespace: &Namespace, mut each: impl FnMut(&[u8])) -> Result<()> {
    let doing = || LabError::io("read the table of connections");
    let socket = namespace.enter(open)?.map_err(doing())?;
    let mut read = || -> std::io::Result<()> {
        let request = message(GET, DUMP, 0, &[]);
        sendto(socket.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut room = vec![0; 1 << 16];
        loop {
            let length = recv(socket.as_raw_fd(), &mut room, MsgFlags::empty())?;
            let mut rest = &room[..length];
            while let Some((kind, end)) = head(rest) {
                if kind == DONE {
                    return Ok(());
                }
                each(&rest[16..end]);
                rest = rest.get(end.next_multiple_of(4)..).unwrap_or(&[]);
            }
        }
    };
    read().map_err(doing())
}

/// The type and the length of the first message.
pub(super) fn head(bytes: &[u8]) -> Option<(u16, usize)> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    ((HEADERS..=bytes.len()).contains(&length) || kind == DONE).then_some((kind, length))
}

pub(super) fn attributes(mut bytes: &[u8]) -> Attributes<'_> {
    let mut found = BTreeMap::new();
    while let Some(&[a, b, c, d]) = bytes.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let Some(value) = bytes.get(4..length) else { break };
        // The two highest bits say how the value is written.
        found.insert(u16::from_ne_bytes([c, d]) & 0x3fff, value);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(flows: &[(&str, &str)]) -> Table {
        let one =
            |(tuple, value): &(&str, &str)| (tuple.as_bytes().into(), value.as_bytes().into());
        Table { flows: flows.iter().map(one).collect(), timeouts: Vec::new() }
    }

    #[test]
    fn a_copy_is_judged_in_both_directions() {
        let own = table(&[("a", "1"), ("b", "1"), ("c", "1")]);
        assert!(own.against(&own.clone()).is_none());
        let found = own.against(&table(&[("b", "2"), ("c", "1"), ("d", "1"), ("e", "1")]));
        assert_eq!(found, Difference { missing: 1, extra: 2, differing: 1 });
    }
}
