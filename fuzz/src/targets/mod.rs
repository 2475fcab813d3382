//! Everything that reads bytes from a wire, from the kernel or from people, each as one function of bytes. A target
//! panics where a law does not hold; it says whether the bytes were accepted, so that a run can tell whether it went deep.

mod config;
mod conntrack_message;
mod conntrackd;
mod control;
mod flow;
mod heartbeat;
mod import_conntrackd;
mod import_keepalived;
mod import_ucarp;
mod neighbours;
mod netlink;
mod replica;
mod replication;
pub mod vrrp;

/// One reader.
pub struct Target {
    /// Its name, which is that of its corpus too.
    pub name: &'static str,
    /// One execution; whether the bytes were accepted.
    pub run: fn(&[u8]) -> bool,
    /// How many mutants the quick check makes: about half a second's work.
    pub mutants: u64,
}

const fn target(name: &'static str, run: fn(&[u8]) -> bool, mutants: u64) -> Target {
    Target { name, run, mutants }
}

/// All of them.
pub const ALL: [Target; 14] = [
    target("config", config::run, 2_000),
    target("conntrack_message", conntrack_message::run, 200_000),
    target("conntrackd", conntrackd::run, 200_000),
    target("control", control::run, 200_000),
    target("flow", flow::run, 200_000),
    target("heartbeat", heartbeat::run, 200_000),
    target("import_conntrackd", import_conntrackd::run, 20_000),
    target("import_keepalived", import_keepalived::run, 1_000),
    target("import_ucarp", import_ucarp::run, 20_000),
    target("neighbours", neighbours::run, 200_000),
    target("netlink", netlink::run, 200_000),
    target("replica", replica::run, 200_000),
    target("replication", replication::run, 50_000),
    target("vrrp", vrrp::run, 200_000),
];
