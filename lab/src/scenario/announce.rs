//! Announcements go out as their schedule says.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::speed::switch_group;
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::control::GROUP;
use crate::error::Result;
use crate::spy::{Frame, Spy};
use crate::topology::Segment;
use crate::wait::READY_LIMIT;

/// Virtual addresses beside that of the example, from 10.91.0.100 on.
const MORE: u8 = 40;
/// What the file says.
const INTERVAL: Duration = Duration::from_millis(10);
const REPEAT: usize = 3;
const AGAIN_AFTER: Duration = Duration::from_secs(6);
/// After a takeover a former holder may be spoken over for a second; from here on all is schedule.
const SCHEDULE_ONLY: Duration = Duration::from_secs(4);
/// So long after the later round the record ends.
const AFTER: Duration = Duration::from_secs(3);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "announce-schedule",
    shows: "a takeover is announced as often, as late and as slowly as the file says",
    needs: Needs::Daemon,
    long: false,
    test: schedule,
}];

fn config() -> Config {
    let more = (0..MORE).map(|number| format!(", \"10.91.0.{}/24\"", 100 + number));
    let addresses = format!("[\"10.91.0.1/24\"{}]", more.collect::<String>());
    let announce = format!(
        "{{ repeat = {REPEAT}, again_after = \"{}s\", interval = \"{}ms\" }}",
        AGAIN_AFTER.as_secs(),
        INTERVAL.as_millis()
    );
    Config::example()
        .with("group.gateway.router.lan", "addresses", &addresses)
        .with("group.gateway.router.lan", "announce", &announce)
        .with("group.gateway.router.wan", "announce", "false")
}

fn schedule(bed: &Bed) -> Result<()> {
    let (mut lab, active) = bed.cluster(config())?;
    let mut spy = Spy::plug_in(&lab.topology)?;
    spy.record()?;
    switch_group(&lab, active, GROUP)?;
    clock::sleep(AGAIN_AFTER + AFTER);
    let frames = spy.take();
    let addresses = (0..MORE).map(|number| Ipv4Addr::new(10, 91, 0, 100 + number));
    let mut firsts = Vec::new();
    for address in addresses.chain([Ipv4Addr::new(10, 91, 0, 1)]) {
        let moments = moments(&frames, address);
        let Some(first) = moments.first().copied() else {
            return claim(false, || format!("{address} was not announced"));
        };
        firsts.push(first);
        let late = moments.iter().filter(|at| **at - first >= micros(SCHEDULE_ONLY)).count();
        let soon = moments.len() - late;
        claim(soon >= REPEAT, || format!("{address}: {soon} announcements at once"))?;
        claim(late == REPEAT, || format!("{address}: {late} announcements later"))?;
    }
    let span = firsts.iter().max().zip(firsts.iter().min()).map_or(0, |(last, first)| last - first);
    println!("      {} addresses announced once within {} ms", firsts.len(), span / 1000);
    // Half of what it must be: the recorder has its own delays.
    let least = micros(INTERVAL) * u64::from(MORE) / 2;
    claim(span >= least, || format!("the first round took {span} us only"))?;
    let wan = frames.iter().filter(|f| f.announces(Ipv4Addr::new(10, 92, 0, 1))).count();
    claim(wan == 0, || format!("10.92.0.1 was announced {wan} times"))?;
    let now = lab.wait_ready(READY_LIMIT)?;
    claim(now == active.other(), || format!("{now} is active now"))
}

/// When an address was announced on lan, in microseconds.
fn moments(frames: &[Frame], address: Ipv4Addr) -> Vec<u64> {
    let announced =
        frames.iter().filter(|frame| frame.segment == Segment::Lan && frame.announces(address));
    announced.map(|frame| frame.at_us).collect()
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
