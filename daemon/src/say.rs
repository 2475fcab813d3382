//! One line to standard error that never makes anyone wait.
//!
//! A reader that has stopped (a hung journal, a paused terminal) fills the pipe; a plain write
//! would then block for ever. So a line is written only if there is room for it at once.

use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Bytes of one line at most: what a pipe with any room takes whole.
pub const LINE_BYTES_MAX: usize = 1024;

/// Writes `evergated: WHO: TEXT`, shortened if need be, or nothing if nobody reads.
pub fn say(who: &str, text: &str) {
    let stderr = io::stderr();
    let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if !matches!(poll(&mut polled, PollTimeout::ZERO), Ok(ready) if ready > 0) {
        return;
    }
    let _ = stderr.lock().write_all(line(who, text).as_bytes());
}

fn line(who: &str, text: &str) -> String {
    bounded(format!("evergated: {who}: {text}").replace('\n', " "))
}

/// Ends a line, and cuts it to [`LINE_BYTES_MAX`] bytes.
pub fn bounded(mut line: String) -> String {
    let end = line.floor_char_boundary(LINE_BYTES_MAX - 1);
    line.truncate(end);
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_bounded() {
        assert_eq!(line("guardian", "core\ndied"), "evergated: guardian: core died\n");
        let long = line("guardian", &"ü".repeat(LINE_BYTES_MAX));
        assert!(long.len() <= LINE_BYTES_MAX && long.ends_with("ü\n"));
    }
}
