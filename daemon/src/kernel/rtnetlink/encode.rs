//! Requests to the kernel: a row of netlink messages in one buffer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::OUR_PROTOCOL;

/// Netlink pads every message and attribute to this many bytes.
const ALIGNMENT: usize = 4;
const HEADER_BYTES: usize = 16;
/// Where the scope is in the header of an address.
const SCOPE_AT: usize = 3;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
/// Leaves traffic counters out of an answer about links.
const EXT_MASK_SKIP_STATS: u32 = 1 << 3;
/// Who added an address (Linux 5.18 and later keep it; the C library does not name it yet).
pub(super) const IFA_PROTO: u16 = 11;
/// The metric of an address's route to its subnet.
const IFA_RT_PRIORITY: u16 = 9;
/// The index of `promote_secondaries` among the IPv4 settings of a link.
pub(super) const DEVCONF_PROMOTE_SECONDARIES: u16 = 20;
pub(super) const IFLA_INET_CONF: u16 = 1;

/// The longest text on a link that is read, in bytes; the kernel's own limit is 255.
pub(super) const ALIAS_MAX: usize = 255;
/// The kernel's word for a link with an Ethernet address of its own on another link.
pub(super) const KIND_MACVLAN: &str = "macvlan";
const IFLA_MACVLAN_MODE: u16 = 1;
/// What comes from a switch goes to all, what we send goes to the switch. In mode `private` the kernel
/// would give frames that another router sends from our virtual address to the macvlan alone, and the
/// interface below would not hear a rival.
const MACVLAN_MODE_VEPA: u32 = 2;

/// An address of ours on an interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AddressSpec {
    /// The interface's index.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix, 0 to 32 or 128.
    pub prefix_length: u8,
}

/// What else is said of an address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attributes {
    /// The label that `ip` shows, at most 15 bytes; IPv4.
    pub label: Option<Arc<str>>,
    /// The kernel's scope instead of that which follows from the address; IPv4.
    pub scope: Option<u8>,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// The broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// Whether it is never chosen as a source.
    pub deprecated: bool,
    /// Whether IPv6 looks for another holder first.
    pub detect_duplicates: bool,
    /// Whether the kernel makes no route to the subnet.
    pub no_prefix_route: bool,
}

impl Attributes {
    /// Whether an address with these can be renewed as one with those: what a renewal changes may differ.
    pub fn renews_as(&self, other: &Attributes) -> bool {
        *self == Attributes { deprecated: self.deprecated, ..other.clone() }
    }
}

/// An address as it is to be installed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualAddress {
    /// Which one.
    pub spec: AddressSpec,
    /// With what.
    pub attributes: Attributes,
}

impl From<AddressSpec> for VirtualAddress {
    fn from(spec: AddressSpec) -> Self {
        let deprecated = spec.address.is_ipv6();
        VirtualAddress { spec, attributes: Attributes { deprecated, ..Attributes::default() } }
    }
}

/// How an address is to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressLease {
    /// Seconds until the kernel removes it by itself.
    pub valid_s: u32,
    /// True: renew what exists, whoever made it. False: fail if it exists.
    pub replace: bool,
    /// The metric of the route to its subnet; `None` is the kernel's choice.
    pub metric: Option<u32>,
}

/// Several requests, to be sent in one call. Sequence numbers tell their answers apart.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    count: u32,
}

impl Requests {
    /// The messages, ready to be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many messages there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Forgets all messages and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Has only the last message acknowledged. Errors are told all the same, and before that: an answer for
    /// each would be a call for each.
    pub fn acknowledge_last_only(&mut self) {
        let mut at = 0;
        while let Some(length) = self.bytes.get(at..at + 4) {
            let length = u32::from_ne_bytes([length[0], length[1], length[2], length[3]]) as usize;
            let next = at + length.max(HEADER_BYTES).next_multiple_of(ALIGNMENT);
            if next >= self.bytes.len() {
                break;
            }
            let flags = u16::from_ne_bytes([self.bytes[at + 6], self.bytes[at + 7]]);
            let flags = flags & !u16::try_from(libc::NLM_F_ACK).unwrap_or(0);
            self.bytes[at + 6..at + 8].copy_from_slice(&flags.to_ne_bytes());
            at = next;
        }
    }

