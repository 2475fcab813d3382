//! Many states: a standby that comes back empty gets them all, and a power cut finds them in its kernel.

use std::time::Duration;

use serde_json::{Value, json};

use super::cost::comers;
use super::{ReplicateOptions, lag};
use crate::clock::{self, ms};
use crate::conntrack::{self, Table};
use crate::error::Result;
use crate::fault::Fault;
use crate::lab::Lab;
use crate::load::Load;
use crate::topology::{Gateway, VIRTUAL_WAN};

/// How long a resync may take before it is given up.
const RESYNC_LIMIT: Duration = Duration::from_secs(60);
/// Time between two looks at the standby's table.
const LOOK: Duration = Duration::from_millis(20);
/// Connections that come and go in a second meanwhile: the live news.
const BESIDE: u32 = 500;
/// How long each of them stays.
const HOLD: Duration = Duration::from_millis(500);
/// How long what ends may take to be gone from both tables.
const OVER_LIMIT: Duration = Duration::from_secs(15);
/// News from before the standby is back has nobody to go to.
const BEFORE: Duration = Duration::from_secs(2);

/// The standby's daemon ends, its table is emptied, it comes back; live connections go on.
pub(super) fn resync(lab: &mut Lab, active: Gateway, options: &ReplicateOptions) -> Result<Value> {
    let standby = active.other();
    lab.topology.client.sysctl("ipv4/tcp_tw_reuse", "1")?;
    lab.stop(standby)?;
    conntrack::flush(lab.topology.gateway(standby))?;
    clock::sleep(BEFORE);
    lag::note_times(lab)?;
    lab.start_again(standby)?;
    let start = clock::now();
    let joined = clock::wait_for("the first copy to come", RESYNC_LIMIT, LOOK, || {
        let some = conntrack::count(lab.topology.gateway(standby))? > 100;
        Ok(some.then(|| start.elapsed()))
    })?;
    let load = Load::begin(&lab.topology, &comers(BESIDE, HOLD)?)?;
    let lag = lag::start(lab, active)?;
    let all = clock::wait_for("the standby to have all", RESYNC_LIMIT, LOOK, || {
        let all = conntrack::count(lab.topology.gateway(standby))? >= u64::from(options.states);
        Ok(all.then(|| start.elapsed()))
    })?;
    let report = lag.stop();
    lab.wait_in_sync(RESYNC_LIMIT)?;
    let in_sync = start.elapsed();
    let failed = load.stop().churn.unwrap_or_default().failed();
    let mut row = lag::to_json("resync", &report, failed);
    row["first_copy_s"] = json!(joined.as_secs_f64());
    row["all_s"] = json!(all.as_secs_f64());
    row["in_sync_s"] = json!(in_sync.as_secs_f64());
    Ok(row)
}

/// Cuts all cables of the active gateway at once and looks at the standby's table at once.
pub(super) fn power_cut(lab: &mut Lab, active: Gateway) -> Result<Value> {
    let standby = active.other();
    // What came and went beside the states is over; if tables differ even so, the figures tell.
    let _ = lab.wait_equal(active, OVER_LIMIT);
    let before = Table::read(lab.topology.gateway(active))?;
    lab.inflict(&Fault::Isolated(active))?;
    let at = clock::now();
    let counted = conntrack::count(lab.topology.gateway(standby))?;
    let looked_ms = ms(at.elapsed());
    clock::wait_for("the standby to hold the address", RESYNC_LIMIT, LOOK, || {
        Ok(lab.holders(VIRTUAL_WAN)?.contains(&standby).then_some(()))
    })?;
    let took_ms = ms(at.elapsed());
    let copy = Table::read(lab.topology.gateway(standby))?;
    let difference = before.against(&copy);
    Ok(json!({
        "what": "power cut", "states": before.len(), "counted": counted,
        "counted_after_ms": looked_ms, "address_after_ms": took_ms,
        "missing": difference.missing, "extra": difference.extra, "differing": difference.differing,
        "failed": difference.missing + difference.differing,
    }))
}
