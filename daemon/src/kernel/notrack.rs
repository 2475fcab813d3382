//! Our own port, exempt from connection tracking by a table of our own.
//!
//! Replication would otherwise track, and then replicate, its own traffic. The table belongs to
//! the socket that made it, and goes with it.

use super::error::NetlinkError;
use super::nftables::{self, Hook, OwnedTable, REGISTER};
use super::rtnetlink::encode::Requests;

/// Before connection tracking, which is at -200.
const PRIORITY_RAW: i32 = -300;
const META_L4PROTO: u32 = 16;
const PROTOCOL_UDP: u8 = 17;
/// Where a packet has its destination port of UDP: behind the IP header, offset and length.
const DESTINATION_PORT: (u32, u32, u32) = (2, 2, 2);

/// The exemption of one port; it ends when this is dropped.
#[derive(Debug)]
pub struct Notrack {
    _table: OwnedTable,
}

impl Notrack {
    /// Exempts datagrams to UDP `port` that come in or go out, in the calling thread's network
    /// namespace, by table `inet evergate_<port>`. Needs `CAP_NET_ADMIN` and Linux 5.12.
    pub fn install(port: u16) -> Result<Self, NetlinkError> {
        let table = OwnedTable::make(format!("evergate_{port}"), |batch| {
            for (chain, hook) in [("prerouting", Hook::Prerouting), ("output", Hook::Output)] {
                batch.chain(chain, hook, PRIORITY_RAW);
                batch.rule(chain, |expressions| write_rule(expressions, port));
            }
        });
        Ok(Self { _table: table? })
    }
}

/// `meta l4proto udp; udp dport PORT; notrack`.
fn write_rule(expressions: &mut Requests, port: u16) {
    nftables::meta(expressions, META_L4PROTO, REGISTER);
    nftables::compare(expressions, &[PROTOCOL_UDP]);
    nftables::payload(expressions, REGISTER, DESTINATION_PORT);
    nftables::compare(expressions, &port.to_be_bytes());
    nftables::expression(expressions, "notrack", |_| {});
}
