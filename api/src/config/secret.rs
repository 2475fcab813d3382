//! Secrets: they come from files that nobody else can read, and never reach a log, a dump or a
//! reply.

use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::{Zeroize as _, Zeroizing};

/// What a line of a key file begins with; the number is the version of its form.
pub const KEY_PREFIX: &str = "evergate-key-1:";
/// The length of a key, in bytes.
pub const KEY_BYTES: usize = 32;
/// The most keys of a file: the first seals, all open.
pub const KEYS_MAX: usize = 8;
/// The longest key file, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 4096;
/// The mode bits that let others read or write: group and other.
const MODE_OTHERS: u32 = 0o077;

/// A key of 32 bytes; wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; KEY_BYTES]);

impl Secret {
    /// Takes the bytes; the caller's copy is the caller's to wipe.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that derives keys from them.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The line of a key file, without newline: what `evergate key` prints. Wiped when dropped.
    pub fn to_line(&self) -> Zeroizing<String> {
        let mut line = Zeroizing::new(String::with_capacity(KEY_PREFIX.len() + BASE64_CHARS));
        line.push_str(KEY_PREFIX);
        encode(&self.0, &mut line);
        line
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a file with a secret cannot be read. No text repeats anything of the content.
#[derive(Debug)]
pub enum FileError {
    /// The operating system refused.
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
    },
    /// Others can read or write it.
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// It is no regular file, or too long for one.
    NoKeyFile(PathBuf),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => {
                write!(f, "cannot read the key file {}: {error}", path.display())
            }
            Self::Mode { path, mode } => {
                let path = path.display();
                write!(f, "the key file {path} has mode {mode:04o}: others can read or change it")?;
                write!(f, "; run: chmod 600 {path}")
            }
            Self::NoKeyFile(path) => {
                write!(f, "{} is no file with a key, or too long for one", path.display())
            }
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Mode { .. } | Self::NoKeyFile(_) => None,
        }
    }
}

/// Why a key file cannot be used. No text repeats anything of the content.
#[derive(Debug)]
pub enum KeyError {
    /// It cannot be read.
    File(FileError),
    /// It has no key line.
    Empty,
    /// It has more than [`KEYS_MAX`] lines.
    TooMany,
    /// A line is no key; lines count from 1.
    Line(usize),
    /// A line repeats an earlier one.
    Twice(usize),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error @ FileError::Io { .. }) => {
                write!(f, "{error}; make one with `evergate key` and copy it to every node")
            }
            Self::File(error @ FileError::Mode { .. }) => error.fmt(f),
            Self::File(error @ FileError::NoKeyFile(_)) => {
                write!(f, "{error}; make one with `evergate key`")
            }
            Self::Empty => f.write_str("the key file is empty; make one with `evergate key`"),
            Self::TooMany => write!(f, "the key file has more than {KEYS_MAX} keys; drop old ones"),
            Self::Line(line) => write!(
                f,
                "line {line} of the key file is no key; a key line is what `evergate key` prints"
            ),
            Self::Twice(line) => write!(f, "line {line} of the key file repeats an earlier key"),
        }
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => error.source(),
            _ => None,
        }
    }
}

/// Reads a key file that only its owner can read. The first key seals, all open.
pub fn load_keys(path: &Path) -> Result<Vec<Secret>, KeyError> {
    let (buffer, length) = read_private(path).map_err(KeyError::File)?;
    parse_keys(&buffer[..length])
}

/// The content of a file that only its owner can read, and its length.
pub(super) fn read_private(
    path: &Path,
) -> Result<(Zeroizing<[u8; FILE_BYTES_MAX]>, usize), FileError> {
    let io = |error| FileError::Io { path: path.to_path_buf(), error };
    // Looked at before it is opened, so that a pipe in its place blocks nobody; then the mode is
    // taken from the open file, so that it cannot be exchanged in between.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(FileError::NoKeyFile(path.to_path_buf()));
    }
    let mut file = std::fs::File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    if mode & MODE_OTHERS != 0 {
        return Err(FileError::Mode { path: path.to_path_buf(), mode });
    }
    // A fixed buffer: a growing one would leave copies of the key behind.
    let mut buffer = Zeroizing::new([0_u8; FILE_BYTES_MAX]);
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]).map_err(io)? {
            0 => break,
            count => length += count,
        }
    }
    if length == FILE_BYTES_MAX {
        return Err(FileError::NoKeyFile(path.to_path_buf()));
    }
    Ok((buffer, length))
}

