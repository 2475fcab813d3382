//! What is known of every flow without keeping the flow: 20 bytes each, however long its addresses
//! are. The kernel's table holds the flow itself.
//!
//! An open table with linear probing; an entry that is taken out closes its gap, so there are no
//! tombstones. Beside it, sums for each stream and bucket are kept up to date with every change.

use std::hash::{Hash, Hasher};

use crate::flow::{FlowHash, ValueDigest};

/// Buckets by which two tables are compared: the highest bits of [`FlowHash`].
pub const BUCKETS: usize = 4096;
/// Buckets that are summed up as one in the first step of a comparison.
pub const BUCKETS_PER_GROUP: usize = 64;
/// Groups of buckets.
pub const GROUPS: usize = BUCKETS / BUCKETS_PER_GROUP;
/// Streams that can be told apart: one for each node of a cluster.
pub const STREAMS_MAX: usize = crate::config::NODES_MAX;

/// The smallest table.
const CAPACITY_MIN: usize = 1024;
/// A table grows when more than so many eighths of it are used.
const LOAD_EIGHTHS: usize = 7;

/// Whose flow it is: the position of a node in the configuration.
pub type Stream = u8;

/// What is known of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// The sum of its value.
    pub digest: ValueDigest,
    /// The low bits of the number of the packet that told it last; 0: older than any packet.
    pub number: u32,
    /// Whose it is.
    pub stream: Stream,
    /// Marks of [`mark`].
    pub marks: u8,
}

/// Bits of [`Entry::marks`].
pub mod mark {
    /// Seen by the newest whole pass over the kernel's table; changes its meaning with each pass.
    pub const SEEN: u8 = 0x01;
    /// Taken over from another node: its timeout is still a lease.
    pub const LEASED: u8 = 0x02;
    /// Taken over from another node: sequence numbers are not checked yet.
    pub const LIBERAL: u8 = 0x04;
    /// Given up to another node: our kernel remembers sequence numbers of the past.
    pub const AGED: u8 = 0x08;
    /// Ours, but nothing was seen of it since we let a group go: it may have gone with it.
    pub const LOOSE: u8 = 0x10;
    /// Its sequence numbers are not checked in our kernel for the rest of its life.
    pub const LENIENT: u8 = 0x20;
    /// It was ours until another node adopted it, and that node has not told it since.
    pub const FORMER: u8 = 0x40;
    /// It is to be offered to its owner with the next pass.
    pub const OFFER: u8 = 0x80;
}

/// A used or free place. `name` is 0 where it is free.
#[derive(Clone, Copy, Hash, Debug, Default)]
struct Place {
    name: [u32; 2],
    digest: u32,
    number: u32,
    stream: Stream,
    marks: u8,
}

/// The sums of one stream, by bucket.
pub type Sums = [u64; BUCKETS];

/// Every flow that is known.
#[derive(Clone, Debug)]
pub struct Index {
    places: Vec<Place>,
    used: usize,
    sums: [Option<Box<Sums>>; STREAMS_MAX],
    counts: [usize; STREAMS_MAX],
}

impl Default for Index {
    fn default() -> Self {
        Index {
            places: vec![Place::default(); CAPACITY_MIN],
            used: 0,
            sums: [const { None }; STREAMS_MAX],
            counts: [0; STREAMS_MAX],
        }
    }
}

/// The flows that are known, wherever they stand: sums and counts follow from them.
impl Hash for Index {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut used: Vec<&Place> = self.places.iter().filter(|place| place.is_used()).collect();
        used.sort_unstable_by_key(|place| place.name);
        used.hash(state);
    }
}

impl Index {
    /// How many flows there are.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// How many flows a stream has.
    pub fn count(&self, stream: Stream) -> usize {
        self.counts.get(usize::from(stream)).copied().unwrap_or(0)
    }

    /// What is known of a flow.
    pub fn get(&self, name: FlowHash) -> Option<Entry> {
        self.find(word(name)).ok().map(|at| self.places[at].entry())
    }

