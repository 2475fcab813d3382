//! An event before it has its number and its time of day.

use evergate_api::status::PhasesMs;
use evergate_core::Instant;

/// How much an event asks for attention; the numbers are those of syslog (RFC 5424 §6.2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Somebody should look: a takeover could fail, or has.
    Warning,
    /// A change that people want to know of.
    Notice,
    /// For whoever looks for a cause.
    Info,
}

impl Level {
    /// The severity of syslog.
    pub fn number(self) -> u8 {
        match self {
            Level::Warning => 4,
            Level::Notice => 5,
            Level::Info => 6,
        }
    }

    /// The word in a plain log line.
    pub fn word(self) -> &'static str {
        match self {
            Level::Warning => "warning",
            Level::Notice => "notice",
            Level::Info => "info",
        }
    }
}

/// An event that the journal will number; the fields are those of [`evergate_api::control::Event`].
#[derive(Clone, PartialEq, Debug)]
pub struct EventDraft {
    /// When it happened.
    pub at: Instant,
    /// For the log.
    pub level: Level,
    /// The group's name, if it concerns one.
    pub group: Option<String>,
    /// The stable code of what happened.
    pub event: &'static str,
    /// What was before, if it is a change.
    pub from: Option<String>,
    /// What is now, if it is a change.
    pub to: Option<String>,
    /// The stable code of the cause.
    pub reason: Option<&'static str>,
    /// How long each phase took, if it is a handover.
    /// Boxed: few events are handovers, and many wait in queues.
    pub phases_ms: Option<Box<PhasesMs>>,
    /// One sentence for people.
    pub text: String,
}

impl EventDraft {
    /// An event with its sentence and nothing else.
    pub fn new(at: Instant, level: Level, event: &'static str, text: impl Into<String>) -> Self {
        EventDraft {
            at,
            level,
            group: None,
            event,
            from: None,
            to: None,
            reason: None,
            phases_ms: None,
            text: text.into(),
        }
    }

    /// The same, about a group.
    pub fn in_group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }

    /// The same, with the stable code of its cause.
    pub fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The same, as a change; an empty `from` is unknown.
    pub fn change(mut self, from: &str, to: &str) -> Self {
        self.from = (!from.is_empty()).then(|| from.to_owned());
        self.to = Some(to.to_owned());
        self
    }
}
