//! A thread that stays on its processor for a while.
//!
//! The kernel walks its table of connections with soft interrupts off, tens of milliseconds where the
//! table is large and little of it is ours. A real-time thread that wakes on that processor meanwhile
//! is sent to another one by the scheduler only if what runs there cannot move itself.

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Keeps the calling thread where it is until dropped, by the same thread.
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
            // It was allowed before.
            let _ = sched_setaffinity(SELF, before);
        }
    }
}

fn stay() -> nix::Result<CpuSet> {
    let before = sched_getaffinity(SELF)?;
    let mut here = CpuSet::new();
    here.set(sched_getcpu()?)?;
    sched_setaffinity(SELF, &here)?;
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_and_then_moves_as_before() {
        let before = sched_getaffinity(SELF).unwrap();
        let here = Here::stay();
        let count =
            |set: &CpuSet| (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu) == Ok(true)).count();
        assert_eq!(count(&sched_getaffinity(SELF).unwrap()), 1);
        drop(here);
        assert_eq!(sched_getaffinity(SELF).unwrap(), before);
    }
}
