//! The fingerprint of a state: 128 bits, in one pass, the same in every run.

use std::hash::Hasher;

/// Mixes words into 128 bits. Two states that differ share them with a probability of 2^-128 or so.
#[derive(Clone, Debug)]
pub struct Mixer {
    low: u64,
    high: u64,
}

impl Default for Mixer {
    fn default() -> Self {
        Mixer { low: 0x243f_6a88_85a3_08d3, high: 0x1319_8a2e_0370_7344 }
    }
}

impl Mixer {
    /// Takes a word.
    pub fn put(&mut self, word: u64) {
        self.low = (self.low ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        self.high = (self.high.rotate_left(17) ^ word).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        self.high ^= self.high >> 31;
        self.low ^= self.low >> 32;
    }

    /// All that was taken.
    pub fn whole(&self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.put(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.put(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.put(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.put(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.put(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.put(number as u64);
    }

    fn finish(&self) -> u64 {
        self.low ^ self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hash;

    fn of(value: impl Hash) -> u128 {
        let mut mixer = Mixer::default();
        value.hash(&mut mixer);
        mixer.whole()
    }

    #[test]
    fn values_that_differ_in_a_bit_or_in_order_differ() {
        let words: Vec<u128> = (0..64).map(|bit| of(1_u64 << bit)).collect();
        let all: std::collections::BTreeSet<u128> = words.iter().copied().collect();
        assert_eq!(all.len(), 64);
        assert_ne!(of((1_u8, 2_u8)), of((2_u8, 1_u8)));
        assert_ne!(of("ab"), of("ba"));
        assert_ne!(of([0_u8; 3]), of([0_u8; 4]));
        assert_eq!(of([7_u64, 9]), of([7_u64, 9]));
    }
}
