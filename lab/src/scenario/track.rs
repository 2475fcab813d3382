//! Checks: what fails on one node, on both, and what hangs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Bed, Needs, Scenario, claim, claim_still, ready};
use crate::clock;
use crate::config::Config;
use crate::control::GROUP;
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::lab::Lab;
use crate::probe::Probe;
use crate::spy::{Spy, advert_gap};
use crate::topology::{Gateway, SERVER, Segment};
use crate::wait::READY_LIMIT;

/// How long a result may take to show.
const SEEN_LIMIT: Duration = Duration::from_secs(10);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// For so long nothing may move any more.
const CALM: Duration = Duration::from_secs(5);
/// After a takeover checks move a group at once only when it has been where it is for 10 s.
const SETTLES: Duration = Duration::from_secs(11);
/// Adverts are due each second; what waits for a script would wait for a minute.
const ADVERT_GAP_MAX_US: u64 = 2_000_000;
/// The mark of the program that hangs, among all processes of the machine.
const HANGS: &str = "61.8034";

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "track-weight",
        shows: "a weight moves the group to the peer at once and back, and no probe is lost",
        needs: Needs::Daemon,
        long: false,
        test: weight,
    },
    Scenario {
        name: "track-fault",
        shows: "a script that fails takes the group away; a reload adds and removes checks",
        needs: Needs::Root,
        long: false,
        test: fault,
    },
    Scenario {
        name: "track-both",
        shows: "a check that fails on both nodes: nothing moves to and fro",
        needs: Needs::Daemon,
        long: false,
        test: both,
    },
    Scenario {
        name: "track-hangs",
        shows: "a script that hangs is killed with its children; adverts and heartbeats go on",
        needs: Needs::Root,
        long: false,
        test: hangs,
    },
];

/// The example without replication: its link is what fails here.
fn config() -> Config {
    Config::example().without_table("replicate")
}

/// A check of the group, with what a group makes of it.
fn with(config: Config, test: &str, track: &str) -> Config {
    config.with("check.web", "test", test).with(
        "group.gateway",
        "track",
        &format!("{{ web = {track} }}"),
    )
}

/// A test that fails on a node where the directory of the lab has the file `bad-NODE`.
fn script(directory: &Path, otherwise: &str) -> String {
    let flag = directory.join("bad");
    let command = format!("test ! -e {}-$EVERGATE_NODE || {otherwise}", flag.display());
    format!("[\"exec:/bin/sh\", \"-c\", \"{command}\"]")
}

fn set(directory: &Path, gateway: Gateway, bad: bool) -> Result<()> {
    let path = directory.join(format!("bad-{gateway}"));
    let done = if bad { fs::write(path, "") } else { fs::remove_file(path) };
    done.map_err(LabError::io("mark a node"))
}

fn weight(bed: &Bed) -> Result<()> {
    let config = with(config(), "\"carrier:sync\"", "-150");
    let (mut lab, active) = bed.cluster(config)?;
    clock::sleep(SETTLES);
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(300), READY_LIMIT)?;
    let since = probe.elapsed();
    let pulled = Fault::Carrier(active, Segment::Sync);
    lab.inflict(&pulled)?;
    lab.wait_holder(active.other(), SEEN_LIMIT)?;
    let group = lab.control(active)?.group()?;
    let terms = group.as_ref().map(|group| {
        let terms = group.priority_terms.iter().map(|term| (term.check.as_str(), term.weight));
        (group.priority, group.priority_base, terms.collect::<Vec<_>>())
    });
    claim(terms == Some((50, 200, vec![("web", -150)])), || format!("{group:?}"))?;
    lab.heal(&pulled)?;
    lab.wait_holder(active, SEEN_LIMIT)?;
    claim_still(&mut lab, CALM)?;
    let moved = causes(&lab)?;
    claim(moved == ["handed-over", "handed-over"], || {
        format!("takeovers: {moved:?}\n{}", lab.log_tails())
    })?;
    let record = probe.stop();
    let lost = record.lost_since(since);
    claim(lost == 0, || format!("{lost} probes lost, gaps: {:?}", record.gaps()))
}

/// Why groups were taken over, without the first time.
fn causes(lab: &Lab) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for gateway in lab.gateways() {
        let events = lab.control(gateway)?.events()?;
        told.extend(events.into_iter().filter(|event| event.event == "handover"));
    }
    told.sort_by(|one, other| one.time.cmp(&other.time));
    Ok(told.into_iter().skip(1).filter_map(|event| event.reason).collect())
}

fn fault(bed: &Bed) -> Result<()> {
    let lab = bed.lab()?;
    let directory = lab.directory().to_owned();
    let config = with(config(), &script(&directory, "exit 3"), "\"fault\"")
        .with("check.web", "interval", "\"100ms\"")
        .with("check.web", "fall", "2");
    let (mut lab, active) = ready(lab, config.clone())?;
    set(&directory, active, true)?;
    lab.wait_holder(active.other(), SEEN_LIMIT)?;
    let group = lab.control(active)?.group()?;
    let reasons = group
        .as_ref()
        .map(|group| group.reasons.iter().map(|reason| reason.code.as_str()).collect::<Vec<_>>());
    claim(reasons == Some(vec!["check"]), || format!("{group:?}"))?;
    wait_why(&lab, active, "exit status 3")?;
    without(&mut lab, active, &config)?;
    lab.wait_holder(active, SEEN_LIMIT)?;
    let plan = reload(&lab, active, &config)?;
    claim(plan.contains("add check web") && plan.contains("tracks web"), || plan)?;
    lab.wait_holder(active.other(), SEEN_LIMIT)?;
    set(&directory, active, false)?;
    lab.wait_holder(active, SEEN_LIMIT)?;
    claim_still(&mut lab, CALM)
}

