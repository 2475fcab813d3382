//! Answers and news of the kernel: netlink messages, attributes, and the records in them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::encode::{
    ALIAS_MAX, DEVCONF_PROMOTE_SECONDARIES, IFA_PROTO, IFLA_INET_CONF, KIND_MACVLAN,
};
use super::{
    AddressRecord, LIFETIME_UNLIMITED, LinkRecord, NeighbourRecord, Record, RouteRecord, Stacked,
};

const HEADER_BYTES: usize = 16;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
const ALIGNMENT: usize = 4;
/// The two upper bits of an attribute's type are flags.
const ATTRIBUTE_KIND_MASK: u16 = 0x3fff;
/// The longest name of an interface, in bytes.
const INTERFACE_NAME_MAX: usize = 15;
/// The original request is left out of an error answer.
const FLAG_CAPPED: u16 = 0x100;
/// Attributes follow in an error answer.
const FLAG_ACK_ATTRIBUTES: u16 = 0x200;
/// The dump was changed while it was read.
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
const ERROR_ATTRIBUTE_TEXT: u16 = 1;
/// The longest explanation that is kept, in bytes; the kernel's own limit is 80.
const ERROR_TEXT_MAX: usize = 128;
const NEIGHBOUR_ATTRIBUTE_DESTINATION: u16 = 1;
const NEIGHBOUR_ATTRIBUTE_MAC: u16 = 2;
/// The next hop is dead, or its link has no carrier (`RTNH_F_DEAD`, `RTNH_F_LINKDOWN`).
const ROUTE_DOWN: u32 = 1 | 16;

/// Bytes that are not what the kernel would send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// One netlink message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// The type (`NLMSG_*` or `RTM_*`).
    pub kind: u16,
    /// The flags (`NLM_F_*`).
    pub flags: u16,
    /// The number of the request that it answers; 0 for news.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of one datagram. After a malformed one there are no more.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// The messages in `datagram`.
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let whole = std::mem::take(&mut self.rest);
        let message = read_message(whole);
        if let Ok((_, length)) = message {
            self.rest = whole.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        }
        Some(message.map(|(message, _)| message))
    }
}

fn read_message(bytes: &[u8]) -> Result<(Message<'_>, usize), Malformed> {
    let length = usize::try_from(u32_at(bytes, 0)?).map_err(|_| Malformed)?;
    let payload = bytes.get(HEADER_BYTES..length).ok_or(Malformed)?;
    let message = Message {
        kind: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        sequence: u32_at(bytes, 8)?,
        payload,
    };
    Ok((message, length))
}

impl<'a> Message<'a> {
    /// Whether what was listed changed while it was being listed.
    pub fn is_interrupted(&self) -> bool {
        self.flags & FLAG_DUMP_INTERRUPTED != 0
    }

    /// The verdict in an error message or at the end of a list: the error number, 0 for success,
    /// and the kernel's explanation if it gave one.
    pub fn verdict(&self) -> Result<(i32, Option<&'a str>), Malformed> {
        let number = u32_at(self.payload, 0)?.cast_signed();
        Ok((number.saturating_neg(), self.explanation()))
    }

    fn explanation(&self) -> Option<&'a str> {
        let is_error = i32::from(self.kind) == libc::NLMSG_ERROR;
        if self.flags & FLAG_ACK_ATTRIBUTES == 0 || !is_error {
            return None;
        }
        // The header of the request is repeated; unless capped, so is its whole body.
        let request = if self.flags & FLAG_CAPPED != 0 {
            HEADER_BYTES
        } else {
            usize::try_from(u32_at(self.payload, 4).ok()?)
                .ok()?
                .checked_next_multiple_of(ALIGNMENT)?
        };
        let attributes = self.payload.get(request.checked_add(4)?..)?;
        let text = Attributes::new(attributes).find(ERROR_ATTRIBUTE_TEXT)?;
        text_of(text, ERROR_TEXT_MAX)
    }

    /// The record in the message.
    pub fn record(&self) -> Result<Record, Malformed> {
        match self.kind {
            libc::RTM_NEWADDR => {
                Ok(read_address(self.payload)?.map_or(Record::Other, Record::Address))
            }
            libc::RTM_DELADDR => {
                Ok(read_address(self.payload)?.map_or(Record::Other, Record::AddressGone))
            }
            libc::RTM_NEWLINK => Ok(read_link(self.payload)?.map_or(Record::Other, Record::Link)),
            libc::RTM_DELLINK => {
                Ok(read_link_gone(self.payload)?.map_or(Record::Other, Record::LinkGone))
            }
            libc::RTM_NEWNEIGH => {
                Ok(read_neighbour(self.payload)?.map_or(Record::Other, Record::Neighbour))
            }
            libc::RTM_NEWROUTE => {
                Ok(read_route(self.payload)?.map_or(Record::Other, Record::Route))
            }
            _ => Ok(Record::Other),
        }
    }
}

