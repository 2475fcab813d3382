//! A pair of ours and of Debian's keepalived with conntrackd: connections live on whoever takes over.

use std::net::IpAddr;
use std::time::Duration;

use super::stateful::{CALM, addresses, judge, virtual_address};
use super::stateful_flows::{plan as flow_plan, translated};
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::conntrackd::{ConntrackdConfig, Mode, Room, Transport};
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::filter::Loss;
use crate::firewall::Firewall;
use crate::idle::cpu_seconds;
use crate::lab::{Lab, Subject};
use crate::load::{FlowKind, Flows, Load, LoadPlan};
use crate::node::Part;
use crate::peer::PeerConfig;
use crate::topology::{
    CLIENT, CLIENT_TWIN, CLIENT6, CLIENT6_TWIN, GW1, GW2, Gateway, SERVER, SERVER6, Segment,
};
use crate::wait::{READY_LIMIT, SYNC_LIMIT};
use crate::wire::Wire;

/// A move that waits for adverts takes about four of them; twice that.
const MOVE: Duration = Duration::from_secs(9);
/// Connections that waited for seconds ask again at growing pauses.
const SPEAK: Duration = Duration::from_secs(25);
/// Connections of each family.
const CONNECTIONS: usize = 300;
/// Flows of UDP from each of the client's two addresses.
const FLOWS: u16 = 100;
/// Time for what was lost to be noticed and told again, more than once.
const REPAIR: Duration = Duration::from_secs(5);
/// The share of a processor that a core may need with connections that say little.
const CALM_SHARE: f64 = 0.05;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

const fn scenario(
    name: &'static str,
    shows: &'static str,
    long: bool,
    test: fn(&Bed) -> Result<()>,
) -> Scenario {
    Scenario { name, shows, needs: Needs::Conntrackd, long, test }
}

