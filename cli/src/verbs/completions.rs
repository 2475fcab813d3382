//! `completions SHELL`: for bash, zsh, fish, elvish and PowerShell.

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use super::Ended;
use crate::args::Args;
use crate::context::Context;
use crate::failure::exit;

/// Always 0.
pub fn run(context: &mut Context, shell: Shell) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "evergate", &mut script);
    let script = String::from_utf8_lossy(&script);
    let json = json!({ "shell": shell.to_string(), "script": script });
    context.show_own(&json, || script.clone().into_owned())?;
    Ok(exit::GOOD)
}
