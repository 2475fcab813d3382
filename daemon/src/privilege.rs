//! What each process may do: more priority than others, and fewer rights.
//!
//! ```text
//!            priority          memory   capabilities                              system calls
//! guardian   FIFO, above core  locked   those in GUARDIAN_CAPABILITIES            all
//! core       FIFO              locked   NET_ADMIN, NET_RAW                        a list, no exec
//! runner     ordinary          -        the guardian's permitted, none effective  all
//!   checks   ordinary          -        CHECK_CAPABILITIES                        all
//! ```
//!
//! A thread of the core that may work for seconds without a rest has no real-time priority, see
//! [`favour_thread`].
//!
//! What the system does not grant is reported as a value, never an error: a daemon without
//! real-time priority is slower to notice, not wrong.

mod filter;

use std::fmt;
use std::io;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use crate::sys::memory::lock_memory;
use crate::sys::process::{set_nice, set_no_new_privileges, set_realtime, set_timer_slack};
pub use filter::SystemCalls;

/// Real-time priority of the core: low in the range, so that the kernel's own threads go first.
pub const CORE_PRIORITY: i32 = 20;
/// Real-time priority of the guardian: it must be able to end a core that spins.
pub const GUARDIAN_PRIORITY: i32 = 21;
/// Niceness where real-time priority is refused or does not fit.
const NICENESS: i32 = -20;
/// The limit that permits it: 20 less the niceness (getrlimit(2)).
const NICE_LIMIT: u64 = 40;
/// How late the kernel may wake us from an ordinary deadline.
const TIMER_SLACK_NS: u32 = 1;

/// What a guardian needs for itself, for a restarted core and for the runner.
pub const GUARDIAN_CAPABILITIES: [Capability; 8] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_KILL,
    Capability::CAP_SYS_NICE,
    Capability::CAP_IPC_LOCK,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
];

/// What the threads of the runner have in force that make checks: raw packets, and programs that are
/// started as other users and ended.
pub const CHECK_CAPABILITIES: [Capability; 4] =
    [Capability::CAP_NET_RAW, Capability::CAP_KILL, Capability::CAP_SETUID, Capability::CAP_SETGID];

/// What a core keeps once its sockets are open.
pub const CORE_CAPABILITIES: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// How a thread is scheduled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Priority {
    /// First in, first out, with this priority.
    Realtime(i32),
    /// Ordinary, with this niceness: grant `CAP_SYS_NICE` or `LimitRTPRIO=` for more.
    Nice(i32),
    /// Ordinary, like any other program.
    Ordinary,
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Priority::Realtime(priority) => write!(f, "real-time {priority}"),
            Priority::Nice(niceness) => write!(f, "nice {niceness}"),
            Priority::Ordinary => f.write_str("ordinary"),
        }
    }
}

/// Whether memory is locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// No page that was touched once is ever swapped out.
    Locked,
    /// The limit is too low: grant `LimitMEMLOCK=infinity`. A busy disk may delay us.
    Limited,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Memory::Locked => "locked",
            Memory::Limited => "not locked",
        })
    }
}

/// What was granted to the calling thread and its process: for status and log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raised {
    /// How the calling thread is scheduled.
    pub priority: Priority,
    /// Whether the memory of the process is locked.
    pub memory: Memory,
}

/// What the process may still do: for status and log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Confined {
    /// The capabilities it needs and was never given; without them addresses cannot be held.
    pub missing: Vec<Capability>,
    /// Whether the list of system calls is in force.
    pub system_calls: SystemCalls,
}

/// A right could not be given up. It is not safe to go on: the kernel's fault, or ours.
#[derive(Debug)]
pub enum PrivilegeError {
    /// The capabilities could not be read or lowered.
    Capabilities(String),
    /// `no_new_privs` was refused.
    NoNewPrivileges(io::Error),
}

impl fmt::Display for PrivilegeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrivilegeError::Capabilities(error) => {
                write!(f, "capabilities cannot be given up: {error}")
            }
            PrivilegeError::NoNewPrivileges(error) => write!(f, "no_new_privs is refused: {error}"),
        }
    }
}

impl std::error::Error for PrivilegeError {}

