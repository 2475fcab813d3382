//! The programs of the groups: one at a time of each, in a thread that lives as long as there are any.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evergate_core::check::Reading;

use super::{Ended, Job};
use crate::checks::program::{self, Program, Programs};
use crate::checks::{Said, Seen, Voice, tell};
use crate::sys::clock::boottime_now;

/// The stack of a thread, in bytes: name services need some.
const STACK_BYTES: usize = 256 * 1024;

/// Those of all groups.
pub(super) struct Lanes(Arc<Shared>);

struct Shared {
    lanes: Mutex<BTreeMap<String, Lane>>,
    voice: Voice,
    programs: Arc<Programs>,
}

#[derive(Default)]
struct Lane {
    /// The number of the program that runs.
    running: Option<u64>,
    /// What follows.
    waiting: Option<Job>,
    /// What has ended last: the core may not have heard of it.
    last: Option<Ended>,
}

impl Lanes {
    pub(super) fn new(voice: Voice, programs: Arc<Programs>) -> Lanes {
        Lanes(Arc::new(Shared { lanes: Mutex::default(), voice, programs }))
    }

    /// Takes the newest list. What runs goes on, whether it is on it or not.
    pub(super) fn take(&self, jobs: Vec<Job>) {
        let mut lanes = self.0.lock();
        lanes.values_mut().for_each(|lane| lane.waiting = None);
        lanes.retain(|group, lane| {
            lane.running.is_some() || jobs.iter().any(|job| job.group == *group)
        });
        let mut again = Vec::new();
        for job in jobs {
            let lane = lanes.entry(job.group.clone()).or_default();
            if lane.running == Some(job.id) {
                continue;
            }
            match lane.last.as_ref().filter(|last| last.id == job.id) {
                Some(last) => again.push(last.clone()),
                None if lane.running.is_some() => lane.waiting = Some(job),
                None => {
                    lane.running = Some(job.id);
                    again.extend(self.hire(job));
                }
            }
        }
        for ended in &again {
            if let Some(lane) = lanes.values_mut().find(|lane| lane.running == Some(ended.id)) {
                lane.running = None;
            }
        }
        drop(lanes);
        again.into_iter().for_each(|ended| tell(&self.0.voice, &Said::Ended(ended)));
    }

    /// Starts a thread for a lane; what is to be told if that fails.
    fn hire(&self, job: Job) -> Option<Ended> {
        let (shared, id) = (Arc::clone(&self.0), job.id);
        let thread = std::thread::Builder::new().name("procedure".into()).stack_size(STACK_BYTES);
        let started = thread.spawn(move || shared.work(job));
        started.err().map(|error| {
            let text = format!("no thread can be started for it: {error}");
            Ended { id, well: false, text, status: None, took: Duration::ZERO }
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a program, and what is ordered for its group meanwhile.
    fn work(&self, mut job: Job) {
        loop {
            let ended = run(&job, &self.programs);
            let next = {
                let mut lanes = self.lock();
                let lane = lanes.entry(job.group.clone()).or_default();
                lane.last = Some(ended.clone());
                let next = lane.waiting.take();
                lane.running = next.as_ref().map(|next| next.id);
                next
            };
            tell(&self.voice, &Said::Ended(ended));
            match next {
                Some(next) => job = next,
                None => return,
            }
        }
    }
}

/// Runs a program to its end. What it left behind is gone when this returns.
fn run(job: &Job, programs: &Programs) -> Ended {
    let began = boottime_now();
    let program = Program {
        words: &job.words,
        user: &job.user,
        group: job.user_group.as_deref(),
        environment: &job.environment,
        input: job.input.as_bytes(),
    };
    let mut seen: Option<Seen> = None;
    program::run(&program, job.timeout, programs, &mut |found| seen = Some(found));
    let took = Duration::from_nanos(boottime_now().saturating_sub(began));
    let (reading, text, status) =
        seen.unwrap_or_else(|| (Reading::Fail, "nothing is known of its end".into(), None));
    Ended { id: job.id, well: reading == Reading::Pass, text, status, took }
}
