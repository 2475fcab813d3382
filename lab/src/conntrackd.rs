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

/// A configuration of conntrackd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConntrackdConfig {
    /// Its mode.
    pub mode: Mode,
    /// How it speaks.
    pub transport: Transport,
    /// States of the peer wait in a cache and are put into the kernel at the takeover; otherwise at once.
    pub external_cache: bool,
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
        let own = gateway.address(Segment::Sync);
        let other = gateway.other().address(Segment::Sync);
        let buffers = "    SndSocketBuffer 1249280\n    RcvSocketBuffer 1249280\n    Checksum on\n";
        let _ = match self.transport {
            Transport::Multicast => write!(
                text,
                "  Multicast {{\n    IPv4_address 225.0.0.50\n    Group {PORT}\n    IPv4_interface \
                 {own}\n    Interface sync\n{buffers}  }}\n"
            ),
            Transport::Udp => write!(
                text,
                "  UDP {{\n    IPv4_address {own}\n    IPv4_Destination_Address {other}\n    Port \
                 {PORT}\n    Interface sync\n{buffers}  }}\n"
            ),
        };
        text.push_str("  Options {\n    TCPWindowTracking yes\n  }\n}\n");
        let file = |name: &str| directory.join(name).display().to_string();
        let _ = write!(
            text,
            "General {{\n  HashSize 32768\n  HashLimit 131072\n  LogFile {}\n  Syslog off\n  LockFile \
             {}\n  UNIX {{\n    Path {}\n  }}\n  NetlinkBufferSize 2097152\n  \
             NetlinkBufferSizeMaxGrowth 8388608\n  Filter From Userspace {{\n    Address Ignore {{\n      \
             IPv4_address 127.0.0.1\n      IPv6_address ::1\n",
            file("conntrackd.log"),
            file("conntrackd.lock"),
            file("conntrackd.ctl")
        );
        for address in [gateway, gateway.other()]
            .into_iter()
            .flat_map(|one| Segment::ALL.map(|segment| one.address(segment)))
        {
            let _ = writeln!(text, "      IPv4_address {address}");
        }
        text + "    }\n  }\n}\n"
    }
}

/// Writes the configuration, and the script that keepalived calls when its role changes; gives both.
pub fn write_files(
    program: &Packaged,
    config: &ConntrackdConfig,
    gateway: Gateway,
    directory: &Path,
) -> Result<(PathBuf, PathBuf)> {
    let failed = || LabError::io("write the files of conntrackd");
    let file = directory.join("conntrackd.conf");
    fs::write(&file, config.to_text(gateway, directory)).map_err(failed())?;
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
        let config =
            ConntrackdConfig { mode: Mode::Ftfw, transport: Transport::Udp, external_cache: true };
        let text = config.to_text(GW2, Path::new("/x"));
        assert!(text.contains("IPv4_address 10.93.0.2\n    IPv4_Destination_Address 10.93.0.1\n"));
        let config = ConntrackdConfig { transport: Transport::Multicast, ..config };
        let text = config.to_text(GW2, Path::new("/x"));
        assert!(text.contains("Group 3780\n    IPv4_interface 10.93.0.2\n"), "{text}");
    }
}
