//! The words for what the machines say: stable codes for programs, half sentences for people. Status,
//! `why` and the events share them, so that one thing has one name.

use std::time::Duration;

use evergate_api::status::{GroupState, PeerState};
use evergate_core::check::Standing;
use evergate_core::config::{Config, GroupConfig};
use evergate_core::effect::{Cause, Discard, View};
use evergate_core::fault::Fault;
use evergate_core::heartbeat::{Hearing, Refusal, Role};
use evergate_core::ident::{CheckId, GroupId, NodeId, PathId, RouterId};
use evergate_core::procedure::{Occasion, Phase, Procedure};

/// What stands for a name that the present configuration does not have.
const NAMELESS: &str = "?";

/// The name of a node; `?` for one that the configuration does not have.
pub fn node(config: &Config, node: NodeId) -> &str {
    config.nodes.get(node.index()).map_or(NAMELESS, |node| &node.name)
}

/// The name of a group; `?` for one that the configuration does not have.
pub fn group(config: &Config, group: GroupId) -> &str {
    config.groups.get(group.index()).map_or(NAMELESS, |group| &group.name)
}

/// The name of a check, and what it looks at.
pub fn check(config: &Config, check: CheckId) -> (&str, &str) {
    let check = config.checks.get(check.index());
    check.map_or((NAMELESS, NAMELESS), |check| (&check.name, &check.test))
}

/// How a check stands, in one word or a number.
pub fn standing(standing: Standing) -> String {
    match standing {
        Standing::Unknown => "unknown".into(),
        Standing::Passes => "passes".into(),
        Standing::Fails => "fails".into(),
        Standing::Value(value) => value.to_string(),
    }
}

/// The name of a path, such as `link:sync`; `?` for one that the configuration does not have.
pub fn path(config: &Config, path: PathId) -> &str {
    config.paths.get(path.index()).map_or(NAMELESS, |path| &path.name)
}

/// The interface of a path on this node.
pub fn path_interface(config: &Config, path: PathId) -> &str {
    let interface = config.paths.get(path.index()).map(|path| path.interface.index());
    interface.and_then(|at| config.interfaces.get(at)).map_or(NAMELESS, String::as_str)
}

/// The identifier of a router, such as `gateway/lan/ipv4`.
pub fn router(group: &GroupConfig, router: RouterId) -> &str {
    group.routers.get(router.index()).map_or(NAMELESS, |router| &router.id)
}

/// The interface of a router on this node.
pub fn router_interface<'c>(config: &'c Config, group: &GroupConfig, router: RouterId) -> &'c str {
    let interface = group.routers.get(router.index()).map(|router| router.interface.index());
    interface.and_then(|at| config.interfaces.get(at)).map_or(NAMELESS, String::as_str)
}

/// An Ethernet address, such as `00:00:5e:00:01:33`.
pub fn mac(octets: [u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

/// A role in the words of the contract.
pub fn state(role: Role) -> GroupState {
    match role {
        Role::Init => GroupState::Init,
        Role::Standby => GroupState::Standby,
        Role::Claiming => GroupState::Claiming,
        Role::Active => GroupState::Active,
        Role::Releasing => GroupState::Releasing,
        Role::Fault => GroupState::Fault,
        Role::Locked => GroupState::Locked,
    }
}

/// Where procedures are told that a group has got to.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Active => "active",
        Phase::Releasing => "releasing",
        Phase::Standby => "standby",
        Phase::Fault => "fault",
        Phase::Locked => "locked",
        Phase::Stopped => "stopped",
        Phase::LowerHeard => "lower-heard",
    }
}

/// A procedure as the file names it, those of a list with their number.
pub fn procedure(procedure: Procedure) -> String {
    match procedure {
        Procedure::Activate(at) => format!("activate {}", at + 1),
        Procedure::Deactivate(at) => format!("deactivate {}", at + 1),
        Procedure::Notify(occasion) => format!("notify {}", notified(occasion)),
        Procedure::Any(occasion) => format!("notify any ({})", notified(occasion)),
    }
}

