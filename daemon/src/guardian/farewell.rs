//! Sending the wills of a dead core, and hearing who succeeds it.
//!
//! One socket for each way of sending, whatever the number of interfaces and routers: interface and
//! source address go with each packet.

use std::io;
use std::net::IpAddr;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use evergate_core::ident::Family;
use evergate_core::wire::ah;

use crate::estate::{Estate, Transport, Will};
use crate::sys::address::RawAddress;
use crate::sys::message::{Origin, receive, send};
use crate::sys::option::{set_int, set_receive_buffer};

/// Hop limit of all we send.
const HOP_LIMIT: u32 = 255;
/// IP protocol of VRRP.
const VRRP_PROTOCOL: i32 = 112;
/// Room for the few adverts between a resignation and its answer.
const RECEIVE_BUFFER_BYTES: i32 = 16 * 1024;
/// Packets read at one go.
pub const PACKETS_PER_READ_MAX: usize = 64;
/// Groups that are joined, each on its interface.
pub const JOINED_MAX: usize = 1024;

/// An advert that a living router has sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Successor {
    /// Interface by which it came.
    pub ifindex: u32,
    /// Its virtual router.
    pub vrid: u8,
    /// The family over which it came.
    pub family: Family,
    /// Who sent it.
    pub source: IpAddr,
}

/// The sockets of a guardian. What could not be opened is left out: a will that cannot be sent
/// must not keep an address up.
#[derive(Debug, Default)]
pub struct Farewell {
    vrrp_v4: Option<Socket>,
    vrrp_v6: Option<Socket>,
    /// Whole packets with an authentication header.
    vrrp_header: Option<Socket>,
    udp_v4: Option<Socket>,
    udp_v6: Option<Socket>,
    joined: Vec<(u32, IpAddr)>,
}

impl Farewell {
    /// Opens the sockets; the errors of those that are not to be had.
    pub fn open() -> (Self, Vec<io::Error>) {
        let mut errors = Vec::new();
        let mut keep = |socket: io::Result<Socket>| socket.map_err(|e| errors.push(e)).ok();
        let farewell = Farewell {
            vrrp_v4: keep(open(Domain::IPV4, Type::RAW, VRRP_PROTOCOL)),
            vrrp_v6: keep(open(Domain::IPV6, Type::RAW, VRRP_PROTOCOL)),
            vrrp_header: keep(open_header()),
            udp_v4: keep(open(Domain::IPV4, Type::DGRAM, libc::IPPROTO_UDP)),
            udp_v6: keep(open(Domain::IPV6, Type::DGRAM, libc::IPPROTO_UDP)),
            joined: Vec::new(),
        };
        (farewell, errors)
    }

    /// Joins the groups of these wills on their interfaces, so that a successor is heard also
    /// when the core's own membership has gone with it. An interface where this fails is served by
    /// the time limit alone.
    pub fn prepare(&mut self, estate: &Estate) {
        for will in estate.wills.iter().take(JOINED_MAX) {
            // What others answer to adverts that go to single routers comes to us without.
            if will.transport == Transport::Udp || !will.destination.is_multicast() {
                continue;
            }
            let key = (will.ifindex, will.destination);
            if self.joined.contains(&key) || self.joined.len() >= JOINED_MAX {
                continue;
            }
            let joined = match key {
                (ifindex, IpAddr::V4(group)) => self.vrrp_v4.as_ref().is_some_and(|socket| {
                    let interface = InterfaceIndexOrAddress::Index(ifindex);
                    socket.join_multicast_v4_n(&group, &interface).is_ok()
                }),
                (ifindex, IpAddr::V6(group)) => self
                    .vrrp_v6
                    .as_ref()
                    .is_some_and(|socket| socket.join_multicast_v6(&group, ifindex).is_ok()),
            };
            if joined {
                self.joined.push(key);
            }
        }
    }

    /// Sends every will once, in order; returns how many were refused.
    pub fn send(&self, wills: &[Will]) -> usize {
        wills.iter().filter(|will| self.send_one(will).is_err()).count()
    }

    /// Forgets what was heard so far: it was sent before the resignation.
    pub fn drain(&self) {
        for socket in self.ears() {
            let mut buffer = [0; 128];
            for _ in 0..PACKETS_PER_READ_MAX {
                if !matches!(receive(socket, &mut buffer), Ok(Some(_))) {
                    break;
                }
            }
        }
    }

    /// The sockets on which successors are heard.
    pub fn ears(&self) -> impl Iterator<Item = &Socket> {
        [&self.vrrp_v4, &self.vrrp_v6, &self.vrrp_header].into_iter().flatten()
    }

    /// The next successor heard, if there is one.
    pub fn hear(&self) -> Option<Successor> {
        let over_v4 = [&self.vrrp_v4, &self.vrrp_header].into_iter().flatten();
        let over_v4 = over_v4.filter_map(|socket| hear_on(socket, Family::V4)).next();
        over_v4.or_else(|| self.vrrp_v6.as_ref().and_then(|socket| hear_on(socket, Family::V6)))
    }

