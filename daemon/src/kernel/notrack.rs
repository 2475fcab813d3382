//! Our own port, exempt from connection tracking by a table of our own.
//!
//! Replication would otherwise track, and then replicate, its own traffic. The table belongs to
//! the socket that made it: the kernel removes it when the socket closes, however the process
//! ends, and nobody else's `flush ruleset` takes it away.

use super::error::NetlinkError;
use super::netlink_socket::{DATAGRAM_MAX, NetlinkSocket};
use super::requests::{read_verdict, receive};
use super::rtnetlink::encode::Requests;
use super::rtnetlink::parse::Messages;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = (SUBSYSTEM << 8) | 3;
const NEW_RULE: u16 = (SUBSYSTEM << 8) | 6;
/// The table sees IPv4 and IPv6.
const FAMILY_INET: u8 = 1;
const TABLE_OWNED_BY_SOCKET: u32 = 2;
const HOOK_PREROUTING: u32 = 0;
const HOOK_OUTPUT: u32 = 3;
/// Before connection tracking, which is at -200.
const PRIORITY_RAW: i32 = -300;
const REGISTER: u32 = 1;
const META_PROTOCOL: u32 = 16;
const BASE_TRANSPORT: u32 = 2;
const OPERATOR_EQUAL: u32 = 0;
const PROTOCOL_UDP: u8 = 17;
/// Where a UDP header has its destination port, and the port's length.
const PORT_OFFSET: u32 = 2;
const PORT_BYTES: u32 = 2;

/// The exemption of one port; it ends when this is dropped.
#[derive(Debug)]
pub struct Notrack {
    _owner: NetlinkSocket,
}

impl Notrack {
    /// Exempts datagrams to UDP `port` that come in or go out, in the calling thread's network
    /// namespace, by table `inet evergate_<port>`. Needs `CAP_NET_ADMIN` and Linux 5.12.
    pub fn install(port: u16) -> Result<Self, NetlinkError> {
        let owner = NetlinkSocket::for_requests(libc::NETLINK_NETFILTER)
            .map_err(|error| NetlinkError::from_call(&error))?;
        let mut requests = Requests::default();
        let answers = write_batch(&mut requests, port);
        owner.send(requests.bytes()).map_err(|error| NetlinkError::from_call(&error))?;
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut missing = answers;
        while missing > 0 {
            for message in Messages::new(receive(&owner, &mut buffer)?) {
                let message = message.map_err(|_| NetlinkError::Malformed)?;
                // One failure undoes the whole batch.
                read_verdict(&message)?;
                missing = missing.saturating_sub(1);
            }
        }
        Ok(Self { _owner: owner })
    }
}

/// Writes the batch and returns how many answers it will have.
fn write_batch(requests: &mut Requests, port: u16) -> usize {
    let table = format!("evergate_{port}");
    batch_mark(requests, BATCH_BEGIN);
    let flags = libc::NLM_F_CREATE | libc::NLM_F_ACK;
    requests.message(NEW_TABLE, flags, 1, &family_header(FAMILY_INET, 0), |message| {
        text(message, 1, &table);
        number(message, 2, TABLE_OWNED_BY_SOCKET);
    });
    let mut answers = 1;
    for (chain, hook) in [("prerouting", HOOK_PREROUTING), ("output", HOOK_OUTPUT)] {
        requests.message(NEW_CHAIN, flags, 2, &family_header(FAMILY_INET, 0), |message| {
            text(message, 1, &table);
            text(message, 3, chain);
            message.nested(4, |place| {
                number(place, 1, hook);
                number(place, 2, PRIORITY_RAW.cast_unsigned());
            });
            text(message, 7, "filter");
        });
        let append = flags | libc::NLM_F_APPEND;
        requests.message(NEW_RULE, append, 3, &family_header(FAMILY_INET, 0), |message| {
            text(message, 1, &table);
            text(message, 2, chain);
            message.nested(4, |expressions| write_rule(expressions, port));
        });
        answers += 2;
    }
    batch_mark(requests, BATCH_END);
    answers
}

/// `meta l4proto udp; udp dport PORT; notrack`, as the kernel's own little instructions.
fn write_rule(expressions: &mut Requests, port: u16) {
    expression(expressions, "meta", |meta| {
        number(meta, 1, REGISTER);
        number(meta, 2, META_PROTOCOL);
    });
    compare(expressions, &[PROTOCOL_UDP]);
    expression(expressions, "payload", |payload| {
        number(payload, 1, REGISTER);
        number(payload, 2, BASE_TRANSPORT);
        number(payload, 3, PORT_OFFSET);
        number(payload, 4, PORT_BYTES);
    });
    compare(expressions, &port.to_be_bytes());
    expression(expressions, "notrack", |_| {});
}

fn compare(expressions: &mut Requests, value: &[u8]) {
    expression(expressions, "cmp", |cmp| {
        number(cmp, 1, REGISTER);
        number(cmp, 2, OPERATOR_EQUAL);
        cmp.nested(3, |data| data.attribute(1, value));
    });
}

fn expression(expressions: &mut Requests, name: &str, fill: impl FnOnce(&mut Requests)) {
    const NESTED: u16 = 1 << 15;
    expressions.nested(1 | NESTED, |element| {
        text(element, 1, name);
        element.nested(2 | NESTED, fill);
    });
}

fn batch_mark(requests: &mut Requests, kind: u16) {
    requests.message(kind, 0, 0, &family_header(0, SUBSYSTEM), |_| {});
}

/// The family, a version (0), and for a batch's ends the subsystem it speaks to.
fn family_header(family: u8, subsystem: u16) -> [u8; 4] {
    let [high, low] = subsystem.to_be_bytes();
    [family, 0, high, low]
}

fn text(message: &mut Requests, kind: u16, value: &str) {
    let mut bytes = value.as_bytes().to_vec();
    bytes.push(0);
    message.attribute(kind, &bytes);
}

/// Numbers of nftables are big-endian, unlike those of rtnetlink.
fn number(message: &mut Requests, kind: u16, value: u32) {
    message.attribute(kind, &value.to_be_bytes());
}
