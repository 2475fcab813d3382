//! Whether a neighbour answers: ARP for IPv4, neighbour solicitation for IPv6.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use evergate_core::ident::Mac;
use evergate_core::wire::{arp, ndp};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Seen, fail, pass};
use crate::kernel::Interface;
use crate::kernel::frame_socket::FrameSocket;
use crate::kernel::probe_socket::{ArpAnswers, NdpAnswers};
use crate::kernel::requests::Kernel;
use crate::kernel::rtnetlink::LinkRecord;
use crate::sys::clock::boottime_now;

/// Room for an answer.
const ANSWER_BYTES: usize = 256;
/// How often the question is repeated within the time that there is.
const QUESTIONS: u32 = 3;
/// A port that nobody needs to listen on: nothing is sent there.
const ANY_PORT: u16 = 9;

pub(super) fn look(address: IpAddr, interface: Option<&str>, within: Duration) -> Seen {
    ask(address, interface, within).unwrap_or_else(fail)
}

fn ask(address: IpAddr, interface: Option<&str>, within: Duration) -> Result<Seen, String> {
    let link = link(address, interface)?;
    let Some(mac) = link.mac.map(Mac) else {
        return Err(format!("{} has no Ethernet address", link.name));
    };
    let interface = Interface { index: link.ifindex, name: link.name };
    let ears = Ears::open(address, &interface)?;
    let mouth = FrameSocket::open(&interface).map_err(|error| error.to_string())?;
    for _ in 0..QUESTIONS {
        mouth.probe(mac, address).map_err(|error| error.to_string())?;
        if ears.hear(address, within / QUESTIONS)? {
            return Ok(pass("it answers"));
        }
    }
    Ok(fail("it does not answer"))
}

/// The interface that is named, or the one that the routing table would use.
pub(super) fn link(address: IpAddr, interface: Option<&str>) -> Result<LinkRecord, String> {
    let mut kernel = Kernel::open().map_err(|error| error.to_string())?;
    let links = kernel.links().map_err(|error| error.to_string())?;
    let index = match interface {
        Some(_) => None,
        None => Some(route(&mut kernel, address)?),
    };
    let wanted = |link: &LinkRecord| match interface {
        Some(name) => link.name == name,
        None => Some(link.ifindex) == index,
    };
    links.into_iter().find(wanted).ok_or_else(|| "its interface does not exist".to_owned())
}

/// The interface that has the address from which the kernel would speak to another.
fn route(kernel: &mut Kernel, address: IpAddr) -> Result<u32, String> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).map_err(|error| error.to_string())?;
    socket.connect(SocketAddr::new(address, ANY_PORT)).map_err(|error| error.to_string())?;
    let own = socket.local_addr().map_err(|error| error.to_string())?.ip();
    let addresses = kernel.addresses().map_err(|error| error.to_string())?;
    let found = addresses.iter().find(|record| record.address == own);
    found.map(|record| record.ifindex).ok_or_else(|| "there is no route to it".to_owned())
}

enum Ears {
    Arp(ArpAnswers),
    Ndp(NdpAnswers),
}

impl Ears {
    fn open(address: IpAddr, interface: &Interface) -> Result<Ears, String> {
        let opened = match address {
            IpAddr::V4(_) => ArpAnswers::open(interface).map(Ears::Arp),
            IpAddr::V6(_) => NdpAnswers::open(interface).map(Ears::Ndp),
        };
        opened.map_err(|error| error.to_string())
    }

    /// Whether the address answers within a time.
    fn hear(&self, address: IpAddr, within: Duration) -> Result<bool, String> {
        let end = boottime_now() + u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        loop {
            let left = Duration::from_nanos(end.saturating_sub(boottime_now()));
            if left.is_zero() {
                return Ok(false);
            }
            let descriptor = match self {
                Ears::Arp(answers) => answers.as_fd(),
                Ears::Ndp(answers) => answers.as_fd(),
            };
            let mut polled = [PollFd::new(descriptor, PollFlags::POLLIN)];
            let wait = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
            poll(&mut polled, PollTimeout::from(wait)).map_err(|error| error.to_string())?;
            if self.read(address)? {
                return Ok(true);
            }
        }
    }

    /// Reads what has come; whether it is the answer.
    fn read(&self, address: IpAddr) -> Result<bool, String> {
        let mut buffer = [0; ANSWER_BYTES];
        match self {
            Ears::Arp(answers) => {
                while let Some(length) =
                    answers.receive(&mut buffer).map_err(|error| error.to_string())?
                {
                    let frame = &buffer[..length.min(ANSWER_BYTES)];
                    let packet =
                        arp::Arp::decode(frame).or_else(|_| arp::Arp::decode_packet(frame));
                    if packet.is_ok_and(|packet| IpAddr::V4(packet.sender) == address) {
                        return Ok(true);
                    }
                }
            }
            Ears::Ndp(answers) => {
                while let Some(heard) =
                    answers.receive(&mut buffer).map_err(|error| error.to_string())?
                {
                    let message = &buffer[..heard.length.min(ANSWER_BYTES)];
                    let (from, to) = (heard.source, heard.destination);
                    if let Ok(ndp::Message::Advertisement { target, .. }) =
                        ndp::decode(message, from, to, heard.hop_limit)
                        && IpAddr::V6(target) == address
                    {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}
