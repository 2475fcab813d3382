//! conntrackd beside keepalived: what people run today for connections that survive a takeover.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{LabError, Result};
use crate::package::Packaged;
use crate::topology::{Gateway, Segment};

/// Its port in the examples of its manual.
pub const PORT: u16 = 3780;
/// Its file, in the directory of the node.
pub const FILE: &str = "conntrackd.conf";

/// What conntrackd is told about the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The group of the examples.
    Multicast,
    /// The other gateway's address on `sync`.
    Udp,
}

/// What it calls its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Acknowledged.
    Ftfw,
    /// Not acknowledged.
    Notrack,
}

/// How much it can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// As in the examples; it filters events itself.
    Usual,
    /// For a bench, as its manual recommends: the kernel filters events, and no buffer overflows.
    Bench,
}

/// A configuration of conntrackd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConntrackdConfig {
    /// Its mode.
    pub mode: Mode,
    /// How it speaks.
    pub transport: Transport,
    /// States of the peer wait in a cache and are put into the kernel at the takeover; otherwise at once.
    pub external_cache: bool,
    /// How much it can take.
    pub room: Room,
}

impl ConntrackdConfig {
    /// The file for a gateway, whose other one is `other`; `directory` holds its socket, lock and log.
    pub fn to_text(&self, gateway: Gateway, directory: &Path) -> String {
        let (mode, disable) = match self.mode {
            Mode::Ftfw => ("FTFW", ""),
            Mode::Notrack => ("NOTRACK", "    DisableInternalCache off\n"),
        };
        let external = if self.external_cache { "off" } else { "on" };
        let mut text = format!(
            "Sync {{\n  Mode {mode} {{\n    DisableExternalCache {external}\n{disable}  }}\n"
        );
        self.write_transport(gateway, &mut text);
        // Window scales are for the standby's kernel; they cost a little.
        if self.room == Room::Usual {
            text.push_str("  Options {\n    TCPWindowTracking yes\n  }\n");
        }
        text.push_str("}\n");
        self.write_general(gateway, directory, &mut text);
        text
    }

    fn write_transport(&self, gateway: Gateway, text: &mut String) {
        let own = gateway.address(Segment::Sync);
        let other = gateway.other().address(Segment::Sync);
        let bytes = match self.room {
            Room::Usual => 1_249_280,
            Room::Bench => 24_985_600,
        };
        let _ = match self.transport {
            Transport::Multicast => write!(
                text,
                "  Multicast {{\n    IPv4_address 225.0.0.50\n    Group {PORT}\n    IPv4_interface {own}\n"
            ),
            Transport::Udp => write!(
                text,
                "  UDP {{\n    IPv4_address {own}\n    IPv4_Destination_Address {other}\n    Port {PORT}\n"
            ),
        };
        let _ = write!(
            text,
            "    Interface sync\n    SndSocketBuffer {bytes}\n    RcvSocketBuffer {bytes}\n    Checksum on\n  }}\n"
        );
    }

    fn write_general(&self, gateway: Gateway, directory: &Path, text: &mut String) {
        let (size, limit, buffer, buffer_max, filter) = match self.room {
            Room::Usual => (32_768, 131_072, 2_097_152, 8_388_608, "Userspace"),
            Room::Bench => (65_536, 2_000_000, 67_108_864, 134_217_728, "Kernelspace"),
        };
        let file = |name: &str| directory.join(name).display().to_string();
        let _ = write!(
            text,
            "General {{\n  HashSize {size}\n  HashLimit {limit}\n  LogFile {}\n  Syslog off\n  LockFile {}\n  \
             UNIX {{\n    Path {}\n  }}\n  NetlinkBufferSize {buffer}\n  NetlinkBufferSizeMaxGrowth \
             {buffer_max}\n  Filter From {filter} {{\n    Address Ignore {{\n      IPv4_address 127.0.0.1\n",
            file("conntrackd.log"),
            file("conntrackd.lock"),
            file("conntrackd.ctl")
        );
        // Nothing else of the gateways themselves is spoken in a bench.
        let (more, segments) = match self.room {
            Room::Usual => ("      IPv6_address ::1\n", &Segment::ALL[..]),
            Room::Bench => ("", &[Segment::Sync][..]),
        };
        text.push_str(more);
        for one in [gateway, gateway.other()] {
            for segment in segments {
                let _ = writeln!(text, "      IPv4_address {}", one.address(*segment));
            }
        }
        text.push_str("    }\n  }\n}\n");
    }

    /// Writes the file for a gateway into the directory.
    pub fn write(&self, gateway: Gateway, directory: &Path) -> Result<PathBuf> {
        let file = directory.join(FILE);
        let failed = LabError::io("write the file of conntrackd");
        fs::write(&file, self.to_text(gateway, directory)).map_err(failed)?;
        Ok(file)
    }
}

/// Writes the configuration, and the script that keepalived calls when its role changes; gives both.
pub fn write_files(
    program: &Packaged,
    config: &ConntrackdConfig,
    gateway: Gateway,
    directory: &Path,
) -> Result<(PathBuf, PathBuf)> {
    let failed = || LabError::io("write the script of conntrackd");
    let file = config.write(gateway, directory)?;
    // A process that was killed leaves these, and would not start again beside them.
    for left in ["conntrackd.lock", "conntrackd.ctl"] {
        let _ = fs::remove_file(directory.join(left));
    }
    let script = directory.join("conntrackd-notify.sh");
    // The steps of primary-backup.sh, which comes with conntrackd.
    let line = format!("{} -C '{}'", program.shell_line(), file.display());
    let text = format!(
        "#!/bin/sh\nrun() {{ {line} \"$@\"; }}\ncase \"$1\" in\nprimary) run -c; run -f; run -R; run -B;;\n\
         backup) run -t; run -n;;\nfault) run -t;;\nesac\n"
    );
    fs::write(&script, text).map_err(failed())?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).map_err(failed())?;
    Ok((file, script))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::GW2;

    #[test]
    fn each_transport_names_the_right_addresses() {
        let config = ConntrackdConfig {
            mode: Mode::Ftfw,
            transport: Transport::Udp,
            external_cache: true,
            room: Room::Usual,
        };
        let text = config.to_text(GW2, Path::new("/x"));
        assert!(text.contains("IPv4_address 10.93.0.2\n    IPv4_Destination_Address 10.93.0.1\n"));
        let config = ConntrackdConfig { transport: Transport::Multicast, ..config };
        let text = config.to_text(GW2, Path::new("/x"));
        assert!(text.contains("Group 3780\n    IPv4_interface 10.93.0.2\n"), "{text}");
    }
}
