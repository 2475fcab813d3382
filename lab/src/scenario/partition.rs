//! Cables that are silent in part or in one direction (point 5): doubt moves nothing, proof does, and one is active in the end.

use std::net::Ipv4Addr;
use std::time::Duration;

use evergate_api::status::Status;

use super::{Bed, Needs, Scenario, claim, claim_still};
use crate::clock;
use crate::config::Config;
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::filter::Loss;
use crate::lab::Lab;
use crate::probe::Probe;
use crate::spy::Spy;
use crate::topology::{GW1, GW2, Gateway, SERVER, Segment, VIRTUAL_LAN};
use crate::wait::READY_LIMIT;
use crate::watch::AddressWatch;

/// VRRP's protocol number.
const VRRP: u8 = 112;
/// Watched time in which nothing may move.
const CALM: Duration = Duration::from_secs(8);
/// The advert interval of the example, with what a look takes.
const ADVERT: Duration = Duration::from_millis(1000 + 150);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "sync-cut",
        shows: "the sync path cut alone: no takeover, an alarm that names the path",
        needs: Needs::Daemon,
        long: false,
        test: |bed| alarm_only(bed, &Fault::Silent(GW1, Segment::Sync), "sync"),
    },
    Scenario {
        name: "vrrp-filtered",
        shows: "protocol 112 filtered on lan alone: no takeover, an alarm that names it",
        needs: Needs::Daemon,
        long: false,
        test: |bed| {
            let loss = Loss { protocol: Some(VRRP), ..Loss::all(Segment::Lan) };
            alarm_only(bed, &Fault::Lost(loss), "lan")
        },
    },
    Scenario {
        name: "lan-silent",
        shows: "the active's lan port blocked, carrier up: served by the other within 1 s",
        needs: Needs::Daemon,
        long: false,
        test: lan_silent,
    },
    Scenario {
        name: "one-way-lan",
        shows: "one path deaf in each direction: one active in the end, no endless change",
        needs: Needs::Daemon,
        long: false,
        test: |bed| one_way(bed, Some(Segment::Lan)),
    },
    Scenario {
        name: "one-way-sync",
        shows: "the link deaf in each direction: one active in the end, no endless change",
        needs: Needs::Daemon,
        long: false,
        test: |bed| one_way(bed, Some(Segment::Sync)),
    },
    Scenario {
        name: "one-way-all",
        shows: "all paths deaf in each direction: one active in the end, no endless change",
        needs: Needs::Daemon,
        long: false,
        test: |bed| one_way(bed, None),
    },
    Scenario {
        name: "partition-heals",
        shows: "after a full partition: one active within an advert interval, then 10 s of calm",
        needs: Needs::Daemon,
        long: false,
        test: |bed| heals(bed, Duration::from_secs(10)),
    },
    Scenario {
        name: "partition-heals-minute",
        shows: "after a full partition: one active within an advert interval, then 60 s of calm",
        needs: Needs::Daemon,
        long: true,
        test: |bed| heals(bed, Duration::from_secs(60)),
    },
];

/// Everything that a status says in sentences.
fn sentences(status: &Status) -> String {
    let blockers =
        status.blockers.iter().map(|blocker| format!("{}: {}", blocker.code, blocker.text));
    let groups = status.groups.iter().flat_map(|group| &group.reasons);
    let reasons = groups.map(|reason| format!("{}: {}", reason.code, reason.text));
    blockers.chain(reasons).collect::<Vec<_>>().join("; ")
}

fn alarm_only(bed: &Bed, fault: &Fault, names: &str) -> Result<()> {
    let (mut lab, _) = bed.cluster(Config::example())?;
    let watch = AddressWatch::start(&lab)?;
    lab.inflict(fault)?;
    claim_still(&mut lab, CALM)?;
    let said =
        clock::wait_for("an alarm that names the path", CALM, Duration::from_millis(100), || {
            // Who misses something says so: the one that should hear it.
            for gateway in [GW1, GW2] {
                let status = lab.control(gateway)?.status()?;
                let text = status.map(|status| sentences(&status)).unwrap_or_default();
                if text.contains(names) {
                    return Ok(Some(text));
                }
            }
            Ok(None)
        })?;
    println!("      {said}");
    lab.heal(fault)?;
    lab.wait_ready(READY_LIMIT)?;
    let log = watch.stop()?;
    claim(log.moves(VIRTUAL_LAN) == 0, || "the address moved".to_owned())
}

