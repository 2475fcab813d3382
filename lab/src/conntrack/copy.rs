//! Copies connections from one table to another once, to show what a takeover with their states looks like.

use super::table::{Attributes, attributes, dump};
use super::{AF_INET, CREATE, NESTED, NEW, WITH_ANSWER, ask, attribute, message, nested, open};
use crate::error::{LabError, Result};
use crate::netns::Namespace;

/// Seen a reply, and worth keeping: what a status keeps when it is copied.
const KEPT_STATUS: u8 = 0x06;
/// Confirmed: in the table.
const CONFIRMED: u8 = 0x08;

/// Copies connections of TCP and flows of UDP and pings that come from the client's net; gives how many.
pub fn copy(from: &Namespace, to: &Namespace) -> Result<usize> {
    let mut requests = Vec::new();
    dump(from, |entry| requests.extend(creation(entry)))?;
    let make = || {
        let socket = open()?;
        requests.iter().try_for_each(|request| ask(&socket, request))
    };
    to.enter(make)?.map_err(LabError::io("copy the table of connections"))?;
    Ok(requests.len())
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
