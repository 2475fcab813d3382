//! What users do by mistake: it is told and changes nothing.

use std::fs;
use std::time::Duration;

use super::{Bed, Needs, Scenario, claim, claim_still};
use crate::binaries::Binaries;
use crate::config::Config;
use crate::error::{LabError, Result};
use crate::shell;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "second-daemon-refused",
        shows: "a second daemon on the same socket refuses to start and names the first",
        needs: Needs::Daemon,
        long: false,
        test: second_daemon,
    },
    Scenario {
        name: "broken-reload",
        shows: "a reload of a broken file exits 2 and leaves everything as it was",
        needs: Needs::Daemon,
        long: false,
        test: broken_reload,
    },
];

fn second_daemon(bed: &Bed) -> Result<()> {
    let (mut lab, active) = bed.cluster(Config::example())?;
    let binaries = Binaries::find(bed.options.bin_dir.as_deref())?;
    let directory = lab.node_directory(active);
    let program = binaries.evergated.to_string_lossy().into_owned();
    let config = directory.join("evergate.toml").to_string_lossy().into_owned();
    let socket = directory.join("evergate.sock").to_string_lossy().into_owned();
    let arguments =
        ["10", &program, "--config", &config, "--node", &active.to_string(), "--socket", &socket];
    let namespace = lab.topology.gateway(active);
    let output = namespace.enter(|| shell::run_unchecked("timeout", &arguments, ""))??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    claim(code.is_some_and(|code| code != 0 && code != 124), || {
        format!("ended with {code:?}: {said}")
    })?;
    let pids = lab.daemon_processes(active)?;
    let named = pids.iter().any(|(pid, _)| said.contains(&pid.to_string()));
    claim(named, || format!("it does not name the running process: {said}"))?;
    claim_still(&mut lab, Duration::from_secs(1))
}

fn broken_reload(bed: &Bed) -> Result<()> {
    let (mut lab, active) = bed.cluster(Config::example())?;
    let before = lab.control(active)?.status()?.map(|status| status.config);
    let path = lab.node_directory(active).join("evergate.toml");
    let broken = Config::example().with("group.gateway.router.lan", "vrid", "5100").to_toml();
    fs::write(&path, broken).map_err(LabError::io("write a broken configuration"))?;
    let answer = lab.control(active)?.ask(&["reload"])?;
    claim(answer.code == 2, || format!("reload ends with {}: {}", answer.code, answer.text))?;
    let said = format!("{}{}", answer.text, answer.errors);
    claim(said.contains("vrid"), || format!("the error does not name the key: {said}"))?;
    let after = lab.control(active)?.status()?.map(|status| status.config);
    claim(before == after, || format!("the configuration in force changed: {after:?}"))?;
    claim_still(&mut lab, Duration::from_secs(1))
}
