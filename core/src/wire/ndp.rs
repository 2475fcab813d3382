//! Neighbour discovery over ICMPv6 (RFC 4861 §4.3, §4.4): announcements, questions, and what is
//! heard. All of it is the ICMPv6 message, without the IPv6 header.

use std::net::Ipv6Addr;

use super::bytes::Bytes;
use super::cause::causes;
use super::checksum::Sum;
use crate::ident::Mac;

/// The next-header number of ICMPv6.
pub const PROTOCOL: u8 = 58;
/// [`PROBE_LEN`] as the pseudo-header has it.
const PROBE_LENGTH: u16 = 24;
/// The type of an echo request.
const ECHO_REQUEST: u8 = 128;
/// Every node of the link: where announcements go.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The hop limit of every message (RFC 4861 §7.1): proof that no router lies between.
pub const HOP_LIMIT: u8 = 255;
/// The length of an announcement.
pub const ANNOUNCEMENT_LEN: usize = MESSAGE_LEN + OPTION_UNIT;
/// The length of a probe.
pub const PROBE_LEN: usize = MESSAGE_LEN;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Everything before the options.
const MESSAGE_LEN: usize = 24;
/// The length of an option is counted in this many bytes.
const OPTION_UNIT: usize = 8;
const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// Whether the announcing node forwards packets for others: the Router flag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sender {
    /// It forwards.
    Router,
    /// It does not.
    Host,
}

/// A message of neighbour discovery, as far as we care.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    /// Somebody asks for an address.
    Solicitation {
        /// The address that is asked for.
        target: Ipv6Addr,
        /// The Ethernet address of who asks, unless it only probes.
        mac: Option<Mac>,
    },
    /// Somebody says that an address is his.
    Advertisement {
        /// The address.
        target: Ipv6Addr,
        /// His Ethernet address, when he names it.
        mac: Option<Mac>,
        /// Whether he forwards packets.
        sender: Sender,
        /// Whether this answers a question that was sent to him alone.
        solicited: bool,
        /// Whether caches shall replace what they hold.
        overrides: bool,
    },
}

causes! {
    /// Why a message was refused.
    Reject {
        /// It ends within the message or within an option, or has an option of no length.
        Length = "nd-length",
        /// It is another ICMPv6 message.
        Type = "nd-type",
        /// It has crossed a router.
        HopLimit = "nd-hop-limit",
        /// Its checksum is wrong.
        Checksum = "nd-checksum",
        /// Its code is not 0.
        Code = "nd-code",
        /// It speaks of a multicast address.
        Target = "nd-target",
    }
}

/// An unsolicited advertisement to [`ALL_NODES`], sent from the announced address itself: "`target`
/// is at `mac` now", with the Override flag (RFC 9568 §6.4.2, RFC 4861 §7.2.6).
pub fn announcement(target: Ipv6Addr, mac: Mac, sender: Sender) -> [u8; ANNOUNCEMENT_LEN] {
    let mut message = [0; ANNOUNCEMENT_LEN];
    let router = match sender {
        Sender::Router => ROUTER,
        Sender::Host => 0,
    };
    message[0] = ADVERTISEMENT;
    message[4] = router | OVERRIDE;
    message[8..24].copy_from_slice(&target.octets());
    message[24..26].copy_from_slice(&[TARGET_MAC, 1]);
    message[26..32].copy_from_slice(&mac.0);
    seal(&mut message, target, ALL_NODES);
    message
}

/// A question whether `target` is there. It goes from the unspecified address to
/// [`solicited_node`], so it touches nobody's cache; the answer comes to [`ALL_NODES`]
/// (RFC 4861 §7.2.4).
pub fn probe(target: Ipv6Addr) -> [u8; PROBE_LEN] {
    let mut message = [0; PROBE_LEN];
    message[0] = SOLICITATION;
    message[8..24].copy_from_slice(&target.octets());
    seal(&mut message, Ipv6Addr::UNSPECIFIED, solicited_node(target));
    message
}

