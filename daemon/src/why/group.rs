//! The part of the chain that speaks of the group itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use evergate_core::config::{Failback, GroupConfig};
use evergate_core::group::{Group, Obstacle, Origin, Scene, State};
use evergate_core::heartbeat::{GroupReport, Role};
use evergate_core::ident::{NodeId, RouterId};
use evergate_core::vrrp::skew;

use super::{Figures, Lines, Sources, or_never};
use crate::words;

/// The state, since when and why; who holds the group.
pub(super) fn conclusion(sources: &Sources, scene: &Scene, group: &Group, lines: &mut Lines) {
    let (since, cause) = group.last_change;
    let age = sources.now.since(since);
    let name = &scene.config.name;
    let text = format!(
        "{name} is {} on {} for {} (since {}) because {}; it has changed hands {} times",
        words::state(group.role()),
        sources.name(scene.me),
        words::span(age),
        sources.clock.rfc3339(since),
        words::cause(sources.config, cause),
        group.term
    );
    lines.add(
        text,
        Figures::default().ms("state_for_ms", age).number("term", f64::from(group.term)),
    );
    holder(sources, scene, group, lines);
    if let Some(last) = sources.facts.handovers.get(&group.id) {
        let phases = last.phases_ms;
        let all = [
            ("detect_ms", phases.detect),
            ("claim_ms", phases.claim),
            ("states_ms", phases.states),
            ("addresses_ms", phases.addresses),
            ("announce_ms", phases.announce),
            ("procedures_ms", phases.procedures),
            ("total_ms", phases.total),
        ];
        let known = all.into_iter().filter_map(|(name, ms)| ms.map(|ms| (name, ms)));
        let figures =
            known.fold(Figures::default(), |figures, (name, ms)| figures.number(name, ms));
        lines.add(format!("the last takeover by this node: cause {}", last.cause), figures);
    }
}

fn holder(sources: &Sources, scene: &Scene, group: &Group, lines: &mut Lines) {
    match (group.holder, group.role()) {
        (_, Role::Active) => {}
        (Some((node, since)), _) => {
            let known = sources.now.since(since);
            let text = format!(
                "{} holds it by its own word, known for {}",
                sources.name(node),
                words::span(known)
            );
            lines.add(text, Figures::default().ms("holder_known_for_ms", known));
        }
        (None, _) => {
            let last = group.last_active().map_or_else(
                || "nobody was seen to hold it since this node began to listen".to_owned(),
                |node| format!("{} held it last", sources.name(node)),
            );
            lines.add(format!("no living node of ours holds it; {last}"), Figures::default());
        }
    }
    for (node, _) in group.rivals(scene).filter(|_| group.holds()) {
        let text = format!("{} says that it holds it too", sources.name(node));
        lines.add(text, Figures::default());
    }
}

/// What keeps this node from claiming, or from being fit.
pub(super) fn obstacles(sources: &Sources, scene: &Scene, group: &Group, lines: &mut Lines) {
    for fault in group.faults.iter() {
        let text = words::fault(sources.config, scene.config, fault);
        lines.add(format!("fault {}: {text}", words::fault_code(fault)), Figures::default());
    }
    if group.locked {
        let text =
            format!("an operator locked this node out: `evergate unlock {}`", scene.config.name);
        lines.add(text, Figures::default());
    }
    let flags = [
        (
            scene.isolated,
            "isolated",
            "nobody answers on this node's own segments, so it does not claim",
        ),
        (
            scene.unheard,
            "unheard",
            "no living peer hears this node, so it yields to another holder",
        ),
        (
            scene.differs,
            "differs",
            "a living peer runs another configuration for a minute or longer",
        ),
        (
            scene.partial,
            "partial",
            "the copies of the peers' connections are not whole, so nobody hands over to this node",
        ),
        (scene.stopping, "stopping", "this daemon is ending"),
    ];
    for (_, code, text) in flags.iter().filter(|(holds, ..)| *holds) {
        lines.add((*text).to_owned(), Figures::default().is(code, true));
    }
    if matches!(group.state, State::Standby) {
        let (text, figures) = claim(sources, scene, group);
        lines.add(text, figures);
    }
}

