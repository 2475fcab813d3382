//! What procedures are, what happens, and what is told: plain data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::heartbeat::Role;
use crate::time::Instant;

/// A program, and how it is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// The program with its arguments.
    pub words: Vec<String>,
    /// Who runs it.
    pub user: String,
    /// As which group, if not the user's own.
    pub user_group: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// The procedures of a group, as its configuration has them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// After a takeover, in this order.
    pub activate: Vec<Program>,
    /// Before the addresses go, in this order.
    pub deactivate: Vec<Program>,
    /// What is told of each state.
    pub notify: BTreeMap<Occasion, Program>,
    /// What is told of every state.
    pub any: Option<Program>,
    /// As what the group is told.
    pub kind: Kind,
}

impl Plan {
    /// Whether it has any program.
    pub fn runs_anything(&self) -> bool {
        let Plan { activate, deactivate, notify, any, kind: _ } = self;
        !(activate.is_empty() && deactivate.is_empty() && notify.is_empty() && any.is_none())
    }
}

/// As what a group is told: keepalived has both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// A sync group, without a priority.
    #[default]
    Group,
    /// An instance, with its priority.
    Instance,
}

/// A state that programs are told of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Occasion {
    /// The group is active here.
    Master,
    /// The group stands by here.
    Backup,
    /// A check has failed.
    Fault,
    /// The daemon ends, or the group is removed.
    Stop,
    /// An active router of another make with a lower priority was heard.
    LowerPriority,
}

impl Occasion {
    /// What keepalived calls it in arguments and FIFO lines.
    pub fn word(self) -> &'static str {
        match self {
            Occasion::Master => "MASTER",
            Occasion::Backup => "BACKUP",
            Occasion::Fault => "FAULT",
            Occasion::Stop => "STOP",
            Occasion::LowerPriority => "MASTER_RX_LOWER_PRI",
        }
    }
}

/// Where a group has got to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// The addresses are here and announced.
    Active,
    /// The addresses are about to go.
    Releasing,
    /// It stands by.
    Standby,
    /// A check has failed.
    Fault,
    /// An operator has locked it out.
    Locked,
    /// The daemon ends, or the group is removed.
    Stopped,
    /// It is active and has heard another that claims to be, with a lower priority.
    LowerHeard,
}

impl Phase {
    /// What is told of it; `None` for one that nobody is told of.
    pub fn occasion(self) -> Option<Occasion> {
        match self {
            Phase::Active => Some(Occasion::Master),
            Phase::Releasing => None,
            Phase::Standby | Phase::Locked => Some(Occasion::Backup),
            Phase::Fault => Some(Occasion::Fault),
            Phase::Stopped => Some(Occasion::Stop),
            Phase::LowerHeard => Some(Occasion::LowerPriority),
        }
    }

    pub(super) fn of(role: Role) -> Option<Phase> {
        match role {
            Role::Init | Role::Claiming => None,
            Role::Active => Some(Phase::Active),
            Role::Releasing => Some(Phase::Releasing),
            Role::Standby => Some(Phase::Standby),
            Role::Fault => Some(Phase::Fault),
            Role::Locked => Some(Phase::Locked),
        }
    }
}

/// Why and when something has changed, in words that outlive a renumbering.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Why {
    /// The stable code of the cause.
    pub cause: &'static str,
    /// The same for people.
    pub text: String,
    /// The priority in force, 0 to 255.
    pub priority: u8,
}

/// A transition that procedures are run for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transition {
    /// Its number. It rises with every transition of this node, also over a restart of the daemon, until
    /// the machine is booted.
    pub sequence: u64,
    /// The role before.
    pub from: Role,
    /// Where it leads.
    pub to: Phase,
    /// When.
    pub at: Instant,
    /// Why.
    pub why: Why,
    /// Nobody is told: what follows will be.
    pub(super) quiet: bool,
}

/// Which of the procedures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Procedure {
    /// One of `activate`, by its place.
    Activate(usize),
    /// One of `deactivate`, by its place.
    Deactivate(usize),
    /// That of a state in `notify`.
    Notify(Occasion),
    /// `any` in `notify`.
    Any(Occasion),
}

/// A program that is to run now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// Its number, never used before.
    pub id: u64,
    /// The group.
    pub group: String,
    /// What it is for.
    pub procedure: Procedure,
    /// What is run, with the arguments that are added.
    pub program: Program,
    /// The transition that it is run for.
    pub transition: Transition,
    /// How many transitions were skipped since the last one that was run.
    pub skipped: u32,
}

/// A line for the FIFO.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its number, from the same count as those of programs.
    pub id: u64,
    /// The line without its end.
    pub text: String,
}

/// How a program has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// It ended by itself, in time, with exit status 0.
    pub well: bool,
    /// The same in words.
    pub text: String,
    /// The exit status of one that has ended by itself.
    pub status: Option<i32>,
    /// How long it took.
    pub took: Duration,
}

/// A fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// The procedures of every group, and whether there is a FIFO: at the start and after a reload.
    Configured {
        /// By group.
        plans: BTreeMap<String, Arc<Plan>>,
        /// Lines are written.
        fifo: bool,
    },
    /// The role of a group when it was configured: it may have had it for long.
    Found {
        /// The group.
        group: String,
        /// Its role.
        role: Role,
        /// Its priority in force, 0 to 255.
        priority: u8,
    },
    /// A group has another role.
    Role {
        /// The group.
        group: String,
        /// The former role.
        from: Role,
        /// The new one.
        to: Role,
        /// The addresses are held, or asked for, by now.
        holds: bool,
        /// Why.
        why: Why,
    },
    /// An active group is about to be handed over, or stays after all.
    Yields {
        /// The group.
        group: String,
        /// It is about to go.
        goes: bool,
        /// Why.
        why: Why,
    },
    /// An active group has heard a router of another make that claims to be active with a lower priority.
    LowerHeard {
        /// The group.
        group: String,
        /// Why.
        why: Why,
    },
    /// A program has ended, or a line was written.
    Ended {
        /// Its number.
        id: u64,
        /// How.
        outcome: Outcome,
    },
    /// The daemon begins to end.
    Stopping,
    /// Every group is given up.
    Stopped,
}

/// What is told; what is to be done stands in [`super::Procedures::orders`] and [`super::Procedures::lines`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// What is to run, or the lines that are to be written, have changed.
    Orders,
    /// A transition was skipped.
    Skipped {
        /// The group.
        group: String,
        /// The one that was skipped.
        transition: Transition,
        /// The number of the one that made it idle.
        by: u64,
    },
    /// A program has ended.
    Ended {
        /// Which.
        run: Run,
        /// How.
        outcome: Outcome,
    },
    /// Every procedure of a transition has ended.
    Done {
        /// The group.
        group: String,
        /// The transition.
        transition: Transition,
        /// Since the transition.
        took: Duration,
    },
    /// So many lines were lost: nobody has taken them.
    LinesLost(usize),
    /// A line could not be written, and why.
    LineFailed(String),
    /// The time for procedures at the end is over; these groups were not through.
    Abandoned(Vec<String>),
}
