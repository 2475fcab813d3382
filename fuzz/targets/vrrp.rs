//! Any bytes: no panic; an advert that was read is written and read again as it was.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use evergate_core::ident::Family;
use evergate_core::wire::{ah, vrrp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, packet)) = bytes.split_first() else { return };
    let v4 = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let v6 = IpAddr::V6("fe80::a".parse().expect("an address"));
    let (family, source, destination) = match choice & 3 {
        0 => (Family::V4, v4(1), IpAddr::V4(vrrp::GROUP_V4)),
        1 => (Family::V4, v4(1), v4(2)),
        _ => (Family::V6, v6, IpAddr::V6(vrrp::GROUP_V6)),
    };
    let hop_limit_min = if choice & 3 == 1 { 0 } else { vrrp::HOP_LIMIT };
    let context = vrrp::Context { family, source, destination, hop_limit: 255, hop_limit_min };
    let packet = if choice & 4 == 0 { packet.to_vec() } else { mended(packet) };
    let packet = match ah::Header::decode(&packet) {
        Ok((_, advert)) if choice & 8 != 0 => advert,
        _ => &packet,
    };
    if let Ok((advert, dialect)) = vrrp::decode(packet, &context) {
        let mut again = Vec::new();
        vrrp::encode(&advert, dialect, source, destination, &mut again)
            .expect("what was read can be written");
        assert_eq!(vrrp::decode(&again, &context), Ok((advert, dialect)));
    }
});

/// The packet with a plain checksum that is right, so that the fuzzer gets past it.
fn mended(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet.len() >= 8 {
        packet[6..8].fill(0);
        let sum = evergate_core::wire::checksum::Sum::new().bytes(&packet).checksum();
        packet[6..8].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}