fn lan_silent(bed: &Bed) -> Result<()> {
    let (mut lab, active) = bed.cluster(Config::example())?;
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(300), READY_LIMIT)?;
    let fault = Fault::Silent(active, Segment::Lan);
    lab.inflict(&fault)?;
    lab.wait_holder(active.other(), Duration::from_secs(3))?;
    probe.wait_steady(Duration::from_millis(300), Duration::from_secs(3))?;
    claim_still(&mut lab, Duration::from_secs(4))?;
    let outage = probe.stop().outage();
    println!("      outage {outage:?}");
    claim(outage <= Duration::from_secs(1), || format!("outage {outage:?}"))?;
    lab.heal(&fault)?;
    lab.wait_ready(READY_LIMIT).map(drop)
}

fn one_way(bed: &Bed, on: Option<Segment>) -> Result<()> {
    for (from, to) in [(GW1, GW2), (GW2, GW1)] {
        let (mut lab, _) = bed.cluster(Config::example())?;
        let watch = AddressWatch::start(&lab)?;
        let fault = Fault::OneWay { from, to, on };
        lab.inflict(&fault)?;
        let settled = lab.wait_one_holder(Duration::from_secs(6)).and_then(|_| {
            clock::sleep(Duration::from_secs(2));
            claim_still(&mut lab, CALM)
        });
        lab.heal(&fault)?;
        let log = watch.stop()?;
        let moves = log.moves(VIRTUAL_LAN);
        println!("      {fault}: {moves} moves, on two nodes for {:?}", log.overlap(VIRTUAL_LAN));
        settled
            .map_err(|error| LabError::Claim(format!("{fault}: {error}\n{}", lab.log_tails())))?;
        claim(moves <= 2, || format!("{fault}: the address moved {moves} times"))?;
        lab.wait_ready(READY_LIMIT)?;
    }
    Ok(())
}

fn heals(bed: &Bed, calm: Duration) -> Result<()> {
    let (mut lab, active) = bed.cluster(Config::example())?;
    // Only the gateways lose each other; client and server still hear both.
    let cut: Vec<Fault> =
        [(GW1, GW2), (GW2, GW1)].map(|(from, to)| Fault::OneWay { from, to, on: None }).into();
    for fault in &cut {
        lab.inflict(fault)?;
    }
    wait_both_active(&lab)?;
    let mut spy = Spy::plug_in(&lab.topology)?;
    let watch = AddressWatch::start(&lab)?;
    spy.record()?;
    for fault in &cut {
        lab.heal(fault)?;
    }
    let healed = clock::now();
    let winner = lab.wait_one_holder(Duration::from_secs(10))?;
    let took = healed.elapsed();
    println!(
        "      one holder {took:?} after the partition; {winner} won, {active} was active before"
    );
    claim(took <= ADVERT, || format!("one holder only after {took:?}"))?;
    clock::sleep(ADVERT.saturating_sub(healed.elapsed()));
    let frames = spy.take();
    for address in [Ipv4Addr::new(10, 91, 0, 1), Ipv4Addr::new(10, 92, 0, 1)] {
        let announced = frames.iter().filter(|frame| frame.announces(address)).count();
        claim(announced > 0, || format!("{address} was not announced again after the partition"))?;
    }
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(300), Duration::from_secs(2))?;
    claim_still(&mut lab, calm)?;
    drop(probe.stop());
    let log = watch.stop()?;
    let gains: usize = [GW1, GW2]
        .iter()
        .flat_map(|node| log.spans(*node, VIRTUAL_LAN))
        .filter(|(from, _)| *from != log.start_us)
        .count();
    claim(gains == 0, || format!("{gains} further transitions"))
}

fn wait_both_active(lab: &Lab) -> Result<()> {
    let limit = Duration::from_secs(10);
    clock::wait_for(
        "both sides of the partition to serve",
        limit,
        Duration::from_millis(20),
        || {
            let holders: Vec<Gateway> = lab.holders(VIRTUAL_LAN)?;
            Ok((holders.len() == 2).then_some(()))
        },
    )
}
