//! `evergate`: what people type and look at. It holds no privilege and decides nothing: it asks the
//! daemon on its control socket and shows the answer.
//!
//! Read it in this order: [`args`] is what can be typed, [`verbs`] has one file for each verb,
//! [`client`] asks, [`view`] renders for people, [`failure`] says what went wrong and what to do.

mod args;
mod client;
mod context;
mod duration;
mod failure;
mod verbs;
mod view;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use args::Args;
use context::Context;
use failure::{Failure, Stop, exit};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return ExitCode::from(wrong_usage(&error)),
    };
    let json = args.json;
    let mut out = std::io::stdout().lock();
    let mut context = Context {
        socket: args.socket,
        timeout: args.timeout,
        json,
        color: wants_color(std::io::stdout().is_terminal()),
        out: &mut out,
    };
    let code = match verbs::run(args.verb, &mut context) {
        Ok(code) => code,
        Err(Stop::Failure(failure)) => tell(&failure, json),
        Err(Stop::Output(error)) => cannot_write(&error),
    };
    ExitCode::from(code)
}

/// Colours only for a terminal that wants them (<https://no-color.org>).
fn wants_color(terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// Help and version are good; the rest is wrong usage.
fn wrong_usage(error: &clap::Error) -> u8 {
    let code = if error.exit_code() == 0 { exit::GOOD } else { exit::USAGE };
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && code != exit::GOOD {
        return tell(&Failure::usage(error.render().to_string().trim_end()), json);
    }
    match error.print() {
        Ok(()) => code,
        Err(error) => cannot_write(&error),
    }
}

/// Errors go where they are read: to programs on standard output, to people on standard error.
fn tell(failure: &Failure, json: bool) -> u8 {
    let written = if json {
        std::io::stdout().write_all(failure.to_json().as_bytes())
    } else {
        let color = wants_color(std::io::stderr().is_terminal());
        std::io::stderr().write_all(view::failure::render(failure, color).as_bytes())
    };
    match written {
        Ok(()) => failure.exit,
        Err(error) => cannot_write(&error),
    }
}

/// A reader that has seen enough is no error; a full disk is.
fn cannot_write(error: &std::io::Error) -> u8 {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return exit::GOOD;
    }
    // If standard error is gone too, only the exit code is left to tell it.
    let _ = writeln!(std::io::stderr(), "cannot write the answer: {error}");
    exit::OUTPUT
}
