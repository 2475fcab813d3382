//! The FIFO: made for its reader, written without ever waiting for him.
//!
//! It is opened for reading too, so that lines wait in it until somebody comes. It belongs to our own user
//! and to the group of the reader: to give it away would need a right that we do not have.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::{Gid, mkfifo, setfsgid};

use super::{Ended, FifoPlan};
use crate::checks::program::{self, Program, Programs, Started};
use crate::checks::{Said, Voice, tell};
use crate::say::say;
use crate::sys::spawn::Identity;

/// Its owner writes, the reader's group reads.
const MODE: u32 = 0o640;
/// How often the program that reads is looked after, and started again if it has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the end of the daemon waits for the FIFO.
const CLOSE_WITHIN: Duration = Duration::from_millis(800);
/// The stack of the thread, in bytes: name services need some.
const STACK_BYTES: usize = 256 * 1024;

/// Writes lines, in a thread that begins with the first FIFO.
pub(super) struct Writer(Arc<Shared>);

struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
    voice: Voice,
    programs: Arc<Programs>,
}

#[derive(Default)]
struct Desk {
    plan: Option<FifoPlan>,
    lines: Vec<(u64, String)>,
    /// The number of the newest line that was taken, and of the newest that was written or lost.
    taken: u64,
    handled: u64,
    works: bool,
    close: bool,
    closed: bool,
}

/// The FIFO that is open.
struct Open {
    plan: FifoPlan,
    file: Result<File, String>,
    reader: Option<Started>,
    /// Why the reader could not be started, told once.
    complained: Option<String>,
}

impl Writer {
    pub(super) fn new(voice: Voice, programs: Arc<Programs>) -> Writer {
        let (desk, changed) = (Mutex::default(), Condvar::new());
        Writer(Arc::new(Shared { desk, changed, voice, programs }))
    }

    /// Takes the newest plan, and the lines that were not taken before.
    pub(super) fn take(&self, plan: Option<FifoPlan>, lines: Vec<(u64, String)>) {
        let mut desk = self.0.lock();
        desk.plan = plan;
        let taken = desk.taken;
        let handled = desk.handled;
        let known = lines.last().is_some_and(|(id, _)| *id <= handled);
        desk.lines.extend(lines.into_iter().filter(|(id, _)| *id > taken));
        if let Some((id, _)) = desk.lines.last() {
            desk.taken = *id;
        } else if known {
            // The core has not heard that they were written.
            let ended = written(handled, Ok(()));
            tell(&self.0.voice, &Said::Ended(ended));
        }
        if !desk.works && desk.plan.is_some() {
            let shared = Arc::clone(&self.0);
            let thread = std::thread::Builder::new().name("fifo".into()).stack_size(STACK_BYTES);
            match thread.spawn(move || shared.work()) {
                Ok(_) => desk.works = true,
                Err(error) => say("runner", &format!("the FIFO cannot be served: {error}")),
            }
        }
        self.0.changed.notify_all();
    }

    /// Removes the FIFO and ends its reader; waits for that.
    pub(super) fn close(&self) {
        let mut desk = self.0.lock();
        desk.close = true;
        self.0.changed.notify_all();
        if desk.works {
            let still = |desk: &mut Desk| !desk.closed;
            drop(self.0.changed.wait_timeout_while(desk, CLOSE_WITHIN, still));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut open: Option<Open> = None;
        loop {
            let desk = self.lock();
            let is_new = desk.plan.as_ref() != open.as_ref().map(|open| &open.plan);
            let idle = desk.lines.is_empty() && !desk.close && !is_new;
            let mut desk = if idle {
                let waited = self.changed.wait_timeout(desk, LOOK_EVERY);
                waited.map_or_else(|error| error.into_inner().0, |(desk, _)| desk)
            } else {
                desk
            };
            let (plan, lines) = (desk.plan.clone(), std::mem::take(&mut desk.lines));
            let close = desk.close;
            drop(desk);
            if plan.as_ref() != open.as_ref().map(|open| &open.plan) {
                if let Some(former) = open.take() {
                    former.close(&self.programs);
                }
                open = plan.map(Open::new);
            }
            for (id, line) in lines {
                let result = open.as_mut().map_or(Ok(()), |open| open.write(&line));
                self.lock().handled = id;
                tell(&self.voice, &Said::Ended(written(id, result)));
            }
            if close {
                if let Some(open) = open.take() {
                    open.close(&self.programs);
                }
                self.lock().closed = true;
                self.changed.notify_all();
                return;
            }
            if let Some(open) = &mut open {
                open.look_after_reader(&self.programs);
            }
        }
    }
}

fn written(id: u64, result: Result<(), String>) -> Ended {
    let well = result.is_ok();
    let text = result.err().unwrap_or_else(|| "written".to_owned());
    Ended { id, well, text, status: None, took: Duration::ZERO }
}

impl Open {
    fn new(plan: FifoPlan) -> Open {
        let file = make(&plan);
        Open { plan, file, reader: None, complained: None }
    }

