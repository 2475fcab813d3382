//! The words of group reports as numbers. Words of newer versions are `None` here.

use std::time::Duration;

use crate::heartbeat::{Answered, Hearing, Hold, Outcome, Refusal, Request, RequestKind, Role};
use crate::wire::bytes::Bytes;
use crate::wire::names::Names;

use super::{Reject, micros, span};

const SWITCHOVER: u8 = 1;
const FAILBACK: u8 = 2;
const DONE: u8 = 1;
const REFUSED: u8 = 2;
const FAILED: u8 = 3;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The number of a role.
pub fn role_number(role: Role) -> u8 {
    match role {
        Role::Init => 0,
        Role::Standby => 1,
        Role::Claiming => 2,
        Role::Active => 3,
        Role::Releasing => 4,
        Role::Fault => 5,
        Role::Locked => 6,
    }
}

/// The role with that number.
pub fn role(number: u8) -> Option<Role> {
    let all = [
        Role::Init,
        Role::Standby,
        Role::Claiming,
        Role::Active,
        Role::Releasing,
        Role::Fault,
        Role::Locked,
    ];
    all.into_iter().find(|role| role_number(*role) == number)
}

/// The number of what is heard on a segment.
pub fn hearing_number(hears: Hearing) -> u8 {
    match hears {
        Hearing::Unknown => 0,
        Hearing::Somebody => 1,
        Hearing::Nobody => 2,
    }
}

/// What is heard on a segment; a word of a newer version proves nothing.
pub fn hearing(number: u8) -> Hearing {
    match number {
        1 => Hearing::Somebody,
        2 => Hearing::Nobody,
        _ => Hearing::Unknown,
    }
}

fn refusal_number(refusal: Refusal) -> u32 {
    match refusal {
        Refusal::NoActive => 1,
        Refusal::NotAMember => 2,
        Refusal::NotReady => 3,
        Refusal::AlreadyThere => 4,
        Refusal::Busy => 5,
        Refusal::NobodyReady => 6,
        Refusal::TimedOut => 7,
    }
}

fn refusal(number: u32) -> Option<Refusal> {
    let all = [
        Refusal::NoActive,
        Refusal::NotAMember,
        Refusal::NotReady,
        Refusal::AlreadyThere,
        Refusal::Busy,
        Refusal::NobodyReady,
        Refusal::TimedOut,
    ];
    all.into_iter().find(|refusal| refusal_number(*refusal) == number)
}

/// How long a hold lasts, in whole seconds and rounded up; nothing for one without an end.
pub fn hold_seconds(hold: Hold<Duration>) -> Option<[u8; 4]> {
    let seconds = hold.end()?.as_nanos().div_ceil(NANOS_PER_SECOND);
    Some(u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes())
}

/// Reads how long a hold lasts, where it says so.
pub fn read_hold(value: &[u8]) -> Result<Hold<Duration>, Reject> {
    if value.is_empty() {
        return Ok(Hold::Open);
    }
    let seconds = Bytes(value).u32().ok_or(Reject::Truncated)?;
    Ok(Hold::Until(Duration::from_secs(seconds.into())))
}

/// A request: serial, kind, how long the operator waits, and for a switchover the target and the
/// hold. `None` when the target has no name.
pub fn write_request(request: Request, names: &Names) -> Option<Vec<u8>> {
    let mut out = request.serial.to_be_bytes().to_vec();
    match request.kind {
        RequestKind::Switchover { to, within, hold } => {
            out.push(SWITCHOVER);
            out.extend(micros(within));
            out.extend(names.node_hash(to)?.to_be_bytes());
            out.extend(hold_seconds(hold).into_iter().flatten());
        }
        RequestKind::Failback { within } => {
            out.push(FAILBACK);
            out.extend(micros(within));
        }
    }
    Some(out)
}

/// Reads a request; `None` when its kind or its target is unknown here.
pub fn read_request(value: &[u8], names: &Names) -> Result<Option<Request>, Reject> {
    let mut rest = Bytes(value);
    let serial = rest.u32().ok_or(Reject::Truncated)?;
    let kind = rest.u8().ok_or(Reject::Truncated)?;
    let kind = match kind {
        SWITCHOVER => {
            let within = span(&mut rest).ok_or(Reject::Truncated)?;
            let to = names.node(rest.u32().ok_or(Reject::Truncated)?);
            let hold = read_hold(rest.0)?;
            to.map(|to| RequestKind::Switchover { to, within, hold })
        }
        FAILBACK => {
            let within = span(&mut rest).ok_or(Reject::Truncated)?;
            Some(RequestKind::Failback { within })
        }
        _ => None,
    };
    Ok(kind.map(|kind| Request { serial, kind }))
}

/// An answer: who had asked, the serial, the outcome and one number that belongs to it. `None`
/// when who asked has no name.
pub fn write_answered(answered: Answered, names: &Names) -> Option<Vec<u8>> {
    let mut out = names.node_hash(answered.node)?.to_be_bytes().to_vec();
    out.extend(answered.serial.to_be_bytes());
    match answered.outcome {
        Outcome::Done { gap } => {
            out.push(DONE);
            out.extend(micros(gap));
        }
        Outcome::Refused(refusal) => {
            out.push(REFUSED);
            out.extend(refusal_number(refusal).to_be_bytes());
        }
        Outcome::Failed => {
            out.push(FAILED);
            out.extend(0_u32.to_be_bytes());
        }
    }
    Some(out)
}

/// Reads an answer; `None` when its outcome or the node that had asked is unknown here. An
/// unknown reason for a refusal is read as "busy": nothing was changed, ask again.
pub fn read_answered(value: &[u8], names: &Names) -> Result<Option<Answered>, Reject> {
    let mut rest = Bytes(value);
    let hash = rest.u32().ok_or(Reject::Truncated)?;
    let serial = rest.u32().ok_or(Reject::Truncated)?;
    let kind = rest.u8().ok_or(Reject::Truncated)?;
    let mut argument = rest;
    let number = rest.u32().ok_or(Reject::Truncated)?;
    let outcome = match kind {
        DONE => span(&mut argument).map(|gap| Outcome::Done { gap }),
        REFUSED => Some(Outcome::Refused(refusal(number).unwrap_or(Refusal::Busy))),
        FAILED => Some(Outcome::Failed),
        _ => None,
    };
    let known = names.node(hash).zip(outcome);
    Ok(known.map(|(node, outcome)| Answered { node, serial, outcome }))
}