/// An ICMPv6 echo request to [`ALL_NODES`]: hosts that answer it make themselves known to the
/// kernel's neighbour table, so that they can be asked by name later (RFC 4443 §4.1).
pub fn who_is_there(source: Ipv6Addr) -> [u8; PROBE_LEN] {
    let mut message = [0; PROBE_LEN];
    message[0] = ECHO_REQUEST;
    let sum = Sum::new().pseudo_v6(source, ALL_NODES, PROTOCOL, PROBE_LENGTH).bytes(&message);
    message[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
    message
}

/// The multicast group in which the holder of an address listens for questions (RFC 4291 §2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

fn seal(message: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr) {
    let length = u16::try_from(message.len()).expect("the messages built here are 32 bytes long");
    let sum = Sum::new().pseudo_v6(source, destination, PROTOCOL, length).bytes(message);
    message[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
}

/// Reads an ICMPv6 message with what its IPv6 header said (RFC 4861 §7.1).
pub fn decode(
    message: &[u8],
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
) -> Result<Message, Reject> {
    let mut rest = Bytes(message);
    let [kind, code, _, _, flags, ..] = rest.array::<8>().ok_or(Reject::Length)?;
    if kind != SOLICITATION && kind != ADVERTISEMENT {
        return Err(Reject::Type);
    }
    if hop_limit != HOP_LIMIT {
        return Err(Reject::HopLimit);
    }
    let length = u16::try_from(message.len()).map_err(|_| Reject::Length)?;
    let sum = Sum::new().pseudo_v6(source, destination, PROTOCOL, length).bytes(message);
    if !sum.is_intact() {
        return Err(Reject::Checksum);
    }
    if code != 0 {
        return Err(Reject::Code);
    }
    let target = Ipv6Addr::from(rest.array::<16>().ok_or(Reject::Length)?);
    if target.is_multicast() {
        return Err(Reject::Target);
    }
    if kind == SOLICITATION {
        return Ok(Message::Solicitation { target, mac: find_mac(rest, SOURCE_MAC)? });
    }
    Ok(Message::Advertisement {
        target,
        mac: find_mac(rest, TARGET_MAC)?,
        sender: if flags & ROUTER != 0 { Sender::Router } else { Sender::Host },
        solicited: flags & SOLICITED != 0,
        overrides: flags & OVERRIDE != 0,
    })
}

/// The first link-layer address of the wanted kind; every option is checked (RFC 4861 §4.6).
fn find_mac(mut options: Bytes<'_>, wanted: u8) -> Result<Option<Mac>, Reject> {
    let mut found = None;
    while !options.is_empty() {
        let [kind, units] = options.array().ok_or(Reject::Length)?;
        let length = usize::from(units) * OPTION_UNIT;
        let length = length.checked_sub(2).ok_or(Reject::Length)?;
        let mut body = Bytes(options.take(length).ok_or(Reject::Length)?);
        if kind == wanted && found.is_none() {
            found = body.array().map(Mac);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixtures::{Dice, hex};

    const MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x0a]);
    const TARGET: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x51, 1);

    #[test]
    fn an_announcement_is_this_packet() {
        let literal = hex("8800 56f0 20000000 fe800000000000000000000000510001 0201 02000000000a");
        assert_eq!(announcement(TARGET, MAC, Sender::Host).as_slice(), literal);
        let of_router = announcement(TARGET, MAC, Sender::Router);
        assert_eq!(of_router[4], 0xa0);
        let message = decode(&of_router, TARGET, ALL_NODES, 255);
        let expected = Message::Advertisement {
            target: TARGET,
            mac: Some(MAC),
            sender: Sender::Router,
            solicited: false,
            overrides: true,
        };
        assert_eq!(message, Ok(expected));
    }

    #[test]
    fn an_echo_request_to_all_nodes_carries_the_right_checksum() {
        let message = who_is_there(TARGET);
        assert_eq!(message[0], ECHO_REQUEST);
        assert_eq!(usize::from(PROBE_LENGTH), PROBE_LEN);
        let sum = Sum::new().pseudo_v6(TARGET, ALL_NODES, PROTOCOL, PROBE_LENGTH).bytes(&message);
        assert!(sum.is_intact());
    }

    #[test]
    fn a_probe_is_this_packet_and_names_no_sender() {
        let group = "ff02::1:ff51:1".parse::<Ipv6Addr>().unwrap();
        assert_eq!(solicited_node(TARGET), group);
        let packet = probe(TARGET);
        let literal = hex("8700 7b83 00000000 fe800000000000000000000000510001");
        assert_eq!(packet.as_slice(), literal);
        let message = decode(&packet, Ipv6Addr::UNSPECIFIED, group, 255);
        assert_eq!(message, Ok(Message::Solicitation { target: TARGET, mac: None }));
    }

    #[test]
    fn bad_messages_are_refused_by_cause() {
        let good = announcement(TARGET, MAC, Sender::Host);
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut message = good.to_vec();
            change(&mut message);
            message[2..4].fill(0);
            seal(&mut message, TARGET, ALL_NODES);
            decode(&message, TARGET, ALL_NODES, 255)
        };
        assert_eq!(refused(&|m| m[0] = 134), Err(Reject::Type));
        assert_eq!(refused(&|m| m[1] = 1), Err(Reject::Code));
        assert_eq!(refused(&|m| m[8] = 0xff), Err(Reject::Target));
        assert_eq!(refused(&|m| m[25] = 0), Err(Reject::Length));
        assert_eq!(refused(&|m| m[25] = 2), Err(Reject::Length));
        assert_eq!(refused(&|m| m.truncate(23)), Err(Reject::Length));
        assert_eq!(decode(&good, TARGET, ALL_NODES, 254), Err(Reject::HopLimit));
        assert_eq!(decode(&good, TARGET, TARGET, 255), Err(Reject::Checksum));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut dice = Dice(7);
        let good = announcement(TARGET, MAC, Sender::Host);
        let mut read = 0;
        for _ in 0..20_000 {
            let mut message = dice.mutate(&good);
            if message.len() >= 4 {
                message[2..4].fill(0);
                seal(&mut message, TARGET, ALL_NODES);
            }
            read += u32::from(decode(&message, TARGET, ALL_NODES, 255).is_ok());
        }
        assert!(read > 1_000, "only {read} mutants were valid");
    }
}
