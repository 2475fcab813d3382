//! The seal of our own UDP protocol: AES-256-GCM with keys that no two processes ever share.
//!
//! Every sender derives its key with HKDF-SHA256 (RFC 5869, empty salt) from the cluster key and
//! from who it is: cluster, node, process and incarnation. The incarnation is drawn at random by
//! each process, so a number that starts again at zero after a restart meets another key and no
//! nonce is ever used twice. The header of the datagram is authenticated, not encrypted.
//!
//! ```text
//! info  = "evergate v1" | cluster hash u32 | node hash u32 | process u8 | incarnation [16]
//! nonce = 0 0 0 0 | sequence u64            all integers big endian
//! ```

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a cluster key.
pub const CLUSTER_KEY_BYTES: usize = 32;
/// Lines that a key file may hold: the first seals, all open.
pub const CLUSTER_KEYS_MAX: usize = 8;
/// Bytes that the seal adds behind the ciphertext.
pub const TAG_BYTES: usize = 16;
/// Largest plaintext: what a UDP datagram carries less header and tag, rounded down.
pub const PLAINTEXT_BYTES_MAX: usize = 65_000;
/// Derived keys kept for one node: its processes, old and new incarnation, before and after a
/// change of the cluster key.
pub const DERIVED_KEYS_PER_NODE_MAX: usize = 8;
/// Derived keys kept in all.
pub const DERIVED_KEYS_MAX: usize = 256;

/// The label that separates our keys from any other use of the same cluster key.
const LABEL: &[u8] = b"evergate v1";
/// Bytes of the HKDF info: label, cluster, node, process, incarnation.
const INFO_BYTES: usize = 11 + 4 + 4 + 1 + 16;

/// Who seals: everything a key depends on besides the cluster key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealIds {
    /// FNV-1a hash of the cluster's name.
    pub cluster: u32,
    /// FNV-1a hash of the node's name.
    pub node: u32,
    /// Which process of the node; 0 is the core.
    pub process: u8,
    /// Drawn at random when the process started.
    pub incarnation: [u8; 16],
}

impl SealIds {
    /// The HKDF info. Every field has a fixed width, so no two identities share an encoding.
    fn info(&self) -> [u8; INFO_BYTES] {
        let mut info = [0; INFO_BYTES];
        info[..11].copy_from_slice(LABEL);
        info[11..15].copy_from_slice(&self.cluster.to_be_bytes());
        info[15..19].copy_from_slice(&self.node.to_be_bytes());
        info[19] = self.process;
        info[20..].copy_from_slice(&self.incarnation);
        info
    }
}

/// A secret that all nodes of a cluster hold. Wiped from memory when dropped, never printed.
#[derive(Clone)]
pub struct ClusterKey(Prk);

impl ClusterKey {
    /// Takes 32 secret bytes; the caller's copy is wiped.
    pub fn new(mut secret: [u8; CLUSTER_KEY_BYTES]) -> Self {
        let key = ClusterKey(Salt::new(HKDF_SHA256, &[]).extract(&secret));
        secret.zeroize();
        key
    }

    /// The key with which the process `ids` seals.
    fn derive(&self, ids: &SealIds) -> LessSafeKey {
        let mut secret = Zeroizing::new([0; 32]);
        let info = ids.info();
        self.0
            .expand(&[&info], HKDF_SHA256)
            .and_then(|okm| okm.fill(secret.as_mut()))
            .expect("one block of HKDF output is always available");
        let key = UnboundKey::new(&AES_256_GCM, secret.as_ref());
        LessSafeKey::new(key.expect("the key has the length of AES-256"))
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(secret)")
    }
}

/// Why a datagram could not be sealed: ours, always.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealError {
    /// The sequence number is not above the last one: sealing would use a nonce twice.
    SequenceNotAbove {
        /// The last number that was used.
        last: u64,
    },
    /// The plaintext is longer than [`PLAINTEXT_BYTES_MAX`].
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::SequenceNotAbove { last } => {
                write!(f, "our fault: the sequence number is not above {last}")
            }
            SealError::TooLong { bytes } => {
                write!(f, "our fault: {bytes} bytes do not fit one datagram")
            }
        }
    }
}

impl std::error::Error for SealError {}

/// Why a datagram was not opened: the sender's fault, or an attacker's. Count it and drop it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenError {
    /// It is shorter than a tag or longer than a datagram.
    BadLength,
    /// No cluster key of ours fits: another key, another identity, or changed on the way.
    NotAuthentic,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OpenError::BadLength => "the sealed part has an impossible length",
            OpenError::NotAuthentic => "not sealed with a key of this cluster",
        })
    }
}

impl std::error::Error for OpenError {}

/// Seals the datagrams of this process.
pub struct Sealer {
    ids: SealIds,
    key: LessSafeKey,
    last: Option<u64>,
}

impl Sealer {
    /// A sealer for a process that has used sequence numbers up to `last`, under whatever key; `None`
    /// if it has not sealed anything yet.
    pub fn new(key: &ClusterKey, ids: SealIds, last: Option<u64>) -> Self {
        Sealer { ids, key: key.derive(&ids), last }
    }