    fn write(&mut self, line: &str) -> Result<(), String> {
        if self.file.is_err() {
            // What was in its place may have gone.
            self.file = make(&self.plan);
        }
        let path = self.plan.path.display();
        let file = self.file.as_mut().map_err(|why| why.clone())?;
        // So short a line is written as a whole or not at all (pipe(7)).
        match file.write_all(format!("{line}\n").as_bytes()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(format!("{path} is full: nobody reads it, and a line was lost"))
            }
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    /// Starts the program that reads, and starts it again when it has ended.
    fn look_after_reader(&mut self, programs: &Programs) {
        let Some(words) = &self.plan.program else { return };
        if self.file.is_err() {
            return;
        }
        match &self.reader {
            Some(reader) if !reader.ends(Duration::ZERO) => return,
            _ => {}
        }
        if let Some(reader) = self.reader.take() {
            let (_, text, _) = reader.end(programs);
            say("runner", &format!("{}: {text}; it is started again", words[0]));
        }
        let mut words = words.clone();
        words.push(self.plan.path.to_string_lossy().into_owned());
        let (user, group) = (self.plan.user.as_str(), self.plan.user_group.as_deref());
        let program = Program { words: &words, user, group, environment: &[], input: b"" };
        match program::start(&program, programs) {
            Ok(reader) => self.reader = Some(reader),
            Err(why) => {
                if self.complained.as_ref() != Some(&why) {
                    say("runner", &format!("{} cannot be run: {why}", words[0]));
                    self.complained = Some(why);
                }
            }
        }
    }

    /// The reader finds the end behind the last line.
    fn close(self, programs: &Programs) {
        if self.file.is_ok() {
            let _ = fs::remove_file(&self.plan.path);
        }
        drop(self.file);
        if let Some(reader) = self.reader {
            reader.ask_to_end();
            reader.end(programs);
        }
    }
}

/// Makes the FIFO and opens it; takes one of ours that is there.
fn make(plan: &FifoPlan) -> Result<File, String> {
    let path = plan.path.as_path();
    let told = |error: io::Error| format!("{} cannot be a FIFO: {error}", path.display());
    let group = Identity::of(&plan.user, plan.user_group.as_deref())?.group();
    if let Some(found) = fs::symlink_metadata(path).ok().filter(|found| !is_ours(found, group)) {
        if !found.file_type().is_fifo() || found.uid() != nix::unistd::geteuid().as_raw() {
            let path = path.display();
            return Err(format!("{path} is no FIFO of ours: remove it, or name another path"));
        }
        fs::remove_file(path).map_err(told)?;
    }
    if fs::symlink_metadata(path).is_err() {
        make_for(path, group).map_err(told)?;
    }
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).map_err(told)?;
    let found = file.metadata().map_err(told)?;
    if !found.file_type().is_fifo() || found.uid() != nix::unistd::geteuid().as_raw() {
        return Err(format!("{} is no FIFO of ours: remove it", path.display()));
    }
    file.set_permissions(Permissions::from_mode(MODE)).map_err(told)?;
    Ok(file)
}

fn is_ours(found: &fs::Metadata, group: u32) -> bool {
    found.file_type().is_fifo()
        && found.uid() == nix::unistd::geteuid().as_raw()
        && found.gid() == group
}

/// A file is born with the group that the thread has for files.
fn make_for(path: &Path, group: u32) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let former = setfsgid(Gid::from_raw(group));
    let made = mkfifo(name.as_c_str(), Mode::from_bits_truncate(0o600));
    setfsgid(former);
    Ok(made?)
}
