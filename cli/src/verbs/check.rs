//! `check PATH`: is this configuration good? No daemon is asked.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use evergate_api::config::advert_key::{self, AdvertKeyError};
use evergate_api::config::model::Auth;
use evergate_api::config::secret::{self, FileError, KeyError};
use evergate_api::config::{self, Config, SourceError};
use evergate_api::control::ErrorCode;
use serde_json::{Value, json};

use super::Ended;
use crate::context::Context;
use crate::failure::{Failure, exit};
use crate::view;

/// What is to be said of a key file on this machine.
pub enum KeyFile {
    /// It is not here or not for this user to read; the file may be good where it runs.
    Unseen(String),
    /// It is here, and the daemon would refuse it.
    Bad(String),
}

/// 0 good, 1 warnings, 2 errors.
pub fn run(context: &mut Context, path: &Path) -> Ended {
    let outcome = config::load(path).map_err(unreadable)?;
    let key_files = outcome.config.as_ref().map(key_files).unwrap_or_default();
    let bad = key_files.iter().any(|found| matches!(found, KeyFile::Bad(_)));
    let code = if bad { exit::ERRORS } else { outcome.report.exit_code() };
    let color = context.color;
    context.show_own(&to_json(&outcome, &key_files, code), || {
        view::check::render(path, &outcome, &key_files, color)
    })?;
    Ok(code)
}

/// A configuration that cannot even be read.
pub fn unreadable(error: SourceError) -> Failure {
    Failure::new(exit::ERRORS, ErrorCode::File, error.to_string())
}

/// Looks at every file with a secret that the configuration names, each once.
fn key_files(config: &Config) -> Vec<KeyFile> {
    let cluster = config.cluster.key_file.as_ref().and_then(|path| {
        let error = secret::load_keys(path).err()?;
        Some(match error {
            KeyError::File(error) => unread(error),
            error => KeyFile::Bad(error.to_string()),
        })
    });
    let (mut passwords, mut keys): (BTreeSet<&PathBuf>, BTreeSet<&PathBuf>) = Default::default();
    for group in config.groups.values() {
        match &group.vrrp.auth {
            Auth::None => {}
            Auth::Password { key_file } | Auth::Header { key_file } => {
                passwords.insert(key_file);
            }
            Auth::Trailer(trailer) => keys.extend(trailer.key_files.values()),
        }
    }
    let passwords = passwords.into_iter().filter_map(|path| {
        advert_key::load_password(path).err().map(|error| advert_key_file(path, error))
    });
    let keys = keys.into_iter().filter_map(|path| {
        advert_key::load_trailer_key(path).err().map(|error| advert_key_file(path, error))
    });
    cluster.into_iter().chain(passwords).chain(keys).collect()
}

fn advert_key_file(path: &Path, error: AdvertKeyError) -> KeyFile {
    match error {
        AdvertKeyError::File(error) => unread(error),
        error => KeyFile::Bad(format!("{}: {error}", path.display())),
    }
}

fn unread(error: FileError) -> KeyFile {
    match error {
        FileError::Io { error, path } if error.kind() == ErrorKind::NotFound => {
            let path = path.display();
            KeyFile::Unseen(format!("the key file {path} is not on this machine"))
        }
        FileError::Io { error, path } if error.kind() == ErrorKind::PermissionDenied => {
            let path = path.display();
            KeyFile::Unseen(format!("the key file {path} is not for you to read; not looked into"))
        }
        error => KeyFile::Bad(error.to_string()),
    }
}

fn to_json(outcome: &config::Outcome, key_files: &[KeyFile], code: u8) -> Value {
    let mut problems: Vec<Value> =
        outcome.report.views().into_iter().map(|view| json!(view)).collect();
    let of_key_file = |level: &str, text: &str| {
        json!({ "level": level, "code": "key-file", "text": text,
                "file": null, "line": null, "column": null, "help": null })
    };
    problems.extend(key_files.iter().map(|found| match found {
        KeyFile::Unseen(text) => of_key_file("note", text),
        KeyFile::Bad(text) => of_key_file("error", text),
    }));
    let result = match code {
        exit::GOOD => "good",
        exit::WARNINGS => "warnings",
        _ => "errors",
    };
    let hash = outcome.config.as_ref().map(|config| config.digest.to_string());
    json!({ "result": result, "hash": hash, "problems": problems })
}