    /// Adds or renews an address, with all its attributes: what is left out would be cleared.
    pub fn add_address(&mut self, sequence: u32, address: &VirtualAddress, lease: AddressLease) {
        let VirtualAddress { spec, attributes } = address;
        let mode = if lease.replace { libc::NLM_F_REPLACE } else { libc::NLM_F_EXCL };
        let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | mode;
        // An IPv6 address that is never preferred is never chosen as a source by mistake.
        let preferred_s = if attributes.deprecated { 0 } else { lease.valid_s };
        let no_check = spec.address.is_ipv6() && !attributes.detect_duplicates;
        let mut flag_bits: u32 = if no_check { libc::IFA_F_NODAD } else { 0 };
        flag_bits |= if attributes.no_prefix_route { libc::IFA_F_NOPREFIXROUTE } else { 0 };
        let mut lifetimes = [0; 16];
        lifetimes[..4].copy_from_slice(&preferred_s.to_ne_bytes());
        lifetimes[4..8].copy_from_slice(&lease.valid_s.to_ne_bytes());
        let mut header = address_header(spec);
        header[SCOPE_AT] = attributes.scope.unwrap_or(header[SCOPE_AT]);
        self.message(libc::RTM_NEWADDR, flags, sequence, &header, |message| {
            message.address_attributes(spec, attributes.peer);
            if let Some(label) = &attributes.label {
                message.nested(libc::IFA_LABEL, |message| {
                    message.bytes.extend_from_slice(label.as_bytes());
                    message.bytes.push(0);
                });
            }
            if let Some(broadcast) = attributes.broadcast {
                message.attribute(libc::IFA_BROADCAST, &broadcast.octets());
            }
            message.attribute(libc::IFA_FLAGS, &flag_bits.to_ne_bytes());
            message.attribute(IFA_PROTO, &[OUR_PROTOCOL]);
            message.attribute(libc::IFA_CACHEINFO, &lifetimes);
            if let Some(metric) = lease.metric {
                message.attribute(IFA_RT_PRIORITY, &metric.to_ne_bytes());
            }
        });
    }

    /// Removes an address, whoever made it. `peer`: the other end that it was made with.
    pub fn remove_address(&mut self, sequence: u32, spec: &AddressSpec, peer: Option<IpAddr>) {
        let header = address_header(spec);
        self.message(libc::RTM_DELADDR, libc::NLM_F_ACK, sequence, &header, |message| {
            message.address_attributes(spec, peer);
        });
    }

    /// Asks for all addresses of a family (`AF_INET` or `AF_INET6`), on one interface or (0) all.
    pub fn list_addresses(&mut self, sequence: u32, family: u8, ifindex: u32) {
        let mut header = [family, 0, 0, 0, 0, 0, 0, 0];
        header[4..].copy_from_slice(&ifindex.to_ne_bytes());
        self.message(libc::RTM_GETADDR, libc::NLM_F_DUMP, sequence, &header, |_| {});
    }

    /// Asks for all links, without their counters.
    pub fn list_links(&mut self, sequence: u32) {
        let header = link_header(0);
        self.message(libc::RTM_GETLINK, libc::NLM_F_DUMP, sequence, &header, |message| {
            message.attribute(libc::IFLA_EXT_MASK, &EXT_MASK_SKIP_STATS.to_ne_bytes());
        });
    }

    /// Asks for one link, without its counters.
    pub fn get_link(&mut self, sequence: u32, ifindex: u32) {
        let header = link_header(ifindex);
        self.message(libc::RTM_GETLINK, 0, sequence, &header, |message| {
            message.attribute(libc::IFLA_EXT_MASK, &EXT_MASK_SKIP_STATS.to_ne_bytes());
        });
    }

    /// Sets whether secondary IPv4 addresses of a link survive the removal of their primary.
    pub fn set_promote_secondaries(&mut self, sequence: u32, ifindex: u32, on: bool) {
        let header = link_header(ifindex);
        self.message(libc::RTM_NEWLINK, libc::NLM_F_ACK, sequence, &header, |message| {
            let (all, inet, settings) = (libc::IFLA_AF_SPEC, libc::AF_INET, IFLA_INET_CONF);
            message.nested(all, |families| {
                families.nested(u16::try_from(inet).unwrap_or(2), |family| {
                    family.nested(settings, |list| {
                        list.attribute(DEVCONF_PROMOTE_SECONDARIES, &u32::from(on).to_ne_bytes());
                    });
                });
            });
        });
    }

