//! Makes the room small in which the kernel keeps news of connections for a daemon, so that some is lost.

use std::fs;
use std::os::fd::RawFd;

use nix::sys::socket::{setsockopt, sockopt::RcvBuf};

use crate::error::{LabError, Result};
use crate::lab::Lab;
use crate::node::Part;
use crate::sys::descriptor_of;
use crate::topology::Gateway;

/// The family of netlink that tells of connections, as /proc/net/netlink has it.
const NETFILTER: &str = "12";

impl Lab {
    /// Gives the daemon's subscription to news of connections a receive buffer of so many bytes. Needs root.
    pub fn shrink_news(&self, gateway: Gateway, bytes: usize) -> Result<()> {
        let processes = self.daemon_processes(gateway)?;
        let none = || LabError::Node {
            node: gateway.to_string(),
            text: "no process of it listens to news of connections".to_owned(),
        };
        let core = processes.iter().find(|(_, part)| *part == Part::Core).ok_or_else(none)?.0;
        let wanted = subscriptions(core);
        let mut shrunk = 0;
        for descriptor in descriptors(core, &wanted) {
            let doing = || LabError::io("make a receive buffer small");
            let socket = descriptor_of(core, descriptor).map_err(|e| doing()(e.into()))?;
            setsockopt(&socket, RcvBuf, &bytes).map_err(|e| doing()(e.into()))?;
            shrunk += 1;
        }
        if shrunk == 0 { Err(none()) } else { Ok(()) }
    }
}

/// The inodes of the sockets of netfilter in a process's namespace that have subscribed to something.
fn subscriptions(process: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{process}/net/netlink")).unwrap_or_default();
    let subscribed = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, family, _, groups, .., inode] = fields.as_slice() else { return None };
        let some = groups.chars().any(|digit| digit != '0');
        (*family == NETFILTER && some).then(|| format!("socket:[{inode}]"))
    };
    text.lines().filter_map(subscribed).collect()
}

/// The descriptors by which a process has such sockets open.
fn descriptors(process: i32, wanted: &[String]) -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fd")) else { return Vec::new() };
    let number = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        let target = target.to_string_lossy();
        let number = entry.file_name().to_str()?.parse().ok()?;
        wanted.iter().any(|one| *one == target).then_some(number)
    };
    entries.flatten().filter_map(number).collect()
}
