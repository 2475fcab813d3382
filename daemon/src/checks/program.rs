//! Programs that look: started as the user that the file names, ended when they take too long.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use evergate_core::check::Reading;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use super::{Seen, fail, trust};
use crate::sys::clock::boottime_now;
use crate::sys::process::ProcessHandle;
use crate::sys::spawn::{Identity, spawn_as};

/// How long a program that took too long has to end after it was asked to.
const GRACE: Duration = Duration::from_millis(500);
/// Where programs are looked for that a script calls, if the daemon has no such list itself.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The programs that run now.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// The name of this node, which they are told.
    node: String,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    /// Their process groups.
    groups: BTreeSet<i32>,
    /// No more are started.
    ended: bool,
}

impl Programs {
    /// None yet, on the node of this name.
    pub(crate) fn new(node: String) -> Programs {
        Programs { node, running: Mutex::default() }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Running) -> R) -> R {
        act(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends all of them at once, and for good.
    pub(crate) fn end_all(&self) {
        self.with(|running| {
            running.ended = true;
            for group in &running.groups {
                let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
            }
        });
    }
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program<'a> {
    /// The program and its arguments.
    pub(crate) words: &'a [String],
    /// Who runs it.
    pub(crate) user: &'a str,
    /// As which group, if not the user's own.
    pub(crate) group: Option<&'a str>,
    /// What it is told, beside the name of this node.
    pub(crate) environment: &'a [(String, String)],
    /// What it may read, less than a pipe holds; empty for nothing.
    pub(crate) input: &'a [u8],
}

/// A program that runs.
pub(crate) struct Started {
    child: Child,
    handle: ProcessHandle,
    /// Its process group.
    number: i32,
}

/// Takes what was seen.
pub(crate) type Told<'t> = &'t mut dyn FnMut(Seen);

/// Runs a program to its end. One that takes too long has failed, which is told before it is ended
/// with everything that it has started.
pub(crate) fn run(program: &Program, within: Duration, programs: &Programs, told: Told) {
    let started = match start(program, programs) {
        Ok(started) => started,
        Err(why) => return told(fail(why)),
    };
    let in_time = started.ends(within);
    if !in_time {
        told(fail(format!("no end within {} ms: it is killed", within.as_millis())));
        started.ask_to_end();
    }
    let ended = started.end(programs);
    if in_time {
        told(ended);
    }
}

impl Started {
    /// Waits for its end; false if it did not come in time.
    pub(crate) fn ends(&self, within: Duration) -> bool {
        wait(&self.handle, within)
    }

    /// Asks it to end, and gives it a moment.
    pub(crate) fn ask_to_end(&self) {
        let _ = killpg(Pid::from_raw(self.number), Signal::SIGTERM);
        self.ends(GRACE);
    }

    /// Ends it with everything that it has started.
    pub(crate) fn end(mut self, programs: &Programs) -> Seen {
        // While it was not waited for, its number is nobody else's. What it left behind goes with it.
        programs.with(|running| running.groups.remove(&self.number));
        let _ = killpg(Pid::from_raw(self.number), Signal::SIGKILL);
        self.child.wait().map_or_else(|error| fail(error.to_string()), seen)
    }
}

/// Starts a program, whose end somebody has to see to.
pub(crate) fn start(program: &Program, programs: &Programs) -> Result<Started, String> {
    let (file, arguments) = program.words.split_first().ok_or("it names no program")?;
    let identity = Identity::of(program.user, program.group)?;
    trust::examine(Path::new(file), identity.user())?;
    let mut command = Command::new(file);
    command.args(arguments).current_dir("/").env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH_DEFAULT.into()));
    command.env("EVERGATE_NODE", &programs.node);
    command.envs(program.environment.iter().map(|(name, value)| (name, value)));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let reads = !program.input.is_empty();
    command.stdin(if reads { Stdio::piped() } else { Stdio::null() });
    let mut child = spawn_as(&mut command, &identity)
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let number = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    let opened = ProcessHandle::open(child.id()).map_err(|error| error.to_string());
    // Whoever ends all programs sees this one, or it ends itself.
    let enter = |running: &mut Running| !running.ended && running.groups.insert(number);
    let entered = opened.is_ok() && programs.with(enter);
    if !entered {
        let _ = killpg(Pid::from_raw(number), Signal::SIGKILL);
        let _ = child.wait();
    }
    let handle = opened?;
    if !entered {
        return Err("the daemon ends".to_owned());
    }
    if let Some(mut pipe) = child.stdin.take() {
        // One that does not want it has closed it.
        let _ = pipe.write_all(program.input);
    }
    Ok(Started { child, handle, number })
}

