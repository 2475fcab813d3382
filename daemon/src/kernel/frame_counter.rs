//! How many frames an interface has received: the cheapest proof that a segment is not silent.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Interface;
use super::error::SocketError;

/// The kernel's list of counters, of the network namespace of the thread that opens it. Reading it
/// takes no lock that a change of addresses could hold.
const LIST: &str = "/proc/thread-self/net/dev";
/// The list is read in pieces of this size.
const PIECE_BYTES: usize = 1 << 16;
/// The list is not read beyond this size (some 8,000 interfaces).
const LIST_BYTES_MAX: u64 = 1 << 20;

/// Reads the counters of received frames.
#[derive(Debug)]
pub struct FrameCounter {
    list: File,
    text: Vec<u8>,
}

impl FrameCounter {
    /// Opens the list for the calling thread's network namespace; it stays open, so that no file
    /// needs to be opened later.
    pub fn open() -> io::Result<Self> {
        Ok(Self { list: File::open(LIST)?, text: Vec::new() })
    }

    /// The number of frames that the interface has received since it was made.
    pub fn received(&mut self, interface: &Interface) -> Result<u64, SocketError> {
        let failed =
            |error: io::Error| SocketError::new("read the frame counter", interface, &error);
        self.read().map_err(failed)?;
        let gone = || failed(io::Error::from_raw_os_error(libc::ENODEV));
        find(&self.text, &interface.name).ok_or_else(gone)
    }

    fn read(&mut self) -> io::Result<()> {
        self.text.clear();
        let mut offset = 0;
        while offset < LIST_BYTES_MAX {
            let start = self.text.len();
            self.text.resize(start + PIECE_BYTES, 0);
            let length = self.list.read_at(&mut self.text[start..], offset)?;
            self.text.truncate(start + length);
            if length == 0 {
                break;
            }
            offset += u64::try_from(length).unwrap_or(LIST_BYTES_MAX);
        }
        Ok(())
    }
}

/// A line is the name, a colon, and sixteen numbers: bytes received, frames received, and so on.
fn find(text: &[u8], name: &str) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.lines().find_map(|line| {
        // A name may hold a colon itself; the numbers do not.
        let (found, numbers) = line.rsplit_once(':')?;
        if found.trim_start() == name {
            numbers.split_whitespace().nth(1)?.parse().ok()
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_of_the_right_line_is_taken() {
        let text =
            b"Inter-|   Receive\n face |bytes packets\n    lo: 10 1 0\n  eth0: 5000 42 0 0\n";
        assert_eq!(find(text, "eth0"), Some(42));
        assert_eq!(find(text, "eth"), None);
        assert_eq!(find(b"", "eth0"), None);
    }
}
