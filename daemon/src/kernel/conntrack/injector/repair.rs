//! What to try next when the kernel refuses a flow.

use evergate_core::flow::Flow;
use nix::errno::Errno;

use super::super::decode::Message;
use super::super::encode::{self, Omit};
use super::Operation;
use crate::kernel::rtnetlink::encode::Requests;

/// How a flow is put into the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Made, or made alike where it is there.
    Create,
    /// Made alike, with the status that the kernel has told.
    Update {
        /// That status.
        held: u32,
    },
    /// Made, after what stands in its place was removed.
    Replace,
}

/// One attempt at an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Attempt {
    /// The operation's place in its batch.
    pub(super) index: usize,
    /// How.
    pub(super) way: Way,
    /// What this kernel has refused before.
    pub(super) omit: Omit,
}

impl Attempt {
    /// The attempt that is made unless something is known.
    pub(super) fn first(index: usize) -> Self {
        Self { index, way: Way::Create, omit: Omit::default() }
    }

    fn by(self, way: Way) -> Option<Self> {
        Some(Self { way, ..self })
    }

    fn without(self, way: Way, part: Omit) -> Option<Self> {
        Some(Self { way, omit: self.omit.and(part), ..self })
    }
}

/// What the table has under the key of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Held {
    /// Nothing.
    Nothing,
    /// The flow itself, with this status.
    Same(u32),
    /// A flow with another translation, or the same connection the other way round.
    Other,
}

impl Held {
    /// What an answer of the kernel says of a flow.
    pub(super) fn of(flow: &Flow, answer: Option<&Message>) -> Self {
        match answer {
            None => Self::Nothing,
            Some(held) if held.flow.key == flow.key && held.flow.reply == flow.reply => {
                Self::Same(held.status)
            }
            Some(_) => Self::Other,
        }
    }
}

/// Writes the request of an attempt; what must be removed before is not part of it.
pub(super) fn write(out: &mut Requests, sequence: u32, operation: &Operation, attempt: &Attempt) {
    match (operation, attempt.way) {
        (Operation::Put(flow, timeout_s), Way::Update { held }) => {
            encode::update(out, sequence, flow, *timeout_s, held, attempt.omit);
        }
        (Operation::Put(flow, timeout_s), Way::Create | Way::Replace) => {
            encode::create(out, sequence, flow, *timeout_s, attempt.omit);
        }
        (Operation::Delete(key), _) => encode::delete(out, sequence, key),
        (Operation::SetTimeout(key, timeout_s), _) => {
            encode::set_timeout(out, sequence, key, *timeout_s);
        }
        (Operation::CheckWindows(key, check), _) => {
            encode::check_windows(out, sequence, key, *check);
        }
    }
}

/// Whether the reason of a failure may lie in what the table has already.
pub(super) fn must_look(errno: Errno) -> bool {
    matches!(errno, Errno::EEXIST | Errno::EOPNOTSUPP | Errno::EBUSY)
}

/// What to try after an attempt has failed; `None` if nothing is left. No attempt comes twice.
pub(super) fn next(
    flow: &Flow,
    attempt: Attempt,
    errno: Errno,
    held: Option<Held>,
) -> Option<Attempt> {
    let extra = flow.extra.as_deref();
    let may_omit =
        |part: Omit, is_there: Option<bool>| is_there == Some(true) && !attempt.omit.has(part);
    match errno {
        Errno::ENOENT => match attempt.way {
            // It left the table after it was looked at.
            Way::Update { .. } => attempt.by(Way::Create),
            // The request of a connection that is there is never answered so: what is missing is
            // its master. What stood in its place has been removed.
            Way::Create | Way::Replace => {
                may_omit(Omit::MASTER, extra.map(|extra| extra.master.is_some()))
                    .then(|| attempt.without(Way::Create, Omit::MASTER))?
            }
        },
        Errno::ENOSPC => may_omit(Omit::LABELS, extra.map(|extra| extra.labels.is_some()))
            .then(|| attempt.without(attempt.way, Omit::LABELS))?,
        Errno::EEXIST | Errno::EOPNOTSUPP | Errno::EBUSY => match (held?, attempt.way) {
            (Held::Same(held), Way::Create | Way::Replace) => attempt.by(Way::Update { held }),
            // The translation is another one, or its reply tuple belongs to another connection.
            (Held::Other, Way::Create | Way::Update { .. }) => attempt.by(Way::Replace),
            (Held::Nothing, Way::Create) if errno == Errno::EEXIST => attempt.by(Way::Replace),
            (Held::Nothing, way) => {
                may_omit(Omit::HELPER, extra.map(|extra| extra.helper.is_some()))
                    .then(|| attempt.without(way, Omit::HELPER))?
            }
            (Held::Same(_), Way::Update { .. }) | (Held::Other, Way::Replace) => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