/// The attributes of a message. What is cut short ends the row.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The attributes in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The value of the first attribute of a kind.
    pub fn find(&self, kind: u16) -> Option<&'a [u8]> {
        let mut all = self.clone();
        Iterator::find(&mut all, |(found, _)| *found == kind).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let whole = std::mem::take(&mut self.rest);
        let length = usize::from(u16_at(whole, 0).ok()?);
        let kind = u16_at(whole, 2).ok()? & ATTRIBUTE_KIND_MASK;
        let value = whole.get(ATTRIBUTE_HEADER_BYTES..length)?;
        self.rest = whole.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// `None` for a family that is neither IPv4 nor IPv6.
fn read_address(payload: &[u8]) -> Result<Option<AddressRecord>, Malformed> {
    let header = payload.get(..8).ok_or(Malformed)?;
    let attributes = Attributes::new(&payload[8..]);
    // On a point-to-point link IFA_ADDRESS is the other end; IFA_LOCAL, if there, is always ours.
    let end = attributes.find(libc::IFA_ADDRESS);
    let octets = attributes.find(libc::IFA_LOCAL).or(end);
    let Some(address) = ip_address(header[0], octets.unwrap_or_default()) else { return Ok(None) };
    let peer = end.and_then(|octets| ip_address(header[0], octets)).filter(|end| *end != address);
    let lifetimes = attributes.find(libc::IFA_CACHEINFO).unwrap_or_default();
    let short_flags = u32::from(header[2]);
    let flags = attributes.find(libc::IFA_FLAGS).and_then(|value| u32_at(value, 0).ok());
    let protocol = attributes.find(IFA_PROTO).and_then(|value| value.first().copied());
    Ok(Some(AddressRecord {
        ifindex: u32_at(header, 4)?,
        address,
        prefix_length: header[1],
        peer,
        scope: header[3],
        flags: flags.unwrap_or(short_flags),
        protocol: protocol.unwrap_or(0),
        valid_s: u32_at(lifetimes, 4).unwrap_or(LIFETIME_UNLIMITED),
        preferred_s: u32_at(lifetimes, 0).unwrap_or(LIFETIME_UNLIMITED),
    }))
}

/// `None` for messages about a bridge's ports and the like, which are not about the link itself.
fn read_link(payload: &[u8]) -> Result<Option<LinkRecord>, Malformed> {
    let header = payload.get(..16).ok_or(Malformed)?;
    if header[0] != 0 {
        return Ok(None);
    }
    let attributes = Attributes::new(&payload[16..]);
    let name =
        attributes.find(libc::IFLA_IFNAME).and_then(|name| text_of(name, INTERFACE_NAME_MAX));
    let flags = u32_at(header, 8)?;
    let is_set = |flag: i32| flags & flag.cast_unsigned() != 0;
    Ok(Some(LinkRecord {
        ifindex: u32_at(header, 4)?,
        name: name.ok_or(Malformed)?.to_owned(),
        up: is_set(libc::IFF_UP),
        // A carrier that is lost shows in LOWER_UP at once, one that returns in RUNNING last.
        running: is_set(libc::IFF_LOWER_UP) && is_set(libc::IFF_RUNNING),
        carrier: is_set(libc::IFF_LOWER_UP),
        mac: attributes.find(libc::IFLA_ADDRESS).and_then(|mac| mac.try_into().ok()),
        mtu: attributes.find(libc::IFLA_MTU).and_then(|mtu| u32_at(mtu, 0).ok()).unwrap_or(0),
        promote_secondaries: attributes.find(libc::IFLA_AF_SPEC).and_then(read_promote_secondaries),
        stacked: read_stacked(&attributes),
    }))
}

