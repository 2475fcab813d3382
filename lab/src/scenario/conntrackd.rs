//! A pair of ours and of Debian's keepalived with conntrackd: connections live on whoever takes over.

use std::net::IpAddr;
use std::time::Duration;

use super::stateful::{CALM, addresses, judge, virtual_address};
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::conntrackd::{ConntrackdConfig, Mode, Transport};
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::firewall::Firewall;
use crate::lab::{Lab, Subject};
use crate::load::{Load, LoadPlan};
use crate::peer::PeerConfig;
use crate::topology::{
    CLIENT, CLIENT_TWIN, CLIENT6, CLIENT6_TWIN, GW1, GW2, Gateway, SERVER, SERVER6, Segment,
};
use crate::wait::SYNC_LIMIT;
use crate::wire::Wire;

/// A move that waits for adverts takes about four of them; twice that.
const MOVE: Duration = Duration::from_secs(9);
/// Connections that waited for seconds ask again at growing pauses.
const SPEAK: Duration = Duration::from_secs(25);
/// Connections of each family.
const CONNECTIONS: usize = 300;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

const fn scenario(
    name: &'static str,
    shows: &'static str,
    test: fn(&Bed) -> Result<()>,
) -> Scenario {
    Scenario { name, shows, needs: Needs::Conntrackd, long: false, test }
}

const FTFW: ConntrackdConfig =
    ConntrackdConfig { mode: Mode::Ftfw, transport: Transport::Multicast, external_cache: true };

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "conntrackd-ftfw",
        "300 connections behind SNAT live through a power cut, ours to theirs and theirs to ours",
        |bed| both_ways(bed, FTFW, false),
    ),
    scenario("conntrackd-ftfw-ipv6", "the same over IPv6, both caches and UDP", |bed| {
        both_ways(bed, ConntrackdConfig { transport: Transport::Udp, ..FTFW }, true)
    }),
    scenario(
        "conntrackd-ftfw-injecting",
        "the same where conntrackd puts states into its kernel at once",
        |bed| both_ways(bed, ConntrackdConfig { external_cache: false, ..FTFW }, false),
    ),
    scenario("conntrackd-notrack", "the same in mode NOTRACK", |bed| {
        both_ways(bed, ConntrackdConfig { mode: Mode::Notrack, ..FTFW }, false)
    }),
    scenario(
        "conntrackd-to-and-fro",
        "the same connections live while theirs is stopped and comes back, twice",
        to_and_fro,
    ),
];

/// Who runs what.
struct Pair {
    ours: Gateway,
    config: Config,
    peer: PeerConfig,
    conntrackd: ConntrackdConfig,
}

impl Pair {
    fn new(ours: Gateway, conntrackd: ConntrackdConfig, ipv6: bool) -> Self {
        let config = if ipv6 { Config::example().with_ipv6() } else { Config::example() };
        let config = config.with_conntrackd(&ours.other().to_string());
        let table = "replicate.conntrackd";
        let config = match conntrackd.mode {
            Mode::Ftfw => config,
            Mode::Notrack => config.with(table, "mode", "\"notrack\""),
        };
        let address = format!("\"{}\"", ours.other().address(Segment::Sync));
        let config = match conntrackd.transport {
            Transport::Multicast => config,
            Transport::Udp => config.with(table, "address", &address),
        };
        let peer = PeerConfig { version: 3, ipv6, ..PeerConfig::default() };
        Self { ours, config, peer, conntrackd }
    }

    fn start(&self, lab: &mut Lab, gateway: Gateway) -> Result<()> {
        if gateway == self.ours {
            lab.start(gateway, &Subject::Evergate(self.config.clone()))
        } else {
            lab.start(gateway, &Subject::Conntrackd(self.peer.clone(), self.conntrackd))
        }
    }

    /// Starts both; the first gateway serves.
    fn begin(&self, lab: &mut Lab) -> Result<()> {
        self.start(lab, GW1)?;
        lab.wait_holder(GW1, MOVE)?;
        self.start(lab, GW2)?;
        lab.wait_in_sync(SYNC_LIMIT)
    }