const FTFW: ConntrackdConfig = ConntrackdConfig {
    mode: Mode::Ftfw,
    transport: Transport::Multicast,
    external_cache: true,
    room: Room::Usual,
};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "conntrackd-ftfw",
        "300 connections behind SNAT live through a power cut, ours to theirs and theirs to ours",
        false,
        |bed| both_ways(bed, FTFW, false),
    ),
    scenario("conntrackd-ftfw-ipv6", "the same over IPv6, both caches and UDP", false, |bed| {
        both_ways(bed, ConntrackdConfig { transport: Transport::Udp, ..FTFW }, true)
    }),
    scenario(
        "conntrackd-ftfw-injecting",
        "the same where conntrackd puts states into its kernel at once",
        true,
        |bed| both_ways(bed, ConntrackdConfig { external_cache: false, ..FTFW }, false),
    ),
    scenario("conntrackd-notrack", "the same in mode NOTRACK", false, |bed| {
        both_ways(bed, ConntrackdConfig { mode: Mode::Notrack, ..FTFW }, false)
    }),
    scenario(
        "conntrackd-to-and-fro",
        "the same connections live while theirs is stopped and comes back, twice",
        true,
        to_and_fro,
    ),
    scenario(
        "conntrackd-migration",
        "a pair is migrated box by box; the same connections live from the first step to the last",
        false,
        migration,
    ),
    scenario(
        "conntrackd-loss",
        "300 connections live through a power cut although every fifth datagram between both is lost",
        true,
        lossy,
    ),
    scenario(
        "conntrackd-restart",
        "the standby's daemon is killed and started again; connections live through a power cut",
        true,
        restarted,
    ),
    scenario(
        "conntrackd-udp",
        "flows of UDP behind SNAT keep their ports through a power cut, both ways",
        true,
        |bed| [GW2, GW1].into_iter().try_for_each(|ours| udp(bed, ours)),
    ),
    scenario(
        "conntrackd-calm",
        "with 300 connections that say little our core needs next to no processor time",
        true,
        calm,
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

/// The steps of docs/conntrackd.md: ours on the standby, then alone, then with both boxes of ours.
fn migration(bed: &Bed) -> Result<()> {
    let pair = Pair::new(GW2, FTFW, false);
    trial(bed, &pair, false, "migration", |lab, pair, load| {
        pair.wait_known(lab, false, CONNECTIONS)?;
        lab.stop(GW1)?;
        lab.wait_holder(GW2, MOVE)?;
        wait_spoken(load)?;
        let ours = Subject::Evergate(Config::example());
        lab.stop(GW2)?;
        lab.start(GW2, &ours)?;
        lab.wait_holder(GW2, MOVE)?;
        wait_spoken(load)?;
        lab.start(GW1, &ours)?;
        lab.wait_holder(GW1, READY_LIMIT)?;
        lab.wait_in_sync(SYNC_LIMIT)?;
        wait_spoken(load)
    })
}

/// Both lose datagrams of each other from before the first connection to the takeover.
fn lossy(bed: &Bed) -> Result<()> {
    let loss = Loss { permille: 200, ..Loss::all(Segment::Sync) };
    for ours in [GW2, GW1] {
        let pair = Pair::new(ours, FTFW, false);
        let lossy = |lab: &mut Lab, pair: &Pair, load: &Load| {
            pair.wait_known(lab, pair.ours == GW1, CONNECTIONS)?;
            // What was lost last is noticed with the next sign of life, and may be lost again.
            clock::sleep(REPAIR);
            let counters = lab.control(pair.ours)?.status()?.map(|s| s.replication.counters);
            let lost = counters.and_then(|all| all.get("packets_lost").copied()).unwrap_or(0);
            claim(lost > 0, || "nothing was lost".to_owned())?;
            lab.inflict(&Fault::Power(GW1))?;
            lab.wait_holder(GW2, MOVE)?;
            wait_spoken(load)
        };
        let way = if ours == GW2 { "theirs to ours" } else { "ours to theirs" };
        trial_after(
            bed,
            &pair,
            false,
            way,
            |lab| lab.inflict(&Fault::Lost(loss.clone())).map(drop),
            lossy,
        )?;
    }
    Ok(())
}

/// A new process of the standby, theirs or ours, is told everything anew.
fn restarted(bed: &Bed) -> Result<()> {
    for ours in [GW2, GW1] {
        let pair = Pair::new(ours, FTFW, false);
        let way = if ours == GW2 { "ours restarted" } else { "theirs restarted" };
        trial(bed, &pair, false, way, |lab, pair, load| {
            pair.wait_known(lab, pair.ours == GW1, CONNECTIONS)?;
            lab.destroy(GW2)?;
            // Its lock goes with the last of its processes.
            clock::sleep(CALM);
            pair.start(lab, GW2)?;
            if pair.ours == GW2 {
                pair.wait_known(lab, false, CONNECTIONS)?;
            } else {
                // conntrackd is told all that there is within a second of its greeting.
                clock::sleep(REPAIR);
                pair.wait_known(lab, true, CONNECTIONS)?;
            }
            lab.inflict(&Fault::Power(GW1))?;
            lab.wait_holder(GW2, MOVE)?;
            wait_spoken(load)
        })?;
    }
    Ok(())
}

fn udp(bed: &Bed, ours: Gateway) -> Result<()> {
    // With its cache conntrackd commits after the address has moved: who speaks in between gets another port.
    let pair = Pair::new(ours, ConntrackdConfig { external_cache: false, ..FTFW }, false);
    let mut lab = bed.stateful_lab(Firewall::snat())?;
    pair.begin(&mut lab)?;
    let plan = flow_plan(FlowKind::Udp, FLOWS);
    let flows = Flows::start(&lab.topology, &plan)?;
    clock::sleep(CALM * 2);
    pair.wait_known(&lab, ours == GW1, 2 * usize::from(FLOWS))?;
    lab.inflict(&Fault::Power(GW1))?;
    lab.wait_holder(GW2, MOVE)?;
    clock::sleep(REPAIR);
    let report = flows.stop();
    println!("      ours on {ours}: UDP {report:?}");
    let good = report.silent == 0 && report.corrupted == 0 && report.moved == 0;
    claim(good, || format!("{report:?}\n{}", replication(&lab, &pair)))?;
    translated(&report, virtual_address(plan.target) == Vec::from_iter(report.seen_from.clone()))
}

fn calm(bed: &Bed) -> Result<()> {
    for ours in [GW2, GW1] {
        let pair = Pair::new(ours, FTFW, false);
        let mut lab = bed.stateful_lab(Firewall::snat())?;
        pair.begin(&mut lab)?;
        let load = Load::begin(&lab.topology, &plan(false))?;
        pair.wait_known(&lab, ours == GW1, CONNECTIONS)?;
        clock::sleep(CALM * 2);
        let core = lab.daemon_processes(ours)?.into_iter().find(|(_, part)| *part == Part::Core);
        let (pid, _) = core.ok_or_else(|| LabError::Claim("there is no core".to_owned()))?;
        let (before, start) = (cpu_seconds(pid), clock::now());
        clock::sleep(CALM * 5);
        let share = (cpu_seconds(pid) - before) / start.elapsed().as_secs_f64();
        println!("      ours on {ours}: {:.1} % of a processor", share * 100.0);
        claim(share < CALM_SHARE, || format!("{:.1} % of a processor", share * 100.0))?;
        load.stop();
    }
    Ok(())
}

fn trial(
    bed: &Bed,
    pair: &Pair,
    ipv6: bool,
    way: &str,
    act: impl FnOnce(&mut Lab, &Pair, &Load) -> Result<()>,
) -> Result<()> {
    trial_after(bed, pair, ipv6, way, |_| Ok(()), act)
}

/// Something happens once both sides know each other, and something after the connections are open.
fn trial_after(
    bed: &Bed,
    pair: &Pair,
    ipv6: bool,
    way: &str,
    first: impl FnOnce(&mut Lab) -> Result<()>,
    act: impl FnOnce(&mut Lab, &Pair, &Load) -> Result<()>,
) -> Result<()> {
    let mut lab = bed.stateful_lab(Firewall::snat())?;
    let plan = plan(ipv6);
    let told = |lab: &Lab, error: &dyn std::fmt::Display| {
        LabError::Claim(format!("{way}: {error}\n{}{}", lab.log_tails(), replication(lab, pair)))
    };
    pair.begin(&mut lab).map_err(|error| told(&lab, &error))?;
    first(&mut lab)?;
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
