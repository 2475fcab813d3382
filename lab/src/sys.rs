//! The lab's only unsafe code.

#![allow(unsafe_code)]

use std::mem::size_of;

use nix::libc::{AF_PACKET, ETH_P_ALL, sockaddr, sockaddr_ll, socklen_t};
use nix::sys::socket::{LinkAddr, SockaddrLike};

/// The address to bind a packet socket to one interface, for frames of every protocol.
pub fn link_address(interface: u32) -> Option<LinkAddr> {
    let raw = sockaddr_ll {
        sll_family: u16::try_from(AF_PACKET).ok()?,
        sll_protocol: u16::try_from(ETH_P_ALL).ok()?.to_be(),
        sll_ifindex: i32::try_from(interface).ok()?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = socklen_t::try_from(size_of::<sockaddr_ll>()).ok()?;
    // nix has no safe constructor of this address.
    // SAFETY: the pointer is to a whole sockaddr_ll on this stack, its family says so, and the length is its size; nix copies it.
    unsafe { LinkAddr::from_raw((&raw const raw).cast::<sockaddr>(), Some(length)) }
}
