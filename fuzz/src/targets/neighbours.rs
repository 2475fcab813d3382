//! Any bytes as an ARP frame and as a message of neighbour discovery: no panic.

use std::net::Ipv6Addr;

use evergate_core::wire::{arp, checksum::Sum, ndp};

/// One execution; whether a decoder took the bytes.
pub fn run(bytes: &[u8]) -> bool {
    let packet = arp::Arp::decode(bytes);
    if let Ok(packet) = &packet {
        assert_eq!(arp::Arp::decode(&packet.broadcast()), Ok(*packet));
    }
    let source: Ipv6Addr = "fe80::a".parse().expect("an address");
    let mut message = bytes.to_vec();
    if let (Ok(length), true) = (u16::try_from(message.len()), message.len() >= 4) {
        // The checksum is made right, so that the fuzzer gets past it.
        message[2..4].fill(0);
        let sum = Sum::new().pseudo_v6(source, ndp::ALL_NODES, ndp::PROTOCOL, length);
        let sum = sum.bytes(&message).checksum();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    let mended = ndp::decode(&message, source, ndp::ALL_NODES, ndp::HOP_LIMIT);
    let _ = ndp::decode(bytes, source, ndp::ALL_NODES, ndp::HOP_LIMIT);
    packet.is_ok() || mended.is_ok()
}
