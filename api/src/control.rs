//! Control requests and replies: one JSON value per line in each direction, over the Unix socket.
//!
//! A request is `{"verb":"switchover","group":"gateway","to":null,"timeout_ms":10000}`; a reply has
//! one key that says what it is:
//! `{"status":{…}}`, `{"switchover":{…}}`, `{"error":{"code":"…","text":"…"}}`. A request answers
//! with one line, except `events`, which sends one
//! `{"event":{…}}` a line and, unless it follows, `{"events_end":{…}}`. Unknown keys in a request
//! are refused: a guard that an old daemon ignores is none.
//! Unknown keys in a reply are ignored: replies only grow.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::open::open_enum;
use crate::router::RouterReport;
use crate::status::{GroupState, PhasesMs, Status};

mod flows;
mod verify;

pub use flows::{End, FlowFilter, FlowView, FlowsReply, end_text};
pub use verify::{VerifyPeer, VerifyReply};

/// The longest request line that a daemon reads, in bytes without the newline.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;
/// The longest reply line that a client reads, in bytes without the newline.
pub const MAX_REPLY_BYTES: usize = 16 * 1024 * 1024;
/// How long `switchover` waits unless told otherwise, in milliseconds.
pub const DEFAULT_SWITCHOVER_TIMEOUT_MS: u64 = 10_000;
/// The longest time that `switchover` may be told to wait, in milliseconds.
pub const MAX_SWITCHOVER_TIMEOUT_MS: u64 = 600_000;
/// How many connections `flows` shows unless told otherwise.
pub const DEFAULT_FLOWS_LIMIT: u32 = 1_000;
/// The most connections that `flows` may be told to show: they fit [`MAX_REPLY_BYTES`].
pub const MAX_FLOWS_LIMIT: u32 = 20_000;
/// The default path of the control socket.
pub const DEFAULT_SOCKET: &str = "/run/evergate/evergate.sock";

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The status document.
    Status {},
    /// One virtual router, as RFC 6527 wants it watched.
    Router {
        /// Its identity, such as `gateway/lan/ipv4`; without the family where that is clear.
        router: String,
    },
    /// The state of one group on this node.
    Role {
        /// The group's name.
        group: String,
    },
    /// Events from the journal in memory.
    Events {
        /// Only events with a greater sequence number; none for all that are kept.
        #[serde(default)]
        after: Option<u64>,
        /// Stay and send each new event as it happens.
        #[serde(default)]
        follow: bool,
    },
    /// Why a group is where it is: the chain of reasons with every figure used.
    Why {
        /// The group's name.
        group: String,
    },
    /// A planned handover.
    Switchover {
        /// The group's name.
        group: String,
        /// The node that shall become active; none for the best standby.
        #[serde(default)]
        to: Option<String>,
        /// How long to wait for the end, in milliseconds, up to [`MAX_SWITCHOVER_TIMEOUT_MS`].
        #[serde(default = "default_switchover_timeout")]
        timeout_ms: u64,
        /// How long the switchover holds against priority, in milliseconds; none for until told
        /// otherwise.
        #[serde(default)]
        hold_ms: Option<u64>,
    },
    /// Ends a held switchover and returns to the preferred node.
    Failback {
        /// The group's name.
        group: String,
    },
    /// Locks this node out of a group, or of all; survives a restart.
    Lock {
        /// The group's name; none for every group.
        #[serde(default)]
        group: Option<String>,
    },
    /// Ends a lock.
    Unlock {
        /// The group's name; none for every group.
        #[serde(default)]
        group: Option<String>,
    },
    /// Reads the configuration again and applies all of it or nothing.
    Reload {
        /// Only say what would change.
        #[serde(default)]
        plan: bool,
    },
    /// Fetches all connections of a peer again, or of every peer, whatever is thought to be known.
    Resync {
        /// The peer's name; none for every peer.
        #[serde(default)]
        node: Option<String>,
    },
    /// How the last comparison of the connections with each peer has ended.
    Verify {},
    /// The connections in this node's kernel, and what is known of each.
    Flows {
        /// Only those that it admits, see [`FlowFilter`]; none for all.
        #[serde(default)]
        filter: Option<String>,
        /// The most to show, up to [`MAX_FLOWS_LIMIT`].
        #[serde(default = "default_flows_limit")]
        limit: u32,
    },
}

fn default_switchover_timeout() -> u64 {
    DEFAULT_SWITCHOVER_TIMEOUT_MS
}

