//! All connections in the table, read at the caller's pace.

use super::decode::{Frames, Message, decode};
use super::encode;
use super::here::Here;
use crate::kernel::error::NetlinkError;
use crate::kernel::netlink_socket::{DATAGRAM_MAX, NetlinkSocket};
use crate::kernel::requests::{read_verdict, receive};
use crate::kernel::rtnetlink::encode::Requests;
use crate::kernel::rtnetlink::parse;

/// The only request of its socket, so its number matters to nobody.
const SEQUENCE: u32 = 1;

/// A list that is being read. It costs the kernel nothing while nobody reads on.
///
/// What changes meanwhile may be missing or come twice: the news of a [`super::listener::Listener`]
/// that was opened before tell it.
#[derive(Debug)]
pub struct Dump {
    socket: NetlinkSocket,
    buffer: Box<[u8]>,
    ended: bool,
    interrupted: bool,
    unreadable: usize,
}

impl Dump {
    /// Asks for all connections of both families, in the calling thread's network namespace. Needs
    /// `CAP_NET_ADMIN`.
    pub fn start() -> Result<Self, NetlinkError> {
        let socket = NetlinkSocket::for_requests(libc::NETLINK_NETFILTER)
            .map_err(|error| NetlinkError::from_call(&error))?;
        // The first part is read while it is asked for.
        let _here = Here::stay();
        let mut requests = Requests::default();
        encode::list(&mut requests, SEQUENCE);
        socket.send(requests.bytes()).map_err(|error| NetlinkError::from_call(&error))?;
        let buffer = vec![0; DATAGRAM_MAX].into_boxed_slice();
        Ok(Self { socket, buffer, ended: false, interrupted: false, unreadable: 0 })
    }

    /// Reads one datagram, of about 130 connections, into `sink`; false if that was the end. All
    /// come as [`super::decode::What::Changed`], with the port of this socket.
    pub fn next_chunk(&mut self, sink: &mut dyn FnMut(Message)) -> Result<bool, NetlinkError> {
        if self.ended {
            return Ok(false);
        }
        let here = Here::stay();
        let chunk = receive(&self.socket, &mut self.buffer)?;
        drop(here);
        for frame in Frames::new(chunk) {
            let frame = frame.map_err(|_| NetlinkError::Malformed)?;
            let answer = parse::Message {
                kind: frame.kind,
                flags: frame.flags,
                sequence: frame.sequence,
                payload: frame.payload,
            };
            self.interrupted |= answer.is_interrupted();
            if matches!(i32::from(frame.kind), libc::NLMSG_DONE | libc::NLMSG_ERROR) {
                self.ended = true;
                return read_verdict(&answer).map(|()| false);
            }
            match decode(&frame) {
                Ok(message) => sink(message),
                Err(_) => self.unreadable += 1,
            }
        }
        Ok(true)
    }

    /// Whether the kernel has said that the table was changed so much that the list has gaps.
    pub fn was_interrupted(&self) -> bool {
        self.interrupted
    }

    /// How many connections could not be understood: a bug here or in the kernel.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }
}