fn read_stacked(attributes: &Attributes<'_>) -> Option<Stacked> {
    let parent = u32_at(attributes.find(libc::IFLA_LINK)?, 0).ok()?;
    let kind = attributes.find(libc::IFLA_LINKINFO);
    let kind = kind.and_then(|info| Attributes::new(info).find(libc::IFLA_INFO_KIND));
    let group = attributes.find(libc::IFLA_GROUP).and_then(|group| u32_at(group, 0).ok());
    let alias = attributes.find(libc::IFLA_IFALIAS).and_then(|text| text_of(text, ALIAS_MAX));
    Some(Stacked {
        parent,
        is_macvlan: kind.and_then(|kind| text_of(kind, KIND_MACVLAN.len())) == Some(KIND_MACVLAN),
        group: group.unwrap_or(0),
        alias: alias.map(str::to_owned),
    })
}

/// The kernel lists the IPv4 settings of a link as one array of integers, the first being number 1.
fn read_promote_secondaries(families: &[u8]) -> Option<bool> {
    let inet = Attributes::new(families).find(u16::try_from(libc::AF_INET).ok()?)?;
    let settings = Attributes::new(inet).find(IFLA_INET_CONF)?;
    let position = usize::from(DEVCONF_PROMOTE_SECONDARIES - 1) * 4;
    Some(u32_at(settings, position).ok()? != 0)
}

fn read_link_gone(payload: &[u8]) -> Result<Option<u32>, Malformed> {
    let header = payload.get(..16).ok_or(Malformed)?;
    let ifindex = u32_at(header, 4)?;
    // A port that leaves a bridge is announced in the bridge's family: the link itself remains.
    Ok(if header[0] == 0 { Some(ifindex) } else { None })
}

fn read_neighbour(payload: &[u8]) -> Result<Option<NeighbourRecord>, Malformed> {
    let header = payload.get(..12).ok_or(Malformed)?;
    let attributes = Attributes::new(&payload[12..]);
    let destination = attributes.find(NEIGHBOUR_ATTRIBUTE_DESTINATION).unwrap_or_default();
    let Some(address) = ip_address(header[0], destination) else { return Ok(None) };
    let mac = attributes.find(NEIGHBOUR_ATTRIBUTE_MAC).and_then(|mac| mac.try_into().ok());
    Ok(Some(NeighbourRecord {
        ifindex: u32_at(header, 4)?,
        address,
        mac,
        state: u16_at(header, 8)?,
    }))
}

/// `None` for a family that is neither IPv4 nor IPv6.
fn read_route(payload: &[u8]) -> Result<Option<RouteRecord>, Malformed> {
    let header = payload.get(..12).ok_or(Malformed)?;
    let attributes = Attributes::new(&payload[12..]);
    let whole: &[u8] = if i32::from(header[0]) == libc::AF_INET { &[0; 4] } else { &[0; 16] };
    // A route that leads everywhere names no network.
    let octets = attributes.find(libc::RTA_DST).unwrap_or(whole);
    let Some(network) = ip_address(header[0], octets) else { return Ok(None) };
    let table = attributes.find(libc::RTA_TABLE).and_then(|table| u32_at(table, 0).ok());
    Ok(Some(RouteRecord {
        network,
        prefix_length: header[1],
        table: table.unwrap_or(u32::from(header[4])),
        is_unicast: header[7] == libc::RTN_UNICAST,
        is_down: u32_at(header, 8)? & ROUTE_DOWN != 0,
    }))
}

fn ip_address(family: u8, octets: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into()),
        libc::AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()),
        _ => None,
    }
}

