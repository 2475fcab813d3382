//! Settings of interfaces for which rtnetlink has no words: numbers in files under `/proc/sys/net`.

use std::io;
use std::path::PathBuf;

/// IPv4 or IPv6, as the directories are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Of {
    V4,
    V6,
}

fn path(of: Of, interface: &str, setting: &str) -> PathBuf {
    let family = match of {
        Of::V4 => "ipv4",
        Of::V6 => "ipv6",
    };
    ["/proc/sys/net", family, "conf", interface, setting].iter().collect()
}

/// Reads a setting; `None` if there is none: the interface is gone, or the kernel lacks the family.
pub(super) fn read(of: Of, interface: &str, setting: &str) -> Option<u32> {
    std::fs::read_to_string(path(of, interface, setting)).ok()?.trim().parse().ok()
}

/// Writes a setting, if it has another value. One that does not exist needs none.
pub(super) fn write(of: Of, interface: &str, setting: &str, value: u32) -> io::Result<()> {
    if read(of, interface, setting).is_none_or(|now| now == value) {
        return Ok(());
    }
    std::fs::write(path(of, interface, setting), value.to_string())
}
