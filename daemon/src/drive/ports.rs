//! The interfaces of the configuration as they are now, with the sockets that are open on them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use evergate_core::ident::{Family, InterfaceId, Mac};
use evergate_core::input;

use crate::kernel::Interface;
use crate::kernel::error::SocketError;
use crate::kernel::frame_socket::FrameSocket;
use crate::kernel::probe_socket::{ArpAnswers, NdpAnswers};
use crate::kernel::rtnetlink::LinkRecord;
use crate::kernel::udp_socket::{Hears, UdpSocket};
use crate::kernel::vrrp_socket::VrrpSocket;
use crate::sys::ready::Poller;

/// What may be read from a port: the token of a descriptor is the port's key and its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// VRRP.
    Vrrp(Form),
    /// Our own protocol over one family.
    Udp(Family),
    /// ARP replies.
    Arp,
    /// Neighbour advertisements.
    Ndp,
}

/// How an advert comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// By itself, over one family.
    Bare(Family),
    /// Behind an authentication header, in a whole IPv4 packet.
    Header,
}

const SOURCES: [Source; 7] = [
    Source::Vrrp(Form::Bare(Family::V4)),
    Source::Vrrp(Form::Bare(Family::V6)),
    Source::Vrrp(Form::Header),
    Source::Udp(Family::V4),
    Source::Udp(Family::V6),
    Source::Arp,
    Source::Ndp,
];

/// The tokens below this belong to no port.
pub const FIRST_TOKEN: u64 = 16;

/// An interface of the configuration.
#[derive(Debug)]
pub struct Port {
    /// Its number in the present configuration.
    pub id: InterfaceId,
    /// Its own number: no other port has had it or will have it, so that a token of a port that is
    /// gone means nobody.
    pub key: u64,
    /// Its name.
    pub name: String,
    /// What the kernel says of it, while it exists.
    pub link: Option<LinkRecord>,
    /// Its own addresses, virtual ones left out, in the order in which they came.
    pub addresses: Vec<IpAddr>,
    /// What is open on it.
    pub sockets: Option<Sockets>,
    /// What the core was told about it last.
    pub told: Option<input::Interface>,
    wanted: Wanted,
    /// Sources that the file names, by family; they come before the interface's own choice.
    pub named: Vec<IpAddr>,
}

/// Which sockets the configuration needs on an interface.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// VRRP over IPv4, by the multicast groups that are joined; none if it is not wanted. Also behind an authentication header where ours are without: neighbours that send
    /// it are to be seen.
    pub vrrp_v4: BTreeSet<IpAddr>,
    /// VRRP over IPv6, likewise.
    pub vrrp_v6: BTreeSet<IpAddr>,
    /// The UDP port of heartbeats, if any run here.
    pub udp: Option<u16>,
    /// What they hear.
    pub hears: Hears,
    /// A group has a router here: announcements and probes.
    pub frames: bool,
}

/// The open sockets of a port. What could not be opened is `None` and was complained about.
#[derive(Debug, Default)]
pub struct Sockets {
    /// VRRP over IPv4.
    pub vrrp_v4: Option<VrrpSocket>,
    /// VRRP over IPv6.
    pub vrrp_v6: Option<VrrpSocket>,
    /// VRRP behind an authentication header.
    pub vrrp_header: Option<VrrpSocket>,
    /// Heartbeats over IPv4.
    pub udp_v4: Option<UdpSocket>,
    /// Heartbeats over IPv6.
    pub udp_v6: Option<UdpSocket>,
    /// Announcements and probes.
    pub frames: Option<FrameSocket>,
    /// Answers to ARP probes.
    pub arp: Option<ArpAnswers>,
    /// Answers to neighbour solicitations.
    pub ndp: Option<NdpAnswers>,
}

impl Sockets {
    /// The descriptor that a source is read from, if it is open.
    fn descriptor(&self, source: Source) -> Option<BorrowedFd<'_>> {
        match source {
            Source::Vrrp(form) => self.vrrp(form).map(AsFd::as_fd),
            Source::Udp(Family::V4) => self.udp_v4.as_ref().map(AsFd::as_fd),
            Source::Udp(Family::V6) => self.udp_v6.as_ref().map(AsFd::as_fd),
            Source::Arp => self.arp.as_ref().map(AsFd::as_fd),
            Source::Ndp => self.ndp.as_ref().map(AsFd::as_fd),
        }
    }

    /// The socket on which adverts of a form come, if it is open.
    pub fn vrrp(&self, form: Form) -> Option<&VrrpSocket> {
        match form {
            Form::Bare(Family::V4) => self.vrrp_v4.as_ref(),
            Form::Bare(Family::V6) => self.vrrp_v6.as_ref(),
            Form::Header => self.vrrp_header.as_ref(),
        }
    }

    /// Nothing that comes in is reported any more.
    pub fn unwatch(&self, poller: &Poller) {
        for descriptor in SOURCES.into_iter().filter_map(|source| self.descriptor(source)) {
            // One that could not be watched need not be forgotten.
            let _ = poller.remove(descriptor);
        }
    }
}

