//! Processes and threads: priority, identity that cannot be recycled, signals, inheritance.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::checked;

/// Gives the calling thread real-time priority (first in, first out; 1 to 99). Children that it
/// forks and threads that it starts do not inherit it. Needs `CAP_SYS_NICE` or `RLIMIT_RTPRIO`.
pub fn set_realtime(priority: i32) -> io::Result<()> {
    schedule(libc::SCHED_FIFO, priority)
}

/// Takes real-time priority back from the calling thread; its niceness is what it was before.
pub fn set_ordinary() -> io::Result<()> {
    schedule(libc::SCHED_OTHER, 0)
}

fn schedule(policy: i32, priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // Once set only the privileged may take this back.
    let policy = policy | libc::SCHED_RESET_ON_FORK;
    // SAFETY: `parameters` is a valid sched_param for the length of the call; 0 is this thread.
    checked(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) }.into())?;
    Ok(())
}

/// Sets the niceness of the calling thread, -20 (most favoured) to 19.
pub fn set_nice(niceness: i32) -> io::Result<()> {
    // SAFETY: no memory is passed; on Linux PRIO_PROCESS with 0 is the calling thread.
    checked(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) }.into())?;
    Ok(())
}

/// Lets the kernel wake the calling thread as late as `slack_ns` after an ordinary deadline.
pub fn set_timer_slack(slack_ns: u32) -> io::Result<()> {
    Ok(prctl::set_timerslack(slack_ns.into())?)
}

/// Has the kernel send `signal` to this process when its parent dies.
///
/// A parent that died before the call sends nothing: compare the parent's id afterwards.
pub fn set_parent_death_signal(signal: Signal) -> io::Result<()> {
    Ok(prctl::set_pdeathsig(signal)?)
}

/// Names the calling thread for `ps` and `top` (15 bytes are kept).
pub fn set_thread_name(name: &str) -> io::Result<()> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(prctl::set_name(&name)?)
}

/// Refuses privileges that an executed file would grant (set-user-ID), for ever.
pub fn set_no_new_privileges() -> io::Result<()> {
    Ok(prctl::set_no_new_privs()?)
}

/// Lets (or no longer lets) a descriptor survive an exec.
pub fn set_inherited(descriptor: impl AsFd, inherited: bool) -> io::Result<()> {
    let flags = if inherited { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(descriptor, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Takes over a descriptor that the parent left open under a number agreed on, closed on exec.
///
/// Each number may be taken once in the life of a process. It must be none of 0, 1 and 2.
pub fn take_inherited(number: i32) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: borrowed only for the check that it is open, by a call that changes no ownership.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    set_inherited(borrowed, false)?;
    // SAFETY: open (just checked), and by the contract above owned by nobody else in this process.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A process that cannot be confused with a later one of the same id.
///
/// The descriptor is ready to read when the process has ended.
#[derive(Debug)]
pub struct ProcessHandle {
    descriptor: OwnedFd,
}

impl ProcessHandle {
    /// The process that has this id now.
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from(Errno::ESRCH))?;
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let number = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
        let number = i32::try_from(number).expect("descriptors are small integers");
        // SAFETY: the call above just made this descriptor for us alone.
        Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(number) } })
    }

    /// Sends a signal; `ESRCH` if the process has ended and been waited for.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: a null siginfo is allowed and means an ordinary kill.
        checked(unsafe {
            let descriptor = self.descriptor.as_raw_fd();
            libc::syscall(libc::SYS_pidfd_send_signal, descriptor, signal as i32, none, 0)
        })?;
        Ok(())
    }

    /// Whether the process has ended, without waiting.
    pub fn has_ended(&self) -> io::Result<bool> {
        let mut poll =
            libc::pollfd { fd: self.descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd for the length of the call; it returns at once (timeout 0).
        let ready = checked(unsafe { libc::poll(&raw mut poll, 1, 0) }.into())?;
        Ok(ready > 0)
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Signals as something to read: blocked from interrupting, reported one by one.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Blocks `signals` in this thread (and those it starts later) and queues them here instead.
    /// Children inherit the block: they call [`unblock_all_signals`] before running anything else.
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        let set: SigSet = signals.iter().copied().collect();
        set.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self { descriptor: SignalFd::with_flags(&set, flags)? })
    }

    /// The next signal, if one has come.
    pub fn read(&self) -> io::Result<Option<Signal>> {
        let Some(info) = self.descriptor.read_signal()? else { return Ok(None) };
        let number = i32::try_from(info.ssi_signo).unwrap_or(0);
        Ok(Signal::try_from(number).ok())
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Lets all signals through again in the calling thread.
pub fn unblock_all_signals() -> io::Result<()> {
    Ok(SigSet::all().thread_unblock()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_handle_tells_when_its_process_has_ended() {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let handle = ProcessHandle::open(child.id()).unwrap();
        assert!(!handle.has_ended().unwrap());
        handle.signal(Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(handle.has_ended().unwrap());
        assert!(handle.signal(Signal::SIGKILL).is_err());
    }

    #[test]
    fn a_closed_number_cannot_be_taken_over() {
        assert!(take_inherited(2).is_err());
        assert!(take_inherited(987_654).is_err());
    }
}
