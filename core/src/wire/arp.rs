//! ARP frames over Ethernet (RFC 826): announcements, questions to a neighbour, and what is heard.

use std::net::Ipv4Addr;

use super::bytes::Bytes;
use super::cause::causes;
use crate::ident::Mac;

/// The length of a frame: Ethernet header and ARP packet. The kernel pads it to Ethernet's minimum.
pub const FRAME_LEN: usize = ETHERNET_LEN + PACKET_LEN;
/// The Ethernet type of ARP.
pub const ETHERTYPE: u16 = 0x0806;
/// The Ethernet address of everybody.
pub const BROADCAST: Mac = Mac([0xff; 6]);

const ETHERNET_LEN: usize = 14;
const PACKET_LEN: usize = 28;
/// Hardware Ethernet, protocol IPv4, and the lengths of their addresses.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
/// Not an address of anybody yet.
const NO_MAC: Mac = Mac([0; 6]);

/// Whether an ARP packet asks or answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// Opcode 1.
    Request,
    /// Opcode 2.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Arp {
    /// Asks or answers.
    pub operation: Operation,
    /// The Ethernet address that the sender claims.
    pub sender_mac: Mac,
    /// The IPv4 address that the sender claims; unspecified in a probe.
    pub sender: Ipv4Addr,
    /// The Ethernet address of the one spoken to; of no meaning in a request.
    pub target_mac: Mac,
    /// The IPv4 address that is spoken to or asked for.
    pub target: Ipv4Addr,
}

causes! {
    /// Why an ARP frame was refused.
    Reject {
        /// The frame ends within the packet.
        Length = "arp-length",
        /// The frame is not ARP, or not for IPv4 over Ethernet.
        Kind = "arp-kind",
        /// It neither asks nor answers.
        Operation = "arp-operation",
    }
}

impl Arp {
    /// A gratuitous request (RFC 5227 §3): "`address` is at `mac`". The target's Ethernet address
    /// is the broadcast address, as VRRP routers in the field have it.
    pub fn announcement(mac: Mac, address: Ipv4Addr) -> Arp {
        Arp {
            operation: Operation::Request,
            sender_mac: mac,
            sender: address,
            target_mac: BROADCAST,
            target: address,
        }
    }

    /// A question whether `target` is there, which touches nobody's ARP cache because it names no
    /// sender (RFC 5227 §2.1.1).
    pub fn probe(mac: Mac, target: Ipv4Addr) -> Arp {
        Arp {
            operation: Operation::Request,
            sender_mac: mac,
            sender: Ipv4Addr::UNSPECIFIED,
            target_mac: NO_MAC,
            target,
        }
    }

    /// The whole frame, sent to everybody.
    pub fn broadcast(&self) -> [u8; FRAME_LEN] {
        let mut frame = [0; FRAME_LEN];
        let operation = match self.operation {
            Operation::Request => 1_u16,
            Operation::Reply => 2,
        };
        let parts: [&[u8]; 9] = [
            &BROADCAST.0,
            &self.sender_mac.0,
            &ETHERTYPE.to_be_bytes(),
            &KIND,
            &operation.to_be_bytes(),
            &self.sender_mac.0,
            &self.sender.octets(),
            &self.target_mac.0,
            &self.target.octets(),
        ];
        let mut at = 0;
        for part in parts {
            frame[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        frame
    }

    /// Reads a frame from its Ethernet header on; padding behind the packet is ignored.
    pub fn decode(frame: &[u8]) -> Result<Arp, Reject> {
        let (ethernet, packet) = frame.split_at_checked(ETHERNET_LEN).ok_or(Reject::Length)?;
        if !ethernet.ends_with(&ETHERTYPE.to_be_bytes()) {
            return Err(Reject::Kind);
        }
        Arp::decode_packet(packet)
    }

    /// Reads what follows the Ethernet header.
    pub fn decode_packet(packet: &[u8]) -> Result<Arp, Reject> {
        if packet.len() < PACKET_LEN {
            return Err(Reject::Length);
        }
        let mut rest = Bytes(packet);
        if rest.array() != Some(KIND) {
            return Err(Reject::Kind);
        }
        let operation = match rest.u16() {
            Some(1) => Operation::Request,
            Some(2) => Operation::Reply,
            _ => return Err(Reject::Operation),
        };
        let sender_mac = Mac(rest.array().ok_or(Reject::Length)?);
        let sender = Ipv4Addr::from(rest.array::<4>().ok_or(Reject::Length)?);
        let target_mac = Mac(rest.array().ok_or(Reject::Length)?);
        let target = Ipv4Addr::from(rest.array::<4>().ok_or(Reject::Length)?);
        Ok(Arp { operation, sender_mac, sender, target_mac, target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixtures::{Dice, hex};

    const MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x0a]);

    #[test]
    fn an_announcement_is_this_frame() {
        let frame = Arp::announcement(MAC, Ipv4Addr::new(10, 91, 0, 1)).broadcast();
        let literal = hex("ffffffffffff 02000000000a 0806 0001 0800 06 04 0001
                           02000000000a 0a5b0001 ffffffffffff 0a5b0001");
        assert_eq!(frame.as_slice(), literal);
    }

    #[test]
    fn a_probe_is_this_frame_and_names_no_sender() {
        let frame = Arp::probe(MAC, Ipv4Addr::new(10, 91, 0, 9)).broadcast();
        let literal = hex("ffffffffffff 02000000000a 0806 0001 0800 06 04 0001
                           02000000000a 00000000 000000000000 0a5b0009");
        assert_eq!(frame.as_slice(), literal);
    }

    #[test]
    fn a_padded_reply_is_read_and_a_cut_one_is_refused() {
        let reply = Arp {
            operation: Operation::Reply,
            sender_mac: Mac([2, 0, 0, 0, 0, 9]),
            sender: Ipv4Addr::new(10, 91, 0, 9),
            target_mac: MAC,
            target: Ipv4Addr::UNSPECIFIED,
        };
        let mut frame = reply.broadcast().to_vec();
        for length in 0..FRAME_LEN {
            assert_eq!(Arp::decode(&frame[..length]), Err(Reject::Length));
        }
        frame.resize(60, 0);
        assert_eq!(Arp::decode(&frame), Ok(reply));
    }

    #[test]
    fn other_frames_are_refused_by_cause() {
        let good = Arp::probe(MAC, Ipv4Addr::new(10, 91, 0, 9)).broadcast();
        for (at, cause) in [(12, Reject::Kind), (15, Reject::Kind), (21, Reject::Operation)] {
            let mut frame = good;
            frame[at] ^= 0x40;
            assert_eq!(Arp::decode(&frame), Err(cause), "byte {at}");
        }
    }

    #[test]
    fn what_is_read_is_written_again() {
        let mut dice = Dice(11);
        let good = Arp::probe(MAC, Ipv4Addr::new(10, 91, 0, 9)).broadcast();
        for _ in 0..20_000 {
            let frame = dice.mutate(&good);
            if let Ok(arp) = Arp::decode(&frame) {
                assert_eq!(arp.broadcast()[14..], frame[14..FRAME_LEN]);
            }
        }
    }
}
