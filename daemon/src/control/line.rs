//! Lines in and out, each bounded in length and time.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use evergate_api::control::{MAX_REQUEST_BYTES, Reply};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sys::clock::boottime_now;

/// How long a client may take for a whole request, from its connection or its last answer.
pub(super) const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take to read a whole answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 1024;

/// What came of waiting for a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A whole line without its newline.
    Whole(Vec<u8>),
    /// More than [`MAX_REQUEST_BYTES`] without a newline.
    TooLong,
    /// The client has gone, or has taken too long.
    Ended,
}

/// A moment after which a client is not waited for any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(u64);

impl Deadline {
    pub(super) fn within(span: Duration) -> Self {
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Deadline(boottime_now().saturating_add(span))
    }

    /// What is left of it; none when it is over.
    pub(super) fn left(self) -> Option<Duration> {
        let left = self.0.saturating_sub(boottime_now());
        (left > 0).then(|| Duration::from_nanos(left))
    }
}

/// Reads lines; what comes after a newline is kept for the next one.
#[derive(Debug, Default)]
pub(super) struct Reader {
    kept: Vec<u8>,
}

impl Reader {
    /// The next line, within the deadline however slowly it comes.
    pub(super) fn next(&mut self, stream: &mut UnixStream, deadline: Deadline) -> Line {
        let mut chunk = [0; CHUNK_BYTES];
        let mut searched = 0;
        loop {
            let fresh = self.kept.get(searched..).unwrap_or_default();
            if let Some(found) = fresh.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.kept.drain(..=searched + found).collect();
                line.pop();
                return if line.len() > MAX_REQUEST_BYTES {
                    Line::TooLong
                } else {
                    Line::Whole(line)
                };
            }
            if self.kept.len() > MAX_REQUEST_BYTES {
                return Line::TooLong;
            }
            searched = self.kept.len();
            let Some(left) = deadline.left() else { return Line::Ended };
            if stream.set_read_timeout(Some(left)).is_err() {
                return Line::Ended;
            }
            match stream.read(&mut chunk) {
                Ok(0) => return Line::Ended,
                Ok(length) => self.kept.extend_from_slice(&chunk[..length]),
                Err(error) if is_early(&error) => {}
                Err(_) => return Line::Ended,
            }
        }
    }
}

/// Writes an answer within the deadline however slowly it is read.
pub(super) fn write(stream: &mut UnixStream, reply: &Reply, deadline: Deadline) -> io::Result<()> {
    let line = reply.to_line();
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        let left = deadline.left().ok_or(io::ErrorKind::TimedOut)?;
        stream.set_write_timeout(Some(left))?;
        match stream.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => rest = &rest[length..],
            Err(error) if is_early(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a call came back for no reason of its own: by a signal, or by its time limit, which the kernel
/// rounds to its own ticks. The deadline alone decides.
fn is_early(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// Writes what fits at once: a new connection has room for a line.
pub(super) fn turn_away(mut stream: &UnixStream, reply: &Reply) {
    if stream.set_nonblocking(true).is_ok() {
        let _ = stream.write(reply.to_line().as_bytes());
    }
}

/// Whether the client has closed its end for good. One that only will not write any more still reads.
pub(super) fn has_hung_up(stream: &UnixStream) -> bool {
    let mut polled = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    match poll(&mut polled, PollTimeout::ZERO) {
        Ok(_) => polled[0].revents().is_some_and(|found| found.intersects(gone)),
        Err(_) => false,
    }
}
