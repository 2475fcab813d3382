//! What `[replicate]` leaves out, and how strictly a connection is resumed.

use super::stateful::{power_cut, trial_in, v4};
use super::stateful_flows::plan as flow_plan;
use super::{Bed, Needs, Scenario, claim};
use crate::config::Config;
use crate::conntrack;
use crate::error::Result;
use crate::firewall::Firewall;
use crate::load::{FlowKind, Flows, Load, PORT};
use crate::wait::SYNC_LIMIT;

/// Connections that stay.
const CONNECTIONS: usize = 200;
/// Flows of UDP from each address of the client, that have no mark.
const FLOWS: u16 = 20;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "stateful-marks",
        shows: "of marked and other connections the marked ones are replicated, and no other",
        needs: Needs::Daemon,
        long: false,
        test: marks,
    },
    Scenario {
        name: "stateful-strict",
        shows: "200 connections live through a power cut with sequence numbers checked at once",
        needs: Needs::Daemon,
        long: false,
        test: strict,
    },
];

/// The connections that stay have the mark, the flows of UDP have another one.
fn marks(bed: &Bed) -> Result<()> {
    let config = Config::example().with("replicate", "marks", "[\"0x1/0xf\"]");
    let (lab, active) = bed.stateful(config, Firewall::snat())?;
    let rules = format!(
        "table inet marks {{\n  chain marking {{\n    type filter hook prerouting priority mangle;\n    \
         tcp dport {PORT} ct mark set 0x21\n    meta l4proto udp ct mark set 0x22\n  }}\n}}\n"
    );
    for gateway in lab.gateways() {
        lab.topology.gateway(gateway).run("nft", &["-f", "-"], &rules)?;
    }
    let udp = Flows::start(&lab.topology, &flow_plan(FlowKind::Udp, FLOWS))?;
    let plan = v4(CONNECTIONS);
    let result = trial_in(lab, active, &plan, |lab, active, load: &Load| {
        let snapshot = lab.snapshot()?;
        let copies = snapshot.known.get(&active.other()).cloned().flatten();
        let copies = copies.and_then(|known| known.replica);
        let opened = load.opened() as u64;
        claim(copies == Some(opened), || {
            format!("{copies:?} connections are replicated, not the {opened} with the mark")
        })?;
        let states = snapshot.facts.states.get(&active).copied().unwrap_or(0);
        let least = opened + 2 * u64::from(FLOWS);
        claim(states >= least, || format!("{states} states on {active}, not {least} or more"))?;
        power_cut(lab, active)
    });
    drop(udp.stop());
    result
}

fn strict(bed: &Bed) -> Result<()> {
    for (word, is_strict) in [("flexible", false), ("strict", true)] {
        let config = Config::example().with("replicate", "recovery", &format!("\"{word}\""));
        let (lab, active) = bed.stateful(config, Firewall::snat())?;
        trial_in(lab, active, &v4(CONNECTIONS), |lab, active, load| {
            lab.wait_in_sync(SYNC_LIMIT)?;
            let liberal = conntrack::liberal(lab.topology.gateway(active.other()))?;
            let expected = if is_strict { 0 } else { load.opened() };
            claim(liberal == expected, || {
                format!("{word}: {liberal} of {} copies are not checked", load.opened())
            })?;
            power_cut(lab, active)
        })?;
    }
    Ok(())
}
