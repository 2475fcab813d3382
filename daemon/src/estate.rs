//! The estate: memory that core, guardian and runner share, and what a core leaves behind in it.
//!
//! ```text
//! core     ── beat, peers alive, dead time, ready, reloads, what is up, wills ──▶ guardian
//! guardian ── beat, who is who, stopping, custody of kept addresses, crashes ──▶ core, runner
//! ```
//!
//! Nobody waits for anybody: numbers are single atomic words, and the larger part is written to one
//! of two slots in turn. Whoever reads while the writer dies or writes gets the older one, whole.
//! The memory has no name and lives as long as one of the three processes.

mod blob;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::sys::memory::SharedWords;
pub use blob::{
    ADDRESSES_PER_GROUP_MAX, Estate, GROUP_NAME_BYTES_MAX, GROUPS_MAX, HeldAddress, Holding,
    TooLarge, Transport, WAYS_PER_GROUP_MAX, WILL_BYTES_MAX, WILLS_MAX, Will,
};

/// Bytes of one encoded estate at most: 1,000 routers with twenty addresses each.
pub const ESTATE_BLOB_BYTES_MAX: usize = 1 << 20;
/// Crashes of the core that are remembered.
pub const CRASHES_REMEMBERED_MAX: usize = 8;
/// Times a reader looks again when the writer overtook it, before it gives up for now.
const READ_ATTEMPTS_MAX: usize = 8;

/// First word: says that this is an estate, and of which layout.
const MAGIC: u64 = u64::from_be_bytes(*b"EGestat2");
const SLOT_WORDS: usize = ESTATE_BLOB_BYTES_MAX / 8;
const HEADER_WORDS: usize = 64;
const WORDS: usize = HEADER_WORDS + 2 * SLOT_WORDS;

/// The words of the header. Those of the core and those of the guardian lie in different cache
/// lines, so that neither slows the other.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Word {
    Magic = 0,
    CoreBeat = 8,
    PeersAlive,
    DeadNs,
    Ready,
    Reloads,
    GuardianBeat = 16,
    CorePid,
    CoreStart,
    CoreStarts,
    GuardianPid,
    GuardianStart,
    GuardianStarts,
    RunnerPid,
    RunnerStart,
    Stop,
    Custody,
    EverReady,
    CrashCount,
    Crashes = 40,
    CurrentSlot = 48,
    Slots,
}

/// Words that describe a slot: generation, length in bytes, checksum.
const SLOT_HEADER_WORDS: usize = 3;

/// A process as the estate knows it. The start time tells it from a later one of the same id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Process id, 0 if there is none.
    pub pid: u32,
    /// When it was started, in clock ticks since boot (`/proc/PID/stat`).
    pub start_ticks: u64,
}

/// How far the stop of the daemon has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Nobody asked for it.
    No,
    /// The core is to end; nothing is started any more except to finish this.
    Asked,
    /// All is cleaned up: the runner ends too.
    Done,
}

/// Why an estate cannot be used.
#[derive(Debug)]
pub enum EstateError {
    /// The kernel refused the memory or the descriptor.
    Kernel(io::Error),
    /// The memory is not an estate of this version: the caller passed another descriptor.
    NotAnEstate,
    /// What is to be published is too large: the configuration's fault.
    TooLarge(TooLarge),
    /// No consistent copy was found: the writer is broken.
    Unreadable,
}

impl fmt::Display for EstateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EstateError::Kernel(error) => write!(f, "shared memory is not to be had: {error}"),
            EstateError::NotAnEstate => f.write_str("the inherited descriptor is not an estate"),
            EstateError::TooLarge(what) => what.fmt(f),
            EstateError::Unreadable => f.write_str("no consistent copy of the estate"),
        }
    }
}

impl std::error::Error for EstateError {}

impl From<io::Error> for EstateError {
    fn from(error: io::Error) -> Self {
        EstateError::Kernel(error)
    }
}

/// The shared memory itself.
pub struct SharedEstate {
    memory: SharedWords,
}

impl AsFd for SharedEstate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

impl SharedEstate {
    /// A new, empty estate.
    pub fn create() -> Result<Self, EstateError> {
        let estate = SharedEstate { memory: SharedWords::create(WORDS)? };
        estate.put(Word::Magic, MAGIC);
        Ok(estate)
    }

