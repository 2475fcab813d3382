//! Where the text of included files comes from. The importer itself opens nothing.

use super::limits::LOOKUPS_MAX;

/// Files by their path, as the file that is read names them.
pub trait Files {
    /// The content, or why it cannot be had. Not more than
    /// [`FILE_MAX`](super::limits::FILE_MAX) + 1 bytes are looked at.
    ///
    /// # Errors
    ///
    /// A few words for the report.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String>;

    /// The names in a directory; none if it is not there. Not more than
    /// [`DIRECTORY_MAX`](super::limits::DIRECTORY_MAX) are looked at.
    fn list(&mut self, directory: &str) -> Vec<String>;
}

/// Files that are looked for [`LOOKUPS_MAX`] times at most.
pub struct Bounded<'f> {
    files: &'f mut dyn Files,
    left: usize,
}

impl<'f> Bounded<'f> {
    /// All of it is left.
    pub fn new(files: &'f mut dyn Files) -> Self {
        Self { files, left: LOOKUPS_MAX }
    }

    fn take(&mut self) -> bool {
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

impl Files for Bounded<'_> {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        if self.take() {
            return self.files.read(path);
        }
        Err(format!("files were looked for {LOOKUPS_MAX} times, and are no more"))
    }

    fn list(&mut self, directory: &str) -> Vec<String> {
        if self.take() { self.files.list(directory) } else { Vec::new() }
    }
}

/// No files: each `include` is told as missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Err("it was not looked for".to_owned())
    }

    fn list(&mut self, _: &str) -> Vec<String> {
        Vec::new()
    }
}
