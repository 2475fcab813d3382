//! A thread that stays on its processor for a while, and lets no other wait for that processor.
//!
//! The kernel walks its table of connections with soft interrupts off, hundreds of milliseconds where the
//! table is large and little of it is ours. A real-time thread that wakes on that processor meanwhile
//! is sent to another one by the scheduler only if what runs there is real-time too, of no lower priority,
//! and cannot move: what has lower priority is expected to make room at once, which the walk does not.

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use crate::privilege::GUARDIAN_PRIORITY;
use crate::sys::process::{set_ordinary, set_realtime};

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Keeps the calling thread, an ordinary one, where it is until dropped, by the same thread.
#[derive(Debug)]
pub(super) struct Here {
    /// Where it may run otherwise; `None` if nothing was changed.
    before: Option<CpuSet>,
}

impl Here {
    /// Where the kernel refuses, the thread moves as before.
    pub fn stay() -> Here {
        Here { before: stay().ok() }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Both were so before.
            let _ = set_ordinary();
            let _ = sched_setaffinity(SELF, before);
        }
    }
}

fn stay() -> nix::Result<CpuSet> {
    let before = sched_getaffinity(SELF)?;
    let mut here = CpuSet::new();
    here.set(sched_getcpu()?)?;
    sched_setaffinity(SELF, &here)?;
    // The highest that we use. Without the permission (`LimitRTPRIO` of the unit) they wait.
    let _ = set_realtime(GUARDIAN_PRIORITY);
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scheduling policy and priority of the calling thread: fields 41 and 40 of proc_pid_stat(5), the third
    /// of which follows the name.
    fn scheduled() -> [String; 2] {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        [41, 40].map(|field| fields[field - 3].to_owned())
    }

    #[test]
    fn a_thread_stays_and_then_moves_as_before() {
        let permitted = set_realtime(GUARDIAN_PRIORITY).is_ok() && set_ordinary().is_ok();
        let before = (sched_getaffinity(SELF).unwrap(), scheduled());
        let here = Here::stay();
        let count =
            |set: &CpuSet| (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu) == Ok(true)).count();
        assert_eq!(count(&sched_getaffinity(SELF).unwrap()), 1);
        if permitted {
            assert_eq!(scheduled(), [libc::SCHED_FIFO, GUARDIAN_PRIORITY].map(|n| n.to_string()));
        }
        drop(here);
        assert_eq!((sched_getaffinity(SELF).unwrap(), scheduled()), before);
    }
}