fn notified(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Master => "master",
        Occasion::Backup => "backup",
        Occasion::Fault => "fault",
        Occasion::Stop => "stop",
        Occasion::LowerPriority => "lower_priority",
    }
}

/// The view of a peer in the words of the contract.
pub fn view(view: View) -> PeerState {
    match view {
        View::Unknown => PeerState::Unknown,
        View::Alive => PeerState::Alive,
        View::Doubt => PeerState::Doubt,
        View::Dead => PeerState::Dead,
    }
}

/// The stable code of a cause.
pub fn cause_code(cause: Cause) -> &'static str {
    match cause {
        Cause::Started => "started",
        Cause::Adopted => "adopted",
        Cause::Died(_) => "died",
        Cause::Resigned => "resigned",
        Cause::DownTimer => "down-timer",
        Cause::FirstInRank => "first-in-rank",
        Cause::Owner => "owner",
        Cause::HandedOver(_) => "handed-over",
        Cause::HandsOver(_) => "hands-over",
        Cause::Outranked => "outranked",
        Cause::Exhausted => "sequence-exhausted",
        Cause::Unheard => "unheard",
        Cause::Paused => "paused",
        Cause::Fault => "fault",
        Cause::FaultCleared => "fault-cleared",
        Cause::Operator => "operator",
        Cause::Kernel => "kernel",
        Cause::Configured => "configured",
        Cause::Shutdown => "shutdown",
    }
}

/// A cause as the end of a sentence: "because …".
pub fn cause(config: &Config, cause: Cause) -> String {
    match cause {
        Cause::Started => "this daemon has started".into(),
        Cause::Adopted => "the process before this one left the addresses in good order".into(),
        Cause::Died(who) => format!("{} is dead", node(config, who)),
        Cause::Resigned => "the active node has resigned".into(),
        Cause::DownTimer => "no advert was heard for the whole down interval".into(),
        Cause::FirstInRank => "nobody was active and this node ranks first".into(),
        Cause::Owner => "this node owns the addresses".into(),
        Cause::HandedOver(who) => format!("{} has handed over as planned", node(config, who)),
        Cause::HandsOver(who) => format!("it is handed over to {} as planned", node(config, who)),
        Cause::Outranked => "a node of higher rank holds the group".into(),
        Cause::Exhausted => "its adverts can be numbered no further, and count from 1 again".into(),
        Cause::Unheard => "no peer hears this node and another one holds the group".into(),
        Cause::Paused => "this process did not run for longer than its peers wait".into(),
        Cause::Fault => "an own check failed".into(),
        Cause::FaultCleared => "the last reason for fault is gone".into(),
        Cause::Operator => "an operator said so".into(),
        Cause::Kernel => "the kernel has done what it was asked".into(),
        Cause::Configured => "the configuration has changed".into(),
        Cause::Shutdown => "this daemon ends".into(),
    }
}

/// The stable code of a reason for fault.
pub fn fault_code(fault: Fault) -> &'static str {
    match fault {
        Fault::InterfaceMissing(_) => "interface-missing",
        Fault::LinkDown(_) => "carrier",
        Fault::SegmentSilent(_) => "segment-silent",
        Fault::KernelRefused => "kernel-refused",
        Fault::KernelStuck => "kernel-stuck",
        Fault::AddressContested => "address-contested",
        Fault::Check(_) => "check",
    }
}

/// A reason for fault as one sentence: what is wrong and what to do.
pub fn fault(config: &Config, group: &GroupConfig, fault: Fault) -> String {
    let name = |router| router_interface(config, group, router);
    match fault {
        Fault::InterfaceMissing(router) => {
            format!("interface {} does not exist: create it, or correct its name", name(router))
        }
        Fault::LinkDown(router) => format!(
            "interface {} is down or has no carrier: look at its cable, the switch port, and \
             `ip link`",
            name(router)
        ),
        Fault::SegmentSilent(router) => format!(
            "nobody answers on {} here while a peer hears somebody there: look at this node's \
             cable, switch port and VLAN",
            name(router)
        ),
        Fault::KernelRefused => {
            "the kernel refused the addresses; they are tried again: the log names the error".into()
        }
        Fault::KernelStuck => {
            "the kernel has not answered for longer than the lease: look for a hung network driver"
                .into()
        }
        Fault::AddressContested => {
            "somebody on this machine keeps deleting the addresses: look for another daemon or \
             script that manages them"
                .into()
        }
        Fault::Check(id) => {
            let (name, test) = check(config, id);
            format!("check {name} fails ({test}): `evergate why {}` says what it found", group.name)
        }
    }
}

