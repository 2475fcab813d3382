//! The processes under test. The user's arguments are `--fake DIRECTORY MODE...`.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use evergate_daemon::estate::{Estate, HeldAddress, Holding, Transport, Will};
use evergate_daemon::guardian::{
    Addresses, Inherited, NotReleased, Options, Outcome, THIS_PROGRAM, enter_core, run_first,
    run_successor,
};
use evergate_daemon::kernel::ways::Way;
use evergate_daemon::privilege::{CORE_PRIORITY, SystemCalls, confine_core, raise};
use evergate_daemon::runner;
use evergate_daemon::sys::clock::boottime_now;
use evergate_daemon::sys::process::Signals;
use evergate_daemon::sys::ready::{Poller, Ready, Timer};
use nix::sys::signal::Signal;
use socket2::Type;

/// Dead time that the fake core announces.
pub const DEAD_NS: u64 = 30_000_000;
/// What it leaves as its last word.
pub const LAST_WORD: &[u8] = b"farewell";
const BEAT_NS: u64 = 5_000_000;

pub fn is_ours(arguments: &[OsString]) -> bool {
    arguments.first().is_some_and(|first| first == "--fake")
}

/// The address that the fake core holds.
pub fn held() -> HeldAddress {
    HeldAddress { ifindex: 1, address: [192, 0, 2, 1].into(), prefix_length: 24 }
}

/// A file of lines: time in nanoseconds, process id, text.
pub struct Log(PathBuf);

impl Log {
    pub fn at(directory: &Path) -> Self {
        Log(directory.join("log"))
    }

    pub fn add(&self, text: &str) {
        let line = format!("{} {} {text}\n", boottime_now(), std::process::id());
        let mut file = OpenOptions::new().append(true).create(true).open(&self.0).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    pub fn lines(&self) -> Vec<(u64, u32, String)> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let complete = text.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ' ');
            let (at, pid) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some((at, pid, parts.next()?.to_owned()))
        });
        complete.collect()
    }
}

/// Addresses that exist in the log only.
struct Paper(Log);

impl Addresses for Paper {
    fn release(&mut self, addresses: &[HeldAddress]) -> Result<usize, NotReleased> {
        assert_eq!(addresses, [held()]);
        self.0.add("released");
        Ok(addresses.len())
    }

    fn remove_ways(&mut self, ways: &[Way]) -> Result<(), NotReleased> {
        assert_eq!(ways, []);
        Ok(())
    }

    fn remove_links(&mut self) -> Vec<String> {
        Vec::new()
    }
}

fn directory(arguments: &[OsString]) -> PathBuf {
    PathBuf::from(&arguments[1])
}

fn has(arguments: &[OsString], mode: &str) -> bool {
    arguments.iter().any(|argument| argument == mode)
}

fn options(arguments: Vec<OsString>) -> Options {
    let addresses = Box::new(Paper(Log::at(&directory(&arguments))));
    Options { program: THIS_PROGRAM.into(), arguments, addresses }
}

pub fn guardian(arguments: Vec<OsString>) -> ExitCode {
    let directory = directory(&arguments);
    Log::at(&directory).add("guardian");
    match run_first(&directory.join("socket"), options(arguments)) {
        Ok(Outcome::Stopped) => ExitCode::SUCCESS,
        Ok(Outcome::Refused(code)) => ExitCode::from(code),
        Err(error) => {
            Log::at(&directory).add(&format!("refused: {error}"));
            ExitCode::from(77)
        }
    }
}

pub fn successor(inherited: &Inherited) -> ExitCode {
    Log::at(&directory(&inherited.arguments)).add("guardian");
    match run_successor(inherited, options(inherited.arguments.clone())) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => panic!("{error}"),
    }
}

pub fn runner(inherited: &Inherited) -> ExitCode {
    let log = Log::at(&directory(&inherited.arguments));
    log.add("runner");
    runner::run(inherited, THIS_PROGRAM.into()).unwrap();
    log.add("runner ended");
    ExitCode::SUCCESS
}

pub fn core(adopt: bool, inherited: &Inherited) -> ExitCode {
    let (arguments, start) = (&inherited.arguments, boottime_now());
    let log = Log::at(&directory(arguments));
    raise(CORE_PRIORITY);
    let entered = enter_core(inherited).unwrap();
    if has(arguments, "refuses") {
        return ExitCode::from(2);
    }
    let adopted = adopt.then(|| entered.estate.adopt()).flatten().is_some();
    log.add(if adopted { "core adopts" } else { "core" });
    entered.estate.set_peers_alive(has(arguments, "peers"));
    entered.estate.set_dead_ns(DEAD_NS);
    entered.estate.beat(start);
    if has(arguments, "holds") {
        entered.estate.publish(&left(arguments)).unwrap();
    }
    let signals = Signals::new(&[Signal::SIGTERM, Signal::SIGHUP]).unwrap();
    if has(arguments, "confined") {
        check_confinement(&log, has(arguments, "execs"));
    }
    let (poller, timer, mut ready) =
        (Poller::new().unwrap(), Timer::new().unwrap(), Ready::default());
    poller.add(signals.as_fd(), 0).unwrap();
    poller.add(&timer, 1).unwrap();
    entered.estate.set_ready();
    log.add("ready");
    loop {
        let now = boottime_now();
        entered.estate.beat(now);
        timer.set(Some(now + BEAT_NS)).unwrap();
        poller.wait(&mut ready, None).unwrap();
        timer.drain().unwrap();
        match signals.read().unwrap() {
            Some(Signal::SIGHUP) => {
                entered.estate.reload_ended();
                log.add("reloaded");
            }
            Some(_) if !has(arguments, "stubborn") => {
                entered.estate.publish(&Estate::default()).unwrap();
                if has(arguments, "lingers") {
                    log.add("core lingers");
                    std::thread::sleep(std::time::Duration::from_secs(1));
                }
                log.add("core stops");
                return ExitCode::SUCCESS;
            }
            _ => {}
        }
    }
}

/// One address, and one last word to the port that is the last argument.
fn left(arguments: &[OsString]) -> Estate {
    let port = arguments.last().unwrap().to_str().unwrap().parse().unwrap();
    let will = Will {
        transport: Transport::Udp,
        group: None,
        ifindex: 1,
        source: [127, 0, 0, 1].into(),
        destination: [127, 0, 0, 1].into(),
        hops: 255,
        port,
        bytes: LAST_WORD.to_vec(),
    };
    let holding =
        Holding { group: "gateway".into(), addresses: vec![held()], ..Holding::default() };
    Estate { groups: vec![holding], wills: vec![will] }
}

/// What a confined core must still be able to do, and what it must not.
fn check_confinement(log: &Log, exec: bool) {
    let confined = confine_core().unwrap();
    assert_eq!(confined.system_calls, SystemCalls::Listed);
    log.add("confined");
    assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
    let sockets = (
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap(),
        std::os::unix::net::UnixDatagram::unbound().unwrap(),
    );
    drop(sockets);
    let other = socket2::Socket::new(socket2::Domain::from(libc::AF_ALG), Type::SEQPACKET, None);
    assert_eq!(other.unwrap_err().raw_os_error(), Some(libc::EPERM), "another family");
    std::fs::read("/proc/self/status").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1));
    let bounds = nix::unistd::chdir("/");
    assert_eq!(bounds, Err(nix::errno::Errno::EPERM), "a call off the list");
    log.add("works");
    if exec {
        let _ = Command::new("/bin/true").status();
        log.add("executed");
    }
}
