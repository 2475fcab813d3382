//! News of the kernel: links and addresses that come, change and go.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use super::error::NetlinkError;
use super::netlink_socket::{DATAGRAM_MAX, NetlinkSocket};
use super::requests::Kernel;
use super::rtnetlink::parse::Messages;
use super::rtnetlink::{AddressRecord, LinkRecord, Record};

/// The most datagrams read in one go, so that a storm of news does not keep the reader from the
/// rest of its work. What is left is reported by the next wait.
const DATAGRAMS_MAX: usize = 64;

/// One piece of news, or one fact of a snapshot. All are levels: hearing one twice changes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A link is there, in this state.
    LinkState(LinkRecord),
    /// A link is gone.
    LinkGone {
        /// Its index.
        ifindex: u32,
    },
    /// An address is there: new, renewed or changed.
    AddressAdded(AddressRecord),
    /// An address is gone.
    AddressRemoved {
        /// The interface's index.
        ifindex: u32,
        /// The address.
        address: IpAddr,
        /// The length of its prefix.
        prefix_length: u8,
        /// Who had added it (`IFA_PROTO`).
        protocol: u8,
    },
    /// News was lost: take a snapshot and reconcile.
    Overflow,
}

/// A subscription to the news.
#[derive(Debug)]
pub struct Monitor {
    socket: NetlinkSocket,
    buffer: Box<[u8]>,
}

impl Monitor {
    /// Subscribes. Open the monitor first and take the snapshot after: nothing falls in between.
    pub fn open() -> Result<Self, NetlinkError> {
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        let socket = NetlinkSocket::for_news(groups.cast_unsigned())
            .map_err(|error| NetlinkError::from_call(&error))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM_MAX].into_boxed_slice() })
    }

    /// Appends the news that is waiting, without waiting for more. Returns true if some is left.
    pub fn read(&mut self, events: &mut Vec<Event>) -> Result<bool, NetlinkError> {
        for _ in 0..DATAGRAMS_MAX {
            match self.socket.receive(&mut self.buffer) {
                Ok(None) => return Ok(false),
                Ok(Some(datagram)) if datagram.truncated => events.push(Event::Overflow),
                Ok(Some(datagram)) => read_datagram(&self.buffer[..datagram.length], events),
                Err(error) => match NetlinkError::from_call(&error) {
                    NetlinkError::Overflow => events.push(Event::Overflow),
                    error => return Err(error),
                },
            }
        }
        Ok(true)
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// All links and addresses that there are, as if they were news. This waits for the kernel.
pub fn snapshot(kernel: &mut Kernel) -> Result<Vec<Event>, NetlinkError> {
    let mut events: Vec<Event> = kernel.links()?.into_iter().map(Event::LinkState).collect();
    events.extend(kernel.addresses()?.into_iter().map(Event::AddressAdded));
    Ok(events)
}

/// News that cannot be understood counts as lost.
fn read_datagram(datagram: &[u8], events: &mut Vec<Event>) {
    for message in Messages::new(datagram) {
        let Ok(record) = message.and_then(|message| message.record()) else {
            events.push(Event::Overflow);
            return;
        };
        events.extend(event_of(record));
    }
}

fn event_of(record: Record) -> Option<Event> {
    match record {
        Record::Link(link) => Some(Event::LinkState(link)),
        Record::LinkGone(ifindex) => Some(Event::LinkGone { ifindex }),
        Record::Address(address) => Some(Event::AddressAdded(address)),
        Record::AddressGone(AddressRecord {
            ifindex, address, prefix_length, protocol, ..
        }) => Some(Event::AddressRemoved { ifindex, address, prefix_length, protocol }),
        Record::Neighbour(_) | Record::Route(_) | Record::Other => None,
    }
}
