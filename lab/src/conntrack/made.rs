//! Connections that are made by hand, by number, on one gateway: no packet has ever passed them.

use std::os::fd::OwnedFd;

use super::{
    AF_INET, AF_INET6, CREATE, DELETE, NEW, TCP, WITH_ANSWER, ask, attribute, message, nested, open,
};
use crate::error::{LabError, Result};
use crate::netns::Namespace;

/// Requests of one call.
const AT_ONCE: usize = 100;
/// Connections of one address of the client; each address has a server of its own.
const PORTS: u32 = 50_000;
/// How long they live, in seconds.
const LIFETIME_S: u32 = 3600;
/// The port of the servers.
const SERVER_PORT: u16 = 443;
/// The first two bytes of the IPv4 addresses of all clients, which nobody else has.
pub(super) const CLIENTS_V4: u16 = 0x0a64;

/// Of which family they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// From 10.100.0.0/16 to 10.94.0.0/16, translated to 10.92.0.1.
    V4,
    /// From fd9a::/64 to fd94::/64, translated to fd92::1.
    V6,
}

/// A door to the table of a namespace, through which established connections of TCP come, change and go.
#[derive(Debug)]
pub struct Made {
    socket: OwnedFd,
    family: Family,
}

impl Made {
    /// Opens the door.
    pub fn open(namespace: &Namespace, family: Family) -> Result<Self> {
        let socket = namespace.enter(open)?.map_err(LabError::io("open the table"))?;
        Ok(Self { socket, family })
    }

    /// Makes connections, each number another pair of addresses and ports, all behind one address.
    pub fn create(&self, numbers: impl IntoIterator<Item = u32>) -> Result<()> {
        self.write(NEW, CREATE, numbers, |number| self.family.connection(number))
            .map_err(LabError::io("make connections by hand"))
    }

    /// Changes the mark of connections.
    pub fn mark(&self, numbers: impl IntoIterator<Item = u32>, mark: u32) -> Result<()> {
        let marked =
            |number| [self.family.original(number), attribute(8, &mark.to_be_bytes())].concat();
        self.write(NEW, 0, numbers, marked).map_err(LabError::io("mark connections by hand"))
    }

    /// Takes connections out.
    pub fn delete(&self, numbers: impl IntoIterator<Item = u32>) -> Result<()> {
        self.write(DELETE, 0, numbers, |number| self.family.original(number))
            .map_err(LabError::io("delete connections by hand"))
    }

    fn write(
        &self,
        kind: u16,
        flags: u16,
        numbers: impl IntoIterator<Item = u32>,
        body: impl Fn(u32) -> Vec<u8>,
    ) -> std::io::Result<()> {
        let mut numbers = numbers.into_iter().peekable();
        while numbers.peek().is_some() {
            let some: Vec<u32> = numbers.by_ref().take(AT_ONCE).collect();
            let mut request = Vec::new();
            for (place, number) in some.iter().enumerate() {
                let answer = if place + 1 == some.len() { WITH_ANSWER } else { 0 };
                request.extend(message(kind, flags | answer, self.family.code(), &body(*number)));
            }
            ask(&self.socket, &request)?;
        }
        Ok(())
    }
}

/// An address and a port as the kernel has them.
type End = (Vec<u8>, u16);

impl Family {
    fn code(self) -> u8 {
        match self {
            Self::V4 => AF_INET,
            Self::V6 => AF_INET6,
        }
    }

    /// Client, server, and the client as the server sees it.
    fn ends(self, number: u32) -> [End; 3] {
        let [_, _, high, low] = (number / PORTS).to_be_bytes();
        let port = u16::try_from(10_000 + number % PORTS).unwrap_or(0);
        let [client, server, outside] = match self {
            Self::V4 => {
                let [ten, hundred] = CLIENTS_V4.to_be_bytes();
                [vec![ten, hundred, high, low], vec![10, 94, high, low], vec![10, 92, 0, 1]]
            }
            Self::V6 => {
                let address = |net: [u8; 2], host: [u8; 2]| [&net[..], &[0; 12], &host].concat();
                let (client, server) = ([0xfd, 0x9a], [0xfd, 0x94]);
                let outside = address([0xfd, 0x92], [0, 1]);
                [address(client, [high, low]), address(server, [high, low]), outside]
            }
        };
        [(client, port), (server, SERVER_PORT), (outside, port)]
    }

    /// A tuple, in the numbers of nfnetlink_conntrack.h.
    fn tuple(self, kind: u16, from: &End, to: &End) -> Vec<u8> {
        let (source, target) = if self == Self::V4 { (1, 2) } else { (3, 4) };
        let addresses = nested(1, &[attribute(source, &from.0), attribute(target, &to.0)]);
        let ports = [attribute(2, &from.1.to_be_bytes()), attribute(3, &to.1.to_be_bytes())];
        nested(kind, &[addresses, nested(2, &[attribute(1, &[TCP]), ports.concat()])])
    }

    fn original(self, number: u32) -> Vec<u8> {
        let [client, server, _] = self.ends(number);
        self.tuple(1, &client, &server)
    }

    /// The attributes of an established connection whose source is translated.
    fn connection(self, number: u32) -> Vec<u8> {
        let [client, server, outside] = self.ends(number);
        let tuples = [self.tuple(1, &client, &server), self.tuple(2, &server, &client)];
        let bounds = if self == Self::V4 { [1, 2] } else { [4, 5] };
        let port = outside.1.to_be_bytes();
        let ports = nested(3, &[attribute(1, &port), attribute(2, &port)]);
        let addresses = bounds.map(|kind| attribute(kind, &outside.0)).concat();
        let translated = nested(6, &[addresses, ports]);
        let seen_reply_assured_confirmed = attribute(3, &0x0e_u32.to_be_bytes());
        let established = nested(4, &[nested(1, &[attribute(1, &[3])])]);
        let timeout = attribute(7, &LIFETIME_S.to_be_bytes());
        let rest = [translated, seen_reply_assured_confirmed, established, timeout];
        [tuples.concat(), rest.concat()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_numbers_share_a_tuple_in_either_direction() {
        for family in [Family::V4, Family::V6] {
            let numbers = [0, 1, PORTS - 1, PORTS, PORTS + 1, 1_000_000, 16_000_000];
            let mut original = numbers.map(|number| family.original(number)).to_vec();
            let mut reply = numbers
                .map(|number| {
                    let [_, server, outside] = family.ends(number);
                    family.tuple(2, &server, &outside)
                })
                .to_vec();
            for all in [&mut original, &mut reply] {
                all.sort();
                all.dedup();
                assert_eq!(all.len(), numbers.len(), "{family:?}");
            }
        }
    }
}