    /// The estate behind an inherited descriptor.
    pub fn from_fd(descriptor: OwnedFd) -> Result<Self, EstateError> {
        let estate = SharedEstate { memory: SharedWords::from_fd(descriptor)? };
        if estate.memory.words().len() != WORDS || estate.get(Word::Magic) != MAGIC {
            return Err(EstateError::NotAnEstate);
        }
        Ok(estate)
    }

    // What the core says.

    /// The core lives: to be called on every pass of its loop with the boot time in nanoseconds,
    /// at least three times within the dead time, and ten times a second when there is no peer.
    pub fn beat(&self, now_ns: u64) {
        self.put(Word::CoreBeat, now_ns);
    }

    /// Whether anyone could take over now: a peer of ours, or a foreign router that was heard.
    pub fn set_peers_alive(&self, alive: bool) {
        self.put(Word::PeersAlive, alive.into());
    }

    /// The shortest dead time that any peer applies to us, in nanoseconds.
    pub fn set_dead_ns(&self, dead_ns: u64) {
        self.put(Word::DeadNs, dead_ns);
    }

    /// The sockets are open and the state is settled.
    pub fn set_ready(&self) {
        self.put(Word::Ready, 1);
    }

    /// A reload has ended, well or not.
    pub fn reload_ended(&self) {
        self.word(Word::Reloads).fetch_add(1, Ordering::AcqRel);
    }

