//! Loss between the gateways while connections change: nothing is missing, and little is told twice.

use std::time::Duration;

use super::{Bed, Needs, Scenario, claim, ready};
use crate::clock;
use crate::config::Config;
use crate::conntrack::{self, Family, Made, Table};
use crate::error::Result;
use crate::fault::Fault;
use crate::filter::{self, Loss};
use crate::firewall::Firewall;
use crate::lab::{Lab, Options};
use crate::topology::{Gateway, Segment};
use crate::wait::SYNC_LIMIT;

/// How many connections are made in a second at first.
const MADE_PER_SECOND: u32 = 40_000;
/// Time for the start to be over.
const SETTLE: Duration = Duration::from_secs(3);
/// Time between two steps of what is changed.
const STEP: Duration = Duration::from_millis(5);
/// How long tables may take to be equal after the last change, while packets are still lost.
const REST_LIMIT: Duration = Duration::from_secs(30);
/// What is told again for each that was lost.
const RESENT_PER_LOST: f64 = 1.2;

/// What is made and changed under which loss.
struct Trial {
    gateways: u8,
    states: u32,
    changes_per_second: u32,
    seconds: u32,
    permille: &'static [u16],
}

const SHORT: Trial =
    Trial { gateways: 2, states: 20_000, changes_per_second: 5_000, seconds: 4, permille: &[200] };
const LONG: Trial = Trial {
    gateways: 2,
    states: 200_000,
    changes_per_second: 10_000,
    seconds: 15,
    permille: &[10, 50, 100, 200],
};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "replicate-loss",
        shows: "20,000 connections, 5,000 changes a second under 20 % loss: none missing",
        needs: Needs::Daemon,
        long: false,
        test: |bed| under_loss(bed, &SHORT),
    },
    Scenario {
        name: "replicate-loss-three",
        shows: "the same with two standbys",
        needs: Needs::Daemon,
        long: false,
        test: |bed| under_loss(bed, &Trial { gateways: 3, ..SHORT }),
    },
    Scenario {
        name: "replicate-loss-200000",
        shows: "200,000 connections, 10,000 changes a second under 1, 5, 10 and 20 % loss",
        needs: Needs::Root,
        long: true,
        test: |bed| under_loss(bed, &LONG),
    },
    Scenario {
        name: "replicate-loss-200000-three",
        shows: "the same with two standbys",
        needs: Needs::Root,
        long: true,
        test: |bed| under_loss(bed, &Trial { gateways: 3, ..LONG }),
    },
];

fn under_loss(bed: &Bed, trial: &Trial) -> Result<()> {
    let room = u64::from(trial.gateways) * u64::from(trial.states) + 100_000;
    for permille in trial.permille {
        // It ends with each lab.
        conntrack::make_room(room)?;
        let options = Options {
            stateful: Some(Firewall::snat()),
            gateways: trial.gateways,
            ..bed.options.clone()
        };
        let config = Config::example();
        let config =
            if trial.gateways > 2 { config.with("node.gw3", "priority", "50") } else { config };
        let (mut lab, active) = ready(Lab::build(options)?, config)?;
        lab.wait_in_sync(SYNC_LIMIT)?;
        // The first whole reading of the tables is over, so that nothing but loss is measured.
        clock::sleep(SETTLE);
        once(&mut lab, active, trial, *permille)?;
    }
    Ok(())
}

fn once(lab: &mut Lab, active: Gateway, trial: &Trial, permille: u16) -> Result<()> {
    for gateway in lab.gateways() {
        let loss = Loss { from: Some(gateway), permille, ..Loss::all(Segment::Sync) };
        lab.inflict(&Fault::Lost(loss))?;
    }
    let count = |name: &str| lab.counted(active, name);
    let before = (count("told")?, count("retold")?);
    let made = Made::open(lab.topology.gateway(active), Family::V4)?;
    paced(trial.states, MADE_PER_SECOND, |numbers| made.create(numbers))?;
    let changes = trial.changes_per_second * trial.seconds;
    let took = paced(changes, trial.changes_per_second, |numbers| {
        // A walk over all connections in an order that is none of their numbers.
        let spread = |number: u32| {
            let place = u64::from(number) * 7919 % u64::from(trial.states);
            u32::try_from(place).unwrap_or(0)
        };
        let mark = numbers.end;
        made.mark(numbers.map(spread), mark)
    })?;
    let settled = lab.wait_equal(active, REST_LIMIT)?;
    let frames = filter::frames(&lab.topology.switch, active)?;
    let (told, retold) = (count("told")? - before.0, count("retold")? - before.1);
    let held = Table::read(lab.topology.gateway(active))?.len();
    // Each datagram goes to every other node; one that is told again is as well.
    let readers = f64::from(trial.gateways - 1);
    let resent = retold as f64 / told.max(1) as f64 * frames.offered as f64 / readers;
    let ratio = resent / frames.lost.max(1) as f64;
    println!(
        "      {:.0} % loss, {} standbys: {held} connections, {changes} changes in {took:.1?}; {told} flows told, \
         {retold} again, in {} datagrams of which {} were lost: {ratio:.2} resent for each lost; \
         packets lost by its own count {}, deferred {}; equal after {:.1} s",
        f64::from(permille) / 10.0,
        trial.gateways - 1,
        frames.offered,
        frames.lost,
        count("packets_lost")?,
        count("deferred")?,
        settled.as_secs_f64()
    );
    claim(held == trial.states as usize, || format!("{held} connections on the active gateway"))?;
    claim(frames.lost > 0 && retold > 0, || "nothing was lost".to_owned())?;
    claim(ratio <= RESENT_PER_LOST, || format!("{ratio:.2} told again for each that was lost"))?;
    lab.wait_in_sync(SYNC_LIMIT)
}

/// Does something for so many numbers at a steady rate; gives how long it took.
fn paced(
    total: u32,
    per_second: u32,
    mut act: impl FnMut(std::ops::Range<u32>) -> Result<()>,
) -> Result<Duration> {
    let start = clock::now();
    let mut done = 0;
    while done < total {
        let due = start.elapsed().as_millis() * u128::from(per_second) / 1000;
        let due = u32::try_from(due).unwrap_or(total).min(total);
        if due > done {
            act(done..due)?;
            done = due;
        } else {
            clock::sleep(STEP);
        }
    }
    Ok(start.elapsed())
}