fn default_flows_limit() -> u32 {
    DEFAULT_FLOWS_LIMIT
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To `status`.
    Status(Box<Status>),
    /// To `router`.
    Router(Box<RouterReport>),
    /// To `role`.
    Role(RoleReply),
    /// To `events`, one for each event.
    Event(Event),
    /// To `events` without `follow`, after the last event.
    EventsEnd(EventsEnd),
    /// To `why`.
    Why(WhyReply),
    /// To `switchover`.
    Switchover(SwitchoverReply),
    /// To `failback`.
    Failback(ActionReply),
    /// To `lock`.
    Lock(ActionReply),
    /// To `unlock`.
    Unlock(ActionReply),
    /// To `reload`.
    Reload(ReloadReply),
    /// To `resync`; it names no groups.
    Resync(ActionReply),
    /// To `verify`.
    Verify(VerifyReply),
    /// To `flows`.
    Flows(FlowsReply),
    /// To any request that could not be answered; nothing was changed.
    Error(ErrorReply),
}

/// The role of this node in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleReply {
    /// The group's name.
    pub group: String,
    /// This node's name.
    pub node: String,
    /// The state on this node.
    pub state: GroupState,
    /// Is this node active?
    pub active: bool,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its sequence number, rising by 1 from 1 within the life of a daemon.
    pub seq: u64,
    /// When, RFC 3339 UTC with milliseconds.
    pub time: String,
    /// The node that tells it.
    pub node: String,
    /// The group concerned, if it is one.
    pub group: Option<String>,
    /// What happened, a stable code such as `state`, `handover`, `peer`, `path`, `alarm`, `config`,
    /// `process`.
    pub event: String,
    /// What was before, if it is a change.
    pub from: Option<String>,
    /// What is now, if it is a change.
    pub to: Option<String>,
    /// The cause, a stable code.
    pub reason: Option<String>,
    /// How long each phase took, if it is a handover.
    pub phases_ms: Option<PhasesMs>,
    /// One sentence for people.
    pub text: String,
}

/// The end of a list of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsEnd {
    /// The sequence number of the newest event; ask with `after` set to it for the next ones.
    pub seq: u64,
    /// How many events after the one asked for were no longer kept.
    pub lost: u64,
}

/// The chain of reasons behind the state of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyReply {
    /// The group's name.
    pub group: String,
    /// The state that is explained.
    pub state: GroupState,
    /// The chain, from the conclusion to the facts.
    pub lines: Vec<WhyLine>,
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyLine {
    /// One sentence for people, figures included.
    pub text: String,
    /// The figures used, by name with their unit, such as `silence_ms`.
    pub figures: std::collections::BTreeMap<String, f64>,
}

open_enum! {
    /// How a planned handover ended.
    SwitchoverResult {
        /// The target is active.
        Done = "done",
        /// Refused; nothing was changed.
        Refused = "refused",
        /// Begun and not completed; the text says who serves now.
        Failed = "failed",
    }
}

/// The end of a planned handover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwitchoverReply {
    /// The group's name.
    pub group: String,
    /// How it ended.
    pub result: SwitchoverResult,
    /// The node that was active.
    pub from: Option<String>,
    /// The node that was to become active.
    pub to: Option<String>,
    /// The time in which nobody served, in milliseconds, as measured by the nodes; null when not
    /// measured.
    pub gap_ms: Option<f64>,
    /// How long each phase took, if known.
    pub phases_ms: Option<PhasesMs>,
    /// One sentence for people: what was done, or why not.
    pub text: String,
}

impl SwitchoverReply {
    /// The exit code of `evergate switchover`: 0 done, 1 refused, 2 failed.
    pub fn exit_code(&self) -> u8 {
        match self.result {
            SwitchoverResult::Done => 0,
            SwitchoverResult::Refused => 1,
            SwitchoverResult::Failed | SwitchoverResult::Other(_) => 2,
        }
    }
}

/// The end of an action that takes effect at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionReply {
    /// The groups concerned.
    pub groups: Vec<String>,
    /// False when it was so already.
    pub changed: bool,
    /// One sentence for people.
    pub text: String,
}

open_enum! {
    /// How a reload ended.
    ReloadResult {
        /// All of it is in force.
        Applied = "applied",
        /// The file says what runs already.
        Unchanged = "unchanged",
        /// Only the plan was asked for; nothing was changed.
        Planned = "planned",
        /// The file has errors or could not be applied; nothing was changed.
        Refused = "refused",
    }
}