impl From<caps::errors::CapsError> for PrivilegeError {
    fn from(error: caps::errors::CapsError) -> Self {
        PrivilegeError::Capabilities(error.to_string())
    }
}

/// Asks for everything that makes the calling thread punctual. Call it first in a process, before
/// memory is mapped: what is mapped later is locked as it is touched.
pub fn raise(priority: i32) -> Raised {
    // A core dump would hold keys, and would delay the end of a process that has crashed.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // Threads that are started after the capabilities are gone still get their priority.
    if let Ok(limit) = u64::try_from(GUARDIAN_PRIORITY) {
        let _ = setrlimit(Resource::RLIMIT_RTPRIO, limit, limit);
    }
    let _ = setrlimit(Resource::RLIMIT_NICE, NICE_LIMIT, NICE_LIMIT);
    Raised { priority: raise_thread(priority), memory: raise_memory() }
}

/// Asks for priority and prompt waking of the calling thread alone.
pub fn raise_thread(priority: i32) -> Priority {
    let _ = set_timer_slack(TIMER_SLACK_NS);
    if set_realtime(priority).is_ok() {
        return Priority::Realtime(priority);
    }
    favour_thread()
}

/// Asks for a large share of a processor, and prompt waking, for the calling thread alone: for work that may
/// last for seconds or that others cause, such as the copy of a whole table or news of a flood of
/// connections. With real-time priority it could use up all that the kernel lets such threads have
/// (`sched_rt_runtime_us`), and heartbeats would be late.
pub fn favour_thread() -> Priority {
    let _ = set_timer_slack(TIMER_SLACK_NS);
    if set_nice(NICENESS).is_ok() { Priority::Nice(NICENESS) } else { Priority::Ordinary }
}

/// Locks memory only where no limit applies: with a limit, a later allocation would fail instead
/// of being slow.
fn raise_memory() -> Memory {
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    let limit = getrlimit(Resource::RLIMIT_MEMLOCK).map(|(soft, _)| soft);
    if limit == Ok(RLIM_INFINITY) && lock_memory().is_ok() {
        Memory::Locked
    } else {
        Memory::Limited
    }
}

/// Confines the core for good: two capabilities, no new ones ever, a list of system calls.
///
/// Call it when the sockets are open and before the first thread is started: capabilities belong
/// to threads. The list of system calls applies to all threads.
pub fn confine_core() -> Result<Confined, PrivilegeError> {
    let missing = keep(&CORE_CAPABILITIES)?;
    let _ = caps::clear(None, CapSet::Ambient);
    caps::clear(None, CapSet::Inheritable)?;
    set_no_new_privileges().map_err(PrivilegeError::NoNewPrivileges)?;
    Ok(Confined { missing, system_calls: filter::apply() })
}

/// Gives up what a guardian does not need, and returns what it needs and was never given.
pub fn confine_guardian() -> Result<Vec<Capability>, PrivilegeError> {
    keep(&GUARDIAN_CAPABILITIES)
}

/// Leaves the runner without any capability in force. It keeps the guardian's in its permitted
/// set (and in the ambient one, where the daemon is not started as root), because only so can it
/// hand them to a new guardian.
pub fn confine_runner() -> Result<(), PrivilegeError> {
    keep(&GUARDIAN_CAPABILITIES)?;
    Ok(caps::clear(None, CapSet::Effective)?)
}

/// Puts in force, in the calling thread of a runner and those that it starts, what checks need.
pub fn raise_checks() -> Result<(), PrivilegeError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let wanted = CHECK_CAPABILITIES.iter().filter(|capability| permitted.contains(capability));
    Ok(caps::set(None, CapSet::Effective, &wanted.copied().collect())?)
}

/// Reduces the calling thread to these capabilities; returns those it never had.
fn keep(wanted: &[Capability]) -> Result<Vec<Capability>, PrivilegeError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let held = |capability: &&Capability| permitted.contains(capability);
    let kept: CapsHashSet = wanted.iter().filter(held).copied().collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    let missing = wanted.iter().filter(|capability| !permitted.contains(capability));
    Ok(missing.copied().collect())
}
