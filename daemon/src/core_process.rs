//! The core process: puts together what the node thread needs, gives up what nobody needs, and runs.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use evergate_core::ident::Incarnation;
use nix::sys::signal::Signal;

use crate::arguments::{Arguments, Instead};
use crate::checks;
use crate::cold::{self, Loaded};
use crate::control::{CALLS_MAX, Server};
use crate::drive::{self, Drive, Equipment, instant_now};
use crate::facts::Facts;
use crate::guardian::{EnterError, Inherited, enter_core};
use crate::kernel::addresses::AddressSpec;
use crate::kernel::error::NetlinkError;
use crate::kernel::monitor::Monitor;
use crate::kernel::notrack::Notrack;
use crate::kernel::requests::Kernel;
use crate::kernel::rtnetlink::LinkRecord;
use crate::kernel::virtual_links::VirtualLink;
use crate::kernel::ways::Way;
use crate::kernel_thread::KernelThread;
use crate::layout::Layout;
use crate::observe::{self, EVENTS_WAITING_MAX};
use crate::privilege::{self, CORE_PRIORITY, PrivilegeError};
use crate::replicate::Doors;
use crate::say::say;
use crate::sys::memory::give_back;
use crate::sys::process::Signals;
use crate::sys::ready::Bell;

/// Why a core cannot start or go on.
#[derive(Debug)]
pub enum CoreError {
    /// It was not started by a guardian.
    Enter(EnterError),
    /// The configuration has errors: the operator's to mend.
    Configuration(Vec<String>),
    /// The kernel does not answer.
    Kernel(NetlinkError),
    /// The control socket cannot be opened.
    Socket(io::Error),
    /// Privileges cannot be given up.
    Privilege(PrivilegeError),
    /// A system call that never fails did.
    System(io::Error),
}

impl CoreError {
    /// 2 for errors in the configuration, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, CoreError::Configuration(_)) { 2 } else { 1 }
    }
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CoreError::Enter(error) => error.fmt(f),
            CoreError::Configuration(errors) => f.write_str(&errors.join("\n")),
            CoreError::Kernel(error) => write!(f, "cannot talk to the kernel: {error}"),
            CoreError::Socket(error) => write!(f, "cannot open the control socket: {error}"),
            CoreError::Privilege(error) => error.fmt(f),
            CoreError::System(error) => {
                write!(f, "the system refuses what it never should: {error}")
            }
        }
    }
}

impl std::error::Error for CoreError {}

impl From<io::Error> for CoreError {
    fn from(error: io::Error) -> Self {
        CoreError::System(error)
    }
}

/// Runs the core until it is told to end. `adopt`: addresses of a former core may be taken over.
pub fn run(adopt: bool, inherited: &Inherited) -> Result<(), CoreError> {
    let inheritance = enter_core(inherited).map_err(CoreError::Enter)?;
    let raised = privilege::raise(CORE_PRIORITY);
    let arguments = Arguments::read(&inherited.arguments).map_err(|instead| {
        let Instead::Mistake(text) = instead else { return CoreError::Configuration(Vec::new()) };
        CoreError::Configuration(vec![text])
    })?;
    let (answer, loaded) = cold::read(&arguments.places());
    let Some(Loaded { config, layout, secrets, sources }) = loaded else {
        return Err(CoreError::Configuration(answer.errors));
    };
    // Only a reload needs it, and reads it again.
    drop(config);
    let estate = inheritance.estate;
    let adopted: Vec<String> = adopt
        .then(|| estate.adopt())
        .flatten()
        .map(|estate| estate.groups.into_iter().map(|holding| holding.group).collect())
        .unwrap_or_default();
    let signals = Signals::new(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])?;
    let monitor = Monitor::open().map_err(CoreError::Kernel)?;
    let mut kernel = Kernel::open().map_err(CoreError::Kernel)?;
    kernel.own_links_as(&arguments.socket.to_string_lossy());
    settle(&mut kernel, &layout, &adopted);
    sweep(&mut kernel, &layout, &adopted);
    let mut random = [0; 16];
    getrandom(&mut random)?;
    let facts = Facts {
        cluster: layout.cluster_name.clone(),
        boot_id: boot_id(),
        generation: 1,
        started: Some(instant_now()),
        scheduling: raised.priority.to_string(),
        ..Facts::default()
    };
    let notrack = exempt(&layout);
    let others_notrack =
        drive::replication::conntrackd(&layout).map(|plan| Notrack::install(plan.port));
    let doors = drive::replication::wants(&layout, &secrets.cluster).then(Doors::open);
    let doors = doors.and_then(|opened| {
        let complain = |error| say("core", &format!("connections cannot be replicated: {error}"));
        opened.map_err(complain).ok()
    });
    let confined = privilege::confine_core().map_err(CoreError::Privilege)?;
    for missing in confined.missing {
        say("core", &format!("the capability {missing} was not given; addresses cannot be held"));
    }
    let bell = Arc::new(Bell::new()?);
    let (calls_in, calls) = sync_channel(CALLS_MAX);
    let (events, drafts) = sync_channel(EVENTS_WAITING_MAX);
    let (cold_in, cold_jobs) = sync_channel(cold::JOBS_MAX);
    let (results, prepared) = sync_channel(cold::JOBS_MAX);
    let journal = observe::start(layout.me(), drafts)?;
    cold::start(arguments.places(), sources, cold_jobs, results, Arc::clone(&bell))?;
    let server =
        Server::start(&arguments.socket, calls_in, Arc::clone(&bell), Arc::clone(&journal))
            .map_err(CoreError::Socket)?;
    let (news, check_news) = sync_channel(checks::NEWS_MAX);
    let place = checks::socket_path(&arguments.socket);
    let runner = checks::Link::start(&place, news, Arc::clone(&bell)).map_err(CoreError::Socket)?;
    let incarnation = Incarnation(random);
    let replication = drive::replication::start(&layout, incarnation, &secrets.cluster, doors)
        .unwrap_or_else(|text| {
            say("core", &text);
            None
        });
    let equipment = Equipment {
        incarnation,
        replication,
        runner: Some(runner),
        check_news,
        kernel: KernelThread::start(kernel, Arc::clone(&bell))?,
        locked: cold::load_locks(&arguments.state),
        cold: cold_in,
        layout,
        secrets,
        estate,
        monitor,
        bell,
        calls,
        prepared,
        events,
        signals,
        facts,
    };
    let drive = Drive::start(equipment, &adopted)?;
    give_back();
    let ended = drive.run();
    drop(server);
    drop((notrack, others_notrack));
    observe::finish(&journal);
    Ok(ended?)
}

