//! Procedures: what is run when a group moves, in which order, as whom; and what one that hangs holds up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::speed::switch_group;
use super::{Bed, Needs, Scenario, claim, ready};
use crate::clock;
use crate::config::Config;
use crate::control::GROUP;
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::lab::{Lab, Subject};
use crate::node::Part;
use crate::probe::Probe;
use crate::spy::{Spy, advert_gap};
use crate::topology::{Gateway, SERVER, Segment};
use crate::wait::READY_LIMIT;

/// How long anything may take to show.
const SEEN_LIMIT: Duration = Duration::from_secs(20);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Adverts are due each second; what waits for a procedure would wait for a minute.
const ADVERT_GAP_MAX_US: u64 = 2_000_000;
/// A node that is alone takes the group once it has listened for three adverts.
const ALONE_LIMIT: Duration = Duration::from_secs(20);
/// Mode of a file in which everybody may write.
const FOR_ALL: u32 = 0o666;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "procedures-order",
        shows: "activate and deactivate run in order as the user, and know the transition",
        needs: Needs::Root,
        long: false,
        test: order,
    },
    Scenario {
        name: "procedures-fifo",
        shows: "scripts and FIFO of keepalived get the arguments and lines they expect",
        needs: Needs::Root,
        long: false,
        test: fifo,
    },
    Scenario {
        name: "procedures-hang",
        shows: "a procedure that hangs delays neither adverts nor addresses, and is killed",
        needs: Needs::Root,
        long: false,
        test: hang,
    },
    Scenario {
        name: "procedures-crash",
        shows: "a program outlives the core that ordered it, and a new runner starts one once more",
        needs: Needs::Root,
        long: false,
        test: crash,
    },
];

/// A file of each gateway that the procedures write to, whoever runs them.
fn log_of(lab: &Lab, gateway: Gateway) -> PathBuf {
    lab.directory().join(format!("log-{gateway}"))
}

fn make_logs(lab: &Lab) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for gateway in lab.gateways() {
        let path = log_of(lab, gateway);
        fs::write(&path, "").map_err(LabError::io("make a log"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(FOR_ALL))
            .map_err(LabError::io("open a log to all"))?;
    }
    Ok(())
}

