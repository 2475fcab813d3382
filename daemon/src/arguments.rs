//! The command line of evergated: four options, the same for all three processes.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::cold::Places;

/// What the command line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arguments {
    /// The configuration, a file or a directory.
    pub config: PathBuf,
    /// The name of this node; the host name up to its first dot if none is given.
    pub node: String,
    /// The control socket.
    pub socket: PathBuf,
    /// Where locks are kept; beside the socket if not given.
    pub state: PathBuf,
}

/// What the user wanted instead of a daemon, or did not get right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Instead {
    /// The help text.
    Help,
    /// The version.
    Version,
    /// A mistake, in words.
    Mistake(String),
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Instead::Help => f.write_str(HELP),
            Instead::Version => write!(f, "evergated {}", env!("CARGO_PKG_VERSION")),
            Instead::Mistake(text) => write!(f, "{text}\nTry `evergated --help`."),
        }
    }
}

const HELP: &str = "\
evergated: keeps addresses alive when the machine that had them dies

Usage: evergated --config PATH [--node NAME] [--socket PATH] [--state PATH]

  --config PATH   the configuration, the same on every node; a file, or a directory of *.toml
  --node NAME     which [node.NAME] this machine is; its host name by default
  --socket PATH   the control socket; /run/evergate/evergate.sock by default
  --state PATH    where `evergate lock` is remembered; PATH of the socket + `.state` by default
  --version, --help

It runs in the foreground and logs to standard error. SIGHUP reloads, SIGTERM hands over and ends.
Exit codes: 0 ended in order, 1 could not start or go on, 2 errors in the configuration, 64 wrong usage.";

impl Arguments {
    /// Reads the command line, the program's name excluded.
    pub fn read(words: &[OsString]) -> Result<Arguments, Instead> {
        let (mut config, mut node, mut socket, mut state) = (None, None, None, None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            let (name, joined) = match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(OsString::from(value))),
                None => (text.to_string(), None),
            };
            let place = match name.as_str() {
                "--config" => &mut config,
                "--node" => &mut node,
                "--socket" => &mut socket,
                "--state" => &mut state,
                "--help" | "-h" => return Err(Instead::Help),
                "--version" | "-V" => return Err(Instead::Version),
                other => {
                    return Err(Instead::Mistake(format!("evergated knows no option {other}")));
                }
            };
            let value = joined.or_else(|| words.next().cloned());
            let Some(value) = value else {
                return Err(Instead::Mistake(format!("{name} needs a value")));
            };
            if place.replace(value).is_some() {
                return Err(Instead::Mistake(format!("{name} is given twice")));
            }
        }
        let missing = || Instead::Mistake("evergated needs --config PATH".into());
        let config = PathBuf::from(config.ok_or_else(missing)?);
        let socket = socket.unwrap_or_else(|| evergate_api::control::DEFAULT_SOCKET.into());
        let state = state.unwrap_or_else(|| {
            let mut beside = socket.clone();
            beside.push(".state");
            beside
        });
        let node = node.map_or_else(host_name, |name| name.to_string_lossy().into_owned());
        Ok(Arguments { config, node, socket: socket.into(), state: state.into() })
    }

    /// What the thread that reads files needs to know.
    pub fn places(&self) -> Places {
        let (config, node) = (self.config.clone(), self.node.clone());
        Places { config, node, state: self.state.clone() }
    }
}

/// The host name up to its first dot.
fn host_name() -> String {
    let name = std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    name.trim().split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, Instead> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        Arguments::read(&words)
    }

    #[test]
    fn the_socket_has_a_default_and_the_locks_lie_beside_it() {
        let read = read("--config a.toml --node gw1").unwrap();
        assert_eq!(read.socket, Path::new("/run/evergate/evergate.sock"));
        assert_eq!(read.state, Path::new("/run/evergate/evergate.sock.state"));
        assert_eq!(read.node, "gw1");
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("", "--config"),
            ("--config", "needs a value"),
            ("--confg a", "--confg"),
            ("--config a --config b", "twice"),
        ] {
            let Err(Instead::Mistake(text)) = read(line) else { panic!("{line} was accepted") };
            assert!(text.contains(word), "{text}");
        }
        assert_eq!(read("--config a --help"), Err(Instead::Help));
        assert!(read("--config=a --node=b").is_ok());
    }
}
