//! Starting programs that are not ours, as a user.

use std::ffi::CString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::fcntl::{OFlag, open};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{
    Gid, Group, Uid, User, getegid, geteuid, getgrouplist, setgid, setgroups, setuid, write,
};

/// The limits that we raise for ourselves, and what others get.
const LIMITS: [(Resource, u64); 3] =
    [(Resource::RLIMIT_RTPRIO, 0), (Resource::RLIMIT_NICE, 0), (Resource::RLIMIT_MEMLOCK, 8 << 20)];

/// Input, output and errors.
const STANDARD_FDS: libc::c_uint = 3;

/// Who runs a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    user: Uid,
    group: Gid,
    /// The groups that the user belongs to besides.
    others: Vec<Gid>,
}

impl Identity {
    /// A user, by name or number, with the groups that the system knows, or with a group of choice.
    pub fn of(user: &str, group: Option<&str>) -> Result<Identity, String> {
        let text = |error: nix::Error| error.to_string();
        let known = match user.parse::<u32>() {
            Ok(number) => User::from_uid(Uid::from_raw(number)).map_err(text)?,
            Err(_) => User::from_name(user).map_err(text)?,
        };
        let known = known.ok_or_else(|| format!("there is no user {user}"))?;
        let group = match group {
            None => known.gid,
            Some(name) => group_of(name)?,
        };
        let name = CString::new(known.name).map_err(|error| error.to_string())?;
        let others = getgrouplist(&name, group).map_err(text)?;
        Ok(Identity { user: known.uid, group, others })
    }

    /// The number of the group.
    pub fn group(&self) -> u32 {
        self.group.as_raw()
    }

    /// The number of the user.
    pub fn user(&self) -> u32 {
        self.user.as_raw()
    }
}

fn group_of(name: &str) -> Result<Gid, String> {
    let known = match name.parse::<u32>() {
        Ok(number) => Group::from_gid(Gid::from_raw(number)),
        Err(_) => Group::from_name(name),
    };
    let known = known.map_err(|error| error.to_string())?;
    known.map(|group| group.gid).ok_or_else(|| format!("there is no group {name}"))
}

/// Starts a program as a user, as the leader of a process group. It has none of our limits, descriptors and
/// shelter from the kernel's killer, and no capability that the user would not have, and it ends if the
/// calling thread does, where the kernel grants that.
///
/// To become another user needs `CAP_SETUID` and `CAP_SETGID` in force.
pub fn spawn_as(command: &mut Command, identity: &Identity) -> io::Result<Child> {
    command.process_group(0);
    let Identity { user, group, others } = identity.clone();
    let changes = user != geteuid() || group != getegid();
    let become_user = move || {
        close_on_exec();
        be_ordinary_prey();
        for (resource, limit) in LIMITS {
            // A limit that cannot be lowered was not raised.
            let _ = setrlimit(resource, limit, limit);
        }
        if changes {
            setgroups(&others)?;
            setgid(group)?;
            setuid(user)?;
        }
        clear_ambient();
        let _ = prctl::set_pdeathsig(Signal::SIGKILL);
        Ok(())
    };
    // SAFETY: between fork and exec of a process with threads only calls that are safe in a signal
    // handler may be made. These are plain system calls; nothing is allocated, locked or freed.
    unsafe { command.pre_exec(become_user) };
    command.spawn()
}

/// Another thread may be starting a process of ours, which gets descriptors that nobody else may have.
fn close_on_exec() {
    let (first, last, flags) = (STANDARD_FDS, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: this system call takes integers and touches no memory of ours. Kernels before 5.11 refuse it,
    // and run nothing of this daemon.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
}

/// The daemon may be spared when memory ends (`OOMScoreAdjust=` of the unit); what it starts is not.
fn be_ordinary_prey() {
    let score = open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY, Mode::empty());
    // Where it cannot be raised it was not lowered.
    let _ = score.map(|score| write(&score, b"0"));
}

/// What is in the ambient set would be in force in the program.
fn clear_ambient() {
    let (clear, none) = (libc::PR_CAP_AMBIENT_CLEAR_ALL, 0);
    // SAFETY: this form of prctl takes integers and touches no memory of ours. Kernels without
    // ambient capabilities refuse it, and then there are none.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear, none, none, none) };
}
