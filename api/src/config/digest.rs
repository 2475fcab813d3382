//! Hashes of FNV-1a: the digest of what was written and the numbers that names have on the wire.
//!
//! The digest is taken from the tree, not from the model: a newer version with a new default still
//! agrees with an older one about the same file. It tells drift, it is no protection against
//! forgery.

use super::model::Digest;
use super::tree::{Table, Value};

const BASIS_64: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME_64: u64 = 0x0000_0100_0000_01b3;
const BASIS_32: u32 = 0x811c_9dc5;
const PRIME_32: u32 = 0x0100_0193;

/// The number that a name has on the wire.
pub fn name_hash(name: &str) -> u32 {
    name.bytes().fold(BASIS_32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME_32))
}

/// The digest of a tree, whatever the order of its keys, its comments and its division into files.
pub(crate) fn digest(tree: &Table) -> Digest {
    let mut hash = Fnv(BASIS_64);
    hash.table(tree);
    Digest(hash.0)
}

struct Fnv(u64);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME_64);
        }
    }

    /// A tag and a length before the text keep different trees apart.
    fn item(&mut self, tag: u8, text: &[u8]) {
        self.bytes(&[tag]);
        self.bytes(&(text.len() as u64).to_be_bytes());
        self.bytes(text);
    }

    fn table(&mut self, table: &Table) {
        self.item(b't', &(table.entries.len() as u64).to_be_bytes());
        for (key, entry) in &table.entries {
            self.item(b'k', key.as_bytes());
            self.value(&entry.node.value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.item(b's', text.as_bytes()),
            Value::Integer(number) => self.item(b'i', &number.unwrap_or(0).to_be_bytes()),
            Value::Float(text) => self.item(b'f', text.as_bytes()),
            Value::Boolean(boolean) => self.item(b'b', &[u8::from(*boolean)]),
            Value::Date(text) => self.item(b'd', text.as_bytes()),
            Value::Array(items) => {
                self.item(b'a', &(items.len() as u64).to_be_bytes());
                for item in items {
                    self.value(&item.value);
                }
            }
            Value::Table(table) => self.table(table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_numbers_of_the_published_test_vectors() {
        assert_eq!(name_hash(""), 0x811c_9dc5);
        assert_eq!(name_hash("a"), 0xe40c_292c);
        assert_eq!(name_hash("foobar"), 0xbf9c_f968);
    }
}
