//! The thread for what may wait: files, lists, and sockets to close. It prepares a reload so completely that the node
//! thread only has to take it or leave it.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use evergate_api::config::{self as file, Sources, report::Level};
use evergate_api::control::{ReloadReply, ReloadResult, Reply};

use crate::drive::ports::Sockets;
use crate::kernel::error::NetlinkError;
use crate::kernel::monitor::{Event, snapshot};
use crate::kernel::requests::Kernel;
use crate::layout::Layout;
use crate::secrets::Secrets;
use crate::sys::ready::Bell;

/// The most neighbours that are taken from the kernel for one interface.
const NEIGHBOURS_MAX: usize = 8;
/// How many jobs and results may wait.
pub const JOBS_MAX: usize = 16;

/// Something to do that may take its time.
#[derive(Debug)]
pub enum ColdJob {
    /// Read the configuration again.
    Reload {
        /// Only say what would change.
        plan: bool,
        /// Who asked; nobody after a signal.
        reply: Option<SyncSender<Reply>>,
    },
    /// List whom the kernel knows on these interfaces, given by its own numbers for them.
    Neighbours(Vec<u32>),
    /// List all links and addresses.
    Snapshot,
    /// Keep the names of the groups that an operator has locked.
    SaveLocks(Vec<String>),
    /// Close sockets that are not watched any more.
    Close(Vec<Sockets>),
}

/// What came of a job.
#[derive(Debug)]
pub enum Prepared {
    /// A configuration that is right and differs from the former one, with its secrets.
    Configuration {
        /// The configuration.
        layout: Box<Layout>,
        /// What its files hold.
        secrets: Secrets,
        /// What to answer once it is applied.
        answer: ReloadReply,
        /// Who asked.
        reply: Option<SyncSender<Reply>>,
    },
    /// The file is as it was; keys may have been rotated.
    Secrets {
        /// What its files hold.
        secrets: Secrets,
        /// What to answer.
        answer: ReloadReply,
        /// Who asked.
        reply: Option<SyncSender<Reply>>,
    },
    /// A reload that changes nothing, for the log.
    NotApplied(ReloadReply),
    /// Neighbours that the kernel knows, each with the number of its interface.
    Neighbours(Vec<(u32, IpAddr)>),
    /// All links and addresses as if they were news.
    Snapshot(Result<Vec<Event>, NetlinkError>),
    /// Something went wrong, for the log.
    Complaint(String),
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The configuration, a file or a directory.
    pub config: PathBuf,
    /// The name of this node.
    pub node: String,
    /// Where locks are kept.
    pub state: PathBuf,
}

/// Starts the thread. `current` is the text of the configuration that runs.
pub fn start(
    places: Places,
    current: Sources,
    jobs: Receiver<ColdJob>,
    results: SyncSender<Prepared>,
    bell: Arc<Bell>,
) -> std::io::Result<()> {
    let mut worker = Worker { places, current, kernel: Kernel::open().ok() };
    let work = move || {
        for job in jobs {
            let Some(result) = worker.work(job) else { continue };
            if results.send(result).is_err() {
                return;
            }
            // The bell only fails if the descriptor is gone, and then nobody listens.
            let _ = bell.ring();
        }
    };
    std::thread::Builder::new().name("cold".into()).stack_size(1024 * 1024).spawn(work)?;
    Ok(())
}

struct Worker {
    places: Places,
    /// The text of the configuration that runs. Only a reload needs the model of it, which takes forty times
    /// the memory.
    current: Sources,
    kernel: Option<Kernel>,
}

impl Worker {
    fn work(&mut self, job: ColdJob) -> Option<Prepared> {
        match job {
            ColdJob::Reload { plan, reply } => self.reload(plan, reply),
            ColdJob::Neighbours(interfaces) => Some(Prepared::Neighbours(self.list(&interfaces))),
            ColdJob::Close(sockets) => {
                drop(sockets);
                None
            }
            ColdJob::Snapshot => Some(Prepared::Snapshot(self.snapshot())),
            ColdJob::SaveLocks(names) => {
                save_locks(&self.places.state, &names).err().map(|error| {
                    let path = self.places.state.display();
                    Prepared::Complaint(format!("the locks cannot be kept in {path}: {error}"))
                })
            }
        }
    }

