//! From the machine's notes to events: stable codes for programs, one sentence for people.

use std::time::Duration;

use evergate_api::status::PhasesMs;
use evergate_core::Instant;
use evergate_core::check::Standing;
use evergate_core::config::Config;
use evergate_core::effect::{Alarm, Cause, Discard, Note, View};
use evergate_core::fault::Fault;
use evergate_core::heartbeat::Role;
use evergate_core::ident::{CheckId, GroupId, NodeId, PathId};

use super::draft::{EventDraft, Level};
use super::limit::{Limiter, Topic};
use crate::words;

/// How many changes of role, fault and hold are told of one group in [`super::WINDOW`].
const CHANGES_MAX: u32 = 64;
/// How many changes of one peer or path are told in that time.
const VIEWS_MAX: u32 = 4;
/// What is said once in that time, with the count of the rest.
const ONCE: u32 = 1;

/// Turns notes into events, at a bounded rate.
#[derive(Debug)]
pub struct Observer {
    node: String,
    limiter: Limiter,
}

impl Observer {
    /// An observer on the node with this name.
    pub fn new(node: &str) -> Self {
        Observer { node: node.to_owned(), limiter: Limiter::default() }
    }

    /// The event that a note becomes; none if it is told elsewhere or too often. `names` is the
    /// configuration that the note's indices mean. A takeover is told by [`Observer::handover`].
    pub fn note(&mut self, now: Instant, note: &Note, names: &Config) -> Option<EventDraft> {
        let (topic, burst) = topic(note)?;
        let node = &self.node;
        self.limiter.pass(now, topic, burst, || draft(now, note, names, node))
    }

    /// A takeover or handover to this node whose last phase is done.
    pub fn handover(
        &self,
        group: GroupId,
        names: &Config,
        cause: Cause,
        phases_ms: PhasesMs,
    ) -> EventDraft {
        let at = Instant::from_nanos(crate::sys::clock::boottime_now());
        took_over(at, names, &self.node, group, cause, phases_ms)
    }

    /// Something that the machine knows nothing of: a failed call, a plan, a refused file.
    pub fn complaint(&mut self, now: Instant, text: &str) -> Option<EventDraft> {
        let draft = || EventDraft::new(now, Level::Warning, "complaint", text);
        self.limiter.pass(now, Topic::Said(text.to_owned()), ONCE, draft)
    }

    /// An event about the procedures of a group, unless there are too many of them.
    pub fn limited(&mut self, now: Instant, group: &str, draft: EventDraft) -> Option<EventDraft> {
        let topic = Topic::Said(format!("procedures of {group}"));
        self.limiter.pass(now, topic, CHANGES_MAX, || draft)
    }

    /// One event that was held back by its rate and is due now, with the count of those like it.
    /// Call it about once a second until there is none.
    pub fn flush(&mut self, now: Instant) -> Option<EventDraft> {
        self.limiter.flush(now)
    }
}

/// What the rate of a note is counted by, and how many are told in a window.
fn topic(note: &Note) -> Option<(Topic, u32)> {
    let (kind, first, second, burst) = match note {
        Note::Role { group, .. } => ("state", group.0, 0, CHANGES_MAX),
        // Told with all its phases when the last one is done.
        Note::TookOver { .. } | Note::Yields { .. } => return None,
        Note::Fault { group, .. } => ("fault", group.0, 0, CHANGES_MAX),
        Note::Check { check, .. } => ("check", check.0, 0, CHANGES_MAX),
        Note::Peer { node, .. } => ("peer", node.0, 0, VIEWS_MAX),
        Note::Path { node, path, .. } => ("path", node.0, path.0, VIEWS_MAX),
        Note::Alarm(Alarm::PathSilent { node, path }) => ("path-silent", node.0, path.0, ONCE),
        Note::Alarm(Alarm::AdvertsMissing { group, router }) => {
            ("adverts-missing", group.0, router.0, ONCE)
        }
        Note::Alarm(Alarm::ConfigDiffers(node)) => ("config-differs", node.0, 0, ONCE),
        Note::Alarm(Alarm::Isolated(group)) => ("isolated", group.0, 0, ONCE),
        Note::Conflict { group, kept } => ("conflict", group.0, u16::from(*kept), ONCE),
        Note::Paused { .. } => ("pause", 0, 0, ONCE),
        Note::Discarded { from, why } => (words::discard_code(*why), from.0, 0, ONCE),
        Note::Accepted { node, .. } => ("process", node.0, 0, VIEWS_MAX),
        Note::PutBack(group) => ("address", group.0, 0, VIEWS_MAX),
        Note::Held { group, .. } => ("held", group.0, 0, CHANGES_MAX),
        Note::HandoverRefused { group, .. } => ("refused", group.0, 0, VIEWS_MAX),
    };
    Some((Topic::Of(kind, first, second), burst))
}