fn claim(sources: &Sources, scene: &Scene, group: &Group) -> (String, Figures) {
    let figures = Figures::default().is("isolated", scene.isolated);
    match group.claim_reason(scene) {
        Ok((cause, silence)) => {
            let why = words::cause(sources.config, cause);
            (format!("it claims now because {why}"), figures.ms("silence_ms", silence))
        }
        Err(Obstacle::Held(node)) => {
            (format!("it does not claim: {} holds it, or is about to", sources.name(node)), figures)
        }
        Err(Obstacle::Unfit) => {
            let why = if scene.config.priority(scene.me).is_none() {
                "the configuration does not run it here"
            } else if scene.stopping {
                "this daemon is ending"
            } else if group.locked {
                "this node is locked out"
            } else {
                "this node has a fault"
            };
            (format!("it does not claim: {why}"), figures)
        }
        Err(Obstacle::Unchecked) => {
            ("it does not claim: a check has no result yet".to_owned(), figures)
        }
        Err(Obstacle::Delayed { until }) => {
            let left = until.since(sources.now);
            let text = format!("it does not claim: start_delay is over in {}", words::span(left));
            (text, figures.ms("start_delay_remaining_ms", left))
        }
        Err(Obstacle::Outranked(node)) => {
            let who = sources.name(node);
            let why = if scene.sight(node).hears_us {
                "ranks higher and is ready"
            } else {
                "is ready and does not hear this node"
            };
            (format!("it does not claim: {who} {why}"), figures)
        }
        Err(Obstacle::Isolated) => {
            ("it does not claim: nobody answers on its own segments".to_owned(), figures)
        }
        Err(Obstacle::Waiting { until }) => {
            let left = until.since(sources.now);
            let text = format!("it does not claim: a down timer has {} left", words::span(left));
            (text, figures.ms("down_remaining_ms", left))
        }
    }
}

/// The order between the nodes.
pub(super) fn ranks(sources: &Sources, scene: &Scene, group: &Group, lines: &mut Lines) {
    let priority = group.priority(scene).map_or(0, |priority| priority.get());
    let base = scene.config.priority(scene.me).map_or(0, |priority| priority.get());
    let made = match group.weight.sum {
        0 => "as configured, no check adds to it".to_owned(),
        sum => format!("{base} as configured, {sum:+} by checks"),
    };
    let text =
        format!("own priority {priority} ({made}), tie-break {}", tie(scene.config, scene.tie()));
    let figures = Figures::default()
        .number("priority", f64::from(priority))
        .number("priority_base", f64::from(base));
    lines.add(text, figures);
    for (position, report) in group.reports.iter().enumerate() {
        let node = evergate_core::ident::NodeId::at(position);
        let Some((report, rank)) = report.as_ref().zip(group.rank_of_peer(node)) else { continue };
        let above = rank > group.rank(scene);
        let sight = scene.sight(node);
        let text = format!(
            "{} ranks {} this node: priority {}, tie-break {}; its last word: {}, {}ready, {}",
            sources.name(node),
            if above { "above" } else { "below" },
            report.priority.get(),
            tie(scene.config, report.tie),
            words::state(report.role),
            if report.ready { "" } else { "not " },
            or_never(sources.since(sight.heard_at)),
        );
        let figures = Figures::default()
            .number("peer_priority", f64::from(report.priority.get()))
            .number("peer_term", f64::from(report.term))
            .is("ranks_above", above)
            .is("ready", report.ready)
            .is("hears_us", sight.hears_us)
            .ms_if("age_ms", sources.since(sight.heard_at));
        lines.add(text, figures);
    }
}

/// The tie-break as the address that it is.
fn tie(config: &GroupConfig, tie: u128) -> String {
    let v4 = config.routers.first().is_none_or(|r| r.family == evergate_core::ident::Family::V4);
    let address = match u32::try_from(tie) {
        Ok(bits) if v4 => IpAddr::V4(Ipv4Addr::from(bits)),
        _ => IpAddr::V6(Ipv6Addr::from(tie)),
    };
    if tie == 0 { "unknown".to_owned() } else { address.to_string() }
}

/// The timers of VRRP, router by router.
pub(super) fn timers(sources: &Sources, scene: &Scene, group: &Group, lines: &mut Lines) {
    if let State::Active { advert_at, renew_at, .. } = group.state {
        let (advert, renew) = (advert_at.since(sources.now), renew_at.since(sources.now));
        let text = format!(
            "the next advert is due in {} of {}, the lease of {} is renewed in {}",
            words::span(advert),
            words::span(scene.config.advert),
            words::span(scene.lease),
            words::span(renew)
        );
        let figures = Figures::default()
            .ms("advert_remaining_ms", advert)
            .ms("advert_interval_ms", scene.config.advert)
            .ms("renew_remaining_ms", renew)
            .ms("lease_ms", scene.lease);
        return lines.add(text, figures);
    }
    let figures = Figures::default().ms("lease_ms", scene.lease);
    lines.add(
        format!("addresses would be held with a lease of {}", words::span(scene.lease)),
        figures,
    );
    for (position, router) in scene.config.routers.iter().enumerate() {
        let Some(speaker) = group.speakers.get(position) else { continue };
        let left = speaker.down_at.since(sources.now);
        let priority = group.priority(scene);
        let wait = priority.map(|priority| skew(router.version, priority, speaker.interval));
        let heard = speaker.heard.map(|heard| {
            let age = sources.now.since(heard.at);
            (
                format!(
                    "{} with priority {}, {} ago",
                    heard.source,
                    heard.priority,
                    words::span(age)
                ),
                age,
            )
        });
        let peer = group.peer_advert_at.get(position).copied().flatten();
        let text = format!(
            "down timer of {}: {} left ({} adverts of {} and {} skew); last advert of a \
             peer of ours {}, of another router {}",
            words::router(scene.config, RouterId::at(position)),
            words::span(left),
            scene.config.conduct.down_after,
            words::span(speaker.interval),
            words::span(wait.unwrap_or_default()),
            or_never(sources.since(peer)),
            heard.as_ref().map_or("never", |(text, _)| text),
        );
        let figures = Figures::default()
            .ms("down_remaining_ms", left)
            .ms("advert_interval_ms", speaker.interval)
            .ms_if("skew_ms", wait)
            .ms_if("peer_advert_age_ms", sources.since(peer))
            .ms_if("advert_age_ms", heard.map(|(_, age)| age));
        lines.add(text, figures);
    }
}

