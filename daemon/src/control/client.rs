//! One client: its requests, one after the other, and their answers.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TrySendError, sync_channel};
use std::time::Duration;

use evergate_api::control::{
    DEFAULT_SWITCHOVER_TIMEOUT_MS, ErrorCode, ErrorReply, EventsEnd, MAX_REQUEST_BYTES, Reply,
    Request,
};

use super::line::{self, ANSWER_WITHIN, Deadline, Line, REQUEST_WITHIN};
use super::{Call, FOLLOWERS_MAX, Place, Shared};

/// How long the node thread may take for an answer that needs no waiting.
const NODE_WITHIN: Duration = Duration::from_secs(5);
/// How long a reload may take: files are read and interfaces looked up.
const RELOAD_WITHIN: Duration = Duration::from_secs(30);
/// How long reading the table of connections may take.
const FLOWS_WITHIN: Duration = Duration::from_secs(10);
/// How much longer than a handover itself its answer is waited for.
const HANDOVER_GRACE: Duration = Duration::from_secs(2);
/// How often a waiting thread looks whether its client has gone or the daemon ends.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A connected client.
pub(super) struct Client {
    stream: UnixStream,
    shared: Arc<Shared>,
}

impl Client {
    pub(super) fn new(stream: UnixStream, shared: Arc<Shared>) -> Self {
        Client { stream, shared }
    }

    /// Serves requests until the client goes, is too slow, or breaks the rules.
    pub(super) fn serve(mut self) {
        if self.stream.set_nonblocking(false).is_err() {
            return;
        }
        let mut reader = line::Reader::default();
        while !self.shared.stopping.load(Ordering::Acquire) {
            let served = match reader.next(&mut self.stream, Deadline::within(REQUEST_WITHIN)) {
                Line::Whole(line) => self.request(&line),
                Line::TooLong => {
                    let text =
                        format!("a request is one line of at most {MAX_REQUEST_BYTES} bytes");
                    // Where the next request begins is unknown, so this is the end.
                    let _ = self.refuse(ErrorCode::TooLong, text);
                    return;
                }
                Line::Ended => return,
            };
            if served.is_err() {
                return;
            }
        }
    }

    fn request(&mut self, line: &[u8]) -> io::Result<()> {
        match Request::from_line(line) {
            Ok(Request::Events { after, follow }) => self.events(after.unwrap_or(0), follow),
            Ok(request) => {
                let reply = self.ask(request)?;
                self.answer(&reply)
            }
            Err(error) => self.answer(&Reply::Error(error)),
        }
    }

    fn answer(&mut self, reply: &Reply) -> io::Result<()> {
        line::write(&mut self.stream, reply, Deadline::within(ANSWER_WITHIN))
    }

    fn refuse(&mut self, code: ErrorCode, text: impl Into<String>) -> io::Result<()> {
        self.answer(&Reply::Error(ErrorReply::new(code, text)))
    }

    /// Asks the node thread; an error when the client does not wait for the answer any more.
    fn ask(&self, request: Request) -> io::Result<Reply> {
        // Read before the node looks at itself: events after this number may be told twice, but
        // none is missed by whoever goes on from it.
        let seq = self.shared.journal.newest();
        let limit = limit(&request);
        let (reply, answer) = sync_channel(1);
        let refused = match self.shared.calls.try_send(Call { request, reply }) {
            Ok(()) => None,
            Err(TrySendError::Full(_)) => {
                Some((ErrorCode::Busy, "too many requests are waiting; try again later"))
            }
            Err(TrySendError::Disconnected(_)) => {
                Some((ErrorCode::Refused, "the daemon is ending"))
            }
        };
        if let Some((code, text)) = refused {
            return Ok(Reply::Error(ErrorReply::new(code, text)));
        }
        if self.shared.bell.ring().is_err() {
            return Ok(Reply::Error(ErrorReply::new(ErrorCode::Internal, "the bell is broken")));
        }
        let mut reply = self.await_answer(&answer, limit)?;
        if let Reply::Status(status) = &mut reply {
            self.shared.journal.number(status, seq);
        }
        Ok(reply)
    }

    fn await_answer(&self, answer: &Receiver<Reply>, limit: Duration) -> io::Result<Reply> {
        let deadline = Deadline::within(limit);
        while let Some(left) = deadline.left() {
            match answer.recv_timeout(left.min(LOOK_EVERY)) {
                Ok(reply) => return Ok(reply),
                Err(RecvTimeoutError::Disconnected) => {
                    let text = "the daemon is ending, or gave no answer";
                    return Ok(Reply::Error(ErrorReply::new(ErrorCode::NoAnswer, text)));
                }
                Err(RecvTimeoutError::Timeout) if line::has_hung_up(&self.stream) => {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let text = format!("the node thread gave no answer within {} s", limit.as_secs());
        Ok(Reply::Error(ErrorReply::new(ErrorCode::NoAnswer, text)))
    }

    /// Sends events from the journal; with `follow`, until the client goes or the daemon ends.
    fn events(&mut self, after: u64, follow: bool) -> io::Result<()> {
        let place = follow.then(|| Place::take(&self.shared, |s| &s.followers, FOLLOWERS_MAX));
        if matches!(place, Some(None)) {
            let text = format!("{FOLLOWERS_MAX} clients follow events already; try again later");
            return self.refuse(ErrorCode::Busy, text);
        }
        let mut lost_in_all = 0;
        // A number that was never given here is from the daemon before this one: all is new.
        let mut seq = if after > self.shared.journal.newest() { 0 } else { after };
        loop {
            let (events, lost) = self.shared.journal.after(seq);
            lost_in_all += lost;
            for event in events {
                seq = event.seq;
                self.answer(&Reply::Event((*event).clone()))?;
            }
            let over =
                self.shared.stopping.load(Ordering::Acquire) || self.shared.journal.is_closed();
            if !follow || over {
                return self.answer(&Reply::EventsEnd(EventsEnd { seq, lost: lost_in_all }));
            }
            self.shared.journal.wait(seq, LOOK_EVERY);
            if line::has_hung_up(&self.stream) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
    }
}

/// How long the answer to a request is waited for.
fn limit(request: &Request) -> Duration {
    match request {
        Request::Switchover { timeout_ms, .. } => {
            Duration::from_millis(*timeout_ms) + HANDOVER_GRACE
        }
        Request::Failback { .. } => {
            Duration::from_millis(DEFAULT_SWITCHOVER_TIMEOUT_MS) + HANDOVER_GRACE
        }
        Request::Reload { .. } => RELOAD_WITHIN,
        Request::Status {}
        | Request::Router { .. }
        | Request::Role { .. }
        | Request::Events { .. }
        | Request::Why { .. }
        | Request::Lock { .. }
        | Request::Unlock { .. }
        | Request::Resync { .. }
        | Request::Verify {} => NODE_WITHIN,
        Request::Flows { .. } => FLOWS_WITHIN,
    }
}