    /// The last sequence number that was used.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Goes on under another cluster key. Sequence numbers go on too, so that a rotation back to
    /// an earlier key repeats no nonce.
    pub fn rotate(&mut self, key: &ClusterKey) {
        self.key = key.derive(&self.ids);
    }

    /// Writes header, ciphertext and tag to `out`, whose former content is dropped. `sequence`
    /// must be above that of every earlier call and is what the header carries.
    pub fn seal(
        &mut self,
        header: &[u8],
        sequence: u64,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        if plaintext.len() > PLAINTEXT_BYTES_MAX {
            return Err(SealError::TooLong { bytes: plaintext.len() });
        }
        if let Some(last) = self.last
            && sequence <= last
        {
            return Err(SealError::SequenceNotAbove { last });
        }
        self.last = Some(sequence);
        out.clear();
        out.extend_from_slice(header);
        out.extend_from_slice(plaintext);
        let body = &mut out[header.len()..];
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(sequence), Aad::from(header), body)
            .expect("the length is below the limit of AES-GCM");
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }
}

/// Opens the datagrams of every process of the cluster.
///
/// The caller checks first that the node is one of the configuration and that the cluster hash is
/// ours: a stranger then costs one comparison and no key derivation.
pub struct Opener {
    keys: Vec<ClusterKey>,
    cache: Vec<Derived>,
    uses: u64,
}

/// A key that has opened at least one datagram. What never opened anything is not kept, so that
/// nobody without a cluster key can push out the key of a living peer.
struct Derived {
    ids: SealIds,
    key: LessSafeKey,
    used: u64,
}

impl Opener {
    /// Opens with any of `keys`; those beyond [`CLUSTER_KEYS_MAX`] are ignored.
    pub fn new(keys: &[ClusterKey]) -> Self {
        let mut opener = Opener { keys: Vec::new(), cache: Vec::new(), uses: 0 };
        opener.rotate(keys);
        opener
    }

    /// From now on opens with these keys alone.
    pub fn rotate(&mut self, keys: &[ClusterKey]) {
        self.keys.clear();
        self.keys.extend(keys.iter().take(CLUSTER_KEYS_MAX).cloned());
        self.cache.clear();
    }

    /// Number of derived keys in the cache.
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    /// Checks `header` and `sealed` (ciphertext and tag) and writes the plaintext to `out`, whose
    /// former content is dropped. After an error `out` is empty.
    pub fn open(
        &mut self,
        ids: &SealIds,
        header: &[u8],
        sequence: u64,
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        out.clear();
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or(OpenError::BadLength)?;
        if length > PLAINTEXT_BYTES_MAX {
            return Err(OpenError::BadLength);
        }
        out.resize(length, 0);
        self.uses += 1;
        let part = Sealed { header, sequence, bytes: sealed };
        for derived in self.cache.iter_mut().filter(|derived| derived.ids == *ids) {
            if part.open(&derived.key, out) {
                derived.used = self.uses;
                return Ok(());
            }
        }
        // A cached key that failed is tried again here: rare, and cheaper than to remember which.
        for key in &self.keys {
            let key = key.derive(ids);
            if part.open(&key, out) {
                self.remember(Derived { ids: *ids, key, used: self.uses });
                return Ok(());
            }
        }
        out.zeroize();
        out.clear();
        Err(OpenError::NotAuthentic)
    }

    /// Keeps a key; the one that was not used for the longest time makes room, of the same node
    /// if that has its share already.
    fn remember(&mut self, derived: Derived) {
        let node = derived.ids.node;
        let of_node = self.cache.iter().filter(|other| other.ids.node == node).count();
        let full = of_node >= DERIVED_KEYS_PER_NODE_MAX;
        if full || self.cache.len() >= DERIVED_KEYS_MAX {
            let candidates = self.cache.iter().enumerate();
            let oldest = candidates
                .filter(|(_, other)| !full || other.ids.node == node)
                .min_by_key(|(_, other)| other.used)
                .map(|(index, _)| index);
            self.cache.swap_remove(oldest.expect("a full cache has an oldest entry"));
        }
        self.cache.push(derived);
    }
}

/// One sealed datagram.
struct Sealed<'a> {
    header: &'a [u8],
    sequence: u64,
    bytes: &'a [u8],
}

impl Sealed<'_> {
    /// Whether `key` fits; then `out` holds the plaintext. Constant time in the secret.
    fn open(&self, key: &LessSafeKey, out: &mut [u8]) -> bool {
        let (ciphertext, tag) = self.bytes.split_at(out.len());
        let aad = Aad::from(self.header);
        key.open_separate_gather(nonce(self.sequence), aad, ciphertext, tag, out).is_ok()
    }
}

/// The nonce of a sequence number: unique, because a key never sees a number twice.
fn nonce(sequence: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[4..].copy_from_slice(&sequence.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests;
