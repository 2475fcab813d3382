//! The status for people: who I am and the verdict, what is wrong, then the groups and the peers.

use evergate_api::status::{Blocker, GroupState, GroupStatus, Status, Verdict};

use super::page::{Page, Span, Style, dim, plain, strong};
use super::{age, group, peers};

/// The whole page.
pub fn render(status: &Status, color: bool) -> String {
    let mut page = Page::new(color);
    header(&mut page, status);
    blockers(&mut page, status);
    for one in &status.groups {
        page.blank();
        group::render(&mut page, one, status);
    }
    page.blank();
    peers::peers(&mut page, &status.peers);
    page.blank();
    peers::replication(&mut page, status);
    page.line([dim(format!(
        "evergated {}, configuration {} (generation {}), event #{}, as of {} UTC",
        status.version,
        status.config.hash,
        status.config.generation,
        status.seq,
        age::clock(&status.time)
    ))]);
    page.finish()
}

fn header(page: &mut Page, status: &Status) {
    page.line([
        plain("cluster "),
        strong(&status.cluster),
        plain(" / node "),
        strong(&status.node),
        plain(" / "),
        role(&status.groups),
        plain(" / "),
        verdict(&status.verdict),
    ]);
    page.line([plain(sentence(status))]);
}

fn role(groups: &[GroupStatus]) -> Span {
    match groups {
        [] => dim("no group"),
        [one] => group::state(&one.state),
        many => {
            let active = many.iter().filter(|one| one.state == GroupState::Active).count();
            plain(format!("active in {active} of {} groups", many.len()))
        }
    }
}

fn verdict(verdict: &Verdict) -> Span {
    let style = match verdict {
        Verdict::Ready => Style::Good,
        Verdict::Unverified | Verdict::Degraded | Verdict::Other(_) => Style::Warn,
        Verdict::Down | Verdict::Split => Style::Bad,
    };
    Span::new(style, verdict.as_str().to_uppercase())
}

fn sentence(status: &Status) -> String {
    match &status.verdict {
        Verdict::Ready => "Pull any plug: every group has a standby that can take over now.".into(),
        Verdict::Degraded => "Everything is served, but a takeover could fail.".into(),
        Verdict::Unverified => {
            "Everything is served. The only standbys are of another make; what they could do is \
             not known."
                .into()
        }
        Verdict::Down => format!("NOBODY SERVES {}.", names(status, |count| count == 0)),
        Verdict::Split => {
            format!("TWO NODES ARE ACTIVE in {}: who is reached is a matter of chance.", {
                names(status, |count| count > 1)
            })
        }
        Verdict::Other(word) => {
            format!("The daemon is newer than this command, which does not know `{word}`.")
        }
    }
}

/// The groups of which so many nodes are active.
fn names(status: &Status, wanted: impl Fn(usize) -> bool) -> String {
    let active = |one: &GroupStatus| {
        let nodes = one.nodes.iter().filter(|node| node.state == Some(GroupState::Active)).count();
        // A foreign router that is active has no row of its own.
        if nodes == 0 { usize::from(one.active_node.is_some()) } else { nodes }
    };
    let names: Vec<&str> = status
        .groups
        .iter()
        .filter(|one| wanted(active(one)))
        .map(|one| one.name.as_str())
        .collect();
    if names.is_empty() { "a group".to_owned() } else { names.join(", ") }
}

fn blockers(page: &mut Page, status: &Status) {
    if status.blockers.is_empty() {
        return;
    }
    page.blank();
    for blocker in &status.blockers {
        let since = blocker.since.as_deref().and_then(|since| age::lasting(since, &status.time));
        let since = since.map(|span| format!(" (for {span})")).unwrap_or_default();
        page.line([Span::new(Style::Warn, "  ! "), plain(&blocker.text), dim(since)]);
    }
    let mut told: Vec<String> = Vec::new();
    for next in status.blockers.iter().map(|blocker| next(blocker, status)) {
        if !told.contains(&next) {
            page.next(4, &next);
            told.push(next);
        }
    }
}

/// The next command to type.
fn next(blocker: &Blocker, status: &Status) -> String {
    let on = match &blocker.node {
        Some(node) if *node != status.node => format!("on {node}: "),
        _ => String::new(),
    };
    match (blocker.code.as_str(), &blocker.group) {
        ("locked" | "operator", Some(group)) => format!("{on}evergate unlock {group}"),
        ("locked" | "operator", None) => format!("{on}evergate unlock"),
        ("config-differs", _) => {
            "copy the same file to every node, then on each: evergate reload".to_owned()
        }
        (_, Some(group)) => format!("evergate why {group}"),
        (_, None) => "evergate events".to_owned(),
    }
}
