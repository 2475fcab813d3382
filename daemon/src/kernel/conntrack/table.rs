//! How full the table of connections is.

use std::io;

const COUNT_FILE: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
const MAXIMUM_FILE: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// How many connections there are in the calling thread's network namespace.
pub fn count() -> io::Result<u32> {
    number_in(COUNT_FILE)
}

/// How many there may be at most; 0 is no limit. All network namespaces of the machine have the same
/// limit, and each counts for itself.
pub fn maximum() -> io::Result<u32> {
    number_in(MAXIMUM_FILE)
}

fn number_in(file: &str) -> io::Result<u32> {
    let text = std::fs::read_to_string(file)?;
    text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}
