//! The thread that writes to the kernel. rtnetlink runs under a global lock and can take a hundred
//! milliseconds; the thread that sends heartbeats must never wait for it.
//!
//! What is wanted is a level for each group, not a list of orders: if the kernel is slow, only the
//! newest wish of each group is left to do, and memory is bounded by the number of groups.

mod ways;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evergate_core::input::Refused;

use crate::kernel::addresses::{AddressSpec, HoldError, HoldReport, VirtualAddress};
use crate::kernel::requests::Kernel;
use crate::replicate::Ticket;
use crate::sys::clock::boottime_now;
use crate::sys::ready::Bell;
pub use ways::{WantedWay, WaysReport};

/// Who holds addresses: a group, whatever number the present configuration gives it. A number that
/// was given once is never given to another group in the life of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Holder(pub u32);

/// What one group wants of the kernel.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Repeated in the answer.
    pub serial: u32,
    /// All addresses of the group.
    pub addresses: Vec<VirtualAddress>,
    /// For how many seconds they shall be there; `None`: not at all.
    pub lease_s: Option<u32>,
    /// Routes and rules that come after the addresses and go before them.
    pub ways: Vec<WantedWay>,
    /// Whether routes and rules that are gone are put back.
    pub restore: bool,
    /// Connections that must be in the kernel's table before.
    pub after: Option<Ticket>,
}

impl Wish {
    /// Which addresses it speaks of.
    fn specs(&self) -> impl Iterator<Item = AddressSpec> + '_ {
        self.addresses.iter().map(|address| address.spec)
    }
}

/// What came of a wish.
#[derive(Clone, Debug)]
pub struct Granted {
    /// Whose wish it was.
    pub holder: Holder,
    /// The serial of the wish.
    pub serial: u32,
    /// Whether the kernel did it.
    pub result: Result<(), Refused>,
    /// What became of its routes and rules.
    pub ways: WaysReport,
    /// How long it waited for connections, up to [`crate::replicate::STATES_WITHIN`].
    pub states: Duration,
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

type Wishes = BTreeMap<Holder, Wish>;

#[derive(Debug, Default)]
struct Desk {
    wishes: Wishes,
    retired: Vec<Holder>,
    forgotten: Vec<AddressSpec>,
    /// Addresses that are removed to be made anew: their removal is no news.
    remade: Vec<AddressSpec>,
    granted: Vec<Granted>,
    complaints: Vec<String>,
    stop: bool,
    stopped: bool,
}

/// The most removed addresses that wait to be forgotten, or are known as removed by ourselves; more are looked
/// at in vain, or taken for removed by others.
const FORGOTTEN_MAX: usize = 1024;
/// The most addresses whose leases are renewed together; a claim may have to wait for as many.
const RENEWED_TOGETHER_MAX: usize = 128;
/// The most complaints that wait to be read; more are dropped.
const COMPLAINTS_MAX: usize = 64;

impl KernelThread {
    /// Starts the thread; it rings `bell` when it has something to say.
    pub fn start(kernel: Kernel, bell: Arc<Bell>) -> std::io::Result<KernelThread> {
        let shared = Arc::new(Shared { desk: Mutex::default(), work: Condvar::new(), bell });
        let theirs = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("kernel".into()).stack_size(256 * 1024);
        builder.spawn(move || Worker::new(kernel, theirs).run())?;
        Ok(KernelThread { shared })
    }

    /// Leaves wishes; a former one of the same holder that is not begun is forgotten. Those of one
    /// moment come together, so that an address that moves between two groups is wanted throughout.
    pub fn wish(&self, wishes: impl IntoIterator<Item = (Holder, Wish)>) {
        self.desk().wishes.extend(wishes);
        self.shared.work.notify_one();
    }

