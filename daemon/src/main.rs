//! evergated: see `evergated --help`.

use std::ffi::OsString;
use std::process::ExitCode;

use evergate_daemon::arguments::{Arguments, Instead};
use evergate_daemon::guardian::{self, Options, Outcome, Role, THIS_PROGRAM};
use evergate_daemon::kernel::requests::Kernel;
use evergate_daemon::say::say;
use evergate_daemon::sys::memory::give_back;
use evergate_daemon::{cold, core_process, runner};

/// Wrong usage, as BSD's sysexits have it.
const WRONG_USAGE: u8 = 64;
/// Errors in the configuration.
const WRONG_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let role = match Role::of(std::env::args_os().skip(1)) {
        Ok(role) => role,
        Err(error) => return fail(WRONG_USAGE, &error.to_string()),
    };
    match role {
        Role::First { arguments } => first(arguments),
        Role::Successor(inherited) => {
            let options = Arguments::read(&inherited.arguments)
                .map_err(text)
                .and_then(|read| options(&read, inherited.arguments.clone()));
            watch(options.and_then(|o| guardian::run_successor(&inherited, o).map_err(text)))
        }
        Role::Core { adopt, inherited } => match core_process::run(adopt, &inherited) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error.exit_code(), &error.to_string()),
        },
        Role::Runner(inherited) => match runner::run(&inherited, THIS_PROGRAM.into()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, &error.to_string()),
        },
    }
}

/// What the user started: nothing is touched before the configuration is known to be right.
fn first(words: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::read(&words) {
        Ok(arguments) => arguments,
        Err(Instead::Mistake(mistake)) => {
            return fail(WRONG_USAGE, &Instead::Mistake(mistake).to_string());
        }
        Err(instead) => {
            println!("{instead}");
            return ExitCode::SUCCESS;
        }
    };
    let (answer, loaded) = cold::read(&arguments.places());
    for line in answer.warnings.iter().chain(&answer.errors) {
        eprintln!("{line}");
    }
    if loaded.is_none() {
        return fail(WRONG_CONFIGURATION, "the configuration has errors; nothing was started");
    }
    drop((answer, loaded));
    give_back();
    if let Some(folder) = arguments.socket.parent()
        && let Err(error) = std::fs::create_dir_all(folder)
    {
        return fail(1, &format!("cannot make {} for the socket: {error}", folder.display()));
    }
    let options = options(&arguments, words);
    watch(options.and_then(|o| guardian::run_first(&arguments.socket, o).map_err(text)))
}

fn options(read: &Arguments, arguments: Vec<OsString>) -> Result<Options, String> {
    let kernel = Kernel::open().map_err(|error| format!("cannot talk to the kernel: {error}"));
    let mut kernel = kernel?;
    kernel.own_links_as(&read.socket.to_string_lossy());
    Ok(Options { program: THIS_PROGRAM.into(), arguments, addresses: Box::new(kernel) })
}

fn watch(outcome: Result<Outcome, String>) -> ExitCode {
    match outcome {
        Ok(Outcome::Stopped) => ExitCode::SUCCESS,
        Ok(Outcome::Refused(code)) => ExitCode::from(code),
        Err(error) => fail(1, &error),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn fail(code: u8, text: &str) -> ExitCode {
    say("error", text);
    ExitCode::from(code)
}
