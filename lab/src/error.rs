//! What can go wrong in the lab, whose fault it is and what to do.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The result of everything in the lab that can fail.
pub type Result<T> = std::result::Result<T, LabError>;

/// Why the lab could not do what was asked.
#[derive(Debug)]
pub enum LabError {
    /// A program of the system is not installed.
    Tool {
        /// The program.
        program: String,
        /// The Debian package that holds it.
        package: String,
    },
    /// A program of the system refused.
    Command {
        /// The command line.
        line: String,
        /// What it said.
        text: String,
    },
    /// A program of ours is not built.
    Binary {
        /// The program.
        name: String,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// A file or socket operation failed.
    Io {
        /// What was being done.
        doing: String,
        /// The cause.
        source: std::io::Error,
    },
    /// This process may not make network namespaces.
    Privilege(String),
    /// Something did not happen in time.
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// A daemon of a node ended or misbehaved.
    Node {
        /// The node.
        node: String,
        /// What happened, with the end of its log.
        text: String,
    },
    /// A program of ours answered something that cannot be understood.
    Answer {
        /// The question.
        question: String,
        /// What is wrong with the answer.
        text: String,
    },
    /// What a test claims is not so.
    Claim(String),
    /// The lab was used wrongly.
    Usage(String),
}

impl LabError {
    /// Wraps an input/output error with what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool { program, package } => {
                write!(f, "`{program}` is not installed; on Debian: apt-get install {package}")
            }
            Self::Command { line, text } => write!(f, "`{line}` failed: {}", text.trim()),
            Self::Binary { name, searched } => {
                write!(f, "`{name}` is not built. Build it with: cargo build --release")?;
                write!(f, "\n(or name its directory with --bin-dir). Looked in:")?;
                searched.iter().try_for_each(|path| write!(f, "\n  {}", path.display()))
            }
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::Privilege(text) => write!(f, "no right to make network namespaces: {text}"),
            Self::Timeout { what, after } => {
                write!(f, "waited {:.1} s in vain for {what}", after.as_secs_f64())
            }
            Self::Node { node, text } => write!(f, "{node}: {text}"),
            Self::Answer { question, text } => write!(f, "the answer to `{question}`: {text}"),
            Self::Claim(text) => write!(f, "not as claimed: {text}"),
            Self::Usage(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for LabError {}
