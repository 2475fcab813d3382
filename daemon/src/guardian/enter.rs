//! How core and runner begin: they take what the guardian left open for them.

use std::fmt;
use std::io;

use super::process::own_identity;
use super::role::Inherited;
use crate::estate::{EstateError, SharedEstate};
use crate::lock::SocketLock;
use crate::sys::process::{set_thread_name, take_inherited};

/// What a core or runner has from its guardian.
pub struct Inheritance {
    /// The shared memory.
    pub estate: SharedEstate,
    /// The lock of the control socket; keep it as long as the process lives.
    pub lock: SocketLock,
}

/// Why a process cannot take up its role.
#[derive(Debug)]
pub enum EnterError {
    /// A descriptor is not open, or is not what it should be: started by hand.
    Descriptor(io::Error),
    /// The estate cannot be used.
    Estate(EstateError),
    /// The process cannot read who it is.
    Process(io::Error),
    /// The guardian that started us is gone already: its successor starts another core.
    Orphaned,
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnterError::Descriptor(error) => write!(f, "not started by a guardian: {error}"),
            EnterError::Estate(error) => error.fmt(f),
            EnterError::Process(error) => write!(f, "cannot read /proc: {error}"),
            EnterError::Orphaned => f.write_str("the guardian that started this process is gone"),
        }
    }
}

impl std::error::Error for EnterError {}

/// Takes over the descriptors. Once in the life of a process, before threads are started.
pub fn inherit(inherited: &Inherited, name: &str) -> Result<Inheritance, EnterError> {
    let _ = set_thread_name(name);
    let lock = take_inherited(inherited.lock_fd).map_err(EnterError::Descriptor)?;
    let estate = take_inherited(inherited.estate_fd).map_err(EnterError::Descriptor)?;
    let estate = SharedEstate::from_fd(estate).map_err(EnterError::Estate)?;
    Ok(Inheritance { estate, lock: SocketLock::from_fd(lock) })
}

/// The beginning of a core. A core whose guardian died before it was known to the estate ends
/// here, so that there is never a second one beside that of the guardian's successor. It names
/// itself first: a guardian that dies after this leaves a core that its successor can find.
pub fn enter_core(inherited: &Inherited) -> Result<Inheritance, EnterError> {
    let inheritance = inherit(inherited, "evergated-core")?;
    let own = own_identity().map_err(EnterError::Process)?;
    inheritance.estate.core_enters(own);
    let parent = std::os::unix::process::parent_id();
    if inheritance.estate.guardian().pid == parent {
        Ok(inheritance)
    } else {
        Err(EnterError::Orphaned)
    }
}
