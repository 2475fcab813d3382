//! Our daemon with what `evergate import` makes of a file of keepalived.

use std::fs;
use std::path::PathBuf;

use crate::binaries::Binaries;
use crate::error::{LabError, Result};
use crate::lab::Lab;
use crate::peer::PeerConfig;
use crate::shell;
use crate::topology::Gateway;

/// What the import writes for the other box, to be filled in by the reader.
const OTHER: &str = "# [node.other]\n# foreign = true\n";
/// The exit code of an import that changed or left out something.
const CHANGED: i32 = 1;

impl Lab {
    /// Writes the file of keepalived for a gateway, imports it as a user would, and names the other gateway;
    /// gives the path of ours.
    pub(crate) fn write_imported(&self, gateway: Gateway, config: &PeerConfig) -> Result<PathBuf> {
        let directory = self.node_directory(gateway);
        fs::create_dir_all(&directory).map_err(LabError::io("make a node's directory"))?;
        let theirs = config.write(gateway, &directory)?;
        let keys = directory.join("keys");
        // The import never writes over a key.
        let _ = fs::remove_dir_all(&keys);
        fs::create_dir(&keys).map_err(LabError::io("make a directory for keys"))?;
        let evergate = Binaries::find(self.options.bin_dir.as_deref())?.evergate;
        let (theirs, keys) = (theirs.to_string_lossy(), keys.to_string_lossy());
        let arguments = ["import", "keepalived", "--key-dir", &keys, &theirs];
        let output = shell::run_unchecked(&evergate.to_string_lossy(), &arguments, "")?;
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !matches!(output.status.code(), Some(0 | CHANGED)) || !text.contains(OTHER) {
            let question = "evergate import keepalived".to_owned();
            return Err(LabError::Answer { question, text: format!("{text}\n{report}") });
        }
        let other = format!("[node.{}]\nforeign = true\n", gateway.other());
        let path = directory.join("evergate.toml");
        fs::write(&path, text.replace(OTHER, &other)).map_err(LabError::io("write a file"))?;
        Ok(path)
    }
}
