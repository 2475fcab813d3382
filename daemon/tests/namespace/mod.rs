//! Network namespaces for tests: each lives as long as the thread that made it, and has no name
//! that could be left behind.
#![allow(dead_code, clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::Write;
use std::process::Command;
use std::thread;
use std::time::Duration;

use evergate_daemon::kernel::Interface;
use evergate_daemon::kernel::requests::Kernel;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

/// Runs `test` in a fresh network namespace with `evk1` and `evk2`, two ends of one cable, both up.
/// Says so and returns where namespaces are not permitted.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(|| {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            assert_eq!(error, Errno::EPERM, "cannot make a network namespace");
            skipped("needs root");
            return;
        }
        ip("link add evk1 type veth peer name evk2");
        ip("link set evk1 up");
        ip("link set evk2 up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Says why a test did not run, past the test harness, which would keep it to itself.
pub fn skipped(reason: &str) {
    let line = format!("skipped: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Runs `ip` in the calling thread's namespace and returns what it prints.
pub fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {problem}");
    String::from_utf8(output.stdout).unwrap()
}

/// What `nft list ruleset` prints in the calling thread's namespace; `None` where there is no nft.
pub fn ruleset() -> Option<String> {
    let output = Command::new("nft").args(["list", "ruleset"]).output().ok()?;
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The interface of this name.
pub fn interface(name: &str) -> Interface {
    let links = Kernel::open().unwrap().links().unwrap();
    let link = links.into_iter().find(|link| link.name == name).unwrap();
    Interface { index: link.ifindex, name: link.name }
}

/// Sleeps.
pub fn pause(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

/// Asks every 10 ms until the answer is yes, for `limit_ms` at most; returns whether it was.
pub fn eventually(limit_ms: u64, mut is_so: impl FnMut() -> bool) -> bool {
    for _ in 0..limit_ms / 10 {
        if is_so() {
            return true;
        }
        pause(10);
    }
    is_so()
}
