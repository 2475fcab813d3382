//! What every verb is given: where to ask, how long to wait, how to answer.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use evergate_api::control::{Reply, Request};
use serde_json::Value;

use crate::client::{self, Answer};
use crate::failure::{Failure, Stop};

/// How long the daemon may take to answer unless told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// The same for verbs that read files or wait for another node.
pub const PATIENT_TIMEOUT: Duration = Duration::from_secs(12);

/// The same for `flows`: the kernel's table may be large.
pub const FLOWS_TIMEOUT: Duration = Duration::from_secs(10);

/// What every verb is given.
pub struct Context<'o> {
    /// The control socket.
    pub socket: PathBuf,
    /// How long to wait, if it was said.
    pub timeout: Option<Duration>,
    /// Answer in JSON?
    pub json: bool,
    /// May people's output have colours?
    pub color: bool,
    /// Standard output.
    pub out: &'o mut dyn Write,
}

impl Context<'_> {
    /// Asks and takes one answer; if the daemon refuses, the verb ends with `exit`.
    pub fn ask(&self, request: &Request, exit: u8) -> Result<Answer, Failure> {
        self.ask_for(request, exit, self.timeout.unwrap_or(TIMEOUT))
    }

    /// Asks for something that may take its time.
    pub fn ask_patiently(&self, request: &Request, exit: u8) -> Result<Answer, Failure> {
        self.ask_for(request, exit, self.timeout.unwrap_or(PATIENT_TIMEOUT))
    }

    /// Asks as [`Self::ask`] does, and waits this long.
    pub fn ask_for(
        &self,
        request: &Request,
        exit: u8,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let answer = client::ask(&self.socket, request).next(Some(timeout))?;
        match answer.reply {
            Reply::Error(error) => Err(Failure::refused(exit, error)),
            _ => Ok(answer),
        }
    }

    /// The failure of a daemon that answers another question.
    pub fn unexpected(&self, answer: &Answer) -> Stop {
        Stop::Failure(Failure::unexpected(&self.socket, &answer.reply))
    }

    /// Writes an answer of the daemon: as it came, or as people like it.
    pub fn show(&mut self, answer: &Answer, view: impl FnOnce(bool) -> String) -> io::Result<()> {
        if self.json {
            self.say(&format!("{}\n", answer.body))
        } else {
            self.say(&view(self.color))
        }
    }

    /// Writes an answer of our own: as JSON, or as people like it.
    pub fn show_own(&mut self, json: &Value, view: impl FnOnce() -> String) -> io::Result<()> {
        if self.json { self.say(&format!("{json}\n")) } else { self.say(&view()) }
    }

    /// Writes text at once.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}
