//! A process of ours: started here, or adopted from a guardian that died.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::Signal;
use nix::sys::time::{TimeSpec, TimeValLike};

use super::role::{Inherited, Role};
use crate::estate::{Identity, SharedEstate};
use crate::lock::SocketLock;
use crate::sys::clock::boottime_now;
use crate::sys::process::{ProcessHandle, set_inherited};

/// The file that runs now, also when an upgrade has replaced it meanwhile.
pub const THIS_PROGRAM: &str = "/proc/self/exe";
/// Where in `/proc/PID/stat` the start time stands, counted behind the name in parentheses.
const START_TIME_FIELD: usize = 19;

/// How a process has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// With exit code 0: it had done all it had to.
    Clean,
    /// With another exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Not our child: nobody tells us.
    Unknown,
}

/// A running process, or one that has just ended.
#[derive(Debug)]
pub struct Process {
    handle: ProcessHandle,
    child: Option<Child>,
    /// Who it is.
    pub identity: Identity,
}

/// How processes of ours are started: the program, the user's arguments, what they inherit.
#[derive(Clone, Debug)]
pub struct Starter {
    /// The program, [`THIS_PROGRAM`] unless a test says otherwise.
    pub program: PathBuf,
    /// The user's arguments.
    pub arguments: Vec<OsString>,
}

impl Starter {
    /// What a child gets when it inherits these.
    pub fn inherited(&self, estate: &SharedEstate, lock: &SocketLock) -> Inherited {
        Inherited {
            estate_fd: estate.as_fd().as_raw_fd(),
            lock_fd: lock.as_fd().as_raw_fd(),
            arguments: self.arguments.clone(),
        }
    }

    /// Starts a process in a role. It leads a process group of its own: an interrupt typed at the
    /// terminal reaches the guardian alone.
    pub fn start(
        &self,
        role: &Role,
        estate: &SharedEstate,
        lock: &SocketLock,
    ) -> io::Result<Process> {
        let mut command = Command::new(&self.program);
        command.arg0(role.name()).args(role.arguments());
        command.stdin(Stdio::null()).process_group(0);
        set_inherited(estate, true)?;
        set_inherited(lock, true)?;
        let spawned = command.spawn();
        // Closed on exec again, for whatever else this process starts.
        set_inherited(estate, false)?;
        set_inherited(lock, false)?;
        Process::of_child(spawned?)
    }
}

impl Process {
    /// The process of this identity, unless it is gone.
    pub fn adopt(identity: Identity) -> Option<Process> {
        if identity.pid == 0 {
            return None;
        }
        // The handle comes first: if the start time fits afterwards, the handle is of this process.
        let handle = ProcessHandle::open(identity.pid).ok()?;
        let same = start_ticks(identity.pid).ok()? == identity.start_ticks;
        same.then_some(Process { handle, child: None, identity })
    }

    /// Sends a signal. A process that has ended does not mind.
    pub fn signal(&self, signal: Signal) {
        let _ = self.handle.signal(signal);
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.handle.has_ended().unwrap_or(false)
    }

    /// Waits for its end until a boot time in nanoseconds; true if it has ended.
    pub fn wait(&self, until: u64) -> bool {
        loop {
            let left = until.saturating_sub(boottime_now());
            if self.has_ended() || left == 0 {
                return self.has_ended();
            }
            let timeout = TimeSpec::nanoseconds(i64::try_from(left).unwrap_or(i64::MAX));
            let mut polled = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            let _ = ppoll(&mut polled, Some(timeout), None);
        }
    }

    /// How it has ended; call it after it has.
    pub fn end(&mut self) -> End {
        let status = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        status.map_or(End::Unknown, end_of)
    }

    fn of_child(mut child: Child) -> io::Result<Process> {
        let pid = child.id();
        // Until it is waited for, a child keeps its id, so neither call can meet another process.
        let found = ProcessHandle::open(pid).and_then(|handle| Ok((handle, start_ticks(pid)?)));
        match found {
            Ok((handle, start_ticks)) => {
                Ok(Process { handle, child: Some(child), identity: Identity { pid, start_ticks } })
            }
            Err(error) => {
                let _ = child.kill();
                Err(error)
            }
        }
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Who this process is.
pub fn own_identity() -> io::Result<Identity> {
    let pid = std::process::id();
    Ok(Identity { pid, start_ticks: start_ticks(pid)? })
}

/// When a process was started, in clock ticks since boot.
fn start_ticks(pid: u32) -> io::Result<u64> {
    let path = Path::new("/proc").join(pid.to_string()).join("stat");
    let text = std::fs::read_to_string(path)?;
    parse_start_ticks(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The name may hold spaces and parentheses; the last one ends it.
fn parse_start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(START_TIME_FIELD)?.parse().ok()
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(0), _) => End::Clean,
        (Some(code), _) => End::Code(code),
        (None, Some(signal)) => End::Signal(signal),
        (None, None) => End::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        for name in ["(sh)", "(a) b (c)", "()", "(x 1 2)"] {
            assert_eq!(parse_start_ticks(&format!("77 {name} {tail}")), Some(4711));
        }
        assert_eq!(parse_start_ticks("77 (sh) S 1"), None);
    }

    #[test]
    fn another_process_of_the_same_id_is_not_adopted() {
        let own = own_identity().unwrap();
        assert!(Process::adopt(own).is_some());
        assert!(Process::adopt(Identity { start_ticks: own.start_ticks + 1, ..own }).is_none());
        assert!(Process::adopt(Identity { pid: 0, start_ticks: 0 }).is_none());
    }
}
