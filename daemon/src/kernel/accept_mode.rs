//! Accept mode off (RFC 9568 §6.1): packets that are addressed to virtual addresses are dropped where they
//! would be taken by this machine. What is forwarded never comes there; ARP is not IP, and neighbour
//! discovery passes.
//!
//! The rules do not change with the state: on a standby no such packet is for this machine. So they are there
//! before an address is, and go with the process alone.

use std::net::IpAddr;

use super::error::NetlinkError;
use super::nftables::{self, Batch, Hook, OwnedTable, REGISTER, REGISTER_2, Verdict};
use super::rtnetlink::encode::Requests;

/// Before the chains of the host, which are at 0 most often.
const PRIORITY: i32 = -1;
const CHAIN: &str = "input";
/// The most keys in one batch: with 44 bytes each, they fit an attribute of 64 KiB.
const KEYS_PER_BATCH_MAX: usize = 1000;
const META_IIF: u32 = 4;
const META_IIFNAME: u32 = 6;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
/// `lo` is the first interface of every network namespace.
const LOOPBACK: u32 = 1;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const PROTOCOL_ICMPV6: u8 = 58;
/// Neighbour solicitation and advertisement (RFC 4861 section 4.3, 4.4).
const NEIGHBOUR_DISCOVERY: [u8; 2] = [135, 136];
/// The type of an ICMPv6 message: behind the IP header, offset and length.
const ICMPV6_TYPE: (u32, u32, u32) = (2, 0, 1);
/// Where the IP header has its destination: base, offset and length.
const DESTINATION_IPV4: (u32, u32, u32) = (1, 16, 4);
const DESTINATION_IPV6: (u32, u32, u32) = (1, 24, 16);
/// Bytes of an interface's name in a register.
const NAME_BYTES: usize = 16;
/// The set types of `nft`, by its own numbers: `ipv4_addr`, `ipv6_addr`, `ifname . ipv6_addr`.
const KIND_IPV4: u32 = 7;
const KIND_IPV6: u32 = 8;
const KIND_LINK_LOCAL: u32 = 41 << 6 | 8;

/// A virtual address that the machine does not take packets for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Unaccepted {
    /// The address.
    pub address: IpAddr,
    /// The interface that it is on: link-local addresses mean nothing without.
    pub interface: String,
}

/// The rules; they end when this is dropped.
#[derive(Debug)]
pub struct AcceptOff {
    _table: OwnedTable,
}

impl AcceptOff {
    /// Has packets to these addresses dropped, in the calling thread's network namespace, by table
    /// `inet <name>`. Needs `CAP_NET_ADMIN` and Linux 5.12.
    pub fn install(name: String, addresses: &[Unaccepted]) -> Result<Self, NetlinkError> {
        let table = OwnedTable::make(name, |batch| {
            batch.set("ipv4", KIND_IPV4, 4, 1);
            batch.set("ipv6", KIND_IPV6, 16, 2);
            batch.set("link_local", KIND_LINK_LOCAL, 32, 3);
            batch.chain(CHAIN, Hook::Input, PRIORITY);
            write_rules(batch);
        })?;
        for (set, chosen) in [
            ("ipv4", is_ipv4 as fn(&IpAddr) -> bool),
            ("ipv6", |ip| !is_ipv4(ip) && !is_link_local(ip)),
            ("link_local", is_link_local),
        ] {
            let keys = addresses.iter().filter(|one| chosen(&one.address));
            let keys: Vec<Vec<u8>> = keys.map(key).collect();
            for keys in keys.chunks(KEYS_PER_BATCH_MAX) {
                table.change(|batch| batch.elements(set, keys))?;
            }
        }
        Ok(Self { _table: table })
    }
}

fn is_ipv4(address: &IpAddr) -> bool {
    address.is_ipv4()
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// An address as its set has it.
fn key(unaccepted: &Unaccepted) -> Vec<u8> {
    match unaccepted.address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            let mut key = unaccepted.interface.as_bytes().to_vec();
            key.resize(NAME_BYTES, 0);
            key.extend(address.octets());
            key
        }
        IpAddr::V6(address) => address.octets().into(),
    }
}

fn write_rules(batch: &mut Batch<'_>) {
    // What the machine says to itself was not received from anybody.
    batch.rule(CHAIN, |rule| {
        nftables::meta(rule, META_IIF, REGISTER);
        nftables::compare(rule, &LOOPBACK.to_ne_bytes());
        nftables::verdict(rule, Verdict::Accept);
    });
    for kind in NEIGHBOUR_DISCOVERY {
        batch.rule(CHAIN, |rule| {
            is_family(rule, NFPROTO_IPV6);
            nftables::meta(rule, META_L4PROTO, REGISTER);
            nftables::compare(rule, &[PROTOCOL_ICMPV6]);
            nftables::payload(rule, REGISTER, ICMPV6_TYPE);
            nftables::compare(rule, &[kind]);
            nftables::verdict(rule, Verdict::Accept);
        });
    }
    for (family, destination, set) in
        [(NFPROTO_IPV4, DESTINATION_IPV4, "ipv4"), (NFPROTO_IPV6, DESTINATION_IPV6, "ipv6")]
    {
        batch.rule(CHAIN, |rule| {
            is_family(rule, family);
            nftables::payload(rule, REGISTER, destination);
            nftables::lookup(rule, set);
            nftables::verdict(rule, Verdict::Drop);
        });
    }
    batch.rule(CHAIN, |rule| {
        is_family(rule, NFPROTO_IPV6);
        nftables::meta(rule, META_IIFNAME, REGISTER);
        nftables::payload(rule, REGISTER_2, DESTINATION_IPV6);
        nftables::lookup(rule, "link_local");
        nftables::verdict(rule, Verdict::Drop);
    });
}

fn is_family(rule: &mut Requests, family: u8) {
    nftables::meta(rule, META_NFPROTO, REGISTER);
    nftables::compare(rule, &[family]);
}
