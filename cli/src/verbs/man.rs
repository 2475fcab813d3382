//! `man DIRECTORY`: the man pages, made from the same definition as the help.

use std::path::Path;

use clap::CommandFactory as _;
use evergate_api::control::ErrorCode;
use serde_json::json;

use super::Ended;
use crate::args::Args;
use crate::context::Context;
use crate::failure::{Failure, exit};

/// 0, or 2 if the directory cannot be written.
pub fn run(context: &mut Context, directory: &Path) -> Ended {
    let command = Args::command().disable_help_subcommand(true);
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command, directory))
        .map_err(|error| {
            let text = format!("cannot write to {}: {error}", directory.display());
            Failure::new(exit::ERRORS, ErrorCode::File, text).next("name a directory of yours")
        })?;
    let json = json!({ "directory": directory });
    context.show_own(&json, || {
        format!("man pages are in {0}\nread one: man -l {0}/evergate.1\n", directory.display())
    })?;
    Ok(exit::GOOD)
}
