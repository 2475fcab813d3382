//! Requests about what a connection expects.

use std::net::IpAddr;

use evergate_core::flow::{EXPECTATION_FLAGS, Expectation, FlowKey, Part, Tuple};

use super::super::attributes::{self as a, NESTED};
use super::tuple::write_tuple;
use super::{family_header, number, request};
use crate::kernel::rtnetlink::encode::{Requests, family_of};

/// It stays after its connection has come.
const PERMANENT: u8 = 0x01;

/// Makes an expectation of a connection that is there and has the helper of this name. The kernel
/// forgets it after the time that the helper has for it, see [`set_expectation_timeout`].
pub fn expect(
    out: &mut Requests,
    sequence: u32,
    master: &FlowKey,
    expectation: &Expectation,
    helper: &[u8],
) {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    request(out, a::IPCTNL_MSG_EXP_NEW, flags, sequence, master, |out| {
        write_place(out, master, expectation);
        let like = |address, port| like(&expectation.tuple, address, port);
        if let Some(nat) = expectation.nat {
            out.nested(a::CTA_EXPECT_NAT | NESTED, |out| {
                number(out, a::CTA_EXPECT_NAT_DIR, u32::from(nat.reply));
                write_tuple(out, a::CTA_EXPECT_NAT_TUPLE, &like(nat.address, nat.port), None);
            });
        }
        number(out, a::CTA_EXPECT_FLAGS, u32::from(expectation.flags & EXPECTATION_FLAGS));
        // A named helper becomes that of the expected connection: one that carries files must have
        // none. But the kernel takes a class only with a name, and what is permanent is of the kind
        // of its master.
        if expectation.class != 0 || expectation.flags & PERMANENT != 0 {
            text(out, a::CTA_EXPECT_HELP_NAME, helper);
            number(out, a::CTA_EXPECT_CLASS, u32::from(expectation.class));
        }
        if !expectation.function.is_empty() {
            text(out, a::CTA_EXPECT_FN, &expectation.function);
        }
    });
}

/// Lets the kernel forget an expectation after so many seconds; it must be there.
pub fn set_expectation_timeout(
    out: &mut Requests,
    sequence: u32,
    master: &FlowKey,
    expectation: &Expectation,
    timeout_s: u32,
) {
    request(out, a::IPCTNL_MSG_EXP_NEW, 0, sequence, master, |out| {
        write_place(out, master, expectation);
        number(out, a::CTA_EXPECT_TIMEOUT, timeout_s);
    });
}

/// Takes back an expectation of a connection.
pub fn unexpect(out: &mut Requests, sequence: u32, master: &FlowKey, expectation: &Expectation) {
    request(out, a::IPCTNL_MSG_EXP_DELETE, 0, sequence, master, |out| {
        write_zone(out, master);
        write_tuple(out, a::CTA_EXPECT_TUPLE, &expectation.tuple, None);
    });
}

/// Asks for all that a connection expects, or for what all connections of both families expect.
///
/// Of a connection that cannot expect anything the kernel gives no list: so the answer is asked for.
pub fn list_expectations(out: &mut Requests, sequence: u32, master: Option<&FlowKey>) {
    let family = master.map_or(0, |key| family_of(key.original.source));
    let flags = libc::NLM_F_DUMP | libc::NLM_F_ACK;
    out.message(a::IPCTNL_MSG_EXP_GET, flags, sequence, &family_header(family), |out| {
        if let Some(key) = master {
            write_zone(out, key);
            write_tuple(out, a::CTA_EXPECT_MASTER, &key.original, None);
        }
    });
}

/// Whose expectation it is and where it is found.
fn write_place(out: &mut Requests, master: &FlowKey, expectation: &Expectation) {
    write_zone(out, master);
    write_tuple(out, a::CTA_EXPECT_MASTER, &master.original, None);
    write_tuple(out, a::CTA_EXPECT_TUPLE, &expectation.tuple, None);
    let mask = &expectation.mask;
    write_tuple(out, a::CTA_EXPECT_MASK, &like(&expectation.tuple, mask.source, mask.port), None);
}

fn write_zone(out: &mut Requests, master: &FlowKey) {
    if master.zones.original != 0 {
        out.attribute(a::CTA_EXPECT_ZONE, &master.zones.original.to_be_bytes());
    }
}

/// A tuple of which the kernel reads nothing but source and protocol.
fn like(tuple: &Tuple, source: IpAddr, port: u16) -> Tuple {
    let part = match tuple.part {
        Part::Ports { .. } => Part::Ports { source: port, target: 0 },
        other => other,
    };
    Tuple { source, part, ..*tuple }
}

/// A text with the zero that ends it.
fn text(out: &mut Requests, kind: u16, text: &[u8]) {
    let mut ended = Vec::with_capacity(text.len() + 1);
    ended.extend_from_slice(text);
    ended.push(0);
    out.attribute(kind, &ended);
}
