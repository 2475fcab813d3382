//! Key files with the passwords of an imported configuration.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use evergate_api::control::ErrorCode;
use evergate_import::KeyFile;

use crate::failure::{Failure, exit};

/// Writes them, for their owner alone. None is written if one of them is there.
pub fn write(directory: &Path, keys: &[KeyFile]) -> Result<(), Failure> {
    let failed = |text: String| Failure::new(exit::ERRORS, ErrorCode::File, text);
    for key in keys {
        let path = directory.join(&key.name);
        if path.symlink_metadata().is_ok() {
            return Err(taken(&path));
        }
    }
    for key in keys {
        let path = directory.join(&key.name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => taken(&path),
            _ => failed(format!("{} cannot be written: {error}", path.display())),
        })?;
        file.write_all(&key.content)
            .map_err(|error| failed(format!("{} cannot be written: {error}", path.display())))?;
    }
    Ok(())
}

fn taken(path: &Path) -> Failure {
    let text = format!("{} is there already, and a key file is not written over", path.display());
    Failure::new(exit::ERRORS, ErrorCode::File, text)
        .next("name another directory with --key-dir, or remove it")
}