/// The end of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReply {
    /// How it ended.
    pub result: ReloadResult,
    /// What changes, and what stays untouched, one sentence a line.
    pub plan: Vec<String>,
    /// Warnings, each as people see it, with file, line and column.
    pub warnings: Vec<String>,
    /// Errors, likewise; not empty exactly when refused.
    pub errors: Vec<String>,
}

impl ReloadReply {
    /// The exit code of `evergate reload`: 0 good, 1 warnings, 2 errors and nothing changed.
    pub fn exit_code(&self) -> u8 {
        match self.result {
            ReloadResult::Refused | ReloadResult::Other(_) => 2,
            _ if !self.errors.is_empty() => 2,
            _ if !self.warnings.is_empty() => 1,
            _ => 0,
        }
    }
}

open_enum! {
    /// Why a request was not answered.
    ErrorCode {
        /// The line is no request: not JSON, an unknown verb or key, a missing or impossible value.
        BadRequest = "bad-request",
        /// The line is longer than [`MAX_REQUEST_BYTES`].
        TooLong = "too-long",
        /// No such group in the configuration.
        UnknownGroup = "unknown-group",
        /// No such router in the configuration.
        UnknownRouter = "unknown-router",
        /// No such node in the configuration.
        UnknownNode = "unknown-node",
        /// Not now: the text says what has to happen first.
        Refused = "refused",
        /// Not yet: a later version will.
        NotYet = "not-yet",
        /// Too many clients or requests; try again later.
        Busy = "busy",
        /// The caller may not do this.
        NotAllowed = "not-allowed",
        /// No answer in time (set by the client when nobody answers).
        NoAnswer = "no-answer",
        /// What answered is no evergated, or one of another age (set by the client).
        BadAnswer = "bad-answer",
        /// The words on the command line make no sense (set by the client).
        Usage = "usage",
        /// A file cannot be read or written (set by the client).
        File = "file",
        /// The configuration has errors (set by the client).
        BadConfig = "bad-config",
        /// Our own fault; please report it.
        Internal = "internal",
    }
}

/// Why a request was not answered; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// A stable code.
    pub code: ErrorCode,
    /// One sentence for people: whose fault, and what to do.
    pub text: String,
}

impl ErrorReply {
    /// An error with its code and sentence.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl std::fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.text, self.code)
    }
}

impl std::error::Error for ErrorReply {}

impl Request {
    /// Reads one line; whatever comes in, the answer is a request or an error that can be sent
    /// back.
    pub fn from_line(line: &[u8]) -> Result<Self, ErrorReply> {
        let request: Self = from_line(line, MAX_REQUEST_BYTES)?;
        let beyond = match &request {
            Self::Switchover { timeout_ms, .. } if *timeout_ms > MAX_SWITCHOVER_TIMEOUT_MS => {
                format!("timeout_ms is {timeout_ms}; the longest is {MAX_SWITCHOVER_TIMEOUT_MS}")
            }
            Self::Flows { limit, .. } if *limit > MAX_FLOWS_LIMIT => {
                format!("limit is {limit}; the most is {MAX_FLOWS_LIMIT}")
            }
            _ => return Ok(request),
        };
        Err(ErrorReply::new(ErrorCode::BadRequest, beyond))
    }

    /// The request as one line with its newline.
    pub fn to_line(&self) -> String {
        to_line(self)
    }
}

impl Reply {
    /// Reads one line of an answer.
    pub fn from_line(line: &[u8]) -> Result<Self, ErrorReply> {
        from_line(line, MAX_REPLY_BYTES)
    }

    /// The reply as one line with its newline.
    pub fn to_line(&self) -> String {
        to_line(self)
    }
}

fn from_line<T: DeserializeOwned>(line: &[u8], limit: usize) -> Result<T, ErrorReply> {
    if line.len() > limit {
        let text = format!("the line has {} bytes; the limit is {limit}", line.len());
        return Err(ErrorReply::new(ErrorCode::TooLong, text));
    }
    serde_json::from_slice(line)
        .map_err(|error| ErrorReply::new(ErrorCode::BadRequest, error.to_string()))
}

fn to_line<T: Serialize>(value: &T) -> String {
    // These types have string keys only and no fallible Serialize; serde_json writes a non-finite
    // float as null.
    let mut line = serde_json::to_string(value).expect("plain data always becomes JSON");
    line.push('\n');
    line
}
