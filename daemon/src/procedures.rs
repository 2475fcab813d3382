//! Procedures: the programs that are run for a group, and the lines that are written for it.
//!
//! What is run, and in which order, is decided by [`evergate_core::procedure`] in the core. The runner gets a
//! list of what is to run now ([`Work`]) over the socket of the checks and says what has ended. The list is
//! a level: a core that comes later gives its own, and a runner that comes later gets it.
//!
//! ```text
//!   runner:  thread checks ── Work ──► Workshop ──► a thread for each group: one program at a time
//!                                              └──► thread fifo: lines, and the program that reads them
//! ```
//!
//! A program whose core has died goes on to its end, and what the next core orders for the group waits for
//! it. With the runner its programs die; they are started again by the next one.
mod fifo;
mod lanes;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::Voice;
use crate::checks::program::Programs;
use fifo::Writer;
use lanes::Lanes;

/// All that is to be done now.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Work {
    /// Programs, one of a group.
    pub jobs: Vec<Job>,
    /// Where lines go.
    pub fifo: Option<FifoPlan>,
    /// Lines with their numbers, which rise.
    pub lines: Vec<(u64, String)>,
}

/// A program that is to run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its number, never used before.
    pub id: u64,
    /// The group, of which one runs at a time.
    pub group: String,
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Who runs it.
    pub user: String,
    /// As which group, if not the user's own.
    pub user_group: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// What it is told in its environment.
    pub environment: Vec<(String, String)>,
    /// What it reads.
    pub input: String,
}

/// The FIFO.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FifoPlan {
    /// Where it is.
    pub path: PathBuf,
    /// Who reads it.
    pub user: String,
    /// As which group, if not the user's own.
    pub user_group: Option<String>,
    /// A program that reads it, with its arguments.
    pub program: Option<Vec<String>>,
}

/// A program has ended, or a line was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// Its number.
    pub id: u64,
    /// It ended by itself, in time, with exit status 0.
    pub well: bool,
    /// The same in words.
    pub text: String,
    /// The exit status of one that has ended by itself.
    pub status: Option<i32>,
    /// How long it took.
    pub took: Duration,
}

/// The runner's end: does the work that it is given, and tells what has ended.
pub(crate) struct Workshop {
    lanes: Lanes,
    fifo: Writer,
}

impl Workshop {
    /// Idle.
    pub(crate) fn new(voice: Voice, programs: Arc<Programs>) -> Workshop {
        let fifo = Writer::new(Arc::clone(&voice), Arc::clone(&programs));
        Workshop { lanes: Lanes::new(voice, programs), fifo }
    }

    /// Takes the newest list.
    pub(crate) fn take(&self, work: Work) {
        self.lanes.take(work.jobs);
        self.fifo.take(work.fifo, work.lines);
    }

    /// The daemon ends: the FIFO goes, and who reads it is asked to end.
    pub(crate) fn close(&self) {
        self.fifo.close();
    }
}
