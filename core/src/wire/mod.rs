//! Bytes: every format that Evergate puts on a wire or takes from one.
//!
//! ```text
//!   vrrp, ah        the standard's adverts, in front of whoever speaks it     (RFC 3768, RFC 9568)
//!   trailer         what proves behind an advert who has sent it
//!   frame           adverts from the virtual MAC address of their router
//!   arp, ndp        announcements of an address and questions to a neighbour  (RFC 826, RFC 4861)
//!   header          the outside of our own datagrams: who, where, which one
//!   heartbeat, tlv  the inside of them, once the driver has opened the seal
//!   conntrackd      what Debian's daemon of that name says of connections
//! ```
//!
//! Every decoder is total: any bytes give a value or a [`Cause`], never a panic, and no list grows
//! past a named bound. What is refused is refused for one cause, so that it can be counted.
//! `docs/wire.md` describes our own protocol for other implementations.

pub mod ah;
pub mod arp;
mod bytes;
mod cause;
pub mod checksum;
pub mod conntrackd;
pub mod flow;
pub mod frame;
pub mod header;
pub mod heartbeat;
pub mod names;
pub mod ndp;
pub mod replica;
pub mod tlv;
pub mod trailer;
pub mod vrrp;

#[cfg(test)]
pub(crate) mod fixtures;

pub use cause::Cause;
pub(crate) use cause::causes;