    /// A holder is gone for good: whatever it still has is released after its last wish.
    pub fn retire(&self, holder: Holder) {
        self.desk().retired.push(holder);
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

    /// Whether the removal of an address that was heard of is our own, because it is made anew.
    pub fn has_remade(&self, spec: &AddressSpec) -> bool {
        let mut desk = self.desk();
        let position = desk.remade.iter().position(|remade| remade == spec);
        position.map(|position| desk.remade.swap_remove(position)).is_some()
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
    /// What each holder may have in the kernel.
    held: BTreeMap<Holder, Vec<AddressSpec>>,
    /// The routes and rules that each holder may have there.
    ways: BTreeMap<Holder, Vec<WantedWay>>,
    /// Who wants an address: the last that wished for it. Nobody else may remove it.
    wanted: BTreeMap<AddressSpec, Holder>,
    shared: Arc<Shared>,
}

impl Worker {
    fn new(kernel: Kernel, shared: Arc<Shared>) -> Worker {
        let (held, ways, wanted) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Worker { kernel, held, ways, wanted, shared }
    }

    fn run(mut self) {
        // Threads start at ordinary priority; a takeover must not wait for the rest of the machine.
        crate::privilege::raise_thread(crate::privilege::CORE_PRIORITY);
        while let Some((wishes, retired)) = self.next() {
            self.note_wanted(&wishes);
            let (renewals, others) =
                wishes.into_iter().partition(|(holder, wish)| self.is_renewal(*holder, wish));
            // Who claims does not wait for those who have.
            self.grant_each(others);
            self.renew(renewals);
            for holder in retired {
                self.release_ways(holder, &[]);
                let left = self.held.remove(&holder).unwrap_or_default();
                self.wanted.retain(|_, owner| *owner != holder);
                // What cannot be removed now ends with its lease: nobody is left to ask again.
                self.release(holder, left);
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

    fn grant_each(&mut self, wishes: Wishes) {
        for (holder, wish) in wishes {
            let states = self.wait_for_states(&wish);
            let (result, ways) = self.grant_all(holder, &wish);
            self.tell([Granted { holder, serial: wish.serial, result, ways, states }]);
        }
    }

    fn tell(&self, granted: impl IntoIterator<Item = Granted>) {
        self.shared.lock().granted.extend(granted);
        // The bell only fails if the descriptor is gone, and then nobody listens.
        let _ = self.shared.bell.ring();
    }

    /// Whether a holder wants no more than a new lease for what it has.
    fn is_renewal(&self, holder: Holder, wish: &Wish) -> bool {
        wish.lease_s.is_some()
            && wish.after.is_none()
            && self.held.get(&holder).is_some_and(|held| wish.specs().eq(held.iter().copied()))
    }

    /// Renews the leases of many holders in few calls: with a thousand groups a call for each is half of the
    /// work. Where one fails, each is renewed by itself.
    fn renew(&mut self, renewals: Wishes) {
        let mut rest = renewals;
        while let Some(lease_s) = rest.values().find_map(|wish| wish.lease_s) {
            let mut together = Wishes::new();
            let mut addresses = Vec::new();
            while let Some(first) = rest.first_entry() {
                let fits = addresses.len() + first.get().addresses.len() <= RENEWED_TOGETHER_MAX;
                if first.get().lease_s != Some(lease_s) || !fits && !together.is_empty() {
                    break;
                }
                let (holder, wish) = first.remove_entry();
                addresses.extend_from_slice(&wish.addresses);
                together.insert(holder, wish);
            }
            self.forget_lost();
            if together.len() < 2 || self.hold(&addresses, lease_s).is_err() {
                self.grant_each(together);
                continue;
            }
            let mut granted = Vec::new();
            for (holder, wish) in together {
                let (serial, states) = (wish.serial, Duration::ZERO);
                let ways = self.grant_ways(holder, &wish);
                granted.push(Granted { holder, serial, result: Ok(()), ways, states });
            }
            self.tell(granted);
        }
    }

    /// What others have removed is looked at before it is leased again.
    fn forget_lost(&mut self) {
        let forgotten = std::mem::take(&mut self.shared.lock().forgotten);
        for spec in forgotten {
            self.kernel.forget(&spec);
        }
    }

    /// Waits for work; `None` when the thread shall end and nothing is left to do.
    fn next(&self) -> Option<(Wishes, Vec<Holder>)> {
        let mut desk = self.shared.lock();
        loop {
            if !desk.wishes.is_empty() || !desk.retired.is_empty() {
                let wishes = std::mem::take(&mut desk.wishes);
                return Some((wishes, std::mem::take(&mut desk.retired)));
            }
            if desk.stop {
                return None;
            }
            desk = self.shared.work.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// An address that came before its connections would answer their packets with resets.
    fn wait_for_states(&self, wish: &Wish) -> Duration {
        let Some(ticket) = &wish.after else { return Duration::ZERO };
        let since = boottime_now();
        if !ticket.wait() {
            self.complain("addresses had to come before the last connections".to_owned());
        }
        Duration::from_nanos(boottime_now() - since)
    }

    fn note_wanted(&mut self, wishes: &Wishes) {
        for (holder, wish) in wishes.iter().filter(|(_, wish)| wish.lease_s.is_some()) {
            self.wanted.extend(wish.specs().map(|spec| (spec, *holder)));
        }
    }

    fn hold(
        &mut self,
        addresses: &[VirtualAddress],
        lease_s: u32,
    ) -> Result<HoldReport, HoldError> {
        let remade = self.kernel.to_be_remade(addresses);
        if !remade.is_empty() {
            let mut desk = self.shared.lock();
            let room = FORGOTTEN_MAX.saturating_sub(desk.remade.len());
            desk.remade.extend(remade.into_iter().take(room));
        }
        self.kernel.hold(addresses, lease_s)
    }

    /// Addresses first and routes after them; in the other direction, routes first.
    fn grant_all(&mut self, holder: Holder, wish: &Wish) -> (Result<(), Refused>, WaysReport) {
        if wish.lease_s.is_none() {
            let done = self.release_ways(holder, &wish.ways);
            let result = self.grant(holder, wish);
            let refused = Err(Refused { errno: libc::EIO });
            return (if done { result } else { refused }, WaysReport::default());
        }
        match self.grant(holder, wish) {
            Ok(()) => (Ok(()), self.grant_ways(holder, wish)),
            refused => (refused, WaysReport::default()),
        }
    }

    fn grant(&mut self, holder: Holder, wish: &Wish) -> Result<(), Refused> {
        self.forget_lost();
        let former = self.held.remove(&holder).unwrap_or_default();
        let (kept, gone): (Vec<_>, Vec<_>) =
            former.iter().copied().partition(|spec| wish.specs().any(|wanted| wanted == *spec));
        let Some(lease_s) = wish.lease_s else {
            let doomed = wish.specs().chain(gone).collect();
            let left = self.release(holder, doomed);
            if left.is_empty() {
                return Ok(());
            }
            self.held.insert(holder, left);
            return Err(Refused { errno: libc::EIO });
        };
        // What could not be removed is tried again with the next renewal.
        let mut held = self.release(holder, gone);
        match self.hold(&wish.addresses, lease_s) {
            Ok(report) => {
                for spec in report.foreign.iter().filter(|_| former.is_empty()) {
                    let (address, length) = (spec.address, spec.prefix_length);
                    self.complain(format!(
                        "{address}/{length} was there already and stays as it is"
                    ));
                }
                held.extend(wish.specs());
                self.held.insert(holder, held);
                Ok(())
            }
            Err(error) => {
                self.complain(error.to_string());
                // What was there before keeps its lease.
                held.extend(kept);
                self.held.insert(holder, held);
                Err(Refused { errno: libc::EIO })
            }
        }
    }

    /// Removes addresses, except those that another holder wants; returns what may still be there.
    fn release(&mut self, holder: Holder, mut specs: Vec<AddressSpec>) -> Vec<AddressSpec> {
        specs.retain(|spec| self.wanted.get(spec).is_none_or(|owner| *owner == holder));
        for spec in &specs {
            self.wanted.remove(spec);
        }
        if specs.is_empty() {
            return specs;
        }
        match self.kernel.release(&specs) {
            Ok(report) => {
                for (spec, error) in &report.failures {
                    let address = spec.address;
                    self.complain(format!(
                        "cannot remove {address}: {error}; its lease will end it"
                    ));
                }
                report.failures.into_iter().map(|(spec, _)| spec).collect()
            }
            Err(error) => {
                self.complain(format!("cannot remove addresses: {error}"));
                specs
            }
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
