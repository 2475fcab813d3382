//! The stateful lab without any daemon: does its ruleset let pass, translate, drop and count as it should?

use std::io::ErrorKind;
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::stateful::{addresses, judge, virtual_address};
use super::stateful_flows::{plan as flow_plan, translated};
use super::wiring::hold;
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::conntrack;
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::firewall::{Firewall, Nat, drops};
use crate::lab::Lab;
use crate::load::{FlowKind, FlowPlan, Flows, Load, LoadPlan};
use crate::topology::{
    CLIENT, CLIENT_TWIN, CLIENT6, CLIENT6_TWIN, GW1, GW2, SERVER, SERVER6, Segment, VIRTUAL_WAN,
};
use crate::wire::Wire;

/// Connections of each family.
const CONNECTIONS: usize = 60;
/// Flows from each address of the client.
const FLOWS: u16 = 20;
/// Time for everything to speak at least once.
const SHOW: Duration = Duration::from_millis(1300);
/// A port on which nobody listens.
const CLOSED_PORT: u16 = 9799;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lab-stateful",
        shows: "a strict gateway with SNAT passes, hides, drops and counts what it should",
        needs: Needs::Nothing,
        long: false,
        test: |bed| strict(bed, Firewall::snat()),
    },
    Scenario {
        name: "lab-stateful-masquerade",
        shows: "the same with masquerade",
        needs: Needs::Nothing,
        long: false,
        test: |bed| strict(bed, Firewall { nat: Nat::Masquerade, ..Firewall::snat() }),
    },
    Scenario {
        name: "lab-stateful-copied",
        shows: "with states that were copied by hand everything lives through a power cut",
        needs: Needs::Nothing,
        long: false,
        test: copied,
    },
];

fn strict(bed: &Bed, firewall: Firewall) -> Result<()> {
    let lab = bed.stateful_lab(firewall)?;
    hold(&lab, GW1)?;
    everything_passes(&lab)?;
    unsolicited_is_refused(&lab)?;
    resets_are_seen(&lab)?;
    without_state_is_invalid(&lab)
}

fn load(target: &str, sources: &[&str]) -> LoadPlan {
    LoadPlan::quiet(addresses(&[target])[0], &addresses(sources), CONNECTIONS).with_churn(50)
}

fn family(kind: FlowKind, target: &str, sources: &[&str]) -> FlowPlan {
    let (target, sources) = (addresses(&[target])[0], addresses(sources));
    FlowPlan { target, sources, ..flow_plan(kind, FLOWS) }
}

/// Connections, UDP and pings of both families work, the server sees one address, and nothing is dropped.
fn everything_passes(lab: &Lab) -> Result<()> {
    let wire = Wire::start(&lab.topology)?;
    for (target, sources) in [(SERVER, [CLIENT, CLIENT_TWIN]), (SERVER6, [CLIENT6, CLIENT6_TWIN])] {
        let load = Load::begin(&lab.topology, &load(target, &sources))?;
        let udp = Flows::start(&lab.topology, &family(FlowKind::Udp, target, &sources))?;
        let pings = Flows::start(&lab.topology, &family(FlowKind::Ping, target, &sources))?;
        clock::sleep(SHOW);
        let states = lab.facts()?.states[&GW1];
        let (load, udp, pings) = (load.stop(), udp.stop(), pings.stop());
        let churn = load.churn.clone().unwrap_or_default();
        claim(load.all_alive() && churn.failed() == 0 && churn.completed > 20, || {
            format!("{load:?}")
        })?;
        let expected = virtual_address(addresses(&[target])[0]);
        let seen: Vec<IpAddr> = load.seen_from.iter().copied().collect();
        claim(seen == expected, || format!("the server was reached from {seen:?}"))?;
        for (name, report) in [("UDP", &udp), ("pings", &pings)] {
            let good = report.silent == 0 && report.corrupted == 0 && report.answered > 40;
            claim(good && report.moved == 0, || format!("{name} to {target}: {report:?}"))?;
        }
        translated(&udp, Vec::from_iter(udp.seen_from.clone()) == expected)?;
        let least = (CONNECTIONS + 4 * usize::from(FLOWS)) as u64;
        claim(states >= least, || format!("{states} states for {least} flows"))?;
    }
    let facts = lab.facts()?;
    let sightings = wire.stop();
    claim(sightings.resets() == 0, || format!("{sightings:?}"))?;
    // Each identifier of the client comes as it is and, for its second address, as another in each family;
    // what the translator chooses may coincide.
    let pings = sightings.pings.len();
    claim(pings >= usize::from(FLOWS) * 3 - 2, || format!("{pings} identifiers of pings"))?;
    let invalid = facts.drops[&GW1].all_invalid();
    claim(invalid == 0, || format!("{invalid} invalid packets in calm: {facts:?}"))
}

