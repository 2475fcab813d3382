//! One group for people: where it is and why, every node, every address as the kernel has it.

use evergate_api::status::{
    AddressStatus, GroupNode, GroupState, GroupStatus, PhasesMs, ProceduresStatus, RouterStatus,
    Status,
};

use super::age;
use super::page::{Page, Span, Style, dim, plain, strong};

/// The block of one group.
pub fn render(page: &mut Page, group: &GroupStatus, status: &Status) {
    let several: Vec<&str> = group
        .nodes
        .iter()
        .filter(|node| node.state == Some(GroupState::Active))
        .map(|node| node.node.as_str())
        .collect();
    let active = match &group.active_node {
        _ if several.len() > 1 => {
            Span::new(Style::Bad, format!("ACTIVE ON {}", several.join(" AND ")))
        }
        Some(node) => plain(format!("active on {node}")),
        None => Span::new(Style::Bad, "active on no node that is known here"),
    };
    page.line([
        strong(format!("group {}", group.name)),
        plain("  "),
        active,
        dim(format!("  ({})", group.election)),
    ]);
    here(page, group, status);
    page.blank();
    page.table(2, &nodes(group, status));
    page.blank();
    page.table(2, &addresses(&group.routers));
    if let Some(last) = &group.last_handover {
        let phases = phases(&last.phases_ms).map(|text| format!(": {text}")).unwrap_or_default();
        page.line([dim(format!("  last handover #{}, {}{phases}", last.seq, last.cause))]);
    }
    if let Some(procedures) = &group.procedures {
        self::procedures(page, procedures);
    }
}

/// What runs, and each procedure that has not ended well; the others are counted.
fn procedures(page: &mut Page, procedures: &ProceduresStatus) {
    let well = procedures.ended.iter().filter(|ended| ended.ok).count();
    let waiting = match procedures.waiting {
        0 => String::new(),
        count => format!(", {count} transitions wait"),
    };
    let running = match &procedures.running {
        Some(name) => format!(", {name} runs{waiting}"),
        None => String::new(),
    };
    let text = format!("  procedures ({}): {well} ended well{running}", procedures.to);
    page.line([dim(text)]);
    for ended in procedures.ended.iter().filter(|ended| !ended.ok) {
        let name = Span::new(Style::Bad, format!("  {} failed: ", ended.procedure));
        page.line([name, plain(&ended.text)]);
    }
}

/// What is true of this node: its state and reasons, its priority, a hold.
fn here(page: &mut Page, group: &GroupStatus, status: &Status) {
    let lasting = |since: &Option<String>| {
        since.as_deref().and_then(|since| age::lasting(since, &status.time))
    };
    page.line([
        plain(format!("  {}: ", status.node)),
        state(&group.state),
        plain(lasting(&group.since).map(|span| format!(" for {span}")).unwrap_or_default()),
        plain(format!(", priority {}", priority(group))),
    ]);
    for reason in &group.reasons {
        page.line([
            Span::new(Style::Warn, format!("  {}: ", reason.code)),
            plain(&reason.text),
            dim(lasting(&reason.since).map(|span| format!(" (for {span})")).unwrap_or_default()),
        ]);
    }
    if let Some(held) = &group.held {
        let until = match &held.until {
            Some(until) => format!("until {} UTC", age::clock(until)),
            None => "until the active node fails or someone says otherwise".to_owned(),
        };
        page.line([
            Span::new(Style::Warn, "  held: "),
            plain(format!("switched over by {}; stays {until}", held.by)),
        ]);
        page.next(4, &format!("evergate failback {}", group.name));
    }
}

/// The priority with its arithmetic.
fn priority(group: &GroupStatus) -> String {
    let terms: Vec<String> = group
        .priority_terms
        .iter()
        .filter(|term| term.weight != 0)
        .map(|term| {
            let sign = if term.weight < 0 { '-' } else { '+' };
            format!(" {sign} {} {}", term.weight.unsigned_abs(), term.check)
        })
        .collect();
    if terms.is_empty() && group.priority == group.priority_base {
        return group.priority.to_string();
    }
    format!("{} = {}{}", group.priority, group.priority_base, terms.concat())
}

