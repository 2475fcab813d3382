//! One daemon under test: started, watched through its log, hurt, and always ended.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use evergate_daemon::sys::clock::boottime_now;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fake::{LAST_WORD, Log};

const MS: u64 = 1_000_000;
/// Nothing here takes longer on any machine.
const PATIENCE_NS: u64 = 15_000 * MS;
/// Rounds of killing what is left; each round is enough in practice.
const ENDINGS_MAX: usize = 200;

pub struct World {
    directory: PathBuf,
    daemon: Child,
    peer: UdpSocket,
}

impl World {
    /// Starts a daemon whose fake core is in these modes, and waits until it is ready.
    pub fn ready(modes: &[&str]) -> World {
        let world = World::start(modes);
        world.wait_for("ready", 1);
        // Until the guardian has looked once or twice.
        std::thread::sleep(Duration::from_millis(60));
        world
    }

    /// Starts it without waiting.
    pub fn start(modes: &[&str]) -> World {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("evergate-processes-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_nanos(PATIENCE_NS))).unwrap();
        let daemon = World::spawn(&directory, modes, &peer);
        World { directory, daemon, peer }
    }

    /// Starts a second daemon on the same socket; how it ends.
    pub fn second(&self) -> ExitStatus {
        World::spawn(&self.directory, &[], &self.peer).wait().unwrap()
    }

    fn spawn(directory: &PathBuf, modes: &[&str], peer: &UdpSocket) -> Child {
        let port = peer.local_addr().unwrap().port().to_string();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--fake").arg(directory).args(modes).arg(port);
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    /// How often the log says this.
    pub fn count(&self, text: &str) -> usize {
        Log::at(&self.directory).lines().iter().filter(|line| line.2 == text).count()
    }

    /// The lines of the log that contain this.
    pub fn saying(&self, text: &str) -> Vec<String> {
        let lines = Log::at(&self.directory).lines();
        lines.into_iter().map(|line| line.2).filter(|line| line.contains(text)).collect()
    }

    /// Waits until the log has said this so many times; when it did, and who.
    pub fn wait_for(&self, text: &str, times: usize) -> (u64, u32) {
        let until = boottime_now() + PATIENCE_NS;
        while boottime_now() < until {
            let lines = Log::at(&self.directory).lines();
            let found = lines.iter().filter(|line| line.2 == text).nth(times - 1);
            if let Some((at, pid, _)) = found {
                return (*at, *pid);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("`{text}` was not said {times} times: {:#?}", Log::at(&self.directory).lines());
    }

    /// The process that said this last.
    pub fn pid_of(&self, text: &str) -> u32 {
        let lines = Log::at(&self.directory).lines();
        lines.iter().rev().find(|line| line.2 == text).unwrap().1
    }

    /// The guardian that runs now.
    pub fn guardian(&self) -> u32 {
        self.pid_of("guardian")
    }

    /// The core that runs now.
    pub fn core(&self) -> u32 {
        self.pid_of("ready")
    }

    /// Waits for the last word; true if it came.
    pub fn hears_the_last_word(&self) -> bool {
        let mut buffer = [0; 64];
        self.peer.recv(&mut buffer).is_ok_and(|length| &buffer[..length] == LAST_WORD)
    }

    /// Whether no (further) last word has come.
    pub fn hears_nothing(&self) -> bool {
        self.peer.set_nonblocking(true).unwrap();
        let nothing = self.peer.recv(&mut [0; 64]).is_err();
        self.peer.set_nonblocking(false).unwrap();
        nothing
    }

    /// How the first guardian ends.
    pub fn end(&mut self) -> ExitStatus {
        self.daemon.wait().unwrap()
    }
}

impl Drop for World {
    /// Ends every process of this world, again and again: those that still live start others.
    fn drop(&mut self) {
        for _ in 0..ENDINGS_MAX {
            let left = self.processes();
            left.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
            let _ = self.daemon.try_wait();
            if left.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.daemon.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl World {
    /// Every process that has this world's directory among its arguments.
    fn processes(&self) -> Vec<u32> {
        use std::os::unix::ffi::OsStrExt;
        let name = self.directory.as_os_str().as_bytes();
        let ids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            line.split(|byte| *byte == 0).any(|argument| argument == name).then_some(pid)
        });
        ids.collect()
    }
}

/// Sends a signal to one process.
pub fn send(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal);
}

/// Milliseconds from one time to another.
pub fn ms(from: u64, to: u64) -> u64 {
    to.saturating_sub(from) / MS
}