    /// Adds a flow or changes what is known of it.
    pub fn put(&mut self, name: FlowHash, entry: Entry) {
        if (self.used + 1) * 8 > self.places.len() * LOAD_EIGHTHS {
            self.grow();
        }
        let name = word(name);
        let at = match self.find(name) {
            Ok(at) => {
                self.account(at, false);
                at
            }
            Err(at) => {
                self.used += 1;
                at
            }
        };
        self.places[at] = Place::new(name, entry);
        self.account(at, true);
    }

    /// Forgets a flow.
    pub fn remove(&mut self, name: FlowHash) -> Option<Entry> {
        let mut hole = self.find(word(name)).ok()?;
        let entry = self.places[hole].entry();
        self.account(hole, false);
        self.used -= 1;
        let mask = self.places.len() - 1;
        let mut next = (hole + 1) & mask;
        // Moves back whatever could not be found over the hole.
        while self.places[next].is_used() {
            let home = home(self.places[next].name, mask);
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.places[hole] = self.places[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.places[hole] = Place::default();
        Some(entry)
    }

    /// Changes marks without anything else.
    pub fn set_marks(&mut self, name: FlowHash, marks: u8) {
        if let Ok(at) = self.find(word(name)) {
            self.places[at].marks = marks;
        }
    }

    /// Visits every flow; what `change` gives back is what is known of it from then on, `None`
    /// forgets it. Costs a walk over the whole table.
    pub fn walk(&mut self, mut change: impl FnMut(FlowHash, Entry) -> Option<Entry>) {
        let mut gone = Vec::new();
        for at in 0..self.places.len() {
            if !self.places[at].is_used() {
                continue;
            }
            let (name, before) = (self.places[at].name, self.places[at].entry());
            match change(unword(name), before) {
                Some(after) if after == before => {}
                Some(after) => {
                    self.account(at, false);
                    self.places[at] = Place::new(name, after);
                    self.account(at, true);
                }
                None => gone.push(unword(name)),
            }
        }
        for name in gone {
            self.remove(name);
        }
    }

    /// The sums of a stream, by bucket.
    pub fn sums(&self, stream: Stream) -> &Sums {
        static EMPTY: Sums = [0; BUCKETS];
        self.sums.get(usize::from(stream)).and_then(Option::as_deref).unwrap_or(&EMPTY)
    }

    /// The sums of a stream, by group of buckets.
    pub fn group_sums(&self, stream: Stream) -> [u64; GROUPS] {
        let mut groups = [0_u64; GROUPS];
        let buckets = self.sums(stream).chunks_exact(BUCKETS_PER_GROUP);
        for (group, sums) in groups.iter_mut().zip(buckets) {
            // Seen at a glance, while the sum below takes one bucket after the other.
            let empty = sums.iter().fold(0, |all, sum| all | sum) == 0;
            if !empty {
                // Not a plain sum: two buckets that change places must not look alike.
                *group = sums.iter().fold(0, |sum, one| sum.rotate_left(1).wrapping_add(*one));
            }
        }
        groups
    }

    fn find(&self, name: [u32; 2]) -> Result<usize, usize> {
        let mask = self.places.len() - 1;
        let mut at = home(name, mask);
        loop {
            let place = &self.places[at];
            if place.name == name {
                return Ok(at);
            }
            if !place.is_used() {
                return Err(at);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds the place to the sums of its stream, or takes it out.
    fn account(&mut self, at: usize, add: bool) {
        let place = self.places[at];
        let stream = usize::from(place.stream) % STREAMS_MAX;
        let sums = self.sums[stream].get_or_insert_with(|| Box::new([0; BUCKETS]));
        let sum = &mut sums[bucket_of(unword(place.name))];
        let part = part(place);
        *sum = if add { sum.wrapping_add(part) } else { sum.wrapping_sub(part) };
        let count = &mut self.counts[stream];
        *count = if add { *count + 1 } else { *count - 1 };
    }

    fn grow(&mut self) {
        let double = self.places.len() * 2;
        let former = std::mem::replace(&mut self.places, vec![Place::default(); double]);
        for place in former.into_iter().filter(Place::is_used) {
            if let Err(at) = self.find(place.name) {
                self.places[at] = place;
            }
        }
    }
}

impl Place {
    fn new(name: [u32; 2], entry: Entry) -> Place {
        let Entry { digest, number, stream, marks } = entry;
        Place { name, digest: digest.0, number, stream, marks }
    }

    fn is_used(&self) -> bool {
        self.name != [0, 0]
    }

    fn entry(&self) -> Entry {
        let Place { digest, number, stream, marks, .. } = *self;
        Entry { digest: ValueDigest(digest), number, stream, marks }
    }
}

/// The bucket of a flow.
pub fn bucket_of(name: FlowHash) -> usize {
    usize::try_from(name.0 >> 52).unwrap_or(0)
}

/// What one flow adds to the sum of its bucket.
fn part(place: Place) -> u64 {
    let value = (u64::from(place.digest) << 1 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (unword(place.name).0 ^ value).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

fn home(name: [u32; 2], mask: usize) -> usize {
    // The low bits: the high ones are the bucket.
    usize::try_from(name[1]).unwrap_or(0) & mask
}

/// A name as it is stored: never 0, which marks free places.
fn word(name: FlowHash) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = name.0.max(1).to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}

fn unword(name: [u32; 2]) -> FlowHash {
    FlowHash(u64::from(name[0]) << 32 | u64::from(name[1]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::wire::fixtures::Dice;

    fn entry(digest: u32, stream: Stream) -> Entry {
        Entry { digest: ValueDigest(digest), number: 7, stream, marks: 0 }
    }

    #[test]
    fn a_place_takes_twenty_bytes() {
        assert_eq!(size_of::<Place>(), 20);
    }

    #[test]
    fn it_does_what_a_map_does_and_its_sums_are_those_of_its_content() {
        let (mut index, mut map, mut dice) = (Index::default(), BTreeMap::new(), Dice(99));
        for _ in 0..60_000 {
            // Few different low bits, so that chains are long and wrap around.
            let name = FlowHash(dice.below(64) << 52 | dice.below(40) << 3 | 0xffff_f000);
            let new =
                entry(u32::try_from(dice.below(5)).unwrap(), u8::try_from(dice.below(3)).unwrap());
            if dice.below(3) == 0 {
                assert_eq!(index.remove(name), map.remove(&name));
            } else {
                index.put(name, new);
                map.insert(name, new);
            }
            assert_eq!(index.len(), map.len());
        }
        for (name, known) in &map {
            assert_eq!(index.get(*name), Some(*known));
        }
        let mut fresh = Index::default();
        map.iter().rev().for_each(|(name, known)| fresh.put(*name, *known));
        for stream in 0..3 {
            assert_eq!(index.sums(stream), fresh.sums(stream));
            assert_eq!(index.count(stream), map.values().filter(|e| e.stream == stream).count());
        }
    }

    #[test]
    fn a_walk_changes_and_forgets() {
        let mut index = Index::default();
        (1..=2000).for_each(|n| index.put(FlowHash(n << 40 | n), entry(1, 0)));
        index.walk(|name, known| (name.0 & 1 == 0).then_some(Entry { stream: 1, ..known }));
        assert_eq!((index.count(0), index.count(1)), (0, 1000));
        assert_eq!(index.sums(0), &[0; BUCKETS]);
        assert_eq!(index.get(FlowHash(2 << 40 | 2)).map(|e| e.stream), Some(1));
    }

    #[test]
    fn a_change_of_one_value_changes_one_sum() {
        let (mut one, mut two) = (Index::default(), Index::default());
        for n in 0..5000_u64 {
            let name = FlowHash(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            one.put(name, entry(1, 0));
            two.put(name, entry(if n == 77 { 2 } else { 1 }, 0));
        }
        let differ = one.sums(0).iter().zip(two.sums(0)).filter(|(a, b)| a != b).count();
        let groups =
            one.group_sums(0).iter().zip(two.group_sums(0)).filter(|(a, b)| **a != *b).count();
        assert_eq!((differ, groups), (1, 1));
    }
}