/// Reads the content of a key file: one key a line; empty lines do not count.
pub fn parse_keys(content: &[u8]) -> Result<Vec<Secret>, KeyError> {
    let mut keys: Vec<Secret> = Vec::with_capacity(KEYS_MAX);
    for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if keys.len() == KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let encoded = line.strip_prefix(KEY_PREFIX.as_bytes());
        let key = encoded.and_then(decode).ok_or(KeyError::Line(index + 1))?;
        if keys.contains(&key) {
            return Err(KeyError::Twice(index + 1));
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(KeyError::Empty) } else { Ok(keys) }
}

/// The characters of a key in base64 with its padding (RFC 4648 section 4).
const BASE64_CHARS: usize = 44;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8; KEY_BYTES], out: &mut String) {
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let index = (group >> (18 - 6 * position)) as usize & 0x3f;
            let used = position <= chunk.len();
            out.push(if used { char::from(ALPHABET[index]) } else { '=' });
        }
    }
}

/// Exactly 32 bytes, with padding, and no stray bits at the end: one key has one text.
fn decode(text: &[u8]) -> Option<Secret> {
    let body = text.strip_suffix(b"=").filter(|_| text.len() == BASE64_CHARS)?;
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    let (mut group, mut bits, mut length) = (0_u32, 0_u32, 0_usize);
    for character in body {
        let index = ALPHABET.iter().position(|letter| letter == character)?;
        group = group << 6 | u32::try_from(index).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            *bytes.get_mut(length)? = u8::try_from(group >> bits).ok()?;
            group &= (1 << bits) - 1;
            length += 1;
        }
    }
    let whole = length == KEY_BYTES && group == 0;
    group.zeroize();
    whole.then(|| Secret(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "evergate-key-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn bytes() -> [u8; KEY_BYTES] {
        std::array::from_fn(|index| u8::try_from(index).expect("32 fits"))
    }

    #[test]
    fn a_key_line_is_the_same_there_and_back() {
        assert_eq!(&*Secret::new(bytes()).to_line(), LINE);
        let keys = parse_keys(format!("{LINE}\r\n\n").as_bytes()).expect("one key");
        assert_eq!(keys[0].expose(), &bytes());
    }

    #[test]
    fn every_byte_value_survives() {
        for value in 0..=255 {
            let key = Secret::new([value; KEY_BYTES]);
            let keys = parse_keys(key.to_line().as_bytes()).expect("its own line");
            assert_eq!(keys, [key]);
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let key = Secret::new(bytes());
        assert_eq!(format!("{key:?}"), "Secret(…)");
        let secret = "AAECAwQFBgc_";
        let error = parse_keys(format!("evergate-key-1:{secret}").as_bytes()).expect_err("short");
        assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret));
    }

    #[test]
    fn broken_key_files_are_refused() {
        assert!(matches!(parse_keys(b"\n \n"), Err(KeyError::Empty)));
        assert!(matches!(parse_keys(b"hello"), Err(KeyError::Line(1))));
        let twice = format!("{LINE}\n{LINE}\n");
        assert!(matches!(parse_keys(twice.as_bytes()), Err(KeyError::Twice(2))));
        let stray = LINE.replace("h8=", "h9=");
        assert!(matches!(parse_keys(stray.as_bytes()), Err(KeyError::Line(1))));
        let unpadded = LINE.trim_end_matches('=');
        assert!(matches!(parse_keys(unpadded.as_bytes()), Err(KeyError::Line(1))));
        let many: Vec<String> =
            (0..9).map(|n| Secret::new([n; KEY_BYTES]).to_line().to_string()).collect();
        assert!(matches!(parse_keys(many.join("\n").as_bytes()), Err(KeyError::TooMany)));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("evergate-api-key-{}", std::process::id()));
        std::fs::write(&path, LINE).expect("a file for the test");
        let mut verdicts = Vec::new();
        for mode in [0o600, 0o400, 0o640, 0o604, 0o620] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).expect("the test's own file");
            verdicts.push(load_keys(&path).map(|keys| keys.len()).map_err(|e| e.to_string()));
        }
        std::fs::remove_file(&path).expect("the test's own file");
        assert_eq!(verdicts[..2], [Ok(1), Ok(1)]);
        for verdict in &verdicts[2..] {
            let text = verdict.as_ref().expect_err("others may read or change it");
            assert!(text.contains("chmod 600"), "{text}");
        }
        let directory = load_keys(&std::env::temp_dir());
        assert!(matches!(directory, Err(KeyError::File(FileError::NoKeyFile(_)))));
    }
}
