//! Which packets of a stream have come.

use crate::wire::replica::ACK_BITS;

const WORDS: usize = ACK_BITS / 64;

/// Which numbers have come: all below `base`, and those whose bits are set.
#[derive(Clone, Hash, Debug, Default)]
pub(super) struct Window {
    pub base: u64,
    bits: [u64; WORDS],
}

impl Window {
    /// Whether a number can be noted without forgetting that the lowest one is missing.
    pub fn reaches(&self, number: u64) -> bool {
        number.saturating_sub(self.base) < ACK_BITS as u64
    }

    /// Notes a number; `false` when it has come before.
    pub fn take(&mut self, number: u64) -> bool {
        let Some(ahead) = number.checked_sub(self.base) else { return false };
        let most = ACK_BITS as u64 - 1;
        if ahead > most {
            self.advance(number - most);
        }
        let bit = usize::try_from(number - self.base).unwrap_or(0);
        let fresh = self.bits[bit / 64] & 1 << (bit % 64) == 0;
        self.bits[bit / 64] |= 1 << (bit % 64);
        while self.bits[0] & 1 != 0 {
            self.shift(u64::from(self.bits[0].trailing_ones()));
        }
        fresh
    }

    /// Numbers below this one do not come any more.
    pub fn advance(&mut self, base: u64) {
        if base.saturating_sub(self.base) >= ACK_BITS as u64 {
            *self = Window { base, bits: [0; WORDS] };
        }
        while self.base < base {
            self.shift((base - self.base).min(64));
        }
        while self.bits[0] & 1 != 0 {
            self.shift(u64::from(self.bits[0].trailing_ones()));
        }
    }

    /// Moves the base by up to 64 numbers.
    fn shift(&mut self, by: u64) {
        self.base += by;
        for at in 0..WORDS {
            let next = self.bits.get(at + 1).copied().unwrap_or(0);
            let wide = u128::from(next) << 64 | u128::from(self.bits[at]);
            let [low, ..] = split(wide >> by);
            self.bits[at] = low;
        }
    }

    pub fn words(&self) -> Vec<u64> {
        let used = self.bits.iter().rposition(|word| *word != 0).map_or(0, |at| at + 1);
        self.bits[..used].to_vec()
    }
}

/// The low and the high half.
fn split(wide: u128) -> [u64; 2] {
    let bytes = wide.to_le_bytes();
    let half = |at: usize| {
        let mut half = [0; 8];
        half.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(half)
    };
    [half(0), half(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_knows_what_has_come_in_any_order() {
        let mut window = Window { base: 1, bits: [0; WORDS] };
        assert!(window.take(3) && window.take(1) && !window.take(3) && !window.take(1));
        assert_eq!((window.base, window.words()), (2, vec![2]));
        assert!(window.take(2));
        assert_eq!((window.base, window.words()), (4, vec![]));
        assert!(window.take(200) && window.take(4));
        window.advance(150);
        assert_eq!(window.base, 150);
        assert!(!window.take(149) && !window.take(200) && window.take(151));
        window.advance(200);
        assert_eq!((window.base, window.words()), (201, vec![]));
        assert!(window.take(201 + 5000));
        assert_eq!(window.base, 201 + 5000 - 1023);
        assert!(!window.take(201));
    }

    #[test]
    fn a_number_far_ahead_takes_no_time() {
        let mut window = Window::default();
        assert!(window.take(u64::MAX - 1) && window.take(u64::MAX - 5));
        assert_eq!(window.base, u64::MAX - 1024);
    }
}
