//! The thread that writes to the kernel. rtnetlink runs under a global lock and can take a hundred
//! milliseconds; the thread that sends heartbeats must never wait for it.
//!
//! What is wanted is a level for each group, not a list of orders: if the kernel is slow, only the
//! newest wish of each group is left to do, and memory is bounded by the number of groups.

mod accept;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evergate_core::input::Refused;

use crate::kernel::accept_mode::Unaccepted;
use crate::kernel::addresses::{AddressSpec, HoldError, HoldReport, VirtualAddress};
use crate::kernel::requests::Kernel;
use crate::kernel::virtual_links::VirtualLink;
use crate::replicate::Ticket;
use crate::sys::clock::boottime_now;
use crate::sys::ready::Bell;
use accept::Dropping;
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
    /// The addresses of the group that belong on its routers' own interfaces.
    pub addresses: Vec<VirtualAddress>,
    /// Those that belong on links with a virtual MAC address.
    pub on_links: Vec<OnLink>,
    /// For how many seconds they shall be there; `None`: not at all.
    pub lease_s: Option<u32>,
    /// Routes and rules that come after the addresses and go before them.
    pub ways: Vec<WantedWay>,
    /// Whether routes and rules that are gone are put back.
    pub restore: bool,
    /// Connections that must be in the kernel's table before.
    pub after: Option<Ticket>,
}

/// A link with a virtual MAC address, and the addresses that belong on it.
#[derive(Clone, Debug)]
pub struct OnLink {
    /// The link: it is up while the addresses are there, and down otherwise.
    pub link: Arc<VirtualLink>,
    /// The addresses; the kernel's number of the link is filled in here.
    pub addresses: Vec<VirtualAddress>,
}