/// Makes the links with virtual MAC addresses before they are needed. Those that a former process has left
/// up go down, except those of groups that are adopted now.
fn settle(kernel: &mut Kernel, layout: &Layout, adopted: &[String]) {
    let links: Vec<_> = layout.links().map(|link| VirtualLink::clone(link)).collect();
    for error in kernel.settle_links(&links) {
        say("core", &error.to_string());
    }
    let groups = layout.core.groups.iter().zip(&layout.groups);
    let idle = groups.filter(|(group, _)| !adopted.contains(&group.name));
    let idle = idle.flat_map(|(_, group)| &group.routers).filter_map(|r| r.link.as_ref());
    let idle = idle.filter_map(|link| kernel.virtual_link(&link.name)).collect();
    if let Err(error) = kernel.lower_links(&idle) {
        say("core", &format!("cannot set interfaces with virtual MAC addresses down: {error}"));
    }
}

/// Removes what a former process of this configuration has left, except what is adopted now.
fn sweep(kernel: &mut Kernel, layout: &Layout, adopted: &[String]) {
    let Ok(links) = kernel.links() else { return };
    let mut left = Vec::new();
    sweep_ways(kernel, layout, adopted, &links);
    let groups = layout.core.groups.iter().zip(&layout.groups);
    let groups = groups.filter(|(group, _)| !adopted.contains(&group.name));
    for (router, on) in groups.flat_map(|(core, group)| core.routers.iter().zip(&group.routers)) {
        // A former configuration may have had them on the other of the two.
        let own = layout.interface(router.interface);
        let names = [Some(own), on.link.as_ref().map(|link| link.name.as_str())];
        for link in links.iter().filter(|link| names.contains(&Some(link.name.as_str()))) {
            left.extend(router.addresses.iter().map(|(address, prefix_length)| AddressSpec {
                ifindex: link.ifindex,
                address: *address,
                prefix_length: *prefix_length,
            }));
        }
    }
    match kernel.sweep(&left) {
        Ok(report) => {
            for spec in report.removed {
                say("core", &format!("removed {}, left over from a former process", spec.address));
            }
        }
        Err(error) => say("core", &format!("cannot look for left-over addresses: {error}")),
    }
}

/// Removes routes and rules that a former process has left, except those that are adopted now.
fn sweep_ways(kernel: &mut Kernel, layout: &Layout, adopted: &[String], links: &[LinkRecord]) {
    let index = |id| {
        let name = layout.interface(id);
        links.iter().find(|link| link.name == name).map(|link| link.ifindex)
    };
    let groups = layout.core.groups.iter().zip(&layout.groups);
    let others = groups.filter(|(group, _)| !adopted.contains(&group.name));
    let left: Vec<Way> = others
        .flat_map(|(_, layout)| layout.wanted_ways(&index))
        .map(|wanted| wanted.way)
        .collect();
    if left.is_empty() {
        return;
    }
    for (_, error) in kernel.remove_ways(&left).iter().take(1) {
        say("core", &format!("cannot remove left-over routes or rules: {error}"));
    }
}

/// Takes our own datagrams out of connection tracking; the kernel forgets this when the process ends.
fn exempt(layout: &Layout) -> Option<Notrack> {
    let exemption = Notrack::install(layout.port);
    let complain = |error: &NetlinkError| {
        say(
            "core",
            &format!("heartbeats are tracked as connections, which costs a little: {error}"),
        );
    };
    exemption.inspect_err(complain).ok()
}

/// Random bits from the kernel.
fn getrandom(bytes: &mut [u8; 16]) -> io::Result<()> {
    use std::io::Read as _;
    std::fs::File::open("/dev/urandom")?.read_exact(bytes)
}

fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
