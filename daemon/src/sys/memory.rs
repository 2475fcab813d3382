//! Memory: locked in, and shared between processes as atomic words.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

/// The most words a shared region may have (8 MiB).
pub const SHARED_WORDS_MAX: usize = 1 << 20;

const WORD_BYTES: usize = size_of::<AtomicU64>();

/// Keeps all pages, once touched, in memory, so that a page fault never delays a deadline.
///
/// Needs `CAP_IPC_LOCK` or a large enough `RLIMIT_MEMLOCK`. Pages are locked as they are touched:
/// locking whole thread stacks would cost megabytes and gain nothing.
pub fn lock_memory() -> io::Result<()> {
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    let flags = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault;
    Ok(mlockall(flags)?)
}

/// Gives free memory back to the system. Reading a long configuration takes several times its size for a
/// moment, and the allocator keeps that. Takes milliseconds: not for a thread that has deadlines.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes a number and touches nothing but what the allocator knows to be free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// A fixed number of 64-bit words that several processes see at the same time.
///
/// It has no name in any file system: a process gets it by inheriting or being sent the descriptor.
#[derive(Debug)]
pub struct SharedWords {
    descriptor: OwnedFd,
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the region is mapped until drop, is never resized (sealed), and is only ever reached
// through `&[AtomicU64]`, which any thread may use at any time.
unsafe impl Send for SharedWords {}
// SAFETY: as for Send.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// A new region of `count` words, all zero. The descriptor closes on exec until
    /// [`crate::sys::process::set_inherited`] says otherwise.
    pub fn create(count: usize) -> io::Result<Self> {
        if count == 0 || count > SHARED_WORDS_MAX {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let descriptor = memfd_create("evergate", flags)?;
        let bytes = libc::off_t::try_from(count * WORD_BYTES).expect("bounded by SHARED_WORDS_MAX");
        ftruncate(&descriptor, bytes)?;
        fcntl(&descriptor, FcntlArg::F_ADD_SEALS(size_seals() | SealFlag::F_SEAL_SEAL))?;
        Self::map(descriptor, count)
    }

    /// The region behind a descriptor that another process made with [`SharedWords::create`].
    /// Anything else is refused: a file that can shrink would kill its readers.
    pub fn from_fd(descriptor: OwnedFd) -> io::Result<Self> {
        let refused = || io::Error::from(io::ErrorKind::InvalidData);
        let seals = SealFlag::from_bits_retain(fcntl(&descriptor, FcntlArg::F_GET_SEALS)?);
        let bytes = usize::try_from(fstat(&descriptor)?.st_size).map_err(|_| refused())?;
        let count = bytes / WORD_BYTES;
        let sound = seals.contains(size_seals())
            && bytes.is_multiple_of(WORD_BYTES)
            && (1..=SHARED_WORDS_MAX).contains(&count);
        if sound { Self::map(descriptor, count) } else { Err(refused()) }
    }

    /// The words. Other processes write them too: every value read from here is to be judged.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: `start` is page-aligned, points to `count` words mapped until drop and never
        // shrinking (sealed); atomics may change under a shared reference.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }

    fn map(descriptor: OwnedFd, count: usize) -> io::Result<Self> {
        let (bytes, access) = (count * WORD_BYTES, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe {
            let file = descriptor.as_raw_fd();
            libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, file, 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address zero");
        Ok(Self { descriptor, start, count })
    }
}

impl AsFd for SharedWords {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`; no reference to it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * WORD_BYTES) };
    }
}

fn size_seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn two_mappings_of_one_region_see_each_others_words() {
        let first = SharedWords::create(1000).unwrap();
        let second = SharedWords::from_fd(first.as_fd().try_clone_to_owned().unwrap()).unwrap();
        first.words()[999].store(42, Ordering::Release);
        assert_eq!(second.words()[999].load(Ordering::Acquire), 42);
        assert_eq!(second.words().len(), 1000);
        drop(first);
        second.words()[0].store(1, Ordering::Release);
    }

    #[test]
    fn a_file_that_could_shrink_is_refused() {
        let plain =
            memfd_create("plain", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
        ftruncate(&plain, 4096).unwrap();
        assert!(SharedWords::from_fd(plain).is_err());
        assert!(SharedWords::create(0).is_err());
        assert!(SharedWords::create(SHARED_WORDS_MAX + 1).is_err());
    }
}
