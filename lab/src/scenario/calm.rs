//! Nothing moves when nothing is wrong: under load (point 6) and with opposite preferences (point 8).

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Bed, Needs, Scenario, claim, claim_still};
use crate::cleanup;
use crate::clock;
use crate::config::Config;
use crate::error::Result;
use crate::fault::Fault;
use crate::filter::Loss;
use crate::lab::Lab;
use crate::run::dead_time;
use crate::shell;
use crate::topology::{GW1, GW2, Gateway, Segment, VIRTUAL_LAN};
use crate::wait::READY_LIMIT;
use crate::watch::AddressWatch;

/// Busy loops for each processor.
const BUSY_LOOPS: usize = 4;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "saturated-short",
        shows: "all processors saturated for 20 s: no transition",
        needs: Needs::Root,
        long: false,
        test: |bed| saturated(bed, Duration::from_secs(20), false),
    },
    Scenario {
        name: "saturated",
        shows: "all processors saturated for 5 minutes: no transition",
        needs: Needs::Root,
        long: true,
        test: |bed| saturated(bed, Duration::from_secs(300), false),
    },
    Scenario {
        name: "saturated-no-realtime",
        shows: "the same without real-time priority: no transition",
        needs: Needs::Root,
        long: true,
        test: |bed| saturated(bed, Duration::from_secs(300), true),
    },
    Scenario {
        name: "sync-loop",
        shows: "four address sets in two groups, opposite preference: no flapping after each step",
        needs: Needs::Daemon,
        long: false,
        test: |bed| sync_loop(bed, Duration::from_secs(8)),
    },
    Scenario {
        name: "sync-loop-minute",
        shows: "the same, watched for 60 s after each step",
        needs: Needs::Daemon,
        long: true,
        test: |bed| sync_loop(bed, Duration::from_secs(60)),
    },
];

/// Load generators; ended when dropped.
struct Burners(Vec<Child>);

impl Burners {
    /// Starts busy loops and one loop that forks, for each processor.
    fn start() -> Result<Self> {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let mut burners = Self(Vec::new());
        for _ in 0..processors {
            for _ in 0..BUSY_LOOPS {
                burners.add("while :; do :; done")?;
            }
            burners.add("while :; do /bin/true; done")?;
        }
        Ok(burners)
    }

    fn add(&mut self, script: &str) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null());
        // They live in no namespace of the lab; who cleans up knows them by their directory.
        command.current_dir(cleanup::own_directory());
        self.0.push(shell::spawn(&mut command)?);
        Ok(())
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn saturated(bed: &Bed, span: Duration, ordinary: bool) -> Result<()> {
    let (mut lab, active) = bed.cluster(Config::example())?;
    if ordinary {
        for gateway in [GW1, GW2] {
            for (pid, _) in lab.daemon_processes(gateway)? {
                // Takes real-time priority from every thread; -a names them all.
                shell::run("chrt", &["-a", "-o", "-p", "0", &pid.to_string()])?;
            }
        }
    }
    let watch = AddressWatch::start(&lab)?;
    let burners = Burners::start()?;
    let start = clock::now();
    let mut dead_times = Vec::new();
    while start.elapsed() < span {
        clock::sleep(Duration::from_secs(1));
        lab.check_alive()?;
        dead_times.extend([GW1, GW2].into_iter().filter_map(|gateway| dead_time(&lab, gateway)));
    }
    drop(burners);
    println!("      highest dead time {:?} ms", dead_times.into_iter().max_by(f64::total_cmp));
    let log = watch.stop()?;
    let transitions = log.moves(VIRTUAL_LAN);
    claim(transitions == 0, || format!("{transitions} transitions\n{}", lab.log_tails()))?;
    let now = lab.wait_ready(READY_LIMIT)?;
    claim(now == active, || format!("{now} is active, not {active}"))
}

/// Two groups of two routers each, preferring different gateways.
fn loop_config() -> Config {
    let mut config = Config::example();
    for (group, host, vrid, priority) in [
        ("gateway", 1, 51, "{ gw1 = 200, gw2 = 100 }"),
        ("pool", 101, 61, "{ gw1 = 100, gw2 = 200 }"),
    ] {
        config = config.with(&format!("group.{group}"), "priority", priority);
        for (offset, segment, net) in [(0, "lan", 91), (1, "wan", 92)] {
            let table = format!("group.{group}.router.{segment}");
            config = config
                .with(&table, "interface", &format!("\"{segment}\""))
                .with(&table, "vrid", &(vrid + offset).to_string())
                .with(&table, "addresses", &format!("[\"10.{net}.0.{host}/24\"]"));
        }
    }
    config
}

/// Who holds each of the four addresses.
fn holders(lab: &Lab) -> Result<Vec<Vec<Gateway>>> {
    ["10.91.0.1", "10.92.0.1", "10.91.0.101", "10.92.0.101"]
        .iter()
        .map(|address| lab.holders(address))
        .collect()
}

/// After some time to settle, nothing moves any more and every address has one holder.
fn settles(lab: &mut Lab, what: &str, calm: Duration) -> Result<Vec<Vec<Gateway>>> {
    clock::sleep(Duration::from_secs(6));
    let settled = holders(lab)?;
    claim(settled.iter().all(|one| one.len() == 1), || format!("{what}: holders {settled:?}"))?;
    let start = clock::now();
    while start.elapsed() < calm {
        clock::sleep(Duration::from_millis(100));
        let now = holders(lab)?;
        claim(now == settled, || format!("{what}: from {settled:?} to {now:?}"))?;
    }
    Ok(settled)
}

fn sync_loop(bed: &Bed, calm: Duration) -> Result<()> {
    let mut lab = bed.lab()?;
    lab.start_all(&crate::lab::Subject::Evergate(loop_config()))?;
    let both = vec![vec![GW1], vec![GW1], vec![GW2], vec![GW2]];
    let start = settles(&mut lab, "at the start", calm / 2)?;
    claim(start == both, || format!("each group on its preferred gateway: {start:?}"))?;
    let steps = [
        (Fault::Carrier(GW2, Segment::Lan), true),
        (Fault::Silent(GW2, Segment::Lan), true),
        (Fault::Lost(Loss { protocol: Some(112), ..Loss::all(Segment::Lan) }), false),
        (Fault::OneWay { from: GW2, to: GW1, on: Some(Segment::Lan) }, false),
    ];
    for (fault, moves_all) in steps {
        lab.inflict(&fault)?;
        let now = settles(&mut lab, &fault.to_string(), calm)?;
        if moves_all {
            let on_first = now.iter().all(|one| *one == [GW1]);
            claim(on_first, || format!("{fault}: not all addresses on gw1 but {now:?}"))?;
        }
        lab.heal(&fault)?;
        let back = settles(&mut lab, &format!("after \"{fault}\" was healed"), calm)?;
        claim(back == both, || format!("not back on the preferred gateways: {back:?}"))?;
    }
    claim_still(&mut lab, Duration::from_millis(100))
}
