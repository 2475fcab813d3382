//! Programs that are run when a group changes its role: `activate`, `deactivate`, `notify`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::check::{RunAs, USER_DEFAULT};

/// The most programs of `activate`, and of `deactivate`.
pub const PROCEDURES_MAX: usize = 64;
/// How long a program may take unless told otherwise.
pub const PROCEDURE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// The shortest time that a program may be given.
pub const PROCEDURE_TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// The longest time that a program may be given.
pub const PROCEDURE_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// What a group runs when its role changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Procedures {
    /// After a takeover, each a program with its arguments, in the order of the file.
    pub activate: Vec<Vec<String>>,
    /// Before the addresses go, likewise.
    pub deactivate: Vec<Vec<String>>,
    /// How both are run.
    pub run: HowRun,
    /// Who is told of each state.
    pub notify: Notify,
}

/// How programs are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HowRun {
    /// Who runs them.
    pub user: RunAs,
    /// How long each may take, [`PROCEDURE_TIMEOUT_MIN`] to [`PROCEDURE_TIMEOUT_MAX`].
    pub timeout: Duration,
}

impl Default for HowRun {
    fn default() -> Self {
        let user = RunAs { user: USER_DEFAULT.to_owned(), group: None };
        Self { user, timeout: PROCEDURE_TIMEOUT_DEFAULT }
    }
}

/// `[group.NAME.notify]`: programs that are told of states, as keepalived tells its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// The program with its arguments, by what it is told of.
    pub programs: BTreeMap<NotifyOf, Vec<String>>,
    /// How they are run.
    pub run: HowRun,
    /// As what the group is told, also in the FIFO.
    pub kind: NotifyKind,
}

/// What a program is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotifyOf {
    /// Every state, with arguments that say which.
    Any,
    /// The group is active here.
    Master,
    /// It stands by here.
    Backup,
    /// A check has failed here.
    Fault,
    /// The daemon ends, or the group is removed.
    Stop,
    /// An active router of another make with a lower priority was heard.
    LowerPriority,
}

impl NotifyOf {
    /// What the file calls each.
    pub const WORDS: [(&str, Self); 6] = [
        ("any", Self::Any),
        ("master", Self::Master),
        ("backup", Self::Backup),
        ("fault", Self::Fault),
        ("stop", Self::Stop),
        ("lower_priority", Self::LowerPriority),
    ];
}

/// As what a group is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotifyKind {
    /// As what keepalived calls a sync group: GROUP, its name, its state, 0.
    #[default]
    Group,
    /// As what keepalived calls an instance: INSTANCE, its name, its state, its priority.
    Instance,
}

impl NotifyKind {
    /// What the file calls each.
    pub const WORDS: [(&str, Self); 2] = [("group", Self::Group), ("instance", Self::Instance)];
}

/// `[notify]`: a FIFO that gets a line for each new state of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// Where it is.
    pub path: PathBuf,
    /// Who may read it, and who runs the program.
    pub user: RunAs,
    /// A program that is started with the path as its last argument, to read it.
    pub program: Option<Vec<String>>,
}
