//! The thread that writes to the kernel. rtnetlink runs under a global lock and can take a hundred
//! milliseconds; the thread that sends heartbeats must never wait for it.
//!
//! What is wanted is a level for each group, not a list of orders: if the kernel is slow, only the
//! newest wish of each group is left to do, and memory is bounded by the number of groups.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use evergate_core::ident::GroupId;
use evergate_core::input::Refused;

use crate::kernel::addresses::AddressSpec;
use crate::kernel::requests::Kernel;
use crate::sys::ready::Bell;

/// What one group wants of the kernel.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Repeated in the answer.
    pub serial: u32,
    /// All addresses of the group.
    pub addresses: Vec<AddressSpec>,
    /// For how many seconds they shall be there; `None`: not at all.
    pub lease_s: Option<u32>,
}

/// What came of a wish.
#[derive(Clone, Copy, Debug)]
pub struct Granted {
    /// The group.
    pub group: GroupId,
    /// The serial of the wish.
    pub serial: u32,
    /// Whether the kernel did it.
    pub result: Result<(), Refused>,
}

/// Both ends of the thread.
#[derive(Debug)]
pub struct KernelThread {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    work: Condvar,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Desk {
    wishes: BTreeMap<GroupId, Wish>,
    forgotten: Vec<AddressSpec>,
    granted: Vec<Granted>,
    complaints: Vec<String>,
    stop: bool,
    stopped: bool,
}

/// The most removed addresses that wait to be forgotten; more are looked at in vain.
const FORGOTTEN_MAX: usize = 1024;
/// The most complaints that wait to be read; more are dropped.
const COMPLAINTS_MAX: usize = 64;

impl KernelThread {
    /// Starts the thread; it rings `bell` when it has something to say.
    pub fn start(kernel: Kernel, bell: Arc<Bell>) -> std::io::Result<KernelThread> {
        let shared = Arc::new(Shared { desk: Mutex::default(), work: Condvar::new(), bell });
        let theirs = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("kernel".into()).stack_size(256 * 1024);
        builder.spawn(move || Worker { kernel, held: BTreeMap::new(), shared: theirs }.run())?;
        Ok(KernelThread { shared })
    }

    /// Leaves a wish; a former one of the same group that is not begun is forgotten.
    pub fn wish(&self, group: GroupId, wish: Wish) {
        self.desk().wishes.insert(group, wish);
        self.shared.work.notify_one();
    }

    /// Somebody else has removed an address of ours: it may be the host's own by now, and is looked
    /// at before it is leased again.
    pub fn forget(&self, spec: AddressSpec) {
        let mut desk = self.desk();
        if desk.forgotten.len() < FORGOTTEN_MAX {
            desk.forgotten.push(spec);
        }
    }

    /// Takes what was granted, and complaints for the log.
    pub fn take(&self, granted: &mut Vec<Granted>, complaints: &mut Vec<String>) {
        let mut desk = self.desk();
        granted.append(&mut desk.granted);
        complaints.append(&mut desk.complaints);
    }

    /// Asks the thread to undo its settings and end.
    pub fn stop(&self) {
        self.desk().stop = true;
        self.shared.work.notify_one();
    }

    /// Whether it has ended.
    pub fn has_stopped(&self) -> bool {
        self.desk().stopped
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    kernel: Kernel,
    held: BTreeMap<GroupId, Vec<AddressSpec>>,
    shared: Arc<Shared>,
}

impl Worker {
    fn run(mut self) {
        // Threads start at ordinary priority; a takeover must not wait for the rest of the machine.
        crate::privilege::raise_thread(crate::privilege::CORE_PRIORITY);
        while let Some(wishes) = self.next() {
            for (group, wish) in wishes {
                let result = self.grant(group, &wish);
                let granted = Granted { group, serial: wish.serial, result };
                self.shared.lock().granted.push(granted);
                // The bell only fails if the descriptor is gone, and then nobody listens.
                let _ = self.shared.bell.ring();
            }
        }
        let protected: Vec<u32> = self.kernel.protected_links().map(|(index, _)| index).collect();
        for ifindex in protected {
            if let Err(error) = self.kernel.unprotect_secondaries(ifindex) {
                self.complain(format!("cannot restore promote_secondaries: {error}"));
            }
        }
        self.shared.lock().stopped = true;
        let _ = self.shared.bell.ring();
    }

    /// Waits for wishes; `None` when the thread shall end and nothing is left to do.
    fn next(&self) -> Option<BTreeMap<GroupId, Wish>> {
        let mut desk = self.shared.lock();
        loop {
            if !desk.wishes.is_empty() {
                return Some(std::mem::take(&mut desk.wishes));
            }
            if desk.stop {
                return None;
            }
            desk = self.shared.work.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn grant(&mut self, group: GroupId, wish: &Wish) -> Result<(), Refused> {
        let forgotten = std::mem::take(&mut self.shared.lock().forgotten);
        for spec in forgotten {
            self.kernel.forget(&spec);
        }
        let former = self.held.remove(&group).unwrap_or_default();
        let Some(lease_s) = wish.lease_s else {
            self.release(&wish.addresses);
            self.release(&former);
            return Ok(());
        };
        let gone: Vec<_> =
            former.iter().filter(|spec| !wish.addresses.contains(spec)).copied().collect();
        self.release(&gone);
        match self.kernel.hold(&wish.addresses, lease_s) {
            Ok(report) => {
                for spec in report.foreign.iter().filter(|_| former.is_empty()) {
                    let (address, length) = (spec.address, spec.prefix_length);
                    self.complain(format!(
                        "{address}/{length} was there already and stays as it is"
                    ));
                }
                self.held.insert(group, wish.addresses.clone());
                Ok(())
            }
            Err(error) => {
                self.complain(error.to_string());
                Err(Refused { errno: libc::EIO })
            }
        }
    }

    fn release(&mut self, specs: &[AddressSpec]) {
        if specs.is_empty() {
            return;
        }
        match self.kernel.release(specs) {
            Ok(report) => {
                for (spec, error) in report.failures {
                    let address = spec.address;
                    self.complain(format!(
                        "cannot remove {address}: {error}; its lease will end it"
                    ));
                }
            }
            Err(error) => self.complain(format!("cannot remove addresses: {error}")),
        }
    }

    fn complain(&self, text: String) {
        let mut desk = self.shared.lock();
        if desk.complaints.len() < COMPLAINTS_MAX {
            desk.complaints.push(text);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