fn log(lab: &Lab, gateway: Gateway) -> Vec<String> {
    let text = fs::read_to_string(log_of(lab, gateway)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A program that writes to the log of its node.
fn writes(directory: &Path, text: &str) -> String {
    let log = directory.join("log").display().to_string();
    format!("[\"exec:/bin/sh\", \"-c\", \"{{ {text}; }} >> {log}-$EVERGATE_NODE\", \"sh\"]")
}

/// Waits until the log of a gateway has a line with this text; gives all lines.
fn wait_log(lab: &Lab, gateway: Gateway, text: &str) -> Result<Vec<String>> {
    let what = format!("the log of {gateway} to say: {text}");
    let found = clock::wait_for(&what, SEEN_LIMIT, LOOK, || {
        let lines = log(lab, gateway);
        Ok(lines.iter().any(|line| line.contains(text)).then_some(lines))
    });
    found.map_err(|error| {
        LabError::Claim(format!("{error}\n{:?}\n{}", log(lab, gateway), lab.log_tails()))
    })
}

fn clear(lab: &Lab, gateway: Gateway) -> Result<()> {
    fs::write(log_of(lab, gateway), "").map_err(LabError::io("empty a log"))
}

fn order(bed: &Bed) -> Result<()> {
    let lab = bed.lab()?;
    make_logs(&lab)?;
    let directory = lab.directory().to_owned();
    let step = |text: &str| writes(&directory, text);
    let first = step("echo up1 $(id -un) $EVERGATE_SEQUENCE $EVERGATE_CAUSE; sleep 0.2; cat");
    let (second, down) = (step("echo up2; exit 3"), step("echo down $EVERGATE_TO"));
    let config = Config::example()
        .without_table("replicate")
        .with("group.gateway", "activate", &format!("[{first}, {second}]"))
        .with("group.gateway", "deactivate", &format!("[{down}]"))
        .with("group.gateway", "notify", &format!("{{ any = {} }}", step("echo told $*")));
    let (mut lab, active) = ready(lab, config)?;
    let lines = wait_log(&lab, active, "MASTER")?;
    let words: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    // Each begins as standby, which is told too.
    claim(words[..2] == ["down", "told"] && words[2] == "up1", || format!("{lines:?}"))?;
    claim(lines[0] == "down standby" && lines[1] == "told GROUP gateway BACKUP 0", || {
        format!("{lines:?}")
    })?;
    claim(lines[2].starts_with("up1 nobody "), || format!("it is not run by nobody: {lines:?}"))?;
    claim_json(&lines[2], &lines[3], active)?;
    claim(lines[4..] == ["up2", "told GROUP gateway MASTER 0"], || format!("{lines:?}"))?;
    claim_shown(&lab, active)?;
    let target = active.other();
    clear(&lab, active)?;
    clear(&lab, target)?;
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(300), READY_LIMIT)?;
    let since = probe.elapsed();
    switch_over(&mut lab, active)?;
    let left = wait_log(&lab, active, "BACKUP")?;
    claim(left == ["down releasing", "told GROUP gateway BACKUP 0"], || format!("{left:?}"))?;
    let came = wait_log(&lab, target, "MASTER")?;
    claim(came[0].ends_with(" handed-over"), || format!("{came:?}"))?;
    let lost = probe.stop().lost_since(since);
    claim(lost == 0, || format!("{lost} probes lost"))
}

/// What the first program was told in its environment is what it read.
fn claim_json(words: &str, json: &str, node: Gateway) -> Result<()> {
    let told: serde_json::Value =
        serde_json::from_str(json).map_err(|error| LabError::Claim(format!("{json}: {error}")))?;
    let sequence = told["sequence"].as_u64().unwrap_or(0);
    let cause = told["cause"].as_str().unwrap_or("?");
    claim(words == format!("up1 nobody {sequence} {cause}"), || format!("{words}: {json}"))?;
    let rest = [&told["node"], &told["group"], &told["procedure"], &told["to"]];
    let node = node.to_string();
    let expected = [node.as_str(), GROUP, "activate 1", "active"];
    claim(rest.iter().zip(expected).all(|(found, word)| **found == word), || json.to_owned())
}

/// The exit status of a procedure is in `status`, in `why` and in the events.
fn claim_shown(lab: &Lab, active: Gateway) -> Result<()> {
    let control = lab.control(active)?;
    let shown = clock::wait_for("status to have all procedures", SEEN_LIMIT, LOOK, || {
        let procedures = control.group()?.and_then(|group| group.procedures);
        Ok(procedures.filter(|shown| shown.running.is_none() && shown.to == "active"))
    })?;
    let ended = shown.ended.iter().map(|one| (one.procedure.as_str(), one.exit_status));
    let ended: Vec<_> = ended.collect();
    let expected =
        [("activate 1", Some(0)), ("activate 2", Some(3)), ("notify any (master)", Some(0))];
    claim(ended == expected, || format!("{shown:?}"))?;
    let took = control.group()?.and_then(|group| group.last_handover?.phases_ms.procedures);
    claim(took.is_some_and(|ms| ms >= 200.0), || format!("the procedures took {took:?} ms"))?;
    let why = control.ask(&["why", GROUP])?.text;
    claim(why.contains("procedure activate 2") && why.contains("exit status 3"), || why)?;
    let events = control.events()?;
    let told = events.iter().any(|one| one.event == "procedure" && one.text.contains("status 3"));
    claim(told, || format!("{events:?}"))
}

fn fifo(bed: &Bed) -> Result<()> {
    let mut lab = bed.lab()?;
    make_logs(&lab)?;
    let directory = lab.directory().to_owned();
    let path = directory.join("fifo");
    let reader = writes(&directory, "id -un; exec cat $1");
    let told = |what: &str| writes(&directory, &format!("echo {what} $*"));
    let notify = format!(
        "{{ any = {}, stop = {}, user = \"daemon\" }}",
        told("any"),
        told("stop $(id -un) $EVERGATE_CAUSE")
    );
    let config = Config::example()
        .with_foreign("gw2")
        .with("group.gateway", "notify_kind", "\"instance\"")
        .with("group.gateway", "notify", &notify)
        .with("group.gateway", "deactivate", &format!("[{}]", writes(&directory, "echo down")))
        .with("notify", "fifo", &format!("\"{}\"", path.display()))
        .with("notify", "fifo_script", &reader);
    let alone = lab.gateways()[0];
    lab.start(alone, &Subject::Evergate(config))?;
    clock::wait_for("the only node to be active", ALONE_LIMIT, LOOK, || {
        Ok(lab.control(alone)?.is_active().unwrap_or(false).then_some(()))
    })?;
    wait_log(&lab, alone, "any INSTANCE gateway MASTER 200")?;
    let pulled = Fault::Carrier(alone, Segment::Lan);
    lab.inflict(&pulled)?;
    wait_log(&lab, alone, "any INSTANCE gateway FAULT 200")?;
    lab.heal(&pulled)?;
    let again = |lines: &[String]| lines.iter().filter(|line| line.contains("MASTER")).count() == 4;
    clock::wait_for("it to be active again", ALONE_LIMIT, LOOK, || {
        Ok(again(&log(&lab, alone)).then_some(()))
    })?;
    clear(&lab, alone)?;
    lab.stop(alone)?;
    let lines = log(&lab, alone);
    // Nothing of ours runs any more: what is not there now never comes.
    let scripts: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| !line.contains('"')).collect();
    let expected = ["down", "stop daemon shutdown", "any INSTANCE gateway STOP 200"];
    claim(scripts == expected, || format!("{lines:?}\n{}", lab.log_tails()))?;
    claim(lines.contains(&"INSTANCE \"gateway\" STOP 200".to_owned()), || format!("{lines:?}"))?;
    claim(!path.exists(), || "the FIFO is left behind".to_owned())
}

