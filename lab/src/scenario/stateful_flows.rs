//! What has no connection but a state: UDP and pings behind address translation.

use std::time::Duration;

use super::stateful::{CALM, addresses, virtual_address};
use super::{Bed, claim};
use crate::clock;
use crate::config::Config;
use crate::error::Result;
use crate::firewall::Firewall;
use crate::lab::Lab;
use crate::load::{FlowKind, FlowPlan, FlowReport, Flows};
use crate::topology::{CLIENT, CLIENT_TWIN, Gateway, SERVER};
use crate::wait::SYNC_LIMIT;
use crate::wire::Wire;

/// Flows of each kind from each of the client's two addresses.
const FLOWS: u16 = 100;
/// How often each asks.
const EVERY: Duration = Duration::from_millis(500);
/// Time for every flow to ask after the takeover.
const AFTER: Duration = Duration::from_secs(2);

/// Flows of a kind from both addresses of the client, with the same ports or identifiers.
pub(super) fn plan(kind: FlowKind, flows: u16) -> FlowPlan {
    let sources = addresses(&[CLIENT, CLIENT_TWIN]);
    FlowPlan { kind, target: addresses(&[SERVER])[0], sources, flows, every: EVERY }
}

/// Flows of both kinds live through something that happens to the active gateway, each as the server knew it.
pub(super) fn flows(bed: &Bed, act: impl FnOnce(&mut Lab, Gateway) -> Result<()>) -> Result<()> {
    let (mut lab, active) = bed.stateful(Config::example(), Firewall::snat())?;
    let wire = Wire::start(&lab.topology)?;
    let (udp_plan, ping_plan) = (plan(FlowKind::Udp, FLOWS), plan(FlowKind::Ping, FLOWS));
    let udp = Flows::start(&lab.topology, &udp_plan)?;
    let pings = Flows::start(&lab.topology, &ping_plan)?;
    clock::sleep(EVERY + CALM);
    lab.wait_in_sync(SYNC_LIMIT)?;
    let at = clock::now();
    act(&mut lab, active)?;
    clock::sleep(AFTER);
    let (udp, pings) = (udp.stop(), pings.stop());
    let idents = wire.stop().pings;
    let fresh = idents.values().filter(|first| **first > at).count();
    println!("      UDP {udp:?}");
    println!("      pings {pings:?}; {} identifiers, {fresh} of them new", idents.len());
    for (name, report) in [("UDP", &udp), ("pings", &pings)] {
        claim(report.silent == 0 && report.corrupted == 0, || format!("{name}: {report:?}"))?;
    }
    let moved = udp.moved;
    claim(moved == 0, || format!("{moved} of {} flows of UDP got another port", udp.flows))?;
    claim(fresh == 0, || format!("{fresh} identifiers of pings are new to the server"))?;
    translated(&udp, virtual_address(udp_plan.target) == Vec::from_iter(udp.seen_from.clone()))
}

/// The translator had to choose for one of two equal ports, and hid the client.
pub(super) fn translated(udp: &FlowReport, hidden: bool) -> Result<()> {
    claim(udp.translated * 2 >= udp.flows, || {
        format!("only {} of {} flows were given another port", udp.translated, udp.flows)
    })?;
    claim(hidden, || format!("the server was reached from {:?}", udp.seen_from))
}
