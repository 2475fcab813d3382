//! Which of the three processes this one is: the first argument says it, and no user writes it.
//!
//! ```text
//! evergated ARGUMENTS...                                              a guardian, started anew
//! evergated guardian --adopt-core --estate-fd N --lock-fd M -- ARGUMENTS...   one that takes over
//! evergated core [--adopt] --estate-fd N --lock-fd M -- ARGUMENTS...
//! evergated runner --estate-fd N --lock-fd M -- ARGUMENTS...
//! ```
//!
//! ARGUMENTS are the user's and the same everywhere. Who the core and the guardian are is in the
//! estate, with start times, which an argument could not carry safely.

use std::ffi::{OsStr, OsString};
use std::fmt;

/// What this process is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// The guardian that the user started.
    First {
        /// The user's arguments.
        arguments: Vec<OsString>,
    },
    /// A guardian that takes over from one that died.
    Successor(Inherited),
    /// The core; `adopt` if the guardian keeps addresses for it.
    Core {
        /// Whether to call [`crate::estate::SharedEstate::adopt`] before anything else.
        adopt: bool,
        /// What comes from the guardian.
        inherited: Inherited,
    },
    /// The runner.
    Runner(Inherited),
}

/// What a process of ours gets from the one that started it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inherited {
    /// Number of the estate's descriptor.
    pub estate_fd: i32,
    /// Number of the lock file's descriptor.
    pub lock_fd: i32,
    /// The user's arguments.
    pub arguments: Vec<OsString>,
}

/// The hidden arguments are not ours: somebody typed one of the hidden words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotARole;

impl fmt::Display for NotARole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`core`, `runner` and `guardian` are started by evergated itself, not by hand")
    }
}

impl std::error::Error for NotARole {}

impl Role {
    /// Reads the arguments of this process, the program's name excluded.
    pub fn of(arguments: impl IntoIterator<Item = OsString>) -> Result<Role, NotARole> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let hidden = |rest: &[OsString]| Inherited::read(rest).ok_or(NotARole);
        match arguments.first().and_then(|first| first.to_str()) {
            Some("guardian") => match arguments.get(1) {
                Some(word) if word == "--adopt-core" => {
                    Ok(Role::Successor(hidden(&arguments[2..])?))
                }
                _ => Err(NotARole),
            },
            Some("core") => {
                let adopt = arguments.get(1).is_some_and(|word| word == "--adopt");
                let rest = &arguments[1 + usize::from(adopt)..];
                Ok(Role::Core { adopt, inherited: hidden(rest)? })
            }
            Some("runner") => Ok(Role::Runner(hidden(&arguments[1..])?)),
            _ => Ok(Role::First { arguments }),
        }
    }

    /// The arguments that make a process this.
    pub fn arguments(&self) -> Vec<OsString> {
        let (words, inherited): (&[&str], _) = match self {
            Role::First { arguments } => return arguments.clone(),
            Role::Successor(inherited) => (&["guardian", "--adopt-core"], inherited),
            Role::Core { adopt: true, inherited } => (&["core", "--adopt"], inherited),
            Role::Core { adopt: false, inherited } => (&["core"], inherited),
            Role::Runner(inherited) => (&["runner"], inherited),
        };
        words.iter().map(OsString::from).chain(inherited.write()).collect()
    }

    /// The name under which `ps` shows the process.
    pub fn name(&self) -> &'static str {
        match self {
            Role::First { .. } | Role::Successor(_) => "evergated",
            Role::Core { .. } => "evergated-core",
            Role::Runner(_) => "evergated-run",
        }
    }
}

impl Inherited {
    fn read(words: &[OsString]) -> Option<Inherited> {
        let [estate, estate_fd, lock, lock_fd, end, arguments @ ..] = words else { return None };
        let ours = estate == "--estate-fd" && lock == "--lock-fd" && end == "--";
        let number = |word: &OsStr| word.to_str()?.parse().ok();
        let (estate_fd, lock_fd) = (number(estate_fd)?, number(lock_fd)?);
        ours.then(|| Inherited { estate_fd, lock_fd, arguments: arguments.to_vec() })
    }

    fn write(&self) -> Vec<OsString> {
        let (estate, lock) = (self.estate_fd.to_string(), self.lock_fd.to_string());
        let words = ["--estate-fd", &estate, "--lock-fd", &lock, "--"];
        words.iter().map(OsString::from).chain(self.arguments.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_reads_back_from_its_own_arguments() {
        let arguments = ["--config", "core", "--", "x"].map(OsString::from).to_vec();
        let inherited = Inherited { estate_fd: 7, lock_fd: 12, arguments: arguments.clone() };
        let roles = [
            Role::First { arguments },
            Role::Successor(inherited.clone()),
            Role::Core { adopt: true, inherited: inherited.clone() },
            Role::Core { adopt: false, inherited: inherited.clone() },
            Role::Runner(inherited),
        ];
        for role in roles {
            assert_eq!(Role::of(role.arguments()), Ok(role));
        }
    }

    #[test]
    fn a_hidden_word_typed_by_hand_is_refused() {
        for typed in ["core", "runner", "guardian", "core --adopt", "core --estate-fd x --lock-fd"]
        {
            assert_eq!(Role::of(typed.split(' ').map(OsString::from)), Err(NotARole), "{typed}");
        }
    }
}
