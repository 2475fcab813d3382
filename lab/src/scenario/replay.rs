//! The past and strangers have no say (point 10).

use std::time::Duration;

use serde_json::Value;

use super::speed::switch_group;
use super::{Bed, Needs, Scenario, claim, claim_still};
use crate::clock;
use crate::config::Config;
use crate::control::{Control, GROUP};
use crate::error::{LabError, Result};
use crate::lab::{Lab, Options, Subject};
use crate::spy::{Frame, Spy};
use crate::topology::{Gateway, VIRTUAL_LAN, VIRTUAL_WAN};
use crate::wait::READY_LIMIT;
use crate::watch::AddressWatch;

/// The port of our own protocol.
const PORT: u16 = 8747;
/// Watched time in which nothing may move.
const CALM: Duration = Duration::from_secs(4);
/// Heartbeats that a recorded run must hold to be worth replaying.
const ENOUGH: usize = 1000;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "replay-changes-nothing",
        shows: "a recorded run replayed after both nodes restarted changes nothing, and is counted",
        needs: Needs::Daemon,
        long: false,
        test: replay,
    },
    Scenario {
        name: "wrong-key-changes-nothing",
        shows: "a node with a wrong key changes nothing, and its heartbeats are counted",
        needs: Needs::Daemon,
        long: false,
        test: wrong_key,
    },
];

/// A run worth recording: both were active, and one resigned by a will.
fn eventful_run(lab: &mut Lab, spy: &mut Spy, preferred: Gateway) -> Result<Vec<Frame>> {
    spy.record()?;
    clock::sleep(Duration::from_secs(2));
    switch_group(lab, preferred, GROUP)?;
    clock::sleep(Duration::from_secs(1));
    lab.stop(preferred.other())?;
    lab.wait_holder(preferred, READY_LIMIT)?;
    lab.start_again(preferred.other())?;
    lab.wait_ready(READY_LIMIT)?;
    lab.stop_all()?;
    Ok(spy.take())
}

fn replay(bed: &Bed) -> Result<()> {
    let (mut lab, preferred) = bed.cluster(Config::example())?;
    let mut spy = Spy::plug_in(&lab.topology)?;
    let mut frames = eventful_run(&mut lab, &mut spy, preferred)?;
    frames.retain(|frame| frame.is_udp_to(PORT));
    claim(frames.len() > ENOUGH, || format!("only {} heartbeats recorded", frames.len()))?;
    lab.start_all(&Subject::Evergate(Config::example()))?;
    lab.wait_ready(READY_LIMIT)?;
    let watch = AddressWatch::start(&lab)?;
    let before = counters(&lab)?;
    spy.replay(&frames)?;
    claim_still(&mut lab, CALM)?;
    let now = lab.wait_ready(READY_LIMIT)?;
    claim(now == preferred, || format!("{now} is active, not {preferred}"))?;
    let log = watch.stop()?;
    for address in [VIRTUAL_LAN, VIRTUAL_WAN] {
        claim(log.moves(address) == 0, || format!("{address} moved"))?;
    }
    let after = counters(&lab)?;
    let seen = after.saturating_sub(before);
    println!("      {} heartbeats replayed, {seen} refused and counted", frames.len());
    claim(seen > 0, || "status counts no refused heartbeat".to_owned())
}

fn wrong_key(bed: &Bed) -> Result<()> {
    let options = Options { gateways: 3, ..bed.options.clone() };
    let mut lab = Lab::build(options)?;
    let (Some(first), Some(third)) = (Gateway::new(1), Gateway::new(3)) else {
        return Err(LabError::Usage("a lab has at least three gateways".to_owned()));
    };
    let subject = Subject::Evergate(Config::example());
    lab.start(first, &subject)?;
    lab.start(first.other(), &subject)?;
    clock::wait_for("the pair to be ready", READY_LIMIT, Duration::from_millis(100), || {
        let mut ready = true;
        for gateway in [first, first.other()] {
            let status = lab.control(gateway)?.status()?;
            ready &= status.is_some_and(|status| status.ready == Some(true));
        }
        Ok(ready.then_some(()))
    })?;
    let before = counters(&lab)?;
    // It says that it is gw2 of the same cluster, but its router is one that nobody else serves.
    let stranger = Config::example()
        .with("group.gateway.router.lan", "vrid", "71")
        .with("group.gateway.router.lan", "addresses", "[\"10.91.0.71/24\"]")
        .without_table("group.gateway.router.wan");
    lab.start_impostor(third, "gw2", &stranger)?;
    claim_still(&mut lab, CALM)?;
    let status = lab.control(first)?.status()?;
    let ready = status.is_some_and(|status| status.ready == Some(true));
    claim(ready, || "the pair is not ready beside a stranger".to_owned())?;
    let seen = counters(&lab)?.saturating_sub(before);
    println!("      {seen} heartbeats refused and counted");
    claim(seen > 0, || "status counts no refused heartbeat".to_owned())
}

/// What the pair has counted as refused of our own protocol, from every counter that status shows.
fn counters(lab: &Lab) -> Result<u64> {
    let mut sum = 0;
    for gateway in lab.gateways().into_iter().filter(|gateway| gateway.number() < 3) {
        let control: Control = lab.control(gateway)?;
        sum += refused(&control.ask(&["status", "--json"])?.json("status")?);
    }
    Ok(sum)
}

fn refused(value: &Value) -> u64 {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, inner)| match inner.as_u64() {
                Some(count) if name.starts_with("heartbeat_") => count,
                Some(_) => 0,
                None => refused(inner),
            })
            .sum(),
        Value::Array(items) => items.iter().map(refused).sum(),
        _ => 0,
    }
}
