//! What a connection expects, as a value of its flow.
//!
//! ```text
//!  protocol | flags | class | timeout (32) | the expected direction | mask: source, port (16)
//!           | translated: reply, address, port (16) | the name of a function
//! ```

use std::net::IpAddr;

use super::{Bytes, Reject, read_address, read_tuple, write_tuple};
use crate::flow::{
    EXPECTATION_FLAGS, Expectation, ExpectationMask, ExpectationNat, FUNCTION_NAME_MAX,
};

/// Beside [`EXPECTATION_FLAGS`]: a translation follows.
const TRANSLATED: u8 = 0x80;

/// Writes it; `false`, and something that must not be sent, where it contradicts itself.
pub(super) fn write(expectation: &Expectation, v6: bool, out: &mut Vec<u8>) -> bool {
    let Expectation { tuple, mask, nat, function, class, flags, timeout } = expectation;
    let translated = if nat.is_some() { TRANSLATED } else { 0 };
    out.extend([tuple.protocol, flags & EXPECTATION_FLAGS | translated, *class]);
    out.extend(timeout.to_be_bytes());
    let mut fits = tuple.source.is_ipv6() == v6 && write_tuple(tuple, tuple, out);
    fits &= write_address(mask.source, v6, out);
    out.extend(mask.port.to_be_bytes());
    if let Some(nat) = nat {
        out.push(u8::from(nat.reply));
        fits &= write_address(nat.address, v6, out);
        out.extend(nat.port.to_be_bytes());
    }
    out.extend(function.iter().take(FUNCTION_NAME_MAX));
    fits
}

/// Reads it from all of a value.
pub(super) fn read(rest: &mut Bytes<'_>, v6: bool) -> Result<Expectation, Reject> {
    let [number, flags, class] = rest.array().ok_or(Reject::Truncated)?;
    let timeout = rest.u32().ok_or(Reject::Truncated)?;
    let tuple = read_tuple(rest, v6, number)?;
    let source = read_address(rest, v6)?;
    let mask = ExpectationMask { source, port: rest.u16().ok_or(Reject::Truncated)? };
    let nat = match flags & TRANSLATED != 0 {
        true => {
            let reply = rest.u8().ok_or(Reject::Truncated)? != 0;
            let address = read_address(rest, v6)?;
            let port = rest.u16().ok_or(Reject::Truncated)?;
            Some(ExpectationNat { address, port, reply })
        }
        false => None,
    };
    let function = rest.0;
    if function.len() > FUNCTION_NAME_MAX || function.contains(&0) {
        return Err(Reject::Value);
    }
    let (function, flags) = (function.to_vec(), flags & EXPECTATION_FLAGS);
    Ok(Expectation { tuple, mask, nat, function, class, flags, timeout })
}

fn write_address(address: IpAddr, v6: bool, out: &mut Vec<u8>) -> bool {
    match address {
        IpAddr::V4(v4) => out.extend(v4.octets()),
        IpAddr::V6(v6) => out.extend(v6.octets()),
    }
    address.is_ipv6() == v6
}
