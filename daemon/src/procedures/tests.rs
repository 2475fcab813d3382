//! Core and runner on the two ends of one socket, with real programs.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use super::{Ended, FifoPlan, Job, Work};
use crate::checks::{Link, NEWS_MAX, News, Service};
use crate::sys::clock::boottime_now;
use crate::sys::ready::Bell;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of the test, and a core and a runner in it.
struct World {
    directory: PathBuf,
    link: Link,
    news: Receiver<News>,
    service: Service,
}

impl World {
    fn new(name: &str) -> World {
        let own = format!("evergate-procedures-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(own);
        fs::create_dir_all(&directory).unwrap();
        let (link, news) = core(&directory);
        let service = Service::start(directory.join("run"), "gw1".into()).unwrap();
        World { directory, link, news, service }
    }

    fn work(&self, work: Work) {
        self.link.work(work);
    }

    fn jobs(&self, jobs: &[&Job]) {
        self.work(Work {
            jobs: jobs.iter().map(|job| (*job).clone()).collect(),
            ..Work::default()
        });
    }

    fn ended(&self) -> Ended {
        loop {
            if let News::Ended(ended) = self.news.recv_timeout(PATIENCE).expect("news") {
                return ended;
            }
        }
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// What a file holds once it holds what is waited for.
    fn wait_for(&self, name: &str, text: &str) -> String {
        let began = boottime_now();
        loop {
            let found = fs::read_to_string(self.directory.join(name)).unwrap_or_default();
            let is_late = boottime_now() - began > 20_000_000_000;
            if found.contains(text) || is_late {
                return found;
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.service.stop();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn core(directory: &Path) -> (Link, Receiver<News>) {
    let (news_in, news) = sync_channel(NEWS_MAX);
    (Link::start(&directory.join("run"), news_in, Arc::new(Bell::new().unwrap())).unwrap(), news)
}

fn me() -> String {
    nix::unistd::geteuid().to_string()
}

fn job(id: u64, group: &str, script: &str) -> Job {
    Job {
        id,
        group: group.into(),
        words: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        user: me(),
        user_group: None,
        timeout: PATIENCE,
        environment: vec![("EVERGATE_SEQUENCE".into(), "7".into())],
        input: "{\"sequence\":7}\n".into(),
    }
}

fn plan(world: &World, program: Option<&str>) -> FifoPlan {
    let program = program.map(|script| ["/bin/sh", "-c", script, "sh"].map(str::to_owned).into());
    FifoPlan { path: world.directory.join("fifo"), user: me(), user_group: None, program }
}

#[test]
fn a_program_is_told_the_transition_and_its_exit_status_is_kept() {
    let world = World::new("told");
    let told = world.path("told");
    let script =
        format!("read line; echo $EVERGATE_NODE $EVERGATE_SEQUENCE $line > {told}; exit 3");
    world.jobs(&[&job(1, "g", &script)]);
    let ended = world.ended();
    assert_eq!((ended.id, ended.well, ended.status), (1, false, Some(3)));
    assert_eq!(ended.text, "exit status 3");
    assert_eq!(fs::read_to_string(&told).unwrap(), "gw1 7 {\"sequence\":7}\n");
}

#[test]
fn one_program_of_a_group_runs_at_a_time_and_groups_do_not_wait_for_each_other() {
    let world = World::new("order");
    let (log, go) = (world.path("log"), world.path("go"));
    let first = format!("echo first >> {log}; while test ! -e {go}; do sleep 0.01; done");
    let first = job(1, "g", &first);
    let other = job(2, "h", "exit 0");
    world.jobs(&[&first, &other]);
    assert_eq!(world.ended().id, 2, "the first one waits for a file");
    world.wait_for("log", "first");
    // A core that has died knows nothing of the first one.
    let second = job(3, "g", &format!("echo second >> {log}"));
    world.jobs(&[&second]);
    let began = boottime_now();
    while boottime_now() - began < 100_000_000 {
        std::thread::yield_now();
    }
    assert_eq!(fs::read_to_string(&log).unwrap(), "first\n");
    fs::write(&go, "").unwrap();
    assert_eq!(world.ended().id, 1);
    assert_eq!(world.ended().id, 3);
    assert_eq!(fs::read_to_string(&log).unwrap(), "first\nsecond\n");
}

#[test]
fn one_that_hangs_is_killed_with_its_children_before_the_next_one_begins() {
    let world = World::new("hangs");
    let mark = format!("98.{}", std::process::id());
    let hangs = format!("trap '' TERM; sleep {mark} & sleep {mark}");
    let hangs = Job { timeout: Duration::from_millis(200), ..job(1, "g", &hangs) };
    world.jobs(&[&hangs]);
    let ended = world.ended();
    assert_eq!((ended.id, ended.well, ended.status), (1, false, None));
    assert!(ended.text.contains("no end within 200 ms"), "{}", ended.text);
    assert!(ended.took >= Duration::from_millis(200));
    let seek = format!("! grep -qzx {mark} /proc/[0-9]*/cmdline");
    world.jobs(&[&job(2, "g", &seek)]);
    let ended = world.ended();
    assert_eq!((ended.id, ended.status), (2, Some(0)), "its children live on");
}

#[test]
fn a_core_that_has_not_heard_the_end_hears_it_again_and_nothing_is_run_twice() {
    let world = World::new("again");
    let log = world.path("log");
    let once = job(1, "g", &format!("echo once >> {log}"));
    world.jobs(&[&once]);
    let first = world.ended();
    // The list is told again, as to a core that has come back.
    let more = job(2, "h", "exit 0");
    world.jobs(&[&once, &more]);
    let again = [world.ended(), world.ended()];
    assert!(again.contains(&first) && again.iter().any(|ended| ended.id == 2), "{again:?}");
    assert_eq!(fs::read_to_string(&log).unwrap(), "once\n");
}

#[test]
fn what_cannot_be_started_has_ended_with_a_reason() {
    let world = World::new("cannot");
    let stranger = Job { user: "no-such-user".into(), ..job(1, "g", "exit 0") };
    world.jobs(&[&stranger]);
    let ended = world.ended();
    assert!(!ended.well && ended.text.contains("no-such-user"), "{}", ended.text);
    let script = world.path("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o777)).unwrap();
    let open = Job { words: vec![script], ..job(2, "g", "") };
    world.jobs(&[&open]);
    let ended = world.ended();
    assert!(!ended.well && ended.text.contains("refused"), "{}", ended.text);
}

#[test]
fn lines_wait_in_the_fifo_for_their_reader_and_none_is_written_twice() {
    let world = World::new("lines");
    let line = |id: u64| (id, format!("GROUP \"g{id}\" MASTER 0"));
    let work = |lines: &[u64]| Work {
        fifo: Some(plan(&world, None)),
        lines: lines.iter().map(|id| line(*id)).collect(),
        ..Work::default()
    };
    world.work(work(&[1, 2]));
    assert_eq!([world.ended().id, world.ended().id], [1, 2]);
    // The core has not taken note of the second yet when it has a third.
    world.work(work(&[2, 3]));
    assert_eq!(world.ended().id, 3);
    let path = world.directory.join("fifo");
    let found = fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_fifo());
    assert_eq!(found.permissions().mode() & 0o777, 0o640);
    let mut reader =
        fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let mut text = vec![0; 1000];
    let count = reader.read(&mut text).unwrap();
    let expected = "GROUP \"g1\" MASTER 0\nGROUP \"g2\" MASTER 0\nGROUP \"g3\" MASTER 0\n";
    assert_eq!(std::str::from_utf8(&text[..count]), Ok(expected));
    world.service.stop();
    assert!(!path.exists(), "it is removed at the end");
}

#[test]
fn a_full_fifo_loses_lines_and_holds_up_nobody() {
    let world = World::new("full");
    let lines = (1..=3).map(|id| (id, "x".repeat(40_000))).collect();
    world.work(Work { fifo: Some(plan(&world, None)), lines, jobs: vec![job(9, "g", "exit 0")] });
    let ended: Vec<Ended> = (0..4).map(|_| world.ended()).collect();
    let well = |id: u64| ended.iter().find(|ended| ended.id == id).expect("it has ended").well;
    assert!(well(1) && well(9));
    assert!(!well(3), "a pipe holds 64 KiB");
}

#[test]
fn the_program_that_reads_the_fifo_gets_its_path_and_is_started_again() {
    let world = World::new("reader");
    let seen = world.path("seen");
    let script = format!("read line < \"$1\"; echo \"$line\" >> {seen}");
    let fifo = Some(plan(&world, Some(&script)));
    let work = |id: u64, text: &str| Work {
        fifo: fifo.clone(),
        lines: vec![(id, text.into())],
        ..Work::default()
    };
    world.work(work(1, "one"));
    assert_eq!(world.wait_for("seen", "one"), "one\n");
    world.work(work(2, "two"));
    assert_eq!(world.wait_for("seen", "two"), "one\ntwo\n");
}

#[test]
fn what_is_in_the_place_of_the_fifo_is_left_alone() {
    let world = World::new("planted");
    fs::write(world.directory.join("fifo"), "mine").unwrap();
    let lines = vec![(1, "line".into())];
    world.work(Work { fifo: Some(plan(&world, None)), lines, ..Work::default() });
    let ended = world.ended();
    assert!(!ended.well && ended.text.contains("no FIFO of ours"), "{}", ended.text);
    world.service.stop();
    assert_eq!(fs::read_to_string(world.directory.join("fifo")).unwrap(), "mine");
}