fn draft(at: Instant, note: &Note, names: &Config, me: &str) -> EventDraft {
    match *note {
        Note::Role { group, from, to, cause } => role(at, names, me, group, from, to, cause),
        Note::TookOver { group, cause, detect, addresses } => {
            let phases_ms = PhasesMs {
                detect: Some(words::millis(detect)),
                addresses: Some(words::millis(addresses)),
                total: Some(words::millis(detect + addresses)),
                ..PhasesMs::default()
            };
            took_over(at, names, me, group, cause, phases_ms)
        }
        Note::Fault { group, fault, present } => fault_note(at, names, group, fault, present),
        Note::Check { check, standing } => check_note(at, names, check, standing),
        Note::Peer { node, view } => peer(at, names, node, view),
        Note::Path { node, path, alive } => path_note(at, names, node, path, alive),
        Note::Alarm(what) => alarm(at, names, what),
        Note::Conflict { group, kept } => conflict(at, names, me, group, kept),
        Note::Paused { span, resigned } => pause(at, span, resigned),
        Note::Discarded { from, why } => discard(at, names, from, why),
        Note::Accepted { node, incarnation } => {
            let text = format!(
                "a new process of {} has proved that it is alive",
                words::node(names, node)
            );
            let process: String =
                incarnation.0.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            EventDraft::new(at, Level::Info, "process", text).change("", &process)
        }
        Note::PutBack(group) => {
            let name = words::group(names, group);
            let text =
                format!("{name}: somebody deleted an address of this active node; it was put back");
            EventDraft::new(at, Level::Warning, "address", text).in_group(name).because("deleted")
        }
        Note::Held { group, held } => {
            let name = words::group(names, group);
            let text = if held.is_some() {
                format!(
                    "{name} is held on {me} by an operator's word until `evergate failback {name}`"
                )
            } else {
                format!("{name} is no longer held on {me}: priority decides again")
            };
            EventDraft::new(at, Level::Notice, "held", text).in_group(name).because("operator")
        }
        Note::Yields { group, to } => {
            let name = words::group(names, group);
            let text = match to {
                Some(node) => {
                    format!("{name} is about to be handed over to {}", words::node(names, node))
                }
                None => format!("{name} stays on {me}: the handover came to nothing"),
            };
            EventDraft::new(at, Level::Info, "yields", text).in_group(name)
        }
        Note::HandoverRefused { group, why } => {
            let name = words::group(names, group);
            let text = format!("{name}: a handover was refused: {}", words::refusal(why));
            let draft = EventDraft::new(at, Level::Notice, "refused", text).in_group(name);
            draft.because(words::refusal_code(why))
        }
    }
}

/// A procedure of a group that has ended, or that nothing is run for a transition.
pub fn procedure_event(
    at: Instant,
    group: &str,
    cause: &'static str,
    well: bool,
    text: String,
) -> EventDraft {
    let level = if well { Level::Info } else { Level::Warning };
    EventDraft::new(at, level, "procedure", text).in_group(group).because(cause)
}

fn role(
    at: Instant,
    names: &Config,
    me: &str,
    group: GroupId,
    from: Role,
    to: Role,
    cause: Cause,
) -> EventDraft {
    let name = words::group(names, group);
    let (from, to) = (words::state(from), words::state(to));
    let text = format!("{name}: {to} on {me}, was {from}, because {}", words::cause(names, cause));
    let level = if to == words::state(Role::Fault) { Level::Warning } else { Level::Notice };
    EventDraft::new(at, level, "state", text)
        .in_group(name)
        .because(words::cause_code(cause))
        .change(from.as_str(), to.as_str())
}

fn took_over(
    at: Instant,
    names: &Config,
    me: &str,
    group: GroupId,
    cause: Cause,
    phases_ms: PhasesMs,
) -> EventDraft {
    let name = words::group(names, group);
    let from = match cause {
        Cause::Died(node) | Cause::HandedOver(node) => words::node(names, node),
        _ => "",
    };
    let (took, why) = (phases(&phases_ms), words::cause(names, cause));
    let text = format!("{name}: {me} took over{took} because {why}");
    let mut draft = EventDraft::new(at, Level::Notice, "handover", text)
        .in_group(name)
        .because(words::cause_code(cause))
        .change(from, me);
    draft.phases_ms = Some(Box::new(phases_ms));
    draft
}

fn fault_note(
    at: Instant,
    names: &Config,
    group: GroupId,
    fault: Fault,
    present: bool,
) -> EventDraft {
    let name = words::group(names, group);
    let code = words::fault_code(fault);
    let draft = if present {
        let what = names
            .groups
            .get(group.index())
            .map_or_else(String::new, |config| words::fault(names, config, fault));
        EventDraft::new(at, Level::Warning, "fault", format!("{name}: fault: {what}"))
            .change("", "present")
    } else {
        let text = format!("{name}: the reason for fault is gone: {code}");
        EventDraft::new(at, Level::Notice, "fault", text).change("present", "gone")
    };
    draft.in_group(name).because(code)
}

fn check_note(at: Instant, names: &Config, check: CheckId, standing: Standing) -> EventDraft {
    let (name, test) = words::check(names, check);
    let word = words::standing(standing);
    let text = match standing {
        Standing::Value(value) => format!("check {name} reads {value} ({test})"),
        _ => format!("check {name} {word} ({test})"),
    };
    let level = if standing == Standing::Fails { Level::Notice } else { Level::Info };
    EventDraft::new(at, level, "check", text).change("", &word).because("check")
}