    /// Waits until our side knows so many connections as its own, or as copies.
    fn wait_known(&self, lab: &Lab, serves: bool, connections: usize) -> Result<()> {
        let least = connections as u64;
        let what = format!("ours to know {least} connections (serving: {serves})");
        clock::wait_for(&what, SYNC_LIMIT, LOOK, || {
            let Some(status) = lab.control(self.ours)?.status()? else { return Ok(None) };
            let known = &status.replication;
            let flows = if serves { known.flows_local } else { known.flows_replica };
            let whole = known.peers.iter().all(|peer| peer.in_sync == Some(true));
            Ok((whole && flows >= Some(least)).then_some(()))
        })
    }
}

fn plan(ipv6: bool) -> LoadPlan {
    let (target, sources): (IpAddr, _) = if ipv6 {
        (addresses(&[SERVER6])[0], addresses(&[CLIENT6, CLIENT6_TWIN]))
    } else {
        (addresses(&[SERVER])[0], addresses(&[CLIENT, CLIENT_TWIN]))
    };
    LoadPlan::quiet(target, &sources, CONNECTIONS)
}

/// Every connection that was opened gets an answer, in the end.
fn wait_spoken(load: &Load) -> Result<()> {
    load.mark();
    let spoken = clock::wait_for("every connection to speak", SPEAK, LOOK, || {
        Ok((load.spoken() == load.opened()).then_some(()))
    });
    spoken.map_err(|error| {
        let (alive, spoken) = (load.counts().0, load.spoken());
        let text = format!("{error}: {spoken} of {} spoke, {alive} not closed", load.opened());
        LabError::Claim(text)
    })
}

/// A power cut of the first gateway, which is theirs and then ours.
fn both_ways(bed: &Bed, conntrackd: ConntrackdConfig, ipv6: bool) -> Result<()> {
    for ours in [GW2, GW1] {
        let pair = Pair::new(ours, conntrackd, ipv6);
        let way = if ours == GW2 { "theirs to ours" } else { "ours to theirs" };
        trial(bed, &pair, ipv6, way, |lab, pair, load| {
            pair.wait_known(lab, pair.ours == GW1, CONNECTIONS)?;
            lab.inflict(&Fault::Power(GW1))?;
            lab.wait_holder(GW2, MOVE)?;
            wait_spoken(load)
        })?;
    }
    Ok(())
}

/// Theirs is stopped and started again, each time taking its addresses back.
fn to_and_fro(bed: &Bed) -> Result<()> {
    let pair = Pair::new(GW2, FTFW, false);
    trial(bed, &pair, false, "to and fro", |lab, pair, load| {
        for _ in 0..2 {
            pair.wait_known(lab, false, CONNECTIONS)?;
            lab.stop(GW1)?;
            lab.wait_holder(GW2, MOVE)?;
            wait_spoken(load)?;
            pair.start(lab, GW1)?;
            lab.wait_holder(GW1, MOVE)?;
            wait_spoken(load)?;
        }
        Ok(())
    })
}

fn trial(
    bed: &Bed,
    pair: &Pair,
    ipv6: bool,
    way: &str,
    act: impl FnOnce(&mut Lab, &Pair, &Load) -> Result<()>,
) -> Result<()> {
    let mut lab = bed.stateful_lab(Firewall::snat())?;
    let plan = plan(ipv6);
    let told = |lab: &Lab, error: &dyn std::fmt::Display| {
        LabError::Claim(format!("{way}: {error}\n{}{}", lab.log_tails(), replication(lab, pair)))
    };
    pair.begin(&mut lab).map_err(|error| told(&lab, &error))?;
    let wire = Wire::start(&lab.topology)?;
    let load = Load::begin(&lab.topology, &plan)?;
    clock::sleep(CALM);
    let before = lab.facts()?;
    let acted = act(&mut lab, pair, &load);
    let after = lab.facts()?;
    let sightings = wire.stop();
    let report = load.stop();
    let (figures, failures) = judge(&plan, &report, &sightings, &before, &after);
    println!("      {way}: {figures}");
    acted.map_err(|error| told(&lab, &error))?;
    claim(report.seen_from == virtual_address(plan.target).into_iter().collect(), || {
        format!("{way}: the server was reached from {:?}", report.seen_from)
    })?;
    let text = failures.join("; ");
    if failures.is_empty() { Ok(()) } else { Err(told(&lab, &text)) }
}

/// What our side says of replication, to print beside a failure.
fn replication(lab: &Lab, pair: &Pair) -> String {
    let status = lab.control(pair.ours).and_then(|control| control.status());
    format!("{:?}", status.ok().flatten().map(|status| status.replication))
}
