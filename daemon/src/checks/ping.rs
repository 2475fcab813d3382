//! Whether a host answers echo requests (RFC 792, RFC 4443 section 4.1).

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use evergate_core::wire::checksum::Sum;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Seen, fail, pass};
use crate::sys::clock::boottime_now;
use crate::sys::message;

/// The types of an echo request and its answer, over IPv4 and IPv6.
const REQUEST_V4: u8 = 8;
const ANSWER_V4: u8 = 0;
const REQUEST_V6: u8 = 128;
const ANSWER_V6: u8 = 129;
/// An echo message whose data is a mark of our own, and where that begins.
const MESSAGE_BYTES: usize = 16;
const MARK: usize = 8;
/// A shorter time to read would be none at all, which means for ever.
const READ_MIN: Duration = Duration::from_millis(1);
/// Room for an answer with its IPv4 header.
const ANSWER_BYTES: usize = 512;
/// Where the length of an IPv4 header is, in words of four bytes.
const HEADER_WORDS: u8 = 0x0f;

pub(super) fn look(address: IpAddr, interface: Option<&str>, within: Duration) -> Seen {
    match echo(address, interface, within) {
        Ok(true) => pass("it answers"),
        Ok(false) => fail("no answer in time"),
        Err(error) => fail(error),
    }
}

fn echo(address: IpAddr, interface: Option<&str>, within: Duration) -> Result<bool, String> {
    let text = |error: io::Error| error.to_string();
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).map_err(text)?;
    let mut to = SocketAddr::new(address, 0);
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes())).map_err(text)?;
        if let IpAddr::V6(address) = address {
            let link = super::neighbour::link(address.into(), Some(interface))?;
            to = SocketAddr::V6(SocketAddrV6::new(address, 0, 0, link.ifindex));
        }
    }
    // Answers to others reach every raw socket: ours carry the moment in which they were asked.
    let mark = boottime_now().to_be_bytes();
    socket.send_to(&request(address.is_ipv4(), mark), &to.into()).map_err(text)?;
    let end = boottime_now() + u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
    loop {
        let left = Duration::from_nanos(end.saturating_sub(boottime_now()));
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left.max(READ_MIN))).map_err(text)?;
        let mut buffer = [0; ANSWER_BYTES];
        let Some(heard) = message::receive(&socket, &mut buffer).map_err(text)? else {
            return Ok(false);
        };
        let from = heard.source.as_internet().map(|from| from.ip());
        let bytes = &buffer[..heard.length.min(ANSWER_BYTES)];
        if from == Some(address) && is_answer(bytes, address.is_ipv4(), mark) {
            return Ok(true);
        }
    }
}

/// The kernel fills in the checksum of ICMPv6, but not that of ICMP.
fn request(is_v4: bool, mark: [u8; 8]) -> [u8; MESSAGE_BYTES] {
    let mut message = [0; MESSAGE_BYTES];
    message[0] = if is_v4 { REQUEST_V4 } else { REQUEST_V6 };
    message[MARK..].copy_from_slice(&mark);
    if is_v4 {
        let sum = Sum::new().bytes(&message).checksum();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// IPv4 comes with its header, IPv6 without.
fn is_answer(bytes: &[u8], is_v4: bool, mark: [u8; 8]) -> bool {
    let (kind, start) = match (is_v4, bytes.first()) {
        (true, Some(first)) => (ANSWER_V4, usize::from(first & HEADER_WORDS) * 4),
        _ => (ANSWER_V6, 0),
    };
    let Some(message) = bytes.get(start..start + MESSAGE_BYTES) else { return false };
    message[0] == kind && message[1] == 0 && message[MARK..] == mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_this_question_counts() {
        let mark = 0x0102_0304_0506_0708_u64.to_be_bytes();
        let mut packet = vec![0x45];
        packet.resize(20, 0);
        packet.extend(request(true, mark));
        assert!(!is_answer(&packet, true, mark), "our own question, heard on the loopback");
        packet[20] = ANSWER_V4;
        assert!(is_answer(&packet, true, mark));
        assert!(!is_answer(&packet, true, [0; 8]), "the answer to somebody else");
        assert!(!is_answer(&packet[..30], true, mark), "cut short");
        let mut message = request(false, mark);
        message[0] = ANSWER_V6;
        assert!(is_answer(&message, false, mark));
        assert!(!is_answer(&[], false, mark));
    }

    #[test]
    fn the_checksum_of_a_request_is_right() {
        let message = request(true, [7; 8]);
        assert!(Sum::new().bytes(&message).is_intact());
    }
}
