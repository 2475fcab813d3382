//! The sample configurations of keepalived's package: each is imported, and `check` takes what comes of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Bed, Needs, Scenario, claim};
use crate::binaries::{Binaries, cache_directory};
use crate::error::{LabError, Result};
use crate::package::Packaged;
use crate::shell;

/// Where the package puts them.
const SAMPLES: &str = "usr/share/doc/keepalived/samples";
/// How many there are in Debian 12.
const COUNT: usize = 25;
/// How many of them have routers; the others speak of load balancing only.
const WITH_ROUTERS: usize = 12;
/// The exit code of an import without anything to write, and of a check with errors.
const NOTHING: i32 = 2;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "import-samples",
    shows: "all samples of keepalived's package are imported, and check takes what comes of them",
    needs: Needs::Peer,
    long: false,
    test: samples,
}];

fn samples(bed: &Bed) -> Result<()> {
    Packaged::find("keepalived")?;
    let places = [cache_directory().join("keepalived"), "/".into()].map(|root| root.join(SAMPLES));
    let found = places.iter().find_map(|place| fs::read_dir(place).ok());
    let Some(found) = found else {
        return Err(LabError::Claim(format!("no samples in {places:?}")));
    };
    let lab = bed.lab()?;
    let is_sample = |path: &PathBuf| path.to_string_lossy().contains("keepalived.conf");
    let paths: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).filter(is_sample).collect();
    claim(paths.len() == COUNT, || format!("there are {} samples", paths.len()))?;
    let mut written = 0;
    for (at, path) in paths.iter().enumerate() {
        let directory = lab.directory().join(format!("sample-{at}"));
        fs::create_dir(&directory).map_err(LabError::io("make a directory for a sample"))?;
        written += usize::from(import(bed, path, &directory)?);
    }
    claim(written == WITH_ROUTERS, || format!("{written} samples have routers"))
}

/// Imports a sample; whether there was anything to write.
fn import(bed: &Bed, sample: &Path, directory: &Path) -> Result<bool> {
    let evergate = Binaries::find(bed.options.bin_dir.as_deref())?.evergate;
    let (evergate, sample) = (evergate.to_string_lossy(), sample.to_string_lossy());
    let keys = directory.to_string_lossy();
    // Samples that serve two machines choose by this name.
    let words =
        ["import", "keepalived", "--config-id", "high", "--key-dir", &keys, sample.as_ref()];
    let output = shell::run_unchecked(&evergate, &words, "")?;
    let (code, text) = (output.status.code(), String::from_utf8_lossy(&output.stdout));
    if code == Some(NOTHING) && text.is_empty() {
        return Ok(false);
    }
    claim(matches!(code, Some(0 | 1)), || {
        format!("{sample}: {code:?}\n{}", String::from_utf8_lossy(&output.stderr))
    })?;
    let path = directory.join("evergate.toml");
    fs::write(&path, text.as_bytes()).map_err(LabError::io("write a file"))?;
    let output = shell::run_unchecked(&evergate, &["check", &path.to_string_lossy()], "")?;
    claim(matches!(output.status.code(), Some(0 | 1)), || {
        let told = String::from_utf8_lossy(&output.stdout);
        format!("{sample}: {told}{}", String::from_utf8_lossy(&output.stderr))
    })?;
    Ok(true)
}