/// Takes the check out on the active node: the fault goes with it.
fn without(lab: &mut Lab, gateway: Gateway, config: &Config) -> Result<()> {
    let none = config.clone().without_table("check.web").without_table("group.gateway");
    let plan = reload(lab, gateway, &none)?;
    claim(plan.contains("remove check web"), || plan)
}

fn reload(lab: &Lab, gateway: Gateway, config: &Config) -> Result<String> {
    lab.write_config(gateway, config)?;
    let answer = lab.control(gateway)?.ask(&["reload"])?;
    claim(matches!(answer.code, 0 | 1), || format!("{}{}", answer.text, answer.errors))?;
    Ok(answer.text)
}

/// Waits until `why` says something on a gateway.
fn wait_why(lab: &Lab, gateway: Gateway, text: &str) -> Result<()> {
    let what = format!("`evergate why` on {gateway} to say: {text}");
    clock::wait_for(&what, SEEN_LIMIT, LOOK, || {
        let said = lab.control(gateway)?.ask(&["why", GROUP])?;
        Ok(said.text.contains(text).then_some(()))
    })
}

fn both(bed: &Bed) -> Result<()> {
    let lab = bed.lab()?;
    let up = lab.directory().join("up");
    fs::write(&up, "").map_err(LabError::io("make a file"))?;
    let config = with(config(), &format!("\"file:{}\"", up.display()), "-150").with(
        "check.web",
        "interval",
        "\"200ms\"",
    );
    let (mut lab, active) = ready(lab, config)?;
    clock::sleep(SETTLES);
    fs::remove_file(&up).map_err(LabError::io("remove a file"))?;
    for gateway in lab.gateways() {
        wait_why(&lab, gateway, "-150 of -150")?;
    }
    // Whoever saw it first may have handed over before the other saw it too.
    lab.wait_holder(active, SEEN_LIMIT)?;
    clock::sleep(Duration::from_secs(2));
    claim_still(&mut lab, CALM)?;
    let moved = causes(&lab)?;
    claim(moved.len() <= 2, || format!("takeovers: {moved:?}\n{}", lab.log_tails()))?;
    fs::write(&up, "").map_err(LabError::io("make a file"))?;
    claim_still(&mut lab, CALM)?;
    let now = lab.wait_ready(READY_LIMIT)?;
    claim(now == active, || format!("{now} is active"))
}

fn hangs(bed: &Bed) -> Result<()> {
    let lab = bed.lab()?;
    let directory = lab.directory().to_owned();
    let hang = format!("{{ sleep {HANGS} & sleep {HANGS}; }}");
    let config = with(config(), &script(&directory, &hang), "-60")
        .with("check.web", "interval", "\"300ms\"")
        .with("check.web", "timeout", "\"200ms\"");
    let (mut lab, active) = ready(lab, config)?;
    let mut spy = Spy::plug_in(&lab.topology)?;
    spy.record()?;
    for gateway in lab.gateways() {
        set(&directory, gateway, true)?;
        wait_why(&lab, gateway, "no end within 200 ms")?;
    }
    let told = peer_events(&lab)?;
    let most = most_hanging(CALM);
    claim_still(&mut lab, Duration::from_millis(1))?;
    // One at a time on each of two nodes: a shell and two of these, and those that are being ended.
    claim(most <= 4, || format!("{most} of them run at the same time"))?;
    let gap = advert_gap(&spy.take());
    claim(gap <= ADVERT_GAP_MAX_US, || format!("{} ms between two adverts", gap / 1000))?;
    let now = peer_events(&lab)?;
    claim(now == told, || format!("peers: {now:?}\n{}", lab.log_tails()))?;
    for gateway in lab.gateways() {
        set(&directory, gateway, false)?;
        wait_why(&lab, gateway, "exit status 0")?;
    }
    let left = clock::wait_for("what hangs to be gone", SEEN_LIMIT, LOOK, || {
        Ok((hanging() == 0).then_some(()))
    });
    left?;
    let holder = lab.one_holder()?;
    claim(holder == Some(active), || format!("{holder:?} holds it"))
}

/// What was told of peers and paths so far.
fn peer_events(lab: &Lab) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for gateway in lab.gateways() {
        let events = lab.control(gateway)?.events()?.into_iter();
        let about =
            events.filter(|event| matches!(event.event.as_str(), "peer" | "path" | "pause"));
        told.extend(about.map(|event| format!("{gateway}: {}", event.text)));
    }
    Ok(told)
}

/// The most programs that hang at the same time, over a while.
fn most_hanging(span: Duration) -> usize {
    let start = clock::now();
    let mut most = 0;
    while start.elapsed() < span {
        most = most.max(hanging());
        clock::sleep(LOOK);
    }
    most
}

/// How many programs hang now: `sleep` itself, not the shell whose line names it.
fn hanging() -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(std::result::Result::ok);
    let sleeps = entries.filter(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        matches!(words[..], [b"sleep", mark, ..] if mark == HANGS.as_bytes())
    });
    sleeps.count()
}
