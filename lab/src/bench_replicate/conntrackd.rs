//! conntrackd, which replicates connections with a protocol of its own: both nodes run it, nothing else.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::error::{LabError, Result};
use crate::lab::Lab;
use crate::package::Packaged;
use crate::topology::{Gateway, Segment};

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
        let directory = lab.directory().join(format!("conntrackd-{gateway}"));
        fs::create_dir_all(&directory).map_err(LabError::io("make a directory"))?;
        let file = directory.join("conntrackd.conf");
        fs::write(&file, configuration(gateway, &directory))
            .map_err(LabError::io("write a configuration of conntrackd"))?;
        let log = fs::File::create(directory.join("log")).map_err(LabError::io("make a log"))?;
        let mut command = self.program.command();
        command.arg("-C").arg(&file).stdin(Stdio::null());
        let out = log.try_clone().map_err(LabError::io("share a log"))?;
        command.stdout(out).stderr(log);
        lab.topology.gateway(gateway).spawn(&mut command)
    }

    /// What it says of its caches, for a look at whether it works.
    pub fn statistics(&self, lab: &Lab, gateway: Gateway) -> Result<String> {
        let file = lab.directory().join(format!("conntrackd-{gateway}/conntrackd.conf"));
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

/// As its manual recommends, with buffers that do not overflow.
fn configuration(gateway: Gateway, directory: &Path) -> String {
    let directory = directory.display();
    let (own, other) = (gateway.address(Segment::Sync), gateway.other().address(Segment::Sync));
    format!(
        "Sync {{\n  Mode FTFW {{\n    DisableExternalCache on\n  }}\n  UDP {{\n    IPv4_address {own}\n    \
         IPv4_Destination_Address {other}\n    Port 3780\n    Interface sync\n    SndSocketBuffer 24985600\n    \
         RcvSocketBuffer 24985600\n    Checksum on\n  }}\n}}\nGeneral {{\n  HashSize 65536\n  HashLimit 2000000\n  \
         LogFile {directory}/conntrackd.log\n  Syslog off\n  LockFile {directory}/lock\n  UNIX {{\n    \
         Path {directory}/ctl\n  }}\n  NetlinkBufferSize 67108864\n  NetlinkBufferSizeMaxGrowth 134217728\n  \
         Filter From Kernelspace {{\n    Address Ignore {{\n      IPv4_address 127.0.0.1\n      \
         IPv4_address {own}\n      IPv4_address {other}\n    }}\n  }}\n}}\n"
    )
}
