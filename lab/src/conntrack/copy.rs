//! Copies connections from one table to another once, to show what a takeover with their states looks like.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, NetlinkAddr, recv, sendto};

use super::{
    AF_INET, CREATE, NESTED, NEW, SUBSYSTEM, WITH_ANSWER, ask, attribute, message, nested, open,
};
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
/// Seen a reply, and worth keeping: what a status keeps when it is copied.
const KEPT_STATUS: u8 = 0x06;
/// Confirmed: in the table.
const CONFIRMED: u8 = 0x08;

/// The attribute that names the connection by which an entry was expected.
const MASTER: u16 = 14;

/// The flag of a direction of TCP that says so.
const LIBERAL: u8 = 0x08;

/// Attributes by their kind.
type Attributes<'a> = BTreeMap<u16, &'a [u8]>;

/// Copies connections of TCP and flows of UDP and pings that come from the client's net; gives how many.
pub fn copy(from: &Namespace, to: &Namespace) -> Result<usize> {
    let dumped = from.enter(|| open().and_then(|socket| dump(&socket)))?;
    let dumped = dumped.map_err(LabError::io("read the table of connections"))?;
    let requests: Vec<_> = dumped.iter().filter_map(|entry| creation(entry)).collect();
    let make = || {
        let socket = open()?;
        requests.iter().try_for_each(|request| ask(&socket, request))
    };
    to.enter(make)?.map_err(LabError::io("copy the table of connections"))?;
    Ok(requests.len())
}

/// How many entries came of an expectation and name their master.
pub fn related(namespace: &Namespace) -> Result<usize> {
    let dumped = namespace.enter(|| open().and_then(|socket| dump(&socket)))?;
    let dumped = dumped.map_err(LabError::io("read the table of connections"))?;
    let has_master = |entry: &&Vec<u8>| {
        entry.get(4..).is_some_and(|whole| attributes(whole).contains_key(&MASTER))
    };
    Ok(dumped.iter().filter(has_master).count())
}

/// How many connections of TCP have sequence numbers that are not checked, in any direction.
pub fn liberal(namespace: &Namespace) -> Result<usize> {
    let dumped = namespace.enter(|| open().and_then(|socket| dump(&socket)))?;
    let dumped = dumped.map_err(LabError::io("read the table of connections"))?;
    let is_liberal = |entry: &&Vec<u8>| {
        let whole = entry.get(4..).map(attributes).unwrap_or_default();
        let info = whole.get(&4).map(|info| attributes(info)).unwrap_or_default();
        let tcp = info.get(&1).map(|tcp| attributes(tcp)).unwrap_or_default();
        let flags = [4, 5].iter().filter_map(|kind| tcp.get(kind)?.first());
        flags.into_iter().any(|flags| flags & LIBERAL != 0)
    };
    Ok(dumped.iter().filter(is_liberal).count())
}

/// Every entry: its header of nfnetlink and its attributes.
fn dump(socket: &OwnedFd) -> std::io::Result<Vec<Vec<u8>>> {
    let request = message(GET, DUMP, 0, &[]);
    sendto(socket.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut entries = Vec::new();
    let mut room = vec![0; 1 << 16];
    loop {
        let length = recv(socket.as_raw_fd(), &mut room, MsgFlags::empty())?;
        let mut rest = &room[..length];
        while let Some((kind, end)) = head(rest) {
            if kind == DONE {
                return Ok(entries);
            }
            entries.push(rest[16..end].to_vec());
            rest = rest.get(end.next_multiple_of(4)..).unwrap_or(&[]);
        }
    }
}

/// The type and the length of the first message.
fn head(bytes: &[u8]) -> Option<(u16, usize)> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    ((HEADERS..=bytes.len()).contains(&length) || kind == DONE).then_some((kind, length))
}

fn attributes(mut bytes: &[u8]) -> Attributes<'_> {
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

/// The request that makes a copy of a translated flow; none for what is not copied.
fn creation(entry: &[u8]) -> Option<Vec<u8>> {
    let family = *entry.first()?;
    let whole = attributes(entry.get(4..)?);
    let (orig, reply) = (attributes(whole.get(&1)?), attributes(whole.get(&2)?));
    let (addresses, ports) = (attributes(orig.get(&1)?), attributes(orig.get(&2)?));
    let (back, back_ports) = (attributes(reply.get(&1)?), attributes(reply.get(&2)?));
    // Kinds: source and target address in a tuple, and the bounds of a translated source.
    let (source, target, bounds) = if family == AF_INET { (1, 2, [1, 2]) } else { (3, 4, [4, 5]) };
    let translated = *back.get(&target)?;
    if translated == *addresses.get(&source)? {
        return None;
    }
    let protocol = *ports.get(&1)?;
    let (answer, own) = match protocol.first()? {
        6 | 17 => ([attribute(2, ports.get(&3)?), attribute(3, ports.get(&2)?)].concat(), 3),
        1 => (ping(&ports, [4, 5, 6], 0)?, 4),
        58 => (ping(&ports, [7, 8, 9], 129)?, 7),
        _ => return None,
    };
    let port = *back_ports.get(&own)?;
    // The kernel derives the translated answer itself, so that it also notes the translation.
    let between =
        [attribute(source, addresses.get(&target)?), attribute(target, addresses.get(&source)?)];
    let reply = nested(2, &[nested(1, &between), nested(2, &[attribute(1, protocol), answer])]);
    let one_port = nested(3, &[attribute(1, port), attribute(2, port)]);
    let source = nested(6, &[bounds.map(|kind| attribute(kind, translated)).concat(), one_port]);
    let status = whole.get(&3)?.last()? & KEPT_STATUS | CONFIRMED;
    let mut body = [attribute(1 | NESTED, whole.get(&1)?), reply, source].concat();
    body.extend(attribute(3, &[0, 0, 0, status]));
    body.extend(attribute(7, whole.get(&7)?));
    if let Some(tcp) = whole.get(&4).and_then(|info| attributes(info).get(&1).copied()) {
        let parts = attributes(tcp).into_iter().map(|(kind, value)| match (kind, value) {
            // Flags of a direction, and which of them count: all that are set.
            (4 | 5, [flags, _]) => attribute(kind, &[*flags, *flags]),
            _ => attribute(kind, value),
        });
        body.extend(nested(4, &[nested(1, &parts.collect::<Vec<_>>())]));
    }
    Some(message(NEW, CREATE | WITH_ANSWER, family, &body))
}

/// The answer to a ping: its identifier, type and code.
fn ping(own: &Attributes<'_>, [identifier, kind, code]: [u16; 3], answer: u8) -> Option<Vec<u8>> {
    let identifier = attribute(identifier, own.get(&identifier)?);
    Some([identifier, attribute(kind, &[answer]), attribute(code, &[0])].concat())
}