    /// Takes over the addresses that the guardian kept. `None`: there are none, or it was too late
    /// and they are being removed; then start as standby. Answered once only.
    pub fn adopt(&self) -> Option<Estate> {
        let taken = self.word(Word::Custody).compare_exchange(
            CUSTODY_KEPT,
            CUSTODY_CORE,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        taken.ok()?;
        self.read(&mut Vec::new()).ok().map(|(_, estate)| estate)
    }

    /// Leaves this for the guardian, and returns its generation. Before an address is added and
    /// after it was removed: what the guardian releases must never be less than what is up.
    ///
    /// One process may write at a time: the core while it lives, else the guardian.
    pub fn publish(&self, estate: &Estate) -> Result<u64, EstateError> {
        let mut bytes = Vec::new();
        estate.encode(&mut bytes).map_err(EstateError::TooLarge)?;
        if bytes.len() > ESTATE_BLOB_BYTES_MAX {
            return Err(EstateError::TooLarge(TooLarge::Whole));
        }
        let words = self.memory.words();
        let current = words[Word::CurrentSlot as usize].load(Ordering::Acquire) & 1;
        let generation = self.generation().wrapping_add(1).max(1);
        let slot = Slot::of(words, 1 - current);
        slot.generation.store(0, Ordering::Relaxed);
        // The zero is seen before any word of the new content.
        fence(Ordering::Release);
        for (word, chunk) in slot.content.iter().zip(bytes.chunks(8)) {
            word.store(word_of(chunk), Ordering::Relaxed);
        }
        slot.length.store(bytes.len() as u64, Ordering::Relaxed);
        slot.checksum.store(checksum(generation, &bytes), Ordering::Relaxed);
        slot.generation.store(generation, Ordering::Release);
        words[Word::CurrentSlot as usize].store(1 - current, Ordering::Release);
        Ok(generation)
    }

    // What the core and everybody may ask.

    /// The core's last beat in nanoseconds of boot time; 0 before the first.
    pub fn core_beat(&self) -> u64 {
        self.get(Word::CoreBeat)
    }

    /// The guardian's last beat in nanoseconds of boot time; 0 before the first.
    pub fn guardian_beat(&self) -> u64 {
        self.get(Word::GuardianBeat)
    }

    /// See [`SharedEstate::set_peers_alive`].
    pub fn peers_alive(&self) -> bool {
        self.get(Word::PeersAlive) != 0
    }

    /// See [`SharedEstate::set_dead_ns`].
    pub fn dead_ns(&self) -> u64 {
        self.get(Word::DeadNs)
    }

    /// See [`SharedEstate::set_ready`].
    pub fn is_ready(&self) -> bool {
        self.get(Word::Ready) != 0
    }

    /// Whether any core was ready since the daemon was started.
    pub fn was_ever_ready(&self) -> bool {
        self.get(Word::EverReady) != 0
    }

    /// How many reloads have ended.
    pub fn reloads(&self) -> u64 {
        self.get(Word::Reloads)
    }

    /// How many cores were started, the first included.
    pub fn core_starts(&self) -> u64 {
        self.get(Word::CoreStarts)
    }

    /// How many guardians were started, the first included.
    pub fn guardian_starts(&self) -> u64 {
        self.get(Word::GuardianStarts)
    }

    /// How many crashes of the core there were.
    pub fn crash_count(&self) -> u64 {
        self.get(Word::CrashCount)
    }

    /// Remembered crashes not older than `span_ns`, [`CRASHES_REMEMBERED_MAX`] at most.
    pub fn crashes_within(&self, now_ns: u64, span_ns: u64) -> usize {
        let recent = |at: u64| at != 0 && now_ns.saturating_sub(at) <= span_ns;
        (0..CRASHES_REMEMBERED_MAX).filter(|index| recent(self.crash(*index))).count()
    }

    /// How far the stop has come.
    pub fn stop(&self) -> Stop {
        match self.get(Word::Stop) {
            0 => Stop::No,
            1 => Stop::Asked,
            _ => Stop::Done,
        }
    }

    /// The running core, or the last one.
    pub fn core(&self) -> Identity {
        self.identity(Word::CorePid, Word::CoreStart)
    }

    /// The running guardian, or the last one.
    pub fn guardian(&self) -> Identity {
        self.identity(Word::GuardianPid, Word::GuardianStart)
    }

    /// The running runner, or the last one.
    pub fn runner(&self) -> Identity {
        self.identity(Word::RunnerPid, Word::RunnerStart)
    }

    /// The generation of what was published last; 0 if nothing was.
    pub fn generation(&self) -> u64 {
        let words = self.memory.words();
        let of = |index| Slot::of(words, index).generation.load(Ordering::Acquire);
        of(0).max(of(1))
    }

    /// What was published last, with its generation; the one before if that was half written.
    /// `buffer` is scratch space. Nothing published yet is an empty estate of generation 0.
    pub fn read(&self, buffer: &mut Vec<u8>) -> Result<(u64, Estate), EstateError> {
        let words = self.memory.words();
        for _ in 0..READ_ATTEMPTS_MAX {
            let current = words[Word::CurrentSlot as usize].load(Ordering::Acquire) & 1;
            for index in [current, 1 - current] {
                let Some(generation) = Slot::of(words, index).copy(buffer) else { continue };
                if let Some(estate) = Estate::decode(buffer) {
                    return Ok((generation, estate));
                }
            }
            if self.generation() == 0 {
                return Ok((0, Estate::default()));
            }
        }
        Err(EstateError::Unreadable)
    }

    // What the guardian says.

    pub(crate) fn guardian_beats(&self, now_ns: u64) {
        self.put(Word::GuardianBeat, now_ns);
    }

    /// Forgets the signs of life of the last core before the next is started.
    pub(crate) fn clear_core(&self) {
        self.put(Word::CoreBeat, 0);
        self.put(Word::Ready, 0);
        self.put(Word::CorePid, 0);
    }

    pub(crate) fn core_started(&self, core: Identity) {
        self.put_identity(Word::CorePid, Word::CoreStart, core);
        self.word(Word::CoreStarts).fetch_add(1, Ordering::AcqRel);
    }

    /// A core says who it is, in case that its guardian died before it could. One that comes late,
    /// after another was named, changes nothing.
    pub(crate) fn core_enters(&self, core: Identity) {
        if self.get(Word::CorePid) == 0 {
            self.put_identity(Word::CorePid, Word::CoreStart, core);
        }
    }

    pub(crate) fn guardian_started(&self, guardian: Identity) {
        self.put_identity(Word::GuardianPid, Word::GuardianStart, guardian);
        self.word(Word::GuardianStarts).fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn runner_started(&self, runner: Identity) {
        self.put_identity(Word::RunnerPid, Word::RunnerStart, runner);
    }

    pub(crate) fn set_ever_ready(&self) {
        self.put(Word::EverReady, 1);
    }

    pub(crate) fn set_stop(&self, stop: Stop) {
        self.put(
            Word::Stop,
            match stop {
                Stop::No => 0,
                Stop::Asked => 1,
                Stop::Done => 2,
            },
        );
    }

    pub(crate) fn record_crash(&self, now_ns: u64) {
        let count = self.word(Word::CrashCount).fetch_add(1, Ordering::AcqRel);
        self.memory.words()[crash_word(count)].store(now_ns.max(1), Ordering::Release);
    }

    /// The guardian keeps the addresses for the next core.
    pub(crate) fn keep(&self) {
        self.put(Word::Custody, CUSTODY_KEPT);
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.get(Word::Custody) == CUSTODY_KEPT
    }

    /// Ends the keeping; false if a core has adopted the addresses, which then are its own.
    pub(crate) fn end_keeping(&self) -> bool {
        let custody = self.word(Word::Custody);
        let (kept, done) = (CUSTODY_KEPT, CUSTODY_CORE);
        custody.compare_exchange(kept, done, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn crash(&self, index: usize) -> u64 {
        self.memory.words()[Word::Crashes as usize + index].load(Ordering::Acquire)
    }

    fn identity(&self, pid: Word, start: Word) -> Identity {
        let pid = u32::try_from(self.get(pid)).unwrap_or(0);
        Identity { pid, start_ticks: self.get(start) }
    }

    /// The start time comes first: an id is never seen with the start time of another process.
    fn put_identity(&self, pid: Word, start: Word, identity: Identity) {
        self.put(pid, 0);
        self.put(start, identity.start_ticks);
        self.put(pid, identity.pid.into());
    }

    fn word(&self, word: Word) -> &AtomicU64 {
        &self.memory.words()[word as usize]
    }

    fn get(&self, word: Word) -> u64 {
        self.word(word).load(Ordering::Acquire)
    }

    fn put(&self, word: Word, value: u64) {
        self.word(word).store(value, Ordering::Release);
    }
}

/// The addresses belong to the running core, if they are up at all.
const CUSTODY_CORE: u64 = 0;
/// The core has died and the guardian keeps them for the next.
const CUSTODY_KEPT: u64 = 1;

/// Where the crash of this number is remembered: the oldest is overwritten.
fn crash_word(count: u64) -> usize {
    let index = count % CRASHES_REMEMBERED_MAX as u64;
    Word::Crashes as usize + usize::try_from(index).expect("below eight")
}

/// One of the two places for the larger part.
struct Slot<'a> {
    generation: &'a AtomicU64,
    length: &'a AtomicU64,
    checksum: &'a AtomicU64,
    content: &'a [AtomicU64],
}

impl<'a> Slot<'a> {
    /// Slot 0, or slot 1 for anything else.
    fn of(words: &'a [AtomicU64], index: u64) -> Self {
        let index = usize::from(index != 0);
        let header = Word::Slots as usize + index * SLOT_HEADER_WORDS;
        let content = HEADER_WORDS + index * SLOT_WORDS;
        Slot {
            generation: &words[header],
            length: &words[header + 1],
            checksum: &words[header + 2],
            content: &words[content..content + SLOT_WORDS],
        }
    }

    /// Copies the content, if it is whole and stayed so meanwhile, and returns its generation.
    fn copy(&self, buffer: &mut Vec<u8>) -> Option<u64> {
        buffer.clear();
        let generation = self.generation.load(Ordering::Acquire);
        let length = usize::try_from(self.length.load(Ordering::Relaxed)).ok()?;
        let expected = self.checksum.load(Ordering::Relaxed);
        if generation == 0 || length > ESTATE_BLOB_BYTES_MAX {
            return None;
        }
        buffer.reserve(length.next_multiple_of(8));
        for word in &self.content[..length.div_ceil(8)] {
            buffer.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        buffer.truncate(length);
        // Every word above was read before the generation is read again.
        fence(Ordering::Acquire);
        let unchanged = self.generation.load(Ordering::Relaxed) == generation;
        (unchanged && checksum(generation, buffer) == expected).then_some(generation)
    }
}

/// Up to eight bytes as a word, the rest zero.
fn word_of(chunk: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..chunk.len()].copy_from_slice(chunk);
    u64::from_le_bytes(bytes)
}

/// FNV-1a over words, seeded with the generation: guards against accidents, not against attacks.
fn checksum(generation: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let seed = 0xcbf2_9ce4_8422_2325 ^ generation;
    bytes.chunks(8).fold(seed, |sum, chunk| {
        let mixed = (sum ^ word_of(chunk)).wrapping_mul(PRIME);
        mixed ^ (mixed >> 29)
    })
}

#[cfg(test)]
mod tests;
