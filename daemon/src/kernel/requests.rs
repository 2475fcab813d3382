//! Asking the kernel: batches of changes, each answered by its own verdict, and lists.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::addresses::{AddressSpec, Attributes};
use super::error::NetlinkError;
use super::netlink_socket::{DATAGRAM_MAX, NetlinkSocket};
use super::rtnetlink::Record;
use super::rtnetlink::encode::Requests;
use super::rtnetlink::parse::{Message, Messages};
use super::virtual_links::Known;

/// The most requests in one call. The kernel works through a call in one go, and a longer one
/// would gain nothing, hold up others and overrun the buffer for the answers.
const BATCH_MAX: usize = 128;
/// The most records that a list may have.
const RECORDS_MAX: usize = 1 << 16;
/// How often a list that changed while it was read is read again.
const LIST_ATTEMPTS: usize = 4;

/// The verdict on one request.
pub type Verdict = Result<(), NetlinkError>;

/// A door to the kernel for requests. Every call waits for the kernel, which may hold a lock of its
/// own for long: never call from a thread that must not be late.
#[derive(Debug)]
pub struct Kernel {
    socket: NetlinkSocket,
    buffer: Box<[u8]>,
    requests: Requests,
    sequence: u32,
    /// The addresses that this process holds, with what was said of them: renewed without a look at who has them.
    pub(super) leased: BTreeMap<AddressSpec, Attributes>,
    /// The links whose secondary addresses this process protects: true where that was off before.
    pub(super) protected: BTreeMap<u32, bool>,
    /// The links with virtual MAC addresses that this process has made or adopted.
    pub(super) virtual_links: Known,
}

