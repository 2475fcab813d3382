//! The files that a configuration of keepalived includes, from this machine.

use std::fs::{File, read_dir};
use std::io::Read as _;

use evergate_import::keepalived::Files;
use evergate_import::keepalived::limits::{DIRECTORY_MAX, FILE_MAX};

/// This machine's files.
pub struct Disk;

impl Files for Disk {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let failed = |error: std::io::Error| error.to_string();
        // A pipe or a device would be waited for.
        let is_file = std::fs::metadata(path).map_err(failed)?.is_file();
        if !is_file {
            return Err("it is no regular file".to_owned());
        }
        let mut content = Vec::new();
        let most = FILE_MAX as u64 + 1;
        File::open(path).map_err(failed)?.take(most).read_to_end(&mut content).map_err(failed)?;
        Ok(content)
    }

    fn list(&mut self, directory: &str) -> Vec<String> {
        let Ok(entries) = read_dir(directory) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.take(DIRECTORY_MAX).collect()
    }
}
