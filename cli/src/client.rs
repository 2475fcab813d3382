//! Asks the daemon: one line there, one or more lines back, and never a wait without an end.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use evergate_api::control::{MAX_REPLY_BYTES, Reply, Request};
use serde_json::value::RawValue;

use crate::failure::{Failure, NoAnswer};

/// Lines read ahead of a slow terminal; then the daemon has to wait.
const LINES_AHEAD: usize = 16;

/// One line of an answer.
#[derive(Debug)]
pub struct Answer {
    /// What it means.
    pub reply: Reply,
    /// What the daemon said, letter by letter, without the key that names it: what `--json` prints.
    pub body: String,
}

/// The lines of an answer, as they come.
pub struct Answers {
    lines: Receiver<Result<Vec<u8>, NoAnswer>>,
    socket: PathBuf,
    changes: bool,
}

/// Sends a request. The work is done on a thread of its own: connecting to a socket whose daemon
/// is stopped can block, and a thread that is left behind ends with the program.
pub fn ask(socket: &Path, request: &Request) -> Answers {
    let (sender, lines) = sync_channel(LINES_AHEAD);
    let (path, line) = (socket.to_path_buf(), request.to_line());
    std::thread::spawn(move || {
        if let Err(cause) = converse(&path, &line, &sender) {
            // Nobody listens any more when the time is up.
            let _ = sender.send(Err(cause));
        }
    });
    Answers { lines, socket: socket.to_path_buf(), changes: changes(request) }
}

impl Answers {
    /// The next line; waits for ever without a timeout.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Answer, Failure> {
        let line = match timeout {
            None => self.lines.recv().map_err(|_| NoAnswer::Closed),
            Some(timeout) => self.lines.recv_timeout(timeout).map_err(|error| match error {
                RecvTimeoutError::Timeout => NoAnswer::Late(timeout),
                RecvTimeoutError::Disconnected => NoAnswer::Closed,
            }),
        };
        line.and_then(|line| understand(&line?))
            .map_err(|cause| cause.told(&self.socket, self.changes))
    }
}

fn converse(
    socket: &Path,
    request: &str,
    lines: &SyncSender<Result<Vec<u8>, NoAnswer>>,
) -> Result<(), NoAnswer> {
    let mut stream = UnixStream::connect(socket).map_err(NoAnswer::Connect)?;
    // A daemon that is busy says so and closes before it reads: its line still counts.
    let mut sent = stream.write_all(request.as_bytes()).map_err(NoAnswer::Broken);
    let mut reader = BufReader::new(stream);
    while let Some(line) = read_line(&mut reader)? {
        sent = Ok(());
        if lines.send(Ok(line)).is_err() {
            break;
        }
    }
    sent
}

/// One whole line without its newline, or none at the end.
fn read_line(reader: &mut BufReader<UnixStream>) -> Result<Option<Vec<u8>>, NoAnswer> {
    let mut line = Vec::new();
    let limit = MAX_REPLY_BYTES as u64 + 1;
    reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(NoAnswer::Broken)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() >= MAX_REPLY_BYTES => {
            Err(NoAnswer::NotOurs(format!("a line longer than {MAX_REPLY_BYTES} bytes")))
        }
        Some(_) => Err(NoAnswer::Broken(io::ErrorKind::UnexpectedEof.into())),
    }
}

fn understand(line: &[u8]) -> Result<Answer, NoAnswer> {
    let reply = Reply::from_line(line).map_err(|error| NoAnswer::NotOurs(error.text))?;
    let raw: std::collections::BTreeMap<&str, &RawValue> =
        serde_json::from_slice(line).map_err(|error| NoAnswer::NotOurs(error.to_string()))?;
    let body = raw.into_values().next().map_or_else(String::new, |value| value.get().to_owned());
    Ok(Answer { reply, body })
}

/// Could it have an effect although no answer came?
fn changes(request: &Request) -> bool {
    match request {
        Request::Status {}
        | Request::Router { .. }
        | Request::Role { .. }
        | Request::Events { .. }
        | Request::Why { .. }
        | Request::Verify {}
        | Request::Flows { .. } => false,
        Request::Reload { plan } => !plan,
        Request::Switchover { .. }
        | Request::Failback { .. }
        | Request::Lock { .. }
        | Request::Unlock { .. }
        | Request::Resync { .. } => true,
    }
}
