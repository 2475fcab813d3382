//! Programs of Debian's packages: found on this machine or unpacked aside, never installed and never started by the system.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries::cache_directory;
use crate::error::{LabError, Result};
use crate::shell;

/// A program that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packaged {
    program: PathBuf,
    libraries: Option<OsString>,
}

impl Packaged {
    /// Looks for the unpacked package of that name, then in the usual directories, then fetches the Debian package
    /// and unpacks it aside. The program bears the name of the package.
    pub fn find(package: &str) -> Result<Self> {
        Self::find_program(package, &format!("usr/sbin/{package}"))
    }

    /// The same for a program of that package by its path, such as `usr/sbin/keepalived`.
    pub fn find_program(package: &str, path: &str) -> Result<Self> {
        let root = cache_directory().join(package);
        if let Some(unpacked) = Self::unpacked(&root, path) {
            return Ok(unpacked);
        }
        for directory in ["/", "/usr/local"] {
            let program = Path::new(directory).join(path);
            if program.is_file() {
                return Ok(Self { program, libraries: None });
            }
        }
        fetch(&root, package)?;
        Self::unpacked(&root, path).ok_or_else(|| missing(package))
    }

    /// A command that starts it, without arguments yet.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// The beginning of a line of a shell that starts it.
    pub fn shell_line(&self) -> String {
        let program = self.program.display();
        match &self.libraries {
            Some(libraries) => {
                format!("LD_LIBRARY_PATH='{}' '{program}'", libraries.to_string_lossy())
            }
            None => format!("'{program}'"),
        }
    }

    fn unpacked(root: &Path, path: &str) -> Option<Self> {
        let program = root.join(path);
        let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
        // Packages of before and after the merge of /lib and /usr/lib; FRR has a place of its own.
        let places = ["usr/lib", "lib"].map(|base| root.join(base).join(&triplet));
        let places = places.iter().flat_map(|place| [place.clone(), place.join("frr")]);
        let libraries = std::env::join_paths(places).ok()?;
        program.is_file().then_some(Self { program, libraries: Some(libraries) })
    }
}

fn missing(package: &str) -> LabError {
    LabError::Tool { program: package.to_owned(), package: package.to_owned() }
}

/// Downloads a package and the libraries that this machine lacks, and unpacks them without installing.
fn fetch(root: &Path, package: &str) -> Result<()> {
    let arguments = ["install", "--simulate", "--no-install-recommends", package];
    let plan = shell::run("apt-get", &arguments).map_err(|_| missing(package))?;
    let packages: Vec<&str> = plan
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
        .collect();
    let downloads = root.with_extension("debs");
    for directory in [root, &downloads] {
        fs::create_dir_all(directory)
            .map_err(LabError::io(format!("make {}", directory.display())))?;
    }
    eprintln!("fetching {} to {} (not installed)", packages.join(", "), root.display());
    let mut command = Command::new("apt-get");
    command.arg("download").args(&packages).current_dir(&downloads);
    let output = command.output().map_err(LabError::io("start apt-get"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(LabError::Command { line: "apt-get download".to_owned(), text });
    }
    let entries = fs::read_dir(&downloads).map_err(LabError::io("list the downloads"))?;
    for package in entries.flatten() {
        let (file, root) = (package.path(), root.to_string_lossy());
        shell::run("dpkg-deb", &["-x", &file.to_string_lossy(), &root])?;
    }
    Ok(())
}
