//! Whole Ethernet frames: gratuitous ARP, unsolicited neighbour advertisements, and probes.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use evergate_core::ident::Mac;
use evergate_core::wire::{arp, ndp};
use socket2::{Domain, Socket, Type};

use super::Interface;
use super::error::SocketError;
use super::internet_socket::HOP_LIMIT;
use crate::sys::address::RawAddress;
use crate::sys::message;
use crate::sys::option::bind;

/// The length of an Ethernet header.
pub const ETHERNET_HEADER_BYTES: usize = 14;
const IPV6_HEADER_BYTES: usize = 40;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const NEXT_HEADER_ICMPV6: u8 = 58;
/// The longest ICMPv6 message that is sent here.
pub const CONTROL_MESSAGE_MAX: usize = 128;
const QUEUE_PRIORITY: u32 = 6;

/// Sends frames on one interface, as they are. It receives nothing and so costs nothing.
#[derive(Debug)]
pub struct FrameSocket {
    socket: Socket,
    interface: Interface,
}

impl FrameSocket {
    /// Opens the socket. Needs `CAP_NET_RAW`.
    pub fn open(interface: &Interface) -> Result<Self, SocketError> {
        let step = |attempt: &'static str| {
            move |error: io::Error| SocketError::new(attempt, interface, &error)
        };
        let socket =
            Socket::new(Domain::PACKET, Type::RAW, None).map_err(step("open a frame socket"))?;
        socket.set_nonblocking(true).map_err(step("set up a frame socket"))?;
        socket.set_priority(QUEUE_PRIORITY).map_err(step("set up a frame socket"))?;
        bind(&socket, &RawAddress::link(interface.index, 0))
            .map_err(step("bind a frame socket"))?;
        Ok(Self { socket, interface: interface.clone() })
    }

    /// Sends a frame, from its Ethernet header on. The kernel pads short ones.
    pub fn send(&self, frame: &[u8]) -> Result<(), SocketError> {
        let ethertype = match frame.get(12..ETHERNET_HEADER_BYTES) {
            Some([high, low]) => u16::from_be_bytes([*high, *low]),
            _ => 0,
        };
        let to = RawAddress::link(self.interface.index, ethertype);
        message::send(&self.socket, frame, Some(&to), None, 0)
            .map_err(|error| SocketError::new("send a frame", &self.interface, &error))
    }

    /// Asks who has an address, by ARP (RFC 5227 §2.1.1) or neighbour solicitation, in nobody's name.
    pub fn probe(&self, mac: Mac, address: IpAddr) -> Result<(), SocketError> {
        match address {
            IpAddr::V4(address) => self.send(&arp::Arp::probe(mac, address).broadcast()),
            IpAddr::V6(address) => {
                let group = ndp::solicited_node(address);
                self.send_icmpv6(mac.0, Ipv6Addr::UNSPECIFIED, group, &ndp::probe(address))
            }
        }
    }

    /// Sends an ICMPv6 message (at most [`CONTROL_MESSAGE_MAX`] bytes, checksum included) to a
    /// multicast group, from any address, held by this machine or not.
    pub fn send_icmpv6(
        &self,
        mac: [u8; 6],
        source: Ipv6Addr,
        group: Ipv6Addr,
        message: &[u8],
    ) -> Result<(), SocketError> {
        let mut frame = [0; ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + CONTROL_MESSAGE_MAX];
        let too_large = io::Error::from_raw_os_error(libc::EMSGSIZE);
        let length = write_icmpv6(&mut frame, mac, source, group, message)
            .ok_or_else(|| SocketError::new("send a frame", &self.interface, &too_large))?;
        self.send(&frame[..length])
    }
}

/// Builds the frame and returns its length; `None` if the message is too long.
fn write_icmpv6(
    frame: &mut [u8],
    mac: [u8; 6],
    source: Ipv6Addr,
    group: Ipv6Addr,
    message: &[u8],
) -> Option<usize> {
    if message.len() > CONTROL_MESSAGE_MAX {
        return None;
    }
    let payload = u16::try_from(message.len()).ok()?;
    let mut at = 0;
    let mut put = |part: &[u8]| {
        frame[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    // Multicast over Ethernet: 33:33 and the last four bytes of the group (RFC 2464 §7).
    put(&[0x33, 0x33]);
    put(&group.octets()[12..]);
    put(&mac);
    put(&ETHERTYPE_IPV6.to_be_bytes());
    put(&[0x60, 0, 0, 0]);
    put(&payload.to_be_bytes());
    put(&[NEXT_HEADER_ICMPV6, HOP_LIMIT]);
    put(&source.octets());
    put(&group.octets());
    put(message);
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_icmpv6_frame_is_laid_out_as_the_standards_say() {
        let mut frame = [0; 200];
        let (source, group) = ("fe80::1".parse().unwrap(), "ff02::1".parse().unwrap());
        let length = write_icmpv6(&mut frame, [2, 0, 0, 0, 0, 9], source, group, &[0x88; 32]);
        assert_eq!(length, Some(86));
        assert_eq!(frame[..14], [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd]);
        assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 32, 58, 255]);
        assert_eq!((frame[22], frame[37], frame[38], frame[53]), (0xfe, 1, 0xff, 1));
        assert_eq!(frame[54..86], [0x88; 32]);
    }

    #[test]
    fn a_message_that_is_too_long_is_refused() {
        let long = [0; CONTROL_MESSAGE_MAX + 1];
        let any = Ipv6Addr::UNSPECIFIED;
        assert_eq!(write_icmpv6(&mut [0; 300], [0; 6], any, any, &long), None);
    }
}
