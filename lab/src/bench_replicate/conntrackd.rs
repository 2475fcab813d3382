//! conntrackd, which replicates connections with a protocol of its own: both nodes run it, nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::conntrackd::{ConntrackdConfig, FILE, Mode, Room, Transport};
use crate::error::{LabError, Result};
use crate::lab::Lab;
use crate::package::Packaged;
use crate::topology::Gateway;

/// Between the first two, straight into the kernel of the other.
const CONFIG: ConntrackdConfig = ConntrackdConfig {
    mode: Mode::Ftfw,
    transport: Transport::Udp,
    external_cache: false,
    room: Room::Bench,
};

/// A conntrackd that can be started.
#[derive(Clone, Debug)]
pub(super) struct Conntrackd {
    program: Packaged,
}

impl Conntrackd {
    /// On this machine, or unpacked aside.
    pub fn find() -> Result<Self> {
        Ok(Self { program: Packaged::find("conntrackd")? })
    }

    /// Starts it on a gateway, in FTFW mode between the first two, without an external cache: what is told goes into
    /// the kernel of the other at once. It ends with the lab.
    pub fn start(&self, lab: &Lab, gateway: Gateway) -> Result<Child> {
        let directory = directory(lab, gateway);
        fs::create_dir_all(&directory).map_err(LabError::io("make a directory"))?;
        let file = CONFIG.write(gateway, &directory)?;
        let log = fs::File::create(directory.join("log")).map_err(LabError::io("make a log"))?;
        let mut command = self.program.command();
        command.arg("-C").arg(&file).stdin(Stdio::null());
        let out = log.try_clone().map_err(LabError::io("share a log"))?;
        command.stdout(out).stderr(log);
        lab.topology.gateway(gateway).spawn(&mut command)
    }

    /// What it says of its caches, for a look at whether it works.
    pub fn statistics(&self, lab: &Lab, gateway: Gateway) -> Result<String> {
        let file = directory(lab, gateway).join(FILE);
        let mut command = self.program.command();
        command.arg("-C").arg(&file).arg("-s").stdout(Stdio::piped());
        let output = lab
            .topology
            .gateway(gateway)
            .enter(|| command.output())?
            .map_err(LabError::io("ask conntrackd"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn directory(lab: &Lab, gateway: Gateway) -> PathBuf {
    lab.directory().join(format!("conntrackd-{gateway}"))
}
