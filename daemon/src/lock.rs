//! The lock beside the control socket: one daemon per socket, and a second one says who has it.
//!
//! The lock is a `flock` on `<socket>.lock`, held by the open file that guardian, core and runner
//! share: it lasts until the last of them has ended, whatever ends them. The file holds the
//! guardian's process id for people to read. It is never removed: a lock on a file that is gone
//! would keep nobody out.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes read from a lock file: a process id and no more.
const PID_BYTES_MAX: u64 = 20;

/// The lock of one control socket, held until every process that inherited it has ended.
#[derive(Debug)]
pub struct SocketLock {
    file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// Another daemon has it.
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process id that it names; `None` if it names none.
        pid: Option<u32>,
    },
    /// The file cannot be used: the directory is missing or not ours.
    File {
        /// The lock file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held { path, pid: Some(pid) } => {
                write!(f, "process {pid} already uses this socket (lock {})", path.display())
            }
            LockError::Held { path, pid: None } => {
                write!(f, "another process already uses this socket (lock {})", path.display())
            }
            LockError::File { path, error } => {
                write!(f, "lock file {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for LockError {}

impl SocketLock {
    /// Where the lock of a control socket lies.
    pub fn path_of(socket: &Path) -> PathBuf {
        let mut path = OsString::from(socket);
        path.push(".lock");
        path.into()
    }

    /// Takes the lock of `socket` and writes `pid` into it.
    pub fn take(socket: &Path, pid: u32) -> Result<Self, LockError> {
        let path = Self::path_of(socket);
        let failed = |error| LockError::File { path: path.clone(), error };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o640);
        let mut file = options.custom_flags(libc::O_NOFOLLOW).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let pid = read_pid(&mut file);
                return Err(LockError::Held { path, pid });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut lock = SocketLock { file };
        lock.name(pid).map_err(failed)?;
        Ok(lock)
    }

    /// The lock behind an inherited descriptor.
    pub fn from_fd(descriptor: OwnedFd) -> Self {
        SocketLock { file: descriptor.into() }
    }

    /// Writes another process id: a new guardian has taken over.
    pub fn name(&mut self, pid: u32) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        writeln!(self.file, "{pid}")
    }
}

impl AsFd for SocketLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_learns_who_holds_the_socket() {
        let socket = std::env::temp_dir().join(format!("evergate-lock-{}", std::process::id()));
        let mut lock = SocketLock::take(&socket, 4242).unwrap();
        let refused = SocketLock::take(&socket, 1).unwrap_err();
        assert!(refused.to_string().contains("process 4242 already uses"), "{refused}");
        lock.name(99).unwrap();
        let refused = SocketLock::take(&socket, 1).unwrap_err();
        assert!(matches!(refused, LockError::Held { pid: Some(99), .. }));
        // An heir of the descriptor keeps the lock when the first holder is gone.
        let heir = SocketLock::from_fd(lock.as_fd().try_clone_to_owned().unwrap());
        drop(lock);
        assert!(SocketLock::take(&socket, 1).is_err());
        drop(heir);
        // A test beside this one may be starting a program: until it is executed, the child has the
        // descriptor too.
        let pause = || std::thread::park_timeout(std::time::Duration::from_millis(20));
        assert!((0..100).any(|_| SocketLock::take(&socket, 1).map_err(|_| pause()).is_ok()));
        std::fs::remove_file(SocketLock::path_of(&socket)).unwrap();
    }

    #[test]
    fn a_missing_directory_is_said() {
        let refused = SocketLock::take(Path::new("/nowhere/evergate.sock"), 1).unwrap_err();
        assert!(refused.to_string().contains("/nowhere/evergate.sock.lock"), "{refused}");
    }
}
