//! The body of a datagram that replicates flows: a number and a list of [`super::tlv`] values.
//!
//! ```text
//!  number (64) | oldest (64) | values
//!
//!  1 flow      see super::flow                        2 gone      the name of a flow
//!  3 ack       node, flags, base, bits                4 sums      one for each group of buckets
//!  5 details   group, one sum for each bucket in it   6 ask       node, a bit for each group
//!  7 want      node, a bit for each bucket            8 swept     first number, a bit for each bucket
//!  9 adopted   node                                  10 broken    nodes that have missed something
//! 11 disowned  the name of a flow                  12 offer     see super::flow
//! 13 bulk      nothing
//! ```
//!
//! A packet with flows, sums or the like is numbered; the numbers of a process count up from 1. One
//! that only acknowledges, asks or gives details has number 0. `oldest` is the lowest number that may still be
//! repaired: what is missing below it does not come any more; with number 0, the newest one that was sent. Nodes travel as hashes of their names.

use super::bytes::Bytes;
use super::cause::causes;
use super::tlv::{self, Tlv};
use crate::ident::{Incarnation, NodeId};
use crate::replicate::index::{BUCKETS, BUCKETS_PER_GROUP, GROUPS};
use crate::wire::names::Names;

/// The bytes in front of the values.
pub const HEAD_LEN: usize = 16;
/// The longest body that is sent: with header, tag, UDP and IPv6 it fits the smallest usual MTU.
pub const BODY_MAX: usize = 1_340;
/// Numbers above the base that one acknowledgement tells apart.
pub const ACK_BITS: usize = 1_024;

/// The type of a flow.
pub const FLOW: u8 = 1;
/// The type of a flow that is gone.
pub const GONE: u8 = 2;
const ACK: u8 = 3;
const SUMS: u8 = 4;
const DETAILS: u8 = 5;
/// The type of a question for sums in detail.
pub const ASK: u8 = 6;
const WANT: u8 = 7;
/// The type of the end of a reading.
pub const SWEPT: u8 = 8;
/// The type of a change of ownership.
pub const ADOPTED: u8 = 9;
const BROKEN: u8 = 10;
/// The type of a flow that its owner has forgotten, and that somebody else may serve by now.
pub const DISOWNED: u8 = 11;
/// The type of a flow that its owner may not know.
pub const OFFER: u8 = 12;

/// The type of the first value of a packet that comes of a reading of the table: changes go first.
const BULK: u8 = 13;
/// The bytes of that value.
pub const BULK_LEN: usize = tlv::HEAD_LEN;

/// A flag of an acknowledgement: the receiver's copy is whole.
const SYNCED: u8 = 0x01;

causes! {
    /// Why a body was refused although its seal was right: a defect of the sender's software.
    Reject {
        /// It ends within a field.
        Truncated = "replica-truncated",
        /// A field holds what cannot be.
        Value = "replica-value",
    }
}

impl From<tlv::Truncated> for Reject {
    fn from(_: tlv::Truncated) -> Reject {
        Reject::Truncated
    }
}

/// A set of buckets.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BucketSet(Box<[u64; BUCKETS / 64]>);

impl Default for BucketSet {
    fn default() -> Self {
        BucketSet(Box::new([0; BUCKETS / 64]))
    }
}

impl BucketSet {
    /// Every bucket.
    pub fn all() -> BucketSet {
        BucketSet(Box::new([u64::MAX; BUCKETS / 64]))
    }

    /// Adds a bucket.
    pub fn insert(&mut self, bucket: usize) {
        if let Some(word) = self.0.get_mut(bucket / 64) {
            *word |= 1 << (bucket % 64);
        }
    }

    /// Whether a bucket is in it.
    pub fn contains(&self, bucket: usize) -> bool {
        self.0.get(bucket / 64).is_some_and(|word| word & 1 << (bucket % 64) != 0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Whether every bucket of it is in another set.
    pub fn is_within(&self, other: &BucketSet) -> bool {
        self.0.iter().zip(other.0.iter()).all(|(word, more)| word & !more == 0)
    }

    /// Adds all buckets of another set.
    pub fn extend(&mut self, other: &BucketSet) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, more)| *word |= more);
    }
}

/// What a receiver has of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Whose stream.
    pub node: NodeId,
    /// Of which process.
    pub incarnation: Incarnation,
    /// The receiver's copy is whole, as far as it knows.
    pub synced: bool,
    /// Every number below this one has come or does not come any more.
    pub base: u64,
    /// Which numbers from `base` on have come, bit 0 of word 0 first; up to [`ACK_BITS`].
    pub bits: Vec<u64>,
}