fn nodes(group: &GroupStatus, status: &Status) -> Vec<Vec<Span>> {
    let mut rows = vec![["node", "state", "priority", "can take over", "heard"].map(dim).to_vec()];
    rows.extend(group.nodes.iter().map(|node| {
        let own = node.node == status.node;
        vec![
            plain(&node.node),
            node.state.as_ref().map_or_else(|| Span::new(Style::Warn, "unknown"), state),
            plain(node.priority.map_or("?".to_owned(), |priority| priority.to_string())),
            can_take_over(node),
            if own { dim("this node") } else { plain(age::ago(node.age_ms)) },
        ]
    }));
    rows
}

fn can_take_over(node: &GroupNode) -> Span {
    match (&node.state, node.ready) {
        (Some(GroupState::Active), _) => plain("serves"),
        (_, Some(true)) => Span::new(Style::Good, "yes"),
        (_, Some(false)) => Span::new(Style::Bad, "no"),
        (_, None) => Span::new(Style::Warn, "unknown"),
    }
}

fn addresses(routers: &[RouterStatus]) -> Vec<Vec<Span>> {
    let head = ["address", "router", "interface", "vrid", "in the kernel here"];
    let mut rows = vec![head.map(dim).to_vec()];
    for router in routers {
        let vrid = match (router.vrid, router.version) {
            (Some(vrid), Some(version)) => format!("{vrid} (v{version})"),
            (Some(vrid), None) => vrid.to_string(),
            (None, _) => "none".to_owned(),
        };
        rows.extend(router.addresses.iter().map(|address| {
            vec![
                plain(&address.address),
                plain(&router.name),
                plain(&router.interface),
                plain(&vrid),
                present(address, &router.state),
            ]
        }));
    }
    rows
}

/// Is the address where the state says?
fn present(address: &AddressStatus, state: &GroupState) -> Span {
    match (address.present, state) {
        (None, _) => Span::new(Style::Warn, "unknown"),
        (Some(true), GroupState::Active) => Span::new(Style::Good, "yes"),
        (Some(false), GroupState::Active) => Span::new(Style::Bad, "NO, though active"),
        (Some(true), GroupState::Claiming | GroupState::Releasing | GroupState::Other(_)) => {
            plain("yes")
        }
        (Some(true), _) => Span::new(Style::Bad, format!("YES, though {state}")),
        (Some(false), _) => plain("no"),
    }
}

/// A state in its style.
pub fn state(state: &GroupState) -> Span {
    let style = match state {
        GroupState::Active => Style::Good,
        GroupState::Standby => Style::Plain,
        GroupState::Fault => Style::Bad,
        _ => Style::Warn,
    };
    Span::new(style, state.as_str())
}

/// The phases of a handover: the whole, then its parts; none if nothing was measured.
pub fn phases(phases: &PhasesMs) -> Option<String> {
    let parts = [
        ("detect", phases.detect),
        ("claim", phases.claim),
        ("states", phases.states),
        ("addresses", phases.addresses),
        ("announce", phases.announce),
        ("procedures", phases.procedures),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter_map(|(name, ms)| ms.map(|ms| format!("{name} {}", short(ms))))
        .collect();
    match (phases.total, parts.is_empty()) {
        (Some(total), false) => Some(format!("{} ms: {}", short(total), parts.join(", "))),
        (Some(total), true) => Some(format!("{} ms", short(total))),
        (None, false) => Some(format!("{} (ms)", parts.join(", "))),
        (None, true) => None,
    }
}

/// Milliseconds with one digit behind the point, where it says anything.
fn short(ms: f64) -> String {
    let text = format!("{ms:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
