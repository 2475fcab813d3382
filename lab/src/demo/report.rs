//! The end of the show: what the client saw, in figures.

use std::path::Path;

use evergate_api::status::PhasesMs;

use crate::clock::ms;
use crate::figures::{bytes, count, millis};
use crate::replication::{Known, Snapshot, Story};
use crate::run::Outcome;
use crate::terminal::{Screen, Tone};
use crate::topology::is_virtual;

/// Cells of the strip of probes.
const STRIP_CELLS: usize = 56;

/// Prints the report of an outcome.
pub fn print(screen: &mut Screen, outcome: &Outcome, chart: &Path) {
    screen.line("");
    heading(screen, "What the client saw");
    let lost = outcome.record.lost();
    let tone = if lost == 0 { Tone::Good } else { Tone::Strong };
    let outage = screen.paint(tone, &millis(outcome.outage_ms()));
    entry(screen, "outage", &outage);
    let sent = outcome.record.samples.len();
    entry(screen, "probes", &format!("{} of {} lost", count(lost as u64), count(sent as u64)));
    if let Some(load) = &outcome.load {
        let tone = if load.all_alive() { Tone::Good } else { Tone::Bad };
        let alive = screen.paint(tone, &format!("{} of {} alive", load.alive, load.opened));
        let checked = bytes(load.bytes_checked);
        entry(screen, "connections", &format!("{alive}, {checked} checked byte by byte"));
    }
    if let Some(story) = &outcome.story {
        lost_on_the_way(screen, story, outcome.opened());
    }
    if let Some(strip) = strip(screen, outcome) {
        entry(screen, "", &strip);
    }
    screen.line("");
    if let Some(story) = &outcome.story {
        heading(screen, "Connections that the gateways knew, own and copies of the other's");
        table(screen, story);
        screen.line("");
    }
    heading(screen, "How it went, in milliseconds after the fault");
    for (at, text) in story(outcome) {
        screen.line(&format!("   {at:>+11.1}   {text}"));
    }
    if let Some(phases) = &outcome.phases {
        entry(screen, "phases", &phase_line(phases));
    }
    if let Some(dead_time) = outcome.dead_time_ms {
        entry(screen, "dead time", &format!("{} in force before the fault", millis(dead_time)));
    }
    entry(screen, "chart", &chart.display().to_string());
    screen.line("");
    let verdict = verdict(screen, outcome);
    screen.line(&format!("   {verdict}"));
    screen.line("");
}

/// What a firewall adds to what the client saw.
fn lost_on_the_way(screen: &mut Screen, story: &Story, connections: usize) {
    let seen = &story.sightings;
    let tone = if seen.resets() == 0 { Tone::Good } else { Tone::Bad };
    let resets = screen.paint(tone, &seen.resets().to_string());
    let ends = format!("(client {}, server {})", seen.client_resets, seen.server_resets);
    entry(screen, "resets", &format!("{resets} seen {ends}"));
    let each = story.invalid_per_connection(connections);
    let each = each.map_or_else(String::new, |each| format!(", {each:.2} for each connection"));
    let packets = count(story.invalid());
    entry(screen, "invalid", &format!("{packets} packets dropped by the firewalls{each}"));
}

fn table(screen: &mut Screen, story: &Story) {
    let head = format!("{:<34}  {}", "before the fault", "after the recovery");
    let head = screen.paint(Tone::Quiet, &head);
    entry(screen, "", &head);
    for (gateway, before) in &story.before.known {
        let after = story.after.known.get(gateway).and_then(Option::as_ref);
        let (before, after) = (known(before.as_ref()), known(after));
        entry(screen, &gateway.to_string(), &format!("{before:<34}  {after}"));
    }
    let [before, after] = [whole(&story.before), whole(&story.after)];
    let tone = if story.before.is_whole() { Tone::Good } else { Tone::Bad };
    let before = screen.paint(tone, &format!("{before:<34}"));
    entry(screen, "copies", &format!("{before}  {after}"));
}

/// The connections that one daemon tells of.
pub fn known(known: Option<&Known>) -> String {
    match known {
        None => "does not answer".to_owned(),
        Some(Known { local: None, .. }) => "replicates nothing".to_owned(),
        Some(Known { local: Some(local), replica, .. }) => {
            let copies = replica.unwrap_or(0);
            let word = if copies == 1 { "copy" } else { "copies" };
            format!("has {} own, {} {word}", count(*local), count(copies))
        }
    }
}