/// What operators and the configuration say about moving it.
pub(super) fn operator(sources: &Sources, scene: &Scene, group: &Group, lines: &mut Lines) {
    let name = &scene.config.name;
    let ours = group.held.map(|held| ("here".to_owned(), held.map(|end| end.since(sources.now))));
    let told = |(node, report): (NodeId, &GroupReport)| {
        let held = report.held.filter(|_| report.role == Role::Active)?;
        Some((format!("on {}", sources.name(node)), held))
    };
    for (place, held) in ours.into_iter().chain(group.living(scene).filter_map(told)) {
        let left = held.end();
        let end = left.map(|left| format!(", at most for {} more", words::span(left)));
        let text = format!(
            "held {place} by an operator's word until `evergate failback {name}`{}",
            end.unwrap_or_default()
        );
        let figures = Figures::default().is("held", true).ms_if("hold_remaining_ms", left);
        lines.add(text, figures);
    }
    let (text, figures) = match scene.config.failback {
        Failback::Manual => {
            ("failback is manual: priority alone moves nothing".to_owned(), Figures::default())
        }
        Failback::After(delay) => {
            let text = format!("failback is automatic after {}", words::span(delay));
            (text, Figures::default().ms("failback_delay_ms", delay))
        }
    };
    lines.add(text, figures);
    if let Some((node, since)) = group.better() {
        let ready = sources.now.since(since);
        let left = group.failback_at(scene.config).map(|at| at.since(sources.now));
        let end = left.map_or_else(
            || "and does not get it back by itself".to_owned(),
            |left| format!("and gets it back in {}", words::span(left)),
        );
        let text = format!(
            "{} ranks higher, has been ready for {} {end}",
            sources.name(node),
            words::span(ready)
        );
        let figures = Figures::default()
            .ms("better_ready_for_ms", ready)
            .ms_if("failback_remaining_ms", left);
        lines.add(text, figures);
    }
    handover(sources, group, lines);
}

fn handover(sources: &Sources, group: &Group, lines: &mut Lines) {
    if let Some(handover) = group.handover {
        let left = handover.until.since(sources.now);
        let origin = match handover.origin {
            Origin::Operator { .. } => "an operator here".to_owned(),
            Origin::Peer { node, .. } => format!("an operator on {}", sources.name(node)),
            Origin::Failback => "failback".to_owned(),
            Origin::Checks => "its checks, which fail here".to_owned(),
            Origin::Lock => "a lock".to_owned(),
            Origin::Shutdown => "the end of this daemon".to_owned(),
        };
        let text = format!(
            "it is being handed over to {} for {origin}; given up in {}",
            sources.name(handover.to),
            words::span(left)
        );
        lines.add(text, Figures::default().ms("handover_remaining_ms", left));
    }
    if let Some(node) = group.predecessor() {
        let text = format!("{} is about to let go after a planned handover", sources.name(node));
        lines.add(text, Figures::default());
    }
}

/// What the kernel owes us.
pub(super) fn kernel(sources: &Sources, scene: &Scene, group: &Group, lines: &mut Lines) {
    let (mut present, mut wanted) = (0_u32, 0_u32);
    for router in &scene.config.routers {
        for (address, _) in &router.addresses {
            wanted += 1;
            present += u32::from(sources.facts.present.contains(&(router.interface, *address)));
        }
    }
    let figures = Figures::default()
        .number("addresses", f64::from(wanted))
        .number("addresses_present", f64::from(present));
    lines.add(format!("the kernel has {present} of its {wanted} addresses"), figures);
    if let Some(asked) = group.kernel_pending() {
        let age = sources.now.since(asked);
        let text = format!("the kernel owes an answer for {}", words::span(age));
        lines.add(text, Figures::default().ms("kernel_pending_ms", age));
    }
    if let Some(at) = group.kernel_retry_at() {
        let left = at.since(sources.now);
        let text =
            format!("the kernel refused the addresses and is asked again in {}", words::span(left));
        lines.add(text, Figures::default().ms("kernel_retry_ms", left));
    }
    if let Some(at) = group.contested_until() {
        let left = at.since(sources.now);
        let text = format!("the addresses count as contested for another {}", words::span(left));
        lines.add(text, Figures::default().ms("contested_remaining_ms", left));
    }
}
