//! Where the text of a configuration comes from: one file, or the `*.toml` files of a directory.

use std::fmt;
use std::path::{Path, PathBuf};

/// The most files that a configuration directory may hold.
pub const FILES_MAX: usize = 256;
/// The most bytes that all files of a configuration may have together.
pub const BYTES_MAX: u64 = 1024 * 1024;

/// One file and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The name as people are told it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// The files of one configuration, in lexical order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The files.
    pub files: Vec<SourceFile>,
    /// The directory to which paths in the configuration are relative.
    pub directory: PathBuf,
}

/// Why a configuration could not be read. Every text says what to do.
#[derive(Debug)]
pub enum SourceError {
    /// The operating system refused.
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
    },
    /// The directory has no `*.toml` file.
    Empty(PathBuf),
    /// The directory has more than [`FILES_MAX`] files.
    TooManyFiles(PathBuf),
    /// The text is longer than [`BYTES_MAX`].
    TooLong(PathBuf),
    /// The file is no text in UTF-8.
    NotText(PathBuf),
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => {
                write!(f, "cannot read {}: {error}; check the path and its mode", path.display())
            }
            Self::Empty(path) => {
                write!(f, "{} has no *.toml file; put the configuration there", path.display())
            }
            Self::TooManyFiles(path) => {
                write!(f, "{} has more than {FILES_MAX} *.toml files; join some", path.display())
            }
            Self::TooLong(path) => write!(
                f,
                "{}: the configuration is longer than {BYTES_MAX} bytes; is this the right file?",
                path.display()
            ),
            Self::NotText(path) => {
                write!(f, "{} is not UTF-8 text; save it as UTF-8", path.display())
            }
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl Sources {
    /// A configuration from one text in memory; paths in it are relative to the directory of
    /// `name`.
    pub fn from_text(name: &str, text: &str) -> Self {
        let directory = Path::new(name).parent().unwrap_or(Path::new("")).to_path_buf();
        let file = SourceFile { name: name.to_owned(), text: text.to_owned() };
        Self { files: vec![file], directory }
    }

    /// Reads a file, or every `*.toml` file of a directory in lexical order.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let io = |error| SourceError::Io { path: path.to_path_buf(), error };
        let (paths, directory) = if std::fs::metadata(path).map_err(io)?.is_dir() {
            (toml_files(path)?, path.to_path_buf())
        } else {
            (vec![path.to_path_buf()], path.parent().unwrap_or(Path::new("")).to_path_buf())
        };
        let mut room = BYTES_MAX;
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let text = read_text(&path, room)?;
            room = room.saturating_sub(text.len() as u64);
            files.push(SourceFile { name: path.display().to_string(), text });
        }
        Ok(Self { files, directory })
    }
}

fn toml_files(directory: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let io = |error| SourceError::Io { path: directory.to_path_buf(), error };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            if paths.len() == FILES_MAX {
                return Err(SourceError::TooManyFiles(directory.to_path_buf()));
            }
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(SourceError::Empty(directory.to_path_buf()));
    }
    paths.sort();
    Ok(paths)
}

fn read_text(path: &Path, room: u64) -> Result<String, SourceError> {
    use std::io::Read as _;
    let io = |error| SourceError::Io { path: path.to_path_buf(), error };
    let mut bytes = Vec::new();
    // One byte more than there is room for tells "too long" from "just fits"; a device never ends.
    std::fs::File::open(path).map_err(io)?.take(room + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > room {
        return Err(SourceError::TooLong(path.to_path_buf()));
    }
    String::from_utf8(bytes).map_err(|_| SourceError::NotText(path.to_path_buf()))
}
