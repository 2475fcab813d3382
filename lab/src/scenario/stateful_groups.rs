//! Two groups, each with connections of its own, active on different gateways.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::speed::switch_group;
use super::stateful::{addresses, all_speak, power_cut};
use super::stateful_flows::plan as flow_plan;
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::error::Result;
use crate::firewall::Firewall;
use crate::lab::{Lab, Subject};
use crate::load::{FlowKind, Flows, Load, LoadPlan};
use crate::topology::{CLIENT, CLIENT_TWIN, Gateway, SERVER, VIRTUAL_WAN};
use crate::wait::{READY_LIMIT, SYNC_LIMIT};
use crate::wire::Wire;

/// The second group, and its addresses.
const SECOND: &str = "second";
const SECOND_LAN: &str = "10.91.0.4";
const SECOND_WAN: &str = "10.92.0.4";
/// Connections, half of them through each group.
const CONNECTIONS: usize = 200;
/// Flows of UDP from each address of the client.
const FLOWS: u16 = 50;
/// How long the kernels remember a flow of UDP without packets, in seconds.
const UDP_TIMEOUT_S: &str = "4";
/// Time for the former gateway to forget flows that have moved away.
const FORGETS: Duration = Duration::from_secs(7);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "stateful-two-groups",
    shows: "of two groups one moves with its connections and the other stays; then power is cut",
    needs: Needs::Daemon,
    long: false,
    test: two_groups,
}];

fn config() -> Config {
    let router = |name: &str| format!("group.{SECOND}.router.{name}");
    let address = |address: &str| format!("[\"{address}/24\"]");
    Config::example()
        .with(&router("lan"), "interface", "\"lan\"")
        .with(&router("lan"), "vrid", "61")
        .with(&router("lan"), "addresses", &address(SECOND_LAN))
        .with(&router("wan"), "interface", "\"wan\"")
        .with(&router("wan"), "vrid", "62")
        .with(&router("wan"), "addresses", &address(SECOND_WAN))
}

/// The client's second address goes through the second group, out and back.
fn set_up(lab: &Lab) -> Result<()> {
    let rule = format!("rule add from {CLIENT_TWIN} lookup 91\n");
    let route = format!("route add default via {SECOND_LAN} table 91\n");
    lab.topology.client.ip_batch(&(rule + &route))?;
    for gateway in lab.gateways() {
        let namespace = lab.topology.gateway(gateway);
        let insert = format!(
            "insert rule inet evergate_lab postrouting oifname \"wan\" ip saddr {CLIENT_TWIN} \
             snat ip to {SECOND_WAN}\n"
        );
        namespace.run("nft", &["-f", "-"], &insert)?;
        for key in
            ["netfilter/nf_conntrack_udp_timeout", "netfilter/nf_conntrack_udp_timeout_stream"]
        {
            namespace.sysctl(key, UDP_TIMEOUT_S)?;
        }
    }
    Ok(())
}

fn two_groups(bed: &Bed) -> Result<()> {
    let mut lab = bed.stateful_lab(Firewall::snat())?;
    set_up(&lab)?;
    lab.start_all(&Subject::Evergate(config()))?;
    let active = lab.wait_ready(READY_LIMIT)?;
    lab.wait_in_sync(SYNC_LIMIT)?;
    let wire = Wire::start(&lab.topology)?;
    let plan =
        LoadPlan::quiet(addresses(&[SERVER])[0], &addresses(&[CLIENT, CLIENT_TWIN]), CONNECTIONS);
    let load = Load::begin(&lab.topology, &plan)?;
    let udp = Flows::start(&lab.topology, &flow_plan(FlowKind::Udp, FLOWS))?;
    clock::sleep(Duration::from_secs(1));
    lab.wait_in_sync(SYNC_LIMIT)?;
    let acted = disturb(&mut lab, active, &load);
    let sightings = wire.stop();
    let (report, udp) = (load.stop(), udp.stop());
    println!("      {report:?}; UDP {udp:?}; {sightings:?}");
    acted?;
    claim(report.all_alive() && sightings.resets() == 0, || "connections died".to_owned())?;
    let (silent, corrupted, moved) = (udp.silent, udp.corrupted, udp.moved);
    claim(silent == 0 && corrupted == 0 && moved == 0, || "flows of UDP died or moved".to_owned())?;
    let seen: BTreeSet<IpAddr> = report.seen_from.iter().copied().collect();
    let expected: BTreeSet<IpAddr> = addresses(&[VIRTUAL_WAN, SECOND_WAN]).into_iter().collect();
    claim(seen == expected, || format!("the server was reached from {seen:?}"))
}

fn disturb(lab: &mut Lab, active: Gateway, load: &Load) -> Result<()> {
    for (from, when) in [(active, "moved"), (active.other(), "come back"), (active, "moved again")]
    {
        switch_group(lab, from, SECOND)?;
        clock::sleep(FORGETS);
        all_speak(load, || format!("after the second group has {when}"))?;
        lab.wait_in_sync(SYNC_LIMIT)?;
    }
    power_cut(lab, active)?;
    all_speak(load, || "after the power cut".to_owned())
}