/// A text that ends at its first zero byte, if it is not longer than `length_max` bytes.
fn text_of(bytes: &[u8], length_max: usize) -> Option<&str> {
    let text = bytes.split(|byte| *byte == 0).next()?;
    if text.is_empty() || text.len() > length_max { None } else { std::str::from_utf8(text).ok() }
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    Ok(u16::from_ne_bytes(field(bytes, at)?))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    Ok(u32::from_ne_bytes(field(bytes, at)?))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    let part = bytes.get(at..at.checked_add(N).ok_or(Malformed)?).ok_or(Malformed)?;
    part.try_into().map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::super::OUR_PROTOCOL;
    use super::super::encode::{AddressLease, AddressSpec, Requests};
    use super::*;

    fn one_address(text: &str) -> Vec<u8> {
        let mut requests = Requests::default();
        let spec = AddressSpec { ifindex: 5, address: text.parse().unwrap(), prefix_length: 24 };
        let lease = AddressLease { valid_s: 3, replace: true, metric: None };
        requests.add_address(9, &spec.into(), lease);
        requests.bytes().to_vec()
    }

    #[test]
    fn an_address_that_we_write_is_the_address_that_is_read() {
        for (text, preferred_s) in [("10.91.0.1", 3), ("2001:db8::1", 0)] {
            let bytes = one_address(text);
            let message = Messages::new(&bytes).next().unwrap().unwrap();
            let Record::Address(record) = message.record().unwrap() else {
                panic!("not an address")
            };
            assert_eq!((message.sequence, record.ifindex, record.prefix_length), (9, 5, 24));
            assert_eq!(record.address, text.parse::<IpAddr>().unwrap());
            assert_eq!((record.protocol, record.valid_s), (OUR_PROTOCOL, 3));
            assert_eq!(record.preferred_s, preferred_s);
        }
    }

    #[test]
    fn a_macvlan_that_we_write_is_the_macvlan_that_is_read() {
        let mut requests = Requests::default();
        requests.add_macvlan(7, "vrrp.51", 3, [0, 0, 0x5e, 0, 1, 51], 230);
        let message = Messages::new(requests.bytes()).next().unwrap().unwrap();
        let Record::Link(link) = message.record().unwrap() else { panic!("not a link") };
        assert_eq!((link.name.as_str(), link.up), ("vrrp.51", false));
        assert_eq!(link.mac, Some([0, 0, 0x5e, 0, 1, 51]));
        let stacked = Stacked { parent: 3, is_macvlan: true, group: 230, alias: None };
        assert_eq!(link.stacked, Some(stacked));
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_read_without_a_panic() {
        let bytes = [one_address("10.91.0.1"), one_address("2001:db8::1")].concat();
        for position in 0..bytes.len() {
            read_all(&bytes[..position]);
            for value in [0, 1, 3, 4, 16, 20, 24, 0x7f, 0x80, 0xff] {
                let mut broken = bytes.clone();
                broken[position] = value;
                read_all(&broken);
            }
        }
    }

    #[test]
    fn a_message_that_claims_no_length_ends_the_row() {
        let messages: Vec<_> = Messages::new(&[0; 64]).collect();
        assert_eq!(messages, [Err(Malformed)]);
        assert_eq!(Attributes::new(&[0; 64]).count(), 0);
    }

    #[test]
    fn the_kernels_explanation_is_found_behind_the_request() {
        let mut payload = Vec::new();
        payload.extend((-libc::EINVAL).to_ne_bytes());
        payload.extend([0; HEADER_BYTES]);
        payload.extend([9, 0, 1, 0]);
        payload.extend(b"nope\0\0\0\0");
        let flags = FLAG_CAPPED | FLAG_ACK_ATTRIBUTES;
        let kind = u16::try_from(libc::NLMSG_ERROR).unwrap();
        let message = Message { kind, flags, sequence: 1, payload: &payload };
        assert_eq!(message.verdict(), Ok((libc::EINVAL, Some("nope"))));
    }

    fn read_all(bytes: &[u8]) {
        for message in Messages::new(bytes).flatten() {
            let _ = message.record();
            for kind in [2, 3] {
                let _ = Message { kind, flags: FLAG_ACK_ATTRIBUTES, ..message }.verdict();
            }
            for kind in [libc::RTM_NEWLINK, libc::RTM_DELLINK, libc::RTM_NEWNEIGH] {
                let _ = Message { kind, ..message }.record();
            }
        }
    }
}
