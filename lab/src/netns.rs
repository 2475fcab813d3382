//! Network namespaces by name, as `ip netns` keeps them.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use crate::error::{LabError, Result};
use crate::shell;

/// Where `ip netns` keeps the names.
pub const NETNS_DIR: &str = "/run/netns";

/// A network namespace that exists.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Makes a new namespace with its loopback up.
    pub fn create(name: &str) -> Result<Self> {
        shell::run("ip", &["netns", "add", name]).map_err(|error| match error {
            LabError::Command { text, .. } => LabError::Privilege(text.trim().to_owned()),
            other => other,
        })?;
        shell::run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        let path = Path::new(NETNS_DIR).join(name);
        let file = File::open(&path).map_err(LabError::io(format!("open {}", path.display())))?;
        Ok(Self { name: name.to_owned(), file })
    }

    /// Another handle of the same namespace.
    pub fn share(&self) -> Result<Self> {
        let file = self.file.try_clone().map_err(LabError::io(format!("share {}", self.name)))?;
        Ok(Self { name: self.name.clone(), file })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a closure in a thread of its own inside this namespace; what it opens stays here for good.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).map(|()| work()).map_err(|errno| {
                    LabError::Io { doing: format!("enter {}", self.name), source: errno.into() }
                })
            });
            match inside.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Starts a program inside this namespace.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        // A child inherits the namespace of the thread that forks.
        self.enter(|| shell::spawn(command))?
    }

    /// Runs a program inside this namespace to its end and gives its standard output.
    pub fn run(&self, program: &str, args: &[&str], input: &str) -> Result<String> {
        self.enter(|| shell::run_with(program, args, input))?
    }

    /// Runs lines of `ip` commands inside this namespace, in one process.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        shell::run_with("ip", &["-n", &self.name, "-batch", "-"], lines).map(drop)
    }

    /// Sets a kernel variable under /proc/sys/net, such as `ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{key}");
        self.enter(|| fs::write(&path, value).map_err(LabError::io(format!("write {path}"))))?
    }

    /// A number that the kernel tells under /proc/sys/net, such as `netfilter/nf_conntrack_count`.
    pub fn sysctl_number(&self, key: &str) -> Result<u64> {
        let path = format!("/proc/sys/net/{key}");
        let text = self.enter(|| fs::read_to_string(&path))?;
        let text = text.map_err(LabError::io(format!("read {path}")))?;
        let wrong = |_| LabError::Answer { question: path.clone(), text: text.clone() };
        text.trim().parse().map_err(wrong)
    }

    /// Starts a thread that works inside this namespace; it ends with an error if it cannot enter.
    pub fn thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<std::result::Result<T, Errno>>> {
        let file = self.file.try_clone().map_err(LabError::io(format!("share {}", self.name)))?;
        let inside = move || setns(&file, CloneFlags::CLONE_NEWNET).map(|()| work());
        Ok(std::thread::spawn(inside))
    }

    /// The processes that live in this namespace.
    pub fn processes(&self) -> Result<Vec<Process>> {
        processes_in(&Path::new(NETNS_DIR).join(&self.name))
    }
}

/// A process found in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id.
    pub pid: i32,
    /// Its arguments, the program first.
    pub arguments: Vec<String>,
}

impl Process {
    /// The file name of its program.
    pub fn program(&self) -> &str {
        let first = self.arguments.first().map_or("", String::as_str);
        first.rsplit('/').next().unwrap_or(first)
    }
}

/// The processes in the namespace that this file stands for; this process itself is left out.
pub fn processes_in(namespace: &Path) -> Result<Vec<Process>> {
    let doing = format!("look at {}", namespace.display());
    let inode = fs::metadata(namespace).map_err(LabError::io(doing))?.ino();
    let wanted = PathBuf::from(format!("net:[{inode}]"));
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let entries = fs::read_dir("/proc").map_err(LabError::io("read /proc"))?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // A process may end while we look at it: it is simply not there.
        let here = fs::read_link(entry.path().join("ns/net")).is_ok_and(|link| link == wanted);
        if here && pid != own {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let arguments = line.split(|byte| *byte == 0).filter(|part| !part.is_empty());
            let arguments = arguments.map(|part| String::from_utf8_lossy(part).into_owned());
            found.push(Process { pid, arguments: arguments.collect() });
        }
    }
    found.sort_by_key(|process| process.pid);
    Ok(found)
}
