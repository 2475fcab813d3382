//! Runs the system's own programs (`ip`, `bridge`, `nft`) and checks how they end.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::error::{LabError, Result};

/// Which Debian package holds a program that the lab needs.
fn package_of(program: &str) -> &str {
    match program {
        "ip" | "bridge" => "iproute2",
        "nft" => "nftables",
        "unshare" | "mount" => "util-linux",
        other => other,
    }
}

/// Runs a program with text on its standard input and gives its standard output; an exit code other than 0 is an error.
pub fn run_with(program: &str, args: &[&str], input: &str) -> Result<String> {
    let output = run_unchecked(program, args, input)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut line = format!("{program} {}", args.join(" "));
    if !input.is_empty() {
        line.push_str(" <<< ");
        line.push_str(input.trim());
    }
    Err(LabError::Command { line, text: String::from_utf8_lossy(&output.stderr).into_owned() })
}

/// Runs a program and gives its standard output; an exit code other than 0 is an error.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    run_with(program, args, "")
}

/// Runs a program and gives all that it said, however it ended.
pub fn run_unchecked(program: &str, args: &[&str], input: &str) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(&mut command)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading is judged by its exit code, not by this pipe.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(LabError::io(format!("wait for {program}")))
}

/// Starts a program; says which package to install if there is none.
pub fn spawn(command: &mut Command) -> Result<std::process::Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            let package = package_of(&program).to_owned();
            LabError::Tool { program, package }
        }
        _ => LabError::Io { doing: format!("start {program}"), source },
    })
}
