//! Parts of the daemon die or freeze (point 4): the service goes on and no address stays on two nodes.

use std::time::Duration;

use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::error::Result;
use crate::fault::Fault;
use crate::lab::{Lab, Subject};
use crate::node::Part;
use crate::probe::Probe;
use crate::topology::{GW1, SERVER, VIRTUAL_LAN, VIRTUAL_WAN};
use crate::wait::READY_LIMIT;
use crate::watch::AddressWatch;

/// An address may be on two nodes for so long when one of core and guardian is left.
const OVERLAP: Duration = Duration::from_millis(100);
/// The lease of an address, with what the kernel takes to notice its end.
const LEASE: Duration = Duration::from_millis(3000 + 1100);
/// Observed time after the fault: longer than any lease.
const OBSERVE: Duration = Duration::from_secs(6);
/// The service is back within this.
const SERVICE_LIMIT: Duration = Duration::from_secs(5);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "core-killed",
        shows: "kill -9 of the core: an address on two nodes for at most 100 ms",
        needs: Needs::Daemon,
        long: false,
        test: |bed| hurt(bed, Fault::Killed(GW1, Part::Core), OVERLAP),
    },
    Scenario {
        name: "guardian-killed",
        shows: "kill -9 of the guardian: no handover, and there is a guardian again",
        needs: Needs::Daemon,
        long: false,
        test: guardian_killed,
    },
    Scenario {
        name: "both-killed",
        shows: "kill -9 of core and guardian: an address on two nodes for at most the lease",
        needs: Needs::Daemon,
        long: false,
        test: |bed| hurt(bed, Fault::Killed(GW1, Part::Both), LEASE),
    },
    Scenario {
        name: "core-frozen",
        shows: "SIGSTOP of the core: an address on two nodes for at most 100 ms",
        needs: Needs::Daemon,
        long: false,
        test: |bed| hurt(bed, Fault::Frozen(GW1, Part::Core), OVERLAP),
    },
    Scenario {
        name: "both-frozen",
        shows: "SIGSTOP of core and guardian: an address on two nodes for at most the lease",
        needs: Needs::Daemon,
        long: false,
        test: |bed| hurt(bed, Fault::Frozen(GW1, Part::Both), LEASE),
    },
    Scenario {
        name: "all-killed",
        shows: "kill -9 of every process of the daemon: the lease takes the addresses away",
        needs: Needs::Daemon,
        long: false,
        test: |bed| hurt(bed, Fault::Killed(GW1, Part::All), LEASE),
    },
    Scenario {
        name: "lone-core-killed",
        shows: "on a lone node a crash of the core costs no address",
        needs: Needs::Daemon,
        long: false,
        test: lone,
    },
];

/// Hurts the active gateway and judges what the kernels of both held.
fn hurt(bed: &Bed, fault: Fault, limit: Duration) -> Result<()> {
    let (mut lab, active) = bed.cluster(Config::example())?;
    claim(active == GW1, || format!("{active} is active, not the preferred gw1"))?;
    let watch = AddressWatch::start(&lab)?;
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(300), READY_LIMIT)?;
    lab.inflict(&fault)?;
    clock::sleep(Duration::from_millis(200));
    probe.wait_steady(Duration::from_millis(300), SERVICE_LIMIT)?;
    clock::sleep(OBSERVE);
    probe.wait_steady(Duration::from_millis(300), SERVICE_LIMIT)?;
    lab.heal(&fault)?;
    clock::sleep(Duration::from_millis(500));
    probe.wait_steady(Duration::from_millis(300), SERVICE_LIMIT)?;
    let record = probe.stop();
    let log = watch.stop()?;
    println!(
        "      outage {:?}, {VIRTUAL_LAN} on two nodes for {:?}, {VIRTUAL_WAN} for {:?}",
        record.outage(),
        log.overlap(VIRTUAL_LAN),
        log.overlap(VIRTUAL_WAN)
    );
    for address in [VIRTUAL_LAN, VIRTUAL_WAN] {
        let overlap = log.overlap(address);
        claim(overlap <= limit, || {
            format!("{address} on two nodes for {overlap:?}\n{}", lab.log_tails())
        })?;
    }
    lab.one_holder()?.map(drop).map_or_else(
        || claim(false, || "not exactly one gateway holds both addresses at the end".to_owned()),
        Ok,
    )
}

fn guardian_killed(bed: &Bed) -> Result<()> {
    let (mut lab, active) = bed.cluster(Config::example())?;
    let watch = AddressWatch::start(&lab)?;
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(300), READY_LIMIT)?;
    let since = probe.elapsed();
    lab.inflict(&Fault::Killed(active, Part::Guardian))?;
    clock::wait_for("a new guardian", SERVICE_LIMIT, Duration::from_millis(20), || {
        let parts = lab.daemon_processes(active)?;
        Ok(parts.iter().any(|(_, part)| *part == Part::Guardian).then_some(()))
    })?;
    clock::sleep(OBSERVE);
    let lost = probe.stop().lost_since(since);
    let log = watch.stop()?;
    claim(lost == 0, || format!("{lost} probes lost"))?;
    claim(log.moves(VIRTUAL_LAN) == 0, || "the address moved".to_owned())?;
    // The new guardian must do its work: the core's death is seen by it.
    lab.inflict(&Fault::Killed(active, Part::Core))?;
    clock::sleep(Duration::from_millis(500));
    lab.wait_one_holder(SERVICE_LIMIT).map(drop)
}

fn lone(bed: &Bed) -> Result<()> {
    let mut lab: Lab = bed.lab()?;
    lab.start(GW1, &Subject::Evergate(Config::example()))?;
    lab.wait_holder(GW1, READY_LIMIT)?;
    // So long that the node knows that it is alone.
    clock::sleep(Duration::from_secs(2));
    let watch = AddressWatch::start(&lab)?;
    lab.inflict(&Fault::Killed(GW1, Part::Core))?;
    clock::sleep(OBSERVE);
    let log = watch.stop()?;
    for address in [VIRTUAL_LAN, VIRTUAL_WAN] {
        let spans = log.spans(GW1, address);
        claim(spans == [(log.start_us, log.end_us)], || {
            format!(
                "{address} was gone for a while: held in {spans:?} of {:?}",
                (log.start_us, log.end_us)
            )
        })?;
    }
    Ok(())
}
