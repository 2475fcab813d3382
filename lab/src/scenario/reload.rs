//! A reload touches nothing that it does not change, whatever it does to the order of things.

use std::time::Duration;

use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::control::GROUP;
use crate::error::Result;
use crate::lab::{Lab, Subject};
use crate::load::Load;
use crate::probe::Probe;
use crate::topology::{Gateway, SERVER, VIRTUAL_LAN, VIRTUAL_WAN};
use crate::wait::{READY_LIMIT, SYNC_LIMIT};
use crate::watch::{AddressLog, AddressWatch};

/// The address of the group that comes and goes.
const VIRTUAL_DMZ: &str = "10.91.0.61";
/// Connections under the reloads.
const CONNECTIONS: usize = 50;
/// For so long the nodes have different configurations, and each step is watched afterwards.
const CALM: Duration = Duration::from_millis(1500);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "reload-touches-nothing",
    shows: "reloads that renumber groups and interfaces and change the heartbeat: nothing moves",
    needs: Needs::Daemon,
    long: false,
    test: touches_nothing,
}];

fn touches_nothing(bed: &Bed) -> Result<()> {
    let (mut lab, active) = bed.cluster(Config::example())?;
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(300), READY_LIMIT)?;
    let load = Load::start(&lab.topology, SERVER, CONNECTIONS)?;
    let (since, seen) = (probe.elapsed(), transitions(&lab)?);
    for (what, config) in steps() {
        let watch = AddressWatch::start(&lab)?;
        for gateway in lab.gateways() {
            lab.reload(gateway, &Subject::Evergate(config.clone()))?;
            clock::sleep(CALM);
        }
        // With a node that is nowhere the cluster is not complete.
        let now = match config.to_toml().contains("node.backup") {
            true => lab.one_holder()?.unwrap_or(active.other()),
            false => lab.wait_ready(READY_LIMIT)?,
        };
        claim(now == active, || format!("{what}: {now} is active now\n{}", lab.log_tails()))?;
        lab.wait_in_sync(SYNC_LIMIT)?;
        claim_untouched(&watch.stop()?, &lab, active, what)?;
        let dmz = lab.holders(VIRTUAL_DMZ)?.len();
        let wanted = usize::from(config.to_toml().contains(VIRTUAL_DMZ));
        claim(dmz == wanted, || format!("{what}: {VIRTUAL_DMZ} is on {dmz} gateways"))?;
    }
    let told = transitions(&lab)?;
    let new: Vec<&String> = told.iter().filter(|event| !seen.contains(event)).collect();
    claim(new.is_empty(), || format!("transitions: {new:?}\n{}", lab.log_tails()))?;
    let (record, report) = (probe.stop(), load.stop());
    let lost = record.lost_since(since);
    claim(lost == 0, || format!("{lost} probes lost, gaps: {:?}", record.gaps()))?;
    claim(report.all_alive(), || format!("{report:?}"))
}

/// Configurations, each applied on top of the one before.
fn steps() -> [(&'static str, Config); 6] {
    let dmz = "group.dmz.router.lan";
    let group = Config::example().with(dmz, "interface", "\"lan\"").with(dmz, "vrid", "61").with(
        dmz,
        "addresses",
        &format!("[\"{VIRTUAL_DMZ}/24\"]"),
    );
    // Links come first and in the order of their names: wan becomes the first interface.
    let link = group.clone().with("link.extra", "interface", "\"wan\"");
    // Nodes are numbered in the order of their names: the new one comes first.
    let node = link.clone().with("node.backup", "priority", "50");
    let policy = node.clone().with("replicate", "coalesce", "\"5ms\"");
    let quick = policy.clone().with_heartbeat("5ms");
    [
        ("a group that sorts before the other", group),
        ("a link that gives the interfaces other numbers", link),
        ("a third node that gives the others new numbers", node),
        ("another window of replication", policy),
        ("half the heartbeat", quick),
        ("back to the example", Config::example()),
    ]
}

/// Neither kernel has removed, added or moved an address of the group that was there all the time.
fn claim_untouched(log: &AddressLog, lab: &Lab, active: Gateway, what: &str) -> Result<()> {
    for address in [VIRTUAL_LAN, VIRTUAL_WAN] {
        let (held, other) = (log.spans(active, address), log.spans(active.other(), address));
        let untouched = held == [(log.start_us, log.end_us)] && other.is_empty();
        claim(untouched, || {
            format!(
                "{what}: {address} on {active} in {held:?} of {:?}, on the other in {other:?}\n{}",
                (log.start_us, log.end_us),
                lab.log_tails()
            )
        })?;
    }
    Ok(())
}

/// Every change of the group's role that a node has told so far, by its number.
fn transitions(lab: &Lab) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for gateway in lab.gateways() {
        let events = lab.control(gateway)?.events()?.into_iter();
        let ours =
            events.filter(|event| event.group.as_deref() == Some(GROUP) && event.event == "state");
        told.extend(ours.map(|event| format!("{gateway} {}: {}", event.seq, event.text)));
    }
    Ok(told)
}
