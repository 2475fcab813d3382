//! Checks and what groups make of them: `[check.NAME]` and `track`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::model::Network;

/// The most checks.
pub const CHECKS_MAX: usize = 1024;
/// How often a check is made unless told otherwise.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// How often a check may be made at most.
pub const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// How seldom a check may be made, and how long it may take.
pub const INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long a check may take unless told otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);
/// The most results in a row that `rise` and `fall` may ask for.
pub const COUNT_MAX: u16 = 1000;
/// The most words of a program with its arguments.
pub const WORDS_MAX: usize = 1024;
/// The largest weight, added or taken.
pub const WEIGHT_MAX: i16 = 253;
/// The user that runs a program unless told otherwise: it may do nothing that others may not.
pub const USER_DEFAULT: &str = "nobody";

/// `[check.NAME]`: something that is looked at, once, for all groups that track it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is looked at.
    pub test: Test,
    /// How often, [`INTERVAL_MIN`] to [`INTERVAL_MAX`]; tests that the kernel tells of are known at once.
    pub interval: Duration,
    /// How long one look may take, 1 ms to [`INTERVAL_MAX`].
    pub timeout: Duration,
    /// How many passes in a row make a failed check pass, 1 to [`COUNT_MAX`].
    pub rise: u16,
    /// How many failures in a row make a check fail that passes, 1 to [`COUNT_MAX`].
    pub fall: u16,
    /// It counts as failed until it has passed; otherwise its first result decides.
    pub fails_first: bool,
    /// A pass counts as a failure and the other way round.
    pub invert: bool,
    /// Who runs the program of an `exec`.
    pub user: RunAs,
}

/// Who runs a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// The user, by name or number.
    pub user: String,
    /// The group, by name or number; otherwise the user's own.
    pub group: Option<String>,
}

/// What a check looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// An interface has carrier.
    Carrier(String),
    /// An interface is up and runs: what waits for a link partner or a log-in there is over too.
    Interface(String),
    /// Another group of this node.
    Group {
        /// Its name.
        name: String,
        /// What is asked of it.
        is: GroupIs,
    },
    /// The main routing table has this very route, and its next hop is not down.
    Route(Network),
    /// A process of this name runs.
    Process(String),
    /// A file exists.
    File(PathBuf),
    /// The number in a file, times the weight, is what it adds to a priority.
    Value(PathBuf),
    /// A program with its arguments ends with exit status 0.
    Exec(Vec<String>),
    /// A neighbour answers ARP, or neighbour solicitation.
    Arp(Host),
    /// A host answers ICMP echo requests.
    Ping(Host),
    /// A host accepts a TCP connection.
    Tcp(SocketAddr),
}

/// What is asked of another group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupIs {
    /// This node holds it.
    Active,
    /// This node could hold it: it has no fault there and is not locked out.
    Fit,
}

/// An address, with the interface to it where the file names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The address.
    pub address: IpAddr,
    /// The interface; otherwise the one that the routing table names.
    pub interface: Option<String>,
}

impl Test {
    /// Is it known from what the kernel or a group says, without looking?
    pub fn is_told(&self) -> bool {
        matches!(self, Self::Carrier(_) | Self::Interface(_) | Self::Group { .. })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            None => write!(f, "{}", self.address),
            Some(interface) => write!(f, "{}%{interface}", self.address),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Carrier(name) => write!(f, "carrier:{name}"),
            Self::Interface(name) => write!(f, "interface:{name}"),
            Self::Group { name, is: GroupIs::Active } => write!(f, "group:{name}"),
            Self::Group { name, is: GroupIs::Fit } => write!(f, "group:{name} fit"),
            Self::Route(network) => write!(f, "route:{network}"),
            Self::Process(name) => write!(f, "process:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Value(path) => write!(f, "value:{}", path.display()),
            Self::Exec(words) => write!(f, "exec:{}", words.join(" ")),
            Self::Arp(host) => write!(f, "arp:{host}"),
            Self::Ping(host) => write!(f, "ping:{host}"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// What a group makes of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// A failure is a reason for fault.
    Fault,
    /// Added to the priority while it passes, if above 0; taken from it while it fails, if below.
    Weight(i16),
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault => f.write_str("fault"),
            Self::Weight(weight) => write!(f, "{weight:+}"),
        }
    }
}