    /// Makes a macvlan on another link. It is down, and has the mark of its group from its first moment.
    pub fn add_macvlan(
        &mut self,
        sequence: u32,
        name: &str,
        parent: u32,
        mac: [u8; 6],
        group: u32,
    ) {
        let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        self.message(libc::RTM_NEWLINK, flags, sequence, &link_header(0), |message| {
            message.attribute(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
            message.attribute(libc::IFLA_LINK, &parent.to_ne_bytes());
            message.attribute(libc::IFLA_ADDRESS, &mac);
            message.attribute(libc::IFLA_GROUP, &group.to_ne_bytes());
            message.nested(libc::IFLA_LINKINFO, |info| {
                info.attribute(libc::IFLA_INFO_KIND, KIND_MACVLAN.as_bytes());
                info.nested(libc::IFLA_INFO_DATA, |data| {
                    data.attribute(IFLA_MACVLAN_MODE, &MACVLAN_MODE_VEPA.to_ne_bytes());
                });
            });
        });
    }

    /// Leaves a text on a link.
    pub fn set_alias(&mut self, sequence: u32, ifindex: u32, text: &str) {
        let header = link_header(ifindex);
        self.message(libc::RTM_SETLINK, libc::NLM_F_ACK, sequence, &header, |message| {
            message.attribute(libc::IFLA_IFALIAS, text.as_bytes());
        });
    }

    /// Sets a link up or down.
    pub fn set_up(&mut self, sequence: u32, ifindex: u32, up: bool) {
        let mut header = link_header(ifindex);
        let flag = libc::IFF_UP.to_ne_bytes();
        header[12..].copy_from_slice(&flag);
        if up {
            header[8..12].copy_from_slice(&flag);
        }
        self.message(libc::RTM_SETLINK, libc::NLM_F_ACK, sequence, &header, |_| {});
    }

    /// Removes a link, whoever made it, with its addresses.
    pub fn remove_link(&mut self, sequence: u32, ifindex: u32) {
        let header = link_header(ifindex);
        self.message(libc::RTM_DELLINK, libc::NLM_F_ACK, sequence, &header, |_| {});
    }

    /// Asks for all neighbours of a family.
    pub fn list_neighbours(&mut self, sequence: u32, family: u8) {
        let mut header = [0; 12];
        header[0] = family;
        self.message(libc::RTM_GETNEIGH, libc::NLM_F_DUMP, sequence, &header, |_| {});
    }

    /// Asks for the routes of a family in the main table; kernels before 4.20 list those of all tables.
    pub fn list_routes(&mut self, sequence: u32, family: u8) {
        let mut header = [0; 12];
        header[0] = family;
        header[4] = libc::RT_TABLE_MAIN;
        self.message(libc::RTM_GETROUTE, libc::NLM_F_DUMP, sequence, &header, |_| {});
    }

    /// Appends a message: the header of its family, then what `fill` writes.
    pub(in crate::kernel) fn message(
        &mut self,
        kind: u16,
        flags: i32,
        sequence: u32,
        family_header: &[u8],
        fill: impl FnOnce(&mut Self),
    ) {
        let flags = u16::try_from(libc::NLM_F_REQUEST | flags).expect("netlink flags have 16 bits");
        let start = self.bytes.len();
        let mut header = [0; HEADER_BYTES];
        header[4..6].copy_from_slice(&kind.to_ne_bytes());
        header[6..8].copy_from_slice(&flags.to_ne_bytes());
        header[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(family_header);
        self.pad();
        fill(self);
        let length =
            u32::try_from(self.bytes.len() - start).expect("a request is a few hundred bytes");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.count += 1;
    }

    /// Appends the header of a family and what `fill` writes, without the header of a message.
    pub(in crate::kernel) fn bare(&mut self, family_header: &[u8], fill: impl FnOnce(&mut Self)) {
        self.bytes.extend_from_slice(family_header);
        self.pad();
        fill(self);
    }

    /// Appends one of the ways of a route: its length, flags and share, interface, and what `fill` writes.
    pub(in crate::kernel) fn entry(
        &mut self,
        flags_and_share: [u8; 2],
        ifindex: [u8; 4],
        fill: impl FnOnce(&mut Self),
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&flags_and_share);
        self.bytes.extend_from_slice(&ifindex);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).expect("a way is short");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn address_attributes(&mut self, spec: &AddressSpec, peer: Option<IpAddr>) {
        self.address(libc::IFA_LOCAL, spec.address);
        self.address(libc::IFA_ADDRESS, peer.unwrap_or(spec.address));
    }

    /// Appends an attribute that is an address.
    pub(in crate::kernel) fn address(&mut self, kind: u16, address: IpAddr) {
        let mut octets = [0; 16];
        let length = write_octets(address, &mut octets);
        self.attribute(kind, &octets[..length]);
    }

    /// Appends an attribute.
    pub(in crate::kernel) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nested(kind, |message| message.bytes.extend_from_slice(value));
    }

    /// Appends an attribute that is made of what `fill` writes.
    pub(in crate::kernel) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        let [low, high] = kind.to_ne_bytes();
        self.bytes.extend_from_slice(&[0, 0, low, high]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).expect("attributes are short");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
    }

    fn pad(&mut self) {
        let missing = self.bytes.len().next_multiple_of(ALIGNMENT) - self.bytes.len();
        self.bytes.extend_from_slice(&[0; ALIGNMENT][..missing]);
    }
}

fn write_octets(address: IpAddr, out: &mut [u8; 16]) -> usize {
    match address {
        IpAddr::V4(v4) => {
            out[..4].copy_from_slice(&v4.octets());
            4
        }
        IpAddr::V6(v6) => {
            *out = v6.octets();
            16
        }
    }
}

fn address_header(spec: &AddressSpec) -> [u8; 8] {
    let link_local = match spec.address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let scope = if link_local { SCOPE_LINK } else { SCOPE_UNIVERSE };
    let mut header = [family_of(spec.address), spec.prefix_length, 0, scope, 0, 0, 0, 0];
    header[4..].copy_from_slice(&spec.ifindex.to_ne_bytes());
    header
}

fn link_header(ifindex: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    header
}

/// The kernel's number for the family of an address.
pub fn family_of(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).expect("address families are small numbers")
}
