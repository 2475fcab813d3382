//! The corpus of each target: a file with one input a line, in hexadecimal digits.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::targets::Target;

/// About how many bytes of accepted inputs a corpus has at most, and of refused ones, so that a repository can hold it: of
/// more, every second, third … input is kept.
const BYTES_MAX: usize = 32 * 1024;

/// The file of a target.
pub fn path(target: &Target) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    directory.join(format!("{}.hex", target.name))
}

/// The inputs of a target, those that are committed.
///
/// # Errors
///
/// The file is not there, is empty, or has a line that is not hexadecimal.
pub fn load(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let path = path(target);
    let broken = |why: &str| io::Error::other(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| broken(&error.to_string()))?;
    let lines = text.lines().map(|line| from_hex(line).ok_or_else(|| broken("not hexadecimal")));
    let inputs: Vec<Vec<u8>> = lines.collect::<io::Result<_>>()?;
    if inputs.is_empty() { Err(broken("it has no input")) } else { Ok(inputs) }
}

/// Writes the inputs of a target to a directory, a file for each, as libFuzzer wants them.
///
/// # Errors
///
/// As [`load`], or the directory cannot be written to.
pub fn unpack(target: &Target, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (at, input) in load(target)?.iter().enumerate() {
        std::fs::write(directory.join(format!("{at:05}")), input)?;
    }
    Ok(())
}

/// Writes the corpus of a target from the files of a directory, the short ones first.
///
/// # Errors
///
/// A file cannot be read, or the corpus cannot be written.
pub fn pack(target: &Target, directory: &Path) -> io::Result<()> {
    let mut inputs = BTreeSet::new();
    for entry in std::fs::read_dir(directory)? {
        let input = std::fs::read(entry?.path())?;
        inputs.insert((input.len(), input));
    }
    let (accepted, refused): (BTreeSet<_>, BTreeSet<_>) =
        inputs.into_iter().partition(|(_, input)| (target.run)(input));
    let lines: String = thinned(&accepted).chain(thinned(&refused)).collect();
    std::fs::write(path(target), lines)
}

/// The lines of some inputs, or of an even selection of them.
fn thinned(inputs: &BTreeSet<(usize, Vec<u8>)>) -> impl Iterator<Item = String> {
    let bytes: usize = inputs.iter().map(|(length, _)| length).sum();
    let kept = inputs.iter().step_by(bytes.div_ceil(BYTES_MAX).max(1));
    kept.map(|(_, input)| to_hex(input) + "\n")
}

/// Bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(line: &str) -> Option<Vec<u8>> {
    let digit = |character: u8| char::from(character).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    line.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_bytes_again_and_nothing_else_is() {
        assert_eq!(from_hex(&to_hex(&[0, 0x7f, 0xff])), Some(vec![0, 0x7f, 0xff]));
        assert_eq!(from_hex(""), Some(Vec::new()));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("0g"), None);
    }
}