impl OnLink {
    fn at(&self, ifindex: u32) -> impl Iterator<Item = VirtualAddress> {
        self.addresses.iter().map(move |address| {
            let spec = AddressSpec { ifindex, ..address.spec };
            VirtualAddress { spec, attributes: address.attributes.clone() }
        })
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
    links: Option<Vec<VirtualLink>>,
    /// Addresses to which packets shall be dropped from now on.
    unaccepted: Option<Vec<Unaccepted>>,
    /// Why they are not.
    accept_failure: Option<String>,
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

    /// All links with virtual MAC addresses that there shall be, once the wishes are served; the newest
    /// word counts.
    pub fn want_links(&self, links: Vec<VirtualLink>) {
        self.desk().links = Some(links);
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
    /// Who has set a link up: the last that wished for it.
    raised: BTreeMap<String, Holder>,
    dropping: Dropping,
    shared: Arc<Shared>,
}

/// What there is to do.
struct Work {
    wishes: Wishes,
    retired: Vec<Holder>,
    links: Option<Vec<VirtualLink>>,
    unaccepted: Option<Vec<Unaccepted>>,
}

impl Worker {
    fn new(kernel: Kernel, shared: Arc<Shared>) -> Worker {
        let (held, ways, wanted) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (raised, dropping) = (BTreeMap::new(), Dropping::default());
        Worker { kernel, held, ways, wanted, raised, dropping, shared }
    }

    fn run(mut self) {
        // Threads start at ordinary priority; a takeover must not wait for the rest of the machine.
        crate::privilege::raise_thread(crate::privilege::CORE_PRIORITY);
        while let Some(Work { wishes, retired, links, unaccepted }) = self.next() {
            if let Some(unaccepted) = unaccepted {
                self.drop_packets(unaccepted);
            }
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
                self.lower(holder, &[]);
            }
            if let Some(links) = links {
                self.settle(&links);
            }
            self.drop_packets_after_all();
        }
        self.settle(&[]);
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

    /// Whether a holder wants no more than a new lease for what it has. A link could have been set down
    /// meanwhile: who has one is served by itself.
    fn is_renewal(&self, holder: Holder, wish: &Wish) -> bool {
        wish.lease_s.is_some()
            && wish.after.is_none()
            && wish.on_links.is_empty()
            && self
                .held
                .get(&holder)
                .is_some_and(|held| specs(&wish.addresses).eq(held.iter().copied()))
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
    fn next(&self) -> Option<Work> {
        let mut desk = self.shared.lock();
        loop {
            let is_told = desk.links.is_some() || desk.unaccepted.is_some();
            if !desk.wishes.is_empty() || !desk.retired.is_empty() || is_told {
                let unaccepted = desk.unaccepted.take();
                let wishes = std::mem::take(&mut desk.wishes);
                let retired = std::mem::take(&mut desk.retired);
                let links = desk.links.take();
                return Some(Work { wishes, retired, links, unaccepted });
            }
            if desk.stop {
                return None;
            }
            let again = self.dropping.again_in();
            if again.is_some_and(|span| span.is_zero()) {
                let (wishes, retired, links) = (Wishes::new(), Vec::new(), None);
                return Some(Work { wishes, retired, links, unaccepted: None });
            }
            let span = again.unwrap_or(Duration::MAX);
            let waited = self.shared.work.wait_timeout(desk, span);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
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
            let places = self.places(wish);
            self.wanted.extend(specs(&places).map(|spec| (spec, *holder)));
            let links = wish.on_links.iter().map(|on| (on.link.name.clone(), *holder));
            self.raised.extend(links);
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

    /// All addresses of a wish, those on links that exist with the kernel's number of the link.
    fn places(&self, wish: &Wish) -> Vec<VirtualAddress> {
        let on_links = wish.on_links.iter().filter_map(|on| {
            let ifindex = self.kernel.virtual_link(&on.link.name)?;
            Some(on.at(ifindex))
        });
        wish.addresses.iter().cloned().chain(on_links.flatten()).collect()
    }

    /// Sets the links of a wish up, so that there is a place for every address.
    fn raise(&mut self, holder: Holder, wish: &Wish) -> Result<Vec<VirtualAddress>, Refused> {
        for on in &wish.on_links {
            let ifindex = self.kernel.raise_link(&on.link).map_err(|error| {
                self.complain(error.to_string());
                Refused { errno: libc::EIO }
            })?;
            self.wanted.extend(on.at(ifindex).map(|address| (address.spec, holder)));
        }
        Ok(self.places(wish))
    }

    /// Sets the links of a holder down, except those that it still wants; false if one stays up.
    fn lower(&mut self, holder: Holder, wanted: &[OnLink]) -> bool {
        let is_over = |name: &String, owner: &Holder| {
            *owner == holder && wanted.iter().all(|on| on.link.name != *name)
        };
        let over = self.raised.iter().filter(|(name, owner)| is_over(name, owner));
        let over: BTreeSet<u32> =
            over.filter_map(|(name, _)| self.kernel.virtual_link(name)).collect();
        if let Err(error) = self.kernel.lower_links(&over) {
            self.complain(format!("cannot set an interface with a virtual MAC down: {error}"));
            return false;
        }
        self.raised.retain(|name, owner| !is_over(name, owner));
        true
    }

    /// Makes the links that are wanted, and removes the others.
    fn settle(&mut self, links: &[VirtualLink]) {
        for error in self.kernel.settle_links(links) {
            self.complain(error.to_string());
        }
    }

    fn grant(&mut self, holder: Holder, wish: &Wish) -> Result<(), Refused> {
        self.forget_lost();
        let Some(lease_s) = wish.lease_s else { return self.give_up(holder, wish) };
        let places = self.raise(holder, wish)?;
        let former = self.held.remove(&holder).unwrap_or_default();
        let (kept, gone): (Vec<_>, Vec<_>) =
            former.iter().copied().partition(|spec| specs(&places).any(|wanted| wanted == *spec));
        // What could not be removed is tried again with the next renewal.
        let mut held = self.release(holder, gone);
        self.lower(holder, &wish.on_links);
        match self.hold(&places, lease_s) {
            Ok(report) => {
                for spec in report.foreign.iter().filter(|_| former.is_empty()) {
                    let (address, length) = (spec.address, spec.prefix_length);
                    self.complain(format!(
                        "{address}/{length} was there already and stays as it is"
                    ));
                }
                held.extend(specs(&places));
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

    /// Lets go of everything that a holder has. IPv6 addresses go with their link: removed one by one,
    /// the kernel would tell of each by a frame from the virtual MAC address.
    fn give_up(&mut self, holder: Holder, wish: &Wish) -> Result<(), Refused> {
        let former = self.held.remove(&holder).unwrap_or_default();
        let links: BTreeSet<u32> =
            wish.on_links.iter().filter_map(|on| self.kernel.virtual_link(&on.link.name)).collect();
        let doomed: BTreeSet<AddressSpec> =
            former.into_iter().chain(specs(&self.places(wish))).collect();
        let goes_with_link =
            |spec: &AddressSpec| spec.address.is_ipv6() && links.contains(&spec.ifindex);
        let (with_link, first): (Vec<_>, Vec<_>) = doomed.into_iter().partition(goes_with_link);
        let mut left = self.release(holder, first);
        let is_down = self.lower(holder, &[]);
        left.extend(self.release(holder, with_link));
        if left.is_empty() && is_down {
            return Ok(());
        }
        self.held.insert(holder, left);
        Err(Refused { errno: libc::EIO })
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

/// Which addresses these are.
fn specs(addresses: &[VirtualAddress]) -> impl Iterator<Item = AddressSpec> + '_ {
    addresses.iter().map(|address| address.spec)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