impl Port {
    /// An interface that was not seen yet.
    pub fn new(id: InterfaceId, key: u64, name: &str, wanted: Wanted) -> Port {
        Port {
            id,
            key,
            name: name.into(),
            link: None,
            addresses: Vec::new(),
            sockets: None,
            told: None,
            wanted,
            named: Vec::new(),
        }
    }

    /// The kernel's number of it.
    pub fn ifindex(&self) -> Option<u32> {
        self.link.as_ref().map(|link| link.ifindex)
    }

    /// Its Ethernet address.
    pub fn mac(&self) -> Option<Mac> {
        self.link.as_ref().and_then(|link| link.mac).map(Mac)
    }

    /// The first IPv4 address of its own.
    pub fn source_v4(&self) -> Option<Ipv4Addr> {
        self.named.iter().chain(&self.addresses).find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    }

    /// The first IPv6 link-local address of its own.
    pub fn source_v6(&self) -> Option<Ipv6Addr> {
        self.named.iter().chain(&self.addresses).find_map(|address| match address {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(*address),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
    }

    /// What the core is told about it.
    pub fn state(&self) -> input::Interface {
        let running = self.link.as_ref().is_some_and(|link| link.up && link.running);
        input::Interface {
            present: self.link.is_some(),
            running,
            carrier: self.link.as_ref().is_some_and(|link| link.up && link.carrier),
            source_v4: self.source_v4(),
            source_v6: self.source_v6(),
        }
    }

    /// Changes what is wanted; only if that differs, sockets are opened anew, and the former ones are
    /// to be closed.
    #[must_use]
    pub fn want(&mut self, wanted: Wanted) -> Option<Sockets> {
        if self.wanted == wanted {
            return None;
        }
        self.wanted = wanted;
        self.sockets.take()
    }

    /// Takes the kernel's word; an interface that was made again needs new sockets, and the former ones
    /// are to be closed.
    #[must_use]
    pub fn set_link(&mut self, link: Option<LinkRecord>) -> Option<Sockets> {
        let same = self.ifindex() == link.as_ref().map(|link| link.ifindex);
        self.link = link;
        if same {
            return None;
        }
        self.addresses.clear();
        self.sockets.take()
    }

    /// Opens what is wanted and not open. Returns what went wrong, in words for the log.
    pub fn open(&mut self, poller: &Poller) -> Vec<String> {
        let Some(index) = self.ifindex().filter(|_| self.sockets.is_none()) else {
            return Vec::new();
        };
        let interface = Interface { index, name: self.name.clone() };
        let wanted = &self.wanted;
        let groups = |groups: &BTreeSet<IpAddr>| groups.iter().copied().collect::<Vec<_>>();
        let mut wrong = Vec::new();
        let mut sockets = Sockets::default();
        if !wanted.vrrp_v4.is_empty() {
            let groups = groups(&wanted.vrrp_v4);
            sockets.vrrp_v4 = keep(VrrpSocket::open(&interface, Family::V4, &groups), &mut wrong);
            sockets.vrrp_header = keep(VrrpSocket::open_header(&interface, &groups), &mut wrong);
        }
        if !wanted.vrrp_v6.is_empty() {
            let groups = groups(&wanted.vrrp_v6);
            sockets.vrrp_v6 = keep(VrrpSocket::open(&interface, Family::V6, &groups), &mut wrong);
        }
        if let Some(port) = wanted.udp {
            sockets.udp_v4 = keep(UdpSocket::open_v4(&interface, port, wanted.hears), &mut wrong);
            sockets.udp_v6 = keep(UdpSocket::open_v6(&interface, port, wanted.hears), &mut wrong);
        }
        if wanted.frames {
            sockets.frames = keep(FrameSocket::open(&interface), &mut wrong);
            sockets.arp = keep(ArpAnswers::open(&interface), &mut wrong);
            sockets.ndp = keep(NdpAnswers::open(&interface), &mut wrong);
        }
        self.watch(&sockets, poller, &mut wrong);
        self.sockets = Some(sockets);
        wrong
    }

    fn watch(&self, sockets: &Sockets, poller: &Poller, wrong: &mut Vec<String>) {
        for (kind, source) in SOURCES.into_iter().enumerate() {
            let token = FIRST_TOKEN + self.key * SOURCES.len() as u64 + kind as u64;
            let added = sockets.descriptor(source).map(|socket| poller.add(socket, token));
            if let Some(Err(error)) = added {
                wrong.push(format!("cannot wait for packets on {}: {error}", self.name));
            }
        }
    }
}

/// The key of the port and the source that a token stands for.
pub fn source_of(token: u64) -> Option<(u64, Source)> {
    let offset = token.checked_sub(FIRST_TOKEN)?;
    let kinds = SOURCES.len() as u64;
    let kind = usize::try_from(offset % kinds).ok()?;
    Some((offset / kinds, SOURCES[kind]))
}

fn keep<T>(opened: Result<T, SocketError>, wrong: &mut Vec<String>) -> Option<T> {
    opened.map_err(|error| wrong.push(error.to_string())).ok()
}
