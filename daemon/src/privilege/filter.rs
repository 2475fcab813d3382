//! The system calls that a confined core may make.
//!
//! Three filters, of which the strictest answer counts:
//!
//! * Starting a program or a process ends ours at once: only an intruder would try, and a guardian
//!   knows what to do about a dead core.
//! * Any other call off the list fails with `EPERM`, which std and our ports handle as an error:
//!   a new libc that prefers a newer call must not take a gateway down.
//! * `clone3` does not exist (`ENOSYS`), so that libc starts threads by `clone`, whose flags a
//!   filter can see.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// Whether the list of system calls is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SystemCalls {
    /// It is, for every thread.
    Listed,
    /// The kernel has no seccomp filters, for this reason: the core runs with less protection.
    Unlisted(String),
}

/// The rules of one filter, by number of the call.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Installs the filters for all threads of the process.
pub(super) fn apply() -> SystemCalls {
    let applied = programs().and_then(|programs| {
        for program in &programs {
            seccompiler::apply_filter_all_threads(program).map_err(|error| error.to_string())?;
        }
        Ok(())
    });
    match applied {
        Ok(()) => SystemCalls::Listed,
        Err(reason) => SystemCalls::Unlisted(reason),
    }
}

/// The filters, the one that allows the fewest calls last: it would refuse to install another.
fn programs() -> Result<[BpfProgram; 3], String> {
    let text = |error: seccompiler::BackendError| error.to_string();
    let not_a_thread = condition(0, thread_flag(), 0).map_err(text)?;
    let mut processes: Rules = PROCESS_CALLS.iter().map(|call| (*call, vec![])).collect();
    processes.insert(libc::SYS_clone, vec![not_a_thread]);
    let hidden: Rules = [(libc::SYS_clone3, vec![])].into();
    let mut allowed: Rules =
        ALLOWED.iter().chain(OLD_ALLOWED).map(|call| (*call, vec![])).collect();
    let families = FAMILIES.iter().map(|family| equals(0, *family));
    let families = families.collect::<Result<Vec<_>, _>>().map_err(text)?;
    allowed.insert(libc::SYS_socket, families);
    let (kill, allow) = (SeccompAction::KillProcess, SeccompAction::Allow);
    Ok([
        program(processes, allow.clone(), kill)?,
        program(hidden, allow.clone(), SeccompAction::Errno(errno(libc::ENOSYS)))?,
        program(allowed, SeccompAction::Errno(errno(libc::EPERM)), allow)?,
    ])
}

/// A filter that answers `matched` to the calls of `rules` and `other` to the rest.
fn program(
    rules: Rules,
    other: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter =
        SeccompFilter::new(rules, other, matched, arch).map_err(|error| error.to_string())?;
    BpfProgram::try_from(filter).map_err(|error| error.to_string())
}

/// True where the bits `mask` of an argument have this value.
fn condition(
    argument: u8,
    mask: u64,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    let masked = SeccompCmpOp::MaskedEq(mask);
    let length = SeccompCmpArgLen::Qword;
    SeccompRule::new(vec![SeccompCondition::new(argument, length, masked, value)?])
}

/// True where an argument of C type `int` is this.
fn equals(argument: u8, value: i32) -> Result<SeccompRule, seccompiler::BackendError> {
    let value = u64::from(value.unsigned_abs());
    let length = SeccompCmpArgLen::Dword;
    SeccompRule::new(vec![SeccompCondition::new(argument, length, SeccompCmpOp::Eq, value)?])
}

/// The flag that tells a thread from a process.
fn thread_flag() -> u64 {
    u64::from(libc::CLONE_THREAD.unsigned_abs())
}

/// Error numbers are small and positive.
fn errno(number: i32) -> u32 {
    number.unsigned_abs()
}

/// Address families that the core opens sockets of.
const FAMILIES: &[i32] =
    &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET];

/// Calls that start a program or a process, besides `clone`.
#[cfg(target_arch = "x86_64")]
const PROCESS_CALLS: &[i64] =
    &[libc::SYS_execve, libc::SYS_execveat, libc::SYS_fork, libc::SYS_vfork];
/// Calls that start a program or a process, besides `clone`.
#[cfg(not(target_arch = "x86_64"))]
const PROCESS_CALLS: &[i64] = &[libc::SYS_execve, libc::SYS_execveat];

/// Older forms of allowed calls, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const OLD_ALLOWED: &[i64] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_getdents,
    libc::SYS_getpgrp,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
/// Older forms of allowed calls, which newer architectures do not have.
#[cfg(not(target_arch = "x86_64"))]
const OLD_ALLOWED: &[i64] = &[];

/// What std, libc and our ports use. `socket` is allowed for [`FAMILIES`] only.
const ALLOWED: &[i64] = &[
    // Descriptors and files: configuration, keys, state, the control socket's lock, sysctls.
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_ioctl,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pipe2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_signalfd4,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
    // Sockets.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_memfd_create,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mlockall,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munlock,
    libc::SYS_munlockall,
    libc::SYS_munmap,
    // Threads; `clone` only for them.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    // Signals to ourselves (abort), not to others.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    // Who and when.
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getpriority,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_nanosleep,
    libc::SYS_pidfd_open,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_setpriority,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];