/// The stable code of a refused handover.
pub fn refusal_code(why: Refusal) -> &'static str {
    match why {
        Refusal::NoActive => "no-active",
        Refusal::NotAMember => "not-a-member",
        Refusal::NotReady => "not-ready",
        Refusal::AlreadyThere => "already-there",
        Refusal::Busy => "busy",
        Refusal::NobodyReady => "nobody-ready",
        Refusal::TimedOut => "timed-out",
    }
}

/// Why a handover was refused, as a sentence that says what has to happen first.
pub fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::NoActive => {
            "no node of ours is active in the group: there is nothing to hand over"
        }
        Refusal::NotAMember => "the target is of another make, or the group does not run there",
        Refusal::NotReady => "the target is not ready: `evergate status` on it says why",
        Refusal::AlreadyThere => "the target is active already",
        Refusal::Busy => "another handover of the group is under way: wait for its end",
        Refusal::NobodyReady => "no standby is ready: `evergate status` names the blockers",
        Refusal::TimedOut => "the active node did not answer in the time given",
    }
}

/// The stable code of a discarded packet.
pub fn discard_code(why: Discard) -> &'static str {
    match why {
        Discard::Replayed => "replayed",
        Discard::Unproved => "unproved",
        Discard::Superseded => "superseded",
        Discard::Ended => "ended",
        Discard::Ourselves => "ourselves",
    }
}

/// Why a packet with a good seal was discarded, as the end of a sentence: "because …".
pub fn discard(why: Discard) -> &'static str {
    match why {
        Discard::Replayed => {
            "its number was seen before: the network repeats packets, or somebody \
                              plays a recording"
        }
        Discard::Unproved => {
            "its process has not answered our challenge yet: usual for a moment \
                              after a start"
        }
        Discard::Superseded => {
            "a later process of that node has taken its place: is an old daemon \
                                still running there?"
        }
        Discard::Ended => "its process has left its will",
        Discard::Ourselves => {
            "it claims to be from this node: does another machine run with the \
                               same --node?"
        }
    }
}

/// What a segment test found, in words.
pub fn hearing(hears: Hearing) -> &'static str {
    match hears {
        Hearing::Unknown => "not tested",
        Hearing::Somebody => "hears somebody",
        Hearing::Nobody => "hears nobody",
    }
}

/// A duration in milliseconds, as a figure.
pub fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// A duration in whole milliseconds, as the contract has it.
pub fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A duration for people: three significant places and a fitting unit.
pub fn span(span: Duration) -> String {
    let ms = millis(span);
    if ms < 1.0 {
        format!("{} µs", span.as_micros())
    } else if ms < 100.0 {
        format!("{} ms", (ms * 10.0).round() / 10.0)
    } else if ms < 10_000.0 {
        format!("{} ms", ms.round())
    } else if ms < 600_000.0 {
        format!("{} s", (ms / 100.0).round() / 10.0)
    } else {
        format!("{} min", (ms / 60_000.0).round())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_and_have_a_unit() {
        let said = [
            (Duration::from_micros(180), "180 µs"),
            (Duration::from_micros(3_140), "3.1 ms"),
            (Duration::from_millis(30), "30 ms"),
            (Duration::from_micros(1_234_567), "1235 ms"),
            (Duration::from_millis(61_040), "61 s"),
            (Duration::from_secs(7200), "120 min"),
        ];
        for (duration, text) in said {
            assert_eq!(span(duration), text);
        }
    }
}
