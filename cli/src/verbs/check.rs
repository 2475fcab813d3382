//! `check PATH`: is this configuration good? No daemon is asked.

use std::io::ErrorKind;
use std::path::Path;

use evergate_api::config::secret::{self, KeyError};
use evergate_api::config::{self, Config, SourceError};
use evergate_api::control::ErrorCode;
use serde_json::{Value, json};

use super::Ended;
use crate::context::Context;
use crate::failure::{Failure, exit};
use crate::view;

/// What can be said of the key file on this machine.
pub enum KeyFile {
    /// No key is needed, or it is fine.
    Good,
    /// It is not here or not for this user to read; the file may be good where it runs.
    Unseen(String),
    /// It is here, and the daemon would refuse it.
    Bad(String),
}

/// 0 good, 1 warnings, 2 errors.
pub fn run(context: &mut Context, path: &Path) -> Ended {
    let outcome = config::load(path).map_err(unreadable)?;
    let key_file = outcome.config.as_ref().map_or(KeyFile::Good, key_file);
    let code = match key_file {
        KeyFile::Bad(_) => exit::ERRORS,
        KeyFile::Good | KeyFile::Unseen(_) => outcome.report.exit_code(),
    };
    let color = context.color;
    context.show_own(&to_json(&outcome, &key_file, code), || {
        view::check::render(path, &outcome, &key_file, color)
    })?;
    Ok(code)
}

/// A configuration that cannot even be read.
pub fn unreadable(error: SourceError) -> Failure {
    Failure::new(exit::ERRORS, ErrorCode::File, error.to_string())
}

fn key_file(config: &Config) -> KeyFile {
    let Some(path) = &config.cluster.key_file else { return KeyFile::Good };
    match secret::load_keys(path) {
        Ok(_) => KeyFile::Good,
        Err(KeyError::Io { error, path }) if error.kind() == ErrorKind::NotFound => {
            let path = path.display();
            KeyFile::Unseen(format!("the key file {path} is not on this machine"))
        }
        Err(KeyError::Io { error, path }) if error.kind() == ErrorKind::PermissionDenied => {
            let path = path.display();
            KeyFile::Unseen(format!("the key file {path} is not for you to read; not looked into"))
        }
        Err(error) => KeyFile::Bad(error.to_string()),
    }
}

fn to_json(outcome: &config::Outcome, key_file: &KeyFile, code: u8) -> Value {
    let mut problems: Vec<Value> =
        outcome.report.views().into_iter().map(|view| json!(view)).collect();
    let of_key_file = |level: &str, text: &str| {
        json!({ "level": level, "code": "key-file", "text": text,
                "file": null, "line": null, "column": null, "help": null })
    };
    match key_file {
        KeyFile::Good => {}
        KeyFile::Unseen(text) => problems.push(of_key_file("note", text)),
        KeyFile::Bad(text) => problems.push(of_key_file("error", text)),
    }
    let result = match code {
        exit::GOOD => "good",
        exit::WARNINGS => "warnings",
        _ => "errors",
    };
    let hash = outcome.config.as_ref().map(|config| config.digest.to_string());
    json!({ "result": result, "hash": hash, "problems": problems })
}
