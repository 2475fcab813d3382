//! Finds the programs under test.

use std::path::{Path, PathBuf};

use crate::error::{LabError, Result};

/// The two programs that a user runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The daemon.
    pub evergated: PathBuf,
    /// The command.
    pub evergate: PathBuf,
}

impl Binaries {
    /// Looks in `bin_dir` if given, else beside this program, then in `target/release` and `target/debug`.
    pub fn find(bin_dir: Option<&Path>) -> Result<Self> {
        let places = match bin_dir {
            Some(directory) => vec![directory.to_owned()],
            None => usual_places(),
        };
        let find = |name: &str| {
            let paths = places.iter().map(|place| place.join(name));
            paths.clone().find(|path| path.is_file()).ok_or_else(|| LabError::Binary {
                name: name.to_owned(),
                searched: paths.collect(),
            })
        };
        Ok(Self { evergated: find("evergated")?, evergate: find("evergate")? })
    }
}

/// The directory for things worth keeping between runs: `lab-cache` in the build directory.
pub fn cache_directory() -> PathBuf {
    let own = std::env::current_exe().ok();
    let build = own.as_deref().and_then(Path::parent).and_then(|directory| {
        // Tests run from `deps`, one level deeper.
        let directory = if directory.ends_with("deps") { directory.parent()? } else { directory };
        directory.parent().filter(|parent| parent.join("CACHEDIR.TAG").exists())
    });
    build.map_or_else(|| std::env::temp_dir().join("evergate-cache"), |dir| dir.join("lab-cache"))
}

fn usual_places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Ok(own) = std::env::current_exe() {
        let own = own.parent().map(Path::to_owned).unwrap_or_default();
        if own.ends_with("deps") {
            places.extend(own.parent().map(Path::to_owned));
        }
        places.push(own);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
    for base in [std::env::current_dir().ok(), root].into_iter().flatten() {
        for place in [base.join("target/release"), base.join("target/debug")] {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}
