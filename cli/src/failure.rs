//! What went wrong, whose fault it is, and the next command to type.

use std::io;
use std::path::Path;
use std::time::Duration;

use evergate_api::control::{ErrorCode, ErrorReply, Reply};

use crate::view::age;

/// Exit codes.
pub mod exit {
    /// Done, ready, good.
    pub const GOOD: u8 = 0;
    /// Refused with the reason, and nothing was changed.
    pub const REFUSED: u8 = 1;
    /// Warnings.
    pub const WARNINGS: u8 = 1;
    /// A role that is not active.
    pub const NOT_ACTIVE: u8 = 1;
    /// Errors; nothing was changed.
    pub const ERRORS: u8 = 2;
    /// No answer: it is not running, not for this user to ask, or too late.
    pub const NO_ANSWER: u8 = 3;
    /// Wrong usage (EX_USAGE of sysexits).
    pub const USAGE: u8 = 64;
    /// The answer could not be written (EX_IOERR of sysexits).
    pub const OUTPUT: u8 = 74;
}

/// Why a verb stopped early.
#[derive(Debug)]
pub enum Stop {
    /// It could not do its work.
    Failure(Failure),
    /// The answer could not be written.
    Output(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A failure as it is told: the cause and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: u8,
    /// The code and the sentence.
    pub error: ErrorReply,
    /// The next command to type, if there is one.
    pub next: Option<String>,
}

impl Failure {
    /// A failure on this side of the socket.
    pub fn new(exit: u8, code: ErrorCode, text: impl Into<String>) -> Self {
        Self { exit, error: ErrorReply::new(code, text), next: None }
    }

    /// Names the next command.
    #[must_use]
    pub fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    /// Words that make no sense on the command line.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(exit::USAGE, ErrorCode::Usage, text)
    }

    /// The daemon answered that it cannot.
    pub fn refused(exit: u8, error: ErrorReply) -> Self {
        let next = match &error.code {
            ErrorCode::UnknownGroup | ErrorCode::UnknownRouter | ErrorCode::UnknownNode => {
                "evergate status"
            }
            ErrorCode::Refused | ErrorCode::Internal => "evergate events",
            ErrorCode::NotAllowed => "run it as the owner of the socket, or with sudo",
            ErrorCode::Busy => "try again in a moment",
            _ => return Self { exit, error, next: None },
        };
        Self { exit, error, next: Some(next.to_owned()) }
    }

    /// The daemon answered another question.
    pub fn unexpected(socket: &Path, reply: &Reply) -> Self {
        let line = reply.to_line();
        let kind = line.split('"').nth(1).unwrap_or("nothing");
        let what = format!("it answers with `{kind}`, which was not asked");
        NoAnswer::NotOurs(what).told(socket, false)
    }

    /// The failure as one line of JSON.
    pub fn to_json(&self) -> String {
        Reply::Error(self.error.clone()).to_line()
    }
}

/// Why nobody answered.
#[derive(Debug)]
pub enum NoAnswer {
    /// It could not be reached.
    Connect(io::Error),
    /// The connection broke.
    Broken(io::Error),
    /// The daemon closed it without a word.
    Closed,
    /// It took longer than this.
    Late(Duration),
    /// What came is no answer of an evergated.
    NotOurs(String),
}

impl NoAnswer {
    /// The failure with the socket's path and what to do; `changes` if the question may have had an
    /// effect although no answer came.
    pub fn told(&self, socket: &Path, changes: bool) -> Failure {
        let path = socket.display();
        let reached = !matches!(self, Self::Connect(_));
        let (cause, next) = match self {
            Self::Connect(error) => unreachable(error, socket),
            Self::Broken(error) => {
                (format!("the connection to {path} broke: {error}"), "evergate status".into())
            }
            Self::Closed => (
                format!("the daemon closed {path} without an answer; it may be stopping"),
                "systemctl status evergated".into(),
            ),
            Self::Late(timeout) => (
                format!(
                    "nothing came from {path} within {}; the daemon may be stopped or overloaded",
                    age::span(timeout.as_secs_f64() * 1000.0)
                ),
                "systemctl status evergated, or ask again with a longer --timeout".into(),
            ),
            Self::NotOurs(what) => (
                format!("what listens on {path} speaks otherwise: {what}"),
                "evergate --version, and compare it with that of evergated".into(),
            ),
        };
        let doubt = if changes && reached { "; it may still be carried out" } else { "" };
        let next = if doubt.is_empty() { next } else { "evergate status".to_owned() };
        let code = match self {
            Self::NotOurs(_) => ErrorCode::BadAnswer,
            _ => ErrorCode::NoAnswer,
        };
        Failure::new(exit::NO_ANSWER, code, format!("no answer: {cause}{doubt}")).next(next)
    }
}

fn unreachable(error: &io::Error, socket: &Path) -> (String, String) {
    let path = socket.display();
    let start = "systemctl start evergated, or name its socket with --socket";
    match error.kind() {
        io::ErrorKind::NotFound => {
            (format!("{path} does not exist; no evergated runs with this socket"), start.into())
        }
        io::ErrorKind::ConnectionRefused => {
            (format!("{path} is there, but nobody listens; evergated has ended"), start.into())
        }
        io::ErrorKind::PermissionDenied => (
            format!("you may not open {path}; it is for its owner and group"),
            format!("sudo evergate, or join the group of the socket: ls -l {path}"),
        ),
        _ => (format!("cannot open {path}: {error}"), format!("ls -l {path}")),
    }
}
