//! A daemon on a gateway: started, watched and taken apart by its processes.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::binaries::Binaries;
use crate::error::{LabError, Result};
use crate::netns::{Namespace, Process};
use crate::package::Packaged;
use crate::peer::{Keepalived, PeerConfig};
use crate::topology::Gateway;

/// Lines of a log that are shown with a failure.
const TAIL_LINES: usize = 12;

/// Which processes of a daemon are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The process that decides and touches the kernel.
    Core,
    /// The process that was started first and watches the core.
    Guardian,
    /// The process that starts procedures and checks.
    Runner,
    /// Core and guardian.
    Both,
    /// All of them.
    All,
}

impl Part {
    /// Does this choice include a process of that kind?
    pub fn includes(self, own: Self) -> bool {
        match self {
            Self::All => true,
            Self::Both => matches!(own, Self::Core | Self::Guardian),
            one => one == own,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Core => "core",
            Self::Guardian => "guardian",
            Self::Runner => "runner",
            Self::Both => "core and guardian",
            Self::All => "whole daemon",
        })
    }
}

/// Which part of a daemon a process is; none if it is no daemon under test.
///
/// All processes of ours are the same program; the first argument tells them apart. Those of another make count as core and guardian
/// alike: the first is the guardian of its children, and a test that says "both" means all of them.
pub fn part_of(process: &Process) -> Option<Part> {
    match process.program() {
        name if name.starts_with("evergated") => {
            Some(match process.arguments.get(1).map(String::as_str) {
                Some("core") => Part::Core,
                Some("runner") => Part::Runner,
                _ => Part::Guardian,
            })
        }
        "keepalived" | "conntrackd" | "zebra" | "vrrpd" => Some(Part::Core),
        _ => None,
    }
}

/// A daemon that was started.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts our daemon as a user would, as the node of this name.
    pub fn evergated(
        namespace: &Namespace,
        node: &str,
        binaries: &Binaries,
        config: &Path,
        directory: &Path,
    ) -> Result<Self> {
        let mut command = Command::new(&binaries.evergated);
        command.arg("--config").arg(config).args(["--node", node]);
        command.arg("--socket").arg(directory.join("evergate.sock"));
        Self::start(namespace, command, directory)
    }

    /// Starts keepalived in the foreground with a configuration made for this gateway.
    pub fn keepalived(
        namespace: &Namespace,
        gateway: Gateway,
        keepalived: &Keepalived,
        config: &PeerConfig,
        directory: &Path,
    ) -> Result<Self> {
        let file = config.write(gateway, directory)?;
        let pids = ["keepalived.pid", "vrrp.pid"].map(|name| directory.join(name));
        // One that was killed leaves them, and their numbers may be somebody else's by now.
        pids.iter().for_each(|left| drop(fs::remove_file(left)));
        let [pid, vrrp_pid] = pids;
        let mut command = keepalived.command();
        command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"]);
        command.arg("--use-file").arg(&file);
        command.arg("--pid").arg(pid);
        command.arg("--vrrp_pid").arg(vrrp_pid);
        Self::start(namespace, command, directory)
    }

    /// Starts conntrackd in the foreground.
    pub fn conntrackd(
        namespace: &Namespace,
        program: &Packaged,
        file: &Path,
        directory: &Path,
    ) -> Result<Self> {
        let mut command = program.command();
        command.arg("-C").arg(file);
        Self::start(namespace, command, directory)
    }

    /// Starts a command inside a namespace; its output goes to the log of the directory.
    pub fn start(namespace: &Namespace, mut command: Command, directory: &Path) -> Result<Self> {
        let log = directory.join("log");
        let open = || File::options().create(true).append(true).open(&log);
        let doing = format!("open {}", log.display());
        let file = open().and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = file.map_err(LabError::io(doing))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err).current_dir(directory);
        Ok(Self { child: namespace.spawn(&mut command)?, log })
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Asks it to read its configuration again.
    pub fn hang_up(&self) {
        self.signal(Signal::SIGHUP);
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // If it has ended already, there is nothing to ask.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// How it ended, if it has.
    pub fn reap(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until the process that was started has ended.
    pub fn wait(&mut self) {
        // An error means that it was waited for already.
        let _ = self.child.wait();
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

/// The last lines of a log; a sentence if there is none.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return "(no log)".to_owned();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