/// One value of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// A flow as it is now, in bytes of [`super::flow`].
    Flow(&'a [u8]),
    /// A flow that is gone: the bytes of its name.
    Gone(&'a [u8]),
    /// A flow that the sender has forgotten and has seen nothing of since it let a group go: gone, unless
    /// the receiver serves. The bytes of its name.
    Disowned(&'a [u8]),
    /// A flow that was the sender's, and that its new owner may not know. In bytes of [`super::flow`].
    Offer(&'a [u8]),
    /// What somebody has of a stream.
    Ack(Ack),
    /// The sums of the sender's flows, as of this packet.
    Sums(Box<[u64; GROUPS]>),
    /// The sums of the buckets of one group.
    Details(usize, Box<[u64; BUCKETS_PER_GROUP]>),
    /// Asks a node for the details of the groups whose bits are set.
    Ask(NodeId, u64),
    /// Asks a node for all its flows in some buckets.
    Want(NodeId, BucketSet),
    /// All flows in these buckets were told since this number: whatever is older is gone.
    Swept(u64, BucketSet),
    /// The flows of this node are the sender's from now on.
    Adopted(NodeId),
    /// These nodes have missed something that cannot be repaired piece by piece.
    Broken(Vec<NodeId>),
}

/// Begins a body.
pub fn begin(number: u64, oldest: u64, out: &mut Vec<u8>) {
    out.clear();
    out.extend(number.to_be_bytes());
    out.extend(oldest.to_be_bytes());
}

/// Begins a body that comes of a reading of the table, see [`is_bulk`].
pub fn begin_bulk(number: u64, oldest: u64, out: &mut Vec<u8>) {
    begin(number, oldest, out);
    tlv::write(out, BULK, |_| ());
}

/// Whether a body comes of a reading of the table: a receiver takes changes that have come after it first.
pub fn is_bulk(body: &[u8]) -> bool {
    body.get(HEAD_LEN) == Some(&BULK)
}

/// Appends a value. Values that name a node without a name are left out.
pub fn write(item: &Item<'_>, names: &Names, out: &mut Vec<u8>) {
    let hash = |node: &NodeId| names.node_hash(*node);
    match item {
        Item::Flow(bytes) => tlv::write(out, FLOW, |out| out.extend_from_slice(bytes)),
        Item::Gone(bytes) => tlv::write(out, GONE, |out| out.extend_from_slice(bytes)),
        Item::Offer(bytes) => tlv::write(out, OFFER, |out| out.extend_from_slice(bytes)),
        Item::Disowned(bytes) => tlv::write(out, DISOWNED, |out| out.extend_from_slice(bytes)),
        Item::Ack(ack) => {
            let Some(node) = hash(&ack.node) else { return };
            tlv::write(out, ACK, |out| {
                out.extend(node.to_be_bytes());
                out.extend(ack.incarnation.0);
                out.push(if ack.synced { SYNCED } else { 0 });
                out.extend(ack.base.to_be_bytes());
                ack.bits.iter().take(ACK_BITS / 64).for_each(|word| out.extend(word.to_be_bytes()));
            });
        }
        Item::Sums(sums) => tlv::write(out, SUMS, |out| words(&sums[..], out)),
        Item::Details(group, sums) => tlv::write(out, DETAILS, |out| {
            out.push(u8::try_from(*group).unwrap_or(u8::MAX));
            words(&sums[..], out);
        }),
        Item::Ask(node, groups) => {
            let Some(node) = hash(node) else { return };
            tlv::write(out, ASK, |out| {
                out.extend(node.to_be_bytes());
                out.extend(groups.to_be_bytes());
            });
        }
        Item::Want(node, buckets) => {
            let Some(node) = hash(node) else { return };
            tlv::write(out, WANT, |out| {
                out.extend(node.to_be_bytes());
                words(&buckets.0[..], out);
            });
        }
        Item::Swept(first, buckets) => tlv::write(out, SWEPT, |out| {
            out.extend(first.to_be_bytes());
            words(&buckets.0[..], out);
        }),
        Item::Adopted(node) => {
            let Some(node) = hash(node) else { return };
            tlv::write(out, ADOPTED, |out| out.extend(node.to_be_bytes()));
        }
        Item::Broken(nodes) => tlv::write(out, BROKEN, |out| {
            nodes.iter().filter_map(hash).for_each(|node| out.extend(node.to_be_bytes()));
        }),
    }
}

fn words(words: &[u64], out: &mut Vec<u8>) {
    words.iter().for_each(|word| out.extend(word.to_be_bytes()));
}

/// A body whose seal was right.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    /// Its number; 0 where it has none.
    pub number: u64,
    /// The lowest number that may still be repaired; of a body without a number, the newest one that was
    /// sent.
    pub oldest: u64,
    /// Its values.
    pub values: &'a [u8],
}

impl<'a> Body<'a> {
    /// Reads what is in front of the values.
    pub fn read(bytes: &'a [u8]) -> Result<Body<'a>, Reject> {
        let mut rest = Bytes(bytes);
        let number = rest.u64().ok_or(Reject::Truncated)?;
        let oldest = rest.u64().ok_or(Reject::Truncated)?;
        Ok(Body { number, oldest, values: rest.0 })
    }

    /// The newest number when it was sent: sums in it are those of all packets up to that one.
    pub fn as_of(&self) -> u64 {
        if self.number > 0 { self.number } else { self.oldest }
    }

    /// The values in their order; those that are unknown, or name an unknown node, are skipped.
    pub fn items(&self, names: &'a Names) -> impl Iterator<Item = Result<Item<'a>, Reject>> + 'a {
        tlv::Reader::new(self.values).filter_map(move |tlv| match tlv {
            Ok(tlv) => read(tlv, names).transpose(),
            Err(truncated) => Some(Err(truncated.into())),
        })
    }
}

fn read<'a>(tlv: Tlv<'a>, names: &Names) -> Result<Option<Item<'a>>, Reject> {
    let mut rest = Bytes(tlv.value);
    let node = |rest: &mut Bytes<'_>| rest.u32().ok_or(Reject::Truncated).map(|it| names.node(it));
    Ok(match tlv.kind {
        FLOW => Some(Item::Flow(tlv.value)),
        GONE => Some(Item::Gone(tlv.value)),
        OFFER => Some(Item::Offer(tlv.value)),
        DISOWNED => Some(Item::Disowned(tlv.value)),
        ACK => {
            let node = node(&mut rest)?;
            let incarnation = Incarnation(rest.array().ok_or(Reject::Truncated)?);
            let synced = rest.u8().ok_or(Reject::Truncated)? & SYNCED != 0;
            let base = rest.u64().ok_or(Reject::Truncated)?;
            let mut bits = Vec::new();
            while let Some(word) = rest.u64().filter(|_| bits.len() < ACK_BITS / 64) {
                bits.push(word);
            }
            node.map(|node| Item::Ack(Ack { node, incarnation, synced, base, bits }))
        }
        SUMS => Some(Item::Sums(Box::new(read_words(&mut rest)?))),
        DETAILS => {
            let group = usize::from(rest.u8().ok_or(Reject::Truncated)?);
            if group >= GROUPS {
                return Err(Reject::Value);
            }
            Some(Item::Details(group, Box::new(read_words(&mut rest)?)))
        }
        ASK => {
            let node = node(&mut rest)?;
            let groups = rest.u64().ok_or(Reject::Truncated)?;
            node.map(|node| Item::Ask(node, groups))
        }
        WANT => {
            let node = node(&mut rest)?;
            let buckets = BucketSet(Box::new(read_words(&mut rest)?));
            node.map(|node| Item::Want(node, buckets))
        }
        SWEPT => {
            let first = rest.u64().ok_or(Reject::Truncated)?;
            Some(Item::Swept(first, BucketSet(Box::new(read_words(&mut rest)?))))
        }
        ADOPTED => {
            let node = node(&mut rest)?;
            node.map(Item::Adopted)
        }
        BROKEN => {
            let mut nodes = Vec::new();
            while let Some(hash) = rest.u32() {
                nodes.extend(names.node(hash).filter(|_| nodes.len() < crate::config::NODES_MAX));
            }
            Some(Item::Broken(nodes))
        }
        _ => None,
    })
}

fn read_words<const N: usize>(rest: &mut Bytes<'_>) -> Result<[u64; N], Reject> {
    let mut words = [0; N];
    for word in &mut words {
        *word = rest.u64().ok_or(Reject::Truncated)?;
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixtures::Dice;

    fn names() -> Names {
        let nodes = ["gw1", "gw2", "gw3"].into_iter();
        Names::new(nodes, [].into_iter(), [].into_iter()).expect("three names that differ")
    }

    fn items() -> Vec<Item<'static>> {
        let mut buckets = BucketSet::default();
        [0, 63, 64, 4095].iter().for_each(|bucket| buckets.insert(*bucket));
        let incarnation = Incarnation([7; 16]);
        let (node, bits) = (NodeId(1), vec![1, u64::MAX]);
        vec![
            Item::Flow(b"flow"),
            Item::Gone(b"name"),
            Item::Ack(Ack { node, incarnation, synced: true, base: 99, bits }),
            Item::Sums(Box::new([5; GROUPS])),
            Item::Details(63, Box::new([6; BUCKETS_PER_GROUP])),
            Item::Ask(NodeId(2), 1 << 63),
            Item::Want(NodeId(0), buckets.clone()),
            Item::Swept(1 << 40, buckets),
            Item::Adopted(NodeId(2)),
            Item::Broken(vec![NodeId(0), NodeId(2)]),
        ]
    }

    fn body() -> Vec<u8> {
        let mut out = vec![1];
        begin(3, 2, &mut out);
        items().iter().for_each(|item| write(item, &names(), &mut out));
        out
    }

    #[test]
    fn every_value_reads_back_as_it_was() {
        let (bytes, names) = (body(), names());
        let read = Body::read(&bytes).unwrap();
        assert_eq!((read.number, read.oldest), (3, 2));
        let read: Vec<_> = read.items(&names).map(Result::unwrap).collect();
        assert_eq!(read, items());
    }

    #[test]
    fn changed_and_cut_bytes_never_panic() {
        let (whole, names, mut dice) = (body(), names(), Dice(5));
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            bytes.truncate(dice.index(whole.len()));
            for _ in 0..dice.below(4) {
                if !bytes.is_empty() {
                    let at = dice.index(bytes.len());
                    bytes[at] = u8::try_from(dice.below(256)).unwrap();
                }
            }
            if let Ok(body) = Body::read(&bytes) {
                assert!(body.items(&names).count() <= whole.len());
            }
        }
    }
}
