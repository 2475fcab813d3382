//! Checks: what has to be looked at, because nobody tells it. And what core and runner say to each other.
//!
//! ```text
//!   core:    node thread ◄── results, bell ── thread checks ◄───┐ one socket,
//!                        ── orders ─────────►   (link)          │ one line a message
//!   runner:  thread checks (service) ── one thread for each ────┘
//!                                       check: looks, waits;
//!                                       procedures: crate::procedures
//! ```
//!
//! The core starts nothing and reads nothing that could hang, so the runner looks: each check has a
//! thread of its own there, which does one look at a time and tells what it found. A look that hangs
//! holds up nobody but itself. What a result means is decided by the machine.
mod link;
mod look;
mod neighbour;
mod ping;
pub(crate) mod program;
mod route;
mod service;
#[cfg(test)]
mod tests;
mod trust;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use evergate_api::config::check::{Check, Test};
use evergate_core::check::Reading;
use serde::{Deserialize, Serialize};

use crate::procedures::{Ended, Work};

pub use link::{Link, NEWS_MAX, News};
pub use service::Service;
pub(crate) use service::{Voice, tell};

/// The longest line between core and runner, in bytes: all checks with all their arguments.
const LINE_MAX: u64 = 1 << 24;

/// A check that the runner makes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Its name.
    pub name: String,
    /// What is looked at, as the file has it: results of another test do not count.
    pub test: String,
    /// What is done.
    pub look: Look,
    /// How often.
    pub interval: Duration,
    /// How long it may take.
    pub timeout: Duration,
}

/// What is done for a check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Look {
    /// Looks for a route.
    Route(IpAddr, u8),
    /// Looks for a process.
    Process(String),
    /// Looks for a file.
    File(PathBuf),
    /// Reads a number from a file.
    Value(PathBuf),
    /// Runs a program with its arguments, as a user and perhaps a group.
    Exec {
        /// The program and its arguments.
        words: Vec<String>,
        /// Who runs it.
        user: String,
        /// As which group, if not the user's own.
        group: Option<String>,
    },
    /// Asks a neighbour whether it is there; perhaps on a given interface.
    Arp(IpAddr, Option<String>),
    /// Asks a host for an echo; perhaps through a given interface.
    Ping(IpAddr, Option<String>),
    /// Connects.
    Tcp(SocketAddr),
}

/// What a look has found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Found {
    /// The name of the check.
    pub name: String,
    /// What was looked at.
    pub test: String,
    /// What that means.
    pub reading: Reading,
    /// The same in words: an exit status, an error.
    pub text: String,
    /// The exit status of a program that has ended by itself.
    pub status: Option<i32>,
    /// How long it took.
    pub took: Duration,
}

/// What the core says to its runner. Each is a level: the newest of its kind counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Letter {
    /// All checks.
    Checks(Arc<Vec<Order>>),
    /// All procedures that are to run now, and all lines that are to be written.
    Procedures(Arc<Work>),
}

/// What the runner says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    /// A look has found something.
    Found(Found),
    /// A procedure has ended, or a line was written.
    Ended(Ended),
}

/// The socket on which the core listens for its runner.
pub fn socket_path(control: &Path) -> PathBuf {
    let mut path = control.as_os_str().to_owned();
    path.push(".run");
    path.into()
}

impl Order {
    /// The order for a check of the file; none for one that is known without looking.
    pub fn of(name: &str, check: &Check) -> Option<Order> {
        let look = match &check.test {
            Test::Carrier(_) | Test::Interface(_) | Test::Group { .. } => return None,
            Test::Route(network) => Look::Route(network.ip, network.prefix),
            Test::Process(name) => Look::Process(name.clone()),
            Test::File(path) => Look::File(path.clone()),
            Test::Value(path) => Look::Value(path.clone()),
            Test::Exec(words) => Look::Exec {
                words: words.clone(),
                user: check.user.user.clone(),
                group: check.user.group.clone(),
            },
            Test::Arp(host) => Look::Arp(host.address, host.interface.clone()),
            Test::Ping(host) => Look::Ping(host.address, host.interface.clone()),
            Test::Tcp(address) => Look::Tcp(*address),
        };
        let (interval, timeout) = (check.interval, check.timeout);
        Some(Order { name: name.to_owned(), test: check.test.to_string(), look, interval, timeout })
    }
}

/// What one look gives: the reading, and words for it; the exit status of a program.
pub(crate) type Seen = (Reading, String, Option<i32>);

/// It passes.
fn pass(text: impl Into<String>) -> Seen {
    (Reading::Pass, text.into(), None)
}

/// It fails.
fn fail(text: impl Into<String>) -> Seen {
    (Reading::Fail, text.into(), None)
}
