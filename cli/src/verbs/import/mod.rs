//! `import …`: the file or command line of another program as ours, and what became of each word.

use std::io::{Read as _, Write as _};
use std::path::Path;

use evergate_api::control::ErrorCode;
use evergate_import::{Imported, Unreadable, conntrackd, keepalived, ucarp};

use super::Ended;
use crate::args::{Import, ImportConntrackd, ImportKeepalived, ImportUcarp};
use crate::context::Context;
use crate::failure::{Failure, exit};

mod disk;
mod keys;

/// The most bytes of a file that are read.
const FILE_MAX: u64 = 1 << 20;

/// 0 exact, 1 with changes or gaps, 2 unreadable, or nothing of it can be translated.
pub fn run(context: &mut Context, what: Import) -> Ended {
    match what {
        Import::Conntrackd(what) => from_conntrackd(context, &what),
        Import::Keepalived(what) => from_keepalived(context, what),
        Import::Ucarp(what) => from_ucarp(context, what),
    }
}

fn from_conntrackd(context: &mut Context, what: &ImportConntrackd) -> Ended {
    let text = read(&what.file)?;
    let name = what.file.display().to_string();
    let imported = conntrackd::import(&text, &what.peer).map_err(|error| failed(&error, &name))?;
    show(context, &imported, &name)
}

fn from_keepalived(context: &mut Context, what: ImportKeepalived) -> Ended {
    let name = what.file.display().to_string();
    // Includes are relative to the file, and `${_PWD}` is the whole path.
    let path = absolute(&what.file)?;
    let key_directory = what.key_dir.as_deref().map(absolute).transpose()?;
    let options = keepalived::Options {
        cluster: what.cluster,
        node: what.node,
        host: host(),
        config_id: what.config_id,
        key_directory,
    };
    let imported = keepalived::import(&path, &mut disk::Disk, &options)
        .map_err(|error| failed(&error, &name))?;
    if let Some(directory) = &what.key_dir {
        keys::write(directory, &imported.keys)?;
    }
    show(context, &imported, &name)
}

fn from_ucarp(context: &mut Context, what: ImportUcarp) -> Ended {
    let options = ucarp::Options { cluster: what.cluster, node: what.node.unwrap_or_else(host) };
    let name = "argument";
    let imported =
        ucarp::import(&what.arguments, &options).map_err(|error| failed(&error, name))?;
    show(context, &imported, name)
}

/// The configuration to standard output, the report to standard error.
fn show(context: &mut Context, imported: &Imported, name: &str) -> Ended {
    context.show_own(&imported.to_json(name), || imported.toml.clone())?;
    if !context.json {
        std::io::stderr().write_all(imported.report(name).as_bytes())?;
    }
    Ok(match imported.toml.is_empty() {
        true => exit::ERRORS,
        false if imported.is_exact() => exit::GOOD,
        false => exit::WARNINGS,
    })
}

fn failed(error: &Unreadable, name: &str) -> Failure {
    Failure::new(exit::ERRORS, ErrorCode::BadConfig, error.told(name))
}

/// The host's name up to its first dot, as the daemon and keepalived take it.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().split('.').next().unwrap_or_default();
    if name.is_empty() { "node".to_owned() } else { name.to_owned() }
}

fn absolute(path: &Path) -> Result<String, Failure> {
    let failed = |error: String| {
        Failure::new(exit::ERRORS, ErrorCode::File, format!("{}: {error}", path.display()))
    };
    let whole = std::path::absolute(path).map_err(|error| failed(error.to_string()))?;
    let text = whole.into_os_string().into_string();
    text.map_err(|_| failed("the path is not UTF-8".to_owned()))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |text: String| {
        let text = format!("{} cannot be read: {text}", path.display());
        Failure::new(exit::ERRORS, ErrorCode::File, text)
    };
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    let length = file.take(FILE_MAX + 1).read_to_string(&mut text);
    match length {
        Ok(length) if length as u64 > FILE_MAX => Err(failed("it is larger than 1 MiB".into())),
        Ok(_) => Ok(text),
        Err(error) => Err(failed(error.to_string())),
    }
}