fn hang(bed: &Bed) -> Result<()> {
    let lab = bed.lab()?;
    make_logs(&lab)?;
    let hangs = writes(lab.directory(), "echo hangs $EVERGATE_TO; trap : TERM; sleep 59; sleep 59");
    let config = Config::example()
        .without_table("replicate")
        .with("group.gateway", "activate", &format!("[{hangs}]"))
        .with("group.gateway", "deactivate", &format!("[{hangs}]"))
        .with("group.gateway", "procedures", "{ timeout = \"2s\" }");
    let (mut lab, active) = ready(lab, config)?;
    let target = active.other();
    let mut spy = Spy::plug_in(&lab.topology)?;
    spy.record()?;
    wait_log(&lab, active, "hangs active")?;
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(Duration::from_millis(300), READY_LIMIT)?;
    let since = probe.elapsed();
    let began = clock::now();
    switch_over(&mut lab, active)?;
    let moved = began.elapsed();
    claim(moved < Duration::from_secs(3), || format!("the address took {moved:?}"))?;
    wait_log(&lab, target, "hangs active")?;
    let why = "no end within 2000 ms";
    clock::wait_for("the events to say that it was killed", SEEN_LIMIT, LOOK, || {
        let events = lab.control(active)?.events()?;
        Ok(events
            .iter()
            .any(|one| one.event == "procedure" && one.text.contains(why))
            .then_some(()))
    })?;
    wait_log(&lab, active, "hangs releasing")?;
    let lost = probe.stop().lost_since(since);
    claim(lost == 0, || format!("{lost} probes lost"))?;
    let gap = advert_gap(&spy.take());
    claim(gap <= ADVERT_GAP_MAX_US, || format!("{} ms between two adverts", gap / 1000))?;
    // The end of the daemon waits for it, but not for its 59 seconds: `stop` would give up before that.
    clear(&lab, target)?;
    lab.stop(target)?;
    claim(log(&lab, target) == ["hangs releasing"], || format!("{:?}", log(&lab, target)))?;
    lab.wait_holder(active, SEEN_LIMIT)
}

fn crash(bed: &Bed) -> Result<()> {
    let lab = bed.lab()?;
    make_logs(&lab)?;
    let directory = lab.directory().to_owned();
    let step = |text: &str| writes(&directory, text);
    let config = Config::example()
        .without_table("replicate")
        .with("group.gateway", "failback", "\"manual\"")
        .with(
            "group.gateway",
            "activate",
            &format!("[{}]", step("echo begins; sleep 2; echo ends")),
        )
        .with("group.gateway", "deactivate", &format!("[{}]", step("echo down")))
        .with("group.gateway", "notify", &format!("{{ any = {} }}", step("echo $3")));
    let (mut lab, active) = ready(lab, config)?;
    wait_log(&lab, active, "MASTER")?;
    let target = active.other();
    let lines = kill_while_it_begins(&mut lab, active, Part::Runner, "MASTER")?;
    claim(lines == ["begins", "begins", "ends", "MASTER"], || format!("{lines:?}"))?;
    wait_log(&lab, active, "BACKUP")?;
    lab.wait_ready(READY_LIMIT)?;
    let lines = kill_while_it_begins(&mut lab, target, Part::Core, "BACKUP")?;
    claim(lines == ["begins", "ends", "down", "BACKUP"], || format!("{lines:?}"))?;
    lab.wait_holder(target, SEEN_LIMIT)
}

/// Moves the group away and kills a process of its new holder while `activate` is run; gives its log up to `last`.
fn kill_while_it_begins(
    lab: &mut Lab,
    from: Gateway,
    part: Part,
    last: &str,
) -> Result<Vec<String>> {
    let to = from.other();
    clear(lab, to)?;
    switch_over(lab, from)?;
    wait_log(lab, to, "begins")?;
    lab.inflict(&Fault::Killed(to, part))?;
    wait_log(lab, to, last)
}

fn switch_over(lab: &mut Lab, from: Gateway) -> Result<()> {
    switch_group(lab, from, GROUP)?;
    lab.wait_holder(from.other(), SEEN_LIMIT)
}
