//! The secrets of adverts: one a file, readable by its owner alone, without the newline at its end.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::secret::{FileError, read_private};

/// The longest password of version 2 in bytes (RFC 2338 section 5.3.10); shorter ones are filled up with
/// zeros.
pub const PASSWORD_BYTES_MAX: usize = 8;
/// The longest key of a trailer in bytes.
pub const TRAILER_KEY_BYTES_MAX: usize = 64;
/// What stands before a key that is written in hexadecimal digits.
const HEX_PREFIX: &[u8] = b"hex:";

/// Why a secret cannot be used. No text repeats anything of the content.
#[derive(Debug)]
pub enum AdvertKeyError {
    /// The file cannot be read.
    File(FileError),
    /// There is nothing in it.
    Empty,
    /// It is longer than this many bytes.
    TooLong(usize),
    /// Behind `hex:` there are not pairs of hexadecimal digits.
    Hex,
}

impl fmt::Display for AdvertKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Empty => f.write_str("the key file is empty; write the secret into it"),
            Self::TooLong(PASSWORD_BYTES_MAX) => write!(
                f,
                "the password in the key file is longer than {PASSWORD_BYTES_MAX} bytes; no more \
                 go into an advert: shorten it to what the other routers send"
            ),
            Self::TooLong(most) => write!(f, "the key in the key file is longer than {most} bytes"),
            Self::Hex => {
                f.write_str("behind `hex:` the key file has to have pairs of digits 0-9, a-f")
            }
        }
    }
}

impl std::error::Error for AdvertKeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Empty | Self::TooLong(_) | Self::Hex => None,
        }
    }
}

/// Reads a password of version 2, filled up with zeros.
pub fn load_password(path: &Path) -> Result<Zeroizing<[u8; PASSWORD_BYTES_MAX]>, AdvertKeyError> {
    let secret = load(path, PASSWORD_BYTES_MAX)?;
    let mut password = Zeroizing::new([0; PASSWORD_BYTES_MAX]);
    password[..secret.len()].copy_from_slice(&secret);
    Ok(password)
}

/// Reads a key of a trailer: the bytes as they stand, or behind `hex:` in digits.
pub fn load_trailer_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, AdvertKeyError> {
    load(path, TRAILER_KEY_BYTES_MAX)
}

fn load(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, AdvertKeyError> {
    let (buffer, length) = read_private(path).map_err(AdvertKeyError::File)?;
    parse(&buffer[..length], most)
}

fn parse(content: &[u8], most: usize) -> Result<Zeroizing<Vec<u8>>, AdvertKeyError> {
    let line = content.strip_suffix(b"\n").unwrap_or(content);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let secret = match line.strip_prefix(HEX_PREFIX) {
        Some(digits) => unhex(digits).ok_or(AdvertKeyError::Hex)?,
        None => Zeroizing::new(line.to_vec()),
    };
    match secret.len() {
        0 => Err(AdvertKeyError::Empty),
        length if length > most => Err(AdvertKeyError::TooLong(most)),
        _ => Ok(secret),
    }
}

fn unhex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, odd) = digits.as_chunks::<2>();
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    odd.is_empty().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(content: &str) -> Result<Vec<u8>, String> {
        parse(content.as_bytes(), 8).map(|secret| secret.to_vec()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_secret_is_its_bytes_without_the_newline_or_digits_behind_hex() {
        assert_eq!(parsed("secret12\n"), Ok(b"secret12".to_vec()));
        assert_eq!(parsed("se cret\r\n"), Ok(b"se cret".to_vec()));
        assert_eq!(parsed("hex:00ffA5\n"), Ok(vec![0, 0xff, 0xa5]));
        assert_eq!(parsed("\n\n"), Ok(b"\n".to_vec()), "one newline is taken off");
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_without_being_repeated() {
        for wrong in ["", "\n", "hex:", "hex:0", "hex:zz", "ninebytes"] {
            let text = parsed(wrong).unwrap_err();
            assert!(wrong.trim().len() < 5 || !text.contains(wrong), "{text}");
        }
    }

    #[test]
    fn a_password_is_filled_up_and_its_file_belongs_to_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let name = format!("evergate-api-password-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "abc\n").unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            load_password(&path).map(|password| *password)
        };
        let (own, others) = (mode(0o600), mode(0o644));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(own.unwrap(), *b"abc\0\0\0\0\0");
        assert!(matches!(others, Err(AdvertKeyError::File(FileError::Mode { .. }))));
    }
}
