//! The file of keepalived: what it says about one box, as a configuration of ours.
//!
//! In this order: `source` reads files, conditions and variables (letters by `lexer`), `tree` makes
//! statements and blocks (`merge` joins those that are one), `read` makes the `model`, `translate` makes our tables. Every word goes
//! through the ledger: it is told once, and what nobody tells of is not supported.

mod files;
mod generators;
mod glob;
mod lexer;
pub mod limits;
mod merge;
mod model;
mod read;
mod secrets;
mod source;
mod translate;
mod tree;
mod variables;

pub use files::{Files, NoFiles};

use crate::ledger::Ledger;
use crate::report::{Imported, Unreadable};

/// What the file does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The name of the cluster.
    pub cluster: String,
    /// The name of the node; without it `router_id`, else the host's.
    pub node: Option<String>,
    /// The host's name up to its first dot.
    pub host: String,
    /// keepalived's `--config-id`; without it the host's name.
    pub config_id: Option<String>,
    /// Where the key files will be; without it beside the configuration.
    pub key_directory: Option<String>,
}

/// Reads a file. `path`: as `files` knows it, best absolute.
///
/// # Errors
///
/// It cannot be read, is no text, is too large, or its braces do not match.
pub fn import(
    path: &str,
    files: &mut dyn Files,
    options: &Options,
) -> Result<Imported, Unreadable> {
    let mut ledger = Ledger::default();
    let config_id = options.config_id.as_deref().unwrap_or(&options.host);
    let (source, broken) = source::read(path, config_id, files, &mut ledger);
    let names = source.files;
    let unreadable = |broken: tree::Broken| {
        let place = broken.place;
        let file = place.map(|place| place.file).filter(|file| *file > 0);
        let file = file.and_then(|file| names.get(file).cloned());
        Unreadable { file, line: place.map(|place| place.line), text: broken.text }
    };
    if let Some(broken) = broken {
        return Err(unreadable(broken));
    }
    let mut statements = tree::build(source.lines, &mut ledger).map_err(unreadable)?;
    merge::merge(&mut statements, &mut ledger);
    let found = read::read(&statements, &names, &mut ledger);
    let (toml, keys) = translate::translate(&found, options, &mut ledger);
    Ok(Imported { toml, keys, findings: ledger.finish(&names) })
}
