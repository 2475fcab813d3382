//! A daemon that always answers the same, and a run of the command against it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What the daemon does with a client.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answers with these lines and closes.
    Answer(String),
    /// Closes without a word.
    Close,
    /// Never answers.
    Silence,
    /// One line without an end.
    Flood,
}

/// A listening daemon; its socket goes with it.
pub struct Daemon {
    directory: Scratch,
    requests: Receiver<String>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub text: String,
    /// Standard error.
    pub errors: String,
}

impl Daemon {
    /// Listens and behaves so for every client.
    pub fn start(behaviour: Behaviour) -> Self {
        let directory = Scratch::new();
        let listener = UnixListener::bind(directory.path("s")).expect("the directory is new");
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                silent.extend(serve(stream, &behaviour, &sender));
            }
        });
        Self { directory, requests }
    }

    /// Runs the command against it.
    pub fn ask(&self, words: &[&str]) -> Run {
        let socket = self.directory.path("s").display().to_string();
        evergate(&[&["--socket", &socket], words].concat())
    }

    /// The first request that came.
    pub fn asked(&self) -> String {
        self.requests.recv().expect("the command has asked")
    }
}

/// Returns the stream if it has to stay open.
fn serve(
    mut stream: UnixStream,
    behaviour: &Behaviour,
    requests: &Sender<String>,
) -> Option<UnixStream> {
    let mut request = String::new();
    let clone = stream.try_clone().expect("descriptors are plenty");
    BufReader::new(clone).read_line(&mut request).expect("a request is text");
    // The test may have ended already.
    let _ = requests.send(request.trim_end().to_owned());
    match behaviour {
        Behaviour::Answer(lines) => {
            // The client may close after the first line.
            let _ = stream.write_all(format!("{lines}\n").as_bytes());
            None
        }
        Behaviour::Close => None,
        Behaviour::Silence => Some(stream),
        Behaviour::Flood => {
            while stream.write_all(&[b'x'; 65_536]).is_ok() {}
            None
        }
    }
}

/// Runs the command.
pub fn evergate(words: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_evergate")).args(words).output();
    let output = output.expect("cargo has built the command");
    Run {
        code: output.status.code().unwrap_or(-1),
        text: String::from_utf8(output.stdout).expect("output is text"),
        errors: String::from_utf8(output.stderr).expect("errors are text"),
    }
}

/// A directory that goes when it is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new directory; short, for the path of a socket has 107 bytes at most.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("eg-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("the name is ours alone");
        Self(path)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in it and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the directory is ours");
        path.display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's cleaner.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
