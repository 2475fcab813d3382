//! A copy that is not what its owner told is found and repaired, and `status` says so meanwhile.

use std::time::Duration;

use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::conntrack::{Family, Made};
use crate::error::Result;
use crate::firewall::Firewall;
use crate::lab::Lab;
use crate::topology::Gateway;
use crate::wait::{READY_LIMIT, SYNC_LIMIT};

/// Connections beside the one that is changed.
const CONNECTIONS: u32 = 2_000;
/// How long finding and repairing may take.
const REPAIR_LIMIT: Duration = Duration::from_secs(10);
/// Time between two looks at the status.
const LOOK: Duration = Duration::from_millis(5);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "replicate-repair",
        shows: "a copy that is changed or deleted by hand is found, told and repaired",
        needs: Needs::Daemon,
        long: false,
        test: |bed| {
            let (lab, active) = filled(bed)?;
            for (what, family) in [("IPv4", Family::V4), ("IPv6", Family::V6)] {
                let copies = Made::open(lab.topology.gateway(active.other()), family)?;
                broken(&lab, active, &format!("a bit of a mark, {what}"), || {
                    copies.mark([17], 0x100)
                })?;
                broken(&lab, active, &format!("a copy deleted, {what}"), || copies.delete([42]))?;
                broken(&lab, active, &format!("100 copies changed, {what}"), || {
                    copies.delete(500..550)?;
                    copies.mark(1000..1050, 1)
                })?;
            }
            Ok(())
        },
    },
    Scenario {
        name: "replicate-repair-away",
        shows: "what changed on both nodes while the standby's daemon was away is repaired",
        needs: Needs::Daemon,
        long: false,
        test: away,
    },
];

/// A pair with connections of both families on the active node; gives who that is.
fn filled(bed: &Bed) -> Result<(Lab, Gateway)> {
    let (lab, active) = bed.stateful(Config::example(), Firewall::snat())?;
    for family in [Family::V4, Family::V6] {
        Made::open(lab.topology.gateway(active), family)?.create(0..CONNECTIONS)?;
    }
    lab.wait_equal(active, REPAIR_LIMIT)?;
    Ok((lab, active))
}

/// Breaks the copies on the standby: the status must say so, and they must be whole again in time.
fn broken(lab: &Lab, active: Gateway, what: &str, act: impl FnOnce() -> Result<()>) -> Result<()> {
    let standby = lab.control(active.other())?;
    lab.wait_in_sync(SYNC_LIMIT)?;
    let start = clock::now();
    act()?;
    let found = clock::wait_for("status to say `divergent_flows`", REPAIR_LIMIT, LOOK, || {
        let peers = standby.status()?.map(|status| status.replication.peers).unwrap_or_default();
        let divergent: u64 = peers.iter().filter_map(|peer| peer.divergent_flows).sum();
        Ok((divergent > 0).then_some(divergent))
    })?;
    let found_after = start.elapsed();
    lab.wait_equal(active, REPAIR_LIMIT.saturating_sub(start.elapsed()))?;
    let repaired_after = start.elapsed();
    clock::wait_for("status to say that all is whole", REPAIR_LIMIT, LOOK, || {
        let peers = standby.status()?.map(|status| status.replication.peers).unwrap_or_default();
        let whole = |peer: &evergate_api::status::ReplicationPeer| {
            peer.in_sync == Some(true) && peer.divergent_flows == Some(0)
        };
        Ok((!peers.is_empty() && peers.iter().all(whole)).then_some(()))
    })?;
    println!(
        "      {what}: {found} divergent after {:.2} s, equal after {:.2} s, said so after {:.2} s",
        found_after.as_secs_f64(),
        repaired_after.as_secs_f64(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn away(bed: &Bed) -> Result<()> {
    let (mut lab, active) = filled(bed)?;
    let standby = active.other();
    lab.stop(standby)?;
    let own = Made::open(lab.topology.gateway(active), Family::V4)?;
    let copies = Made::open(lab.topology.gateway(standby), Family::V4)?;
    // Ended, begun and changed by the owner; changed and deleted by hand on the other.
    own.delete(0..300)?;
    own.create(CONNECTIONS..CONNECTIONS + 300)?;
    own.mark(300..600, 7)?;
    copies.mark(600..900, 9)?;
    copies.delete(900..1200)?;
    lab.start_again(standby)?;
    lab.wait_ready(READY_LIMIT)?;
    lab.wait_in_sync(SYNC_LIMIT)?;
    let took = lab.wait_equal(active, REPAIR_LIMIT)?;
    println!("      equal {:.1} s after both said that they are in sync", took.as_secs_f64());
    let refused = lab.counted(standby, "not_taken")?;
    claim(refused == 0, || format!("the kernel did not take {refused} flows"))
}
