//! FRR's vrrpd as a peer: a router for each segment, with the virtual MAC address on an interface that somebody
//! else has to make, and that FRR holds down while it is standby.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::clock;
use crate::error::{LabError, Result};
use crate::netns::Namespace;
use crate::node::Running;
use crate::package::Packaged;
use crate::topology::Gateway;

/// What the names of its interfaces begin with; FRR knows them by their MAC address.
pub const INTERFACE_PREFIX: &str = "vrrp";
/// Where zebra listens for the other programs, in the directory of its gateway.
const ZEBRA_SOCKET: &str = "zserv.api";
/// How long zebra may take to listen.
const START_LIMIT: Duration = Duration::from_secs(5);
/// Time between two looks for its socket.
const LOOK: Duration = Duration::from_millis(20);
/// The group that FRR's programs want whoever runs them to be in.
const GROUP_LINE: &str = "frrvty:x:64999:root\n";

/// A configuration of one router, on `lan`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrrConfig {
    /// VRRP version for IPv4, 2 or 3.
    pub version: u8,
    /// Serve IPv6 addresses too.
    pub ipv6: bool,
}

impl FrrConfig {
    /// The file for a gateway: priority 200 on the first, 100 on the others.
    pub fn to_text(&self, gateway: Gateway) -> String {
        let priority = if gateway.number() == 1 { 200 } else { 100 };
        let mut text = format!("interface lan\n vrrp 51 version {}\n", self.version);
        let _ = writeln!(text, " vrrp 51 priority {priority}");
        text.push_str(" vrrp 51 advertisement-interval 1000\n vrrp 51 ip 10.91.0.1\n");
        if self.ipv6 {
            text.push_str(" vrrp 51 ipv6 fe80::91:1\n vrrp 51 ipv6 fd91::1\n");
        }
        text
    }

    /// Makes the interfaces that carry the virtual addresses, as its manual asks an administrator to.
    fn set_up(&self, namespace: &Namespace) -> Result<()> {
        let mut lines = String::new();
        let mut interface = |name: &str, mac: &str, addresses: &[&str]| {
            let _ =
                writeln!(lines, "link add {name} link lan address {mac} type macvlan mode bridge");
            for address in addresses {
                let nodad = if address.contains(':') { " nodad" } else { "" };
                let _ = writeln!(lines, "address add {address} dev {name}{nodad}");
            }
            let _ = writeln!(lines, "link set {name} up");
            // Held down until FRR says otherwise: nobody is active yet.
            let _ = writeln!(lines, "link set {name} protodown on");
        };
        interface("vrrp4-51", "00:00:5e:00:01:33", &["10.91.0.1/24"]);
        if self.ipv6 {
            interface("vrrp6-51", "00:00:5e:00:02:33", &["fe80::91:1/64", "fd91::1/64"]);
        }
        namespace.ip_batch(&lines)
    }
}

/// The programs of FRR.
#[derive(Clone, Debug)]
pub struct Frr {
    zebra: Packaged,
    vrrpd: Packaged,
}

impl Frr {
    /// Finds or fetches them.
    pub fn find() -> Result<Self> {
        let program = |name: &str| Packaged::find_program("frr", &format!("usr/lib/frr/{name}"));
        Ok(Self { zebra: program("zebra")?, vrrpd: program("vrrpd")? })
    }

    /// Starts both in the foreground: who tells of interfaces, and who speaks VRRP.
    pub fn start(
        &self,
        namespace: &Namespace,
        gateway: Gateway,
        config: &FrrConfig,
        directory: &Path,
    ) -> Result<(Running, Running)> {
        tear_down(namespace);
        config.set_up(namespace)?;
        // One that was killed leaves it.
        let _ = fs::remove_file(directory.join(ZEBRA_SOCKET));
        let failed = || LabError::io("write the files of FRR");
        let groups = fs::read_to_string("/etc/group").map_err(failed())? + GROUP_LINE;
        fs::write(directory.join("group"), groups).map_err(failed())?;
        fs::write(directory.join("zebra.conf"), "").map_err(failed())?;
        fs::write(directory.join("vrrpd.conf"), config.to_text(gateway)).map_err(failed())?;
        let start = |program: &Packaged, name: &str| {
            Running::start(namespace, command(program, name, directory), directory)
        };
        let zebra = start(&self.zebra, "zebra")?;
        // vrrpd tries again only after a long time where zebra is not there yet.
        let socket = directory.join(ZEBRA_SOCKET);
        clock::wait_for("the socket of zebra", START_LIMIT, LOOK, || {
            Ok(socket.exists().then_some(()))
        })?;
        Ok((zebra, start(&self.vrrpd, "vrrpd")?))
    }
}

/// Takes away the interfaces of a former start, if they are there.
pub fn tear_down(namespace: &Namespace) {
    for name in ["vrrp4-51", "vrrp6-51"] {
        // One that was not made need not go.
        let _ = namespace.ip_batch(&format!("link delete {name}\n"));
    }
}

/// A command that starts a program with everything in the directory, and with a group that FRR wants,
/// in a mount namespace of its own.
fn command(program: &Packaged, name: &str, directory: &Path) -> Command {
    let shown = directory.display();
    let script = format!(
        "mount --bind '{shown}/group' /etc/group && exec env {} -u root -g root -f '{shown}/{name}.conf' \
         -i '{shown}/{name}.pid' -z '{shown}/{ZEBRA_SOCKET}' --vty_socket '{shown}' -P 0 --log stdout",
        program.shell_line()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::GW2;

    #[test]
    fn the_file_is_what_its_manual_shows() {
        let text = FrrConfig { version: 3, ipv6: true }.to_text(GW2);
        assert!(text.starts_with("interface lan\n vrrp 51 version 3\n vrrp 51 priority 100\n"));
        assert!(text.contains(" vrrp 51 ipv6 fe80::91:1\n"));
        assert!(!FrrConfig { version: 2, ipv6: false }.to_text(GW2).contains("ipv6"));
    }
}