fn peer(at: Instant, names: &Config, node: NodeId, view: View) -> EventDraft {
    let name = words::node(names, node);
    let (level, text) = match view {
        View::Alive => (Level::Notice, format!("{name} is alive on every path")),
        View::Doubt => (
            Level::Notice,
            format!("{name} is in doubt: silent on some paths, or heard by others only"),
        ),
        View::Dead => {
            (Level::Warning, format!("{name} is dead: silent on all paths, or it said so itself"))
        }
        View::Unknown => (Level::Notice, format!("{name} is unknown: never heard")),
    };
    EventDraft::new(at, level, "peer", text).change("", words::view(view).as_str()).because(
        match view {
            View::Alive | View::Unknown => "heard",
            View::Doubt | View::Dead => "silence",
        },
    )
}

fn path_note(at: Instant, names: &Config, node: NodeId, path: PathId, alive: bool) -> EventDraft {
    let (name, path_name) = (words::node(names, node), words::path(names, path));
    let interface = words::path_interface(names, path);
    if alive {
        let text = format!("path {path_name} ({interface}) to {name} lives in both directions");
        EventDraft::new(at, Level::Info, "path", text).change("silent", "alive")
    } else {
        let text =
            format!("path {path_name} ({interface}) to {name} is silent in at least one direction");
        EventDraft::new(at, Level::Info, "path", text).change("alive", "silent")
    }
    .because(if alive { "heard" } else { "silence" })
}

fn alarm(at: Instant, names: &Config, alarm: Alarm) -> EventDraft {
    let (code, group, text) = match alarm {
        Alarm::PathSilent { node, path } => {
            let text = format!(
                "heartbeats on {} ({}) do not pass between this node and {}, which lives: cable, switch \
                 port or a firewall that drops our UDP port; nothing moves for it",
                words::path_interface(names, path),
                words::path(names, path),
                words::node(names, node)
            );
            ("path-silent", None, text)
        }
        Alarm::AdvertsMissing { group, router } => {
            let config = names.groups.get(group.index());
            let interface =
                config.map_or("?", |config| words::router_interface(names, config, router));
            let id = config.map_or("?", |config| words::router(config, router));
            let text = format!(
                "adverts of the active node do not arrive on {interface} ({id}) although its heartbeats \
                 do: a firewall drops IP protocol 112? Nothing moves for it"
            );
            ("adverts-missing", Some(group), text)
        }
        Alarm::ConfigDiffers(node) => {
            let text = format!(
                "{} runs another configuration: copy the file to all nodes, then `evergate reload`",
                words::node(names, node)
            );
            ("config-differs", None, text)
        }
        Alarm::Isolated(group) => {
            let text = format!(
                "{}: nobody is active, but nobody answers on this node's own segments either, so it does \
                 not claim: cable or switch",
                words::group(names, group)
            );
            ("isolated", Some(group), text)
        }
    };
    let draft = EventDraft::new(at, Level::Warning, "alarm", text).because(code);
    match group {
        Some(group) => draft.in_group(words::group(names, group)),
        None => draft,
    }
}

fn conflict(at: Instant, names: &Config, me: &str, group: GroupId, kept: bool) -> EventDraft {
    let name = words::group(names, group);
    let (code, end) = if kept {
        ("kept", format!("{me} ranks first, keeps it and announces its addresses again"))
    } else {
        ("given-way", format!("{me} has given way"))
    };
    let text = format!("{name}: another holder of the addresses was seen; {end}");
    EventDraft::new(at, Level::Warning, "conflict", text).in_group(name).because(code)
}

fn pause(at: Instant, span: Duration, resigned: bool) -> EventDraft {
    let end = if resigned {
        "longer than peers wait: what it held was given up"
    } else {
        "longer than peers wait: it holds nothing and listens anew"
    };
    let text = format!("this process did not run for {}, {end}", words::span(span));
    let code = if resigned { "resigned" } else { "held-nothing" };
    EventDraft::new(at, Level::Warning, "pause", text).because(code)
}

fn discard(at: Instant, names: &Config, from: NodeId, why: Discard) -> EventDraft {
    let name = words::node(names, from);
    let text = format!("a heartbeat of {name} was not accepted because {}", words::discard(why));
    EventDraft::new(at, Level::Info, "discard", text).because(words::discard_code(why))
}

/// The phases that took place, as part of a sentence.
fn phases(phases: &PhasesMs) -> String {
    let Some(total) = phases.total else { return String::new() };
    let parts = [
        ("detect", phases.detect),
        ("claim", phases.claim),
        ("states", phases.states),
        ("addresses", phases.addresses),
        ("announce", phases.announce),
        ("procedures", phases.procedures),
    ];
    let parts =
        parts.into_iter().filter_map(|(name, ms)| ms.filter(|ms| *ms > 0.0).map(|ms| (name, ms)));
    let parts: Vec<String> = parts.map(|(name, ms)| format!("{name} {ms:.1}")).collect();
    format!(" in {total:.1} ms ({})", parts.join(", "))
}
