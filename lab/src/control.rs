//! Asks a daemon through the `evergate` command, as a user or a script would.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use evergate_api::control::Event;
use evergate_api::status::{GroupState, GroupStatus, Status};
use serde_json::Value;

use crate::error::{LabError, Result};
use crate::shell;
use crate::topology::Gateway;

/// The group of the example configuration.
pub const GROUP: &str = "gateway";
/// Events kept for a reader that is slow; then the follower waits.
const MAX_EVENTS: usize = 1024;
/// Exit code of `evergate` when the daemon does not answer.
const NO_ANSWER: i32 = 3;

/// The `evergate` command against the daemon of one gateway.
#[derive(Clone, Debug)]
pub struct Control {
    gateway: Gateway,
    program: PathBuf,
    socket: PathBuf,
}

/// How a verb ended.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub text: String,
    /// Standard error.
    pub errors: String,
}

impl Answer {
    /// The answer as JSON.
    pub fn json(&self, question: &str) -> Result<Value> {
        serde_json::from_str(&self.text).map_err(|error| LabError::Answer {
            question: question.to_owned(),
            text: format!("{error}; exit code {}: {}{}", self.code, self.text, self.errors),
        })
    }
}

impl Control {
    /// A command against a socket.
    pub fn new(gateway: Gateway, program: PathBuf, socket: PathBuf) -> Self {
        Self { gateway, program, socket }
    }

    /// The gateway that is asked.
    pub fn gateway(&self) -> Gateway {
        self.gateway
    }

    /// Runs a verb to its end.
    pub fn ask(&self, verb: &[&str]) -> Result<Answer> {
        let socket = self.socket.to_string_lossy();
        let mut arguments = vec!["--socket", &socket];
        arguments.extend(verb);
        let output = shell::run_unchecked(&self.program.to_string_lossy(), &arguments, "")?;
        Ok(Answer {
            code: output.status.code().unwrap_or(-1),
            text: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The status; none while the daemon does not answer.
    pub fn status(&self) -> Result<Option<Status>> {
        let answer = self.ask(&["status", "--json"])?;
        if answer.code == NO_ANSWER {
            return Ok(None);
        }
        serde_json::from_str(&answer.text).map(Some).map_err(|error| LabError::Answer {
            question: format!("evergate status --json on {}", self.gateway),
            text: format!("{error}; exit code {}: {}{}", answer.code, answer.text, answer.errors),
        })
    }

    /// The example's group in the status; none while the daemon does not answer or has no such group.
    pub fn group(&self) -> Result<Option<GroupStatus>> {
        let status = self.status()?;
        Ok(status.and_then(|status| status.groups.into_iter().find(|group| group.name == GROUP)))
    }

    /// Is the example's group active on this node?
    pub fn is_active(&self) -> Result<bool> {
        Ok(self.group()?.is_some_and(|group| group.state == GroupState::Active))
    }

    /// All events kept by the daemon, oldest first.
    pub fn events(&self) -> Result<Vec<Event>> {
        let answer = self.ask(&["events", "--json"])?;
        Ok(answer.text.lines().filter_map(parse_event).collect())
    }

    /// Follows the events from now on.
    pub fn follow(&self) -> Result<Follower> {
        let mut command = Command::new(&self.program);
        command.arg("--socket").arg(&self.socket).args(["events", "--follow", "--json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = shell::spawn(&mut command)?;
        let (sender, events) = sync_channel(MAX_EVENTS);
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                    if parse_event(&line).is_some_and(|event| sender.send(event).is_err()) {
                        return;
                    }
                }
            });
        }
        Ok(Follower { child, events })
    }
}

/// A running `evergate events --follow`.
pub struct Follower {
    child: Child,
    events: Receiver<Event>,
}

impl Follower {
    /// The events that have come since the last call.
    pub fn take(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended with its daemon.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An event from a line: bare, or inside `{"event":...}` as on the socket.
fn parse_event(line: &str) -> Option<Event> {
    let value: Value = serde_json::from_str(line).ok()?;
    let inner = value.get("event").filter(|inner| inner.is_object()).cloned();
    serde_json::from_value(inner.unwrap_or(value)).ok()
}
