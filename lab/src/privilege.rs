//! Runs the lab with or without root: without, inside a user namespace of its own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::geteuid;

use crate::error::{LabError, Result};
use crate::shell;

/// The hidden first argument that says: we are inside our own user namespace already.
pub const INSIDE: &str = "--inside-user-namespace";

/// Makes sure that namespaces can be made; without root, starts this program again in a user namespace.
///
/// Returns only if this process may go on.
pub fn gain(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument == INSIDE) {
        // The names of `ip netns` need a /run that is ours.
        return shell::run("mount", &["-t", "tmpfs", "tmpfs", "/run"]).map(drop);
    }
    if geteuid().is_root() {
        return Ok(());
    }
    if !user_namespaces_work() {
        return Err(LabError::Privilege(
            "this kernel grants no user namespaces to ordinary users; run it with sudo".to_owned(),
        ));
    }
    let program = std::env::current_exe().map_err(LabError::io("find the path of this program"))?;
    let rest = arguments.iter().skip(1);
    let failure =
        Command::new("unshare").args(["-Urnm", "--"]).arg(program).arg(INSIDE).args(rest).exec();
    Err(LabError::Io { doing: "start unshare".to_owned(), source: failure })
}

/// True as root of the machine, false inside a user namespace of our own.
pub fn is_real_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    geteuid().is_root() && map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn user_namespaces_work() -> bool {
    shell::run("unshare", &["-Urnm", "--", "true"]).is_ok()
}
