//! Leaves nothing behind: after success, failure, panic and Ctrl-C, and after a run that was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::clock;
use crate::error::{LabError, Result};
use crate::netns::{NETNS_DIR, processes_in};
use crate::shell;

/// How often processes are killed before a namespace is given up; a core may restart its guardian meanwhile.
const KILL_ROUNDS: usize = 10;
/// Time between two such rounds.
const KILL_PAUSE: Duration = Duration::from_millis(5);
/// Directories of labs in the temporary directory begin with this.
const DIRECTORY_STEM: &str = "evergate-lab-";
/// Where root alone may write: what files of the kernel said before is kept here, for the case that we are killed.
const KEPT: &str = "/run";

/// Set when a signal has ended this process's work.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What the lab of this process has put into the world, if there is one.
static SITE: Mutex<Option<Site>> = Mutex::new(None);

/// Files of the kernel that were changed for this process's lab, and what they said before.
static CHANGED: Mutex<Vec<(PathBuf, String)>> = Mutex::new(Vec::new());

#[derive(Clone)]
struct Site {
    prefix: String,
    directory: PathBuf,
}

/// The prefix of all names of this process's lab.
pub fn own_prefix() -> String {
    format!("eg{}-", std::process::id())
}

/// The directory of this process's lab, for configuration, keys, sockets and logs.
pub fn own_directory() -> PathBuf {
    std::env::temp_dir().join(format!("{DIRECTORY_STEM}{}", std::process::id()))
}

/// Notes that this process has a lab from now on; one at a time.
pub fn register(prefix: &str, directory: &Path) -> Result<()> {
    let mut site = lock();
    if site.is_some() {
        return Err(LabError::Usage("this process has a lab already; one at a time".to_owned()));
    }
    *site = Some(Site { prefix: prefix.to_owned(), directory: directory.to_owned() });
    Ok(())
}

/// Notes what a file of the kernel said before it was changed; written back when the lab is removed.
pub fn restore_at_end(path: &Path, text: &str) {
    let mut changed = CHANGED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    changed.push((path.to_owned(), text.to_owned()));
    let lines = changed.iter().map(|(path, text)| format!("{}\t{text}\n", path.display()));
    // If this fails, they stay changed only where the lab is killed.
    let _ = fs::write(kept(), lines.collect::<String>());
}

fn kept() -> PathBuf {
    Path::new(KEPT).join(format!("{DIRECTORY_STEM}{}", std::process::id()))
}

/// Writes back what a lab that was killed has kept, and forgets it.
fn restore_kept(kept: &Path) {
    let lines = fs::read_to_string(kept).unwrap_or_default();
    // The oldest text is written last.
    for (path, text) in lines.lines().rev().filter_map(|line| line.split_once('\t')) {
        write_back(Path::new(path), text);
    }
    let _ = fs::remove_file(kept);
}

fn write_back(path: &Path, text: &str) {
    if let Err(error) = fs::write(path, text) {
        eprintln!("could not restore {}: {error}", path.display());
    }
}

fn restore() {
    let mut changed = CHANGED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // The oldest text is written last.
    while let Some((path, text)) = changed.pop() {
        write_back(&path, &text);
    }
    let _ = fs::remove_file(kept());
}

/// Removes this process's lab, if there is one.
pub fn remove_own() {
    // The lock is held to the end, so that whoever comes second returns only when all is gone.
    let mut site = lock();
    if let Some(site) = site.take() {
        remove(&site.prefix, &site.directory);
    }
    restore();
}

/// Never returns if a signal has ended this process's work: what failed since then failed for that reason only.
pub fn stay_silent_if_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        // The thread that watches for signals ends the process.
        std::thread::park();
    }
}

/// Cleans up on Ctrl-C, on a termination signal and on a panic.
pub fn install_handlers() -> Result<()> {
    let doing = "watch for signals";
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(LabError::io(doing))?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            remove_own();
            eprintln!("\nInterrupted; everything is removed.");
            std::process::exit(128 + signal);
        }
    });
    // The release profile aborts on panic, so no destructor would run: clean up in the hook.
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        previous(panic);
        remove_own();
    }));
    Ok(())
}