    fn send_one(&self, will: &Will) -> io::Result<()> {
        let socket = match (will.transport, will.destination) {
            (Transport::VrrpV4, _) => &self.vrrp_v4,
            (Transport::VrrpV6, _) => &self.vrrp_v6,
            (Transport::VrrpHeader, _) => &self.vrrp_header,
            (Transport::Udp, IpAddr::V4(_)) => &self.udp_v4,
            (Transport::Udp, IpAddr::V6(_)) => &self.udp_v6,
        };
        let socket = socket.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        let destination = RawAddress::on_interface(will.destination, will.port, will.ifindex);
        let (source, ifindex, hops) = (will.source, will.ifindex, Some(will.hops));
        let origin = Some(Origin { source, ifindex, hops });
        send(socket, &will.bytes, Some(&destination), origin, libc::MSG_DONTWAIT)
    }
}

fn open_header() -> io::Result<Socket> {
    let socket = open(Domain::IPV4, Type::RAW, ah::PROTOCOL.into())?;
    socket.set_header_included_v4(true)?;
    Ok(socket)
}

fn open(domain: Domain, kind: Type, protocol: i32) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, Some(Protocol::from(protocol)))?;
    socket.set_nonblocking(true)?;
    let _ = set_receive_buffer(&socket, RECEIVE_BUFFER_BYTES);
    if domain == Domain::IPV4 {
        socket.set_ttl_v4(HOP_LIMIT)?;
        socket.set_multicast_ttl_v4(HOP_LIMIT)?;
        socket.set_multicast_loop_v4(false)?;
        set_int(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
    } else {
        socket.set_unicast_hops_v6(HOP_LIMIT)?;
        socket.set_multicast_hops_v6(HOP_LIMIT)?;
        socket.set_multicast_loop_v6(false)?;
        set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
    }
    Ok(socket)
}

/// The next advert on a socket that a living router has sent.
fn hear_on(socket: &Socket, family: Family) -> Option<Successor> {
    let mut buffer = [0; 128];
    for _ in 0..PACKETS_PER_READ_MAX {
        let datagram = receive(socket, &mut buffer).ok()??;
        let bytes = &buffer[..datagram.length];
        // A raw socket of IPv4 hands out the IP header too.
        let payload = match family {
            Family::V4 => behind_headers(bytes),
            Family::V6 => Some(bytes),
        };
        let source = datagram.source.as_internet().map(|address| address.ip());
        let heard = payload.and_then(living_vrid).zip(datagram.ifindex).zip(source);
        if let Some(((vrid, ifindex), source)) = heard {
            return Some(Successor { ifindex, vrid, family, source });
        }
    }
    None
}

/// What is behind the IPv4 header, and behind an authentication header. That is not verified here: the
/// guardian has no keys, and whoever forges a successor gains the moment for which we would have waited.
fn behind_headers(packet: &[u8]) -> Option<&[u8]> {
    let length = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    let inner = packet.get(length..)?;
    match packet.get(9) {
        Some(&ah::PROTOCOL) => ah::Header::decode(inner).ok().map(|(_, advert)| advert),
        _ => Some(inner),
    }
}

/// The VRID of an advert whose sender does not resign (RFC 9568 section 5.1).
fn living_vrid(vrrp: &[u8]) -> Option<u8> {
    const ADVERTISEMENT: u8 = 1;
    match vrrp {
        [0x20..=0x3f, vrid, priority, ..] if vrrp[0] & 0x0f == ADVERTISEMENT && *priority > 0 => {
            Some(*vrid)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn only_an_advert_of_a_living_router_is_a_successor() {
        assert_eq!(living_vrid(&[0x31, 51, 100, 1]), Some(51));
        assert_eq!(living_vrid(&[0x21, 7, 255, 1]), Some(7));
        assert_eq!(living_vrid(&[0x31, 51, 0, 1]), None, "it resigns");
        assert_eq!(living_vrid(&[0x32, 51, 100, 1]), None, "not an advert");
        assert_eq!(living_vrid(&[0x41, 51, 100, 1]), None, "an unknown version");
        assert_eq!(living_vrid(&[0x31, 51]), None);
        assert_eq!(living_vrid(&[]), None);
    }

    #[test]
    fn a_guardian_without_sockets_refuses_every_will_and_hears_nobody() {
        let mut farewell = Farewell::default();
        let will = Will {
            transport: Transport::VrrpV4,
            group: None,
            ifindex: 1,
            source: Ipv4Addr::LOCALHOST.into(),
            destination: Ipv4Addr::new(224, 0, 0, 18).into(),
            hops: 255,
            port: 0,
            bytes: vec![0x31, 51, 0],
        };
        farewell.prepare(&Estate { groups: vec![], wills: vec![will.clone()] });
        assert_eq!(farewell.send(std::slice::from_ref(&will)), 1);
        farewell.drain();
        assert_eq!(farewell.hear(), None);
    }
}