fn whole(snapshot: &Snapshot) -> &'static str {
    let told = || snapshot.known.values().flatten();
    if snapshot.is_whole() {
        "whole (in_sync)"
    } else if told().all(|known| known.local.is_none()) {
        "none"
    } else if told().all(|known| known.in_sync.is_none()) {
        "nobody to copy to"
    } else {
        "not whole"
    }
}

fn heading(screen: &mut Screen, text: &str) {
    let text = screen.paint(Tone::Strong, text);
    screen.line(&format!("   {text}"));
}

fn entry(screen: &mut Screen, name: &str, text: &str) {
    let name = screen.paint(Tone::Quiet, &format!("{name:<12}"));
    screen.line(&format!("   {name}  {text}"));
}

fn verdict(screen: &Screen, outcome: &Outcome) -> String {
    let server = outcome.successor.map_or("nobody".to_owned(), |gateway| gateway.to_string());
    if outcome.is_good() {
        let text = format!("{server} serves; nothing was lost that TCP could not repeat.");
        return screen.paint(Tone::Good, &text);
    }
    let text = if outcome.recovered {
        format!("{server} serves, but not every connection lived.")
    } else {
        "The service did not come back.".to_owned()
    };
    screen.paint(Tone::Bad, &text)
}

/// The moments worth telling, in order.
fn story(outcome: &Outcome) -> Vec<(f64, String)> {
    let mut story = Vec::new();
    if let Some(gap) = outcome.record.longest() {
        story.push((ms(gap.from) - ms(outcome.at), "the last probe is answered".to_owned()));
        if outcome.recovered {
            story.push((ms(gap.to) - ms(outcome.at), "probes are answered again".to_owned()));
        }
    }
    for (at, node, address, present) in outcome.address_moves() {
        // A machine without power tells nothing of its own.
        let relevant = present || Some(node) != outcome.successor;
        let dead = outcome.act == crate::run::Act::Power && node == outcome.victim;
        if relevant && !dead && is_virtual(&address) {
            let verb = if present { "has" } else { "gives up" };
            story.push((at, format!("{node} {verb} {address}")));
        }
    }
    story.sort_by(|one, other| one.0.total_cmp(&other.0));
    story
}

/// The phases that were measured, in one line.
pub fn phase_line(phases: &PhasesMs) -> String {
    let named = [
        ("detect", phases.detect),
        ("claim", phases.claim),
        ("states", phases.states),
        ("addresses", phases.addresses),
        ("announce", phases.announce),
        ("procedures", phases.procedures),
        ("total", phases.total),
    ];
    let told: Vec<String> =
        named.iter().filter_map(|(name, span)| Some(format!("{name} {:.1}", (*span)?))).collect();
    told.join(", ")
}

/// Probes around the gap, one cell for some milliseconds: full if all came back.
fn strip(screen: &Screen, outcome: &Outcome) -> Option<String> {
    let gap = outcome.record.longest()?;
    let cell = gap.length().mul_f64(2.0) / u32::try_from(STRIP_CELLS).ok()?;
    let cell = cell.max(crate::probe::SPACING);
    let first = gap.from.saturating_sub(cell * u32::try_from(STRIP_CELLS).ok()? / 4);
    let mut cells = Vec::new();
    for index in 0..u32::try_from(STRIP_CELLS).ok()? {
        let (from, to) = (first + cell * index, first + cell * (index + 1));
        let inside = outcome.record.samples.iter().filter(|one| (from..to).contains(&one.sent));
        let (lost, all) = inside
            .fold((0, 0), |(lost, all), one| (lost + usize::from(one.answered.is_none()), all + 1));
        cells.push(match (lost, all) {
            (_, 0) => None,
            (lost, _) => Some(lost > 0),
        });
    }
    let draw = |cell: &Option<bool>| match cell {
        Some(true) => screen.paint(Tone::Bad, "·"),
        Some(false) => screen.paint(Tone::Good, "▪"),
        None => " ".to_owned(),
    };
    let drawn: String = cells.iter().map(draw).collect();
    Some(format!("{drawn}  {} a mark", millis(ms(cell))))
}