    fn reload(&mut self, plan_only: bool, reply: Option<SyncSender<Reply>>) -> Option<Prepared> {
        let (mut answer, loaded) = read(&self.places);
        let Some(Loaded { config, layout, secrets, sources }) = loaded else {
            return Some(give(reply, answer));
        };
        let Some(former) = file::parse(self.current.clone()).config else {
            let text =
                "the text of the running configuration cannot be read again; restart evergated";
            answer.errors.push(text.into());
            return Some(give(reply, answer));
        };
        let plan = file::plan::diff(&former, &config);
        answer.plan = plan.lines();
        if config.cluster.name != former.cluster.name {
            let text = "the name of the cluster cannot change while the daemon runs; restart it";
            answer.errors.push(text.into());
            return Some(give(reply, answer));
        }
        if plan_only {
            answer.result = ReloadResult::Planned;
            return Some(give(reply, answer));
        }
        if plan.is_empty() {
            answer.result = ReloadResult::Unchanged;
            return Some(Prepared::Secrets { secrets, answer, reply });
        }
        answer.result = ReloadResult::Applied;
        self.current = sources;
        Some(Prepared::Configuration { layout: Box::new(layout), secrets, answer, reply })
    }

    fn list(&mut self, interfaces: &[u32]) -> Vec<(u32, IpAddr)> {
        let mut found = Vec::new();
        let Some(kernel) = self.kernel.as_mut() else { return found };
        for ifindex in interfaces {
            let Ok(known) = kernel.known_neighbours(*ifindex) else { continue };
            let known = known.iter().take(NEIGHBOURS_MAX);
            found.extend(known.map(|record| (*ifindex, record.address)));
        }
        found
    }

    fn snapshot(&mut self) -> Result<Vec<Event>, NetlinkError> {
        match &mut self.kernel {
            Some(kernel) => snapshot(kernel),
            None => snapshot(self.kernel.insert(Kernel::open()?)),
        }
    }
}

fn give(reply: Option<SyncSender<Reply>>, answer: ReloadReply) -> Prepared {
    if let Some(reply) = reply {
        // Whoever asked may have gone.
        let _ = reply.try_send(Reply::Reload(answer.clone()));
    }
    Prepared::NotApplied(answer)
}

/// A configuration in all its forms.
pub struct Loaded {
    /// As it was checked.
    pub config: file::model::Config,
    /// As this node lives it.
    pub layout: Layout,
    /// What its files hold.
    pub secrets: Secrets,
    /// As it was written.
    pub sources: Sources,
}

/// Reads and checks everything; `None` when there are errors, which are in the answer.
pub fn read(places: &Places) -> (ReloadReply, Option<Loaded>) {
    let mut answer = ReloadReply {
        result: ReloadResult::Refused,
        plan: Vec::new(),
        warnings: Vec::new(),
        errors: Vec::new(),
    };
    let sources = match Sources::read(&places.config) {
        Ok(sources) => sources,
        Err(error) => {
            answer.errors.push(error.to_string());
            return (answer, None);
        }
    };
    let outcome = file::parse(sources.clone());
    answer.warnings = outcome.report.texts(Level::Warning);
    answer.errors = outcome.report.texts(Level::Error);
    let Some(config) = outcome.config.filter(|_| answer.errors.is_empty()) else {
        return (answer, None);
    };
    let loaded = lay_out(config, sources, &places.node);
    (
        ReloadReply { errors: loaded.as_ref().err().cloned().into_iter().collect(), ..answer },
        loaded.ok(),
    )
}

fn lay_out(config: file::model::Config, sources: Sources, node: &str) -> Result<Loaded, String> {
    let secrets = Secrets::load(&config, node)?;
    let layout = Layout::new(&config, node).map_err(|mismatch| mismatch.to_string())?;
    Ok(Loaded { config, layout, secrets, sources })
}

/// The names of the groups that were locked; none where no file is.
pub fn load_locks(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str::<Locks>(&text).map(|locks| locks.locked).unwrap_or_default()
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Locks {
    locked: Vec<String>,
}

/// Writes a new file and puts it in the place of the old one, so that a crash leaves one of the two.
fn save_locks(path: &Path, names: &[String]) -> std::io::Result<()> {
    let text = serde_json::to_string(&Locks { locked: names.to_vec() })?;
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_read_as_they_were_saved_and_a_missing_or_broken_file_is_no_lock() {
        let path = std::env::temp_dir().join(format!("evergate-locks-{}", std::process::id()));
        assert!(load_locks(&path).is_empty());
        save_locks(&path, &["gateway".into()]).unwrap();
        assert_eq!(load_locks(&path), ["gateway"]);
        std::fs::write(&path, "{").unwrap();
        assert!(load_locks(&path).is_empty());
        std::fs::remove_file(&path).unwrap();
    }
}