impl Kernel {
    /// Opens the door in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = NetlinkSocket::for_requests(libc::NETLINK_ROUTE)
            .map_err(|error| NetlinkError::from_call(&error))?;
        Ok(Self {
            socket,
            buffer: vec![0; DATAGRAM_MAX].into_boxed_slice(),
            requests: Requests::default(),
            sequence: 0,
            leased: BTreeMap::new(),
            protected: BTreeMap::new(),
            virtual_links: Known::default(),
        })
    }

    /// Sends one request for each item, as few calls as possible, and reads every verdict. The
    /// verdicts are in the order of the items; one that failed does not stop the rest.
    pub(super) fn change<T>(
        &mut self,
        items: &[T],
        write: impl Fn(&mut Requests, u32, &T),
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(items.len());
        for batch in items.chunks(BATCH_MAX) {
            self.requests.clear();
            let first = self.sequence.wrapping_add(1);
            for item in batch {
                self.sequence = self.sequence.wrapping_add(1);
                write(&mut self.requests, self.sequence, item);
            }
            self.requests.acknowledge_last_only();
            verdicts.extend(self.verdicts(first, batch.len()));
        }
        verdicts
    }

    /// One request and the verdict on it.
    pub(super) fn one_change(&mut self, write: impl Fn(&mut Requests, u32)) -> Verdict {
        let verdicts = self.change(&[()], |requests, sequence, ()| write(requests, sequence));
        verdicts.into_iter().next().unwrap_or(Err(NetlinkError::Silent))
    }

    /// Sends the prepared batch and reads the verdicts on the requests from number `first` on.
    fn verdicts(&mut self, first: u32, count: usize) -> Vec<Verdict> {
        if let Err(error) = self.socket.send(self.requests.bytes()) {
            return vec![Err(NetlinkError::from_call(&error)); count];
        }
        let mut verdicts: Vec<Option<Verdict>> = vec![None; count];
        // The last one is always told, and what went wrong before it.
        while verdicts.last().is_some_and(Option::is_none) {
            if let Err(error) = self.read_verdicts(first, &mut verdicts) {
                return verdicts.into_iter().map(|v| v.unwrap_or(Err(error.clone()))).collect();
            }
        }
        verdicts.into_iter().map(|verdict| verdict.unwrap_or(Ok(()))).collect()
    }

    /// Reads the verdicts in one datagram. Answers to older requests, whose reader has given up, are passed
    /// over.
    fn read_verdicts(
        &mut self,
        first: u32,
        verdicts: &mut [Option<Verdict>],
    ) -> Result<(), NetlinkError> {
        for message in Messages::new(receive(&self.socket, &mut self.buffer)?) {
            let message = message.map_err(|_| NetlinkError::Malformed)?;
            let position =
                usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
            let Some(verdict) = verdicts.get_mut(position) else { continue };
            if i32::from(message.kind) == libc::NLMSG_ERROR && verdict.is_none() {
                *verdict = Some(read_verdict(&message));
            }
        }
        Ok(())
    }

    /// Asks for a list and returns those of its records that `select` wants. A list that changed
    /// under the reader is read again.
    pub(super) fn list<T>(
        &mut self,
        write: impl Fn(&mut Requests, u32),
        select: impl Fn(Record) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        for _ in 0..LIST_ATTEMPTS {
            if let Some(records) = self.list_once(&write, &select)? {
                return Ok(records);
            }
        }
        Err(NetlinkError::Unsettled)
    }

    /// `None` if the list changed while it was read.
    fn list_once<T>(
        &mut self,
        write: impl Fn(&mut Requests, u32),
        select: impl Fn(Record) -> Option<T>,
    ) -> Result<Option<Vec<T>>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.requests.clear();
        write(&mut self.requests, self.sequence);
        self.socket.send(self.requests.bytes()).map_err(|error| NetlinkError::from_call(&error))?;
        let (mut records, mut interrupted) = (Vec::new(), false);
        loop {
            for message in Messages::new(receive(&self.socket, &mut self.buffer)?) {
                let message = message.map_err(|_| NetlinkError::Malformed)?;
                if message.sequence != self.sequence {
                    continue;
                }
                interrupted |= message.is_interrupted();
                match i32::from(message.kind) {
                    libc::NLMSG_DONE | libc::NLMSG_ERROR => {
                        read_verdict(&message)?;
                        return Ok(if interrupted { None } else { Some(records) });
                    }
                    _ => {}
                }
                let record = message.record().map_err(|_| NetlinkError::Malformed)?;
                records.extend(select(record));
                if records.len() > RECORDS_MAX {
                    return Err(NetlinkError::TooMany);
                }
            }
        }
    }

    /// Asks for one record; the kernel answers with it or with an error.
    pub(super) fn get(
        &mut self,
        write: impl Fn(&mut Requests, u32),
    ) -> Result<Record, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.requests.clear();
        write(&mut self.requests, self.sequence);
        self.socket.send(self.requests.bytes()).map_err(|error| NetlinkError::from_call(&error))?;
        loop {
            for message in Messages::new(receive(&self.socket, &mut self.buffer)?) {
                let message = message.map_err(|_| NetlinkError::Malformed)?;
                if message.sequence != self.sequence {
                    continue;
                }
                if i32::from(message.kind) == libc::NLMSG_ERROR {
                    return read_verdict(&message).and(Err(NetlinkError::Malformed));
                }
                return message.record().map_err(|_| NetlinkError::Malformed);
            }
        }
    }
}

/// The next datagram of the kernel, whole.
pub(super) fn receive<'a>(
    socket: &NetlinkSocket,
    buffer: &'a mut [u8],
) -> Result<&'a [u8], NetlinkError> {
    receive_if_any(socket, buffer)?.ok_or(NetlinkError::Silent)
}

/// The same; `None` if there is none, or none came in time.
pub(super) fn receive_if_any<'a>(
    socket: &NetlinkSocket,
    buffer: &'a mut [u8],
) -> Result<Option<&'a [u8]>, NetlinkError> {
    match socket.receive(buffer).map_err(|error| NetlinkError::from_call(&error))? {
        Some(datagram) if datagram.truncated => Err(NetlinkError::Malformed),
        Some(datagram) => Ok(Some(&buffer[..datagram.length])),
        None => Ok(None),
    }
}

/// The verdict in an error message or at the end of a list.
pub(super) fn read_verdict(message: &Message<'_>) -> Verdict {
    match message.verdict() {
        Ok((0, _)) => Ok(()),
        Ok((number, text)) => Err(NetlinkError::from_answer(Errno::from_raw(number), text)),
        // The end of a list has carried a verdict only since Linux 2.6.
        Err(_) if i32::from(message.kind) == libc::NLMSG_DONE => Ok(()),
        Err(_) => Err(NetlinkError::Malformed),
    }
}