/// What begins on `wan` does not come through, though the server knows a way.
fn unsolicited_is_refused(lab: &Lab) -> Result<()> {
    let failed = || LabError::io("an unsolicited datagram");
    let before = drops(lab.topology.gateway(GW1))?;
    lab.topology.server.ip_batch(&format!("route add 10.91.0.0/24 via {VIRTUAL_WAN}\n"))?;
    let bind = |address: &'static str| move || UdpSocket::bind((address, CLOSED_PORT));
    let receiver = lab.topology.client.enter(bind(CLIENT))?.map_err(failed())?;
    let sender = lab.topology.server.enter(bind(SERVER))?.map_err(failed())?;
    receiver.set_read_timeout(Some(Duration::from_millis(200))).map_err(failed())?;
    sender.send_to(b"hello", (CLIENT, CLOSED_PORT)).map_err(failed())?;
    let got = receiver.recv(&mut [0; 16]).map_err(|error| error.kind());
    lab.topology.server.ip_batch("route del 10.91.0.0/24\n")?;
    claim(matches!(got, Err(ErrorKind::WouldBlock)), || format!("it came through: {got:?}"))?;
    let refused = drops(lab.topology.gateway(GW1))?.refused - before.refused;
    claim(refused == 1, || format!("{refused} packets refused, not one"))
}

/// A reset that crosses the gateway is seen on both ends.
fn resets_are_seen(lab: &Lab) -> Result<()> {
    let wire = Wire::start(&lab.topology)?;
    let connect = || TcpStream::connect((SERVER, CLOSED_PORT)).map(drop);
    let refused = lab.topology.client.enter(connect)?;
    clock::sleep(Duration::from_millis(100));
    let seen = wire.stop();
    let good = refused.is_err() && seen.client_resets == 1 && seen.server_resets == 1;
    claim(good, || format!("{refused:?}, {seen:?}"))
}

/// A gateway that forgets its connections counts what comes as invalid, and no byte passes.
fn without_state_is_invalid(lab: &Lab) -> Result<()> {
    let gateway = lab.topology.gateway(GW1);
    let mut plan = load(SERVER, &[CLIENT]);
    plan.churn = None;
    let load = Load::begin(&lab.topology, &plan)?;
    clock::sleep(SHOW);
    let before = drops(gateway)?;
    conntrack::flush(gateway)?;
    let (_, bytes_before) = load.counts();
    clock::sleep(SHOW);
    let (_, bytes) = load.counts();
    let invalid = drops(gateway)?.all_invalid() - before.all_invalid();
    let report = load.abandon();
    claim(bytes_before > 0 && bytes == bytes_before, || {
        format!("{} bytes passed without a state", bytes - bytes_before)
    })?;
    claim(invalid >= CONNECTIONS as u64 && report.alive == 0, || {
        format!("{invalid} invalid packets; {report:?}")
    })
}

/// What a good takeover looks like, done by hand: the other side of every test that says "died".
fn copied(bed: &Bed) -> Result<()> {
    let masquerade = Firewall { nat: Nat::Masquerade, ..Firewall::snat() };
    copied_once(bed, Firewall::snat(), SERVER, [CLIENT, CLIENT_TWIN])?;
    copied_once(bed, masquerade, SERVER, [CLIENT, CLIENT_TWIN])?;
    copied_once(bed, Firewall::snat(), SERVER6, [CLIENT6, CLIENT6_TWIN])
}

fn copied_once(bed: &Bed, firewall: Firewall, target: &str, sources: [&str; 2]) -> Result<()> {
    let mut lab = bed.stateful_lab(firewall)?;
    hold(&lab, GW1)?;
    let mut plan = load(target, &sources);
    plan.churn = None;
    let wire = Wire::start(&lab.topology)?;
    let load = Load::begin(&lab.topology, &plan)?;
    let udp = Flows::start(&lab.topology, &family(FlowKind::Udp, target, &sources))?;
    let pings = Flows::start(&lab.topology, &family(FlowKind::Ping, target, &sources))?;
    clock::sleep(SHOW);
    let (before, at) = (lab.facts()?, clock::now());
    let copied = conntrack::copy(lab.topology.gateway(GW1), lab.topology.gateway(GW2))?;
    lab.inflict(&Fault::Power(GW1))?;
    hold(&lab, GW2)?;
    for (end, segment) in
        [(&lab.topology.client, Segment::Lan), (&lab.topology.server, Segment::Wan)]
    {
        end.ip_batch(&format!("neigh flush dev {segment}\n"))?;
    }
    clock::sleep(SHOW * 2);
    let after = lab.facts()?;
    let sightings = wire.stop();
    let (report, udp, pings) = (load.stop(), udp.stop(), pings.stop());
    let (figures, failures) = judge(&plan, &report, &sightings, &before, &after);
    println!("      {copied} states copied; {figures}");
    claim(failures.is_empty(), || failures.join("; "))?;
    let fresh = sightings.pings.values().filter(|first| **first > at).count();
    let good = udp.silent + udp.moved + pings.silent + fresh == 0 && udp.translated > 0;
    claim(good, || format!("{udp:?}; {pings:?}, {fresh} identifiers are new"))
}