/// Waits for the end of a program; false if it did not come in time.
fn wait(handle: &ProcessHandle, within: Duration) -> bool {
    let end = boottime_now() + u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
    loop {
        let left = Duration::from_nanos(end.saturating_sub(boottime_now()));
        let mut polled = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut polled, Some(TimeSpec::from_duration(left)), None) {
            Ok(0) | Err(_) if left.is_zero() => return false,
            Ok(count) if count > 0 => return true,
            _ => {}
        }
    }
}

fn seen(status: ExitStatus) -> Seen {
    match (status.code(), status.signal()) {
        (Some(0), _) => (Reading::Pass, "exit status 0".into(), Some(0)),
        (Some(code), _) => (Reading::Fail, format!("exit status {code}"), Some(code)),
        (None, Some(signal)) => {
            (Reading::Fail, format!("ended by signal {}", name_of(signal)), None)
        }
        (None, None) => fail("it ended in an unknown way"),
    }
}

fn name_of(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of the user `user` who is told these things.
    fn program<'a>(
        words: &'a [String],
        user: &'a str,
        environment: &'a [(String, String)],
    ) -> Program<'a> {
        Program { words, user, group: None, environment, input: b"" }
    }

    /// Runs a shell command as the user who runs the tests, or as nobody.
    fn shell(command: &str, within: Duration) -> Vec<Seen> {
        let words = ["/bin/sh", "-c", command].map(str::to_owned);
        let user = nix::unistd::geteuid().to_string();
        let mut all = Vec::new();
        let programs = Programs::default();
        let program = program(&words, &user, &[]);
        run(&program, within, &programs, &mut |seen| all.push(seen));
        assert!(programs.with(|running| running.groups.is_empty()));
        all
    }

    #[test]
    fn an_exit_status_decides_and_is_kept() {
        let within = Duration::from_secs(10);
        assert_eq!(shell("exit 0", within), [(Reading::Pass, "exit status 0".into(), Some(0))]);
        assert_eq!(shell("exit 3", within), [(Reading::Fail, "exit status 3".into(), Some(3))]);
        let killed = shell("kill -9 $$", within);
        assert_eq!(killed, [(Reading::Fail, "ended by signal SIGKILL".into(), None)]);
    }

    #[test]
    fn what_hangs_is_told_of_in_time_and_ended_with_its_children() {
        let mark = format!("97.{}", std::process::id());
        let began = boottime_now();
        let told = shell(
            &format!("trap '' TERM; sleep {mark} & sleep {mark}"),
            Duration::from_millis(100),
        );
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].0, told[0].2), (Reading::Fail, None));
        assert!(boottime_now() - began < 60_000_000_000);
        let lives = || {
            std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).split('\0').any(|word| word == mark)
            })
        };
        // They were killed; on a busy machine it takes a moment until they are gone.
        while lives() && boottime_now() - began < 60_000_000_000 {
            std::thread::yield_now();
        }
        assert!(!lives(), "its children live on");
    }

    #[test]
    fn it_is_told_which_node_and_check_it_is_for_and_nothing_else_of_ours() {
        let within = Duration::from_secs(10);
        let programs = Programs::new("gw1".into());
        let test = "test \"$EVERGATE_NODE/$EVERGATE_CHECK\" = gw1/web && test -z \"$HOME\"";
        let words = ["/bin/sh", "-c", test].map(str::to_owned);
        let user = nix::unistd::geteuid().to_string();
        let environment = [("EVERGATE_CHECK".to_owned(), "web".to_owned())];
        let program = program(&words, &user, &environment);
        let mut all = Vec::new();
        run(&program, within, &programs, &mut |seen| all.push(seen));
        assert_eq!(all, [(Reading::Pass, "exit status 0".into(), Some(0))]);
    }

    #[test]
    fn what_cannot_be_started_fails_with_a_reason() {
        let user = nix::unistd::geteuid().to_string();
        let words = ["/no/such/program".to_owned()];
        for (user, reason) in
            [(user.as_str(), "/no/such/program"), ("no-such-user", "no-such-user")]
        {
            let program = program(&words, user, &[]);
            let mut all = Vec::new();
            run(&program, GRACE, &Programs::default(), &mut |seen| all.push(seen));
            let [(Reading::Fail, text, None)] = &all[..] else { panic!("{all:?}") };
            assert!(text.contains(reason), "{text}");
        }
    }
}