/// Removes what labs of processes that are gone have left; gives how many namespaces.
pub fn sweep() -> usize {
    let mut swept = 0;
    for name in names_in(Path::new(NETNS_DIR)) {
        let Some((owner, _)) = name.strip_prefix("eg").and_then(|rest| rest.split_once('-')) else {
            continue;
        };
        if owner.parse::<u32>().is_ok_and(is_gone) {
            remove(&name, Path::new(""));
            swept += 1;
        }
    }
    let of_a_dead_lab = |name: &String| {
        let owner = name.strip_prefix(DIRECTORY_STEM).and_then(|rest| rest.parse::<u32>().ok());
        owner.is_some_and(is_gone)
    };
    for name in names_in(Path::new(KEPT)).iter().filter(|name| of_a_dead_lab(name)) {
        restore_kept(&Path::new(KEPT).join(name));
    }
    let temporary = std::env::temp_dir();
    for name in names_in(&temporary) {
        if of_a_dead_lab(&name) {
            let directory = temporary.join(name);
            kill_all(&processes_of(&directory));
            // Another user's directory may stay: that user's next lab removes it.
            let _ = fs::remove_dir_all(directory);
        }
    }
    swept
}

fn lock() -> std::sync::MutexGuard<'static, Option<Site>> {
    SITE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Has this process ended? One that only waits to be reaped has.
fn is_gone(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in brackets may hold anything; the state follows the last bracket.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

/// Processes that were started for a lab: they work in its directory. Without root this is the only trace of a lab that was killed.
fn processes_of(directory: &Path) -> Vec<i32> {
    let pids = names_in(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok());
    let works_there = |pid: &i32| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
    };
    pids.filter(works_there).collect()
}

fn kill_all(pids: &[i32]) {
    for pid in pids {
        // One may have ended since; there is nobody to tell.
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
}

fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Whether a directory is one of ours: nothing else is ever removed.
fn is_of_a_lab(directory: &Path) -> bool {
    directory.parent() == Some(&std::env::temp_dir())
        && directory.file_name().is_some_and(|n| n.to_string_lossy().starts_with(DIRECTORY_STEM))
}

/// Kills what lives in the namespaces that begin with `prefix` and what works in the directory, then
/// removes them.
fn remove(prefix: &str, directory: &Path) {
    let root = Path::new(NETNS_DIR);
    let names: Vec<_> =
        names_in(root).into_iter().filter(|name| name.starts_with(prefix)).collect();
    for _ in 0..KILL_ROUNDS {
        let living: Vec<i32> = names
            .iter()
            .flat_map(|name| processes_in(&root.join(name)).unwrap_or_default())
            .map(|process| process.pid)
            .collect();
        if living.is_empty() {
            break;
        }
        kill_all(&living);
        clock::sleep(KILL_PAUSE);
    }
    if is_of_a_lab(directory) {
        kill_all(&processes_of(directory));
    }
    for name in &names {
        if let Err(error) = shell::run("ip", &["netns", "del", name]) {
            eprintln!("could not remove the namespace {name}: {error}");
        }
    }
    if is_of_a_lab(directory)
        && directory.exists()
        && let Err(error) = fs::remove_dir_all(directory)
    {
        eprintln!("could not remove {}: {error}", directory.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_lab_has_changed_is_as_before() {
        let directory = std::env::temp_dir().join(format!("eg-kept-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let [limit, list] = ["limit", "kept"].map(|name| directory.join(name));
        fs::write(&limit, "3").unwrap();
        let path = limit.display();
        fs::write(&list, format!("{path}\t1\n{path}\t2\n")).unwrap();
        restore_kept(&list);
        assert_eq!(fs::read_to_string(&limit).unwrap(), "1");
        assert!(!list.exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}
