//! Log lines that never make anyone wait: a reader that has stopped costs lines, not the journal.

use std::io::Write;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::draft::Level;
use crate::say::bounded;

/// Writes events to standard error, one line each.
#[derive(Debug)]
pub struct Log<W> {
    to: W,
    prefix: bool,
    lost: u64,
}

impl<W: Write + AsFd> Log<W> {
    /// A log; with `prefix`, lines begin with the level as systemd's journal reads it.
    pub fn new(to: W, prefix: bool) -> Self {
        Log { to, prefix, lost: 0 }
    }

    /// Writes one line if there is room for it at once; what was lost before is said first.
    pub fn line(&mut self, level: Level, text: &str) {
        if !self.has_room() {
            self.lost += 1;
            return;
        }
        if self.lost > 0 {
            let text = format!("{} log lines were lost: nobody read them", self.lost);
            self.lost = 0;
            self.write(Level::Warning, &text);
            if !self.has_room() {
                self.lost += 1;
                return;
            }
        }
        self.write(level, text);
    }

    fn write(&mut self, level: Level, text: &str) {
        let line = line(level, text, self.prefix);
        if self.to.write_all(line.as_bytes()).is_err() {
            self.lost += 1;
        }
    }

    fn has_room(&self) -> bool {
        let mut polled = [PollFd::new(self.to.as_fd(), PollFlags::POLLOUT)];
        let ready = poll(&mut polled, PollTimeout::ZERO);
        matches!(ready, Ok(ready) if ready > 0)
    }
}

fn line(level: Level, text: &str, prefix: bool) -> String {
    let line = if prefix {
        format!("<{}>{text}", level.number())
    } else {
        format!("evergated: {}: {text}", level.word())
    };
    bounded(line.replace(|c: char| c.is_control(), " "))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::say::LINE_BYTES_MAX;

    #[test]
    fn lines_are_plain_or_prefixed_and_one_line_each() {
        assert_eq!(line(Level::Notice, "a\nb", false), "evergated: notice: a b\n");
        assert_eq!(line(Level::Warning, "gw2 is dead", true), "<4>gw2 is dead\n");
        let long = line(Level::Info, &"ü".repeat(LINE_BYTES_MAX), false);
        assert!(long.len() <= LINE_BYTES_MAX && long.ends_with("ü\n"));
    }

    #[test]
    fn a_reader_that_has_stopped_costs_lines_and_is_told_how_many() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut log = Log::new(ours, false);
        let text = "x".repeat(LINE_BYTES_MAX);
        for _ in 0..10_000 {
            log.line(Level::Info, &text);
        }
        assert!(log.lost > 0);
        theirs.set_nonblocking(true).unwrap();
        let _ = theirs.read_to_end(&mut Vec::new());
        log.line(Level::Info, "again");
        let mut said = Vec::new();
        let _ = theirs.read_to_end(&mut said);
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("log lines were lost") && said.ends_with("again\n"), "{said}");
    }
}
